package http

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
	"github.com/wardflow/wardflow/pkg/dissect/smtp"
	"github.com/wardflow/wardflow/pkg/dissect/ssh"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
	"github.com/wardflow/wardflow/pkg/dissect/tunnel"
)

const (
	maxLine     = 8 << 10  // bytes of a line that are kept
	maxLines    = 512      // of a head
	maxRequests = 256      // of a connection that are read
	maxBodies   = 1 << 20  // bytes of bodies of one direction that are stepped over, once both sides have spoken
	maxSkipped  = 64 << 10 // bytes in search of a message, after a gap
	maxPending  = 32       // requests that wait for their response
	muchMore    = 16       // times as many bodies and requests where somebody reads the bodies
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
	tunnel  dissector.Stream  // HTTP/2, or what goes through after CONNECT
	within  bool              // this is behind a CONNECT itself: another one is not followed
	readers []httpbody.Reader // of the bodies, as in kinds; nil while none was wanted
	done    bool
	seen    seen
}

// pending is what the framing and the reading of a response depend on.
type pending struct {
	known  bool // there was such a request
	method uint8
	kind   uint8 // who gave the tag
	tag    uint32
}

// name is the request's method, "" where it was not seen.
func (p *pending) name() string {
	if !p.known {
		return ""
	}
	return methodName(int(p.method))
}

// tagOf is the tag for one of the kinds.
func (p *pending) tagOf(kind int) uint32 {
	if int(p.kind) != kind {
		return 0
	}
	return p.tag
}

func (p *pending) is(method int) bool { return p.known && int(p.method) == method }

// half is one direction.
type half struct {
	mode    mode
	line    []byte // in hand, at most maxLine
	long    bool   // the line in hand is longer
	left    int64  // of a body or chunk
	lines   int    // of the head in hand
	msg     message
	of      pending // the request of the body in hand, or to which it answers
	in      inspection
	spoke   bool  // a head was read
	bodies  int64 // bytes of bodies that were stepped over
	skipped int   // bytes while lost
	ended   bool
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
		s.leave(c)
	}
	if s.done {
		s.finish(c, true)
	}
}

// skip steps over bytes of a body. After enough of them nothing new is expected
// of the connection. A step ends where that may be so at the latest, so that it
// does not matter how the connection was cut.
func (s *stream) skip(c *dissector.Context, h *half, b []byte) []byte {
	n := int64(len(b))
	if h.mode != untilClose {
		n = min(n, h.left)
	}
	for _, limit := range [...]int64{maxBodies, muchMore * maxBodies} {
		if h.bodies < limit {
			n = min(n, limit-h.bodies)
		}
	}
	s.feed(c, h, b[:n])
	h.bodies += n
	if h.mode != untilClose {
		h.left -= n
		s.arrive(c, h)
	}
	s.enough(h)
	return b[n:]
}

// arrive goes on behind a body or a chunk that was stepped over.
func (s *stream) arrive(c *dissector.Context, h *half) {
	switch {
	case h.left > 0:
	case h.mode == chunkData:
		h.mode = chunkEnd
	default:
		h.mode = start
		s.finishBody(c, h, true)
	}
}

// enough ends the reading when a direction has stepped over maxBodies, and the
// other one has spoken too; later where the bodies are read.
func (s *stream) enough(h *half) {
	both := s.half[0].spoke && s.half[1].spoke
	if h.bodies >= maxBodies && both && s.readers == nil || h.bodies >= muchMore*maxBodies {
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
			s.lose(c, h)
		case long:
			c.Count("http_line_long")
		default:
			h.msg.header(line)
		}
	case chunkSize:
		s.chunk(c, h, line)
	case chunkEnd:
		h.mode = chunkSize
		if len(line) > 0 {
			c.Count("http_chunk_malformed")
			s.lose(c, h)
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
	case string(line) == preface[:len("PRI * HTTP/2.0")]:
		c.Sink.Inner("h2c")
		s.closeReaders(c)
		s.tunnel = newH2(&s.seen, c.Side, len("PRI * HTTP/2.0\r\n"))
	case statusLine(line):
		h.msg.respond(line)
		h.mode = header
	case h.msg.request(line, long):
		h.mode = header
	case h.mode == start:
		c.Count("http_malformed")
		s.lose(c, h)
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
	of := pending{known: true, method: uint8(m.method)}
	s.inspect(c, h, &of)
	s.pending[(s.first+s.waiting)%maxPending] = of
	s.waiting++
	s.follow(c, h, false)
	if n := s.seen.requests; n >= maxRequests && s.readers == nil || n >= muchMore*maxRequests {
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
		in := upgrades[string(bytes.ToLower(m.upgrade))]
		if in != "" {
			c.Sink.Inner(in)
		}
		if in == "h2c" { // RFC 7540 3.2: the client's preface follows
			s.closeReaders(c)
			s.tunnel = newH2(&s.seen, 1-c.Side, 0)
			return
		}
		s.done = true
	case of.is(methodConnect) && m.status/100 == 2:
		s.connect(c)
	case of.is(methodHead), m.status == 204, m.status == 304:
		h.mode = start
		s.inspect(c, h, &of)
		s.finishBody(c, h, true)
	default:
		s.inspect(c, h, &of)
		s.follow(c, h, true)
	}
}

// upgrades are the protocols of an Upgrade header that have a name here.
var upgrades = map[string]string{"websocket": "websocket", "h2c": "h2c"}

// follow goes to the body (RFC 9112 6.3).
func (s *stream) follow(c *dissector.Context, h *half, response bool) {
	m := &h.msg
	switch {
	case m.chunked:
		h.mode = chunkSize
	case m.lengths > 0 && m.length < 0:
		c.Count("http_length_malformed")
		s.lose(c, h)
	case m.length > 0:
		h.mode, h.left = body, m.length
	case m.lengths == 0 && response:
		h.mode = untilClose
	default:
		h.mode = start
		s.finishBody(c, h, true)
	}
}

// chunk reads the size of a chunk, which extensions may follow (RFC 9112 7.1).
func (s *stream) chunk(c *dissector.Context, h *half, line []byte) {
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
		s.lose(c, h)
	case size == 0:
		h.mode, h.lines = trailer, 0
		s.finishBody(c, h, true)
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

// connect gives the rest of both directions to what goes through.
func (s *stream) connect(c *dissector.Context) {
	if s.within {
		s.done = true
		return
	}
	s.tunnel = tunnel.New("http_connect", c.Side, &tls.Protocol, &ssh.Protocol, &smtp.Protocol, &dissector.Protocol{
		Name: "http", Recognise: recognise, NewStream: func() dissector.Stream { return &stream{within: true} },
	})
	for i := range s.half {
		s.half[i].line = nil
	}
	s.seen.finish(c, false)
	s.closeReaders(c)
}

// leave ends the connection when what goes through has nothing more to tell.
func (s *stream) leave(c *dissector.Context) {
	if t, is := s.tunnel.(*tunnel.Stream); is && t.Over() {
		c.Sink.Done()
	}
}

// lose gives the place in a direction up.
func (s *stream) lose(c *dissector.Context, h *half) {
	s.finishBody(c, h, false)
	h.mode, h.skipped, h.long, h.line = lost, 0, false, h.line[:0]
}

// Gap steps over what is missing of a body, of which its readers get no more;
// elsewhere the message is lost.
func (s *stream) Gap(c *dissector.Context, n int64) {
	if s.tunnel != nil {
		s.tunnel.Gap(c, n)
		return
	}
	h := &s.half[c.Side&1]
	switch {
	case h.mode == untilClose:
		s.finishBody(c, h, false)
	case n > 0 && (h.mode == body || h.mode == chunkData) && h.left >= n:
		s.finishBody(c, h, false)
		h.left -= n
		s.arrive(c, h)
	default:
		s.lose(c, h)
		s.first, s.waiting = 0, 0
	}
}

// End sums the connection up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	if s.tunnel != nil {
		s.tunnel.End(c)
		s.leave(c)
		return
	}
	h := &s.half[c.Side&1]
	s.finishBody(c, h, h.mode == untilClose)
	h.ended, h.line = true, nil
	if s.half[1-c.Side&1].ended {
		s.finish(c, false)
	}
}

func (s *stream) finish(c *dissector.Context, incomplete bool) {
	s.seen.finish(c, incomplete)
	s.closeReaders(c)
	c.Sink.Done()
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := 1024 + s.seen.size()
	for i := range s.half {
		n += cap(s.half[i].line) + s.half[i].msg.size() + cap(s.half[i].in.packed)
	}
	for _, r := range s.readers {
		if r != nil {
			n += r.Size()
		}
	}
	if s.tunnel != nil {
		n += s.tunnel.Size()
	}
	return n
}
