package packet

import "encoding/binary"

// maxLabels bounds a stack of MPLS labels.
const maxLabels = 16

// mpls takes a label stack off (RFC 3032 2.1), entries of
// label 20 | traffic class 3 | bottom of stack 1 | TTL 8. Nothing says what
// follows: IP by its version, where its length agrees, else an Ethernet
// pseudowire (RFC 4448) with or without a control word, else something that stays
// a frame without IP.
func (d *Decoder) mpls(b []byte, length int, h *Headers) (r Reason, entered bool) {
	var entry uint32
	for n := 0; entry&0x100 == 0; n++ {
		if len(b) < 4 || n == maxLabels {
			return OK, false
		}
		entry, b, length = binary.BigEndian.Uint32(b), b[4:], length-4
	}
	if h.NTunnels == MaxTunnels {
		d.Counters[TunnelDeep]++
		return OK, false
	}
	label := entry >> 12
	if fits(b, length) {
		if r, entered = d.inside(TunnelMPLS, label, versionType(b), b, length, h); entered {
			return r, true
		}
	}
	if len(b) > 4 && b[0]>>4 == 0 && bridged(b[4:], length-4, false) {
		if r, entered = d.inside(TunnelMPLS, label, etherTypeBridged, b[4:], length-4, h); entered {
			return r, true
		}
	}
	return d.inside(TunnelMPLS, label, etherTypeBridged, b, length, h)
}

// mac takes off what stands between a provider's or a switch's frame and that of
// whoever sent it: flags 8 | service 24 (IEEE 802.1ah 9.7), or tree 10 | TTL 6
// (FabricPath).
func (d *Decoder) mac(etherType uint16, b []byte, length int, h *Headers) Reason {
	if len(b) < 4 {
		return LinkCut
	}
	kind, id, size := TunnelPBB, binary.BigEndian.Uint32(b)&0xffffff, 4
	if etherType == etherTypeFabricPath {
		kind, id, size = TunnelFabricPath, uint32(binary.BigEndian.Uint16(b)>>6), 2
	}
	r, _ := d.inside(kind, id, etherTypeBridged, b[size:], length-size, h)
	return r
}

// nsh takes a network service header off (RFC 8300 2):
//
//	| version 2 | O 1 | U 1 | TTL 6 | length 6 | U 4 | MD type 4 | next protocol 8 |
//	| service path 24 | service index 8 | context, to length times 4 bytes |
func (d *Decoder) nsh(b []byte, length int, h *Headers) Reason {
	if len(b) < 8 {
		return LinkCut
	}
	head := binary.BigEndian.Uint32(b)
	size := int(head>>16&0x3f) * 4
	etherType := nextProtocol(uint8(head))
	if head>>30 != 0 || size < 8 || size > len(b) || size > length || etherType == 0 {
		return OK
	}
	r, _ := d.inside(TunnelNSH, binary.BigEndian.Uint32(b[4:])>>8, etherType, b[size:], length-size, h)
	return r
}

// nextProtocol gives the EtherType of a next protocol of NSH or VXLAN-GPE (IANA),
// 0 for none.
func nextProtocol(n uint8) uint16 {
	switch n {
	case 1:
		return EtherTypeIPv4
	case 2:
		return EtherTypeIPv6
	case 3:
		return etherTypeBridged
	case 4:
		return etherTypeNSH
	case 5:
		return EtherTypeMPLS
	}
	return 0
}
