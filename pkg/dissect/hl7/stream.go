package hl7

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// stream is one MLLP connection; each direction carries messages of its own.
type stream struct {
	half  [2]half
	roots []string // of XML documents that were told
}

func newStream() *stream {
	s := new(stream)
	for i := range s.half {
		s.half[i].conn, s.half[i].fresh = s, true
	}
	return s
}

// state says where in the framing a direction is.
type state uint8

const (
	outside   state = iota // between blocks
	opens                  // in the first bytes of a block, which tell its form
	segmentID              // collecting the three letters of a segment
	separator              // after MSH, FHS or BHS: the next byte is the field separator
	field                  // in a field that is kept
	skipField              // in a field that is not
	skipLine               // in a segment that is not looked at
	inMarkup               // in an XML document
)

// maxField is the longest field that is kept.
const maxField = 2048

// half is one direction: where it is, and the message in hand.
type half struct {
	conn    *stream
	state   state
	fresh   bool    // nothing but blanks was read
	bare    bool    // messages come without framing
	lead    [8]byte // the first bytes of a block, or of a direction
	leadN   int
	blanks  int  // before them
	wide    form // UTF-16, while in such a block
	pair    [2]byte
	pairN   int
	nested  int     // bytes seen of what may be a block inside a block, 0 for none
	letters [3]byte // those after its start block
	first   bool    // no segment of this block was read yet
	id      [3]byte // name of the segment
	idLen   int
	tail    [3]byte // the last bytes of the field in hand
	long    bool    // the field in hand is beyond maxField
	buf     []byte
	began   proto.Time // when the block in hand began
	msg     message
	traffic traffic
	ended   bool
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) { s.half[c.Side&1].feed(c, b) }

func (h *half) feed(c *dissector.Context, b []byte) {
	for len(b) > 0 {
		if h.wide != undecided {
			b = h.narrow(c, b)
			continue
		}
		b = h.step(c, b)
	}
}

// step reads some of b and gives the rest.
func (h *half) step(c *dissector.Context, b []byte) []byte {
	if h.nested > 0 {
		return h.within(c, b)
	}
	switch h.state {
	case outside:
		return h.between(c, b)
	case opens:
		return h.open(c, b)
	case inMarkup:
		return h.markup(c, b)
	case segmentID:
		return h.letter(c, b)
	case separator:
		return h.separate(c, b)
	}
	return h.content(c, b)
}

// between looks for the next block. A direction that begins with MSH has no
// framing at all.
func (h *half) between(c *dissector.Context, b []byte) []byte {
	if h.fresh {
		switch {
		case h.leadN == 0 && blank(b[0]):
			return b[1:]
		case b[0] == "MSH"[h.leadN]:
			if h.leadN++; h.leadN < 3 {
				return b[1:]
			}
			h.fresh, h.bare = false, true
			h.begin(c, plain)
			h.feed(c, []byte("MSH"))
			return b[1:]
		}
		h.fresh = false
	}
	i := bytes.IndexByte(b, startBlock)
	if i < 0 {
		return nil
	}
	h.state, h.leadN, h.blanks = opens, 0, 0
	return b[i+1:]
}

// open takes one of the first bytes of a block.
func (h *half) open(c *dissector.Context, b []byte) []byte {
	x := b[0]
	if h.leadN == 0 && h.blanks < maxLead && (x == '\r' || x == '\n' || x == ' ' || x == '\t') {
		h.blanks++
		return b[1:]
	}
	h.lead[h.leadN] = x
	h.leadN++
	f, n := opening(h.lead[:h.leadN])
	if f == undecided {
		return b[1:]
	}
	lead := h.lead
	rest := lead[n:h.leadN]
	h.begin(c, f)
	h.feed(c, rest)
	return b[1:]
}

// begin begins a block of the given form.
func (h *half) begin(c *dissector.Context, f form) {
	h.conn.half[1-c.Side&1].answered(c)
	h.state, h.first, h.idLen, h.leadN, h.began = segmentID, true, 0, 0, c.Headers.Time
	switch f {
	case wideLE, wideBE:
		h.wide, h.pairN = f, 0
	case markup:
		h.state = inMarkup
	case commit:
		h.traffic.commits++
		h.state = outside
	case refusal:
		h.traffic.refusals++
		h.state = outside
	}
}

// answered ends a message without framing, when the other side begins to speak
// and the message's last segment has ended.
func (h *half) answered(c *dissector.Context) {
	if !h.bare || h.state != segmentID || h.idLen > 0 {
		return
	}
	c.Side = c.Side.Peer()
	h.finish(c, true)
	c.Side = c.Side.Peer()
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

// named acts on a complete name: a header segment may begin a message.
func (h *half) named(c *dissector.Context) {
	switch {
	case couldHead(h.id[:]):
		h.state = separator
		return
	case h.first:
		c.Count("hl7_no_header")
		h.state = outside
	}
	h.first = false
}

// separate takes the byte after MSH, FHS or BHS, the field separator. Inside a
// block it must be the one in use: text that was cut into lines may have such words.
func (h *half) separate(c *dissector.Context, b []byte) []byte {
	first := h.first
	h.first = false
	switch {
	case first && !delimiter(b[0]):
		c.Count("hl7_no_header")
		h.msg.reset()
		h.state = outside
		return b
	case !first && b[0] != h.msg.sep:
		h.state = skipLine
		return b
	case !first:
		h.finish(c, true) // of a batch, the message before
		h.conn.half[1-c.Side&1].answered(c)
		h.began = c.Headers.Time
	}
	h.msg.begin(string(h.id[:]))
	h.msg.sep = b[0]
	h.enter()
	return b[1:]
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
	if !h.bare {
		c.Count("hl7_missing_end")
	}
	h.endSegment(c)
	h.finish(c, true)
	h.bare = false
	h.begin(c, plain)
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
	if h.msg.want() == mark {
		b = b[:min(len(b), 1-min(len(h.buf), 1))]
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
		if w := h.msg.want(); w == identity || w == person {
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
		h.count(c)
	}
	h.msg.reset()
}

// Gap ends the message in hand with what was read of it: without the missing
// bytes nobody knows which segment the next ones belong to.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	h := &s.half[c.Side&1]
	h.fresh = false
	h.abandon(c)
	if h.bare {
		h.state = skipLine // the next header segment is the next message
	}
}

// End is Gap: a block without its end is incomplete. A message without framing
// has ended if its last segment has.
func (s *stream) End(c *dissector.Context) {
	h := &s.half[c.Side&1]
	if h.bare && h.state == segmentID && h.idLen == 0 {
		h.finish(c, true)
	}
	h.abandon(c)
	h.ended = true
	// Of a connection that nobody heard of any more it cannot be said what it came to.
	if s.half[1-c.Side&1].ended && c.Headers.TCPFlags&(packet.FIN|packet.RST) != 0 {
		s.sum(c)
	}
}

func (h *half) abandon(c *dissector.Context) {
	if h.state != outside && (!h.bare || h.msg.open) {
		c.Count("hl7_incomplete")
	}
	h.wipe()
	h.finish(c, false)
	h.state, h.nested, h.wide = outside, 0, undecided
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := 0
	for i := range s.half {
		n += cap(s.half[i].buf) + s.half[i].msg.size() + s.half[i].traffic.size()
	}
	return n + 4096
}
