package packet

import (
	"encoding/binary"
	"net/netip"

	"github.com/wardflow/wardflow/proto"
)

// maxExtensions bounds a chain of IPv6 extension headers; RFC 8200 4.1 names
// seven, each at most once or twice.
const maxExtensions = 16

// The IPv6 next-header values that are walked over (IANA).
const (
	nextHopByHop    = 0
	nextRouting     = 43
	nextFragment    = 44
	nextDestination = 60
)

// ipv4 reads an IPv4 header (RFC 791 3.1) at the start of b:
//
//	 0       1       2       3
//	+-------+-------+---------------+
//	|ver|ihl| tos   | total length  |
//	+-------+-------+---------------+
//	| identification|flg| offset    |
//	+-------+-------+---------------+
//	| ttl   | proto | checksum      |
//	+-------+-------+---------------+
//	| source, destination, options  |
//
// A total length of 0 is what segmentation offload leaves in packets that the
// capturing host sends itself, and in packets longer than the field can say: then
// what is around the packet gives its length.
func (d *Decoder) ipv4(b []byte, length int, h *Headers) Reason {
	if len(b) < 20 {
		return IPCut
	}
	ihl := int(b[0]&15) * 4
	if b[0]>>4 != 4 || ihl < 20 {
		return IPMalformed
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = length
	}
	if total < ihl {
		return IPMalformed
	}
	if len(b) < ihl {
		return IPCut
	}
	h.SrcIP = netip.AddrFrom4([4]byte(b[12:16]))
	h.DstIP = netip.AddrFrom4([4]byte(b[16:20]))
	h.TTL = b[8]
	h.IPBytes = total
	h.Transport = proto.Transport(b[9])
	body := b[ihl:min(total, len(b))]
	if frag := binary.BigEndian.Uint16(b[6:]); frag&0x3fff != 0 {
		return d.fragment(h, body, total-ihl, piece{
			id: uint32(binary.BigEndian.Uint16(b[4:])), offset: int(frag&0x1fff) * 8, more: frag&0x2000 != 0,
		})
	}
	return d.transport(body, total-ihl, h)
}

// ipv6 reads an IPv6 header (RFC 8200 3) and walks its extension headers. A
// payload length of 0 is a jumbogram (RFC 2675) or segmentation offload: then
// what is around the packet gives its length.
func (d *Decoder) ipv6(b []byte, around int, h *Headers) Reason {
	if len(b) < 40 {
		return IPCut
	}
	if b[0]>>4 != 6 {
		return IPMalformed
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length == 0 && b[6] != 59 {
		length = max(around-40, 0)
	}
	h.SrcIP = netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	h.DstIP = netip.AddrFrom16([16]byte(b[24:40])).Unmap()
	h.TTL = b[7]
	h.IPBytes = 40 + length
	return d.extensions(b[6], b[40:min(40+length, len(b))], length, h)
}

// extensions walks from extension header to extension header, next being the
// kind of the first; length is what the headers say of len(b).
func (d *Decoder) extensions(next uint8, b []byte, length int, h *Headers) Reason {
	for range maxExtensions {
		size := 8
		switch next {
		case nextHopByHop, nextRouting, nextDestination, uint8(nextAH), nextFragment:
			if length < 8 {
				return IPExtension
			}
			if len(b) < 8 {
				return IPCut
			}
		default:
			h.Transport = proto.Transport(next)
			return d.transport(b, length, h)
		}
		switch next {
		case uint8(nextAH): // length in 4-byte units less 2 (RFC 4302 2.2)
			size = int(b[1])*4 + 8
		case nextFragment:
			if h.Fragment.Count > 0 {
				return IPExtension // a fragment inside what was put together from fragments
			}
			frag := binary.BigEndian.Uint16(b[2:])
			if frag&^6 != 0 { // else an atomic fragment (RFC 6946), which is whole
				h.Transport = proto.Transport(b[0])
				return d.fragment(h, b[8:], length-8, piece{
					id: binary.BigEndian.Uint32(b[4:]), offset: int(frag &^ 7), more: frag&1 != 0, v6: true,
				})
			}
		default:
			size = int(b[1])*8 + 8
		}
		if size > length {
			return IPExtension
		}
		if size > len(b) {
			return IPCut
		}
		next, b, length = b[0], b[size:], length-size
	}
	return IPExtension
}
