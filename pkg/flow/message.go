package flow

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// A message is a run of payload of one side, up to payload of the other side or to
// a pause. Below half a second a pause may be TCP's own: an acknowledgement may be
// late by that much (RFC 9293 3.8.6.3), and the first answer to a loss comes sooner
// on every system in use. A second, in which RITA counts, would let what is sent
// every second fall now on one side of it and now on the other.
const pause = 500 * time.Millisecond

// saidBits is the resolution in which an entry knows when payload last came: 2^20
// ns, about a millisecond.
const saidBits = 20

// sketchAt is the message with which the sketch begins. Before it there is nothing
// to be regular, and most flows never get there.
const sketchAt = 8

// sketched stands in an entry's turns when there is a sketch.
const sketched = 0xff

// sketch is the timing and the size of the messages in a flow.
type sketch struct {
	sides [2]voice
	side  uint8  // whose message is at hand
	open  bool   // there is one
	bytes uint32 // of it so far
}

// voice are the messages of one side; all but since is of the part at hand.
type voice struct {
	count       uint32
	first, last proto.Time // when the messages began
	since       proto.Time // when the last one of the flow began; 0 is not known
	gaps, sizes bins
}

// hear takes a packet with payload. What was sent before makes no message, but is
// no pause either.
func (t *Table) hear(e *Entry, h *packet.Headers, side int, what carried) {
	now := uint32(uint64(h.Time) >> saidBits)
	same := e.flags&dstSaid != 0 == (side == 1)
	if what == again {
		if same && e.turns != 0 {
			e.said = now
		}
		return
	}
	begins := !same || e.turns == 0 || int32(now-e.said) > int32(pause>>saidBits)
	e.said = now
	if side == 1 {
		e.flags |= dstSaid
	} else {
		e.flags &^= dstSaid
	}
	switch {
	case e.turns == sketched:
		t.sketches.At(t.more.At(e.more).sketch).hear(h, side, begins)
		return
	case !begins:
		return
	case e.turns&15+e.turns>>4 < sketchAt-1:
		e.turns += 1 << (4 * side)
		return
	}
	if t.sketches.Len() >= t.cfg.MaxSketches {
		t.unsketched++
		return
	}
	r, s := t.sketches.Alloc()
	t.keep(e).sketch = r
	s.sides[0].count, s.sides[1].count = uint32(e.turns&15), uint32(e.turns>>4)
	e.turns = sketched
	s.hear(h, side, true)
}

// hear takes a packet with payload; begins says that with it a message begins.
func (s *sketch) hear(h *packet.Headers, side int, begins bool) {
	if !begins {
		s.bytes = uint32(min(uint64(s.bytes)+uint64(h.PayloadLen), 1<<32-1))
		return
	}
	s.end()
	s.open, s.side, s.bytes = true, uint8(side), uint32(h.PayloadLen)
	v := &s.sides[side]
	if v.count++; v.first == 0 {
		v.first = h.Time
	}
	v.last = h.Time
	if v.since != 0 {
		v.gaps.add(uint32(min(max(h.Time.Sub(v.since).Milliseconds(), 0), 1<<32-1)))
	}
	v.since = h.Time
}

// end ends the message at hand.
func (s *sketch) end() {
	if s.open {
		s.sides[s.side].sizes.add(s.bytes)
		s.open = false
	}
}

// tell gives what there is of the part, nil for nothing, and starts the next one.
func (v *voice) tell() *proto.Messages {
	if v.count == 0 && v.sizes.n == 0 {
		return nil
	}
	m := &proto.Messages{Count: v.count, First: v.first, Last: v.last, Gaps: v.gaps.tell(), Sizes: v.sizes.tell()}
	*v = voice{since: v.since}
	return m
}

// bins count values by their magnitude: a value is rounded down to its four highest
// binary digits, which takes an eighth of it at most. Where that makes more bins
// than there is room for, it is to three, two, or one, which still is in proportion.
// With one digit there are as many bins as there is room: 0, and the powers of two
// up to 2^22, which stands for all above.
type bins struct {
	n      uint8
	digits uint8 // by which a value is less than four
	codes  [binsMax]uint8
	counts [binsMax]uint32
}

const (
	binsMax   = 24
	digitsMax = 4
)

// codeOf numbers values that have no more than four digits before their zeros:
// below 8 it is the value, above eight numbers for each magnitude.
func codeOf(v uint32) uint8 {
	shift := max(bits.Len32(v)-digitsMax, 0)
	return uint8(shift*8) + uint8(v>>shift)
}

// valueOf is the value that a code stands for.
func valueOf(code uint8) uint32 {
	if code < 16 {
		return uint32(code)
	}
	return uint32(code%8+8) << (code/8 - 1)
}

// code gives the bin of a value.
func (b *bins) code(v uint32) uint8 {
	if b.digits == digitsMax-1 {
		v = min(v, 1<<(binsMax-2))
	}
	if zeros := bits.Len32(v) - digitsMax + int(b.digits); zeros > 0 {
		v = v >> zeros << zeros
	}
	return codeOf(v)
}

func (b *bins) add(v uint32) { b.put(b.code(v), v, 1) }

func (b *bins) put(code uint8, v, count uint32) {
	i := slices.Index(b.codes[:b.n], code)
	switch {
	case i >= 0:
		b.counts[i] += count
	case b.n < binsMax:
		b.codes[b.n], b.counts[b.n] = code, count
		b.n++
	default:
		b.coarsen()
		b.put(b.code(v), v, count)
	}
}

// coarsen takes a digit away.
func (b *bins) coarsen() {
	old := *b
	*b = bins{digits: old.digits + 1}
	for i, code := range old.codes[:old.n] {
		v := valueOf(code)
		b.put(b.code(v), v, old.counts[i])
	}
}

// tell gives the bins by value.
func (b *bins) tell() proto.Histogram {
	if b.n == 0 {
		return nil
	}
	out := make(proto.Histogram, b.n)
	for i, code := range b.codes[:b.n] {
		out[i] = proto.Bin{Low: valueOf(code), Count: b.counts[i]}
	}
	slices.SortFunc(out, func(x, y proto.Bin) int { return cmp.Compare(x.Low, y.Low) })
	return out
}
