package label_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What begins a connection, and its name; cut anywhere it is the same, and with its
// first byte another it is unknown.
func TestStreams(t *testing.T) {
	for name, first := range map[string][]byte{
		"mongodb":       unhex(t, "2a0000000100000000000000dd0700000000000000150000001069736d61737465720001000000000000"),
		"redis":         []byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		"cassandra":     unhex(t, "040000000500000000"),
		"drda":          unhex(t, "0029d0410001002310410000"),
		"elasticsearch": unhex(t, "4553000000300000"),
		"stomp":         []byte("CONNECT\naccept-version:1.2\n"),
		"nats":          []byte("INFO {\"server_id\":\"x\"}\r\n"),
		"fix":           []byte("8=FIX.4.2\x019=65\x0135=A\x01"),
		"jrmi":          unhex(t, "4a524d4900024b"),
		"ajp":           unhex(t, "1234000a02020008"),
		"zabbix":        append([]byte("ZBXD\x01"), unhex(t, "0a00000000000000")...),
		"munin":         []byte("# munin node at x\n"),
		"rtmp":          unhex(t, "03 00000001 00000000 0102030405"),
		"bgp":           unhex(t, "ffffffffffffffffffffffffffffffff001304"),
		"ldp":           unhex(t, "0001001e0a0000010000020000140000000a"),
		"diameter":      unhex(t, "010000188000010100000000000000010000000200000000"),
		"bittorrent":    []byte("\x13BitTorrent protocol"),
		"pptp":          unhex(t, "009c00011a2b3c4d00010000"),
		"rsync":         []byte("@RSYNCD: 31.0\n"),
		"git":           []byte("0033git-upload-pack /project.git\x00host=x\x00"),
		"afp":           unhex(t, "00030001 00000000 00000000 00000000"),
		"ica":           []byte("\x7f\x7fICA\x00"),
		"nomachine":     []byte("NXSH-6.0\n"),
	} {
		t.Run(name, func(t *testing.T) {
			play := func(c dissecttest.Conversation) string {
				r := dissecttest.Play(dissect.Config{}, c.Segments(true))
				if len(r.Facts) > 0 || len(r.Panics) > 0 {
					t.Fatalf("%s %v", r.Text(), r.Panics)
				}
				return strings.TrimSuffix(r.Flows[0].Protocol+" "+r.Flows[0].By, " content")
			}
			whole := dissecttest.Conversation{{Data: first}, {Side: 1, Data: []byte("\xfe\xdc\xba")}, {Data: first}}
			for i := range first {
				if got := play(whole.Cut(i)); got != name {
					t.Fatalf("cut at %d: %q", i, got)
				}
			}
			other := slices.Clone(first)
			for i := range other {
				other[i] ^= 0x55
			}
			if got := play(dissecttest.Conversation{{Data: other}}); got == name {
				t.Error("anything is taken for it")
			}
		})
	}
}

func TestDatagrams(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for _, tc := range []struct {
		name  string
		ports [2]uint16
		data  string
	}{
		{"memcached", [2]uint16{4000, 11211}, "0001000000010000" + hex.EncodeToString([]byte("get x\r\n"))},
		{"rtps", [2]uint16{4000, 4001}, "52545053 0201 0103" + zeros(12)},
		{"collectd", [2]uint16{4000, 4001}, "00000007 616200 0001000c" + zeros(8)},
		{"mgcp", [2]uint16{4000, 4001}, hex.EncodeToString([]byte("RSIP 1 *@gw MGCP 1.0\r\nRM: restart\r\n"))},
		{"iax", [2]uint16{4000, 4569}, "8001000000000001 0000 0601"},
		{"bfd", [2]uint16{49152, 3784}, "20400318" + zeros(20)},
		{"hsrp", [2]uint16{1985, 1985}, "0000100306640100" + zeros(12)},
		{"rip", [2]uint16{520, 520}, "02020000" + "00020000" + zeros(16)},
		{"slp", [2]uint16{4000, 427}, "0201000012000000000000010002656e0000"},
		{"netflow", [2]uint16{4000, 4001}, "00050001" + zeros(68)},
		{"netflow", [2]uint16{4000, 4001}, "00090001" + zeros(16) + "0000000c 0100 0001 00080004"},
		{"ipfix", [2]uint16{4000, 4001}, "000a0018" + zeros(12) + "00020008" + zeros(4)},
		{"sflow", [2]uint16{4000, 4001}, "00000005 00000001 0a000001 00000000 00000001 00000001 00000001"},
		{"xdmcp", [2]uint16{4000, 4001}, "0001 0002 0001 00"},
		{"natpmp", [2]uint16{4000, 5351}, "0000"},
		{"ubnt", [2]uint16{4000, 10001}, "01000009 010006 020000000001"},
		{"gtp", [2]uint16{2123, 2123}, "32010004 00000000 00000000"},
		{"pfcp", [2]uint16{8805, 8805}, "20010004 00000000"},
		{"syncthing", [2]uint16{4000, 21027}, "2ea7d90b" + zeros(20)},
		{"dropbox", [2]uint16{17500, 17500}, hex.EncodeToString([]byte(`{"host_int": 1, "version": [2, 0]}`))},
		{"bittorrent", [2]uint16{4000, 4001}, "0000041727101980 00000000 01020304"},
		{"esp", [2]uint16{4500, 4500}, "12345678 00000001" + zeros(32)},
		{"wireguard", [2]uint16{4000, 4001}, "01000000" + zeros(144)},
		{"wireguard", [2]uint16{4000, 4001}, "04000000 01020304 0500000000000000" + zeros(32)},
		{"l2tp", [2]uint16{1701, 1701}, "c802 000c 0000 0000 0000 0000"},
		{"teredo", [2]uint16{4000, 3544}, "6000000000003b01"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := unhex(t, tc.data)
			play := func(b []byte) string {
				r := dissecttest.Play(dissect.Config{}, []packet.Headers{dissecttest.Datagram(0, tc.ports, b)})
				if len(r.Facts) > 0 || len(r.Panics) > 0 {
					t.Fatalf("%s %v", r.Text(), r.Panics)
				}
				return strings.TrimSuffix(r.Flows[0].Protocol+" "+r.Flows[0].By, " content")
			}
			if got := play(b); got != tc.name {
				t.Fatalf("%q", got)
			}
			for i := 1; i < len(b); i++ {
				play(b[:i]) // never a panic
			}
			if got := play([]byte(strings.Repeat("\x99", len(b)))); got == tc.name && tc.name != "esp" { // ESP is noise, on its port
				t.Error("anything is taken for it")
			}
		})
	}
}

// A protocol at home is unknown elsewhere.
func TestAtHome(t *testing.T) {
	b := unhex(t, "0000000e 0012 0003 00000001 ffff")
	for port, want := range map[uint16]string{9092: "kafka content", 9999: " "} {
		list := dissecttest.Conversation{{Data: b}}.Segments(true)
		for i := range list {
			if list[i].SrcPort == 9999 {
				list[i].SrcPort = port
			}
			if list[i].DstPort == 9999 {
				list[i].DstPort = port
			}
		}
		r := dissecttest.Play(dissect.Config{}, list)
		if got := r.Flows[0].Protocol + " " + r.Flows[0].By; got != want {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
	}
}

func FuzzLabels(f *testing.F) {
	f.Add([]byte("\x13BitTorrent protocol"), uint16(1), true)
	f.Add([]byte("\x04\x00\x00\x00\x05\x00\x00\x00\x00"), uint16(9042), true)
	f.Add([]byte("RTPS\x02\x01\x01\x03............"), uint16(7400), false)
	f.Fuzz(func(t *testing.T, b []byte, port uint16, stream bool) {
		list := []packet.Headers{dissecttest.Datagram(0, [2]uint16{4000, port}, b), dissecttest.Datagram(1, [2]uint16{4000, port}, b)}
		if stream {
			list = dissecttest.Conversation{{Data: b}, {Side: 1, Data: b}}.Cut(len(b) / 2).Segments(true)
		}
		if r := dissecttest.Play(dissect.Config{}, list); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
