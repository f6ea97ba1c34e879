package packet_test

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// The builders below make frames for the tests: each puts a header before what
// it carries, lengths right, checksums zero.

var (
	macA = proto.MAC{2, 0, 0, 0, 0, 0xa}
	macB = proto.MAC{2, 0, 0, 0, 0, 0xb}
	ipA  = netip.MustParseAddr("10.0.0.1")
	ipB  = netip.MustParseAddr("10.0.0.2")
	ip6A = netip.MustParseAddr("2001:db8::1")
	ip6B = netip.MustParseAddr("2001:db8::2")
)

func be16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func be32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

func ether(etherType int, body []byte, tags ...int) []byte {
	b := slices.Concat(macB[:], macA[:])
	for _, t := range tags {
		b = append(append(b, 0x81, 0), be16(t)...)
	}
	return slices.Concat(b, be16(etherType), body)
}

func ip4(transport proto.Transport, body []byte) []byte { return ip4f(transport, 0, 0, body) }

// ip4f is a fragment: the flags and offset field as on the wire.
func ip4f(transport proto.Transport, id, frag int, body []byte) []byte {
	return slices.Concat([]byte{0x45, 0}, be16(20+len(body)), be16(id), be16(frag),
		[]byte{64, byte(transport), 0, 0}, ipA.AsSlice(), ipB.AsSlice(), body)
}

func ip6(next int, body []byte) []byte {
	return slices.Concat([]byte{0x60, 0, 0, 0}, be16(len(body)), []byte{byte(next), 255}, ip6A.AsSlice(), ip6B.AsSlice(), body)
}

func udp(src, dst int, payload []byte) []byte {
	return slices.Concat(be16(src), be16(dst), be16(8+len(payload)), be16(0), payload)
}

func tcp(src, dst int, flags uint8, seq int, payload []byte) []byte {
	return slices.Concat(be16(src), be16(dst), be32(seq), be32(7), []byte{0x60, flags}, be16(512), be32(0),
		[]byte{2, 4, 5, 0xb4}, payload)
}
