package capfile

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// The block types of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
	blockSection   = 0x0a0d0d0a
)

const (
	orderMagic    = 0x1a2b3c4d
	maxInterfaces = 65536
)

// ngInterface is what an interface description block says.
type ngInterface struct {
	link       packet.LinkType
	snaplen    uint32
	resolution uint8 // if_tsresol: 10^-n, or 2^-n with the high bit set
	offset     int64 // if_tsoffset, seconds
}

// ngReader reads pcapng: blocks of type 4 | total length 4 | body | total length 4,
// in sections that each have their own byte order and interfaces.
type ngReader struct {
	*Reader
	order      binary.ByteOrder
	interfaces []ngInterface
	last       proto.Time // a simple packet block has no time: it gets the one before
}

func (n *ngReader) begin() error {
	b, err := n.take(8, "section header")
	if err != nil {
		return inside(err, "section header")
	}
	return n.section(binary.LittleEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[4:]))
}

// section reads a section header behind its type and length, which is given in
// both byte orders because the magic number that decides comes after it.
func (n *ngReader) section(little, big uint32) error {
	b, err := n.take(16, "section header")
	if err != nil {
		return inside(err, "section header")
	}
	size := little
	n.order = binary.LittleEndian
	if binary.BigEndian.Uint32(b) == orderMagic {
		size = big
		n.order = binary.BigEndian
	} else if binary.LittleEndian.Uint32(b) != orderMagic {
		return fmt.Errorf("%w: section header with byte order magic % x", ErrMalformed, b[:4])
	}
	if major := n.order.Uint16(b[4:]); major != 1 {
		return fmt.Errorf("%w: pcapng version %d, only 1 is known", ErrMalformed, major)
	}
	if err := checkSize(size, 28); err != nil {
		return err
	}
	n.interfaces = n.interfaces[:0]
	return inside(n.discard(int(size)-24, "section header"), "section header")
}

// checkSize checks a block's total length before anything is read for it.
func checkSize(size, least uint32) error {
	if size < least || size > maxRecord || size%4 != 0 {
		return fmt.Errorf("%w: block of %d bytes, %d to %d in steps of 4 are believed", ErrMalformed, size, least, maxRecord)
	}
	return nil
}

func (n *ngReader) next(out *Packet) error {
	for {
		head, err := n.take(8, "block header")
		if err != nil {
			return err
		}
		kind := n.order.Uint32(head)
		if kind == blockSection {
			if err := n.section(binary.LittleEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[4:])); err != nil {
				return err
			}
			continue
		}
		size := n.order.Uint32(head[4:])
		if err := checkSize(size, 12); err != nil {
			return err
		}
		switch kind {
		case blockInterface, blockEnhanced, blockPacket, blockSimple:
		default:
			if err := n.discard(int(size)-8, "block"); err != nil {
				return inside(err, "block")
			}
			continue
		}
		b, err := n.take(int(size)-8, "block")
		if err != nil {
			return inside(err, "block")
		}
		if again := n.order.Uint32(b[len(b)-4:]); again != size {
			return fmt.Errorf("%w: block of %d bytes says %d at its end", ErrMalformed, size, again)
		}
		b = b[:len(b)-4]
		if kind == blockInterface {
			if err := n.describe(b); err != nil {
				return err
			}
			continue
		}
		return n.packet(kind, b, out)
	}
}

// describe reads an interface description block: linktype 2 | reserved 2 |
// snaplen 4 | options.
func (n *ngReader) describe(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("%w: interface description of %d bytes", ErrMalformed, len(b))
	}
	if len(n.interfaces) == maxInterfaces {
		return fmt.Errorf("%w: more than %d interfaces in a section", ErrMalformed, maxInterfaces)
	}
	v := ngInterface{link: packet.LinkType(n.order.Uint16(b)), snaplen: n.order.Uint32(b[4:]), resolution: 6}
	for b = b[8:]; len(b) >= 4; {
		code, size := n.order.Uint16(b), int(n.order.Uint16(b[2:]))
		if code == 0 || 4+size > len(b) {
			break // the end, or options that are cut: what came before holds
		}
		value := b[4 : 4+size]
		switch {
		case code == 9 && size >= 1:
			v.resolution = value[0]
		case code == 14 && size >= 8:
			v.offset = int64(n.order.Uint64(value))
		}
		b = b[min(4+(size+3)&^3, len(b)):]
	}
	n.interfaces = append(n.interfaces, v)
	return nil
}

// packet reads one of the three blocks that carry a packet:
//
//	enhanced: interface 4 | time high 4 | low 4 | captured 4 | wire 4 | bytes
//	obsolete: interface 2 | drops 2 | time high 4 | low 4 | captured 4 | wire 4 | bytes
//	simple:   wire 4 | bytes, of interface 0
func (n *ngReader) packet(kind uint32, b []byte, out *Packet) error {
	least := 20
	if kind == blockSimple {
		least = 4
	}
	if len(b) < least {
		return fmt.Errorf("%w: packet block of %d bytes", ErrMalformed, len(b))
	}
	var index, captured, wire uint32
	switch kind {
	case blockEnhanced:
		index = n.order.Uint32(b)
	case blockPacket:
		index = uint32(n.order.Uint16(b))
	}
	if int64(index) >= int64(len(n.interfaces)) {
		return fmt.Errorf("%w: packet of interface %d, the section describes %d", ErrMalformed, index, len(n.interfaces))
	}
	v := n.interfaces[index]
	if kind == blockSimple {
		wire = n.order.Uint32(b)
		captured = min(wire, uint32(len(b)-4))
		if v.snaplen > 0 {
			captured = min(captured, v.snaplen)
		}
		out.Time = n.last
	} else {
		captured, wire = n.order.Uint32(b[12:]), n.order.Uint32(b[16:])
		if int64(captured) > int64(len(b)-20) {
			return fmt.Errorf("%w: packet of %d bytes in a block with room for %d", ErrMalformed, captured, len(b)-20)
		}
		out.Time = v.time(uint64(n.order.Uint32(b[4:]))<<32 | uint64(n.order.Uint32(b[8:])))
		n.last = out.Time
	}
	out.LinkType = v.link
	out.Data = b[least : least+int(captured)]
	out.WireLen = wireLen(captured, wire)
	return nil
}

// time converts a time stamp of the interface's resolution, without overflow,
// into 1970 to 2200.
func (v *ngInterface) time(stamp uint64) proto.Time {
	hi, lo := bits.Mul64(stamp, 1e9)
	var ns uint64
	if v.resolution&0x80 != 0 {
		switch shift := uint(v.resolution & 0x7f); {
		case shift >= 64:
			ns = hi >> (shift - 64)
		case hi>>shift != 0:
			ns = 1<<64 - 1
		default:
			ns = lo>>shift | hi<<(64-shift)
		}
	} else {
		for n := v.resolution; n > 0 && hi|lo != 0; n-- {
			var rem uint64
			hi, rem = hi/10, hi%10
			lo, _ = bits.Div64(rem, lo, 10)
		}
		ns = lo
		if hi != 0 {
			ns = 1<<64 - 1
		}
	}
	t := int64(min(ns, uint64(maxTime)))
	limit := int64(maxTime) / 1e9
	t += min(max(v.offset, -limit), limit) * 1e9
	return min(max(proto.Time(t), 0), maxTime)
}
