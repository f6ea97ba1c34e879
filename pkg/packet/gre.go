package packet

import "encoding/binary"

// The protocol types of GRE that are no EtherTypes of Ethernet (IANA, Cisco,
// Aruba, MikroTik).
const (
	greERSPAN3 uint16 = 0x22eb
	greEoIP    uint16 = 0x6400
	greWCCP    uint16 = 0x883e
	greERSPAN  uint16 = 0x88be // types I and II
	greWLAN    uint16 = 0x8200 // to 0x83ff: Aruba's, of an access point
)

// What stands for an 802.11 frame, which has no EtherType.
const (
	typeWLAN        uint16 = 1
	typeWLANSwapped uint16 = 2 // the two bytes of its control are the other way round
)

// maxSources bounds the source route entries of RFC 1701.
const maxSources = 32

// payload reads what a tunnel carries.
func (d *Decoder) payload(etherType uint16, b []byte, length int, h *Headers) Reason {
	switch etherType {
	case etherTypeBridged:
		return d.ethernet(b, length, h)
	case typeWLAN:
		return d.wlan(b, length, 1, h)
	case typeWLANSwapped:
		if len(b) < 2 {
			return LinkCut
		}
		return d.wlanFrame(b[1], b[0], b, length, 1, h)
	case EtherTypePPP:
		return d.ppp(b, length, h)
	}
	return d.tags(etherType, b, length, h)
}

// gre reads a GRE header (RFC 2784, 2890, 1701; version 1: RFC 2637):
//
//	|C|R|K|S|s|rec|A|flags|ver| protocol type |
//	| checksum (C or R)       | offset        |
//	| key (K); version 1: payload length | call id |
//	| sequence number (S)                     |
//	| routing (R); version 1: acknowledgement number (A) |
//
// What has no packet inside (keep-alives, link control, unknown protocols) stays
// a GRE packet.
func (d *Decoder) gre(b []byte, length int, h *Headers) Reason {
	if len(b) < 4 {
		return OK
	}
	flags, protocol := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if flags&7 == 1 {
		return d.gre1(flags, protocol, b, length, h)
	}
	if flags&7 != 0 {
		return OK
	}
	at := 4
	if flags&0xc000 != 0 {
		at += 4
	}
	var key uint32
	if flags&0x2000 != 0 {
		if len(b) < at+4 {
			return OK
		}
		key = binary.BigEndian.Uint32(b[at:])
		at += 4
	}
	sequence := flags&0x1000 != 0
	if sequence {
		at += 4
	}
	if flags&0x4000 != 0 {
		at = routed(b, at)
	}
	if at < 0 || at > len(b) || at > length {
		return OK
	}
	return d.greBody(protocol, key, sequence, b[at:], length-at, h)
}

// routed skips the source route entries of RFC 1701: address family 2 | offset 1 |
// length 1 | address, up to one of length 0. It gives -1 where they do not end.
func routed(b []byte, at int) int {
	for range maxSources {
		if at+4 > len(b) {
			return -1
		}
		size := int(b[at+3])
		at += 4 + size
		if size == 0 {
			return at
		}
	}
	return -1
}

// greBody goes on by the protocol type of GRE version 0.
func (d *Decoder) greBody(protocol uint16, key uint32, sequence bool, b []byte, length int, h *Headers) Reason {
	kind := TunnelGRE
	switch protocol {
	case EtherTypeIPv4, EtherTypeIPv6, EtherTypeMPLS, etherTypeMPLSMulti, EtherTypeVLAN, etherTypeNSH, EtherTypePPP:
	case etherTypeBridged:
		// Virtual subnets begin at 0x1000; the last byte of the key tells flows apart.
		if !sequence && key >= 0x1000<<8 {
			kind, key = TunnelNVGRE, key>>8
		}
	case greWCCP:
		kind, protocol = TunnelWCCP, EtherTypeIPv4
		if len(b) > 4 && b[0]>>4 != 4 { // version 2: a redirect header of 4 bytes
			b, length = b[4:], length-4
		}
	case greERSPAN, greERSPAN3:
		return d.erspan(protocol, sequence, b, length, h)
	default:
		if protocol&^0x1ff != greWLAN {
			return OK
		}
		protocol = typeWLAN
	}
	r, _ := d.inside(kind, key, protocol, b, length, h)
	return r
}

// gre1 reads the rest of a PPTP data packet (RFC 2637 4.1), or of MikroTik's
// Ethernet over IP, which looks like one: there the call id is the tunnel's, in
// the other byte order. An acknowledgement alone carries nothing.
func (d *Decoder) gre1(flags, protocol uint16, b []byte, length int, h *Headers) Reason {
	if len(b) < 8 || flags&0x2000 == 0 {
		return OK
	}
	size, id := int(binary.BigEndian.Uint16(b[4:])), binary.BigEndian.Uint16(b[6:])
	at := 8
	if flags&0x1000 != 0 {
		at += 4
	}
	if flags&0x0080 != 0 {
		at += 4
	}
	if size == 0 || at > len(b) || at+size > length {
		return OK
	}
	b = b[at:min(at+size, len(b))]
	var r Reason
	switch protocol {
	case EtherTypePPP:
		r, _ = d.inside(TunnelPPTP, uint32(id), EtherTypePPP, b, size, h)
	case greEoIP:
		r, _ = d.inside(TunnelEoIP, uint32(id>>8|id<<8), etherTypeBridged, b, size, h)
	}
	return r
}

// erspan reads what Cisco's switches put between GRE and a mirrored frame
// (draft-foschiano-erspan). Type I has nothing, which shows in the missing GRE
// sequence number. Types II and III, and their optional subheader:
//
//	| version 4 | VLAN 12 | CoS 3 | encapsulation 2 | truncated 1 | session 10 |
//	II:  | reserved 12 | index 20 |
//	III: | time stamp 32 | security group 16 | P 1 | frame type 5 | hardware 6 | D 1 | granularity 2 | O 1 |
//	O:   | platform specific, 64 |
func (d *Decoder) erspan(protocol uint16, sequence bool, b []byte, length int, h *Headers) Reason {
	if len(b) < 12 {
		return OK
	}
	var id uint32
	etherType, skip := etherTypeBridged, 0
	switch version := b[0] >> 4; {
	case protocol == greERSPAN3 && version == 2:
		skip = 12
		if b[11]&1 != 0 {
			skip += 8
		}
		switch b[10] >> 2 & 0x1f {
		case 0:
		case 2:
			etherType = 0
		default:
			return OK
		}
	case protocol == greERSPAN && sequence && version == 1:
		skip = 8
	case protocol != greERSPAN || !bridged(b, length, false):
		return OK
	}
	if skip > 0 {
		id = uint32(binary.BigEndian.Uint16(b[2:]) & 0x3ff)
	}
	if skip >= len(b) {
		return OK
	}
	b = b[skip:]
	if etherType == 0 {
		etherType = versionType(b)
	}
	r, _ := d.inside(TunnelERSPAN, id, etherType, b, length-skip, h)
	return r
}
