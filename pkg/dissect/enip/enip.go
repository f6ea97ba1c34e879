package enip

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is EtherNet/IP.
var Protocol = dissector.Protocol{
	Name: "enip", Ports: []uint16{port, portIO},
	Datagram: datagram, Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	port   = 44818
	portIO = 2222
)

// The encapsulation header (volume 2, 2-3), all little endian:
//
//	0 command (2)   2 length of data (2)   4 session (4)   8 status (4)   12 sender's context (8)   20 options 0 (4)
const header = 24

// The commands.
const (
	listServices    = 0x04
	listIdentity    = 0x63
	listInterfaces  = 0x64
	registerSession = 0x65
	unregister      = 0x66
	sendRRData      = 0x6f
	sendUnitData    = 0x70
)

// encapsulated judges a header and the first bytes of what follows it; more says
// that there are too few to judge.
func encapsulated(b []byte) (ok, more bool) {
	if len(b) == 0 {
		return false, true
	}
	switch b[0] {
	case listServices, listIdentity, listInterfaces, registerSession, unregister, sendRRData, sendUnitData:
	default:
		return false, false
	}
	if len(b) > 1 && b[1] != 0 {
		return false, false
	}
	if len(b) < header {
		return len(b) < 12 || binary.LittleEndian.Uint16(b[10:]) == 0, true
	}
	n, status, options := int(binary.LittleEndian.Uint16(b[2:])), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[20:])
	if options != 0 || status > 3 && status != 0x64 && status != 0x65 && status != 0x69 {
		return false, false
	}
	body := b[header:]
	switch b[0] {
	case unregister:
		return n == 0, false
	case registerSession:
		if n != 4 || len(body) >= 4 && (binary.LittleEndian.Uint16(body) != 1 || body[2]|body[3] != 0) {
			return false, false
		}
		return true, len(body) < 4
	case sendRRData, sendUnitData:
		if n == 0 && status != 0 {
			return true, false
		}
		if n < 16 || len(body) >= 8 && (binary.LittleEndian.Uint32(body) != 0 || body[6] == 0 || body[6] > 8 || body[7] != 0) {
			return false, false
		}
		return true, len(body) < 8
	}
	if n == 0 {
		return true, false
	}
	return n >= 2 && (len(body) < 2 || body[1] == 0), len(body) < 2 // a number of items
}

func recognise(b []byte, _ bool) dissector.Verdict {
	ok, more := encapsulated(b)
	switch {
	case !ok && !more:
		return dissector.No
	case more:
		return dissector.More
	}
	return dissector.Yes
}

// datagram takes lists over UDP, and the cyclic data of connections (2-6):
//
//	0 2 items (2)   2 0x8002 (2)   4 length 8 (2)   6 connection (4)   10 number (4)   14 0x00b1 (2)   16 length (2)
func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	const cyclic = 18
	if len(b) >= cyclic && b[0] == 2 {
		n := int(binary.LittleEndian.Uint16(b[16:]))
		if b[1] == 0 && b[2] == 2 && b[3] == 0x80 && b[4] == 8 && b[5] == 0 && b[14] == 0xb1 && b[15] == 0 && cyclic+n == c.Headers.PayloadLen {
			return dissector.Yes
		}
		return dissector.No
	}
	if len(b) < header || b[0] != listServices && b[0] != listIdentity && b[0] != listInterfaces {
		return dissector.No
	}
	if ok, more := encapsulated(b); !ok || more || header+int(binary.LittleEndian.Uint16(b[2:])) != c.Headers.PayloadLen {
		return dissector.No
	}
	s, _ := c.State.(*lists)
	if s == nil {
		s = new(lists)
		c.State = s
	}
	list(c, b, s.once.First)
	return dissector.Yes
}

// lists is what was told of a flow of datagrams: some ask every few seconds.
type lists struct{ stream }

// End has nothing to tell.
func (*lists) End(*dissector.Context) {}

// format is the framing over TCP.
var format = framing.Format{Keep: 4096, Odd: "enip_not_a_message", Length: func(b []byte, _ bool) int {
	if len(b) < header {
		if ok, more := encapsulated(b); !ok && !more {
			return -1
		}
		return 0
	}
	if ok, _ := encapsulated(b); !ok {
		return -1
	}
	return header + int(binary.LittleEndian.Uint16(b[2:]))
}}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		switch m[0] {
		case listIdentity:
			list(c, m, s.once.First)
		case sendRRData, sendUnitData:
			s.items(c, m[header:])
		}
		return false
	})
}

// Gap begins anew with what follows.
func (s *stream) Gap(c *dissector.Context, n int64) {
	s.Both.Gap(c, n)
	s.asked = identityRequest{}
}

// End tells what the connection came to.
func (s *stream) End(c *dissector.Context) {
	s.Both.End(c)
	if s.Ended() {
		s.summary(c)
	}
}

// items takes the items of a message (2-6.3): after eight bytes, their number, and
// of each its type (2), length (2), data.
func (s *stream) items(c *dissector.Context, b []byte) {
	if len(b) < 8 {
		c.Count("enip_malformed")
		return
	}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	b = b[8:]
	for range min(n, 8) {
		if len(b) < 4 {
			return
		}
		kind, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		data := b[4:]
		cut := size > len(data)
		if cut {
			size = len(data)
		}
		data, b = data[:size], data[size:]
		switch kind {
		case 0xb1: // connected: a number before the message
			if len(data) > 2 {
				s.message(c, data[2:], nil, 0)
			}
		case 0xb2:
			s.message(c, data, nil, 0)
		}
	}
}
