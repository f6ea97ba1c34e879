package packet_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/packet"
)

const moreFragments = 0x2000

// fragments4 cuts an IP payload into IPv4 fragments of size bytes.
func fragments4(id, size int, body []byte) [][]byte {
	var out [][]byte
	for o := 0; o < len(body); o += size {
		end := min(o+size, len(body))
		frag := o / 8
		if end < len(body) {
			frag |= moreFragments
		}
		out = append(out, ip4f(17, id, frag, body[o:end]))
	}
	return out
}

func fragments6(id, size int, body []byte) [][]byte {
	var out [][]byte
	for o := 0; o < len(body); o += size {
		end := min(o+size, len(body))
		frag := o
		if end < len(body) {
			frag |= 1
		}
		out = append(out, ip6(44, slices.Concat([]byte{17, 0}, be16(frag), be32(id), body[o:end])))
	}
	return out
}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func TestFragmentsInAnyOrder(t *testing.T) {
	data := payload(5000)
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, frames := range map[string][][]byte{
		"ipv4": fragments4(77, 1480, udp(5, 6, data)),
		"ipv6": fragments6(77, 1448, udp(5, 6, data)),
	} {
		t.Run(name, func(t *testing.T) {
			sum := 0
			for _, f := range frames {
				sum += len(f)
			}
			for range 20 {
				rnd.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
				var d packet.Decoder
				var h packet.Headers
				for i, f := range frames {
					want := packet.FragmentWait
					if i == len(frames)-1 {
						want = packet.OK
					}
					if got := d.Decode(packet.LinkRaw, now, f, len(f), &h); got != want {
						t.Fatalf("fragment %d: %v, want %v", i, got, want)
					}
				}
				if !bytes.Equal(h.Payload, data) || h.SrcPort != 5 || h.DstPort != 6 || h.Packets != len(frames) || h.IPBytes != sum ||
					h.PayloadLen != 5000 || h.Fragment.Count != len(frames) || h.Fragment.Overlap {
					t.Fatalf("packets %d, IP bytes %d (want %d), payload %d, fragment %+v", h.Packets, h.IPBytes, sum, len(h.Payload), h.Fragment)
				}
			}
		})
	}
}

func TestFragmentOverlapFirstWins(t *testing.T) {
	body := udp(5, 6, payload(40))
	evil := bytes.Repeat([]byte{0xee}, 24)
	var d packet.Decoder
	var h packet.Headers
	for _, f := range [][]byte{
		ip4f(17, 1, moreFragments, body[:16]),
		ip4f(17, 1, 3, body[24:]),
		ip4f(17, 1, 1|moreFragments, evil), // bytes 8 to 32: only 16 to 24 are still free
	} {
		d.Decode(packet.LinkRaw, now, f, len(f), &h)
	}
	want := slices.Concat(body[8:16], evil[:8], body[24:])
	if !bytes.Equal(h.Payload, want) {
		t.Errorf("payload %x, want %x", h.Payload, want)
	}
	if !h.Fragment.Overlap || d.Counters[packet.FragmentOverlap] != 1 {
		t.Errorf("overlap is not flagged: %+v, counted %d", h.Fragment, d.Counters[packet.FragmentOverlap])
	}
}

func TestFragmentDuplicateIsNoOverlap(t *testing.T) {
	f := fragments4(3, 16, udp(5, 6, payload(24)))
	var d packet.Decoder
	var h packet.Headers
	for _, b := range [][]byte{f[0], f[0], f[1]} {
		d.Decode(packet.LinkRaw, now, b, len(b), &h)
	}
	if h.Fragment.Overlap || h.Packets != 3 || d.Counters[packet.FragmentDuplicate] != 1 {
		t.Errorf("fragment %+v, packets %d, duplicates %d", h.Fragment, h.Packets, d.Counters[packet.FragmentDuplicate])
	}
}

func TestFragmentSnaplenCut(t *testing.T) {
	f := fragments4(3, 800, udp(5, 6, payload(1500)))
	var d packet.Decoder
	var h packet.Headers
	d.Decode(packet.LinkRaw, now, f[0][:100], len(f[0]), &h)
	if got := d.Decode(packet.LinkRaw, now, f[1][:100], len(f[1]), &h); got != packet.OK {
		t.Fatalf("reason %v", got)
	}
	if h.PayloadLen != 1500 || len(h.Payload) != 72 || !bytes.Equal(h.Payload, payload(72)) {
		t.Errorf("payload of %d, %d captured, want 1500 and 72", h.PayloadLen, len(h.Payload))
	}
}

func TestFragmentBounds(t *testing.T) {
	first := func(id int) []byte { return ip4f(17, id, moreFragments, make([]byte, 1000)) }
	t.Run("time", func(t *testing.T) {
		var d packet.Decoder
		var h packet.Headers
		d.Decode(packet.LinkRaw, now, first(1), 0, &h)
		d.Decode(packet.LinkRaw, now.Add(31*time.Second), first(2), 0, &h)
		if d.Counters[packet.FragmentIncomplete] != 1 {
			t.Errorf("%d given up, want 1", d.Counters[packet.FragmentIncomplete])
		}
		d.Flush()
		if d.Counters[packet.FragmentIncomplete] != 2 {
			t.Errorf("%d given up at the end, want 2", d.Counters[packet.FragmentIncomplete])
		}
	})
	t.Run("memory", func(t *testing.T) {
		d := packet.Decoder{Fragments: packet.FragmentLimits{Bytes: 10_000}}
		var h packet.Headers
		for id := range 100 {
			d.Decode(packet.LinkRaw, now, first(id), 0, &h)
		}
		if got := d.Counters[packet.FragmentEvicted]; got != 91 {
			t.Errorf("%d evicted, want 91", got)
		}
	})
	t.Run("datagrams", func(t *testing.T) {
		d := packet.Decoder{Fragments: packet.FragmentLimits{Datagrams: 10}}
		var h packet.Headers
		for id := range 100 {
			d.Decode(packet.LinkRaw, now, first(id), 0, &h)
		}
		if got := d.Counters[packet.FragmentEvicted]; got != 90 {
			t.Errorf("%d evicted, want 90", got)
		}
	})
	var crumbs [][]byte
	for i := range 1026 { // every second eighth byte
		crumbs = append(crumbs, ip4f(17, 1, 2*i|moreFragments, make([]byte, 8)))
	}
	for name, tt := range map[string]struct {
		frames [][]byte
		reason packet.Reason
		count  uint64
	}{
		"too long":        {[][]byte{ip4f(17, 1, 8191|moreFragments, make([]byte, 800))}, packet.FragmentMalformed, 1},
		"not of eights":   {[][]byte{ip4f(17, 1, moreFragments, make([]byte, 801))}, packet.FragmentMalformed, 1},
		"empty":           {[][]byte{ip4f(17, 1, moreFragments, nil)}, packet.FragmentMalformed, 1},
		"crumbs":          {crumbs[:1025], packet.FragmentTooMany, 1025},
		"behind the last": {[][]byte{ip4f(17, 1, 1, make([]byte, 8)), ip4f(17, 1, 4|moreFragments, make([]byte, 8))}, packet.FragmentMalformed, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var d packet.Decoder
			var h packet.Headers
			var got packet.Reason
			for _, f := range tt.frames {
				got = d.Decode(packet.LinkRaw, now, f, len(f), &h)
			}
			if got != tt.reason || d.Counters[tt.reason] != tt.count {
				t.Errorf("%v counted %d, want %v counted %d", got, d.Counters[tt.reason], tt.reason, tt.count)
			}
		})
	}
}

// FuzzDecode decodes arbitrary frames, several in a row so that fragments meet.
func FuzzDecode(f *testing.F) {
	for _, b := range append(fragments4(3, 16, udp(5, 6, payload(24))), fragments6(3, 16, udp(5, 6, payload(24)))...) {
		f.Add(uint16(packet.LinkRaw), b, 0)
	}
	f.Add(uint16(packet.LinkEthernet), ether(0x800, ip4(6, tcp(1, 2, packet.SYN, 3, []byte("x"))), 5, 6), 10)
	f.Add(uint16(packet.LinkEthernet), ether(0x86dd, ip6(0, slices.Concat([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udp(1, 53, nil)))), 0)
	f.Add(uint16(packet.LinkSLL), make([]byte, 60), 0)
	f.Add(uint16(packet.LinkSLL2), make([]byte, 60), 0)
	f.Add(uint16(packet.LinkNull), make([]byte, 60), 0)
	for _, b := range [][]byte{
		in4(47, be16(0), be16(0x800), ip4(47, join(be16(0), be16(0x800), inner4))),
		in4(47, be16(0x3081), be16(0x880b), be16(2+2+len(inner4)), be16(7), be32(1), be32(2), []byte{0xff, 3}, ppp(0x21, inner4)),
		in4(47, be16(0x1000), be16(0x22eb), be32(1), be16(0x2000), be16(3), be32(0), be16(0), be16(1), be32(1), be32(2), innerFrame),
		in6(143, innerFrame),
		inUDP(4789, be32(0x08000000), be32(42<<8), innerFrame),
		inUDP(4790, be32(0x0c000004), be32(42<<8), be32(2<<16|1<<8|1), be32(5<<8), inner4),
		inUDP(6081, []byte{3, 0, 0x65, 0x58}, be32(42<<8), []byte{1, 2, 0x80, 2}, be32(0), be32(0), innerFrame),
		inUDP(2152, gtpu(0x34, be32(0x85), []byte{1, 0x10, 9, 0x40, 1, 0, 0, 0}, inner6)),
		inUDP(3544, []byte{0, 1, 1, 2, 'i', 'a', 'a', 1, 2, 3, 4, 5, 6, 7, 8, 0}, []byte{0, 0, 1, 2, 3, 4, 5, 6}, inner6),
		inUDP(1701, be16(0x0a02), be16(5), be16(6), be32(1), be16(2), be16(0), ppp(0x21, inner4)),
		inUDP(5072, []byte{0x41, 0x52, 0x11, 41}, make([]byte, 4+16+20), inner6),
		inUDP(5247, []byte{0, 2 << 3, 3, 0}, be32(0), wlanFrame(2, nil, inner4)),
		inUDP(37008, []byte{1, 0, 0, 18, 0, 10, 1, 9, 1}, wlanFrame(1, []byte{0x80, 0}, inner4)),
		ether(0x8847, join(label(17, 0), label(18, 1), be32(1), innerFrame)),
		ether(0x8864, join([]byte{0x11, 0}, be16(3), be16(2+len(inner4)), ppp(0x21, inner4))),
	} {
		f.Add(uint16(packet.LinkEthernet), b, 0)
	}
	for link, b := range map[packet.LinkType][]byte{
		packet.LinkRadiotap: radiotap(0x30, wlanFrame(1, []byte{0, 0}, inner4)), packet.LinkPPI: join([]byte{0, 0, 8, 0, 105, 0, 0, 0}, wlanFrame(3, nil, inner4)),
		packet.LinkFrameRelay: join([]byte{0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7}, innerFrame), packet.LinkPPP: ppp(0x31, join([]byte{0, 1}, innerFrame)),
		packet.LinkNFLog: join([]byte{2, 0, 0, 0, byte(4 + len(inner4)), 0, 9, 0}, inner4), packet.LinkJuniper: join([]byte("MGC\x80"), be16(4), be32(0), innerFrame),
	} {
		f.Add(uint16(link), b, 3)
	}
	f.Fuzz(func(t *testing.T, link uint16, b []byte, cut int) {
		var d packet.Decoder
		var h packet.Headers
		half := len(b) / 2
		for _, frame := range [][]byte{b, b[half:], b[:half], b} {
			r := d.Decode(packet.LinkType(link), now, frame, len(frame)+cut%65536, &h)
			if r >= packet.Reasons {
				t.Fatalf("reason %d", r)
			}
			if h.NTunnels > packet.MaxTunnels || (r == packet.OK && h.IsIP() != h.DstIP.IsValid()) {
				t.Fatalf("%d tunnels, from %v to %v", h.NTunnels, h.SrcIP, h.DstIP)
			}
			if r == packet.OK && h.IsIP() && (len(h.Payload) > h.PayloadLen || h.PayloadLen > h.IPBytes || h.Packets < 1) {
				t.Fatalf("payload %d of %d in %d IP bytes, %d packets", len(h.Payload), h.PayloadLen, h.IPBytes, h.Packets)
			}
		}
		d.Flush()
	})
}
