package hl7

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// stream is one MLLP connection; each direction carries messages of its own.
type stream struct {
	half [2]half
}

// state says where in the framing a direction is.
type state uint8

const (
	outside   state = iota // between blocks
	segmentID              // collecting the three letters of a segment
	separator              // after MSH, FHS or BHS: the next byte is the field separator
	field                  // in a field that is kept
	skipField              // in a field that is not
	skipLine               // in a segment that is not looked at
)

// maxField is the longest field that is kept.
const maxField = 2048

// half is one direction: where it is, and the message in hand.
type half struct {
	state   state
	nested  int     // bytes seen of what may be a block inside a block, 0 for none
	letters [3]byte // those after its start block
	first   bool    // no segment of this block was read yet
	id      [3]byte // name of the segment
	idLen   int
	tail    [3]byte // the last bytes of the field in hand
	long    bool    // the field in hand is beyond maxField
	buf     []byte
	msg     message
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	for len(b) > 0 {
		if h.nested > 0 {
			b = h.within(c, b)
			continue
		}
		switch h.state {
		case outside:
			i := bytes.IndexByte(b, startBlock)
			if i < 0 {
				return
			}
			b = b[i+1:]
			h.block()
		case segmentID:
			b = h.letter(c, b)
		case separator:
			b = h.separate(c, b)
		default:
			b = h.content(c, b)
		}
	}
}

// block begins after a start block.
func (h *half) block() {
	h.state, h.first, h.idLen = segmentID, true, 0
}

// controls are the bytes that mean something in any segment.
var controls = [256]bool{'\r': true, '\n': true, endBlock: true, startBlock: true}

// letter takes one byte of a segment's name.
func (h *half) letter(c *dissector.Context, b []byte) []byte {
	x := b[0]
	switch {
	case controls[x]:
		return h.control(c, b)
	case h.idLen < 3:
		h.id[h.idLen] = x
		h.idLen++
		if h.idLen == 3 {
			h.named(c)
		}
	case x == h.msg.sep:
		h.msg.segment(h.id)
		h.enter()
	default: // longer than a name: not a segment
		h.state = skipLine
	}
	return b[1:]
}

// named acts on a complete name: a header segment begins a message.
func (h *half) named(c *dissector.Context) {
	id := string(h.id[:])
	switch {
	case couldHead(h.id[:]):
		h.finish(c, true) // of a batch, the message before
		h.msg.begin(id)
		h.state = separator
	case h.first:
		c.Count("hl7_no_header")
		h.state = outside
	}
	h.first = false
}

// content takes bytes up to the next one that means something.
func (h *half) content(c *dissector.Context, b []byte) []byte {
	sep := h.msg.sep
	for i, x := range b {
		if !controls[x] && (x != sep || h.state == skipLine) {
			continue
		}
		h.keep(b[:i])
		if x == sep {
			if patients[h.tail] {
				h.merged(c)
				return b[i+1:]
			}
			h.endField(c)
			h.enter()
			return b[i+1:]
		}
		return h.control(c, b[i:])
	}
	h.keep(b)
	return nil
}

// control acts on the control byte at b[0] and steps over it.
func (h *half) control(c *dissector.Context, b []byte) []byte {
	switch b[0] {
	case startBlock:
		h.nested = 1
	case endBlock:
		h.endSegment(c)
		h.finish(c, true)
		h.state = outside
	default:
		h.endSegment(c)
		h.state, h.idLen = segmentID, 0
	}
	return b[1:]
}

// separate takes the byte after MSH, FHS or BHS, the field separator.
func (h *half) separate(c *dissector.Context, b []byte) []byte {
	if !delimiter(b[0]) {
		c.Count("hl7_no_header")
		h.msg.reset()
		h.state = outside
		return b
	}
	h.msg.sep = b[0]
	h.enter()
	return b[1:]
}

// within looks at what follows a start block inside a block: with a header
// segment the end block before it is missing, with anything else the byte was
// content.
func (h *half) within(c *dissector.Context, b []byte) []byte {
	n := h.nested - 1
	h.letters[n] = b[0]
	if !couldHead(h.letters[:n+1]) {
		h.nested = 0
		if h.state == segmentID {
			h.state = skipLine
		}
		h.keep([]byte{startBlock})
		h.keep(h.letters[:n])
		return b
	}
	if h.nested++; h.nested <= 3 {
		return b[1:]
	}
	h.nested = 0
	c.Count("hl7_missing_end")
	h.endSegment(c)
	h.finish(c, true)
	h.block()
	h.id, h.idLen = h.letters, 3
	h.named(c)
	return b[1:]
}

// enter goes to the next field of the segment.
func (h *half) enter() {
	h.msg.field++
	h.long, h.tail = false, [3]byte{}
	switch {
	case h.msg.plan == nil:
		h.state = skipLine
	case h.msg.want() == drop:
		h.state = skipField
	default:
		h.state = field
	}
}

// merged gives up a segment that runs into one with patients, for want of the
// byte that should end it: its next fields would be taken for this one's.
func (h *half) merged(c *dissector.Context) {
	c.Count("hl7_segments_merged")
	h.wipe()
	h.state = skipLine
}

// keep adds to the field in hand.
func (h *half) keep(b []byte) {
	for _, x := range b[max(0, len(b)-len(h.tail)):] {
		h.tail = [3]byte{h.tail[1], h.tail[2], x}
	}
	if h.state != field || h.long {
		return
	}
	if h.long = len(h.buf)+len(b) > maxField; h.long {
		h.wipe()
		return
	}
	h.buf = append(h.buf, b...)
}

// endField hands a kept field to the message, and forgets it.
func (h *half) endField(c *dissector.Context) {
	if h.state != field {
		return
	}
	if h.long {
		c.Count("hl7_field_long")
		if h.msg.want() != store {
			h.msg.guard.Fill() // whom it names nobody can know
		}
	} else if len(h.buf) > 0 {
		h.msg.value(h.buf)
	}
	h.wipe()
}

func (h *half) wipe() {
	clear(h.buf[:cap(h.buf)])
	h.buf = h.buf[:0]
}

// endSegment is the end of a line.
func (h *half) endSegment(c *dissector.Context) {
	switch h.state {
	case segmentID:
		if h.idLen == 3 {
			h.msg.segment(h.id)
			h.msg.endSegment()
		}
	case field, skipField:
		h.endField(c)
		h.msg.endSegment()
	}
	h.idLen = 0
}

// finish emits the message in hand, if there is one.
func (h *half) finish(c *dissector.Context, complete bool) {
	if h.msg.open {
		h.msg.emit(c, complete)
	}
	h.msg.reset()
}

// Gap ends the message in hand with what was read of it: without the missing
// bytes nobody knows which segment the next ones belong to.
func (s *stream) Gap(c *dissector.Context, _ int64) { s.abandon(c) }

// End is Gap: a block without its end is incomplete.
func (s *stream) End(c *dissector.Context) { s.abandon(c) }

func (s *stream) abandon(c *dissector.Context) {
	h := &s.half[c.Side&1]
	if h.state == outside {
		return
	}
	c.Count("hl7_incomplete")
	h.wipe()
	h.finish(c, false)
	h.state, h.nested = outside, 0
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := 0
	for i := range s.half {
		n += cap(s.half[i].buf) + s.half[i].msg.size()
	}
	return n + 1024
}
