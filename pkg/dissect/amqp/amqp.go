// Package amqp dissects AMQP 0-9-1 (RabbitMQ's) as far as its greeting goes: what broker
// and client call themselves, and how the client logs in. AMQP 1.0 is recognised.
//
// Queues, messages, names and passwords never leave. Behind the greeting nothing is read.
package amqp

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/pkg/dissect/sasl"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is AMQP.
var Protocol = dissector.Protocol{
	Name: "amqp", Ports: []uint16{5672},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Parts of a frame (AMQP 0-9-1, 4.2.3): type (1) | channel (2) | size (4) | payload | 0xce.
const (
	frameHeader = 7
	frameEnd    = 0xce
	methodFrame = 1
	heartbeat   = 8
	maxFrame    = 1 << 20 // of any that is believed
	maxKept     = 8 << 10
	maxFrames   = 16
	maxText     = 64

	classConnection = 10
	methodStart     = 10
	methodStartOK   = 11
	methodTuneOK    = 31
)

// recognise wants "AMQP" and a version, or midstream a whole frame.
func recognise(b []byte, midstream bool) dissector.Verdict {
	const start = "AMQP"
	n := min(len(b), len(start))
	if string(b[:n]) == start[:n] {
		if len(b) < 8 {
			return dissector.More
		}
		if b[4] > 3 || b[5] > 1 || b[6] > 9 {
			return dissector.No
		}
		return dissector.Yes
	}
	if !midstream {
		return dissector.No
	}
	if len(b) == 0 {
		return dissector.No
	}
	size := size(b, true)
	if size <= 0 || size > len(b) || b[size-1] != frameEnd || b[0] == methodFrame && binary.BigEndian.Uint16(b[frameHeader:]) > 100 {
		return dissector.No
	}
	return dissector.Yes
}

// size is a frame's, or the greeting's.
func size(b []byte, _ bool) int {
	switch {
	case b[0] == 'A':
		return 8
	case b[0] == 0 || b[0] > 3 && b[0] != heartbeat:
		return -1
	case len(b) < frameHeader:
		return 0
	}
	n := int(binary.BigEndian.Uint32(b[3:]))
	if n > maxFrame || b[0] == methodFrame && n < 4 {
		return -1
	}
	return frameHeader + n + 1
}

var format = framing.Format{Keep: maxKept, Length: size, Recognise: recognise, Odd: "amqp_malformed"}

// stream is one connection.
type stream struct {
	framing.Both
	frames int
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	r := s.Half(c)
	over := false
	r.Each(c, &format, b, func(m []byte) bool {
		s.frames++
		over = s.frame(c, m) || s.frames == maxFrames
		return over
	})
	if over || r.Broken() {
		c.Sink.Done()
	}
}

// frame takes a frame, and reports whether nothing more is wanted.
func (s *stream) frame(c *dissector.Context, m []byte) bool {
	if m[0] == 'A' { // of 1.0 nothing is read
		return m[4] == 3 || m[5] == 1 && m[6] == 0
	}
	if m[0] != methodFrame || len(m) < frameHeader+4 {
		return false
	}
	b := m[frameHeader:]
	if binary.BigEndian.Uint16(b) != classConnection {
		return true
	}
	switch binary.BigEndian.Uint16(b[2:]) {
	case methodStart: // major (1) | minor (1) | properties | mechanisms | locales
		if len(b) > 6 {
			s.start(c, b[6:])
		}
	case methodStartOK: // properties | mechanism | response | locale
		s.startOK(c, b[4:])
	case methodTuneOK:
		return true
	}
	return false
}

// table takes a field table, which its length precedes, off b.
func table(b []byte) (t, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > int64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// properties are the fields that are told.
var properties = map[string]string{"product": "software", "version": "software_version", "platform": "platform"}

// identify reads the texts of a table: name (1+) | 'S' | length (4) | text. It ends at a
// field of a type whose size is not looked up.
func identify(a *proto.Attributes, b []byte) {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+5 {
			return
		}
		name, kind := string(b[1:1+n]), b[1+n]
		b = b[2+n:]
		switch kind {
		case 'S', 'F', 'x':
			v, rest, ok := table(b)
			if !ok {
				return
			}
			if attribute := properties[strings.ToLower(name)]; attribute != "" && kind == 'S' && bytes.IndexByte(v, '@') < 0 {
				a.Set(attribute, dissector.Text(v, maxText))
			}
			b = rest
		case 't':
			b = b[1:]
		case 'I':
			b = b[4:]
		default:
			return
		}
	}
}

// start tells of the broker.
func (*stream) start(c *dissector.Context, b []byte) {
	f := dissector.Fact{Kind: "start", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	t, rest, ok := table(b)
	if ok {
		identify(a, t)
		if names, _, ok := table(rest); ok {
			var list []string
			for _, n := range bytes.Fields(names) {
				list = append(list, sasl.Mechanism(n))
			}
			a.SetList("mechanisms", list)
		}
	}
	c.Emit(&f)
}

// startOK tells of the client.
func (*stream) startOK(c *dissector.Context, b []byte) {
	f := dissector.Fact{Kind: "login", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "client")
	t, rest, ok := table(b)
	if ok {
		identify(a, t)
		if len(rest) > 0 && len(rest) > int(rest[0]) {
			var x sasl.Exchange
			x.Begin(rest[1 : 1+rest[0]])
			if token, _, ok := table(rest[1+rest[0]:]); ok {
				x.Token(c, token, true)
			}
			x.Set(a)
		}
	}
	c.Emit(&f)
}
