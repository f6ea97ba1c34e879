package dcerpc

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is DCE/RPC over TCP and UDP.
var Protocol = dissector.Protocol{
	Name: "dcerpc", Ports: []uint16{135},
	Datagram:  datagram,
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Parts of a PDU's header (C706 12.6.3.1):
//
//	version 5 (1) | minor (1) | type (1) | flags (1) | representation (4) | length (2) | of authentication (2) | call (4)
const (
	header    = 16
	offType   = 2
	offFlags  = 3
	offDrep   = 4
	offLength = 8
	offAuth   = 10

	request       = 0
	response      = 2
	fault         = 3
	bind          = 11
	bindAck       = 12
	bindNak       = 13
	alter         = 14
	alterResponse = 15
	auth3         = 16
	lastType      = 20

	flagObject = 0x80
	maxKept    = 8 << 10
	maxLost    = 64 << 10
)

// plausible holds for the beginning of a header, of which at least eight bytes are there.
func plausible(b []byte) bool {
	return b[0] == 5 && b[1] <= 1 && (b[offType] <= fault || b[offType] >= bind && b[offType] <= lastType) && (b[offDrep] == 0x10 || b[offDrep] == 0) && b[5] <= 3 && b[6] == 0 && b[7] == 0
}

func order(b []byte) binary.ByteOrder {
	if b[offDrep]&0x10 == 0 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// size is a PDU's.
func size(b []byte, _ bool) int {
	if b[0] != 5 || len(b) > 1 && b[1] > 1 {
		return -1
	}
	if len(b) < header {
		return 0
	}
	if !plausible(b) {
		return -1
	}
	n, auth := int(order(b).Uint16(b[offLength:])), int(order(b).Uint16(b[offAuth:]))
	if n < header || auth > 0 && auth+8+header > n {
		return -1
	}
	return n
}

var format = framing.Format{Keep: maxKept, Length: size, Recognise: recognise, Odd: "dcerpc_malformed"}

// recognise wants a bind or its answer at the beginning of a connection; midstream any
// PDU.
func recognise(b []byte, midstream bool) dissector.Verdict {
	if _, v := framing.Judge(b, size); v != dissector.Yes {
		return v
	}
	switch kind := b[offType]; {
	case kind == bind, kind == alter:
		if len(b) < header+12 {
			return dissector.More
		}
		// The sizes of fragments, and at least one context.
		if x := order(b).Uint16(b[header:]); x < 1024 || b[header+8] == 0 || b[header+8] > 64 {
			return dissector.No
		}
		return dissector.Yes
	case kind == bindAck, kind == bindNak, kind == alterResponse:
		return dissector.Yes
	case midstream && b[offFlags]&3 != 0 && (kind == request || kind == response || kind == fault):
		if len(b) < header+8 {
			return dissector.More
		}
		return dissector.Yes
	}
	return dissector.No
}

// stream is one connection.
type stream struct {
	framing.Both
	calls Calls
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	r := s.Half(c)
	r.Each(c, &format, b, func(m []byte) bool {
		s.calls.PDU(c, m)
		return s.calls.Enough()
	})
	if s.calls.Enough() || r.Missed() > maxLost {
		s.calls.Finish(c)
		c.Sink.Done()
	}
}

// End sums up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.Both.End(c)
	if s.Ended() {
		s.calls.Finish(c)
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return s.Both.Size() + s.calls.size() }

// Parts of the connectionless header (C706 12.5.2.1):
//
//	version 4 (1) | type (1) | flags (2) | representation (3) | serial (1) | object (16) | interface (16) | activity (16) |
//	boot time (4) | interface's version (4) | sequence (4) | operation (2) | hints (4) | length (2) | fragment (2) | auth (1) | serial (1)
const (
	udpHeader    = 80
	offInterface = 24
	offBody      = 74
	lastUDPType  = 10
)

// datagram wants a header of version 4 whose length is that of what follows. Of calls
// the interface is told.
func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	if len(b) < udpHeader || b[0] != 4 || b[1] > lastUDPType || b[4] != 0x10 && b[4] != 0 || b[5] > 3 || b[6] != 0 || b[2]&0x81 != 0 {
		return dissector.No
	}
	big := b[4]&0x10 == 0
	var o binary.ByteOrder = binary.LittleEndian
	if big {
		o = binary.BigEndian
	}
	n := int(o.Uint16(b[offBody:]))
	if n > c.Headers.PayloadLen-udpHeader || b[78] > 16 || n == 0 && b[1] == request && c.Headers.PayloadLen > udpHeader {
		return dissector.No
	}
	if b[1] == request {
		f := dissector.Fact{Kind: "call", Subject: dissector.Subject{Side: c.Side}}
		f.Attributes.Set("role", "client")
		f.Attributes.SetList("interfaces", []string{name(uuid(b[offInterface:], big))})
		c.Emit(&f)
	}
	return dissector.Yes
}
