package packet

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/proto"
)

// transport reads the transport header at the start of b; length is what the IP
// header says of len(b), which is less where the snaplen cut. A header that is
// cut behind its ports still tells its flow, so it is used.
func (d *Decoder) transport(b []byte, length int, h *Headers) Reason {
	switch h.Transport {
	case proto.TCP:
		return tcp(b, length, h)
	case proto.UDP:
		if r := enough(b, length, 8, 4); r != OK {
			return r
		}
		h.ports(b)
		if len(b) >= 6 {
			// The UDP length may say that bytes of the IP payload are not UDP's; 0 is
			// a jumbogram or segmentation offload.
			if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && n < length {
				length = n
				b = b[:min(n, len(b))]
			}
		}
		h.split(b, length, 8)
		if mayTunnel(h) {
			return d.inUDP(h)
		}
	case proto.SCTP:
		if r := enough(b, length, 12, 4); r != OK {
			return r
		}
		h.ports(b)
		h.split(b, length, 12)
	case proto.ICMP, proto.ICMP6:
		if r := enough(b, length, 4, 2); r != OK {
			return r
		}
		h.SrcPort, h.DstPort = uint16(b[0]), uint16(b[1])
		h.split(b, length, min(8, length))
	case nextIPv4, nextIPv6, nextGRE, nextEtherIP, nextMPLS, nextEthernet:
		return d.inIP(b, length, h)
	case nextAH:
		return d.authenticated(b, length, h)
	default:
		h.PayloadLen, h.Payload = length, b
	}
	return OK
}

// authenticated walks over an IPv4 packet's authentication header (RFC 4302 2.2),
// behind which the payload is readable: next header 8 | length 8, in 4 bytes less
// 2, | ...
func (d *Decoder) authenticated(b []byte, length int, h *Headers) Reason {
	h.PayloadLen, h.Payload = length, b
	if len(b) < 12 || b[1] == 0 {
		return OK
	}
	size := int(b[1])*4 + 8
	if size > len(b) || size > length || d.depth == maxTags {
		return OK
	}
	d.depth++
	h.Transport = proto.Transport(b[0])
	return d.transport(b[size:], length-size, h)
}

// tcp reads a TCP header (RFC 9293 3.1). Up to the flags it must be there.
func tcp(b []byte, length int, h *Headers) Reason {
	if r := enough(b, length, 20, 14); r != OK {
		return r
	}
	size := int(b[12]>>4) * 4
	if size < 20 || size > length {
		return TransportMalformed
	}
	h.ports(b)
	h.Seq = binary.BigEndian.Uint32(b[4:])
	h.Ack = binary.BigEndian.Uint32(b[8:])
	h.TCPFlags = b[13]
	if len(b) >= 16 {
		h.Window = binary.BigEndian.Uint16(b[14:])
	}
	h.split(b, length, size)
	return OK
}

// enough tells a header that the snaplen cut below what is needed from one that
// the packet itself has no room for.
func enough(b []byte, length, size, needed int) Reason {
	if length < size {
		return TransportMalformed
	}
	if len(b) < needed {
		return TransportCut
	}
	return OK
}

func (h *Headers) ports(b []byte) {
	h.SrcPort = binary.BigEndian.Uint16(b)
	h.DstPort = binary.BigEndian.Uint16(b[2:])
}

// split parts the transport header of size bytes from its payload.
func (h *Headers) split(b []byte, length, size int) {
	h.PayloadLen = length - size
	n := min(size, len(b))
	h.Header, h.Payload = b[:n], b[n:]
}
