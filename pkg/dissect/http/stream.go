package http

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

const (
	maxLine     = 8 << 10  // bytes of a line that are kept
	maxLines    = 512      // of a head
	maxRequests = 256      // of a connection that are read
	maxBodies   = 1 << 20  // bytes of bodies of one direction that are stepped over, once both sides have spoken
	maxSkipped  = 64 << 10 // bytes in search of a message, after a gap
	maxPending  = 32       // requests that wait for their response
)

// mode says where in its messages a direction is.
type mode uint8

const (
	start      mode = iota // before a request or status line
	header                 // in the lines of a head
	body                   // left bytes of a body follow
	chunkSize              // before the line with the size of a chunk
	chunkData              // left bytes of a chunk follow
	chunkEnd               // before the empty line that ends a chunk
	trailer                // in the lines after the last chunk
	untilClose             // the body ends with the connection
	lost                   // looking for a line that begins a message
)

// stream is one HTTP connection.
type stream struct {
	half    [2]half
	pending [maxPending]pending // requests without response, a ring
	first   int
	waiting int
	tunnel  dissector.Stream // after CONNECT
	done    bool
	seen    seen
}

// pending is what the framing of a response depends on.
type pending struct {
	head, connect bool
}

// half is one direction.
type half struct {
	mode    mode
	line    []byte // in hand, at most maxLine
	long    bool   // the line in hand is longer
	left    int64  // of a body or chunk
	lines   int    // of the head in hand
	msg     message
	spoke   bool  // a head was read
	bodies  int64 // bytes of bodies that were stepped over
	skipped int   // bytes while lost
	ended   bool

	listens bool   // to the body in hand
	body    []byte // its beginning, at most ipp.Max
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	for len(b) > 0 && !s.done && s.tunnel == nil {
		switch h.mode {
		case body, chunkData, untilClose:
			b = s.skip(c, h, b)
		default:
			b = s.text(c, h, b)
		}
	}
	if s.tunnel != nil && len(b) > 0 {
		s.tunnel.Data(c, b)
	}
	if s.done {
		s.finish(c, true)
	}
}

// skip steps over bytes of a body. After enough of them nothing new is expected
// of the connection. That is asked for after each step, and nothing is said in a
// body, so that it does not matter how the connection was cut.
func (s *stream) skip(c *dissector.Context, h *half, b []byte) []byte {
	n := int64(len(b))
	if h.mode != untilClose {
		n = min(n, h.left)
	}
	h.bodies += n
	s.hear(c, h, b[:n])
	if h.mode != untilClose {
		if h.left -= n; h.left == 0 {
			h.mode = map[bool]mode{true: chunkEnd, false: start}[h.mode == chunkData]
			if h.mode == start {
				s.heard(c, h)
			}
		}
	}
	s.enough(h)
	return b[n:]
}

// enough ends the reading when a direction has stepped over maxBodies, and the
// other one has spoken too.
func (s *stream) enough(h *half) {
	if h.bodies >= maxBodies && s.half[0].spoke && s.half[1].spoke || h.bodies >= 16*maxBodies {
		s.done = true
	}
}

// text takes a line, or what there is of one.
func (s *stream) text(c *dissector.Context, h *half, b []byte) []byte {
	i := bytes.IndexByte(b, '\n')
	part := b
	if i >= 0 {
		part = b[:i]
	}
	if h.mode == lost {
		if h.skipped += len(part); h.skipped > maxSkipped {
			s.done = true
			return nil
		}
	}
	line := part
	if i < 0 || len(h.line) > 0 || h.long {
		room := maxLine - len(h.line)
		h.long = h.long || len(part) > room
		h.line = append(h.line, part[:min(len(part), room)]...)
		line = h.line
	}
	if i < 0 {
		return nil
	}
	long := h.long || len(line) > maxLine
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	h.line, h.long = h.line[:0], false
	if !long {
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	s.take(c, h, line, long)
	return b[i+1:]
}

// take acts on a line; of a long one only the beginning is there.
func (s *stream) take(c *dissector.Context, h *half, line []byte, long bool) {
	switch h.mode {
	case start, lost:
		s.begin(c, h, line, long)
	case header:
		switch h.lines++; {
		case len(line) == 0:
			s.head(c, h)
		case h.lines > maxLines:
			c.Count("http_head_long")
			h.lose()
		case long:
			c.Count("http_line_long")
		default:
			h.msg.header(line)
		}
	case chunkSize:
		if h.chunk(c, line); h.mode == trailer {
			s.heard(c, h)
		}
	case chunkEnd:
		h.mode = chunkSize
		if len(line) > 0 {
			c.Count("http_chunk_malformed")
			h.lose()
		}
	case trailer:
		if h.lines++; len(line) == 0 || h.lines > maxLines {
			h.mode = start
		}
	}
}

// begin reads a request line or status line. Empty ones before it are allowed.
func (s *stream) begin(c *dissector.Context, h *half, line []byte, long bool) {
	if len(line) == 0 {
		return
	}
	h.msg.reset()
	h.lines = 0
	switch {
	case string(line) == "PRI * HTTP/2.0":
		c.Sink.Inner("h2c")
		s.done = true
	case statusLine(line):
		h.msg.respond(line)
		h.mode = header
	case h.msg.request(line, long):
		h.mode = header
	case h.mode == start:
		c.Count("http_malformed")
		h.lose()
	}
}

// head acts on a whole head and finds out how long its body is.
func (s *stream) head(c *dissector.Context, h *half) {
	h.spoke, h.skipped = true, 0
	m := &h.msg
	if m.response {
		s.response(c, h)
	} else {
		s.request(c, h)
	}
	s.enough(h)
	s.enough(&s.half[1-c.Side&1])
}

func (s *stream) request(c *dissector.Context, h *half) {
	m := &h.msg
	s.seen.request(c, m)
	if s.waiting == maxPending {
		s.first, s.waiting = (s.first+1)%maxPending, s.waiting-1
	}
	s.pending[(s.first+s.waiting)%maxPending] = pending{head: m.method == methodHead, connect: m.method == methodConnect}
	s.waiting++
	h.follow(c, false)
	if s.seen.requests >= maxRequests {
		s.done = true
	}
}

func (s *stream) response(c *dissector.Context, h *half) {
	m := &h.msg
	if m.status >= 100 && m.status < 200 && m.status != 101 {
		h.mode = start // the real response follows
		return
	}
	var of pending
	if s.waiting > 0 {
		of = s.pending[s.first]
		s.first, s.waiting = (s.first+1)%maxPending, s.waiting-1
	}
	s.seen.response(c, m)
	switch {
	case m.status == 101:
		if in := upgrades[string(bytes.ToLower(m.upgrade))]; in != "" {
			c.Sink.Inner(in)
		}
		s.done = true
	case of.connect && m.status/100 == 2:
		s.connect(c)
	case of.head, m.status == 204, m.status == 304:
		h.mode = start
	default:
		h.follow(c, true)
	}
}

// upgrades are the protocols of an Upgrade header that have a name here.
var upgrades = map[string]string{"websocket": "websocket", "h2c": "h2c"}

// follow goes to the body (RFC 9112 6.3).
func (h *half) follow(c *dissector.Context, response bool) {
	m := &h.msg
	switch {
	case m.chunked:
		h.mode = chunkSize
	case m.lengths > 0 && m.length < 0:
		c.Count("http_length_malformed")
		h.lose()
	case m.length > 0:
		h.mode, h.left = body, m.length
	case m.lengths == 0 && response:
		h.mode = untilClose
	default:
		h.mode = start
	}
	h.listen()
}

// chunk reads the size of a chunk, which extensions may follow (RFC 9112 7.1).
func (h *half) chunk(c *dissector.Context, line []byte) {
	size, digits := int64(0), 0
	for _, x := range line {
		v := hexValue(x)
		if v < 0 {
			break
		}
		if digits++; digits > 15 {
			break
		}
		size = size<<4 | int64(v)
	}
	switch {
	case digits == 0 || digits > 15:
		c.Count("http_chunk_malformed")
		h.lose()
	case size == 0:
		h.mode, h.lines = trailer, 0
	default:
		h.mode, h.left = chunkData, size
	}
}

func hexValue(x byte) int {
	switch {
	case x >= '0' && x <= '9':
		return int(x - '0')
	case x >= 'a' && x <= 'f':
		return int(x-'a') + 10
	case x >= 'A' && x <= 'F':
		return int(x-'A') + 10
	}
	return -1
}

// connect gives the rest of both directions to TLS, if it is that.
func (s *stream) connect(c *dissector.Context) {
	s.tunnel = tls.Tunnelled()
	for i := range s.half {
		s.half[i].line = nil
	}
	s.seen.finish(c, false)
}

func (h *half) lose() { h.mode, h.skipped, h.long, h.line = lost, 0, false, h.line[:0] }

// Gap steps over what is missing of a body; elsewhere the message is lost.
func (s *stream) Gap(c *dissector.Context, n int64) {
	if s.tunnel != nil {
		s.tunnel.Gap(c, n)
		return
	}
	h := &s.half[c.Side&1]
	h.deaf()
	switch {
	case h.mode == untilClose:
	case n > 0 && (h.mode == body || h.mode == chunkData) && h.left >= n:
		if h.left -= n; h.left == 0 {
			h.mode = map[bool]mode{true: chunkEnd, false: start}[h.mode == chunkData]
		}
	default:
		h.lose()
		s.first, s.waiting = 0, 0
	}
}

// End sums the connection up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	if s.tunnel != nil {
		s.tunnel.End(c)
		return
	}
	h := &s.half[c.Side&1]
	if h.mode == untilClose {
		s.heard(c, h)
	}
	h.deaf()
	h.ended, h.line = true, nil
	if s.half[1-c.Side&1].ended {
		s.finish(c, false)
	}
}

func (s *stream) finish(c *dissector.Context, incomplete bool) {
	s.seen.finish(c, incomplete)
	c.Sink.Done()
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := 512 + s.seen.size()
	for i := range s.half {
		n += cap(s.half[i].line) + cap(s.half[i].body) + s.half[i].msg.size()
	}
	if s.tunnel != nil {
		n += s.tunnel.Size()
	}
	return n
}
