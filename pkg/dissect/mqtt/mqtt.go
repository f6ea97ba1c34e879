// Package mqtt dissects MQTT 3.1 to 5.0 (OASIS): who is a client and who a broker, how
// one logs in, and how much is published.
//
// Topics, payloads, user names and passwords never leave, nor does a client's identifier;
// but a MAC address in it does, and which library made it.
package mqtt

import (
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is MQTT over TCP.
var Protocol = dissector.Protocol{
	Name: "mqtt", Ports: []uint16{1883},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// The packets that are read (MQTT 3.1.1 2.2.1).
const (
	connect = 1
	connack = 2
	publish = 3
)

const (
	maxKept = 1 << 10 // bytes of a CONNECT that are read
)

// recognise wants a CONNECT (3.1): type and flags, length, protocol name, level:
//
//	0x10 | length (1 to 4) | 0 4 "MQTT" | 4 or 5      or 0 6 "MQIsdp" | 3
//
// or, midstream, nothing: the other packets have too little of their own.
func recognise(b []byte, _ bool) dissector.Verdict {
	if len(b) == 0 || b[0] != connect<<4 {
		return dissector.No
	}
	n, size := length(b[1:])
	switch {
	case size == 0:
		return dissector.More
	case size < 0 || n < 10:
		return dissector.No
	}
	b = b[1+size:]
	for _, start := range [...]string{"\x00\x04MQTT\x04", "\x00\x04MQTT\x05", "\x00\x06MQIsdp\x03", "\x00\x04MQTT\x84", "\x00\x06MQIsdp\x83"} {
		k := min(len(b), len(start))
		if string(b[:k]) == start[:k] {
			if k == len(start) {
				return dissector.Yes
			}
			return dissector.More
		}
	}
	return dissector.No
}

// length reads a remaining length (2.2.3): size 0 where b ends before it does, -1 where
// it is none.
func length(b []byte) (n, size int) {
	for i := range 4 {
		if i == len(b) {
			return 0, 0
		}
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, -1
}

type stream struct {
	half [2]half
}

// half is one direction: packets one after the other, of which the first bytes are kept.
type half struct {
	buf       []byte
	skip      int64
	lost      bool // at an unknown place
	over      bool
	published uint64
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	if h.lost && recognise(b[:min(len(b), dissector.MaxPrefix)], true) == dissector.Yes {
		h.lost = false // the capture began here
	}
	for !h.lost {
		n := min(h.skip, int64(len(b)))
		h.skip -= n
		if b = b[n:]; len(b) == 0 {
			return
		}
		b = s.packet(c, h, b)
	}
}

// packet takes the packet at the start of what is there, and gives what follows it.
func (s *stream) packet(c *dissector.Context, h *half, b []byte) []byte {
	had := len(h.buf)
	h.buf = append(h.buf, b[:min(len(b), maxKept-had)]...)
	n, size := length(h.buf[1:])
	switch {
	case size == 0:
		return nil
	case size < 0 || h.buf[0]>>4 == 0:
		c.Count("mqtt_not_a_packet")
		h.lost, h.buf = true, nil
		return nil
	}
	whole := 1 + size + n
	kind := h.buf[0] >> 4
	want := whole
	if kind != connect && kind != connack {
		want = 1 + size
	}
	if want = min(want, maxKept); len(h.buf) < want {
		return nil
	}
	body := h.buf[1+size : min(len(h.buf), whole)]
	switch kind {
	case connect:
		readConnect(c, body)
	case connack:
		readConnack(c, body)
	case publish:
		h.published++
	}
	h.buf = h.buf[:0]
	used := min(whole-had, len(b))
	h.skip = int64(whole - had - used)
	return b[used:]
}

// readConnack tells how the broker answered (3.2.2; 5.0 3.2.2.2).
func readConnack(c *dissector.Context, b []byte) {
	if len(b) < 2 {
		c.Count("mqtt_malformed")
		return
	}
	f := dissector.Fact{Subject: dissector.Subject{Side: c.Side}, Kind: "connack"}
	f.Attributes.Set("role", "server")
	f.Attributes.Set("result", result(b[1]))
	c.Emit(&f)
}

func result(code byte) string {
	switch code {
	case 0:
		return "accepted"
	case 1, 0x84:
		return "refused_version"
	case 2, 0x85:
		return "refused_identifier"
	case 3, 0x88, 0x89:
		return "refused_unavailable"
	case 4, 0x86:
		return "refused_credential"
	case 5, 0x87:
		return "refused_not_authorised"
	}
	return "refused"
}

// Gap loses the direction, unless the missing bytes are of what is stepped over.
func (s *stream) Gap(c *dissector.Context, n int64) {
	h := &s.half[c.Side&1]
	if n > 0 && n <= h.skip {
		h.skip -= n
		return
	}
	h.lost, h.buf, h.skip = true, nil, 0
}

// End tells how much was published, once both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.half[c.Side&1].over = true
	if s.half[0].over && s.half[1].over {
		s.sum(c)
	}
}

func (s *stream) sum(c *dissector.Context) {
	for side := range s.half {
		h := &s.half[side]
		if h.published == 0 {
			continue
		}
		f := dissector.Fact{Subject: dissector.Subject{Side: dissector.Side(side)}, Kind: "published"}
		f.Attributes.Set("count", strconv.FormatUint(h.published, 10))
		h.published = 0
		c.Emit(&f)
	}
}

// Size is about what is kept.
func (s *stream) Size() int { return 96 + cap(s.half[0].buf) + cap(s.half[1].buf) }
