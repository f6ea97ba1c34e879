package flow

import (
	"time"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// more is what is kept of a flow beyond its entry, from when there is something
// to keep: a handshake that was answered, a segment that was sent again, the
// eighth message. The counters are of the part at hand.
type more struct {
	rtt         [2]uint32  // microseconds from here to that side and back; 0 is not known
	synAck      proto.Time // when the SYN-ACK came, while answering
	retransmits [2]uint32
	resets      [2]uint32
	zeroWindows [2]uint32
	holes       [2]hole
	sketch      ref
}

// hole is where numbers of a side are missing that later ones have overtaken; from
// and to are the same where there is none.
type hole struct {
	from, to uint32
	at       proto.Time // since when
}

// keep gives what there is more of a flow, and makes it where there is nothing yet.
func (t *Table) keep(e *Entry) *more {
	if e.more != 0 {
		return t.more.At(e.more)
	}
	r, m := t.more.Alloc()
	e.more = r
	return m
}

// carried says what a packet carries.
type carried uint8

const (
	nothing carried = iota // no payload, or a byte that only asks whether anybody is there
	again                  // payload that was sent before
	novel                  // payload
)

// farAway is a jump of the sequence numbers beyond which they are others: more
// than a window that is in use, and less than half of what there is.
const farAway = 1 << 24

// segment follows the numbers of one TCP segment that was just added.
func (t *Table) segment(e *Entry, h *packet.Headers, side int) carried {
	follow(&e.ends, side, h.TCPFlags)
	flags := h.TCPFlags
	if flags&packet.RST != 0 {
		t.keep(e).resets[side]++
		return nothing // what a reset carries is no part of the stream (RFC 9293 3.5.3)
	}
	if flags&packet.ACK != 0 && e.flags&(dstTalked>>side) == 0 {
		e.unseen(h, side)
	}
	what := nothing
	if h.PayloadLen > 0 {
		what = novel
	}
	length := uint32(h.PayloadLen)
	if flags&packet.SYN != 0 {
		length++
	}
	if flags&packet.FIN != 0 {
		length++
	}
	switch end := h.Seq + length; {
	case e.flags&(srcNumbered<<side) == 0:
		e.flags |= srcNumbered << side
		e.next[side] = end
	case flags&packet.SYN != 0 && end != e.next[side] && e.ends[side] != established: // another try, with numbers of its own
		e.next[side] = end
		if side == 0 && e.flags&hasISN != 0 {
			e.isn = h.Seq
		}
	case length > 0:
		what = t.numbers(e, h, side, end, what)
	case int32(end-e.next[side]) > 0: // what came before it was sent, some time ago, and not seen
		t.gap(e, side, end, 0)
		e.next[side] = end
	}
	switch {
	case flags&packet.SYN != 0:
		t.opening(e, h, side)
	case side == 0 && e.flags&answering != 0 && flags&packet.ACK != 0:
		t.opened(e, h)
	}
	if h.Window == 0 && flags&(packet.SYN|packet.FIN) == 0 && len(h.Header) >= 16 && e.ends[1-side] != closed && e.ends[1-side] != reset {
		t.keep(e).zeroWindows[side]++
	}
	return what
}

// unseen looks at what a side acknowledges of the other, of which nothing was
// seen. Where that grows, or answers a SYN, the other is there and talks.
func (e *Entry) unseen(h *packet.Headers, side int) {
	next := &e.next[1-side]
	switch {
	case e.flags&hasAck == 0:
		e.flags |= hasAck
		*next = h.Ack
		if side == 0 && e.ends[0] == synSent {
			e.flags |= ackMoved
		}
	case int32(h.Ack-*next) > 0:
		e.flags |= ackMoved
	}
}

// opening takes a SYN or SYN-ACK. What the SYN-ACK answers is known where there
// was one SYN (Karn's rule, RFC 6298 3). It may acknowledge what the SYN carried
// (RFC 7413).
func (t *Table) opening(e *Entry, h *packet.Headers, side int) {
	if side == 0 || h.TCPFlags&packet.ACK == 0 || e.flags&hasISN == 0 || (h.Ack != e.isn+1 && h.Ack != e.next[0]) {
		return
	}
	if e.flags&fresh == 0 { // sent again: which is answered?
		e.flags &^= answering
		return
	}
	m := t.keep(e)
	e.flags |= answering
	m.synAck = h.Time
	if e.packets == [2]uint32{1, 1} && e.part == 0 {
		m.rtt[1] = micros(h.Time.Sub(e.start))
	}
}

// opened takes the answer to the SYN-ACK; where more was sent meanwhile it may be
// an answer to that.
func (t *Table) opened(e *Entry, h *packet.Headers) {
	e.flags &^= answering
	if m := t.more.At(e.more); h.Ack == e.next[1] && e.payload[1] == 0 {
		m.rtt[0] = micros(h.Time.Sub(m.synAck))
	}
}

// micros are whole microseconds, at least one for any time at all.
func micros(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min(max(d.Microseconds(), 1), 1<<32-1))
}

// numbers follows the sequence numbers of a segment that has some, up to end, and
// tells what it carries. The numbers that a side has sent before are sent again
// unless they fill a hole sooner than a sender can have learned of it; what came
// by two ways is one segment seen twice.
func (t *Table) numbers(e *Entry, h *packet.Headers, side int, end uint32, what carried) carried {
	next := &e.next[side]
	ahead := int32(end - *next)
	switch {
	case ahead > farAway || ahead < -farAway:
		*next = end
		return what
	case ahead > 0:
		switch before := int32(h.Seq - *next); {
		case before > 0:
			t.gap(e, side, h.Seq, h.Time)
		case before < 0 && !e.elsewhere(h, side):
			t.keep(e).retransmits[side]++
		}
		*next = end
		return what
	case h.PayloadLen <= 1 && h.Seq+1 == *next && h.TCPFlags&(packet.SYN|packet.FIN) == 0:
		return nothing // a keep-alive (RFC 9293 3.8.4)
	case e.elsewhere(h, side):
		return min(what, again)
	}
	if e.more != 0 {
		if m := t.more.At(e.more); m.holes[side].fill(h.Seq, end) {
			if h.Time.Sub(m.holes[side].at) >= m.reordering() {
				m.retransmits[side]++
			}
			return what
		}
	}
	t.keep(e).retransmits[side]++
	return min(what, again)
}

// gap notes that a side's numbers up to a later one are missing.
func (t *Table) gap(e *Entry, side int, to uint32, at proto.Time) {
	from := e.next[side]
	if to-from > farAway {
		return
	}
	o := &t.keep(e).holes[side]
	if o.from != o.to && o.to-o.from < farAway {
		from = o.from
	}
	*o = hole{from: from, to: to, at: at}
}

// reordering is how long a segment may be under way after those behind it: no
// sender learns of a loss in less than the time to the other end and back. Where
// that is not known it is 3 ms, as with Wireshark.
func (m *more) reordering() time.Duration {
	if m.rtt[0] == 0 || m.rtt[1] == 0 {
		return 3 * time.Millisecond
	}
	return time.Duration(m.rtt[0]+m.rtt[1]) * time.Microsecond
}

// fill reports that a segment lies in the hole, and makes that smaller.
func (o *hole) fill(seq, end uint32) bool {
	if o.from == o.to || int32(seq-o.from) < 0 || int32(o.to-seq) <= 0 {
		return false
	}
	switch {
	case seq == o.from && int32(o.to-end) <= 0:
		o.from = o.to
	case seq == o.from:
		o.from = end
	case int32(o.to-end) <= 0:
		o.to = seq
	}
	return true
}

// tell fills f with what there is more of the part, and starts the next one.
func (t *Table) tell(m *more, f *proto.Flow, final bool) {
	f.SrcRTT, f.DstRTT = proto.RTT(m.rtt[0]), proto.RTT(m.rtt[1])
	f.SrcRetransmits, f.DstRetransmits = m.retransmits[0], m.retransmits[1]
	f.SrcResets, f.DstResets = m.resets[0], m.resets[1]
	f.SrcZeroWindows, f.DstZeroWindows = m.zeroWindows[0], m.zeroWindows[1]
	m.retransmits, m.resets, m.zeroWindows = [2]uint32{}, [2]uint32{}, [2]uint32{}
	if m.sketch != 0 {
		s := t.sketches.At(m.sketch)
		if final {
			s.end()
		}
		f.SrcMessages, f.DstMessages = s.sides[0].tell(), s.sides[1].tell()
	}
}
