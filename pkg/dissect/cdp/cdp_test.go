package cdp_test

import (
	"encoding/binary"
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

var (
	port  = proto.MAC{0x02, 0, 0, 0, 0, 0x17}
	group = proto.MAC{0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc}
)

const (
	cisco   = "\xaa\xaa\x03\x00\x00\x0c\x20\x00\x02\xb4\x00\x00"
	foundry = "\xaa\xaa\x03\x00\xe0\x52\x20\x00\x01\xb4\x00\x00"
)

func u16(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }

func tlv(kind int, parts ...string) string {
	v := strings.Join(parts, "")
	return u16(kind) + u16(4+len(v)) + v
}

func run(t *testing.T, body string) *dissecttest.Result {
	t.Helper()
	b := slices.Concat(group[:], port[:], []byte(u16(len(body))), []byte(body))
	r := dissecttest.Run(dissect.Config{}, []dissecttest.Frame{{LinkType: packet.LinkEthernet, Data: b, WireLen: len(b)}})
	if len(r.Panics) > 0 {
		t.Fatal(r.Panics)
	}
	return r
}

func TestFrames(t *testing.T) {
	ipv4 := "\x01\x01\xcc\x00\x04\x0a\x01\x02\x03"
	ipv6 := "\x02\x08\xaa\xaa\x03\x00\x00\x00\x86\xdd\x00\x10\xfd" + strings.Repeat("\x00", 14) + "\x07"
	hello := "\x00\x00\x0c\x01\x12" + strings.Repeat("\x00", 12) + strings.Repeat("\x00", 6) + "\x02\x00\x00\x00\x00\x01" + "\xff\x00\x00"
	for _, tc := range []struct{ name, b, want, counted string }{
		{
			"a switch", cisco + tlv(1, "SW-W3-01.hosp.example(FOC1408Z61U)") + tlv(5, "Example OS, Version 7.0(3)\nCopyright (c)\nCompiled by nobody") + tlv(6, "cisco WS-C3560-24TS") + tlv(2, "\x00\x00\x00\x02", ipv4, ipv6) +
				tlv(3, "Ethernet1/7") + tlv(4, "\x00\x00\x00\x29") + tlv(8, hello) + tlv(9, "domain of nobody") + tlv(10, "\x00\x29") + tlv(11, "\x01") + tlv(17, "\x00\x00\x05\xdc") + tlv(22, "\x00\x00\x00\x01", ipv4) + tlv(23, "\x00Ward 3 closet 2") + tlv(0x1a, strings.Repeat("\x00", 12)),
			`cdp announcement side=0 mac=02:00:00:00:00:01 ip=invalid IP equipment="" gateway=0 {"capabilities":["router","switch","igmp"],"chassis_mac":"02:00:00:00:00:01","device_id":"SW-W3-01.hosp.example(FOC1408Z61U)","duplex":"full","frame_mac":"02:00:00:00:00:17","ips":["10.1.2.3","fd00::7"],"location":"Ward 3 closet 2","management_ips":["10.1.2.3"],"manufacturer":"Cisco","model":"WS-C3560-24TS","mtu":"1500","platform":"cisco WS-C3560-24TS","port_id":"Ethernet1/7","port_vlan":"41","serial":"FOC1408Z61U","system_description":"Example OS, Version 7.0(3)","system_name":"SW-W3-01.hosp.example","ttl_s":"180"}`, "",
		},
		{
			"a telephone", cisco + tlv(1, "SEP020000000017") + tlv(3, "Port 1") + tlv(4, "\x00\x00\x04\x90") + tlv(5, "sip88xx.12-8-1") + tlv(6, "Cisco IP Phone 8841") + tlv(14, "\x01\x00\x2a") + tlv(16, "\x18\x9c") + tlv(20, "phone-w3"),
			`cdp announcement side=0 mac= ip=invalid IP equipment="" gateway=0 {"capabilities":["host","telephone","two_port_relay"],"device_id":"SEP020000000017","manufacturer":"Cisco","model":"IP Phone 8841","platform":"Cisco IP Phone 8841","port_id":"Port 1","power_w":"6.3","system_description":"sip88xx.12-8-1","system_name":"phone-w3","ttl_s":"180","voice_vlan":"42"}`, "",
		},
		{"Foundry", foundry + tlv(1, "SW-2") + tlv(6, "Stackable Switch"), `fdp announcement side=0 mac= ip=invalid IP equipment="" gateway=0 {"device_id":"SW-2","platform":"Stackable Switch","system_name":"SW-2","ttl_s":"180"}`, ""},
		{"a port of somebody", cisco + tlv(3, "room of nobody"), `"port_id":"` + dissector.Pseudonym(dissecttest.Key, []byte("room of nobody")) + `"`, "cdp_text_withheld"},
		{"cut", cisco + tlv(1, "SW-2") + "\x00\x05\x00\xff", `"device_id":"SW-2","incomplete":"true"`, "cdp_cut"},
		{"an element of no length", cisco + tlv(1, "SW-2") + "\x00\x05\x00\x00\x00\x00", `"incomplete":"true"`, "cdp_cut"},
		{"padding", cisco + tlv(1, "SW-2") + strings.Repeat("\x00", 20), `{"device_id":"SW-2","system_name":"SW-2","ttl_s":"180"}`, ""},
		{"short capabilities", cisco + tlv(4, "\x00"), `{"ttl_s":"180"}`, "cdp_element_malformed"},
		{"addresses beyond the end", cisco + tlv(2, "\x00\x00\x00\x09", ipv4), `{"ttl_s":"180"}`, "cdp_element_malformed"},
		{"version 3", cisco[:8] + "\x03\xb4\x00\x00" + tlv(1, "SW-2"), "", "cdp_version"},
		{"VTP", "\xaa\xaa\x03\x00\x00\x0c\x20\x03\x02\xb4\x00\x00" + tlv(1, "SW-2"), "", ""},
		{"spanning tree", "\x42\x42\x03\x00\x00\x00\x00\x00\x80\x00\x02\x00\x00\x00\x00\x17", "", ""},
		{"short", cisco[:9], "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, tc.b)
			got := r.Text()
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("got %swant %s", got, tc.want)
			}
			if tc.counted != "" && r.Counters[tc.counted] != 1 || tc.counted == "" && len(r.Counters) > 0 {
				t.Errorf("counted %v, want one %s", r.Counters, tc.counted)
			}
			if strings.Contains(string(r.Everything()), "obody") {
				t.Errorf("somebody's name leaves:\n%s", got)
			}
		})
	}
}

// tcpdump prints what it reads of its own capture.
func TestTcpdump(t *testing.T) {
	out, err := os.ReadFile(repotest.Shared(t, "captures/tcpdump/lldp_cdp-ev.out"))
	if err != nil {
		t.Fatal(err)
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/tcpdump/LLDP_and_CDP.pcap")))
	same, total := 0, 0
	for attribute, pattern := range map[string]string{
		"device_id": `Device-ID [^']*'([^']*)'`, "platform": `Platform [^']*'([^']*)'`, "port_id": `Port-ID [^']*'([^']*)'`, "port_vlan": `Native VLAN ID [^:]*: 2 bytes: (\d+)`,
		"duplex": `Duplex [^:]*: 1 byte: (\w+)`, "ttl_s": `CDPv2, ttl: (\d+)s`, "system_description": `Version String [^\n]*\n\t  ([^\n]*)`, "frame_mac": `(\S+) > 01:00:0c:cc:cc:cc`,
	} {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(out), -1) {
			total++
			if slices.ContainsFunc(r.Of("cdp", "announcement"), func(f dissecttest.Fact) bool { return f.Attributes.Get(attribute) == m[1] }) {
				same++
			} else {
				t.Errorf("no %s %q", attribute, m[1])
			}
		}
	}
	t.Logf("%d of %d equal", same, total)
	if total < 30 {
		t.Errorf("only %d values were compared", total)
	}
}

// Names of VTP domains, places and ports that somebody typed never leave.
func TestCanaries(t *testing.T) {
	secrets := []string{"Canarella", "canary@home"}
	s := canary.New(secrets)
	b := cisco + tlv(3, "desk of Canarella") + tlv(9, "Canarella") + tlv(23, "\x00office of Canarella") + tlv(5, "Version 1\nCompiled by canary@home") + tlv(99, "Canarella")
	dissecttest.Planted(t, "cdp", secrets, []packet.Headers{{SrcMAC: port, DstMAC: group, LinkPayload: []byte(b)}})
	for cut := range len(b) + 1 {
		if hits := s.Search(run(t, b[:cut]).Everything()); len(hits) > 0 {
			t.Fatalf("cut at %d: %v", cut, hits)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(cisco + tlv(1, "SW(F1)") + tlv(2, "\x00\x00\x00\x01\x01\x01\xcc\x00\x04\x0a\x01\x02\x03") + tlv(4, "\x00\x00\x00\x29") + tlv(8, "\x00\x00\x0c\x01\x12"+strings.Repeat("\x01", 30)) + tlv(23, "\x00Ward 3"))
	f.Fuzz(func(t *testing.T, b string) {
		if n := len(run(t, b).Facts); n > 1 {
			t.Fatalf("%d facts of one frame", n)
		}
	})
}
