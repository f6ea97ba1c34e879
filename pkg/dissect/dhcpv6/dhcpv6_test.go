package dhcpv6_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"regexp"
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

func opt(code uint16, parts ...string) string {
	v := strings.Join(parts, "")
	b := binary.BigEndian.AppendUint16(nil, code)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(v)))) + v
}

func message(kind byte, options ...string) string {
	return string([]byte{kind}) + "xid" + strings.Join(options, "")
}

func relay(kind byte, link, peer string, options ...string) string {
	l, p := netip.MustParseAddr(link).As16(), netip.MustParseAddr(peer).As16()
	return string([]byte{kind, 0}) + string(l[:]) + string(p[:]) + strings.Join(options, "")
}

func address(a string, lease uint32) string {
	x := netip.MustParseAddr(a).As16()
	return opt(5, string(x[:]), "\x00\x00\x00\x09", string(binary.BigEndian.AppendUint32(nil, lease)))
}

func prefix(a string, bits byte) string {
	x := netip.MustParseAddr(a).As16()
	return opt(26, "\x00\x00\x00\x09\x00\x00\x00\x09", string([]byte{bits}), string(x[:]))
}

const (
	iaHead   = "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"
	clientLL = "\x00\x03\x00\x01\x02\x00\x00\x00\x00\x01"
	serverLL = "\x00\x01\x00\x01\x18\x46\x48\x8c\x02\x00\x00\x00\x00\x02"
)

var home = [2]uint16{546, 547}

// datagram is one between the link-local addresses of two invented ends.
func datagram(side int, ports [2]uint16, b string) packet.Headers {
	h := dissecttest.Datagram(side, ports, []byte(b))
	ip := [2]netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")}
	h.SrcIP, h.DstIP, h.EtherType = ip[side], ip[1-side], packet.EtherTypeIPv6
	return h
}

func lines(r *dissecttest.Result) (list []string) {
	for _, f := range r.Facts {
		a, err := f.Attributes.MarshalJSON()
		if err != nil {
			panic(err)
		}
		s := f.Subject
		list = append(list, strings.ReplaceAll(fmt.Sprintf("%s %d mac=%s ip=%s %s", f.Kind, s.Side, s.MAC, s.IP, a), "invalid IP", ""))
	}
	return list
}

func TestMessages(t *testing.T) {
	text := "\x00\x02\x00\x00\x00\x09serial of nobody"
	solicit := message(1, opt(1, clientLL), opt(3, iaHead), opt(6, "\x00\x17\x00\x18\x00\x27"), opt(16, "\x00\x00\x01\x37\x00\x08MSFT 5.0"), opt(39, "\x00\x05pcu-1\x04hosp\x00"), opt(61, "\x00\x09"), opt(15, "\x00\x06nobody"))
	for _, tc := range []struct {
		name string
		side int
		b    string
		want []string
	}{
		{"solicit", 0, solicit, []string{`solicit 0 mac= ip= {"client_arch":"ebc","client_id":"00030001020000000001","client_mac":"02:00:00:00:00:01","fqdn":"pcu-1.hosp","parameter_list":"23,24,39","vendor_class":"MSFT 5.0","vendor_enterprises":["311"]}`}},
		{
			"reply", 1, message(7, opt(1, clientLL), opt(2, serverLL), opt(3, iaHead, address("fd00::9", 7200), address("fd00::a", 0)), opt(25, iaHead, prefix("fd00:1::", 64)), opt(23, "\xfd", strings.Repeat("\x00", 14), "\x53"), opt(24, "\x04hosp\x07example\x00"), opt(56, "\x00\x03\x00\x05\x04time\x00")),
			[]string{
				`reply 0 mac= ip=fd00::9 {"client_id":"00030001020000000001","client_mac":"02:00:00:00:00:01","ips":["fd00::9","fd00::a"],"lease_s":"7200","prefixes":["fd00:1::/64"],"server_id":"000100011846488c020000000002"}`,
				`reply 1 mac= ip= {"dns_servers":["fd00::53"],"domain":"hosp.example","ntp_servers":["time"],"role":"server","server_id":"000100011846488c020000000002","server_mac":"02:00:00:00:00:02"}`,
			},
		},
		{"an advertised address is not yet one", 1, message(2, opt(1, clientLL), opt(2, serverLL), opt(3, iaHead, address("fd00::9", 7200))), []string{`advertise 0 mac= ip= {`, `advertise 1 mac= ip= {"role":"server"`}},
		{"no addresses", 1, message(7, opt(1, clientLL), opt(2, serverLL), opt(3, iaHead, opt(13, "\x00\x02no address for nobody"))), []string{`reply 0 mac= ip= {"client_id":"00030001020000000001","client_mac":"02:00:00:00:00:01","server_id":"000100011846488c020000000002","status":"no_addrs_avail"}`, `"role":"server"`}},
		{
			"relayed", 0, relay(12, "fd00:41::1", "fe80::2", opt(18, "Gi1/0/23"), opt(37, "\x00\x00\x00\x09\x00\x06\x02\x00\x00\x00\x00\x17"), opt(38, "nobody"), opt(79, "\x00\x01\x02\x00\x00\x00\x00\x07"), opt(9, solicit)),
			[]string{`solicit 2 mac=02:00:00:00:00:07 ip= {"circuit_id":"Gi1/0/23","client_arch":"ebc","client_id":"00030001020000000001","client_mac":"02:00:00:00:00:01","fqdn":"pcu-1.hosp","parameter_list":"23,24,39","relay_link":"fd00:41::1","remote_id":"02:00:00:00:00:17","vendor_class":"MSFT 5.0","vendor_enterprises":["311"]}`},
		},
		{"relayed twice, MAC in the address", 0, relay(12, "fd00:1::1", "fd00::1", opt(9, relay(12, "::", "fe80::ff:fe00:9", opt(18, "port 7"), opt(9, message(3, opt(1, text)))))), []string{`request 2 mac=02:00:00:00:00:09 ip= {"circuit_id":"port 7","client_id":"` + dissector.Pseudonym(dissecttest.Key, []byte(text)) + `","duid_enterprise":"9","relay_link":"fd00:1::1"}`}},
		{
			"a relayed reply", 1, relay(13, "fd00:41::1", "fe80::ff:fe00:9", opt(9, message(7, opt(1, clientLL), opt(2, serverLL), opt(3, iaHead, address("fd00::9", 7200))))),
			[]string{`reply 2 mac=02:00:00:00:00:09 ip=fd00::9 {`, `"relay":"fd00:41::1","role":"server"`},
		},
		{"a line of somebody", 0, relay(12, "::", "fe80::2", opt(18, "room of nobody"), opt(9, message(1, opt(1, clientLL)))), []string{`"circuit_id":"` + dissector.Pseudonym(dissecttest.Key, []byte("room of nobody")) + `"`}},
		{"a UUID", 0, message(11, opt(1, "\x00\x04"+strings.Repeat("\x11", 16))), []string{`information_request 0 mac= ip= {"client_id":"0004` + strings.Repeat("11", 16) + `"}`}},
		{"cut in the end", 0, message(1, opt(1, clientLL)) + "\x00\x03\x00\xff", []string{`solicit 0`}},
		{"no message", 0, "\x63xid" + opt(1, clientLL), nil},
		{"nothing identified", 0, message(1) + "\x00\x03\x00\xff", nil},
		{"a relay without a message", 0, relay(12, "::", "fe80::2", opt(18, "port 7")), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{datagram(0, home, ""), datagram(tc.side, home, tc.b)})
			got := lines(r)
			ok := len(got) == len(tc.want) && len(r.Panics) == 0
			for i := range min(len(got), len(tc.want)) {
				ok = ok && strings.Contains(got[i], tc.want[i])
			}
			if !ok {
				t.Errorf("%v, got\n%s\nwant\n%s", r.Panics, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if strings.Contains(string(r.Everything()), "obody") {
				t.Errorf("somebody's name leaves:\n%s", r.Everything())
			}
		})
	}
	// Elsewhere all of it must be right.
	for b, want := range map[string]string{solicit: "dhcpv6content", solicit + "\x00\x03\x00\xff": "", message(1): ""} {
		if f := dissecttest.Play(dissect.Config{}, []packet.Headers{datagram(0, [2]uint16{40000, 40001}, b)}).Flows[0]; f.Protocol+f.By != want {
			t.Errorf("elsewhere %q: %s %s", b, f.Protocol, f.By)
		}
	}
	h := dissecttest.Datagram(0, home, []byte(solicit))
	if r := dissecttest.Play(dissect.Config{}, []packet.Headers{h}); r.Flows[0].By == proto.ByContent {
		t.Error("over IPv4")
	}
}

// tcpdump prints what it reads of its own captures: MACs and makers of the DUIDs,
// addresses, servers of time and names.
func TestTcpdump(t *testing.T) {
	patterns := map[string]*regexp.Regexp{
		"ips": regexp.MustCompile(`IA_ADDR ([0-9a-f:]+)`), "client_mac": regexp.MustCompile(`client-ID hwaddr[^)]* ([0-9a-f]{12})\)`), "server_mac": regexp.MustCompile(`server-ID hwaddr[^)]* ([0-9a-f]{12})\)`),
		"ntp_servers": regexp.MustCompile(`subopt:[123] ([0-9a-z.:]+?)\.?[ )]`), "duid_enterprise": regexp.MustCompile(`client-ID enterprise (\d+)`), "domain": regexp.MustCompile(`DNS-search-list (\S+)\.\)`),
	}
	same, total := 0, 0
	for _, name := range []string{"dhcpv6-ia-na", "dhcpv6-ia-ta", "dhcpv6-ntp-server", "dhcpv6-rfc8415-duid-type2", "dhcpv4v6-rfc5970-rfc8572"} {
		out, err := os.ReadFile(repotest.Shared(t, "captures/tcpdump/"+name+".out"))
		if err != nil {
			t.Fatal(err)
		}
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tcpdump/"+name+".pcap")))
		for attribute, pattern := range patterns {
			for _, m := range pattern.FindAllStringSubmatch(string(out), -1) {
				found := false
				for _, f := range r.Facts {
					a := f.Attributes
					found = found || slices.Contains(append(a.List(attribute), strings.ReplaceAll(a.Get(attribute), ":", "")), m[1])
				}
				if total++; found {
					same++
				} else if attribute != "server_mac" { // which a client only repeats
					t.Errorf("%s: no %s %s", name, attribute, m[1])
				}
			}
		}
	}
	t.Logf("%d of %d equal", same, total)
	if total < 40 {
		t.Errorf("only %d values were compared", total)
	}
}

// User classes, subscribers, messages of a status and texts of a line or a DUID
// never leave.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canary, maker"}
	s := canary.New(secrets)
	inner := message(1, opt(1, "\x00\x02\x00\x00\x00\x09Canarella"), opt(15, "\x00\x09Canarella"), opt(13, "\x00\x01Canarella"), opt(17, "\x00\x00\x00\x09", opt(1, "canary, maker")), opt(16, "\x00\x00\x00\x09\x00\x01"), opt(3, iaHead, opt(13, "\x00\x01Canarella")))
	b := relay(12, "::", "fe80::2", opt(18, "bed of Canarella"), opt(37, "\x00\x00\x00\x09\x01\x09Canarella"), opt(38, "Canarella"), opt(9, inner))
	dissecttest.Planted(t, "dhcpv6", secrets, []packet.Headers{datagram(0, home, b)})
	for cut := range len(b) + 1 {
		h := datagram(0, home, b[:cut])
		h.PayloadLen = len(b)
		if hits := s.Search(dissecttest.Play(dissect.Config{}, []packet.Headers{h}).Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", cut, hits)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(message(7, opt(1, clientLL), opt(2, serverLL), opt(3, iaHead, address("fd00::9", 7200)), opt(56, "\x00\x03\x00\x05\x04time\x00"), opt(39, "\x00\x05pcu-1\x04hosp\x00")))
	f.Add(relay(12, "fd00:41::1", "fe80::2", opt(18, "Gi1/0/23"), opt(37, "\x00\x00\x00\x09\x00\x06\x02\x00\x00\x00\x00\x17"), opt(9, message(1, opt(1, clientLL)))))
	f.Fuzz(func(t *testing.T, b string) {
		if r := dissecttest.Play(dissect.Config{}, []packet.Headers{datagram(0, home, b), datagram(1, home, b)}); len(r.Panics) > 0 || len(r.Facts) > 4 {
			t.Fatal(r.Panics, len(r.Facts))
		}
	})
}
