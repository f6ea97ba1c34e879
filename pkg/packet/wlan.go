package packet

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/proto"
)

// The flags of an 802.11 frame control's second byte (IEEE 802.11 9.2.4.1).
const (
	wlanToDS      = 0x01
	wlanFromDS    = 0x02
	wlanMore      = 0x04 // fragments
	wlanProtected = 0x40
	wlanOrder     = 0x80 // of QoS data and management: an HT control field is there
)

// radiotap skips the header that receivers put before an 802.11 frame
// (radiotap.org): version 8 | 8 | length 16 | present 32 ..., little-endian, then
// the fields that are present, of which the flags are wanted.
func (d *Decoder) radiotap(b []byte, length int, h *Headers) Reason {
	const tsft, flagsPresent, more = 1 << 0, 1 << 1, 1 << 31
	const checkSequence, padded, damaged = 0x10, 0x20, 0x40
	if len(b) < 8 {
		return LinkCut
	}
	size := int(binary.LittleEndian.Uint16(b[2:]))
	if b[0] != 0 || size < 8 {
		return LinkMalformed
	}
	if size > len(b) {
		return LinkCut
	}
	present := binary.LittleEndian.Uint32(b[4:])
	at := 8
	for p := present; p&more != 0; at += 4 {
		if at+4 > size {
			return LinkMalformed
		}
		p = binary.LittleEndian.Uint32(b[at:])
	}
	if present&tsft != 0 {
		at = (at+7)&^7 + 8
	}
	align := 1
	frame, length := b[size:], length-size
	if present&flagsPresent != 0 && at < size {
		flags := b[at]
		if flags&damaged != 0 {
			return LinkDamaged
		}
		if flags&padded != 0 {
			align = 4
		}
		if flags&checkSequence != 0 && length >= 4 {
			length -= 4
			frame = frame[:min(len(frame), length)]
		}
	}
	return d.wlan(frame, length, align, h)
}

// prism skips a Prism or an AVS header; both have their length in the second word.
func (d *Decoder) prism(b []byte, length int, h *Headers) Reason {
	if len(b) < 8 {
		return LinkCut
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if size > 0xffff { // AVS is big-endian, Prism whatever the host is
		size = binary.BigEndian.Uint32(b[4:])
	}
	if size < 8 || size > 0xffff {
		return LinkMalformed
	}
	if int(size) > len(b) {
		return LinkCut
	}
	return d.wlan(b[size:], length-int(size), 1, h)
}

// wlan reads an IEEE 802.11 header (9.2.3, 9.3.2):
//
//	| control 16 | duration 16 | address 1 | address 2 | address 3 | sequence 16 |
//	| address 4 | QoS 16 | HT control 32 | LLC
//
// align is what the header's length was padded to by the receiver. Management and
// control frames, and data frames without data, are frames without IP and without
// payload.
func (d *Decoder) wlan(b []byte, length, align int, h *Headers) Reason {
	if len(b) < 2 {
		return LinkCut
	}
	return d.wlanFrame(b[0], b[1], b, length, align, h)
}

// wlanFrame goes on with an 802.11 header by the two bytes of its control.
func (d *Decoder) wlanFrame(control, flags byte, b []byte, length, align int, h *Headers) Reason {
	if control&3 != 0 { // version
		return LinkMalformed
	}
	h.EtherType = 0
	switch control >> 2 & 3 {
	case 0: // management
		if len(b) < 24 {
			return LinkCut
		}
		h.DstMAC, h.SrcMAC, h.CarrierMAC = proto.MAC(b[4:10]), proto.MAC(b[10:16]), false
		return OK
	case 2:
		return d.wlanData(control, flags, b, length, align, h)
	}
	return OK
}

// wlanData reads an 802.11 data frame.
func (d *Decoder) wlanData(control, flags byte, b []byte, length, align int, h *Headers) Reason {
	size := 24
	fourth := flags&(wlanToDS|wlanFromDS) == wlanToDS|wlanFromDS
	if fourth {
		size += 6
	}
	aggregate := false
	if control&0x80 != 0 { // QoS
		if len(b) < size+2 {
			return LinkCut
		}
		aggregate = b[size]&0x80 != 0
		size += 2
		if flags&wlanOrder != 0 {
			size += 4
		}
	}
	size = (size + align - 1) / align * align
	if len(b) < size {
		return LinkCut
	}
	h.wlanAddresses(b, flags)
	h.CarrierMAC = false
	body := b[size:]
	switch {
	case control&0x40 != 0: // no data
		return OK
	case binary.LittleEndian.Uint16(b[22:])&15 != 0: // not the first fragment
		d.Counters[LinkFragment]++
		return OK
	case flags&wlanProtected != 0 && !isSNAP(body): // some drivers decrypt and leave the flag
		return LinkProtected
	case aggregate:
		return d.aggregate(body, length-size, h)
	}
	return d.llc(body, length-size, h)
}

// wlanAddresses finds sender and receiver by the two flags that say whether the
// frame goes to or comes from an access point (table 9-30).
func (h *Headers) wlanAddresses(b []byte, flags byte) {
	dst, src := 4, 10
	if flags&wlanToDS != 0 {
		dst = 16
	}
	switch flags & (wlanToDS | wlanFromDS) {
	case wlanFromDS:
		src = 16
	case wlanToDS | wlanFromDS:
		src = 24
	}
	h.DstMAC, h.SrcMAC = proto.MAC(b[dst:dst+6]), proto.MAC(b[src:src+6])
}

// aggregate reads the first of several packets in one frame (A-MSDU, 9.3.2.2):
// receiver 48 | sender 48 | length 16 | LLC, padded to 4 bytes.
func (d *Decoder) aggregate(b []byte, length int, h *Headers) Reason {
	if len(b) < 14 {
		return LinkCut
	}
	size := int(binary.BigEndian.Uint16(b[12:]))
	if length > (14+size+3)&^3+14 {
		d.Counters[LinkAggregate]++
	}
	h.DstMAC, h.SrcMAC = proto.MAC(b[:6]), proto.MAC(b[6:12])
	b, length = b[14:], length-14
	if size < length {
		b, length = b[:min(size, len(b))], size
	}
	return d.llc(b, length, h)
}
