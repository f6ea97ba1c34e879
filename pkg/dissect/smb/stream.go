package smb

import (
	"bytes"
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is SMB over TCP.
var Protocol = dissector.Protocol{
	Name: "smb", Ports: []uint16{445},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	frameHeader = 4
	maxKept     = 16 << 10 // bytes of one message that are kept
	maxMessages = 256      // of one direction that are read
	maxBytes    = 4 << 20  // of one direction that are read
	maxLost     = 256 << 10

	sessionMessage   = 0x00 // RFC 1002 4.3.1
	sessionRequest   = 0x81
	positiveResponse = 0x82
	keepAlive        = 0x85
)

// magics are the first bytes of a message: SMB1, SMB2 and 3, encrypted, compressed.
var magics = []byte{0xff, 0xfe, 0xfd, 0xfc}

// recognise wants a message of any version in its frame, or a NetBIOS session
// request:
//
//	type (1) | length (3; with NetBIOS 17 bits) | ff fe fd fc | "SMB" | ...
//	0x81 | flags (1) | length (2) | called name (34) | calling name (34)
func recognise(b []byte, _ bool) dissector.Verdict {
	switch {
	case len(b) == 0:
		return dissector.More
	case b[0] == sessionRequest:
		return recogniseRequest(b)
	case b[0] != sessionMessage:
		return dissector.No
	}
	const smb = "SMB"
	for i := 4; i < min(len(b), 8); i++ {
		if i == 4 && bytes.IndexByte(magics, b[i]) < 0 || i > 4 && b[i] != smb[i-5] {
			return dissector.No
		}
	}
	if len(b) < 8 {
		return dissector.More
	}
	return dissector.Yes
}

func recogniseRequest(b []byte) dissector.Verdict {
	want := []byte{sessionRequest, 0, 0, 68, 32}
	n := min(len(b), len(want))
	if !bytes.Equal(b[:n], want[:n]) {
		return dissector.No
	}
	if n < len(want) {
		return dissector.More
	}
	return dissector.Yes
}

// stream takes both directions apart into messages.
type stream struct {
	half    [2]half
	done    bool
	ended   [2]bool
	smb1    dialects
	tokens  int
	told    [2]bool // what each side calls itself in an SMB1 session setup
	session session
}

type half struct {
	head     [frameHeader]byte
	headN    int
	left     int    // bytes of the message to come
	buf      []byte // of the message in hand, at most maxKept
	messages int
	bytes    int
	lost     bool
	skipped  int // bytes while lost
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost && !h.found(b) {
		if h.skipped += len(b); h.skipped > maxLost {
			s.finish(c, true)
		}
		return
	}
	for len(b) > 0 && !s.done && !h.lost {
		if h.left == 0 {
			n := copy(h.head[h.headN:], b)
			b = b[n:]
			if h.headN += n; h.headN == frameHeader {
				h.headN = 0
				s.enter(c, h)
			}
			continue
		}
		b = s.content(c, h, b)
	}
	if s.done {
		s.finish(c, true)
	}
}

// finish sums up and ends the reading.
func (s *stream) finish(c *dissector.Context, incomplete bool) {
	s.session.sum(c, incomplete)
	c.Sink.Done()
}

// found looks, where a direction was lost, whether b begins with a message.
func (h *half) found(b []byte) bool {
	if recognise(b[:min(len(b), dissector.MaxPrefix)], true) != dissector.Yes {
		return false
	}
	h.lost = false
	return true
}

// enter judges the header of a frame.
func (s *stream) enter(c *dissector.Context, h *half) {
	h.left = int(h.head[1])<<16 | int(h.head[2])<<8 | int(h.head[3])
	if h.head[0] != sessionMessage {
		h.left = int(h.head[1]&1)<<16 | int(binary.BigEndian.Uint16(h.head[2:]))
	}
	switch k := h.head[0]; {
	case k == sessionMessage, k >= sessionRequest && k <= keepAlive:
	default:
		c.Count("smb_not_a_message")
		*h = half{lost: true, messages: h.messages, bytes: h.bytes}
	}
	h.bytes += h.left
	if h.messages++; h.messages > maxMessages || h.bytes > maxBytes {
		s.done = true
	}
}

// content takes bytes of a message; one that lies whole in a segment is read
// where it is.
func (s *stream) content(c *dissector.Context, h *half, b []byte) []byte {
	n := min(h.left, len(b))
	whole := len(h.buf) == 0 && n == h.left && n <= maxKept
	h.left -= n
	if whole {
		s.message(c, h.head[0], b[:n])
		return b[n:]
	}
	if room := maxKept - len(h.buf); room > 0 {
		h.buf = append(h.buf, b[:min(n, room)]...)
	}
	if h.left == 0 {
		m := h.buf
		h.buf = h.buf[:0]
		s.message(c, h.head[0], m)
	}
	return b[n:]
}

// message acts on what a frame carries. Of a long one only the beginning is there.
func (s *stream) message(c *dissector.Context, kind byte, m []byte) {
	switch {
	case kind == sessionRequest:
		names(c, m)
	case kind != sessionMessage || len(m) == 0:
	case len(m) < 8 || string(m[1:4]) != "SMB":
		c.Count("smb_malformed")
	case m[0] == 0xff:
		s.version1(c, m)
	case m[0] == 0xfe:
		s.version2(c, m)
	case m[0] == 0xfd:
		s.session.encrypted = true // the session is there, and nothing of it can be read
		s.done = true
	}
}

// names emits the two names of a NetBIOS session request.
func names(c *dissector.Context, m []byte) {
	called, rest := netbiosName(m)
	calling, _ := netbiosName(rest)
	say := func(name, role string, side dissector.Side) {
		// A called name of *SMBSERVER is everybody's.
		if name == "" || name[0] == '*' {
			return
		}
		f := dissector.Fact{Kind: "session_request", Subject: dissector.Subject{Side: side}}
		f.Attributes.Set("role", role)
		f.Attributes.Set("computer_name", name)
		c.Emit(&f)
	}
	say(calling, "client", c.Side)
	say(called, "server", c.Side.Peer())
}

// netbiosName undoes the first-level encoding (RFC 1001 14.1): 32 letters, two
// for each byte; the sixteenth byte is the kind of the name.
func netbiosName(b []byte) (name string, rest []byte) {
	const letters = 32
	if len(b) < letters+2 || b[0] != letters {
		return "", nil
	}
	var out [letters / 2]byte
	for i := range out {
		hi, lo := b[1+2*i]-'A', b[2+2*i]-'A'
		if hi > 15 || lo > 15 {
			return "", nil
		}
		out[i] = hi<<4 | lo
	}
	return dissector.Text(out[:15], 15), b[letters+2:]
}

// Gap steps over what is missing of a message; what was kept of it is lost.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if n > 0 && int64(h.left) >= n {
		h.left -= int(n)
		if len(h.buf) < maxKept {
			h.buf = nil
			h.head[0] = keepAlive // nothing to read
		}
		return
	}
	*h = half{lost: true, messages: h.messages, bytes: h.bytes, skipped: h.skipped}
}

// End drops what is incomplete, and sums up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.half[c.Side&1].buf = nil
	s.ended[c.Side&1] = true
	if s.ended[0] && s.ended[1] {
		s.session.sum(c, false)
	}
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	return cap(s.half[0].buf) + cap(s.half[1].buf) + 512 + s.smb1.size() + s.session.size()
}
