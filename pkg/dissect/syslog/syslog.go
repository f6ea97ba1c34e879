package syslog

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is syslog. TCP port 514 is that of the remote shell, and used for both.
var Protocol = dissector.Protocol{
	Name: "syslog", Ports: []uint16{port, 601}, Datagram: datagram,
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	port = 514

	maxFrame = 1 << 20 // bytes of a message with a count before it
	maxLost  = 64 << 10
)

// state is a tally of datagrams.
type state struct{ tally }

// End sums the flow up.
func (s *state) End(c *dissector.Context) { s.sum(c, dissector.Src) }

// Size is about how many bytes are kept.
func (s *state) Size() int { return s.size() }

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	m, formed, ok := parse(b[:min(len(b), maxHead)])
	at := known || c.Headers.DstPort == port || c.Headers.SrcPort == port
	if !ok || !formed && (m.facility < 0 || !at) || m.facility < 0 && !at {
		return dissector.No
	}
	s, _ := c.State.(*state)
	if s == nil {
		s = new(state)
		c.State = s
	}
	s.message(c, &m)
	s.station(c, b[:min(len(b), maxHead)], &m)
	return dissector.Yes
}

// recognise wants a priority and a time behind it, with or without a count of
// bytes before it. Other text begins with an angle bracket, too.
func recognise(b []byte, _ bool) dissector.Verdict {
	for i, x := range b {
		switch {
		case x == '<':
			return head(b[i:])
		case x >= '0' && x <= '9' && i < 6 && (i > 0 || x != '0'):
		case x == ' ' && i > 0 && i+1 < len(b) && b[i+1] == '<':
			return head(b[i+1:])
		case x == ' ' && i > 0 && i+1 == len(b):
			return dissector.More
		default:
			return dissector.No
		}
	}
	return dissector.More
}

func head(b []byte) dissector.Verdict {
	m, formed, ok := parse(b[:min(len(b), maxHead)])
	switch {
	case ok && formed && m.facility >= 0:
		return dissector.Yes
	case len(b) > 5 && !ok || len(b) >= maxHead || bytes.IndexByte(b, '\n') >= 0:
		return dissector.No
	}
	for i, x := range b[1:] { // at least "<n" so far
		if x == '>' {
			return dissector.More
		}
		if x < '0' || x > '9' || i > 2 {
			return dissector.No
		}
	}
	return dissector.More
}

// stream takes both directions apart into messages; one of them says all.
type stream struct {
	half [2]half
}

// half is one direction.
type half struct {
	tally
	head    []byte // of the message in hand, or its count
	left    int    // bytes of a counted message to come
	counted bool
	begun   bool // in a message that a newline ends
	lost    bool
	skipped int
}

// Data takes messages apart: a count, a space and as many bytes, or a line (RFC
// 6587 3.4). Some senders mix both.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost && recognise(b[:min(len(b), dissector.MaxPrefix)], true) == dissector.Yes {
		h.lost = false // a segment that begins like a message is taken for one
	}
	for len(b) > 0 {
		switch {
		case h.lost:
			b = h.find(b)
		case h.counted:
			n := min(h.left, len(b))
			h.keep(b[:n])
			b = b[n:]
			if h.left -= n; h.left == 0 {
				h.end(c, true)
			}
		case h.begun:
			i := bytes.IndexAny(b, "\n\x00")
			if i < 0 {
				h.keep(b)
				return
			}
			h.keep(b[:i])
			b = b[i+1:]
			h.end(c, true)
		default:
			b = h.begin(c, b)
		}
	}
	if h.skipped > maxLost {
		c.Sink.Done()
	}
}

// begin takes bytes before a message: its count, or the bracket of its priority.
func (h *half) begin(c *dissector.Context, b []byte) []byte {
	x := b[0]
	switch {
	case x == '<':
		h.head, h.begun = h.head[:0], true
		return b
	case x >= '0' && x <= '9' && len(h.head) < 7:
		h.head = append(h.head, x)
	case x == ' ' && len(h.head) > 0:
		n := 0
		for _, d := range h.head {
			n = 10*n + int(d-'0')
		}
		h.head = h.head[:0]
		if n == 0 || n > maxFrame {
			c.Count("syslog_frame_malformed")
			h.lost = true
			return b[1:]
		}
		h.left, h.counted = n, true
	case (x == '\n' || x == '\r' || x == 0) && len(h.head) == 0:
	default:
		c.Count("syslog_frame_malformed")
		h.head, h.lost = h.head[:0], true
	}
	return b[1:]
}

// find looks for the end of a line, behind which a message may begin.
func (h *half) find(b []byte) []byte {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		h.skipped += len(b)
		return nil
	}
	h.skipped += i
	h.lost = false
	return b[i+1:]
}

func (h *half) keep(b []byte) {
	h.head = append(h.head, b[:min(len(b), maxHead-len(h.head))]...)
}

// end reads the message in hand, whole or as far as it came.
func (h *half) end(c *dissector.Context, whole bool) {
	m, _, ok := parse(h.head)
	if ok {
		h.message(c, &m)
		if whole {
			h.station(c, h.head, &m)
		}
		h.skipped = 0
	} else {
		c.Count("syslog_malformed")
	}
	h.head, h.counted, h.begun = h.head[:0], false, false
}

// Gap steps over missing bytes of a counted message; else the line is lost.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if n > 0 && h.counted && int64(h.left) > n && len(h.head) >= maxHead {
		h.left -= int(n)
		return
	}
	h.head, h.counted, h.begun, h.lost = h.head[:0], false, false, true
}

// End tells what the direction has said, with a last line that nothing ended.
func (s *stream) End(c *dissector.Context) {
	h := &s.half[c.Side&1]
	if h.begun && len(h.head) > 0 {
		h.end(c, false)
	}
	h.sum(c, c.Side)
	h.head = nil
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	return cap(s.half[0].head) + cap(s.half[1].head) + s.half[0].size() + s.half[1].size()
}
