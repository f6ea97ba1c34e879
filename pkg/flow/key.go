package flow

import (
	"crypto/sha1" //nolint:gosec // Community ID v1 is defined with SHA-1
	"encoding/binary"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// key tells flows apart. Both directions have the same key: the end with the
// smaller (address, port) comes first, as in Community ID.
//
//	 0        16       32  34  36   38    40    41
//	+--------+--------+---+---+----+-----+-----+-----+
//	| low    | high   |lp |hp |vlan|inner|proto|marks|
//	+--------+--------+---+---+----+-----+-----+-----+
//
// An IPv4 address fills the first 4 of its 16 bytes. Where packets came out of a
// tunnel that numbers virtual networks, that number fills the last 4 of the low
// end's: each network has addresses of its own. (IPv6 addresses are unique without.)
// Other numbers of tunnels (a GTP endpoint, a GRE key, an MPLS label) and their
// addresses have no part in the key: they may differ by direction.
//
// Hosts that have no address yet (DHCP, duplicate address detection) all send from
// the unspecified one, so there the sender's MAC stands in its place and keeps them
// apart. For ICMP the ports are the type and that of the answer, or type and code
// where no answer exists; such a flow has one direction only.
type key [42]byte

// The marks of a key.
const (
	low4       = 1 << iota // the low end is IPv4
	high4                  // the high end is IPv4
	lowNone                // the low end is the unspecified address, its bytes are a MAC
	highNone               // the same of the high end
	oneWay                 // ICMP without answer: low is the sender
	portsNone              // the transport has no ports
	keyVNI     = 12
	keyPorts   = 32
	keyVLAN    = 36
	keyProto   = 40
	keyMarks   = 41
	addrLength = 16
)

// makeKey gives the key of a packet's flow, and whether its sender is the low end.
func makeKey(h *packet.Headers) (k key, srcLow bool) {
	src, dst := h.SrcPort, h.DstPort
	var marks byte
	switch h.Transport {
	case proto.TCP, proto.UDP, proto.SCTP:
	case proto.ICMP, proto.ICMP6:
		if answer, ok := counterpart(h.Transport, src); ok {
			dst = answer
		} else {
			marks |= oneWay
		}
	default:
		marks |= portsNone
	}
	order := h.SrcIP.Compare(h.DstIP)
	srcLow = marks&oneWay != 0 || order < 0 || (order == 0 && src <= dst)
	low, high := 0, addrLength
	if !srcLow {
		low, high = high, low
		src, dst = dst, src
	}
	marks |= putAddr(k[low:], h.SrcIP, h.SrcMAC, low)
	marks |= putAddr(k[high:], h.DstIP, proto.MAC{}, high)
	binary.BigEndian.PutUint16(k[keyPorts:], src)
	binary.BigEndian.PutUint16(k[keyPorts+2:], dst)
	binary.BigEndian.PutUint16(k[keyVLAN:], uint16(h.VLAN))
	binary.BigEndian.PutUint16(k[keyVLAN+2:], uint16(h.VLANInner))
	if h.VNI != 0 && h.SrcIP.Is4() {
		binary.BigEndian.PutUint32(k[keyVNI:], h.VNI)
	}
	k[keyProto], k[keyMarks] = byte(h.Transport), marks
	return k, srcLow
}

// putAddr writes an address at its place and gives the marks that tell how to
// read it there.
func putAddr(b []byte, a netip.Addr, mac proto.MAC, place int) (marks byte) {
	if a.Is4() {
		marks = low4
		v := a.As4()
		copy(b, v[:])
	} else {
		v := a.As16()
		copy(b, v[:])
	}
	if a.IsUnspecified() {
		marks |= lowNone
		copy(b, mac[:])
	}
	if place != 0 {
		marks <<= 1
	}
	return marks
}

// addr reads the low or the high end's address.
func (k *key) addr(high bool) netip.Addr {
	b, marks := k[:addrLength], k[keyMarks]
	if high {
		b, marks = k[addrLength:2*addrLength], marks>>1
	}
	switch {
	case marks&(low4|lowNone) == low4|lowNone:
		return netip.IPv4Unspecified()
	case marks&lowNone != 0:
		return netip.IPv6Unspecified()
	case marks&low4 != 0:
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16([16]byte(b))
}

// community is the Community ID v1 of the flow.
func (k *key) community() proto.CommunityID {
	var ports []byte
	if k[keyMarks]&portsNone == 0 {
		ports = k[keyPorts : keyPorts+4]
	}
	return communityID(k.addr(false), k.addr(true), k[keyProto], ports)
}

// CommunityID gives the Community ID v1, seed 0, of a flow (Corelight's public
// specification). For ICMP the ports are type and code; a transport without
// ports has zeros.
func CommunityID(transport proto.Transport, src, dst netip.Addr, srcPort, dstPort uint16) proto.CommunityID {
	k, _ := makeKey(&packet.Headers{
		Transport: transport, SrcIP: src.Unmap(), DstIP: dst.Unmap(), SrcPort: srcPort, DstPort: dstPort,
	})
	return k.community()
}

// communityID hashes seed 2 | low address | high address | protocol 1 | 0 1 | ports 4.
func communityID(low, high netip.Addr, transport byte, ports []byte) proto.CommunityID {
	var room [2 + 2*addrLength + 2 + 4]byte
	b := room[:2]
	for _, a := range [2]netip.Addr{low, high} {
		if a.Is4() {
			v := a.As4()
			b = append(b, v[:]...)
		} else {
			v := a.As16()
			b = append(b, v[:]...)
		}
	}
	b = append(b, transport, 0)
	b = append(b, ports...)
	return sha1.Sum(b) //nolint:gosec // Community ID v1 is defined with SHA-1
}

// counterpart gives the ICMP type that answers one, and that it answers, as Zeek
// and Community ID pair them (RFC 792, 950, 1256, 4443, 4861, 2710, 4620, 6275).
func counterpart(t proto.Transport, kind uint16) (uint16, bool) {
	if t == proto.ICMP {
		switch kind {
		case 0, 8: // echo
			return 8 - kind, true
		case 9, 10: // router advertisement, solicitation
			return 19 - kind, true
		case 13, 14: // timestamp
			return 27 - kind, true
		case 15, 16: // information
			return 31 - kind, true
		case 17, 18: // address mask
			return 35 - kind, true
		}
		return 0, false
	}
	switch kind {
	case 128, 129, // echo
		144, 145: // home agent address discovery
		return kind ^ 1, true
	case 130, 131: // multicast listener query, report
		return 261 - kind, true
	case 133, 134: // router solicitation, advertisement
		return 267 - kind, true
	case 135, 136: // neighbour solicitation, advertisement
		return 271 - kind, true
	case 139, 140: // node information
		return 279 - kind, true
	}
	return 0, false
}
