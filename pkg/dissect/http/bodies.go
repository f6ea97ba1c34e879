package http

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dicomweb"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/fhir"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
	"github.com/wardflow/wardflow/pkg/dissect/ipp"
	"github.com/wardflow/wardflow/pkg/dissect/sdc"
	"github.com/wardflow/wardflow/pkg/dissect/upnp"
)

// kinds is the list of bodies that are read, at most 32; see pkg/dissect/httpbody.
var kinds = []*httpbody.Kind{
	&dicomweb.Bodies,
	&sdc.Bodies,
	&fhir.Bodies,
	&upnp.Bodies,
	&ipp.Bodies,
}

// inspection is the body in hand of one direction, as its readers get it.
type inspection struct {
	on     uint32 // which of the kinds read it
	read   int    // bytes that they got
	coding coding
	packed []byte // collected, where it is compressed
	msg    httpbody.Message
}

// inspect asks who wants the body of the message whose head is complete.
func (s *stream) inspect(c *dissector.Context, h *half, of *pending) {
	in, m := &h.in, &h.msg
	in.on, in.read, in.coding = 0, 0, m.coding
	in.msg = httpbody.Message{
		Response: m.response, Method: of.name(), Status: m.status, Target: m.target, Boundary: m.boundary, Accept: m.accept, Action: m.action,
	}
	mediaType, parameters, _ := bytes.Cut(m.kind, []byte(";"))
	in.msg.Type, in.msg.Parameters = bytes.TrimSpace(mediaType), bytes.TrimSpace(parameters)
	for i, k := range kinds {
		if !m.response && of.tag == 0 && k.Request != nil {
			if tag := k.Request(&in.msg); tag != 0 {
				of.tag, of.kind = tag, uint8(i)
			}
		}
		in.msg.Tag = of.tagOf(i)
		if !k.Wants(&in.msg) {
			continue
		}
		if s.readers == nil {
			s.readers = make([]httpbody.Reader, len(kinds))
		}
		if s.readers[i] == nil {
			s.readers[i] = k.New()
		}
		in.on |= 1 << i
	}
	if in.on != 0 && in.coding == otherCoding {
		c.Count("http_encoding_unread")
	}
	h.of = *of
}

// feed gives the next bytes of a body to its readers, without the transfer coding.
func (s *stream) feed(c *dissector.Context, h *half, b []byte) {
	in := &h.in
	switch {
	case in.on == 0 || len(b) == 0:
	case in.coding == noCoding:
		s.share(c, h, b)
	case in.coding == otherCoding:
		s.finishBody(c, h, false)
	default:
		n := min(len(b), maxPacked-len(in.packed))
		in.packed = append(in.packed, b[:n]...)
		if n < len(b) {
			s.finishBody(c, h, false)
		}
	}
}

// share gives decoded bytes to each of the readers up to its limit.
func (s *stream) share(c *dissector.Context, h *half, b []byte) {
	in := &h.in
	for i, k := range kinds {
		if in.on&(1<<i) == 0 {
			continue
		}
		limit := k.Limit
		if limit == 0 {
			limit = httpbody.DefaultLimit
		}
		n := min(len(b), limit-in.read)
		in.msg.Tag = h.of.tagOf(i)
		if n > 0 && !s.readers[i].Body(c, &in.msg, b[:n]) {
			in.on &^= 1 << i
		} else if n < len(b) {
			s.endReader(c, h, i, false)
		}
	}
	in.read += len(b)
}

func (s *stream) endReader(c *dissector.Context, h *half, i int, whole bool) {
	in := &h.in
	in.on &^= 1 << i
	in.msg.Tag, in.msg.Incomplete = h.of.tagOf(i), !whole
	s.readers[i].End(c, &in.msg)
	in.msg.Incomplete = false
}

// finishBody ends the body in hand; whole says whether all of it was there.
func (s *stream) finishBody(c *dissector.Context, h *half, whole bool) {
	in := &h.in
	if in.on == 0 {
		return
	}
	if len(in.packed) > 0 {
		whole = s.unpack(c, h) && whole
		in.packed = nil
	}
	for i := range kinds {
		if in.on&(1<<i) != 0 {
			s.endReader(c, h, i, whole)
		}
	}
}

// closeReaders ends the bodies in hand, and then the readers.
func (s *stream) closeReaders(c *dissector.Context) {
	if s.readers == nil {
		return
	}
	side := c.Side
	for i := range s.half {
		c.Side = dissector.Side(i)
		s.finishBody(c, &s.half[i], false)
	}
	c.Side = side
	for _, r := range s.readers {
		if r != nil {
			r.Close(c)
		}
	}
	s.readers = nil
}
