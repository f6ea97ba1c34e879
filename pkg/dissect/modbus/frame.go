package modbus

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is Modbus over TCP.
var Protocol = dissector.Protocol{
	Name: "modbus", Ports: []uint16{port},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Home is Modbus on its own port, where a message may have any function: one that is
// reserved, a maker's own, or a scanner's. There its frame is enough.
var Home = dissector.Protocol{
	Name: "modbus", Ports: []uint16{port}, AtHome: true,
	Recognise: recogniseHome, NewStream: func() dissector.Stream { return new(stream) },
}

const port = 502

// A message over TCP (messaging guide, 3.1.3):
//
//	0 transaction (2)   2 protocol 0 (2)   4 length of what follows (2)   6 unit   7 function ...
//
// and an RTU frame: unit, function, ..., checksum (2).
const (
	header  = 7
	maxPDU  = 253
	maxUMAS = 1100 // Schneider's controllers take longer messages of their own function
	maxKept = 6 + maxUMAS
	minRTU  = 4
	maxRTU  = 256
)

// recognise wants a whole message that is a request or a response of the
// specification, exactly as long as its own fields say.
func recognise(b []byte, _ bool) dissector.Verdict {
	switch v := recogniseRTU(b); {
	case v == dissector.Yes:
		return v
	case len(b) >= 4 && b[2]|b[3] != 0, len(b) == 3 && b[2] != 0:
		return v
	case len(b) <= header:
		return dissector.More
	}
	n, ok := length(b)
	if !ok || b[header]&exceptionBit == 0 && functions[b[header]] == "" {
		return recogniseRTU(b)
	}
	if len(b) < 6+n {
		return dissector.More
	}
	request, response := shape(b[header : 6+n])
	if !request && !response || !continues(b[6+n:]) {
		return recogniseRTU(b)
	}
	return dissector.Yes
}

// recogniseHome wants a whole message of any function but 0, exactly as long as its
// header says, and behind it nothing or what begins another one.
func recogniseHome(b []byte, _ bool) dissector.Verdict {
	for i, x := range b[:min(len(b), header+1)] {
		if (i == 2 || i == 3) && x != 0 || i == 4 && x > maxUMAS>>8 || i == header && x&^exceptionBit == 0 {
			return dissector.No
		}
	}
	if len(b) <= header {
		return dissector.More
	}
	switch n, ok := length(b); {
	case !ok:
		return dissector.No
	case len(b) < 6+n:
		return dissector.More
	case !begins(b[6+n:]):
		return dissector.No
	}
	return dissector.Yes
}

// begins reports whether b may begin a message of any function.
func begins(b []byte) bool {
	if len(b) <= header {
		return continues(b)
	}
	_, ok := length(b)
	return ok && continues(b) && b[header]&^exceptionBit != 0
}

// length reads how many bytes follow a header's length, of a message whose first
// eight bytes are there.
func length(b []byte) (n int, ok bool) {
	n = int(binary.BigEndian.Uint16(b[4:]))
	return n, n >= 2 && (n <= maxPDU+1 || n <= maxUMAS && b[header] == umas)
}

// continues reports whether the bytes behind a message may begin another one.
func continues(b []byte) bool {
	return len(b) < 4 || b[2]|b[3] == 0
}

// recogniseRTU wants a frame whose checksum is right.
func recogniseRTU(b []byte) dissector.Verdict {
	if len(b) < 2 {
		return dissector.More
	}
	if b[0] > 247 || b[1]&^exceptionBit > readFIFO || b[1] == 0 {
		return dissector.No
	}
	verdict := dissector.No
	for _, n := range rtuLengths(b) {
		switch {
		case n < 0 || n > maxRTU:
		case n == 0 || len(b) < n:
			verdict = dissector.More
		case isRTU(b[:n]):
			return dissector.Yes
		}
	}
	return verdict
}

// isRTU judges a whole frame.
func isRTU(b []byte) bool {
	if len(b) < minRTU {
		return false
	}
	n := len(b) - 2
	if binary.LittleEndian.Uint16(b[n:]) != checksum(b[:n]) {
		return false
	}
	request, response := shape(b[1:n])
	return request || response
}

// half is one direction: what is kept of it, and whether its messages' borders
// are unknown.
type half struct {
	buf     []byte // at most maxKept
	lost    bool
	skipped bool // bytes, since it was lost
}

// framing says which of the two a connection speaks.
type framing uint8

const (
	unknown framing = iota
	mbap
	rtu
)

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	for len(b) > 0 {
		n := min(len(b), maxKept-len(h.buf))
		h.buf, b = append(h.buf, b[:n]...), b[n:]
		taken := s.messages(c, h, h.buf)
		h.buf = h.buf[:copy(h.buf, h.buf[taken:])]
	}
}

// messages reads the whole messages at the beginning of b, and says how many
// bytes they have.
func (s *stream) messages(c *dissector.Context, h *half, b []byte) (taken int) {
	for {
		n := s.message(c, h, b[taken:])
		if n == 0 {
			return taken
		}
		taken += n
	}
}

// message reads one message, or steps over one byte that begins none; 0 while
// it is not complete.
func (s *stream) message(c *dissector.Context, h *half, b []byte) int {
	if s.framing == unknown {
		switch {
		case recogniseRTU(b) == dissector.Yes:
			s.framing = rtu
		case recognise(b, true) == dissector.More:
			return 0
		default:
			s.framing = mbap
		}
	}
	if s.framing == rtu {
		return s.frame(c, h, b)
	}
	if len(b) <= header {
		return 0
	}
	n, ok := length(b)
	if b[2]|b[3] != 0 || !ok {
		return s.lose(c, h)
	}
	if len(b) < 6+n {
		return 0
	}
	pdu := b[header : 6+n]
	request, response := shape(pdu)
	if !request && !response {
		if h.lost && h.skipped { // what follows a gap begins with a message, most often
			switch next := b[6+n:]; {
			case functions[pdu[0]&^exceptionBit] != "":
				return s.lose(c, h)
			case len(next) <= header && begins(next): // of a function that nobody knows two in a row are believed
				return 0
			case !begins(next):
				return s.lose(c, h)
			}
		}
		c.Count("modbus_pdu_malformed")
	}
	h.lost, h.skipped = false, false
	s.pdu(c, int(binary.BigEndian.Uint16(b)), b[6], pdu, request, response)
	return 6 + n
}

// frame reads an RTU frame.
func (s *stream) frame(c *dissector.Context, h *half, b []byte) int {
	if len(b) < minRTU {
		return 0
	}
	for _, n := range rtuLengths(b) {
		switch {
		case n < 0 || n > maxRTU:
		case n == 0 || len(b) < n:
			return 0
		case isRTU(b[:n]):
			h.lost, h.skipped = false, false
			request, response := shape(b[1 : n-2])
			s.pdu(c, -1, b[0], b[1:n-2], request, response)
			return n
		}
	}
	return s.lose(c, h)
}

// lose steps on by one byte.
func (s *stream) lose(c *dissector.Context, h *half) int {
	if !h.lost {
		h.lost = true
		c.Count("modbus_not_a_message")
	}
	h.skipped = true
	return 1
}

// Gap begins anew with what follows.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	h := &s.half[c.Side&1]
	h.buf, h.lost, h.skipped = h.buf[:0], true, false
	s.waiting = 0
}

// End tells what the connection came to, once both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.ended[c.Side&1] = true
	if s.ended[0] && s.ended[1] {
		s.summary(c)
	}
}
