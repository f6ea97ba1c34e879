package packet

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/proto"
)

// The UDP ports of tunnels (IANA; the second VXLAN port is Linux's first choice).
const (
	portL2TP    = 1701
	portGTP     = 2152
	portTeredo  = 3544
	portGRE     = 4754
	portVXLAN   = 4789
	portGPE     = 4790
	portCAPWAP  = 5247
	portGENEVE  = 6081
	portMPLS    = 6635
	portVXLANOf = 8472
	portLISP    = 4341
	portAYIYA   = 5072
	portTZSP    = 37008
)

// tunnelPorts has a bit for the last ten bits of each of them.
var tunnelPorts = func() (bits [16]uint64) {
	for _, p := range [...]uint16{
		portL2TP, portGTP, portTeredo, portGRE, portVXLAN, portGPE, portCAPWAP, portGENEVE, portMPLS, portVXLANOf, portLISP, portAYIYA,
		portTZSP,
	} {
		bits[p>>6&15] |= 1 << (p & 63)
	}
	return bits
}()

// mayTunnel is false for nearly all datagrams that carry no packet: inUDP need not
// look at them.
func mayTunnel(h *Headers) bool {
	src, dst := h.SrcPort, h.DstPort
	return (tunnelPorts[dst>>6&15]>>(dst&63)|tunnelPorts[src>>6&15]>>(src&63))&1 != 0 || (len(h.Payload) >= 40 && h.Payload[0]>>4 == 6)
}

// inUDP looks into a datagram that may carry a packet. The port makes a candidate
// of it, its structure decides; what comes to nothing stays a datagram.
func (d *Decoder) inUDP(h *Headers) Reason {
	b, length := h.Payload, h.PayloadLen
	for _, port := range [2]uint16{h.DstPort, h.SrcPort} {
		switch port {
		case portVXLAN, portVXLANOf, portGPE:
			return d.vxlan(port, b, length, h)
		case portGENEVE:
			return d.geneve(b, length, h)
		case portGRE:
			return d.gre(b, length, h)
		case portMPLS:
			r, _ := d.mpls(b, length, h)
			return r
		case portTZSP:
			return d.tzsp(b, length, h)
		case portGTP:
			return d.gtp(b, length, h)
		case portL2TP:
			return d.l2tp(b, length, h)
		case portCAPWAP:
			return d.capwap(b, length, h)
		case portTeredo:
			return d.teredo(b, length, h)
		case portAYIYA:
			return d.ayiya(b, length, h)
		case portLISP:
			return d.lisp(b, length, h)
		}
	}
	// Between two clients Teredo has ports of their own, but addresses of its prefix.
	if len(b) >= 40 && b[0]>>4 == 6 && (binary.BigEndian.Uint32(b[8:]) == 0x20010000 || binary.BigEndian.Uint32(b[24:]) == 0x20010000) {
		return d.teredo(b, length, h)
	}
	return OK
}

// vxlan reads a VXLAN header (RFC 7348 5), or that of its generic protocol
// extension (draft-ietf-nvo3-vxlan-gpe), where a flag says that the kind of content
// is given; at the port of that some forget the flag. The highest flag belongs to
// another extension, which has a group of the sender in place of the kind:
//
//	| flags 8 | reserved 16 | next protocol 8 | network 24 | reserved 8 |
func (d *Decoder) vxlan(port uint16, b []byte, length int, h *Headers) Reason {
	const valid, next, group = 0x08, 0x04, 0x80
	if len(b) < 8 || b[0]&valid == 0 {
		return OK
	}
	kind, etherType := TunnelVXLAN, etherTypeBridged
	if b[0]&group == 0 && (b[0]&next != 0 || (port == portGPE && b[3] != 0)) {
		kind, etherType = TunnelVXLANGPE, nextProtocol(b[3])
		if etherType == 0 {
			return OK
		}
	}
	r, _ := d.inside(kind, binary.BigEndian.Uint32(b[4:])>>8, etherType, b[8:], length-8, h)
	return r
}

// geneve reads a GENEVE header (RFC 8926 3.4):
//
//	| version 2 | options' length 6 | O 1 | C 1 | reserved 6 | protocol type 16 |
//	| network 24 | reserved 8 | options |
//
// Each option is class 16 | type 8 | reserved 3 | length 5, in units of 4 bytes
// without these; together they must come to what the header says.
func (d *Decoder) geneve(b []byte, length int, h *Headers) Reason {
	if len(b) < 8 || b[0]>>6 != 0 {
		return OK
	}
	end := 8 + int(b[0]&0x3f)*4
	if end > len(b) || end > length {
		return OK
	}
	at := 8
	for at < end {
		at += 4 + int(b[at+3]&0x1f)*4
	}
	etherType := binary.BigEndian.Uint16(b[2:])
	switch etherType {
	case etherTypeBridged, EtherTypeIPv4, EtherTypeIPv6, EtherTypeMPLS, etherTypeNSH:
	default:
		return OK
	}
	if at != end {
		return OK
	}
	r, _ := d.inside(TunnelGENEVE, binary.BigEndian.Uint32(b[4:])>>8, etherType, b[end:], length-end, h)
	return r
}

// gtp reads a GTP-U header (3GPP TS 29.281 5.1) with its extension headers, of
// messages that carry a packet (G-PDU):
//
//	| version 3 | PT 1 | spare 1 | E 1 | S 1 | PN 1 | message type 8 | length 16 |
//	| endpoint 32 |
//	E, S or PN: | sequence 16 | N-PDU 8 | next extension 8 |
//	extension: | length 8, in units of 4 bytes | content | next extension 8 |
func (d *Decoder) gtp(b []byte, length int, h *Headers) Reason {
	const gPDU = 255
	if len(b) < 8 || b[0]&0xf8 != 0x30 || b[1] != gPDU {
		return OK
	}
	end := 8 + int(binary.BigEndian.Uint16(b[2:]))
	if end > length {
		return OK
	}
	at := 8
	if b[0]&7 != 0 {
		at += 4
		next := b[0]&4 != 0
		for n := 0; next && at <= len(b) && b[at-1] != 0; n++ {
			if at >= len(b) || b[at] == 0 || n == maxExtensions {
				return OK
			}
			at += int(b[at]) * 4
		}
	}
	if at > len(b) || at > end || !fits(b[at:], end-at) {
		return OK
	}
	r, _ := d.inside(TunnelGTP, binary.BigEndian.Uint32(b[4:]), versionType(b[at:]), b[at:min(end, len(b))], end-at, h)
	return r
}

// teredo reads an IPv6 packet in UDP behind the indications that may stand before
// it (RFC 4380 5.1.1): authentication, and the origin's address. What is about the
// tunnel itself stays a datagram between its ends: bubbles, which have no payload,
// and the solicitations and advertisements of routers, which all clients send from
// one and the same address.
func (d *Decoder) teredo(b []byte, length int, h *Headers) Reason {
	if len(b) > 4 && b[0] == 0 && b[1] == 1 {
		n := 4 + int(b[2]) + int(b[3]) + 9
		if n > len(b) {
			return OK
		}
		b, length = b[n:], length-n
	}
	if len(b) > 8 && b[0] == 0 && b[1] == 0 {
		b, length = b[8:], length-8
	}
	if len(b) < 40 || b[0]>>4 != 6 || !fits(b, length) {
		return OK
	}
	const bubble, solicitation, advertisement = 59, 133, 134
	if b[6] == bubble || (b[6] == uint8(proto.ICMP6) && len(b) > 40 && (b[40] == solicitation || b[40] == advertisement)) {
		return OK
	}
	r, _ := d.inside(TunnelTeredo, 0, EtherTypeIPv6, b, length, h)
	return r
}

// ayiya reads AYIYA's header (draft-massar-v6ops-ayiya 3):
//
//	| identity's length, as power of 2, 4 | its type 4 | signature's length, in 4 bytes, 4 | hash 4 |
//	| authentication 4 | operation 4 | next header 8 | epoch 32 | identity | signature |
func (d *Decoder) ayiya(b []byte, length int, h *Headers) Reason {
	const forward = 1
	if len(b) < 8 || b[2]&15 != forward || b[0]>>4 > 8 {
		return OK
	}
	at := 8 + 1<<(b[0]>>4) + int(b[1]>>4)*4
	if at > len(b) || (b[3] != uint8(nextIPv4) && b[3] != uint8(nextIPv6)) || !fits(b[at:], length-at) {
		return OK
	}
	r, _ := d.inside(TunnelAYIYA, 0, versionType(b[at:]), b[at:], length-at, h)
	return r
}

// lisp reads a LISP data header (RFC 9300 5.3): flags N, L, E, V, I and 3 more |
// nonce or map versions 24 | instance 24 (I) | locator status 8. N, L and E, or V,
// exclude each other.
func (d *Decoder) lisp(b []byte, length int, h *Headers) Reason {
	const nonce, echo, version, instance = 0x80, 0x20, 0x10, 0x08
	if len(b) < 8 || b[0]&(nonce|version) == nonce|version || b[0]&(nonce|echo) == echo || !fits(b[8:], length-8) {
		return OK
	}
	var id uint32
	if b[0]&instance != 0 {
		id = binary.BigEndian.Uint32(b[4:]) >> 8
	}
	r, _ := d.inside(TunnelLISP, id, versionType(b[8:]), b[8:], length-8, h)
	return r
}

// l2tp reads a data message of L2TP version 2 (RFC 2661 3.1), which carries PPP:
//
//	| T 1 | L 1 | 2 | S 1 | 1 | O 1 | P 1 | 4 | version 4 | length 16 (L) |
//	| tunnel 16 | session 16 | Ns 16 (S) | Nr 16 (S) | offset 16 (O) | padding |
func (d *Decoder) l2tp(b []byte, length int, h *Headers) Reason {
	if len(b) < 6 {
		return OK
	}
	flags := binary.BigEndian.Uint16(b)
	if flags&0xb4ff != 2 { // T, the reserved bits and the version
		return OK
	}
	at, end := 2, length
	if flags&0x4000 != 0 {
		if end = int(binary.BigEndian.Uint16(b[2:])); end > length {
			return OK
		}
		at += 2
	}
	if len(b) < at+4 {
		return OK
	}
	id := binary.BigEndian.Uint32(b[at:])
	at += 4
	if flags&0x0800 != 0 {
		at += 4
	}
	if flags&0x0200 != 0 {
		if len(b) < at+2 {
			return OK
		}
		at += 2 + int(binary.BigEndian.Uint16(b[at:]))
	}
	if at >= end || at >= len(b) {
		return OK
	}
	r, _ := d.inside(TunnelL2TP, id, EtherTypePPP, b[at:min(end, len(b))], end-at, h)
	return r
}

// capwap reads a CAPWAP data header (RFC 5415 4.3), unless it is encrypted, a
// keep-alive or a fragment:
//
//	| version 4 | type 4 | length 5 | radio 5 | binding 5 | T 1 | F 1 | L 1 | W 1 | M 1 | K 1 | flags 3 |
//	| fragment 16 | offset 13 | reserved 3 | radio's MAC | wireless information |
//
// T says that the content is an 802.11 frame, not one of Ethernet. Many access
// points swap the two bytes of its control: the one with the kind, data, tells.
func (d *Decoder) capwap(b []byte, length int, h *Headers) Reason {
	if len(b) < 8 {
		return OK
	}
	v := binary.BigEndian.Uint32(b)
	size := int(v>>19&0x1f) * 4
	if v>>24 != 0 || size < 8 || size > len(b) || size > length || v&0x08 != 0 {
		return OK
	}
	if v&0x80 != 0 {
		d.Counters[LinkFragment]++
		return OK
	}
	etherType := etherTypeBridged
	if v&0x100 != 0 {
		etherType = typeWLAN
		if len(b) > size+1 && b[size]&0x0f != 8 && b[size+1]&0x0f == 8 {
			etherType = typeWLANSwapped
		}
	}
	r, _ := d.inside(TunnelCAPWAP, 0, etherType, b[size:], length-size, h)
	return r
}

// tzsp reads a TZSP header, as sniffers in access points and MikroTik's routers
// send: version 8 | type 8 | encapsulation 16, then tags of number 8 | length 8 |
// value, of which 0 (padding) and 1 (the end) are the number alone.
func (d *Decoder) tzsp(b []byte, length int, h *Headers) Reason {
	if len(b) < 5 || b[0] != 1 || b[1] > 1 {
		return OK
	}
	at := 4
	for at < len(b) && b[at] != 1 {
		switch {
		case b[at] == 0:
			at++
		case at+1 < len(b):
			at += 2 + int(b[at+1])
		default:
			return OK
		}
	}
	if at++; at >= len(b) || at >= length {
		return OK
	}
	etherType := etherTypeBridged
	switch binary.BigEndian.Uint16(b[2:]) {
	case 1:
	case 18:
		etherType = typeWLAN
	default:
		return OK
	}
	r, _ := d.inside(TunnelTZSP, 0, etherType, b[at:], length-at, h)
	return r
}
