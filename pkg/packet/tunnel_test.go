package packet_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// The inner packet of the tests has addresses and MACs of its own.
var (
	innerA  = netip.MustParseAddr("192.168.7.1")
	innerB  = netip.MustParseAddr("192.168.7.2")
	inner6A = netip.MustParseAddr("fd00::1")
	inner6B = netip.MustParseAddr("fd00::2")
	macC    = proto.MAC{2, 0, 0, 0, 0, 0xc}
	macD    = proto.MAC{2, 0, 0, 0, 0, 0xd}
)

// readdress puts the inner addresses into an IP packet or a frame with one.
func readdress(b []byte) []byte {
	b = slices.Clone(b)
	for old, now := range map[netip.Addr]netip.Addr{ipA: innerA, ipB: innerB, ip6A: inner6A, ip6B: inner6B} {
		if i := strings.Index(string(b), string(old.AsSlice())); i >= 0 {
			copy(b[i:], now.AsSlice())
		}
	}
	return b
}

var (
	inner4       = readdress(ip4(17, udp(1111, 53, []byte("hello"))))
	inner6       = readdress(ip6(17, udp(1111, 53, []byte("hello"))))
	innerFrame   = frameOf(0x800, inner4)
	innerARP     = frameOf(0x806, make([]byte, 28))
	solicitation = []byte{133, 0, 0, 0, 0, 0, 0, 0}
	innerSTP     = frameOf(7, []byte{0x42, 0x42, 3, 0, 0, 0, 0})
)

func frameOf(etherType int, body []byte) []byte {
	return slices.Concat(macD[:], macC[:], be16(etherType), body)
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// in4 and in6 put a payload into an Ethernet frame with IP.
func in4(transport proto.Transport, body ...[]byte) []byte {
	return ether(0x800, ip4(transport, join(body...)))
}
func in6(next int, body ...[]byte) []byte { return ether(0x86dd, ip6(next, join(body...))) }
func inUDP(port int, body ...[]byte) []byte {
	return ether(0x800, ip4(17, udp(40000, port, join(body...))))
}

func ppp(protocol int, body []byte) []byte { return join(be16(protocol), body) }

func label(n, bottom int) []byte { return be32(n<<12 | bottom<<8 | 64) }

func gtpu(flags byte, body ...[]byte) []byte {
	b := join(body...)
	return join([]byte{flags, 255}, be16(len(b)), be32(77), b)
}

func TestTunnels(t *testing.T) {
	const outer = " 10.0.0.1>10.0.0.2"
	for name, tt := range map[string]struct {
		frame []byte
		want  string // tunnels; "" for the outer packet as it is
		v6    bool   // the inner packet is IPv6
		mac   bool   // there is an inner Ethernet header
	}{
		"ipip":                {frame: in4(4, inner4), want: "ipip" + outer},
		"6in4":                {frame: in4(41, inner6), want: "6in4" + outer, v6: true},
		"4in6":                {frame: in6(4, inner4), want: "4in6 2001:db8::1>2001:db8::2"},
		"6in6":                {frame: in6(41, inner6), want: "6in6 2001:db8::1>2001:db8::2", v6: true},
		"6in6, segments":      {frame: in6(43, []byte{41, 2, 4, 0, 0, 0, 0, 0}, ip6A.AsSlice(), inner6), want: "6in6 2001:db8::1>2001:db8::2", v6: true},
		"srv6, a frame":       {frame: in6(143, innerFrame), want: "srv6 2001:db8::1>2001:db8::2", mac: true},
		"gre":                 {frame: in4(47, be16(0), be16(0x800), inner4), want: "gre" + outer},
		"gre, all fields":     {frame: in4(47, be16(0xb000), be16(0x86dd), be32(0), be32(9), be32(1), inner6), want: "gre" + outer + " 9", v6: true},
		"gre, routes":         {frame: in4(47, be16(0x4000), be16(0x800), be32(0), be16(0x800), []byte{0, 4, 1, 2, 3, 4}, be32(0), inner4), want: "gre" + outer},
		"gre, bridge":         {frame: in4(47, be16(0), be16(0x6558), innerFrame), want: "gre" + outer, mac: true},
		"gre, mpls":           {frame: in4(47, be16(0), be16(0x8847), label(30, 1), inner4), want: "gre" + outer + ",mpls 30"},
		"gre in gre":          {frame: in4(47, be16(0), be16(0x800), ip4(47, join(be16(0), be16(0x800), inner4))), want: "gre" + outer + ",gre" + outer},
		"nvgre":               {frame: in4(47, be16(0x2000), be16(0x6558), be32(0x1234<<8|5), innerFrame), want: "nvgre" + outer + " 4660", mac: true},
		"pptp":                {frame: in4(47, be16(0x3081), be16(0x880b), be16(2+2+len(inner4)), be16(7), be32(1), be32(2), []byte{0xff, 3}, ppp(0x21, inner4)), want: "pptp" + outer + " 7"},
		"pptp, short":         {frame: in4(47, be16(0x2001), be16(0x880b), be16(1+len(inner6)), be16(7), []byte{0x57}, inner6), want: "pptp" + outer + " 7", v6: true},
		"pptp, control":       {frame: in4(47, be16(0x3001), be16(0x880b), be16(8), be16(7), be32(1), ppp(0xc021, []byte{1, 1, 0, 4, 0, 0}))},
		"pptp, acknowledge":   {frame: in4(47, be16(0x2081), be16(0x880b), be16(0), be16(7), be32(1))},
		"eoip":                {frame: in4(47, be16(0x2001), be16(0x6400), be16(len(innerFrame)), be16(0x0500), innerFrame), want: "eoip" + outer + " 5", mac: true},
		"wccp":                {frame: in4(47, be16(0), be16(0x883e), inner4), want: "wccp" + outer},
		"wccp 2":              {frame: in4(47, be16(0), be16(0x883e), []byte{0, 1, 2, 3}, inner4), want: "wccp" + outer},
		"gre, aruba":          {frame: in4(47, be16(0), be16(0x8240), wlanFrame(2, nil, inner4)), want: "gre" + outer, mac: true},
		"gre, keep-alive":     {frame: in4(47, be16(0), be16(0))},
		"gre, broken":         {frame: in4(47, be16(0), be16(0x800), inner4[:12])},
		"gre, routes endless": {frame: in4(47, be16(0x4000), be16(0x800), be32(0), be16(0x800), []byte{0, 200, 1, 2})},
		"erspan 1":            {frame: in4(47, be16(0), be16(0x88be), innerFrame), want: "erspan" + outer, mac: true},
		"erspan 2":            {frame: in4(47, be16(0x1000), be16(0x88be), be32(1), be16(0x1064), be16(0x1865), be32(0), innerFrame), want: "erspan" + outer + " 101", mac: true},
		"erspan 3":            {frame: in4(47, be16(0x1000), be16(0x22eb), be32(1), be16(0x2000), be16(3), be32(0), be16(0), be16(0), innerFrame), want: "erspan" + outer + " 3", mac: true},
		"erspan 3, platform":  {frame: in4(47, be16(0x1000), be16(0x22eb), be32(1), be16(0x2000), be16(3), be32(0), be16(0), be16(1), be32(1), be32(2), innerFrame), want: "erspan" + outer + " 3", mac: true},
		"erspan 3, ip":        {frame: in4(47, be16(0x1000), be16(0x22eb), be32(1), be16(0x2000), be16(3), be32(0), be16(0), be16(2<<10), inner4), want: "erspan" + outer + " 3"},
		"etherip":             {frame: in4(97, []byte{0x30, 0}, innerFrame), want: "etherip" + outer, mac: true},
		"mpls in ip":          {frame: in4(137, label(9, 0), label(10, 1), inner6), want: "mpls" + outer + " 10", v6: true},
		"vxlan":               {frame: inUDP(4789, be32(0x08000000), be32(42<<8), innerFrame), want: "vxlan" + outer + " 42", mac: true},
		"vxlan, linux's port": {frame: inUDP(8472, be32(0x08000000), be32(42<<8), innerFrame), want: "vxlan" + outer + " 42", mac: true},
		"vxlan, group":        {frame: inUDP(4789, be32(0x88000005), be32(42<<8), innerFrame), want: "vxlan" + outer + " 42", mac: true},
		"vxlan, not valid":    {frame: inUDP(4789, be32(0), be32(42<<8), innerFrame)},
		"vxlan, something":    {frame: inUDP(4789, []byte("\x0bmost of this could be a frame, but is none"))},
		"vxlan, odd type":     {frame: inUDP(4789, be32(0x08000000), be32(42<<8), frameOf(0x4444, inner4))},
		"vxlan, broken":       {frame: inUDP(4789, be32(0x08000000), be32(42<<8), frameOf(0x800, inner4[:9]))},
		"vxlan gpe":           {frame: inUDP(4790, be32(0x0c000002), be32(42<<8), inner6), want: "vxlan_gpe" + outer + " 42", v6: true},
		"vxlan gpe, a frame":  {frame: inUDP(4790, be32(0x0c000003), be32(42<<8), innerFrame), want: "vxlan_gpe" + outer + " 42", mac: true},
		"vxlan gpe, nsh":      {frame: inUDP(4790, be32(0x0c000004), be32(42<<8), be32(2<<16|1<<8|1), be32(5<<8), inner4), want: "vxlan_gpe" + outer + " 42,nsh 5"},
		"geneve":              {frame: inUDP(6081, []byte{3, 0, 0x65, 0x58}, be32(42<<8), []byte{1, 2, 0x80, 2}, be32(0), be32(0), innerFrame), want: "geneve" + outer + " 42", mac: true},
		"geneve, ip":          {frame: inUDP(6081, []byte{0, 0, 0x86, 0xdd}, be32(0), inner6), want: "geneve" + outer, v6: true},
		"geneve, options":     {frame: inUDP(6081, []byte{2, 0, 0x65, 0x58}, be32(42<<8), []byte{1, 2, 0x80, 2}, be32(0), innerFrame)},
		"gtp":                 {frame: inUDP(2152, gtpu(0x30, inner4)), want: "gtp" + outer + " 77"},
		"gtp, sequence":       {frame: inUDP(2152, gtpu(0x32, be32(1<<16), inner4)), want: "gtp" + outer + " 77"},
		"gtp, extension":      {frame: inUDP(2152, gtpu(0x34, be32(0x85), []byte{1, 0x10, 9, 0x40, 1, 0, 0, 0}, inner6)), want: "gtp" + outer + " 77", v6: true},
		"gtp, echo":           {frame: inUDP(2152, []byte{0x32, 1, 0, 4}, be32(0), be32(1))},
		"gtp, too long":       {frame: inUDP(2152, []byte{0x30, 255}, be16(999), be32(1), inner4)},
		"gtp, extension of 0": {frame: inUDP(2152, gtpu(0x34, be32(0x85), []byte{0, 0x10, 9, 0}, inner6))},
		"teredo":              {frame: inUDP(3544, inner6), want: "teredo" + outer, v6: true},
		"teredo, indications": {frame: inUDP(3544, []byte{0, 1, 1, 2, 'i', 'a', 'a', 1, 2, 3, 4, 5, 6, 7, 8, 0}, []byte{0, 0, 1, 2, 3, 4, 5, 6}, inner6), want: "teredo" + outer, v6: true},
		"teredo, bubble":      {frame: inUDP(3544, ip6(59, nil))},
		"teredo, router":      {frame: inUDP(3544, ip6(58, solicitation))},
		"teredo, something":   {frame: inUDP(3544, []byte("`as long as this may be, it is nothing at all"))},
		"any port, ipv6":      {frame: inUDP(9999, inner6)},
		"gre in udp":          {frame: inUDP(4754, be16(0), be16(0x800), inner4), want: "gre" + outer},
		"mpls in udp":         {frame: inUDP(6635, label(3, 1), inner4), want: "mpls" + outer + " 3"},
		"lisp":                {frame: inUDP(4341, be32(0x08000000), be32(6<<8), inner4), want: "lisp" + outer + " 6"},
		"ayiya":               {frame: inUDP(5072, []byte{0x41, 0x52, 0x11, 41}, make([]byte, 4+16+20), inner6), want: "ayiya" + outer, v6: true},
		"l2tp":                {frame: inUDP(1701, be16(0x4002), be16(12+len(inner4)), be16(5), be16(6), []byte{0xff, 3}, ppp(0x21, inner4)), want: "l2tp" + outer + " 327686"},
		"l2tp, all fields":    {frame: inUDP(1701, be16(0x0a02), be16(5), be16(6), be32(1), be16(2), be16(0), ppp(0x21, inner4)), want: "l2tp" + outer + " 327686"},
		"l2tp, control":       {frame: inUDP(1701, be16(0xc802), be16(12), be16(5), be16(6), be32(0))},
		"capwap":              {frame: inUDP(5247, []byte{0, 2 << 3, 2, 0}, be32(0), innerFrame), want: "capwap" + outer, mac: true},
		"capwap, 802.11":      {frame: inUDP(5247, []byte{0, 2 << 3, 3, 0}, be32(0), wlanFrame(2, nil, inner4)), want: "capwap" + outer, mac: true},
		"capwap, swapped":     {frame: inUDP(5247, []byte{0, 2 << 3, 3, 0}, be32(0), []byte{2, 0x08}, wlanFrame(2, nil, inner4)[2:]), want: "capwap" + outer, mac: true},
		"capwap, encrypted":   {frame: inUDP(5247, be32(0x01000000), make([]byte, 90))},
		"capwap, keep-alive":  {frame: inUDP(5247, []byte{0, 2 << 3, 2, 8}, be32(0), innerFrame)},
		"tzsp":                {frame: inUDP(37008, []byte{1, 0, 0, 1, 0, 10, 1, 0xc4, 1}, innerFrame), want: "tzsp" + outer, mac: true},
		"tzsp, 802.11":        {frame: inUDP(37008, []byte{1, 0, 0, 18, 1}, wlanFrame(1, nil, inner4)), want: "tzsp" + outer, mac: true},
		"mpls":                {frame: ether(0x8847, join(label(16, 0), label(17, 1), inner4)), want: "mpls 17"},
		"mpls, tagged":        {frame: ether(0x8848, join(label(2, 1), inner6), 5), want: "mpls 2", v6: true},
		"mpls, a frame":       {frame: ether(0x8847, join(label(17, 1), innerFrame)), want: "mpls 17", mac: true},
		"mpls, control word":  {frame: ether(0x8847, join(label(17, 1), be32(1), innerFrame)), want: "mpls 17", mac: true},
		"pppoe":               {frame: ether(0x8864, join([]byte{0x11, 0}, be16(3), be16(2+len(inner4)), ppp(0x21, inner4), make([]byte, 9))), want: "pppoe 3"},
		"pppoe, mpls":         {frame: ether(0x8864, join([]byte{0x11, 0}, be16(3), be16(6+len(inner4)), ppp(0x281, label(5, 1)), inner4)), want: "pppoe 3,mpls 5"},
		"pbb":                 {frame: ether(0x88e7, join(be32(0x50000009), innerFrame)), want: "pbb 9", mac: true},
		"fabricpath":          {frame: ether(0x8903, join(be16(3<<6|32), innerFrame)), want: "fabricpath 3", mac: true},
		"nsh":                 {frame: ether(0x894f, join(be32(6<<16|1<<8|3), be32(9<<8|255), make([]byte, 16), innerFrame)), want: "nsh 9", mac: true},
	} {
		t.Run(name, func(t *testing.T) {
			var d packet.Decoder
			var h packet.Headers
			if r := d.Decode(packet.LinkEthernet, now, slices.Clip(tt.frame), len(tt.frame), &h); r != packet.OK {
				t.Fatalf("reason %v", r)
			}
			if got := strings.Join(listed(&h), ","); got != tt.want {
				t.Fatalf("tunnels %q, want %q", got, tt.want)
			}
			checkInner(t, &h, tt.want != "", tt.v6, tt.mac)
		})
	}
}

func listed(h *packet.Headers) (l []string) {
	for i := range h.NTunnels {
		l = append(l, h.Tunnels[i].String())
	}
	return l
}

// checkInner checks that the headers are the inner packet's, or the outer's.
func checkInner(t *testing.T, h *packet.Headers, inside, v6, mac bool) {
	t.Helper()
	src, dst, from, to := ipA, ipB, macA, macB
	switch {
	case !inside:
		if h.SrcIP != src || h.DstIP != dst || h.CarrierMAC || h.VNI != 0 || h.SrcMAC != from || h.DstMAC != to || (h.Transport == proto.UDP && h.SrcPort != 40000) {
			t.Errorf("the outer packet is not as it was: %+v", h)
		}
		return
	case v6:
		src, dst = inner6A, inner6B
	default:
		src, dst = innerA, innerB
	}
	if mac {
		from, to = macC, macD
	}
	carrier := !mac && h.Tunnels[0].Kind != packet.TunnelPPPoE || h.NTunnels > 1 && !mac
	if h.SrcIP != src || h.DstIP != dst || h.SrcMAC != from || h.DstMAC != to || h.CarrierMAC != carrier ||
		h.Transport != proto.UDP || h.SrcPort != 1111 || h.DstPort != 53 || string(h.Payload) != "hello" || h.PayloadLen != 5 || h.Packets != 1 ||
		(h.IPBytes != 33 && !v6) || (h.IPBytes != 53 && v6) {
		t.Errorf("headers %+v", h)
	}
	numbered := false
	for _, k := range []packet.TunnelKind{packet.TunnelVXLAN, packet.TunnelVXLANGPE, packet.TunnelGENEVE, packet.TunnelNVGRE, packet.TunnelLISP} {
		numbered = numbered || h.Tunnels[0].Kind == k
	}
	if numbered && h.VNI != h.Tunnels[0].ID || !numbered && h.VNI != 0 {
		t.Errorf("virtual network %d, tunnels %v", h.VNI, listed(h))
	}
}

func TestTunnelsCarryFramesWithoutIP(t *testing.T) {
	for name, tt := range map[string]struct {
		frame     []byte
		etherType uint16
		payload   int
	}{
		"vxlan, arp":       {inUDP(4789, be32(0x08000000), be32(42<<8), innerARP), 0x806, 28},
		"erspan, llc":      {in4(47, be16(0x1000), be16(0x88be), be32(1), be16(0x1064), be16(0x1865), be32(0), innerSTP), 0, 7},
		"erspan, anything": {in4(47, be16(0), be16(0x6558), frameOf(0x4444, []byte{1})), 0x4444, 1},
		"mpls, arp":        {ether(0x8847, join(label(17, 1), be32(0), innerARP)), 0x806, 28},
	} {
		t.Run(name, func(t *testing.T) {
			var d packet.Decoder
			var h packet.Headers
			if r := d.Decode(packet.LinkEthernet, now, tt.frame, 0, &h); r != packet.OK || h.IsIP() {
				t.Fatalf("reason %v, %+v", r, h)
			}
			if h.EtherType != tt.etherType || len(h.LinkPayload) != tt.payload || h.SrcMAC != macC || h.DstMAC != macD || h.NTunnels != 1 || h.Transport != 0 || h.SrcPort != 0 {
				t.Errorf("headers %+v", h)
			}
		})
	}
	for name, frame := range map[string][]byte{
		"mpls, nothing known": ether(0x8847, join(label(17, 1), []byte{0x10, 0, 0, 7, 1, 2, 3})),
		"mpls, no bottom":     ether(0x8847, slices.Repeat(label(17, 0), 30)),
		"mpls, cut":           ether(0x8847, label(17, 0)),
		"pppoe, padi":         ether(0x8863, join([]byte{0x11, 9}, be32(0))),
		"pppoe, lcp":          ether(0x8864, join([]byte{0x11, 0}, be16(3), be16(6), ppp(0xc021, be32(0)))),
	} {
		t.Run(name, func(t *testing.T) {
			var d packet.Decoder
			var h packet.Headers
			if r := d.Decode(packet.LinkEthernet, now, frame, 0, &h); r != packet.OK || h.IsIP() || h.SrcMAC != macA || h.CarrierMAC {
				t.Errorf("reason %v, %+v", r, h)
			}
		})
	}
}

// TestTunnelTags: of all tags of a frame and the frame in it the outermost two count.
func TestTunnelTags(t *testing.T) {
	tagged := join(macD[:], macC[:], be16(0x8100), be16(7), be16(0x800), inner4)
	body := ip4(17, udp(1, 4789, join(be32(0x08000000), be32(42<<8), tagged)))
	for _, tt := range []struct {
		frame       []byte
		vlan, inner proto.VLAN
	}{{ether(0x800, body), 7, 0}, {ether(0x800, body, 5), 5, 7}, {ether(0x800, body, 5, 6), 5, 6}} {
		var d packet.Decoder
		var h packet.Headers
		d.Decode(packet.LinkEthernet, now, tt.frame, 0, &h)
		if h.VLAN != tt.vlan || h.VLANInner != tt.inner || h.SrcIP != innerA {
			t.Errorf("tags %d %d of %v, want %d %d", h.VLAN, h.VLANInner, h.SrcIP, tt.vlan, tt.inner)
		}
	}
}

func TestTunnelDepth(t *testing.T) {
	b := inner4
	for n := 1; n <= 8; n++ {
		var d packet.Decoder
		var h packet.Headers
		b = ip4(4, b)
		r := d.Decode(packet.LinkRaw, now, b, len(b), &h)
		deep := n > packet.MaxTunnels
		if r != packet.OK || h.NTunnels != min(n, packet.MaxTunnels) || deep != (d.Counters[packet.TunnelDeep] == 1) || deep != (h.Transport == 4) || (h.SrcIP == innerA) == deep {
			t.Errorf("%d tunnels: %v, %d listed, %d counted, %v %v", n, r, h.NTunnels, d.Counters[packet.TunnelDeep], h.SrcIP, h.Transport)
		}
	}
	b = innerFrame
	for range 10_000 { // as deep as a frame can be, of what counts as no tunnel
		b = join([]byte{0xaa, 0xaa, 3, 0, 0, 0}, be16(0x8100), be16(1), be16(0x100), b)
	}
	var d packet.Decoder
	var h packet.Headers
	if r := d.Decode(packet.LinkEthernet, now, ether(0x100, b), 0, &h); r == packet.OK && h.IsIP() {
		t.Errorf("reason %v", r)
	}
}

func TestTunnelBrokenIsCounted(t *testing.T) {
	var d packet.Decoder
	var h packet.Headers
	frame := in4(47, be16(0), be16(0x800), inner4[:12])
	if r := d.Decode(packet.LinkEthernet, now, frame, 0, &h); r != packet.OK || d.Counters[packet.TunnelBroken] != 1 || h.Transport != 47 || h.PayloadLen != 16 {
		t.Errorf("reason %v, counted %d, %+v", r, d.Counters[packet.TunnelBroken], h)
	}
}

// TestTunnelFragments: fragments inside a tunnel, of a tunnel, and both at once.
func TestTunnelFragments(t *testing.T) {
	data := payload(3000)
	whole := readdress(ip4(17, udp(5, 6, data)))
	vxlan := func(b []byte) []byte {
		return udp(40000, 4789, join(be32(0x08000000), be32(42<<8), frameOf(0x800, b)))
	}
	var inside, of, both [][]byte
	for _, f := range fragments4(1, 1480, udp(5, 6, data)) {
		inside = append(inside, ip4(17, vxlan(readdress(f))))
	}
	of = fragments4(2, 1480, vxlan(whole))
	for i, f := range fragments4(3, 1480, udp(5, 6, data)) {
		both = append(both, fragments4(10+i, 800, vxlan(readdress(f)))...)
	}
	for name, tt := range map[string]struct {
		frames  [][]byte
		packets int
	}{"inside": {inside, 3}, "of": {of, 1}, "both": {both, 3}} {
		var d packet.Decoder
		var h packet.Headers
		for i, f := range tt.frames {
			want := packet.FragmentWait
			if i == len(tt.frames)-1 {
				want = packet.OK
			}
			if r := d.Decode(packet.LinkRaw, now, f, len(f), &h); r != want {
				t.Errorf("%s: fragment %d: %v, want %v", name, i, r, want)
			}
		}
		if h.SrcIP != innerA || h.SrcPort != 5 || string(h.Payload) != string(data) || h.Packets != tt.packets || h.VNI != 42 || h.SrcMAC != macC {
			t.Errorf("%s: %d packets, payload of %d, %v %d", name, h.Packets, len(h.Payload), h.SrcIP, h.VNI)
		}
	}
}

// TestTunnelFragmentsFallBack: the outer datagram was put together, what is in it
// does not decode, and is still what it was.
func TestTunnelFragmentsFallBack(t *testing.T) {
	body := join(be16(0), be16(0x800), readdress(ip4f(6, 9, 0, payload(2000))))
	body[4+20+12] = 0xf0 // the offset of its TCP header, in a segment that is shorter
	binary.BigEndian.PutUint16(body[4+2:], 20+30)
	var d packet.Decoder
	var h packet.Headers
	f := fragments4(8, 1480, body)
	for i := range f {
		f[i][9] = 47
		d.Decode(packet.LinkRaw, now, f[i], len(f[i]), &h)
	}
	if h.Transport != 47 || h.SrcIP != ipA || string(h.Payload) != string(body) || h.Packets != 2 || d.Counters[packet.TunnelBroken] != 1 {
		t.Errorf("%+v", h)
	}
}

// TestTunnelCut: a snaplen that cuts what is inside, and a mirror that cuts it before.
func TestTunnelCut(t *testing.T) {
	full := inUDP(4789, be32(0x08000000), be32(42<<8), frameOf(0x800, readdress(ip4(17, udp(1111, 53, payload(900))))))
	var d packet.Decoder
	var h packet.Headers
	d.Decode(packet.LinkEthernet, now, full[:128], len(full), &h)
	if h.SrcIP != innerA || h.PayloadLen != 900 || h.IPBytes != 928 || len(h.Payload) != 36 {
		t.Errorf("cut by the capture: %v %d of %d", h.SrcIP, len(h.Payload), h.PayloadLen)
	}
	d.Decode(packet.LinkEthernet, now, full[:80], len(full), &h) // nothing left inside: the outer packet
	if h.SrcIP != ipA || h.DstPort != 4789 {
		t.Errorf("cut in the inner header: %v %d", h.SrcIP, h.DstPort)
	}
	short := frameOf(0x800, readdress(ip4(17, udp(1111, 53, payload(900)))))[:100]
	frame := in4(47, be16(0x1000), be16(0x88be), be32(1), be16(0x1064), be16(0x1c65), be32(0), short)
	d.Decode(packet.LinkEthernet, now, frame, len(frame), &h)
	if h.SrcIP != innerA || h.PayloadLen != 900 || len(h.Payload) != 58 {
		t.Errorf("cut by the switch: %v %d of %d", h.SrcIP, len(h.Payload), h.PayloadLen)
	}
}

// TestTunnelOffload: a length of 0 inside is what the lengths around leave.
func TestTunnelOffload(t *testing.T) {
	b := slices.Clone(inner4)
	b[2], b[3] = 0, 0
	frame := join(inUDP(4789, be32(0x08000000), be32(42<<8), frameOf(0x800, b)), make([]byte, 12))
	var d packet.Decoder
	var h packet.Headers
	d.Decode(packet.LinkEthernet, now, frame, len(frame), &h)
	if h.SrcIP != innerA || h.IPBytes != len(inner4) || string(h.Payload) != "hello" {
		t.Errorf("%d IP bytes, payload %q", h.IPBytes, h.Payload)
	}
}

// TestNobodyInATunnel: who has no address yet is named by its MAC, and behind a
// tunnel that is not known.
func TestNobodyInATunnel(t *testing.T) {
	b := slices.Clone(inner6)
	copy(b[8:24], make([]byte, 16))
	var d packet.Decoder
	var h packet.Headers
	d.Decode(packet.LinkEthernet, now, in4(41, b), 0, &h)
	if !h.SrcMAC.IsZero() || !h.CarrierMAC || h.DstMAC != macB {
		t.Errorf("%v %v", h.SrcMAC, h.DstMAC)
	}
}

// TestErrorsAreNoTunnels: what an ICMP error quotes is not in a tunnel.
func TestErrorsAreNoTunnels(t *testing.T) {
	var d packet.Decoder
	var h packet.Headers
	d.Decode(packet.LinkEthernet, now, in4(1, []byte{3, 1, 0, 0, 0, 0, 0, 0}, inner4), 0, &h)
	if h.NTunnels != 0 || h.SrcIP != ipA || h.PayloadLen != len(inner4) {
		t.Errorf("%+v", h)
	}
}
