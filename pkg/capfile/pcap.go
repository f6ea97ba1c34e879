package capfile

import (
	"encoding/binary"
	"fmt"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// The magic numbers of pcap (draft-ietf-opsawg-pcap; the modified one is that of
// Alexey Kuznetzov's patched libpcap, with 8 more bytes a record).
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34
)

// pcapReader reads pcap:
//
//	file:   magic 4 | major 2 | minor 2 | zone 4 | sigfigs 4 | snaplen 4 | linktype 4
//	record: seconds 4 | fraction 4 | captured 4 | wire 4 | captured bytes
type pcapReader struct {
	*Reader
	order   binary.ByteOrder
	unit    int64 // nanoseconds of one fraction
	head    int   // bytes of a record header
	swapped func(captured, wire uint32) bool
	link    packet.LinkType
}

// newPcap tells by the magic number whether r is a pcap file.
func newPcap(r *Reader, head []byte) (*pcapReader, bool) {
	p := &pcapReader{Reader: r, unit: 1000, head: 16}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		p.order = order
		switch order.Uint32(head) {
		case magicMicro:
			return p, true
		case magicNano:
			p.unit = 1
			return p, true
		case magicModified:
			p.head = 24
			return p, true
		}
	}
	return nil, false
}

func (p *pcapReader) begin() error {
	b, err := p.take(24, "file header")
	if err != nil {
		return inside(err, "file header")
	}
	major, minor := p.order.Uint16(b[4:]), p.order.Uint16(b[6:])
	// Before version 2.3, and sometimes in it, the two lengths of a record were
	// the other way round.
	switch {
	case major < 2 || (major == 2 && minor < 3) || major == 543:
		p.swapped = func(_, _ uint32) bool { return true }
	case major == 2 && minor == 3:
		p.swapped = func(captured, wire uint32) bool { return captured > wire }
	default:
		p.swapped = func(_, _ uint32) bool { return false }
	}
	p.link = packet.LinkType(p.order.Uint32(b[20:]) & 0x03ffffff) // above: length of the frame check sequence
	return nil
}

func (p *pcapReader) next(out *Packet) error {
	b, err := p.take(p.head, "record header")
	if err != nil {
		return err
	}
	seconds, fraction := p.order.Uint32(b), p.order.Uint32(b[4:])
	captured, wire := p.order.Uint32(b[8:]), p.order.Uint32(b[12:])
	if p.swapped(captured, wire) {
		captured, wire = wire, captured
	}
	if captured > maxRecord {
		return fmt.Errorf("%w: record of %d bytes, at most %d are believed", ErrMalformed, captured, maxRecord)
	}
	if out.Data, err = p.take(int(captured), "packet"); err != nil {
		return inside(err, "packet")
	}
	t := int64(seconds)*1e9 + int64(fraction)*p.unit
	out.Time = min(proto.Time(t), maxTime)
	out.LinkType = p.link
	out.WireLen = wireLen(captured, wire)
	return nil
}

// wireLen believes the length on the wire unless it is below what was captured,
// or above what one record may hold.
func wireLen(captured, wire uint32) int {
	if wire < captured || wire > maxRecord {
		return int(captured)
	}
	return int(wire)
}
