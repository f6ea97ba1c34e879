package http

import (
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/ipp"
)

// The one kind of body that is listened to is IPP's: its beginning is kept until the
// body ends, and then read.

// listen begins with the body that the head in hand announces.
func (h *half) listen() {
	h.body = h.body[:0]
	h.listens = h.mode != start && family(h.msg.kind) == "ipp"
}

// hear keeps bytes of a body.
func (s *stream) hear(c *dissector.Context, h *half, b []byte) {
	if !h.listens {
		return
	}
	h.body = append(h.body, b[:min(len(b), ipp.Max-len(h.body))]...)
	if len(h.body) == ipp.Max {
		s.heard(c, h)
	}
}

// heard reads what was kept.
func (s *stream) heard(c *dissector.Context, h *half) {
	if !h.listens {
		return
	}
	h.listens = false
	side := 0
	if h.msg.response {
		side = 1
	}
	for _, f := range ipp.Read(h.body, !h.msg.response) {
		f.Subject = dissector.Subject{Side: c.Side}
		if key, err := f.Attributes.MarshalJSON(); err == nil && s.seen.news(c, side, 'i', []byte(f.Kind), key) {
			c.Emit(&f)
		}
	}
	h.body = h.body[:0]
}

// deaf forgets a body of which bytes are missing.
func (h *half) deaf() { h.listens, h.body = false, nil }
