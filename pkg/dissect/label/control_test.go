package label_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

// at plays what begins a connection, on a server's port.
func at(port uint16, c dissecttest.Conversation) string {
	list := c.Segments(true)
	for i := range list {
		if list[i].SrcPort == 9999 {
			list[i].SrcPort = port
		} else {
			list[i].DstPort = port
		}
	}
	r := dissecttest.Play(dissect.Config{}, list)
	if len(r.Panics) > 0 || len(r.Facts) > 0 {
		return "panic or fact: " + r.Text()
	}
	return strings.TrimSuffix(r.Flows[0].Protocol+" "+r.Flows[0].By, " content")
}

// The protocols of control and of old networks, cut anywhere, at home and elsewhere.
func TestControlStreams(t *testing.T) {
	for _, tc := range []struct {
		name   string
		port   uint16
		first  string // hex, or text behind a quotation mark
		abroad bool   // known on any port
	}{
		{"ads", 48898, "000020000000050d756001011027c0a801630101038004000400000000000000000005000000", true},
		{"fins", 9600, "46494e530000000c000000000000000000000000", true},
		{"c1222", 1153, "6020a20d060b607c86f7540116000101a60e060c607c86f7540116000101be03280181", false},
		{"synchrophasor", 4712, "aa41001200f100000000000000000005d7d0", true},
		{"roc_plus", 4000, "0102030406003a2f", false},
		{"trdp", 17225, "0000000001004d72000003e90000000000000000000000000000000069322ac45bc911ef98daf02f74ad43f5", false},
		{"whois", 43, `"example.com` + "\r\n", false},
		{"finger", 79, `"someone` + "\r\n", false},
		{"nntp", 119, `"200 news.example.org InterNetNews NNRP server INN 2.6 ready` + "\r\n", true},
		{"tacacs", 49, "c0010100 12345678 00000020 0102", true},
		{"gearman", 4730, "0052455100000001000000027763", true},
		{"kismet", 2501, `"*KISMET: 0.0.0 1144` + "\n", true},
		{"ceph", 6789, `"ceph v027` + "\x00\x00", true},
	} {
		first := []byte(strings.TrimPrefix(tc.first, `"`))
		if tc.first[0] != '"' {
			first = unhex(t, tc.first)
		}
		c := dissecttest.Conversation{{Data: first}, {Side: 1, Data: []byte("\xfe\xdc\xba")}, {Data: first}}
		for i := range first {
			if got := at(tc.port, c.Cut(i)); got != tc.name {
				t.Errorf("%s cut at %d: %q", tc.name, i, got)
				break
			}
		}
		if got := at(9999, c); (got == tc.name) != tc.abroad {
			t.Errorf("%s elsewhere: %q", tc.name, got)
		}
	}
	for name, b := range map[string]string{"whois": "\x01\x02\r\n", "ads": strings.Repeat("\x00", 40)} {
		for _, port := range []uint16{512, 513, 514, 43, 48898} {
			if got := at(port, dissecttest.Conversation{{Data: []byte(b)}}); got == name {
				t.Errorf("%q is taken for %s", b, name)
			}
		}
	}
}

func TestControlDatagrams(t *testing.T) {
	for _, tc := range []struct {
		name, data string
		port       uint16
		abroad     bool
	}{
		{"coap", "44 01 1234 01020304 b7 2e77656c6c2d6b 04 636f7265", 5683, false},
		{"coap", "60 45 1234 c1 00 ff 6869", 5683, false},
		{"coap", "70 00 1234", 5683, false},
		{"fins", "80000200 00000000 007a 0101 00cccccc0001", 9600, false},
		{"cnp_ip", "0020010100000000 6b8b4567000000000000000000010901", 1628, false},
		{"ether_s_bus", "0000000d01000001000a205318", 5050, true},
		{"synchrophasor", "aa41001200f100000000000000000005d7d0", 4713, true},
		{"someip", "01010009 00000009 00000005 01010200 01", 30490, true},
		{"trdp", "0000000001005064 00000000 00000000 00000000 00000018 00000000 00000000 00000000 ce487aea", 17224, true},
		{"wol", strings.Repeat("ff", 6) + strings.Repeat("020000000001", 16), 9, true},
	} {
		b := unhex(t, tc.data)
		if tc.name == "cnp_ip" {
			b = append(b, make([]byte, 32-len(b))...)
		}
		play := func(port uint16, b []byte) string {
			r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, port}, b)})
			if len(r.Panics) > 0 || len(r.Facts) > 0 {
				t.Fatal(r.Panics, r.Text())
			}
			return strings.TrimSuffix(r.Flows[0].Protocol+" "+r.Flows[0].By, " content")
		}
		if got := play(tc.port, b); got != tc.name {
			t.Errorf("%s: %q", tc.data, got)
		}
		if got := play(40001, b); (got == tc.name) != tc.abroad {
			t.Errorf("%s elsewhere: %q", tc.name, got)
		}
		for i := 1; i < len(b); i++ {
			play(tc.port, b[:i])
		}
	}
	for _, s := range []string{"4f01123400", "440f1234", "44011234 01020304 f0", "44011234 01020304 d0", "40001234 00", "44011234 01020304 ff"} { // no CoAP
		r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, [2]uint16{40000, 5683}, unhex(t, s))})
		if r.Flows[0].By == "content" {
			t.Errorf("%s is taken for %s", s, r.Flows[0].Protocol)
		}
	}
}
