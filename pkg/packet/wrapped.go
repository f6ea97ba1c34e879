package packet

import "encoding/binary"

// wrapped reads headers of a capturing host that name the link type behind them:
//
//	PPI:   version 8 | flags 8 | length 16 | link type 32, little-endian
//	PKTAP: length 32 | record 32 | link type 32, little-endian
func (d *Decoder) wrapped(lt LinkType, b []byte, length int, h *Headers) Reason {
	if len(b) < 12 {
		return LinkCut
	}
	size, next := int64(binary.LittleEndian.Uint16(b[2:])), binary.LittleEndian.Uint32(b[4:])
	least := int64(8)
	if lt == LinkPKTAP {
		size, next = int64(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint32(b[8:])
		least = 12
	}
	if size < least {
		return LinkMalformed
	}
	if size > int64(len(b)) {
		return LinkCut
	}
	if d.depth++; d.depth > maxTags {
		return LinkTags
	}
	return d.link(LinkType(next), b[size:], length-int(size), h)
}

// nflog reads LINKTYPE_NFLOG: family 8 | version 8 | resource 16, then fields of
// length 16 | kind 16 | value, padded to 4 bytes. Kind 9 is the IP packet. The
// fields are in the capturing host's byte order, which today is little-endian.
func (d *Decoder) nflog(b []byte, h *Headers) Reason {
	const packet = 9
	if len(b) < 4 {
		return LinkCut
	}
	for b = b[4:]; len(b) >= 4; {
		size, kind := int(binary.LittleEndian.Uint16(b)), binary.LittleEndian.Uint16(b[2:])
		if size < 4 {
			return LinkMalformed
		}
		if kind == packet {
			return d.raw(b[4:max(4, min(size, len(b)))], size-4, h)
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return LinkCut
}

// juniper reads what Juniper's routers put before an Ethernet frame: magic 24 |
// flags 8 | length of extensions 16 and these, where a flag says so.
func (d *Decoder) juniper(b []byte, length int, h *Headers) Reason {
	const extended, headless = 0x80, 0x02
	if len(b) < 6 {
		return LinkCut
	}
	if b[0] != 'M' || b[1] != 'G' || b[2] != 'C' {
		return LinkMalformed
	}
	flags, size := b[3], 4
	if flags&extended != 0 {
		size = 6 + int(binary.BigEndian.Uint16(b[4:]))
	}
	if size > len(b) {
		return LinkCut
	}
	b, length = b[size:], length-size
	if flags&headless == 0 {
		return d.ethernet(b, length, h)
	}
	if len(b) < 4 { // a word that is not needed
		return LinkCut
	}
	return d.raw(b[4:], length-4, h)
}
