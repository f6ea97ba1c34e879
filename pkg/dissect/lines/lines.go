// Package lines takes connections of text lines apart, for the protocols that are
// made of such: FTP, SMTP, POP3, IMAP, RTSP and others.
//
// Here live the reader of one direction, and the connection of both, which many of
// these protocols turn into TLS (STARTTLS): what follows is then pkg/dissect/tls's.
// What a line means is the protocol's own.
package lines

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// Max is how many bytes of a line are kept.
const Max = 2 << 10

// Reader puts the lines of one direction together.
type Reader struct {
	buf  []byte // of the line in hand
	long bool   // the line in hand is longer than what is kept
	lost bool   // the line in hand may have begun before its first byte
	skip int64  // bytes to leave out
}

// Line is a line without its end. It is good until the next call of Next.
type Line struct {
	Text   []byte
	Long   bool // only the beginning is there
	Unsure bool // it follows a gap, and may be the end of another one
}

// Next gives the next line and what follows it; ok is false where b ends before
// the line does.
func (r *Reader) Next(b []byte) (line Line, rest []byte, ok bool) {
	if b = r.Pass(b); len(b) == 0 {
		return Line{}, nil, false
	}
	i := bytes.IndexByte(b, '\n')
	part := b
	if i >= 0 {
		part = b[:i]
	}
	text := part
	if i < 0 || len(r.buf) > 0 || r.long {
		room := Max - len(r.buf)
		r.long = r.long || len(part) > room
		r.buf = append(r.buf, part[:min(len(part), room)]...)
		text = r.buf
	}
	if i < 0 {
		return Line{}, nil, false
	}
	line = Line{Text: text[:min(len(text), Max)], Long: r.long || len(text) > Max, Unsure: r.lost}
	r.buf, r.long, r.lost = r.buf[:0], false, false
	if !line.Long {
		line.Text = bytes.TrimSuffix(line.Text, []byte("\r"))
	}
	return line, b[i+1:], true
}

// Pass is b without what was to be left out.
func (r *Reader) Pass(b []byte) []byte {
	n := min(r.skip, int64(len(b)))
	r.skip -= n
	return b[n:]
}

// Skip leaves out the n bytes after the line that Next gave: a body, a literal.
func (r *Reader) Skip(n int64) { r.skip = max(n, 0) }

// Fresh holds where the next byte begins a line, or follows a gap.
func (r *Reader) Fresh() bool { return len(r.buf) == 0 && !r.long && r.skip == 0 }

// Gap steps over n missing bytes of what is left out; else the line is lost. It
// reports which.
func (r *Reader) Gap(n int64) (lost bool) {
	if n > 0 && r.skip >= n {
		r.skip -= n
		return false
	}
	*r = Reader{lost: true}
	return true
}

// Size is the bytes that are kept.
func (r *Reader) Size() int { return cap(r.buf) }

// Handler is a protocol of lines.
type Handler interface {
	// Line takes a line of the side c.Side. Of a long one only the beginning is there.
	Line(c *dissector.Context, line []byte, long bool)
	// Begins reports whether a line that follows a gap looks like a whole one.
	Begins(line []byte) bool
	// Lost says that lines are missing.
	Lost(c *dissector.Context)
	// Over is called once: both directions have ended, or have turned into TLS.
	Over(c *dissector.Context)
}

// Skipper is a Handler that wants to see what is left out.
type Skipper interface {
	Skipped(c *dissector.Context, b []byte)
}

// Conn is both directions of a connection.
type Conn struct {
	Half  [2]Reader
	ended [2]bool
	inTLS [2]bool
	tls   dissector.Stream
	over  bool
}

// The first byte of a TLS record; no line begins with one of these.
const (
	firstRecord = 20
	handshake   = 22
	lastRecord  = 23
)

// Data reads the next bytes of the direction c.Side.
func (x *Conn) Data(c *dissector.Context, b []byte, h Handler) {
	side := c.Side & 1
	r := &x.Half[side]
	for b = x.pass(c, b, h); len(b) > 0 && !x.inTLS[side] && (!x.over || x.tls != nil); b = x.pass(c, b, h) {
		if r.Fresh() && (b[0] == handshake || r.lost && x.tls != nil && b[0] >= firstRecord && b[0] <= lastRecord) {
			x.secure(c, h)
			if x.inTLS[side] = true; r.lost {
				x.tls.Gap(c, -1)
			}
			break
		}
		var line Line
		var ok bool
		if line, b, ok = r.Next(b); ok && !x.over && (!line.Unsure || h.Begins(line.Text)) {
			h.Line(c, line.Text, line.Long)
		}
	}
	if x.inTLS[side] && len(b) > 0 {
		x.tls.Data(c, b)
	}
}

// pass is b without what was to be left out, which a Skipper gets.
func (x *Conn) pass(c *dissector.Context, b []byte, h Handler) []byte {
	r := &x.Half[c.Side&1]
	rest := r.Pass(b)
	if n := len(b) - len(rest); n > 0 {
		if s, wants := h.(Skipper); wants {
			s.Skipped(c, b[:n])
		}
	}
	return rest
}

// secure begins TLS.
func (x *Conn) secure(c *dissector.Context, h Handler) {
	if x.tls == nil {
		x.tls = tls.Upgraded()
		h.Over(c)
		x.over = true
	}
}

// Gap tells of n missing bytes, -1 for an unknown number.
func (x *Conn) Gap(c *dissector.Context, n int64, h Handler) {
	side := c.Side & 1
	if x.inTLS[side] {
		x.tls.Gap(c, n)
		return
	}
	if x.Half[side].Gap(n) {
		h.Lost(c)
	}
}

// End says that a direction is over.
func (x *Conn) End(c *dissector.Context, h Handler) {
	side := c.Side & 1
	x.ended[side] = true
	if x.inTLS[side] {
		x.tls.End(c)
	}
	if x.ended[1-side] && !x.over {
		x.over = true
		h.Over(c)
	}
}

// Stop says that nothing more of the connection is wanted.
func (x *Conn) Stop(c *dissector.Context, h Handler) {
	if !x.over {
		x.over = true
		h.Over(c)
	}
	c.Sink.Done()
}

// Size is about the bytes that are kept.
func (x *Conn) Size() int {
	n := 256 + x.Half[0].Size() + x.Half[1].Size()
	if x.tls != nil {
		n += x.tls.Size()
	}
	return n
}
