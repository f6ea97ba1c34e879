package radius_test

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

func attr(kind byte, v string) []byte { return append([]byte{kind, byte(len(v) + 2)}, v...) }

func num(kind byte, n uint32) []byte {
	return attr(kind, string(binary.BigEndian.AppendUint32(nil, n)))
}

func vsa(id uint32, kind byte, v string) []byte {
	return attr(26, string(binary.BigEndian.AppendUint32(nil, id))+string(attr(kind, v)))
}

func pack(code byte, attrs ...[]byte) []byte {
	b := slices.Concat(attrs...)
	head := append([]byte{code, 7, byte((len(b) + 20) >> 8), byte(len(b) + 20)}, make([]byte, 16)...)
	return append(head, b...)
}

func play(port uint16, list ...[]byte) *dissecttest.Result {
	var h []packet.Headers
	for i, b := range list {
		h = append(h, dissecttest.Datagram(i%2, [2]uint16{40000, port}, b))
	}
	return dissecttest.Play(dissect.Config{}, h)
}

var (
	eap     = attr(79, "\x02\x01\x00\x10\x01jcanaryuser")
	request = pack(1, attr(1, "jcanaryuser"), attr(4, "\x0a\x01\x02\x03"), attr(32, "WLC-3"), num(61, 19), attr(30, "00-10-A4-23-19-C0:Ward 7"), attr(31, "00:1a:2b:3c:4d:5e"), eap, attr(80, strings.Repeat("x", 16)), attr(87, "wlan0.1"))
)

func TestPackets(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		in         [][]byte
	}{
		{"a wireless client", `radius access_request > access_point_mac=00:10:a4:23:19:c0 authentication=eap eap_type=identity nas_identifier=WLC-3 nas_ip=10.1.2.3 nas_port=wlan0.1 nas_port_type=wireless_802_11 ssid=Ward 7
radius station - mac=00:1a:2b:3c:4d:5e access_point_mac=00:10:a4:23:19:c0 authentication=eap eap_type=identity nas_identifier=WLC-3 nas_ip=10.1.2.3 nas_port=wlan0.1 nas_port_type=wireless_802_11 ssid=Ward 7
radius access_accept < vlan=41
`, [][]byte{request, pack(2, num(64, 13), attr(81, "\x0041"), attr(18, "CANARY-ALFA"))}},
		{"by its MAC", `radius access_request > authentication=mac nas_ip=10.1.2.3 nas_port=GigabitEthernet1/0/13 nas_port_type=ethernet service_type=call_check
radius station - mac=00:1a:2b:3c:4d:5e authentication=mac nas_ip=10.1.2.3 nas_port=GigabitEthernet1/0/13 nas_port_type=ethernet
`, [][]byte{pack(1, attr(1, "001a2b3c4d5e"), attr(2, "canarypassword.."), attr(4, "\x0a\x01\x02\x03"), num(6, 10), num(61, 15), attr(31, "001A.2B3C.4D5E"), attr(87, "GigabitEthernet1/0/13"))}},
		{"accounting", `radius accounting_request > accounting=stop nas_ip=10.1.2.3
radius station - mac=00:1a:2b:3c:4d:5e ip=10.9.8.7 accounting=stop hostname=pump7 nas_ip=10.1.2.3 session_s=3600 terminate_cause=lost_carrier vendor_class=MSFT 5.0
`, [][]byte{pack(4, attr(1, "jcanaryuser"), attr(4, "\x0a\x01\x02\x03"), num(40, 2), num(46, 3600), num(49, 2), attr(8, "\x0a\x09\x08\x07"), attr(31, "00-1A-2B-3C-4D-5E"),
			vsa(9, 1, "dhcp-option=\x00\x0c\x00\x05pump7"), vsa(9, 1, "dhcp-option=\x00\x3c\x00\x08MSFT 5.0"), vsa(9, 1, "audit-session-id=CANARY-ALFA"))}},
		{"MS-CHAP", "radius access_request > authentication=mschap legacy=true\n", [][]byte{pack(1, attr(1, "jcanaryuser"), vsa(311, 1, "canarypassword"))}},
		{"PAP", "radius access_request > authentication=pap legacy=true\nradius access_reject <\n", [][]byte{pack(1, attr(1, "jcanaryuser"), attr(2, "canarypassword..")), pack(3, attr(18, "CANARY-ALFA"))}},
		{"a telephone number", "radius access_request > authentication=chap legacy=true nas_port_type=async\n", [][]byte{pack(1, attr(1, "jcanaryuser"), attr(3, "canarypassword..."), attr(31, "5551234"), attr(30, "CANARY-ALFA"), attr(87, "CANARY ALFA"), num(61, 0))}},
		{"disconnection", "radius disconnect_request >\nradius disconnect_ack <\n", [][]byte{pack(40), pack(41)}},
	} {
		r := play(1812, tc.in...)
		if r.Brief() != tc.want || r.Flows[0].Protocol != "radius" || r.Flows[0].By != proto.ByContent {
			t.Errorf("%s: got\n%swant\n%s", tc.name, r.Brief(), tc.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		in    []byte
		port  uint16
		known bool
	}{
		"elsewhere, with enough": {request, 4711, true},
		"elsewhere, an answer":   {pack(3), 4711, false},
		"elsewhere, a byte more": {append(slices.Clone(request), 0), 4711, false},
		"at home, padded":        {append(slices.Clone(request), 0), 1812, true},
		"at home, damaged":       {pack(1, []byte{1, 99, 1}), 1812, true},
		"an unknown code":        {pack(99), 1812, false},
		"a lying length":         {[]byte{1, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1812, false},
		"short":                  {[]byte{1, 7, 0, 20}, 1812, false},
	} {
		if r := play(tc.port, tc.in); (r.Flows[0].By == proto.ByContent) != tc.known {
			t.Errorf("%s: %+v", name, r.Flows[0])
		}
	}
}

func TestCanaries(t *testing.T) {
	s := canary.New([]string{"CANARY-ALFA", "jcanaryuser", "canarypassword"})
	b := pack(1, attr(1, "jcanaryuser"), attr(2, "canarypassword.."), attr(18, "CANARY-ALFA"), attr(24, "CANARY-ALFA"), attr(25, "CANARY-ALFA"), attr(31, "CANARY-ALFA"), attr(30, "CANARY-ALFA"), attr(87, "CANARY-ALFA"), eap, vsa(9, 1, "CANARY-ALFA"), vsa(9, 1, "dhcp-option=\x00\x0c\x00\x0bCANARY ALFA"))
	for i := range len(b) + 1 {
		for _, port := range []uint16{1812, 9999} {
			if r := play(port, b[:i], b); len(s.Search(r.Everything())) > 0 || len(r.Panics) > 0 {
				t.Fatal(r.Brief(), r.Panics)
			}
		}
	}
}

// tshark, tcpdump and Zeek (radius.log: mac, framed address) of these captures.
func TestCaptures(t *testing.T) {
	for file, want := range map[string]string{
		"zeek/Traces/radius/radius_localhost.pcap":                          "authentication=eap eap_type=md5 legacy=true nas_ip=192.168.0.28",
		"tcpdump/RADIUS-RFC5176.pcap":                                       "coa_nak <",
		"pcapplusplus/Tests/Packet++Test/PacketExamples/radius_1_2_11.pcap": "station - mac=00:14:22:e9:54:5e access_point_mac=00:19:06:ea:b8:8c",
	} {
		r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/"+file)))
		if !strings.Contains(r.Brief(), want) {
			t.Errorf("%s: no %q in\n%s", file, want, r.Brief())
		}
	}
	// Not RADIUS, though nDPI once took it for that.
	for _, f := range dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, repotest.Shared(t, "captures/nDPI/pcap/radius_false_positive.pcapng"))).Flows {
		if f.Protocol == "radius" {
			t.Errorf("%+v", f)
		}
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(request, uint16(1812))
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		if r := play(port, b, b); len(r.Panics) > 0 {
			t.Fatal(r.Panics)
		}
	})
}
