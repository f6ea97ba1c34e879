// Package stun recognises STUN and TURN (RFC 8489, RFC 8656) over UDP and TCP, and the
// STUN of before (RFC 3489), by which telephones and conferences find a way out of a
// network. Of their attributes the software's name is told; user names, realms and
// addresses never leave.
package stun

import (
	"encoding/binary"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is STUN.
var Protocol = dissector.Protocol{
	Name: "stun", Ports: ports, Datagram: datagram,
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

var ports = []uint16{3478, 3479}

// Parts of a message (RFC 8489 5): type (2) | length (2) | cookie (4) | transaction (12) |
// attributes, each type (2), length (2), value, padding.
const (
	header   = 20
	cookie   = 0x2112a442
	software = 0x8022
	maxText  = 128
	success  = 0x0100
)

// message judges the header at the beginning of b, which may be cut: old holds for one
// without the cookie of RFC 5389.
func message(b []byte) (size int, old, ok bool) {
	kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
	if kind>>14 != 0 || n%4 != 0 {
		return 0, false, false
	}
	old = binary.BigEndian.Uint32(b[4:]) != cookie
	return header + n, old, true
}

// datagram wants one message that fills the datagram, or several. The old version has
// no cookie, so that its attributes must fill it, and be known.
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if known {
		return dissector.Yes // what is relayed shares the flow
	}
	if len(b) < header {
		return dissector.No
	}
	size, old, ok := message(b)
	switch {
	case !ok, size > c.Headers.PayloadLen:
		return dissector.No
	case old:
		home := slices.Contains(ports, c.Headers.SrcPort) || slices.Contains(ports, c.Headers.DstPort)
		if size != c.Headers.PayloadLen || !classic(b, home) {
			return dissector.No
		}
	}
	tell(c, b[header:min(size, len(b))], binary.BigEndian.Uint16(b)&success != 0)
	return dissector.Yes
}

// classic holds for a message of RFC 3489: one of its types, and attributes of its own.
// A request without any counts only on STUN's ports.
func classic(b []byte, home bool) bool {
	switch binary.BigEndian.Uint16(b) {
	case 0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112:
	default:
		return false
	}
	n := 0
	for b = b[header:]; len(b) >= 4; n++ {
		kind, size := binary.BigEndian.Uint16(b), 4+(int(binary.BigEndian.Uint16(b[2:]))+3)&^3
		if size > len(b) || kind == 0 || kind > 0x20 && kind < 0x8000 {
			return false
		}
		b = b[size:]
	}
	return len(b) == 0 && (n > 0 || home)
}

// tell tells the software's name, if there is one.
func tell(c *dissector.Context, b []byte, answer bool) {
	for len(b) >= 4 {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return
		}
		if kind == software {
			f := dissector.Fact{Kind: "binding", Subject: dissector.Subject{Side: c.Side}}
			f.Attributes.Set("software", dissector.Text(b[4:4+n], maxText))
			if len(f.Attributes) > 0 {
				f.Attributes.Set("role", map[bool]string{true: "server", false: "client"}[answer])
				c.Emit(&f)
			}
			return
		}
		b = b[min(4+(n+3)&^3, len(b)):]
	}
}

// recognise wants the header of a message with the cookie, alone or behind a length of
// two bytes (RFC 4571).
func recognise(b []byte, _ bool) dissector.Verdict {
	v := begins(b)
	if v == dissector.Yes || len(b) < 2 {
		return v
	}
	if f := begins(b[2:]); f != dissector.No && (len(b) < 6 || int(binary.BigEndian.Uint16(b)) == header+int(binary.BigEndian.Uint16(b[4:]))) {
		return f
	}
	return v
}

func begins(b []byte) dissector.Verdict {
	want := binary.BigEndian.AppendUint32(nil, cookie)
	for i, x := range b[:min(len(b), 8)] {
		switch {
		case i == 0 && x>>6 != 0, i == 3 && x%4 != 0, i >= 4 && x != want[i-4]:
			return dissector.No
		}
	}
	if len(b) < header {
		return dissector.More
	}
	return dissector.Yes
}

// stream tells nothing more than the label.
type stream struct{}

// Data ends the reading.
func (*stream) Data(c *dissector.Context, _ []byte) { c.Sink.Done() }

// Gap is nothing to it.
func (*stream) Gap(*dissector.Context, int64) {}

// End is nothing to it.
func (*stream) End(*dissector.Context) {}

// Size is nothing.
func (*stream) Size() int { return 0 }
