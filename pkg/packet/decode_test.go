package packet_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

const now = proto.Time(1_700_000_000_000_000_000)

func TestDecode(t *testing.T) {
	hello := []byte("hello")
	udpHello := udp(1111, 53, hello)
	syn := tcp(40000, 80, packet.SYN, 99, nil)
	dest := []byte{17, 0, 1, 4, 0, 0, 0, 0} // destination options, then UDP
	tests := map[string]struct {
		link   packet.LinkType
		frame  []byte
		wire   int // added to the frame's length
		reason packet.Reason
		want   func(h *packet.Headers) bool
	}{
		"udp": {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, udpHello)), want: func(h *packet.Headers) bool {
			return h.SrcMAC == macA && h.DstMAC == macB && h.SrcIP == ipA && h.DstIP == ipB && h.Transport == proto.UDP && h.TTL == 64 &&
				h.SrcPort == 1111 && h.DstPort == 53 && h.IPBytes == 33 && h.PayloadLen == 5 && string(h.Payload) == "hello" && h.Packets == 1
		}},
		"padding never counts": {link: packet.LinkEthernet, frame: append(ether(0x800, ip4(17, udpHello)), make([]byte, 20)...), want: func(h *packet.Headers) bool {
			return h.IPBytes == 33 && h.PayloadLen == 5 && len(h.Payload) == 5
		}},
		"tcp with options": {link: packet.LinkEthernet, frame: ether(0x800, ip4(6, syn)), want: func(h *packet.Headers) bool {
			return h.TCPFlags == packet.SYN && h.Seq == 99 && h.Ack == 7 && h.Window == 512 && h.PayloadLen == 0 && len(h.Header) == 24
		}},
		"snaplen cut counts by length": {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, udp(1, 2, make([]byte, 900))))[:60], wire: 882, want: func(h *packet.Headers) bool {
			return h.IPBytes == 928 && h.PayloadLen == 900 && len(h.Payload) == 18
		}},
		"snaplen cut after tcp flags": {link: packet.LinkEthernet, frame: ether(0x800, ip4(6, syn))[:48], wire: 10, want: func(h *packet.Headers) bool {
			return h.TCPFlags == packet.SYN && h.PayloadLen == 0 && h.SrcPort == 40000
		}},
		"snaplen cut in tcp ports": {link: packet.LinkEthernet, frame: ether(0x800, ip4(6, syn))[:36], wire: 22, reason: packet.TransportCut},
		"length 0 of segmentation offload": {link: packet.LinkEthernet, frame: func() []byte {
			f := ether(0x800, ip4(6, tcp(1, 2, packet.ACK, 1, make([]byte, 3000))), 7)
			f[14+4+2], f[14+4+3] = 0, 0
			return f
		}()[:100], wire: 3062 - 100, want: func(h *packet.Headers) bool {
			return h.VLAN == 7 && h.IPBytes == 3044 && h.PayloadLen == 3000 && len(h.Payload) == 100-18-20-24
		}},
		"vlan":          {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, udpHello), 0x6064), want: func(h *packet.Headers) bool { return h.VLAN == 100 && h.VLANInner == 0 && h.IsIP() }},
		"qinq":          {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, udpHello), 30, 31), want: func(h *packet.Headers) bool { return h.VLAN == 30 && h.VLANInner == 31 && h.IsIP() }},
		"priority tag":  {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, udpHello), 0xe000), want: func(h *packet.Headers) bool { return h.VLAN == 0 && h.IsIP() }},
		"too many tags": {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, udpHello), 1, 2, 3, 4, 5, 6, 7, 8, 9), reason: packet.LinkTags},
		"tag cut":       {link: packet.LinkEthernet, frame: ether(0x8100, []byte{0, 1}), reason: packet.LinkCut},
		"ethernet cut":  {link: packet.LinkEthernet, frame: make([]byte, 13), reason: packet.LinkCut},
		"arp":           {link: packet.LinkEthernet, frame: ether(0x806, []byte{0, 1, 8, 0}), want: func(h *packet.Headers) bool { return h.EtherType == 0x806 && len(h.LinkPayload) == 4 && !h.IsIP() }},
		"lldp, tagged": {link: packet.LinkEthernet, frame: ether(0x88cc, []byte{2, 2, 7, 'x'}, 30, 31), want: func(h *packet.Headers) bool {
			return h.EtherType == packet.EtherTypeLLDP && h.VLAN == 30 && len(h.LinkPayload) == 4 && !h.IsIP()
		}},
		"llc":              {link: packet.LinkEthernet, frame: ether(3, []byte{0x42, 0x42, 3, 0, 0, 0}), want: func(h *packet.Headers) bool { return h.EtherType == 0 && len(h.LinkPayload) == 3 }},
		"snap with ip":     {link: packet.LinkEthernet, frame: ether(41, slices.Concat([]byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, ip4(17, udpHello))), want: func(h *packet.Headers) bool { return h.EtherType == 0x800 && string(h.Payload) == "hello" }},
		"snap of a vendor": {link: packet.LinkEthernet, frame: ether(10, []byte{0xaa, 0xaa, 3, 0, 0, 0xc, 0x20, 0, 1, 2}), want: func(h *packet.Headers) bool { return h.EtherType == 0 && len(h.LinkPayload) == 10 }},
		"cooked":           {link: packet.LinkSLL, frame: slices.Concat([]byte{0, 0, 0, 1, 0, 6}, macA[:], []byte{0, 0, 8, 0}, ip4(17, udpHello)), want: func(h *packet.Headers) bool { return h.SrcMAC == macA && h.DstMAC.IsZero() && h.SrcPort == 1111 }},
		"cooked v2":        {link: packet.LinkSLL2, frame: slices.Concat([]byte{8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6}, macA[:], []byte{0, 0}, ip4(17, udpHello)), want: func(h *packet.Headers) bool { return h.SrcMAC == macA && h.SrcPort == 1111 }},
		"null little":      {link: packet.LinkNull, frame: slices.Concat([]byte{2, 0, 0, 0}, ip4(17, udpHello)), want: func(h *packet.Headers) bool { return h.DstPort == 53 }},
		"null big":         {link: packet.LinkNull, frame: slices.Concat([]byte{0, 0, 0, 30}, ip6(17, udpHello)), want: func(h *packet.Headers) bool { return h.DstPort == 53 && h.DstIP == ip6B }},
		"loop":             {link: packet.LinkLoop, frame: slices.Concat([]byte{0, 0, 0, 2}, ip4(17, udpHello)), want: func(h *packet.Headers) bool { return h.DstPort == 53 }},
		"raw":              {link: packet.LinkRaw, frame: ip6(17, udpHello), want: func(h *packet.Headers) bool { return h.TTL == 255 && h.IPBytes == 53 && h.SrcMAC.IsZero() }},
		"raw empty":        {link: packet.LinkRaw, frame: nil, reason: packet.LinkCut},
		"radiotap":         {link: 127, frame: make([]byte, 60), reason: packet.LinkMalformed},
		"unsupported":      {link: 195, frame: make([]byte, 60), reason: packet.LinkUnsupported},
		"ipv4 cut":         {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, udpHello)[:19]), reason: packet.IPCut},
		"ipv4 version":     {link: packet.LinkEthernet, frame: ether(0x800, append([]byte{0x55}, make([]byte, 30)...)), reason: packet.IPMalformed},
		"ipv4 length":      {link: packet.LinkEthernet, frame: ether(0x800, append([]byte{0x45, 0, 0, 19}, make([]byte, 30)...)), reason: packet.IPMalformed},
		"udp without room": {link: packet.LinkEthernet, frame: ether(0x800, ip4(17, []byte{1, 2, 3})), reason: packet.TransportMalformed},
		"tcp offset":       {link: packet.LinkEthernet, frame: ether(0x800, ip4(6, append(make([]byte, 12), 0xf0, 0, 0, 0, 0, 0, 0, 0))), reason: packet.TransportMalformed},
		"other transport":  {link: packet.LinkEthernet, frame: ether(0x800, ip4(89, []byte{2, 1})), want: func(h *packet.Headers) bool { return h.Transport == 89 && h.PayloadLen == 2 && h.SrcPort == 0 }},
		"icmp": {link: packet.LinkEthernet, frame: ether(0x800, ip4(1, []byte{3, 1, 0, 0, 0, 0, 0, 0, 9, 9})), want: func(h *packet.Headers) bool {
			return h.SrcPort == 3 && h.DstPort == 1 && h.PayloadLen == 2 && len(h.Header) == 8
		}},
		"sctp":              {link: packet.LinkEthernet, frame: ether(0x800, ip4(132, append([]byte{0, 9, 0, 7}, make([]byte, 20)...))), want: func(h *packet.Headers) bool { return h.SrcPort == 9 && h.DstPort == 7 && h.PayloadLen == 12 }},
		"ipv6 options":      {link: packet.LinkEthernet, frame: ether(0x86dd, ip6(0, slices.Concat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, dest, udpHello))), want: func(h *packet.Headers) bool { return h.Transport == proto.UDP && h.DstPort == 53 && h.IPBytes == 69 }},
		"ipv6 auth":         {link: packet.LinkEthernet, frame: ether(0x86dd, ip6(51, slices.Concat([]byte{17, 4}, make([]byte, 22), udpHello))), want: func(h *packet.Headers) bool { return h.DstPort == 53 && h.PayloadLen == 5 }},
		"ipv6 atomic":       {link: packet.LinkEthernet, frame: ether(0x86dd, ip6(44, slices.Concat([]byte{17, 0, 0, 0, 0, 0, 0, 9}, udpHello))), want: func(h *packet.Headers) bool { return h.DstPort == 53 && h.Fragment.Count == 0 }},
		"ipv6 no next":      {link: packet.LinkEthernet, frame: ether(0x86dd, ip6(59, nil)), want: func(h *packet.Headers) bool { return h.Transport == 59 && h.IPBytes == 40 }},
		"ipv6 long option":  {link: packet.LinkEthernet, frame: ether(0x86dd, ip6(0, []byte{17, 9, 1, 4, 0, 0, 0, 0})), reason: packet.IPExtension},
		"ipv6 endless":      {link: packet.LinkEthernet, frame: ether(0x86dd, ip6(60, bytes.Repeat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 20))), reason: packet.IPExtension},
		"ipv6 cut":          {link: packet.LinkEthernet, frame: ether(0x86dd, ip6(17, udpHello)[:39]), reason: packet.IPCut},
		"mapped is ipv4":    {link: packet.LinkRaw, frame: mapped(ip6(17, udpHello)), want: func(h *packet.Headers) bool { return h.SrcIP == netip.MustParseAddr("1.2.3.4") }},
		"udp length counts": {link: packet.LinkRaw, frame: ip4(17, append(udp(1, 2, hello), 1, 2, 3)), want: func(h *packet.Headers) bool { return h.PayloadLen == 5 && string(h.Payload) == "hello" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var d packet.Decoder
			var h packet.Headers
			frame := slices.Clip(tt.frame)
			got := d.Decode(tt.link, now, frame, len(frame)+tt.wire, &h)
			if got != tt.reason {
				t.Fatalf("reason %v, want %v", got, tt.reason)
			}
			if d.Counters[got] != 1 {
				t.Errorf("reason %v is not counted", got)
			}
			if tt.want != nil && !tt.want(&h) {
				t.Errorf("headers %+v", h)
			}
		})
	}
}

func mapped(frame []byte) []byte {
	copy(frame[8:], []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4})
	return frame
}

func TestDecodeLeavesNothingBehind(t *testing.T) {
	var d packet.Decoder
	var h packet.Headers
	d.Decode(packet.LinkEthernet, now, ether(0x800, ip4(6, tcp(1, 2, packet.SYN, 3, []byte("x"))), 5, 6), 0, &h)
	d.Decode(packet.LinkEthernet, now, ether(0x806, nil), 0, &h)
	want := packet.Headers{Time: now, WireLen: 14, SrcMAC: macA, DstMAC: macB, EtherType: 0x806, Packets: 1}
	h.LinkPayload = nil
	if got, expect := h, want; !equal(&got, &expect) {
		t.Errorf("got %+v, want %+v", got, expect)
	}
}

func equal(a, b *packet.Headers) bool {
	return a.Time == b.Time && a.WireLen == b.WireLen && a.SrcMAC == b.SrcMAC && a.DstMAC == b.DstMAC && a.EtherType == b.EtherType &&
		a.VLAN == b.VLAN && a.VLANInner == b.VLANInner && a.Transport == b.Transport && a.TTL == b.TTL && a.TCPFlags == b.TCPFlags &&
		a.SrcPort == b.SrcPort && a.DstPort == b.DstPort && a.Window == b.Window && a.Seq == b.Seq && a.Ack == b.Ack &&
		a.SrcIP == b.SrcIP && a.DstIP == b.DstIP && a.Packets == b.Packets && a.IPBytes == b.IPBytes && a.PayloadLen == b.PayloadLen &&
		bytes.Equal(a.Header, b.Header) && bytes.Equal(a.Payload, b.Payload) && bytes.Equal(a.LinkPayload, b.LinkPayload) &&
		a.Fragment == b.Fragment && a.NTunnels == b.NTunnels
}

func TestDecodeAllocatesNothing(t *testing.T) {
	frames := [][]byte{
		ether(0x800, ip4(6, tcp(1, 2, packet.ACK, 3, make([]byte, 100))), 5),
		ether(0x86dd, ip6(0, slices.Concat([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udp(1, 53, make([]byte, 40))))),
		ether(0x806, make([]byte, 28)),
		make([]byte, 9),
		in4(41, inner6),
		in4(47, be16(0), be16(0x800), ip4(47, join(be16(0), be16(0x800), inner4))),
		in4(47, be16(0x1000), be16(0x88be), be32(1), be16(0x1064), be16(0x1865), be32(0), innerFrame),
		inUDP(4789, be32(0x08000000), be32(42<<8), innerFrame),
		inUDP(4789, be32(0x08000000), be32(42<<8), frameOf(0x800, inner4[:9])), // falls back
		inUDP(6081, []byte{0, 0, 0x86, 0xdd}, be32(0), inner6),
		inUDP(2152, gtpu(0x30, inner4)),
		inUDP(5247, []byte{0, 2 << 3, 3, 0}, be32(0), wlanFrame(2, nil, inner4)),
		ether(0x8847, join(label(17, 1), be32(1), innerFrame)),
		ether(0x8864, join([]byte{0x11, 0}, be16(3), be16(2+len(inner4)), ppp(0x21, inner4))),
	}
	var d packet.Decoder
	var h packet.Headers
	if n := testing.AllocsPerRun(1000, func() {
		for _, f := range frames {
			d.Decode(packet.LinkEthernet, now, f, len(f), &h)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, frame := range map[string][]byte{
		"tcp4":  ether(0x800, ip4(6, tcp(1, 2, packet.ACK, 3, make([]byte, 1000)))),
		"udp6":  ether(0x86dd, ip6(17, udp(1, 53, make([]byte, 40)))),
		"qinq4": ether(0x800, ip4(17, udp(1, 53, make([]byte, 40))), 3, 4),
		"gre":   in4(47, be16(0), be16(0x800), inner4),
		"vxlan": inUDP(4789, be32(0x08000000), be32(42<<8), innerFrame),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var d packet.Decoder
			var h packet.Headers
			for b.Loop() {
				if d.Decode(packet.LinkEthernet, now, frame, len(frame), &h) != packet.OK {
					b.Fatal("frame does not decode")
				}
			}
		})
	}
}
