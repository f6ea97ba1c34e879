package dns

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// maxKept is the most of one message over TCP that is kept; the rest, records of
// a zone transfer for the most part, is stepped over.
const maxKept = 8 << 10

// stream is DNS over TCP: messages with a length of two bytes before each (RFC
// 7766 8). Each direction is on its own.
type stream struct {
	half [2]half
}

type half struct {
	buf  []byte // of the message in hand, its length included
	size int    // the message with its length, 0 while unknown
	seen int    // bytes of it that went by, kept or not
	lost bool
}

// recognise wants one whole, ordinary message, or as much as a first segment has
// of one.
func recognise(b []byte, _ bool) dissector.Verdict {
	if len(b) < 2+headerSize {
		// A length below a header's, or flags that no query has, say no early.
		if (len(b) >= 2 && binary.BigEndian.Uint16(b) < headerSize+5) || (len(b) >= 5 && b[4]>>3&15 != 0) {
			return dissector.No
		}
		return dissector.More
	}
	size := int(binary.BigEndian.Uint16(b))
	if size < headerSize+5 {
		return dissector.No
	}
	whole := len(b) >= 2+size
	if whole {
		b = b[:2+size]
	}
	m, _ := open(b[2:])
	var n name
	var r record
	if m.strict(&n, &r, whole) {
		return dissector.Yes
	}
	if _, _, _, ok := m.question(headerSize, &n); ok || whole {
		return dissector.No
	}
	if m.counts[0] != 1 || m.opcode() != 0 {
		return dissector.No
	}
	return dissector.More
}

// Data takes messages apart.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost {
		// A segment that begins like a message is taken for one.
		if recognise(b[:min(len(b), dissector.MaxPrefix)], true) != dissector.Yes {
			return
		}
		h.lost = false
	}
	for len(b) > 0 {
		if h.size == 0 {
			n := min(2-len(h.buf), len(b))
			h.buf, b = append(h.buf, b[:n]...), b[n:]
			if len(h.buf) < 2 {
				return
			}
			h.size, h.seen = 2+int(binary.BigEndian.Uint16(h.buf)), 2
		}
		n := min(h.size-h.seen, len(b))
		if room := maxKept - len(h.buf); room > 0 {
			h.buf = append(h.buf, b[:min(n, room)]...)
		}
		h.seen += n
		b = b[n:]
		if h.seen < h.size {
			return
		}
		if dissect(c, h.buf[2:], true, len(h.buf) == h.size, global) == dissector.No {
			c.Count("dns_malformed")
		}
		h.next()
	}
}

func (h *half) next() {
	h.size, h.seen = 0, 0
	if h.buf = h.buf[:0]; cap(h.buf) > 1024 {
		h.buf = nil
	}
}

// Gap drops the message in hand; the next one is found by the length where that
// is known.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if n > 0 && h.size > 0 && int64(h.size-h.seen) == n {
		h.next()
		return
	}
	h.next()
	h.lost = true
}

// End drops what is incomplete.
func (s *stream) End(c *dissector.Context) { s.half[c.Side&1] = half{} }

// Size is the bytes that are kept.
func (s *stream) Size() int { return cap(s.half[0].buf) + cap(s.half[1].buf) + 128 }
