package astm

import (
	"bytes"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
)

// stream is one connection between an analyser and its host.
type stream struct {
	half       [2]half
	instrument dissector.Side // Other while not known
	heard      bool           // the host has been told of
	gaps       bool
	ended      [2]bool
}

// state says where in the framing a direction is.
type state uint8

const (
	outside state = iota // between frames; bare records come here
	number               // before a frame's number
	text                 // in a frame
	check                // in its checksum
)

// half is one direction.
type half struct {
	state    state
	sum      byte
	check    [2]byte
	n        int  // of check
	last     byte // number of the last frame, 0 before the first
	again    bool // the frame in hand was sent before
	rec      record
	msg      message
	messages int
	frames   int
	right    int // frames whose checksum is right
	wrong    int
	retries  int
	naks     int // frames of the other side that were refused
}

func newStream() *stream { return &stream{instrument: dissector.Other} }

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	for len(b) > 0 {
		switch {
		case h.state == text:
			b = s.framed(c, h, b)
		case h.state == outside && h.rec.begun() && !control(b[0]):
			b = s.bare(c, h, b)
		default:
			s.byte(c, h, b[0])
			b = b[1:]
		}
	}
}

func control(x byte) bool { return x < ' ' && x != '\t' }

// framed takes the text of a frame up to its end.
func (s *stream) framed(c *dissector.Context, h *half, b []byte) []byte {
	n := bytes.IndexFunc(b, func(r rune) bool { return r < ' ' && r != '\t' })
	if n < 0 {
		n = len(b)
	}
	for _, x := range b[:n] {
		h.sum += x
	}
	if !h.again {
		h.rec.add(&h.msg, b[:n])
	}
	if n == len(b) {
		return nil
	}
	switch x := b[n]; x {
	case cr, lf:
		h.sum += x
		if !h.again {
			s.record(c, h)
		}
	case etx, etb:
		h.sum += x
		h.state, h.n = check, 0
		if x == etx && !h.again {
			s.record(c, h)
		}
	case stx, enq, eot:
		c.Count("astm_frame_cut")
		h.rec.reset()
		h.state = outside
		return b[n:]
	default:
		h.sum += x
	}
	return b[n+1:]
}

// bare takes the text of a record without frame.
func (s *stream) bare(_ *dissector.Context, h *half, b []byte) []byte {
	n := 0
	for n < len(b) && !control(b[n]) {
		n++
	}
	h.rec.add(&h.msg, b[:n])
	return b[n:]
}

// byte takes one byte that is not text.
func (s *stream) byte(c *dissector.Context, h *half, x byte) {
	switch h.state {
	case number:
		h.state = outside
		if x >= '0' && x <= '7' {
			h.state, h.sum = text, x
			h.frames++
			if h.again = x == h.last; h.again {
				h.retries++
			}
			h.last = x
			return
		}
		c.Count("astm_frame_malformed")
	case check:
		h.check[h.n] = x
		if h.n++; h.n == 2 {
			h.state = outside
			if h.check == checksum(h.sum) {
				h.right++
			} else {
				h.wrong++
				h.msg.damaged = true
			}
		}
		return
	}
	s.between(c, h, x)
}

// between takes a byte between frames.
func (s *stream) between(c *dissector.Context, h *half, x byte) {
	switch x {
	case stx:
		h.state = number
	case enq, eot:
		s.close(c, h)
		h.last = 0
	case nak:
		h.naks++
	case cr, lf, eb:
		s.record(c, h)
	default:
		if !control(x) && !h.rec.begun() {
			h.rec.add(&h.msg, []byte{x})
		}
	}
}

// record ends the record in hand.
func (s *stream) record(c *dissector.Context, h *half) {
	if !h.rec.begun() {
		return
	}
	r := &h.rec
	if r.kind == 'H' { // the message before has no end
		s.finish(c, h, false)
		h.msg.start(r)
	}
	last := r.kind == 'L'
	h.msg.record(r)
	r.reset()
	if last {
		s.finish(c, h, true)
	}
}

// close ends the message in hand where nothing follows it. A record without end is
// not to be relied on, but for the last, which says nothing.
func (s *stream) close(c *dissector.Context, h *half) {
	if h.rec.kind == 'L' {
		s.record(c, h)
	}
	h.rec.reset()
	s.finish(c, h, false)
}

// finish tells of the message in hand.
func (s *stream) finish(c *dissector.Context, h *half, complete bool) {
	m := &h.msg
	if !m.open {
		return
	}
	h.messages++
	switch m.role() {
	case roleInstrument:
		s.instrument = c.Side
	case roleHost:
		s.instrument = c.Side.Peer()
	}
	if !complete {
		c.Count("astm_incomplete")
	}
	m.damaged = m.damaged && h.right > 0 // some makers' sums are always others
	m.emit(c, complete)
	if m.role() == roleInstrument {
		s.receiver(c)
	}
	m.reset()
}

// receiver tells, once, who takes an analyser's messages.
func (s *stream) receiver(c *dissector.Context) {
	if s.heard {
		return
	}
	s.heard = true
	f := dissector.Fact{Kind: "receiver", Subject: dissector.Subject{Side: c.Side.Peer()}}
	f.Attributes.Set("role", roleHost)
	c.Emit(&f)
}

// Gap ends the message in hand; the next begins with a header.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	s.gaps = true
	h := &s.half[c.Side&1]
	h.rec.reset()
	s.finish(c, h, false)
	h.state, h.last = outside, 0
}

// End sums the connection up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.close(c, &s.half[c.Side&1])
	s.ended[c.Side&1] = true
	if s.ended[1-c.Side&1] {
		s.session(c)
	}
}

// session sums up what several messages, or trouble on the line, leave to be said,
// where the connection was closed: of one that nobody heard of any more it cannot be
// said what it came to.
func (s *stream) session(c *dissector.Context) {
	if c.Headers.TCPFlags&(packet.FIN|packet.RST) == 0 {
		return
	}
	a, b := &s.half[0], &s.half[1]
	messages := a.messages + b.messages
	if s.instrument == dissector.Other || messages < 2 && a.wrong+b.wrong+a.naks+b.naks+a.retries+b.retries == 0 {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.instrument}}
	x := &f.Attributes
	x.Set("role", roleInstrument)
	x.Set("messages", count(messages))
	x.Set("frames", count(a.frames+b.frames))
	x.Set("naks", count(a.naks+b.naks))
	x.Set("retries", count(a.retries+b.retries))
	x.Set("checksum_errors", count(a.wrong+b.wrong))
	if s.gaps {
		x.Set("incomplete", "true")
	}
	c.Emit(&f)
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := 1024
	for i := range s.half {
		n += cap(s.half[i].rec.buf) + s.half[i].msg.size()
	}
	return n
}

// count is a number, "" for 0.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
