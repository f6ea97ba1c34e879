package lldp_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

var (
	port    = proto.MAC{0x02, 0, 0, 0, 0, 0x17}
	chassis = proto.MAC{0x02, 0, 0, 0, 0, 0x01}
	group   = proto.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e}
)

func tlv(kind int, parts ...[]byte) []byte {
	v := slices.Concat(parts...)
	return append(binary.BigEndian.AppendUint16(nil, uint16(kind<<9|len(v))), v...)
}

func sub(subtype byte, v string) []byte { return append([]byte{subtype}, v...) }

func org(oui [3]byte, subtype byte, v ...byte) []byte {
	return tlv(127, oui[:], []byte{subtype}, v)
}

var (
	ieee1    = [3]byte{0x00, 0x80, 0xc2}
	ieee3    = [3]byte{0x00, 0x12, 0x0f}
	med      = [3]byte{0x00, 0x12, 0xbb}
	profinet = [3]byte{0x00, 0x0e, 0xcf}
	iana     = [3]byte{0x00, 0x00, 0x5e}
	end      = tlv(0)
)

// lead is the beginning that every frame has.
func lead(ttl byte) []byte {
	return slices.Concat(tlv(1, []byte{4}, chassis[:]), tlv(2, sub(5, "Gi1/0/23")), tlv(3, []byte{0, ttl}))
}

func frame(b ...[]byte) []byte {
	return slices.Concat(append([][]byte{group[:], port[:], {0x88, 0xcc}}, b...)...)
}

func run(t *testing.T, b []byte) *dissecttest.Result {
	t.Helper()
	r := dissecttest.Run(dissect.Config{}, []dissecttest.Frame{{LinkType: packet.LinkEthernet, Data: b, WireLen: len(b)}})
	if len(r.Panics) > 0 {
		t.Fatal(r.Panics)
	}
	return r
}

const base = `"chassis_id":"02:00:00:00:00:01","chassis_id_type":"mac","frame_mac":"02:00:00:00:00:17"`

func TestFrames(t *testing.T) {
	bridge := tlv(7, []byte{0, 0x14, 0, 0x04})
	for _, tc := range []struct {
		name    string
		b       []byte
		want    string // the fact, "" for none; of more than one piece each must be there
		counted string
	}{
		{"minimum", frame(lead(120), end), `lldp announcement side=0 mac=02:00:00:00:00:17 ip=invalid IP equipment="" gateway=0 {"chassis_id":"02:00:00:00:00:01","chassis_id_type":"mac","port_id":"Gi1/0/23","port_id_type":"interface_name","ttl_s":"120"}`, ""},
		{"tagged", append(slices.Concat(group[:], port[:], []byte{0x81, 0, 0, 7, 0x88, 0xcc}), slices.Concat(lead(120), end)...), `"ttl_s":"120"`, ""},
		{"without end", frame(lead(120)), `"ttl_s":"120"`, ""},
		{"padding", frame(lead(120), end, make([]byte, 40)), `"ttl_s":"120"`, ""},
		{"shutdown", frame(lead(0), end), `lldp shutdown side=0 mac=02:00:00:00:00:17`, ""},
		{"a switch is its chassis", frame(lead(120), bridge, end), `mac=02:00:00:00:00:01 | "capabilities":["bridge","router"],"capabilities_enabled":["bridge"],` + base, ""},
		{
			"system", frame(lead(120), tlv(4, []byte("GigabitEthernet1/0/23")), tlv(5, []byte("SW-W3-01.hosp.example")), tlv(6, []byte("\r\nExample OS, C9200 Software, Version 17.9.4\r\nCompiled by nobody")), end),
			`"port_description":"GigabitEthernet1/0/23" | "system_description":"Example OS, C9200 Software, Version 17.9.4","system_name":"SW-W3-01.hosp.example"`, "",
		},
		{
			"management", frame(lead(120), tlv(8, []byte{5, 1, 10, 0, 0, 1, 2, 0, 0, 0, 1, 0}), tlv(8, []byte{17, 2, 0xfd, 15: 0, 17: 7, 22: 0, 23: 0}), tlv(8, []byte{5, 1, 10, 0, 0, 1, 2, 0, 0, 0, 1, 0}), tlv(8, []byte{7, 6, 1, 2, 3, 4, 5, 6, 1, 0, 0, 0, 0, 0}), end),
			`"management_ips":["10.0.0.1","fd00::7"]`, "",
		},
		{
			"802.1 and 802.3", frame(lead(120), org(ieee1, 1, 0, 41), org(ieee1, 3, 0, 41, 5, 'W', 'a', 'r', 'd', '3'), org(ieee3, 1, 3, 0x6c, 1, 0, 30), org(ieee3, 2, 1, 1, 5, 0x41, 0, 70, 0, 65), org(ieee3, 4, 0x05, 0xee), end),
			`"autonegotiation":"enabled" | "mau_type":"1000BASE-T full","max_frame_bytes":"1518" | "port_vlan":"41","power_class":"4","power_role":"source","power_w":"6.5" | "vlans":["41:Ward3"]`, "",
		},
		{
			"LLDP-MED", frame(lead(120), org(med, 1, 0, 0x3f, 3), org(med, 2, 1, 0x40, 0x53, 0x6e), org(med, 5, []byte("hw 2")...), org(med, 6, []byte("boot 1.1")...), org(med, 7, []byte("sip-9.3")...), org(med, 8, []byte("FCH1234X")...), org(med, 9, []byte("Example Phones")...), org(med, 10, []byte("EP-8841")...), org(med, 11, []byte("A-4711")...), org(med, 4, 0x50, 0, 63), end),
			`"asset_id":"A-4711" | "firmware_version":"boot 1.1","hardware_version":"hw 2","manufacturer":"Example Phones","med_class":"endpoint_3","model":"EP-8841","policies":["voice vlan=41 priority=5 dscp=46"] | "power_role":"powered","power_w":"6.3","serial":"FCH1234X","software_version":"sip-9.3"`, "",
		},
		{"civic location", frame(lead(120), org(med, 3, append([]byte{2, 2 + 1 + 4 + 3 + 5 + 7, 1, 'D', 'E', 25, 2, 'B', '2', 27, 1, '3', 28, 3, 'W', '3', 'a', 23, 5}, "Smith"...)...), end), `"country":"DE","location":"B2 / 3 / W3a"`, ""},
		{"coordinates", frame(lead(120), org(med, 3, 1, 0x48, 0x4c, 0x40, 0, 0, 0x4b, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0, 1), end), `"coordinates":"38.12500,-2.50000"`, ""},
		{"ELIN", frame(lead(120), org(med, 3, append([]byte{3}, "4989123456"...)...), end), `"elin":"4989123456"`, ""},
		{"MUD", frame(lead(120), org(iana, 1, []byte("https://maker.example/pump-8.json?who=nobody")...), end), `"mud_url":"https://maker.example/pump-8.json"`, ""},
		{"PROFINET", frame(tlv(1, sub(7, "plc-7")), tlv(2, sub(7, "port-001")), tlv(3, []byte{0, 20}), org(profinet, 5, chassis[:]...), end), `"chassis_id":"plc-7","chassis_id_type":"local","chassis_mac":"02:00:00:00:00:01","frame_mac":"02:00:00:00:00:17","port_id":"port-001","port_id_type":"local" | mac=02:00:00:00:00:01`, ""},
		{"network address", frame(tlv(1, []byte{5, 1, 10, 0, 0, 9}), tlv(2, []byte{3}, port[:]), tlv(3, []byte{0, 20}), end), `"chassis_id":"10.0.0.9","chassis_id_type":"network_address","port_id":"02:00:00:00:00:17","port_id_type":"mac"`, ""},
		{"two names", frame(lead(120), tlv(5, []byte("one")), tlv(5, []byte("two")), end), `"system_name":"one"`, "lldp_tlv_repeated"},
		{"short capabilities", frame(lead(120), tlv(7, []byte{0, 4}), end), `"ttl_s":"120"`, "lldp_tlv_malformed"},
		{"short organisation", frame(lead(120), tlv(127, []byte{0, 0x12}), end), `"ttl_s":"120"`, "lldp_tlv_malformed"},
		{"civic element beyond the end", frame(lead(120), org(med, 3, 2, 5, 1, 'D', 'E', 25, 200), end), `"ttl_s":"120"`, "lldp_tlv_malformed"},
		{"civic length beyond the end", frame(lead(120), org(med, 3, 2, 200, 1, 'D', 'E', 25, 1), end), `"ttl_s":"120"`, "lldp_tlv_malformed"},
		{"management length beyond the end", frame(lead(120), tlv(8, []byte{31, 1, 10, 0, 0, 1}), end), `"ttl_s":"120"`, "lldp_tlv_malformed"},
		{"VLAN name beyond the end", frame(lead(120), org(ieee1, 3, 0, 1, 32, 'x'), end), `"ttl_s":"120"`, "lldp_tlv_malformed"},
		{"TLV beyond the end", frame(lead(120), tlv(5, []byte("one")), []byte{0x0d, 0xff, 'x'}), `"incomplete":"true" | "system_name":"one"`, "lldp_cut"},
		{"reserved subtype", frame(tlv(1, sub(9, "x")), tlv(2, sub(5, "p")), tlv(3, []byte{0, 1}), end), `"port_id":"p"`, "lldp_id_reserved"},
		{"chassis MAC of five bytes", frame(tlv(1, sub(4, "12345")), tlv(2, sub(5, "p")), tlv(3, []byte{0, 1}), end), `"port_id":"p"`, "lldp_tlv_malformed"},
		{"no time to live", frame(tlv(1, sub(7, "x")), tlv(2, sub(5, "p")), end), "", "lldp_incomplete"},
		{"out of order", frame(tlv(2, sub(5, "p")), tlv(1, sub(7, "x")), tlv(3, []byte{0, 1}), end), "", "lldp_incomplete"},
		{"empty chassis", frame(tlv(1), tlv(2, sub(5, "p")), tlv(3, []byte{0, 1}), end), "", "lldp_incomplete"},
		{"nothing", frame(), "", "lldp_incomplete"},
		{"one byte", frame([]byte{2}), "", "lldp_incomplete"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, tc.b)
			got := r.Text()
			if (tc.want == "") != (got == "") || strings.Count(got, "\n") > 1 {
				t.Fatalf("got %s", got)
			}
			for _, piece := range strings.Split(tc.want, " | ") {
				if !strings.Contains(got, piece) {
					t.Errorf("got %s, want %s", got, piece)
				}
			}
			if n := r.Counters[tc.counted]; tc.counted != "" && n != 1 || tc.counted == "" && len(r.Counters) > 0 {
				t.Errorf("counted %v, want one %s", r.Counters, tc.counted)
			}
		})
	}
}

// Every list is bounded, and what is left out is counted.
func TestBounds(t *testing.T) {
	b := lead(120)
	for i := range 200 {
		b = slices.Concat(b, tlv(8, []byte{5, 1, 10, 0, 0, byte(i), 2, 0, 0, 0, 1, 0}), org(ieee1, 3, 0, byte(i), 1, 'v'), org(med, 2, 1, 0x40, byte(i), 0))
	}
	r := run(t, frame(b, end))
	a := r.Facts[0].Attributes
	if n := [3]int{len(a.List("management_ips")), len(a.List("vlans")), len(a.List("policies"))}; n != [3]int{8, 64, 16} {
		t.Errorf("lists of %v", n)
	}
	if got := r.Counters["lldp_lists_cut"]; got != 192+136+184 {
		t.Errorf("%d left out are counted", got)
	}
}

// What a person typed about a port does not leave, but it still tells ports apart.
func TestCanaries(t *testing.T) {
	secrets := []string{"Dr Ursula Canary", "room of Canarius", "Canarina", "CanaryStreet", "canaryuser"}
	s := canary.New(secrets)
	alias := func(who string) []byte {
		return frame(tlv(1, []byte{4}, chassis[:]), tlv(2, sub(1, who)), tlv(3, []byte{0, 120}), tlv(4, []byte(secrets[1])),
			tlv(6, []byte("Example Switch 9\nCompiled by "+secrets[4])),
			org(med, 3, append([]byte{2, 2 + 1 + 10 + 14, 1, 'D', 'E', 23, 8}, secrets[2]+"\x22\x0c"+secrets[3]...)...), end)
	}
	dissecttest.Planted(t, "lldp", secrets, []packet.Headers{
		{SrcMAC: chassis, DstMAC: chassis, EtherType: packet.EtherTypeLLDP, LinkPayload: alias(secrets[0])[14:]},
		{SrcMAC: chassis, DstMAC: chassis, EtherType: packet.EtherTypeLLDP, LinkPayload: alias(secrets[1])[14:74]},
	})
	one, again, other := run(t, alias(secrets[0])), run(t, alias(secrets[0])), run(t, alias(secrets[1]))
	for _, r := range []*dissecttest.Result{one, again, other} {
		if found := s.Search(r.Everything()); len(found) > 0 {
			t.Errorf("%v leaves:\n%s", found, r.Everything())
		}
	}
	id := func(r *dissecttest.Result) string { return r.Facts[0].Attributes.Get("port_id") }
	if id(one) != id(again) || id(one) == id(other) || len(id(one)) != 32 {
		t.Errorf("port ids %s, %s, %s", id(one), id(again), id(other))
	}
	if one.Counters["lldp_text_withheld"] != 2 || one.Facts[0].Attributes.Get("system_description") != "Example Switch 9" {
		t.Errorf("%v\n%s", one.Counters, one.Text())
	}
}

// What tcpdump prints of its own captures (tests/*.out).
func TestCaptures(t *testing.T) {
	for _, tc := range []struct {
		file  string
		facts int
		want  []string
	}{
		{"tcpdump/LLDP_and_CDP.pcap", 8, []string{
			`mac=00:19:2f:a7:b2:8d`, `"chassis_id":"00:19:2f:a7:b2:8d"`, `"port_id":"Uplink to S1"`, `"port_id_type":"interface_alias"`, `"ttl_s":"120"`, `"system_name":"S2.cisco.com"`,
			`"system_description":"Cisco IOS Software, C3560 Software (C3560-ADVIPSERVICESK9-M), Version 12.2(44)SE, RELEASE SOFTWARE (fc1)"`,
			`"port_description":"GigabitEthernet0/13"`, `"capabilities":["bridge","router"]`, `"capabilities_enabled":["bridge"]`, `"port_vlan":"1"`, `"autonegotiation":"enabled"`,
			`"mau_type":"100BASE-TX full"`, `"chassis_id":"00:18:ba:98:68:8f"`, `"port_id":"Fa0/13"`, `"port_id_type":"local"`, `"system_name":"S1.cisco.com"`, `"port_description":"FastEthernet0/13"`,
		}},
		{"tcpdump/dcb_ets.pcap", 31, []string{`"chassis_id":"08:00:27:0d:f1:3c"`, `"port_id":"08:00:27:0d:f1:3c"`, `"port_id_type":"mac"`, `"ttl_s":"120"`, `"port_vlan":"1"`, `"vlans":["1:default"]`}},
		{"tcpdump/lldp_asan.pcap", 0, nil}, // no port id, no time to live: not a frame of 802.1AB 9.2.7.7.1
		{"tcpdump/lldp-infinite-loop-1.pcap", 1, []string{`"port_vlan":"0"`}},
		{"tcpdump/hoobr_safeputs.pcap", 0, nil},
		{"tcpdump/lldp_8023_mtu-oobr.pcap", 0, nil},
	} {
		t.Run(tc.file, func(t *testing.T) {
			r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+tc.file)))
			if n := len(r.Of("lldp", "announcement")) + len(r.Of("lldp", "shutdown")); n != tc.facts || len(r.Panics) > 0 {
				t.Errorf("%d facts, want %d; %v %v\n%s", n, tc.facts, r.Counters, r.Panics, r.Text())
			}
			all := r.Text()
			for _, w := range tc.want {
				if !strings.Contains(all, w) {
					t.Errorf("%s is missing in\n%s", w, all)
				}
			}
		})
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(slices.Concat(lead(120), tlv(7, []byte{0, 4, 0, 4}), org(med, 3, 2, 6, 1, 'D', 'E', 25, 1, 'x'), end))
	f.Add(slices.Concat(lead(0), end))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := run(t, frame(b))
		if n := len(r.Facts); n > 1 {
			t.Fatalf("%d facts of one frame", n)
		}
	})
}
