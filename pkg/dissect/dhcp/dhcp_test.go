package dhcp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var (
	ports  = [2]uint16{68, 67}
	client = proto.MAC{2, 0, 0, 0, 0, 1} // of the invented ends
	asked  = opt(55, "\x01\x03\x06")
)

func opt(code byte, value string) []byte { return append([]byte{code, byte(len(value))}, value...) }

// message is a DHCP message; fields are set by offset afterwards.
func message(op byte, mac proto.MAC, options ...[]byte) []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = op, 1, 6
	copy(b[28:], mac[:])
	copy(b[236:], "\x63\x82\x53\x63")
	return append(append(b, slices.Concat(options...)...), 255)
}

func with(b []byte, at int, value string) []byte {
	copy(b[at:], value)
	return b
}

func TestMessages(t *testing.T) {
	const lease = "\x00\x00\x0e\x10"
	for _, tc := range []struct {
		name string
		side int
		b    []byte
		want []string
	}{
		{
			"discover", 0, message(1, client, opt(53, "\x01"), opt(12, "PCU-1"), opt(60, "alaris-pcu"), asked, opt(61, "\x01\x02\x00\x00\x00\x00\x01")),
			[]string{`dhcp discover side=0 mac=02:00:00:00:00:01 ip=invalid IP equipment="" gateway=0 {"client_id":"01020000000001","hostname":"PCU-1","parameter_list":"1,3,6","vendor_class":"alaris-pcu"}`},
		},
		{"request", 0, message(1, client, opt(53, "\x03"), opt(50, "\x0a\x01\x02\x09"), opt(54, "\x0a\x01\x02\x04")), []string{`"requested_ip":"10.1.2.9","server_id":"10.1.2.4"`}},
		{"renewal", 0, with(message(1, client, opt(53, "\x03")), 12, "\x0a\x01\x02\x03"), []string{`side=0 mac=02:00:00:00:00:01 ip=10.1.2.3 equipment="" gateway=0 {"ip":"10.1.2.3"}`}},
		{
			"ack", 1, with(message(2, client, opt(53, "\x05"), opt(51, lease), opt(3, "\x0a\x01\x02\x01"), opt(15, "hosp.local"), opt(54, "\x0a\x01\x02\x04")), 16, "\x0a\x01\x02\x09"),
			[]string{
				`dhcp ack side=0 mac=02:00:00:00:00:01 ip=10.1.2.9 equipment="" gateway=0 {"domain":"hosp.local","ip":"10.1.2.9","lease_s":"3600","router":"10.1.2.1","server_id":"10.1.2.4"}`,
				`dhcp ack side=1 mac= ip=invalid IP equipment="" gateway=0 {"domain":"hosp.local","role":"server","router":"10.1.2.1","server_id":"10.1.2.4"}`,
			},
		},
		{"offer is not yet an address", 1, with(message(2, client, opt(53, "\x02")), 16, "\x0a\x01\x02\x09"), []string{`side=0 mac=02:00:00:00:00:01 ip=invalid IP equipment="" gateway=0 {"ip":"10.1.2.9"}`, "role"}},
		{"relayed", 1, with(message(2, proto.MAC{2, 9, 9, 9, 9, 9}, opt(53, "\x05")), 24, "\x0a\x02\x00\x01"), []string{"side=2 mac=02:09:09:09:09:09", `"relay":"10.2.0.1"`}},
		{"nak", 1, message(2, client, opt(53, "\x06"), opt(56, "address in use")), []string{`"message":"address in use"`, "role"}},
		{"in two parts", 0, message(1, client, opt(53, "\x01"), opt(12, "PCU"), opt(12, "-1")), []string{`"hostname":"PCU-1"`}},
		{"overload of file", 0, with(message(1, client, opt(53, "\x01"), opt(52, "\x01")), 108, "\x0c\x03abc\xff"), []string{`"hostname":"abc"`}},
		{"overload of both", 0, with(with(message(1, client, opt(53, "\x01"), opt(52, "\x03")), 44, "\x0c\x03def\xff"), 108, "\x0c\x03abc\xff"), []string{`"hostname":"abcdef"`}},
		{"overload of the overload", 0, with(message(1, client, opt(53, "\x01"), opt(52, "\x01")), 108, "\x34\x01\x03\x0c\x01a\xff"), []string{`"hostname":"a"`}},
		{"length beyond the end", 0, message(1, client, opt(53, "\x01"), []byte{12, 200, 'a'}), []string{"discover"}},
		{"name in labels", 0, message(1, client, opt(53, "\x01"), opt(81, "\x04\x00\x00\x03pcu\x04hosp\x00")), []string{`"fqdn":"pcu.hosp"`}},
		{"name in text", 0, message(1, client, opt(53, "\x01"), opt(81, "\x00\x00\x00pcu.hosp")), []string{`"fqdn":"pcu.hosp"`}},
		{"identifier that is no hardware", 0, message(1, client, opt(53, "\x01"), opt(61, "\x00nurse.w3")), []string{"{}"}},
		{"other hardware", 0, with(message(1, client, opt(53, "\x01")), 1, "\x20"), []string{"side=0 mac= "}},
		{
			"a relay's switch port", 0, message(1, client, opt(53, "\x01"), opt(82, "\x01\x06\x00\x04\x00\x29\x01\x17\x02\x08\x00\x06\x02\x00\x00\x00\x00\x17\x05\x04\x0a\x02\x00\x01\x06\x06nobody")),
			[]string{`{"circuit_id":"vlan=41 port=1/23","relay_link":"10.2.0.1","remote_id":"02:00:00:00:00:17"}`},
		},
		{"a relay's text", 0, message(1, client, opt(53, "\x01"), opt(82, "\x01\x08Gi1/0/23\x02\x0c\x01\x0aSW-W3-01:7")), []string{`{"circuit_id":"Gi1/0/23","remote_id":"SW-W3-01:7"}`}},
		{"a relay's text about somebody", 0, message(1, client, opt(53, "\x01"), opt(82, "\x01\x0froom of nobody \x02\x03\x01\x02\x03")), []string{`{"circuit_id":"` + dissector.Pseudonym(dissecttest.Key, []byte("room of nobody ")) + `","remote_id":"010203"}`}},
		{
			"a machine that boots", 0, message(1, client, opt(53, "\x01"), opt(60, "PXEClient:Arch:00007:UNDI:003016"), opt(93, "\x00\x07"), opt(97, "\x00\x44\x45\x4c\x4c\x36\x00\x10\x4d\x80\x4e\xb4\xc0\x4f\x4e\x32\x32")),
			[]string{`{"client_arch":"x64_uefi","client_uuid":"4c4c4544-0036-4d10-804e-b4c04f4e3232","vendor_class":"PXEClient:Arch:00007:UNDI:003016"}`},
		},
		{"makers' options", 0, message(1, client, opt(53, "\x01"), opt(124, "\x00\x00\x00\x09\x03\x02AB"), opt(125, "\x00\x00\x0d\xe9\x12\x01\x06001122\x02\x04S-12\x03\x02X7")), []string{`{"product":"X7","serial":"S-12","vendor_enterprises":["9","3561"]}`}},
		{"an identifier made of a MAC", 0, message(1, client, opt(53, "\x01"), opt(61, "\xff\x00\x00\x00\x01\x00\x03\x00\x01\x02\x00\x00\x00\x00\x01")), []string{`{"client_id":"ff0000000100030001020000000001"}`}},
		{"an identifier made of a text", 0, message(1, client, opt(53, "\x01"), opt(61, "\xff\x00\x00\x00\x01\x00\x02\x00\x00\x00\x09nobody")), []string{`{}`}},
		{
			"what a server gives", 1, with(message(2, client, opt(53, "\x05"), opt(1, "\xff\xff\xff\x00"), opt(6, "\x0a\x01\x02\x05\x0a\x01\x02\x06"), opt(42, "\x0a\x01\x02\x07"), opt(66, "tftp.hosp.example"), opt(150, "\x0a\x01\x02\x08")), 20, "\x0a\x01\x02\x09"),
			[]string{`side=0`, `{"boot_server":"tftp.hosp.example","dns_servers":["10.1.2.5","10.1.2.6"],"next_server":"10.1.2.9","ntp_servers":["10.1.2.7"],"role":"server","subnet_mask":"255.255.255.0","tftp_servers":["10.1.2.8"]}`},
		},
		{"a sub-option beyond the end", 0, message(1, client, opt(53, "\x01"), opt(82, "\x01\x08Gi")), []string{`{}`}},
		{"a lease is asked for", 0, message(1, client, opt(53, "\x0a")), []string{"dhcp lease_query"}},
		{"BOOTP", 0, message(1, client), nil},
		{"unknown type", 0, message(1, client, opt(53, "\x63")), nil},
		{"no cookie", 0, with(message(1, client, opt(53, "\x01")), 236, "xxxx"), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, ports, nil), dissecttest.Datagram(tc.side, ports, tc.b)})
			got := slices.DeleteFunc(strings.Split(r.Text(), "\n"), func(s string) bool { return s == "" })
			if len(got) != len(tc.want) || len(r.Panics) > 0 {
				t.Fatalf("panics %v, facts:\n%s", r.Panics, r.Text())
			}
			for i := range got {
				if !strings.Contains(got[i], tc.want[i]) {
					t.Errorf("%s, want %s", got[i], tc.want[i])
				}
			}
			if strings.Contains(string(r.Everything()), "obody") {
				t.Errorf("somebody's name leaves:\n%s", r.Everything())
			}
			if by := r.Flows[0].By; (tc.name == "no cookie") != (by == proto.ByPort) {
				t.Errorf("recognised by %q", by)
			}
		})
	}
}

// suricata-verify's test.yaml of these captures.
func TestCaptures(t *testing.T) {
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/suricata-verify/dhcp-option-52-overload/input.pcap")))
	routers := map[string]int{}
	for _, kind := range []string{"offer", "ack"} {
		for _, f := range r.Of("dhcp", kind) {
			if f.Attributes.Get("role") == "" {
				routers[kind+" "+f.Attributes.Get("router")]++
			}
		}
	}
	for _, k := range []string{"offer 10.100.0.1", "offer 10.100.0.2", "ack 10.100.0.1", "ack 10.100.0.2"} {
		if routers[k] != 1 {
			t.Errorf("routers %v, want one %s", routers, k)
		}
	}
	r = dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/suricata-verify/dhcp-option-52-overload-both/input.pcap")))
	if f := r.Of("dhcp", "discover"); len(f) != 1 || f[0].Subject.MAC.String() != "00:00:6c:82:dc:4e" || f[0].Attributes.Get("lease_s") != "3600" {
		t.Errorf("facts:\n%s", r.Text())
	}
}

// User classes, subscribers, identifiers that are a text and lines that somebody
// named never leave.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canaryclass", "canary bed"}
	s := canary.New(secrets)
	line := "bed of Canarella"
	b := message(1, client, opt(53, "\x01"), opt(61, "\x00Canarella"), opt(77, "canaryclass"), opt(67, "Canarella.cfg"), opt(82, "\x01\x10"+line+"\x02\x0c\x01\x0acanary bed\x06\x09Canarella"), opt(125, "\x00\x00\x0d\xe9\x0b\x02\x09Canarella"))
	dissecttest.Planted(t, "dhcp", secrets, []packet.Headers{dissecttest.Datagram(0, ports, b)})
	for cut := range len(b) + 1 {
		h := dissecttest.Datagram(0, ports, b[:cut])
		h.PayloadLen = len(b)
		if hits := s.Search(dissecttest.Play(dissect.Config{}, []packet.Headers{h}).Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", cut, hits)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(message(1, client, opt(53, "\x01"), opt(12, "a"), opt(52, "\x03"), opt(81, "\x04\x00\x00\x03pcu\x00")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, ports, b), dissecttest.Datagram(1, ports, b)}); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
