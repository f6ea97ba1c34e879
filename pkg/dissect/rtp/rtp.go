// Package rtp knows RTP and RTCP (RFC 3550) and STUN (RFC 5389, 8489), which share their
// ports. Only names are told: what is said and shown over them is nobody's business here.
//
// RTP has too little of its own to be known by one packet: it takes two that follow each
// other, unless SIP or RTSP has announced the flow.
package rtp

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The protocols.
var (
	Protocol = dissector.Protocol{Name: "rtp", Datagram: datagram}
	RTCP     = dissector.Protocol{Name: "rtcp", Datagram: control}
	STUN     = dissector.Protocol{
		Name: "stun", Ports: []uint16{3478, 5349}, Datagram: stunDatagram,
		Recognise: stunStream, NewStream: func() dissector.Stream { return quiet{} },
	}
)

const (
	header   = 12
	version  = 2 << 6
	maxAhead = 64 // how far the next packet's number may be ahead
)

// state is the last packet of each direction.
type state struct {
	seen [2]struct {
		ssrc uint32
		seq  uint16
		kind byte
		any  bool
	}
}

// End has nothing to tell.
func (*state) End(*dissector.Context) {}

// Size is what is kept.
func (*state) Size() int { return 24 }

// datagram reads a header:
//
//	V=2 P X CC (1) | M PT (1) | sequence number (2) | timestamp (4) | SSRC (4) | CSRC (4 CC)
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < header+1 || b[0]&0xc0 != version {
		return dissector.No
	}
	kind := b[1] & 0x7f
	if len(b) < header+4*int(b[0]&15) || kind >= 72 && kind <= 76 || kind > 34 && kind < 72 || kind > 76 && kind < 96 && kind != 78 {
		return dissector.No
	}
	if known {
		c.Sink.Done()
		return dissector.Yes
	}
	s, _ := c.State.(*state)
	seq, ssrc := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[8:])
	if s == nil {
		s = new(state)
		c.State = s
	}
	x := &s.seen[c.Side&1]
	if x.any {
		ahead := seq - x.seq
		if ssrc != x.ssrc || ahead == 0 || ahead > maxAhead || kind != x.kind && kind > 34 && kind < 96 {
			return dissector.No
		}
		c.Sink.Done()
		return dissector.Yes
	}
	if ssrc == 0 || c.Headers.SrcPort < 1024 || c.Headers.DstPort < 1024 {
		return dissector.No
	}
	x.any, x.seq, x.ssrc, x.kind = true, seq, ssrc, kind
	return dissector.More
}

// control walks a compound packet, which begins with a report and whose lengths add up
// (RFC 3550 6.1); an encrypted one (SRTCP, RFC 3711 3.4) has an index and a tag behind.
func control(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if len(b) < 8 || b[0]&0xc0 != version || b[1] < 200 || b[1] > 207 || b[1] > 201 && !known && b[1] != 205 && b[1] != 206 {
		return dissector.No
	}
	whole := len(b)
	for len(b) >= 4 && b[0]&0xc0 == version && b[1] >= 200 && b[1] <= 207 {
		n := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			break
		}
		b = b[n:]
	}
	if len(b) == whole || len(b) != 0 && len(b) != 8 && len(b) != 14 && !known {
		return dissector.No
	}
	c.Sink.Done()
	return dissector.Yes
}

// isSTUN wants a message whose length and attributes add up (RFC 8489 5), with the magic
// cookie, or without it as before RFC 5389, then of a kind that there is.
func isSTUN(b []byte) bool {
	if len(b) < 20 || b[0]&0xc0 != 0 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n%4 != 0 || 20+n != len(b) {
		return false
	}
	if binary.BigEndian.Uint32(b[4:]) != 0x2112a442 {
		switch binary.BigEndian.Uint16(b) {
		case 0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112, 0x0003, 0x0103, 0x0113, 0x0004, 0x0115:
		default:
			return false
		}
		if binary.BigEndian.Uint32(b[4:]) == 0 && n == 0 {
			return false
		}
	}
	for b = b[20:]; len(b) >= 4; {
		k := 4 + (int(binary.BigEndian.Uint16(b[2:]))+3)&^3
		if k > len(b) {
			return false
		}
		b = b[k:]
	}
	return len(b) == 0
}

func stunDatagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	if !isSTUN(b) {
		return dissector.No
	}
	c.Sink.Done()
	return dissector.Yes
}

// stunStream knows the first message of a connection (RFC 8489 6.2.2), also behind the
// length of RFC 4571.
func stunStream(b []byte, _ bool) dissector.Verdict {
	if len(b) > 0 && b[0] > 3 {
		return dissector.No
	}
	for _, at := range [...]int{0, 2} {
		if len(b) >= at+8 && binary.BigEndian.Uint32(b[at+4:]) == 0x2112a442 && binary.BigEndian.Uint16(b[at+2:])%4 == 0 {
			return dissector.Yes
		}
	}
	if len(b) >= 10 {
		return dissector.No
	}
	return dissector.More
}

// quiet is a stream that is not read.
type quiet struct{}

func (quiet) Data(c *dissector.Context, _ []byte) { c.Sink.Done() }
func (quiet) Gap(c *dissector.Context, _ int64)   { c.Sink.Done() }
func (quiet) End(*dissector.Context)              {}
func (quiet) Size() int                           { return 0 }
