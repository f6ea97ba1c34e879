package dicom

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// stream is one connection: two directions that share an association.
type stream struct {
	half  [2]half
	assoc association
}

// state says what a direction reads next.
type state uint8

const (
	atPDU    state = iota // header of a PDU
	atItems               // body of A-ASSOCIATE-RQ or AC
	atFixed               // four bytes of a short PDU
	atPDV                 // header of a fragment
	inPDV                 // a fragment
	skipping              // the rest of a PDU that is of no use
	lost                  // somewhere in an unknown PDU
)

// half is one direction.
type half struct {
	state state
	kind  uint8 // of the PDU
	left  int64 // bytes of the PDU not read
	pdv   int64 // bytes of the fragment not read
	flags uint8 // of the fragment: 1 command, 2 last
	ctx   uint8 // presentation context of the fragment
	buf   []byte
	items items
	msg   message
	ended bool
}

func newStream() *stream {
	s := new(stream)
	for i := range s.half {
		s.half[i].msg.init(&s.assoc)
	}
	return s
}

// fill collects n bytes of the PDU in buf; ok when they are there.
func (h *half) fill(b []byte, n int) (used int, ok bool) {
	used = min(n-len(h.buf), len(b))
	h.buf = append(h.buf, b[:used]...)
	return used, len(h.buf) == n
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.state == lost {
		if !boundary(b) {
			return
		}
		h.state = atPDU
	}
	for len(b) > 0 {
		part := b
		if h.state != atPDU && int64(len(part)) > h.left {
			part = part[:h.left]
		}
		n := s.step(c, h, part)
		b = b[n:]
		switch {
		case h.state == lost:
			return
		case h.state != atPDU && h.left == 0:
			s.endPDU(c, h)
		}
	}
}

// step reads some of b, which ends with the PDU at the latest, and returns how
// much.
func (s *stream) step(c *dissector.Context, h *half, b []byte) int {
	switch h.state {
	case atPDU:
		n, ok := h.fill(b, headerSize)
		if ok {
			s.beginPDU(c, h)
		}
		return n
	case atItems:
		n := h.items.read(b)
		h.left -= int64(n)
		return n
	case atFixed:
		n, ok := h.fill(b, 4)
		h.left -= int64(n)
		if ok {
			s.short(c, h)
			h.state = skipping
		}
		return n
	case atPDV:
		n, ok := h.fill(b, 6)
		h.left -= int64(n)
		if ok {
			h.beginPDV(c)
		}
		return n
	case inPDV:
		n := min(int64(len(b)), h.pdv)
		h.left -= n
		h.pdv -= n
		if h.flags&1 != 0 {
			h.msg.command(b[:n])
		} else {
			h.msg.dataset(c, h.ctx, b[:n])
		}
		if h.pdv == 0 {
			h.endPDV(c)
		}
		return int(n)
	}
	h.left -= int64(len(b))
	return len(b)
}

func (s *stream) beginPDU(c *dissector.Context, h *half) {
	h.kind, h.left = h.buf[0], int64(binary.BigEndian.Uint32(h.buf[2:]))
	bad := h.buf[1] != 0
	h.buf = h.buf[:0]
	switch {
	case h.kind < associateRQ || h.kind > abort || bad:
		c.Count("dicom_not_a_pdu")
		s.lose(c, h)
		return
	case h.kind <= associateAC:
		if h.left < fixedSize || h.left > maxAssociate {
			c.Count("dicom_associate_size")
			s.lose(c, h)
			return
		}
		h.state = atItems
		h.items = items{}
	case h.kind == pData:
		h.state = atPDV
	default:
		h.state = atFixed
	}
}

// endPDU is called when all bytes of a PDU were read.
func (s *stream) endPDU(c *dissector.Context, h *half) {
	switch {
	case h.state == atItems:
		s.associate(c, h)
	case h.state != skipping && len(h.buf) > 0:
		c.Count("dicom_pdu_cut")
		h.msg.drop(c)
	}
	h.buf = h.buf[:0]
	h.state = atPDU
}

func (h *half) beginPDV(c *dissector.Context) {
	size := int64(binary.BigEndian.Uint32(h.buf))
	h.ctx, h.flags = h.buf[4], h.buf[5]
	h.buf = h.buf[:0]
	if size < 2 || size-2 > h.left {
		c.Count("dicom_pdv_size")
		h.msg.drop(c)
		h.state = skipping
		return
	}
	h.pdv, h.state = size-2, inPDV
	if h.pdv == 0 {
		h.endPDV(c)
	}
}

func (h *half) endPDV(c *dissector.Context) {
	h.state = atPDV
	if h.flags&2 != 0 {
		h.msg.last(c, h.flags&1 != 0)
	}
}

// lose gives the place in the stream up; a segment that begins with a PDU will
// find it again.
func (s *stream) lose(c *dissector.Context, h *half) {
	h.msg.drop(c)
	h.buf = h.buf[:0]
	h.state = lost
}

// Gap steps over missing bytes where lengths say what they were: inside a value
// that is not kept nothing is lost; inside a PDU, its message.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	switch {
	case h.state == inPDV && n > 0 && n < h.pdv && h.flags&1 == 0 && h.msg.skip(n):
		h.pdv -= n
		h.left -= n
	case h.state != atPDU && h.state != lost && n > 0 && n <= h.left:
		if h.state == atItems && h.items.fixed {
			h.items.damaged = true
			s.associate(c, h)
		}
		h.msg.drop(c)
		h.buf = h.buf[:0]
		h.state = skipping
		if h.left -= n; h.left == 0 {
			h.state = atPDU
		}
	default:
		s.lose(c, h)
	}
}

// End drops what is incomplete, and sums up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	h := &s.half[c.Side&1]
	s.lose(c, h)
	h.ended = true
	if s.half[1-c.Side&1].ended {
		s.tell(c)
	}
}

// Size is about how many bytes are kept.
func (s *stream) Size() int {
	n := s.assoc.size() + 2048
	for i := range s.half {
		n += cap(s.half[i].buf) + s.half[i].items.size() + s.half[i].msg.size()
	}
	return n
}
