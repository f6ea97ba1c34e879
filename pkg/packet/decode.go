package packet

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/proto"
)

// maxTags bounds a stack of VLAN tags, and of headers that name what follows but
// count as no tunnel: more is an attack or garbage.
const maxTags = 8

// Decoder decodes the frames of one sensor, in order. The zero Decoder is ready
// to use; it must not be used by two goroutines at once.
//
// Everywhere in it, b is what was captured from some header on, and length what
// there was of it on the wire, or by the lengths in the headers around it.
type Decoder struct {
	Counters  Counters
	Fragments FragmentLimits // zero fields mean the defaults; set before the first Decode
	pending   fragments
	depth     int // link headers of the frame that led to another
}

// Decode fills h from one frame as captured at t, of which wireLen bytes were on
// the wire (at least len(frame)). On OK the headers are usable: with IP when
// h.IsIP, else down to the EtherType. On any other reason h is partly filled and
// the frame is counted.
func (d *Decoder) Decode(lt LinkType, t proto.Time, frame []byte, wireLen int, h *Headers) Reason {
	h.clear()
	h.Time, h.WireLen = t, max(wireLen, len(frame))
	h.CarrierMAC, h.VNI, h.NTunnels = false, 0, 0
	d.depth = 0
	var r Reason
	if lt == LinkEthernet {
		r = d.ethernet(frame, h.WireLen, h)
	} else {
		r = d.link(lt, frame, h.WireLen, h)
	}
	d.Counters[r]++
	return r
}

// link takes the link header off.
func (d *Decoder) link(lt LinkType, b []byte, length int, h *Headers) Reason {
	switch lt {
	case LinkEthernet:
		return d.ethernet(b, length, h)
	case LinkSLL:
		return d.cooked(b, length, h)
	case LinkSLL2:
		return d.cooked2(b, length, h)
	case LinkNull, LinkLoop:
		return d.loopback(b, length, h)
	case LinkRaw, LinkRawBSD, LinkRawOpen, LinkIPv4, LinkIPv6:
		return d.raw(b, length, h)
	case LinkWLAN:
		return d.wlan(b, length, 1, h)
	case LinkRadiotap:
		return d.radiotap(b, length, h)
	case LinkPrism, LinkAVS:
		return d.prism(b, length, h)
	case LinkPPP, LinkPPPHDLC:
		return d.hdlc(b, length, h)
	case LinkPPPEther:
		return d.pppoe(b, length, h)
	case LinkPPPPPPD, LinkPPPWithDir:
		return d.directed(b, length, h)
	case LinkCiscoHDLC:
		return d.ciscoHDLC(b, length, h)
	case LinkJuniper:
		return d.juniper(b, length, h)
	case LinkFrameRelay:
		return d.frameRelay(b, length, h)
	case LinkPPI, LinkPKTAP:
		return d.wrapped(lt, b, length, h)
	case LinkNFLog:
		return d.nflog(b, h)
	}
	return LinkUnsupported
}

// ethernet reads an Ethernet II or 802.3 header (IEEE 802.3 3.2).
func (d *Decoder) ethernet(b []byte, length int, h *Headers) Reason {
	if len(b) < 14 {
		return LinkCut
	}
	h.DstMAC = proto.MAC(b[0:6])
	h.SrcMAC = proto.MAC(b[6:12])
	h.CarrierMAC = false
	return d.tags(binary.BigEndian.Uint16(b[12:14]), b[14:], length-14, h)
}

// tags goes on by EtherType. It takes VLAN tags off (IEEE 802.1Q 9.6), and the tags
// of switches that stand in their place. A priority tag (VLAN 0) names no VLAN. Of more than two tags the
// outermost two are kept.
func (d *Decoder) tags(etherType uint16, b []byte, length int, h *Headers) Reason {
	for range maxTags {
		switch etherType {
		case EtherTypeIPv4:
			h.EtherType, h.LinkPayload = etherType, b
			return d.ipv4(b, length, h)
		case EtherTypeIPv6:
			h.EtherType, h.LinkPayload = etherType, b
			return d.ipv6(b, length, h)
		case EtherTypeVLAN, EtherTypeQinQ, etherTypeOldQ:
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
			etherType, b, length = binary.BigEndian.Uint16(b[2:]), b[4:], length-4
		default:
			size := tagSize(etherType, b)
			if size == 0 {
				return d.rarer(etherType, b, length, h)
			}
			if len(b) < size {
				return LinkCut
			}
			etherType, b, length = binary.BigEndian.Uint16(b[size-2:]), b[size:], length-size
		}
	}
	return LinkTags
}

// tagSize gives the size of a tag that is none of a VLAN, with the EtherType behind
// it; 0 for none.
//
// A MACsec tag leaves its frame readable where it is for integrity only (IEEE
// 802.1AE 9.3): tag control 8 | short length 8 | packet number 32 | channel 64,
// which is there where a bit says so.
func tagSize(etherType uint16, b []byte) int {
	const version, channel, encrypted = 0x80, 0x20, 0x0c
	switch {
	case etherType == etherTypeVNTag:
		return 6
	case etherType == etherTypeETag, etherType == etherTypeSGT:
		return 8
	case etherType != etherTypeMACsec, len(b) == 0, b[0]&(version|encrypted) != 0:
		return 0
	case b[0]&channel != 0:
		return 16
	}
	return 8
}

// rarer goes on by an EtherType that is neither IP's nor a tag's; below 0x600 the
// field is an 802.3 length, and LLC follows.
func (d *Decoder) rarer(etherType uint16, b []byte, length int, h *Headers) Reason {
	h.EtherType, h.LinkPayload = etherType, b
	switch etherType {
	case EtherTypeMPLS, etherTypeMPLSMulti:
		r, _ := d.mpls(b, length, h)
		return r
	case EtherTypePPPoE:
		return d.pppoe(b, length, h)
	case etherTypePBB, etherTypeFabricPath:
		return d.mac(etherType, b, length, h)
	case etherTypeNSH:
		return d.nsh(b, length, h)
	}
	if etherType >= 0x600 {
		return OK
	}
	if n := int(etherType); n < length {
		b, length = b[:min(n, len(b))], n // padding of a short frame
	}
	return d.llc(b, length, h)
}

// llc looks for SNAP, where LLC carries an EtherType (IEEE 802.2, RFC 1042, and
// the bridge tunnel encapsulation of IEEE 802.1H).
func (d *Decoder) llc(b []byte, length int, h *Headers) Reason {
	h.EtherType, h.LinkPayload = 0, b
	if !isSNAP(b) {
		return OK
	}
	snap := binary.BigEndian.Uint16(b[6:])
	if snap < 0x600 {
		return OK
	}
	if d.depth++; d.depth > maxTags {
		return LinkTags
	}
	return d.tags(snap, b[8:], length-8, h)
}

// isSNAP reports that LLC with an EtherType is at the start of b.
func isSNAP(b []byte) bool {
	return len(b) >= 8 && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 && b[3]|b[4] == 0 && (b[5] == 0 || b[5] == 0xf8)
}

// cooked reads LINKTYPE_LINUX_SLL: packet type, ARPHRD, address length, address
// of the sender (8 bytes), protocol.
func (d *Decoder) cooked(b []byte, length int, h *Headers) Reason {
	if len(b) < 16 {
		return LinkCut
	}
	if binary.BigEndian.Uint16(b[4:]) == 6 {
		h.SrcMAC = proto.MAC(b[6:12])
	}
	return d.tags(cookedType(binary.BigEndian.Uint16(b[14:])), b[16:], length-16, h)
}

// cooked2 reads LINKTYPE_LINUX_SLL2: protocol, reserved, interface, ARPHRD,
// packet type, address length, address of the sender (8 bytes).
func (d *Decoder) cooked2(b []byte, length int, h *Headers) Reason {
	if len(b) < 20 {
		return LinkCut
	}
	if b[11] == 6 {
		h.SrcMAC = proto.MAC(b[12:18])
	}
	return d.tags(cookedType(binary.BigEndian.Uint16(b)), b[20:], length-20, h)
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
func (d *Decoder) loopback(b []byte, length int, h *Headers) Reason {
	if len(b) < 4 {
		return LinkCut
	}
	family := binary.BigEndian.Uint32(b)
	if family > 0xffff {
		if family = binary.LittleEndian.Uint32(b); family > 0xffff { // some write Cisco's HDLC here
			return d.ciscoHDLC(b, length, h)
		}
	}
	b, length = b[4:], length-4
	switch family {
	case 2: // AF_INET everywhere
		h.EtherType, h.LinkPayload = EtherTypeIPv4, b
		return d.ipv4(b, length, h)
	case 10, 23, 24, 28, 30: // AF_INET6 of Linux, Windows, NetBSD, FreeBSD, macOS
		h.EtherType, h.LinkPayload = EtherTypeIPv6, b
		return d.ipv6(b, length, h)
	}
	h.LinkPayload = b
	return OK
}

// raw reads IP without a link header; the version is in the first nibble.
func (d *Decoder) raw(b []byte, length int, h *Headers) Reason {
	if len(b) == 0 {
		return LinkCut
	}
	h.LinkPayload = b
	switch b[0] >> 4 {
	case 4:
		h.EtherType = EtherTypeIPv4
		return d.ipv4(b, length, h)
	case 6:
		h.EtherType = EtherTypeIPv6
		return d.ipv6(b, length, h)
	}
	return IPMalformed
}
