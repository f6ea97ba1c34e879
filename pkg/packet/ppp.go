package packet

import "encoding/binary"

// The PPP protocols that carry packets (IANA).
const (
	pppIPv4      = 0x0021
	pppBridged   = 0x0031
	pppMultilink = 0x003d
	pppIPv6      = 0x0057
	pppMPLS      = 0x0281
	pppMPLSMulti = 0x0283
)

// pppoe reads a PPPoE session header (RFC 2516 4): version 4 | type 4 | code 8 |
// session 16 | length 16, then PPP.
func (d *Decoder) pppoe(b []byte, length int, h *Headers) Reason {
	h.EtherType, h.LinkPayload = EtherTypePPPoE, b
	if len(b) < 6 {
		return LinkCut
	}
	if b[0] != 0x11 || b[1] != 0 {
		return OK
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	b, length = b[6:], length-6
	if size < length {
		b, length = b[:min(size, len(b))], size
	}
	r, _ := d.inside(TunnelPPPoE, uint32(binary.BigEndian.Uint16(h.LinkPayload[2:])), EtherTypePPP, b, length, h)
	return r
}

// ppp reads a PPP header (RFC 1661 2), with HDLC's address and control or without,
// and with its protocol in one byte where the peers have agreed on that. What is
// not a packet (link control, authentication, compressed or encrypted) is a frame
// without IP.
func (d *Decoder) ppp(b []byte, length int, h *Headers) Reason {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b, length = b[2:], length-2
	}
	h.EtherType, h.LinkPayload = EtherTypePPP, b
	if len(b) < 1 {
		return LinkCut
	}
	protocol, at := int(b[0]), 1
	if protocol&1 == 0 {
		if len(b) < 2 {
			return LinkCut
		}
		protocol, at = protocol<<8|int(b[1]), 2
	}
	b, length = b[at:], length-at
	switch protocol {
	case pppIPv4:
		return d.tags(EtherTypeIPv4, b, length, h)
	case pppIPv6:
		return d.tags(EtherTypeIPv6, b, length, h)
	case pppMPLS, pppMPLSMulti:
		return d.tags(EtherTypeMPLS, b, length, h)
	case pppMultilink:
		d.Counters[LinkFragment]++
	case pppBridged: // RFC 3518: flags 8, of which the last four are pads at the end | kind of MAC 8
		if len(b) >= 2 && b[1] == 1 {
			return d.ethernet(b[2:], length-2, h)
		}
	}
	return OK
}

// hdlc reads LINKTYPE_PPP and LINKTYPE_PPP_HDLC: where the address is one of
// Cisco's, the frame is of Cisco's HDLC.
func (d *Decoder) hdlc(b []byte, length int, h *Headers) Reason {
	if len(b) >= 2 && (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0 {
		return d.ciscoHDLC(b, length, h)
	}
	return d.ppp(b, length, h)
}

// directed reads PPP behind a byte that says which way it went; in
// LINKTYPE_PPP_PPPD that stands in place of HDLC's address.
func (d *Decoder) directed(b []byte, length int, h *Headers) Reason {
	if len(b) < 2 {
		return LinkCut
	}
	if b[0] != 0xff && b[1] == 3 {
		return d.ppp(b[2:], length-2, h)
	}
	return d.ppp(b[1:], length-1, h)
}

// ciscoHDLC reads address 8 | control 8 | protocol 16, which is an EtherType.
func (d *Decoder) ciscoHDLC(b []byte, length int, h *Headers) Reason {
	if len(b) < 4 {
		return LinkCut
	}
	etherType := binary.BigEndian.Uint16(b[2:])
	if etherType == 0xfefe { // OSI behind LLC
		etherType = 0x5ff
	}
	return d.tags(etherType, b[4:], length-4, h)
}

// frameRelay reads a Q.922 address of two to four bytes, then a control byte and
// the protocol (RFC 2427 3), or, as Cisco has it, an EtherType.
func (d *Decoder) frameRelay(b []byte, length int, h *Headers) Reason {
	at := 0
	for at < 4 && at < len(b) && b[at]&1 == 0 {
		at++
	}
	if at++; len(b) < at+2 {
		return LinkCut
	}
	b, length = b[at:], length-at
	if b[0] != 3 {
		return d.tags(binary.BigEndian.Uint16(b), b[2:], length-2, h)
	}
	b, length = b[1:], length-1
	if b[0] == 0 { // pad
		b, length = b[1:], length-1
	}
	h.LinkPayload = b
	switch {
	case len(b) < 1:
		return LinkCut
	case b[0] == 0xcc:
		return d.tags(EtherTypeIPv4, b[1:], length-1, h)
	case b[0] == 0x8e:
		return d.tags(EtherTypeIPv6, b[1:], length-1, h)
	case b[0] == 0xcf:
		return d.ppp(b[1:], length-1, h)
	case b[0] == 0x80 && len(b) >= 6 && b[1]|b[2]|b[3] == 0:
		return d.tags(binary.BigEndian.Uint16(b[4:]), b[6:], length-6, h)
	case b[0] == 0x80 && len(b) >= 6 && binary.BigEndian.Uint32(b[1:]) == 0x0080c200 && (b[5] == 1 || b[5] == 7): // bridged, the former with a check sequence
		return d.ethernet(b[6:], length-6, h)
	}
	return OK
}
