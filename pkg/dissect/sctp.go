package dissect

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// SCTP (RFC 9260) carries several streams in one association. Each is recognised and
// dissected as a TCP connection is; the flow's label is that of the first one that is
// known.

// The chunks that are read: kind (1) | flags (1) | length with this (2) | ...
//
//	data: number (4) | stream (2) | number in the stream (2) | protocol (4) | user data
//	init: tag (4) | window (4) | streams (2 each) | first number (4)
const (
	chunkHead    = 4
	chunkData    = 0
	chunkInit    = 1
	chunkInitAck = 2
	chunkForward = 192 // RFC 3758: what was given up

	dataHead = 12
	initHead = 16

	anyProtocol = 0 // the sender says nothing of what it carries; most others are telephony's
	ofDiameter  = 46
)

// The bounds of one association.
const (
	maxLanes   = 8   // streams that are read
	maxIdle    = 256 // packets, after which no other stream is waited for
	maxWaiting = 64  // chunks of a side that overtook another one
	maxBehind  = 64 << 10
)

// association is what is kept of one.
type association struct {
	side    [2]sctpSide
	lanes   []*lane
	label   *dissector.Protocol // of the flow
	packets int
}

// sctpSide puts one direction in order.
type sctpSide struct {
	first, next uint32 // numbers: of the association, of the next chunk
	begun       bool
	whole       bool // from its beginning on
	waiting     []sctpChunk
	held        int
}

type sctpChunk struct {
	number  uint32
	stream  uint16
	use     uint32
	data    []byte
	missing int // bytes at its end that were not captured
}

// lane is a stream, both directions.
type lane struct {
	stream uint16
	proto  *dissector.Protocol
	conn   conn
}

func (a *association) size() int64 {
	n := int64(128 + a.side[0].held + a.side[1].held)
	for _, l := range a.lanes {
		n += l.conn.size()
	}
	return n
}

// sctp follows an association from its first packet on.
func (e *Engine) sctp(p *Packet) {
	f, h := p.Flow, p.Headers
	if f.conn == nil {
		e.open(f, false, 0)
		f.conn.sctp = new(association)
	}
	c := f.conn
	c.remember(p)
	c.sctp.packet(c, int(sender(p)), h.Payload)
	if f.done {
		e.release(c)
		return
	}
	e.recent.front(c)
	e.charge(c)
}

// packet goes over the chunks of a packet.
func (a *association) packet(c *conn, dir int, b []byte) {
	a.packets++
	for len(b) >= chunkHead {
		kind, size := b[0], int(binary.BigEndian.Uint16(b[2:]))
		if size < chunkHead {
			return
		}
		body := b[chunkHead:min(size, len(b))]
		switch {
		case (kind == chunkInit || kind == chunkInitAck) && len(body) >= initHead:
			a.begin(c, dir, binary.BigEndian.Uint32(body[12:]))
		case kind == chunkData && len(body) >= dataHead:
			a.take(c, dir, sctpChunk{
				number: binary.BigEndian.Uint32(body), stream: binary.BigEndian.Uint16(body[4:]), use: binary.BigEndian.Uint32(body[8:]),
				data: body[dataHead:], missing: size - chunkHead - len(body),
			})
		case kind == chunkForward && len(body) >= 4:
			s := &a.side[dir]
			if to := binary.BigEndian.Uint32(body) + 1; s.begun && to-s.next-1 < 1<<31 {
				a.skip(c, dir, to)
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	over := len(a.lanes) == maxLanes || a.packets > maxIdle
	for _, l := range a.lanes {
		over = over && l.conn.over
	}
	c.flow.done = c.flow.done || over
}

// begin takes the number that a side begins with; another one than before is that of a
// new association between the same two.
func (a *association) begin(c *conn, dir int, number uint32) {
	s := &a.side[dir]
	if s.whole && s.first == number {
		return
	}
	if s.begun {
		a.close(c)
		*a = association{label: a.label, packets: a.packets}
	}
	*s = sctpSide{first: number, next: number, begun: true, whole: true}
}

// take puts a chunk of user data in its place.
func (a *association) take(c *conn, dir int, x sctpChunk) {
	s := &a.side[dir]
	if !s.begun {
		s.begun, s.next = true, x.number
	}
	switch ahead := x.number - s.next; {
	case ahead == 0:
		s.next++
		a.deliver(c, dir, &x)
		a.waited(c, dir)
	case ahead < 1<<31 && !slices.ContainsFunc(s.waiting, func(y sctpChunk) bool { return y.number == x.number }):
		x.data = bytes.Clone(x.data)
		s.waiting, s.held = append(s.waiting, x), s.held+len(x.data)+64
		if len(s.waiting) > maxWaiting || s.held > maxBehind { // what they wait for is lost to us
			next := s.waiting[0].number
			for _, y := range s.waiting {
				if y.number-s.next < next-s.next {
					next = y.number
				}
			}
			a.skip(c, dir, next)
		}
	}
}

// skip goes on behind missing chunks, of streams that nobody knows.
func (a *association) skip(c *conn, dir int, next uint32) {
	s := &a.side[dir]
	for _, l := range a.lanes {
		a.with(c, l, func(x *conn) { x.Gap(dir, -1) })
	}
	s.whole, s.next = false, next
	s.waiting = slices.DeleteFunc(s.waiting, func(y sctpChunk) bool {
		gone := y.number-next >= 1<<31
		if gone {
			s.held -= len(y.data) + 64
		}
		return gone
	})
	a.waited(c, dir)
}

// waited goes on with the chunks that overtook the last one.
func (a *association) waited(c *conn, dir int) {
	s := &a.side[dir]
	for len(s.waiting) > 0 {
		i := slices.IndexFunc(s.waiting, func(y sctpChunk) bool { return y.number == s.next })
		if i < 0 {
			return
		}
		x := s.waiting[i]
		s.waiting, s.held = slices.Delete(s.waiting, i, i+1), s.held-len(x.data)-64
		s.next++
		a.deliver(c, dir, &x)
	}
	s.waiting = nil
}

// deliver gives a chunk's data to its stream.
func (a *association) deliver(c *conn, dir int, x *sctpChunk) {
	if x.use != anyProtocol && x.use != ofDiameter {
		return
	}
	i := slices.IndexFunc(a.lanes, func(l *lane) bool { return l.stream == x.stream })
	if i < 0 {
		if len(a.lanes) == maxLanes {
			return
		}
		l := &lane{stream: x.stream}
		l.conn.engine, l.conn.flow, l.conn.asm = c.engine, c.flow, c.engine.pool.Conn()
		for d := range l.conn.probe {
			l.conn.probe[d].begun, l.conn.probe[d].midstream = true, !a.side[d].whole
		}
		i, a.lanes = len(a.lanes), append(a.lanes, l)
	}
	a.with(c, a.lanes[i], func(l *conn) {
		if len(x.data) > 0 {
			l.Data(dir, x.data)
		}
		if x.missing > 0 && !c.flow.done {
			l.Gap(dir, int64(x.missing))
		}
	})
}

// with has a stream stand for the flow during a call: what it says of the flow is said of
// the stream, but for the first protocol that is known.
func (a *association) with(c *conn, l *lane, call func(*conn)) {
	if l.conn.over {
		return
	}
	f := c.flow
	name, by := f.Protocol, f.By
	f.conn, f.proto = &l.conn, l.proto
	call(&l.conn)
	l.proto = f.proto
	switch {
	case a.label != nil:
		f.Protocol, f.By = name, by
	case l.proto != nil:
		a.label = l.proto
	}
	f.conn, f.proto = c, a.label
	if f.done || l.conn.over {
		f.done = false
		l.conn.asm.Drop()
		l.conn = conn{over: true}
	}
}

// close ends all streams.
func (a *association) close(c *conn) {
	done := c.flow.done
	c.flow.done = false
	for _, l := range a.lanes {
		a.with(c, l, func(x *conn) { x.End(0) })
		a.with(c, l, func(x *conn) { x.End(1) })
	}
	c.flow.done = done
}
