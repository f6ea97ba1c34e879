package packet

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/proto"
)

// maxTags bounds a stack of VLAN tags: more is an attack or garbage.
const maxTags = 8

// Decoder decodes the frames of one sensor, in order. The zero Decoder is ready
// to use; it must not be used by two goroutines at once.
type Decoder struct {
	Counters  Counters
	Fragments FragmentLimits // zero fields mean the defaults; set before the first Decode
	pending   fragments
	room      int // capacity of the frame being decoded
}

// Decode fills h from one frame as captured at t, of which wireLen bytes were on
// the wire (at least len(frame)). On OK the headers are usable: with IP when
// h.IsIP, else down to the EtherType. On any other reason h is partly filled and
// the frame is counted.
func (d *Decoder) Decode(lt LinkType, t proto.Time, frame []byte, wireLen int, h *Headers) Reason {
	h.clear()
	h.Time = t
	h.WireLen = max(wireLen, len(frame))
	d.room = cap(frame)
	r := d.link(lt, frame, h)
	d.Counters[r]++
	return r
}

// link takes the link header off.
func (d *Decoder) link(lt LinkType, b []byte, h *Headers) Reason {
	switch lt {
	case LinkEthernet:
		return d.ethernet(b, h)
	case LinkSLL:
		return d.cooked(b, h)
	case LinkSLL2:
		return d.cooked2(b, h)
	case LinkNull, LinkLoop:
		return d.loopback(b, h)
	case LinkRaw, LinkRawBSD, LinkRawOpen, LinkIPv4, LinkIPv6:
		if len(b) == 0 {
			return LinkCut
		}
		return d.raw(b, h)
	}
	return LinkUnsupported
}

// ethernet reads an Ethernet II or 802.3 header (IEEE 802.3 3.2).
func (d *Decoder) ethernet(b []byte, h *Headers) Reason {
	if len(b) < 14 {
		return LinkCut
	}
	h.DstMAC = proto.MAC(b[0:6])
	h.SrcMAC = proto.MAC(b[6:12])
	return d.tags(binary.BigEndian.Uint16(b[12:14]), b[14:], h)
}

// tags takes VLAN tags off (IEEE 802.1Q 9.6). A priority tag (VLAN 0) names no
// VLAN. Of more than two tags the outermost two are kept.
func (d *Decoder) tags(etherType uint16, b []byte, h *Headers) Reason {
	for range maxTags {
		switch etherType {
		case EtherTypeVLAN, EtherTypeQinQ, etherTypeOldQ:
		default:
			return d.network(etherType, b, h)
		}
		if len(b) < 4 {
			return LinkCut
		}
		vlan := proto.VLAN(binary.BigEndian.Uint16(b) & 0x0fff)
		switch {
		case h.VLAN == 0:
			h.VLAN = vlan
		case h.VLANInner == 0:
			h.VLANInner = vlan
		}
		etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	return LinkTags
}

// network goes on by EtherType; below 0x600 the field is an 802.3 length, and
// LLC follows (IEEE 802.2), with SNAP where it carries an EtherType (RFC 1042).
func (d *Decoder) network(etherType uint16, b []byte, h *Headers) Reason {
	h.EtherType, h.LinkPayload = etherType, b
	switch {
	case etherType == EtherTypeIPv4:
		return d.ipv4(b, h)
	case etherType == EtherTypeIPv6:
		return d.ipv6(b, h)
	case etherType >= 0x600:
		return OK
	}
	h.EtherType = 0
	if n := int(etherType); n < len(b) {
		b = b[:n] // padding of a short frame
		h.LinkPayload = b
	}
	if len(b) >= 8 && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 && b[3]|b[4]|b[5] == 0 {
		if snap := binary.BigEndian.Uint16(b[6:]); snap >= 0x600 {
			return d.tags(snap, b[8:], h)
		}
	}
	return OK
}

// cooked reads LINKTYPE_LINUX_SLL: packet type, ARPHRD, address length, address
// of the sender (8 bytes), protocol.
func (d *Decoder) cooked(b []byte, h *Headers) Reason {
	if len(b) < 16 {
		return LinkCut
	}
	if binary.BigEndian.Uint16(b[4:]) == 6 {
		h.SrcMAC = proto.MAC(b[6:12])
	}
	return d.tags(cookedType(binary.BigEndian.Uint16(b[14:])), b[16:], h)
}

// cooked2 reads LINKTYPE_LINUX_SLL2: protocol, reserved, interface, ARPHRD,
// packet type, address length, address of the sender (8 bytes).
func (d *Decoder) cooked2(b []byte, h *Headers) Reason {
	if len(b) < 20 {
		return LinkCut
	}
	if b[11] == 6 {
		h.SrcMAC = proto.MAC(b[12:18])
	}
	return d.tags(cookedType(binary.BigEndian.Uint16(b)), b[20:], h)
}

// cookedType maps the small numbers that Linux uses for frames without an
// EtherType (LINUX_SLL_P_802_2 and the like) to "LLC follows, of any length".
func cookedType(p uint16) uint16 {
	if p < 0x600 {
		return 0x5ff
	}
	return p
}

// loopback reads the address family of LINKTYPE_NULL and LINKTYPE_LOOP. Its byte
// order is the capturing host's for the former, so whichever gives a small number.
func (d *Decoder) loopback(b []byte, h *Headers) Reason {
	if len(b) < 4 {
		return LinkCut
	}
	family := binary.BigEndian.Uint32(b)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(b)
	}
	b = b[4:]
	switch family {
	case 2: // AF_INET everywhere
		h.EtherType, h.LinkPayload = EtherTypeIPv4, b
		return d.ipv4(b, h)
	case 10, 23, 24, 28, 30: // AF_INET6 of Linux, Windows, NetBSD, FreeBSD, macOS
		h.EtherType, h.LinkPayload = EtherTypeIPv6, b
		return d.ipv6(b, h)
	}
	h.LinkPayload = b
	return OK
}

// raw reads IP without a link header; the version is in the first nibble.
func (d *Decoder) raw(b []byte, h *Headers) Reason {
	h.LinkPayload = b
	switch b[0] >> 4 {
	case 4:
		h.EtherType = EtherTypeIPv4
		return d.ipv4(b, h)
	case 6:
		h.EtherType = EtherTypeIPv6
		return d.ipv6(b, h)
	}
	return IPMalformed
}
