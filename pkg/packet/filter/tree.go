package filter

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"

	"github.com/wardflow/wardflow/pkg/packet"
)

// node is a filter: a test of one number, or several filters together.
type node interface{ isNode() }

type (
	// test loads a number into A and compares it.
	test struct {
		load []bpf.Instruction
		cond bpf.JumpTest
		val  uint32
	}
	both    struct{ a, b node }
	either  struct{ a, b node }
	negated struct{ a node }
)

func (test) isNode()    {}
func (both) isNode()    {}
func (either) isNode()  {}
func (negated) isNode() {}

func all(first node, more ...node) node {
	for _, n := range more {
		first = both{first, n}
	}
	return first
}

func anyOf(first node, more ...node) node {
	for _, n := range more {
		first = either{first, n}
	}
	return first
}

// The scratch memory that the prologue fills.
const (
	cellNetwork   = iota // offset of the network header
	cellEtherType        // innermost
	cellTag              // three cells: 12 bits of a VLAN id with tagThere, or 0
)

const (
	tags     = 3 // one beside the frame and two in it
	tagThere = 0x1000
	tagID    = 0x0fff
)

const (
	etherTypeRARP = 0x8035
	etherTypeOldQ = 0x9100 // QinQ before 802.1ad
)

func etherType(v uint16) node {
	return test{[]bpf.Instruction{bpf.LoadScratch{Dst: bpf.RegA, N: cellEtherType}}, bpf.JumpEqual, uint32(v)}
}

// network loads from the network header on.
func network(off uint32, size int) []bpf.Instruction {
	return []bpf.Instruction{bpf.LoadScratch{Dst: bpf.RegX, N: cellNetwork}, bpf.LoadIndirect{Off: off, Size: size}}
}

func equal(load []bpf.Instruction, v uint32) node { return test{load, bpf.JumpEqual, v} }

// Where the headers have what is asked for (RFC 791, RFC 8200, RFC 826).
const (
	ip4Fragment = 6
	ip4Protocol = 9
	ip4Src      = 12
	ip4Dst      = 16
	ip6Next     = 6
	ip6Src      = 8
	ip6Dst      = 24
	ip6Header   = 40
	arpSender   = 14
	arpTarget   = 24
	fragment    = 44 // IPv6 next header: a fragment header
)

// protocol tests what rides on IP, of version 4, 6 or, with 0, either. As in
// libpcap, behind IPv6 only a fragment header is looked through.
func protocol(version int, number uint32) node {
	v4 := all(etherType(packet.EtherTypeIPv4), equal(network(ip4Protocol, 1), number))
	v6 := all(etherType(packet.EtherTypeIPv6), anyOf(
		equal(network(ip6Next, 1), number),
		all(equal(network(ip6Next, 1), fragment), equal(network(ip6Header, 1), number))))
	switch version {
	case 4:
		return v4
	case 6:
		return v6
	}
	return anyOf(v4, v6)
}

// ports tests the ports of some transports, TCP, UDP and SCTP by default.
func ports(d direction, transports []uint32, low, high uint32) node {
	v4, v6 := []node(nil), []node(nil)
	for _, t := range transports {
		v4 = append(v4, equal(network(ip4Protocol, 1), t))
		v6 = append(v6, equal(network(ip6Next, 1), t))
	}
	// Only the first fragment has ports.
	first := negated{test{network(ip4Fragment, 2), bpf.JumpBitsSet, 0x1fff}}
	in4 := func(off uint32) node {
		return within([]bpf.Instruction{
			bpf.LoadScratch{Dst: bpf.RegX, N: cellNetwork},
			bpf.LoadIndirect{Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0f},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.TAX{},
			bpf.LoadIndirect{Off: off, Size: 2},
		}, low, high)
	}
	in6 := func(off uint32) node { return within(network(ip6Header+off, 2), low, high) }
	return anyOf(
		all(etherType(packet.EtherTypeIPv4), anyOf(v4[0], v4[1:]...), first, d.of(in4(0), in4(2))),
		all(etherType(packet.EtherTypeIPv6), anyOf(v6[0], v6[1:]...), d.of(in6(0), in6(2))))
}

func within(load []bpf.Instruction, low, high uint32) node {
	if low == high {
		return equal(load, low)
	}
	return all(test{load, bpf.JumpGreaterOrEqual, low}, test{load, bpf.JumpLessOrEqual, high})
}

// prefix tests the network addresses; those of ARP, too, when nothing was named.
func prefix(d direction, proto string, p netip.Prefix) node {
	masked := func(off uint32) node {
		return bits(p, func(word uint32) []bpf.Instruction { return network(off+word, 4) })
	}
	if p.Addr().Is6() {
		return all(etherType(packet.EtherTypeIPv6), d.of(masked(ip6Src), masked(ip6Dst)))
	}
	ip4 := all(etherType(packet.EtherTypeIPv4), d.of(masked(ip4Src), masked(ip4Dst)))
	arp := func(kind uint16) node { return all(etherType(kind), d.of(masked(arpSender), masked(arpTarget))) }
	switch proto {
	case "ip":
		return ip4
	case "arp":
		return arp(packet.EtherTypeARP)
	case "rarp":
		return arp(etherTypeRARP)
	}
	return anyOf(ip4, arp(packet.EtherTypeARP), arp(etherTypeRARP))
}

// bits compares the first bits of an address, word by word.
func bits(p netip.Prefix, load func(word uint32) []bpf.Instruction) node {
	var out []node
	raw := p.Addr().AsSlice()
	for word := 0; word*8 < p.Bits(); word += 4 {
		value, ask := binary.BigEndian.Uint32(raw[word:]), load(uint32(word))
		if n := p.Bits() - word*8; n < 32 {
			ask = append(ask, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ^uint32(0) << (32 - n)})
		}
		out = append(out, equal(ask, value))
	}
	if len(out) == 0 { // everything
		return test{[]bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegA}}, bpf.JumpEqual, 0}
	}
	return all(out[0], out[1:]...)
}

// station tests an address of the Ethernet header.
func station(off uint32, mac []byte) node {
	return all(
		equal([]bpf.Instruction{bpf.LoadAbsolute{Off: off + 2, Size: 4}}, binary.BigEndian.Uint32(mac[2:])),
		equal([]bpf.Instruction{bpf.LoadAbsolute{Off: off, Size: 2}}, uint32(binary.BigEndian.Uint16(mac))))
}

func vlan(id int) node {
	var out []node
	for i := range tags {
		t := test{[]bpf.Instruction{bpf.LoadScratch{Dst: bpf.RegA, N: cellTag + i}}, bpf.JumpNotEqual, 0}
		if id >= 0 {
			t.cond, t.val = bpf.JumpEqual, uint32(id)|tagThere
		}
		out = append(out, t)
	}
	return anyOf(out[0], out[1:]...)
}

func length(cond bpf.JumpTest, n uint32) node {
	return test{[]bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtLen}}, cond, n}
}

func multicast() node {
	return test{[]bpf.Instruction{bpf.LoadAbsolute{Size: 1}}, bpf.JumpBitsSet, 1}
}
