package reassembly

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/proto"
)

// piece is a run of the stream: data, then missing bytes that were not captured.
type piece struct {
	at      proto.Time // captured
	seq     uint32
	data    []byte
	missing int
}

func (p *piece) length() int { return len(p.data) + p.missing }
func (p *piece) end() uint32 { return p.seq + uint32(p.length()) }

// from cuts the first n bytes off; n is at most the length.
func (p piece) from(n int) piece {
	k := min(n, len(p.data))
	return piece{at: p.at, seq: p.seq + uint32(n), data: p.data[k:], missing: p.missing - (n - k)}
}

// to keeps the first n bytes.
func (p piece) to(n int) piece {
	k := min(n, len(p.data))
	return piece{at: p.at, seq: p.seq, data: p.data[:k], missing: n - k}
}

// mark remembers a delivered segment, so that a retransmission of it can be
// compared without keeping its bytes.
type mark struct {
	seq  uint32
	size uint32
	hash uint64
}

// marks is how many delivered segments of a direction are remembered.
const marks = 8

// farRun is how many adjoining segments out of the window make us believe that
// the sensor, not the sender, is wrong about where the stream is.
const farRun = 3

// half is one direction. Sequence numbers are compared by their distance to
// next, so they may wrap (RFC 9293 3.4).
type half struct {
	started bool
	synSeen bool
	fin     bool
	ended   bool
	acked   bool
	isn     uint32
	next    uint32 // first byte not delivered
	finSeq  uint32
	ack     uint32 // highest acknowledgement by the receiver
	farNext uint32
	farSeen int
	waiting []piece // beyond a hole, sorted, never touching next, never overlapping
	held    int     // bytes of waiting, with overhead
	recent  [marks]mark
	recentN int
}

func before(a, b uint32) bool { return int32(a-b) < 0 }

func (x *half) within(seq, ahead uint32) bool {
	d := int64(int32(seq - x.next))
	return d >= -int64(ahead) && d <= int64(ahead)
}

func (x *half) acknowledge(ack uint32) {
	if !x.acked || before(x.ack, ack) {
		x.acked, x.ack = true, ack
	}
}

func (x *half) release(p *Pool) {
	p.held -= int64(x.held)
	x.held, x.waiting = 0, nil
}

// accept takes new bytes: delivers them, lets them wait, or drops them as old.
func (c *Conn) accept(dir int, p piece, h Handler) {
	x := &c.half[dir]
	if x.ended {
		c.pool.Counters.AfterEnd++
		return
	}
	if !x.started {
		c.pool.Counters.Midstream++
		x.started, x.next = true, p.seq
	}
	if !x.within(p.seq, c.pool.limits.Ahead) && !c.far(dir, p, h) {
		return
	}
	x.farSeen = 0
	for p.length() > 0 {
		if before(p.seq, x.next) {
			p = c.old(x, p)
			continue
		}
		if x.fin && !before(p.seq, x.finSeq) {
			c.pool.Counters.AfterEnd++
			return
		}
		if p.seq == x.next && (len(x.waiting) == 0 || !before(x.waiting[0].seq, p.end())) {
			c.deliver(dir, p, h)
			c.drain(dir, h)
			return
		}
		if c.wait(dir, &p, h) {
			c.drain(dir, h)
			return
		}
	}
}

// far decides about a segment outside the window: dropped, until enough of them
// adjoin each other that the stream must have moved on without the sensor.
func (c *Conn) far(dir int, p piece, h Handler) bool {
	x := &c.half[dir]
	if x.farSeen > 0 && p.seq == x.farNext {
		x.farSeen++
	} else {
		x.farSeen = 1
	}
	x.farNext = p.end()
	if x.farSeen < farRun {
		c.pool.Counters.OutOfWindow++
		return false
	}
	for len(x.waiting) > 0 {
		c.skip(dir, h)
	}
	if x.ended {
		return false
	}
	c.pool.Counters.Restarts++
	c.pool.Counters.Gaps++
	h.Gap(dir, -1)
	x.next, x.recentN, x.fin = p.seq, 0, false
	return true
}

// old cuts off what was delivered before, comparing it where that is possible.
func (c *Conn) old(x *half, p piece) piece {
	n := min(int(int32(x.next-p.seq)), p.length())
	c.pool.Counters.Retransmitted += uint64(n)
	seen := p.to(n)
	compared := false
	for i := range min(x.recentN, marks) {
		m := &x.recent[i]
		off := int(int32(m.seq - seen.seq))
		if off < 0 || off+int(m.size) > len(seen.data) {
			continue
		}
		compared = true
		if xxhash.Sum64(seen.data[off:off+int(m.size)]) != m.hash {
			c.conflicted()
			break
		}
	}
	if !compared {
		c.pool.Counters.Unchecked++
	}
	return p.from(n)
}

func (c *Conn) conflicted() {
	c.pool.Counters.Conflicts++
	c.conflict = true
}

// deliver hands p, which begins at next, to the handler.
func (c *Conn) deliver(dir int, p piece, h Handler) {
	x := &c.half[dir]
	if x.fin && before(x.finSeq, p.end()) {
		c.pool.Counters.AfterEnd++
		p = p.to(int(int32(x.finSeq - p.seq)))
	}
	x.next = p.end()
	if len(p.data) > 0 {
		x.recent[x.recentN%marks] = mark{p.seq, uint32(len(p.data)), xxhash.Sum64(p.data)}
		if x.recentN++; x.recentN == 2*marks {
			x.recentN = marks
		}
		h.Data(dir, p.data)
	}
	if p.missing > 0 {
		c.gap(dir, int64(p.missing), h)
	}
	c.checkEnd(dir, h)
}

func (c *Conn) gap(dir int, n int64, h Handler) {
	c.pool.Counters.Gaps++
	c.pool.Counters.GapBytes += uint64(n)
	h.Gap(dir, n)
}

func (c *Conn) checkEnd(dir int, h Handler) {
	x := &c.half[dir]
	if x.fin && !x.ended && x.next == x.finSeq {
		x.ended = true
		x.release(c.pool)
		h.End(dir)
	}
}

// drain delivers what no longer waits for anything.
func (c *Conn) drain(dir int, h Handler) {
	x := &c.half[dir]
	n := 0
	for n < len(x.waiting) && x.waiting[n].seq == x.next {
		p := x.waiting[n]
		n++
		x.held -= p.charge()
		c.pool.held -= int64(p.charge())
		c.deliver(dir, p, h)
		if x.ended {
			return
		}
	}
	if n > 0 {
		x.waiting = slices.Delete(x.waiting, 0, n)
	}
}

// charge is what a waiting piece is charged.
func (p *piece) charge() int { return len(p.data) + pieceOverhead }

// skip gives the hole at the head up.
func (c *Conn) skip(dir int, h Handler) {
	x := &c.half[dir]
	to := x.waiting[0].seq
	if x.fin && before(x.finSeq, to) {
		to = x.finSeq // what waits lies beyond the end
	}
	n := int64(int32(to - x.next))
	x.next = to
	c.gap(dir, n, h)
	c.checkEnd(dir, h)
	c.drain(dir, h)
}

// wait copies what of p is new into the waiting list and returns true. When that
// is full it makes room instead and returns false: p is to be looked at again.
func (c *Conn) wait(dir int, p *piece, h Handler) bool {
	x := &c.half[dir]
	need := len(p.data) + 2*pieceOverhead
	switch {
	case c.pool.held+int64(need) > c.pool.limits.TotalBytes:
		c.pool.Counters.GapMemory++
	case x.held+need > c.pool.limits.StreamBytes, len(x.waiting)+2 > c.pool.limits.Pieces:
		c.pool.Counters.GapFull++
	default:
		if p.seq != x.next {
			c.pool.Counters.OutOfOrder++
		}
		c.insert(x, *p)
		return true
	}
	c.room(dir, p, h)
	return x.ended
}

// room gets p or what waits out of the list's way, whichever comes first.
func (c *Conn) room(dir int, p *piece, h Handler) {
	x := &c.half[dir]
	switch {
	case len(x.waiting) == 0, before(p.seq, x.waiting[0].seq) && p.seq != x.next:
		n := int64(int32(p.seq - x.next))
		x.next = p.seq
		c.gap(dir, n, h)
	case p.seq == x.next:
		n := int(int32(x.waiting[0].seq - p.seq))
		c.deliver(dir, p.to(n), h)
		*p = p.from(n)
		c.drain(dir, h)
	default:
		c.skip(dir, h)
	}
}

// insert puts the parts of p that do not wait yet into the list.
func (c *Conn) insert(x *half, p piece) {
	i := 0
	for ; i < len(x.waiting) && p.length() > 0; i++ {
		w := &x.waiting[i]
		if !before(w.seq, p.end()) {
			break
		}
		if !before(p.seq, w.end()) {
			continue
		}
		if before(p.seq, w.seq) {
			n := int(int32(w.seq - p.seq))
			c.put(x, i, p.to(n))
			p = p.from(n)
			i++
			w = &x.waiting[i]
		}
		p = c.same(p, *w)
	}
	if p.length() > 0 {
		c.put(x, i, p)
	}
}

// same compares p with the waiting piece w, in which p begins, and returns what
// of p lies beyond w.
func (c *Conn) same(p, w piece) piece {
	off := int(int32(p.seq - w.seq))
	n := min(w.length()-off, p.length())
	c.pool.Counters.Retransmitted += uint64(n)
	if off < len(w.data) {
		a := w.data[off:min(off+n, len(w.data))]
		b := p.data[:min(n, len(p.data))]
		k := min(len(a), len(b))
		if !bytes.Equal(a[:k], b[:k]) {
			c.conflicted()
		}
	}
	return p.from(n)
}

func (c *Conn) put(x *half, i int, p piece) {
	p.data = bytes.Clone(p.data)
	x.held += p.charge()
	c.pool.held += int64(p.charge())
	x.waiting = slices.Insert(x.waiting, i, p)
}
