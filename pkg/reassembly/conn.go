package reassembly

import (
	"github.com/wardflow/wardflow/proto"
)

// Handler receives the streams. dir is the direction (0 or 1) as given to Packet.
type Handler interface {
	// Data is called with the next bytes; b is valid during the call only.
	Data(dir int, b []byte)
	// Gap says that n bytes are missing before the next Data; n is -1 where
	// their number is unknown.
	Gap(dir int, n int64)
	// End says that the direction is over: FIN, RST or Close. Once per direction.
	End(dir int)
}

// Segment is one TCP segment. Missing counts payload bytes that were on the
// wire after Data but not captured (snaplen).
type Segment struct {
	Time     proto.Time
	Seq, Ack uint32
	SYN, FIN bool
	RST, ACK bool
	Data     []byte
	Missing  int
}

func (s *Segment) length() int { return len(s.Data) + s.Missing }

// Conn is one TCP connection: two directions. Make it with Pool.Conn and end it
// with Close, which gives its memory back.
type Conn struct {
	pool     *Pool
	half     [2]half
	conflict bool
}

// Conn starts a connection in its zero state: no SYN seen, nothing expected.
func (p *Pool) Conn() Conn { return Conn{pool: p} }

// Start says that direction dir's SYN with sequence number isn was seen before
// the first Packet.
func (c *Conn) Start(dir int, isn uint32) {
	h := &c.half[dir]
	h.started, h.synSeen, h.isn, h.next = true, true, isn, isn+1
}

// Synced reports whether direction dir was followed from its SYN.
func (c *Conn) Synced(dir int) bool { return c.half[dir].synSeen }

// Conflicted reports whether overlapping segments ever carried different bytes.
func (c *Conn) Conflicted() bool { return c.conflict }

// Held is the number of bytes that wait beyond holes, with their overhead.
func (c *Conn) Held() int { return c.half[0].held + c.half[1].held }

// Packet takes one segment of direction dir, in capture order, and calls h for
// whatever became readable.
func (c *Conn) Packet(dir int, s *Segment, h Handler) {
	if s.ACK {
		c.half[1-dir].acknowledge(s.Ack)
	}
	seq := s.Seq
	if s.SYN {
		c.syn(dir, s.Seq, h)
		seq++
	}
	if s.length() > 0 {
		c.pool.Counters.Segments++
		c.accept(dir, piece{at: s.Time, seq: seq, data: s.Data, missing: s.Missing}, h)
	}
	if s.FIN {
		c.fin(dir, seq+uint32(s.length()), h)
	}
	if s.RST {
		c.reset(dir, seq, h)
	}
	for d := range c.half {
		c.expire(d, s.Time, h)
	}
}

// Close flushes what waits, ends both directions and gives the memory back.
func (c *Conn) Close(h Handler) {
	for dir := range c.half {
		c.finish(dir, h)
	}
}

// Drop gives the memory back without telling anybody.
func (c *Conn) Drop() {
	for dir := range c.half {
		c.half[dir].release(c.pool)
		c.half[dir].ended = true
	}
}

func (c *Conn) syn(dir int, isn uint32, h Handler) {
	x := &c.half[dir]
	switch {
	case x.synSeen && x.isn == isn:
		return // retransmitted
	case x.started:
		// Another connection on the same addresses and ports that the flow
		// table did not tell apart: what waited belongs to the old one.
		for len(x.waiting) > 0 {
			c.skip(dir, h)
		}
		c.pool.Counters.Restarts++
		c.pool.Counters.Gaps++
		h.Gap(dir, -1)
		*x = half{waiting: x.waiting[:0]}
	}
	x.started, x.synSeen, x.isn, x.next = true, true, isn, isn+1
}

func (c *Conn) fin(dir int, end uint32, h Handler) {
	x := &c.half[dir]
	if x.ended {
		return
	}
	if !x.started {
		x.started, x.next = true, end
	}
	if !x.fin && x.within(end, c.pool.limits.Ahead) && !before(end, x.next) {
		x.fin, x.finSeq = true, end
	}
	c.checkEnd(dir, h)
}

// reset believes a RST only within reach of the stream: a blind one must not cut
// the record of a connection (RFC 5961 3 asks receivers for more than that, but
// a sensor may have missed what came before).
func (c *Conn) reset(dir int, seq uint32, h Handler) {
	x := &c.half[dir]
	if x.started && !x.within(seq, c.pool.limits.Ahead) {
		c.pool.Counters.OutOfWindow++
		return
	}
	for d := range c.half {
		c.finish(d, h)
	}
}

func (c *Conn) finish(dir int, h Handler) {
	x := &c.half[dir]
	if x.ended {
		return
	}
	for len(x.waiting) > 0 {
		c.skip(dir, h)
	}
	if !x.ended {
		x.ended = true
		h.End(dir)
	}
	x.release(c.pool)
}

func (c *Conn) expire(dir int, now proto.Time, h Handler) {
	x := &c.half[dir]
	for len(x.waiting) > 0 {
		bound := c.pool.limits.Wait
		if x.acked && before(x.next, x.ack) && !before(x.ack, x.waiting[0].seq) {
			bound = min(bound, c.pool.limits.AckedWait)
		}
		if now.Sub(x.waiting[0].at) < bound {
			return
		}
		c.pool.Counters.GapOld++
		c.skip(dir, h)
	}
}
