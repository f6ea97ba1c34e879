package sip

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	maxKept  = 16 << 10 // bytes of a message that are kept
	maxFacts = 24       // of a connection
	maxLost  = 64 << 10
)

// stream is one connection of SIP over TCP.
type stream struct {
	half [2]half
	told []uint64
}

type half struct {
	buf  []byte // of the message in hand
	skip int    // bytes of a body that was too long to be kept
	lost bool
	bad  bool
	seen int // bytes while lost
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost {
		if h.bad || recognise(b[:min(len(b), dissector.MaxPrefix)], true) == dissector.No {
			if h.seen += len(b); h.seen > maxLost {
				c.Sink.Done()
			}
			return
		}
		h.lost = false
	}
	for len(b) > 0 && !h.lost {
		if h.skip > 0 {
			n := min(h.skip, len(b))
			h.skip -= n
			b = b[n:]
			continue
		}
		n := min(len(b), maxKept-len(h.buf))
		h.buf = append(h.buf, b[:n]...)
		b = b[n:]
		for s.message(c, h) {
		}
		if len(h.buf) == maxKept {
			c.Count("sip_message_long")
			h.lose(true)
		}
	}
}

func (h *half) lose(bad bool) { *h = half{lost: true, bad: bad, seen: h.seen} }

// message takes a whole message off the buffer.
func (s *stream) message(c *dissector.Context, h *half) bool {
	b := bytes.TrimLeft(h.buf, "\r\n\x00")
	ping := len(h.buf) - len(b)
	end, gap := bytes.Index(b, []byte("\r\n\r\n")), 4
	if i := bytes.Index(b, []byte("\n\n")); i >= 0 && (end < 0 || i < end) {
		end, gap = i, 2
	}
	if end < 0 {
		h.drop(ping)
		if len(b) > 0 && recognise(b[:min(len(b), dissector.MaxPrefix)], false) == dissector.No {
			c.Count("sip_malformed")
			h.lose(true)
		}
		return false
	}
	if recognise(b[:end+gap], false) != dissector.Yes {
		c.Count("sip_malformed")
		h.lose(true)
		return false
	}
	var m message
	m.parse(b[:end+gap])
	size := end + gap + max(m.length, 0)
	switch {
	case size <= len(b):
		m = message{}
		m.parse(b[:size])
		m.emit(c, s.news)
		h.drop(ping + size)
		return len(h.buf) > 0
	case size > maxKept: // its body is stepped over
		m.emit(c, s.news)
		h.skip = size - len(b)
		h.buf = h.buf[:0]
	}
	return false
}

// drop takes n bytes off the buffer.
func (h *half) drop(n int) { h.buf = h.buf[:copy(h.buf, h.buf[n:])] }

// news reports whether a thing was not told yet.
func (s *stream) news(key string) bool {
	sum := xxhash.Sum64String(key)
	if slices.Contains(s.told, sum) || len(s.told) == maxFacts {
		return false
	}
	s.told = append(s.told, sum)
	return true
}

// Gap steps over what is missing of a body; else the message is lost.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if n > 0 && int64(h.skip) >= n {
		h.skip -= int(n)
		return
	}
	h.lose(false)
}

// End drops what is incomplete.
func (s *stream) End(c *dissector.Context) { s.half[c.Side&1].buf = nil }

// Size is about the bytes that are kept.
func (s *stream) Size() int {
	return 128 + cap(s.half[0].buf) + cap(s.half[1].buf) + 8*cap(s.told)
}
