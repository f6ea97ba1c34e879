package dissect

import (
	"slices"
	"unsafe"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/reassembly"
)

const (
	maxSpare   = 256      // connections kept for reuse
	maxTries   = 4        // datagrams, or midstream segments of a direction, that are tried
	maxRefused = 32 << 10 // bytes of a direction, after which silence of the other one no longer counts
)

// conn is a TCP connection that is being recognised or dissected, a flow of
// datagrams of which the protocol keeps something, an SCTP association or one of the
// streams within it.
type conn struct {
	engine      *Engine
	flow        *Flow
	asm         reassembly.Conn
	stream      dissector.Stream // nil while not recognised
	state       dissector.State  // of datagrams
	sctp        *association     // nil for another transport
	lost        bool             // the stream is new after a panic and has not been told
	over        bool             // the dissector wants no more
	probe       [2]probe
	last        packet.Headers // of the last packet, for facts at the end of the flow
	lastFromSrc bool
	charged     int64
	newer       *conn
	older       *conn
}

// probe is what is known of one direction before it is recognised.
type probe struct {
	prefix    []byte // kept while More
	bytes     int
	tries     uint8
	refused   bool
	midstream bool
	begun     bool
	ended     bool
}

// tcp follows a connection from its first payload on.
func (e *Engine) tcp(p *Packet) {
	f, h := p.Flow, p.Headers
	dir := int(sender(p))
	syn := h.TCPFlags&packet.SYN != 0
	if f.conn == nil {
		if syn {
			f.isn[dir], f.syn[dir] = h.Seq, true
		}
		if h.PayloadLen == 0 {
			return
		}
		e.open(f, syn, dir)
		e.foresee(p)
		e.guess(p)
	}
	c := f.conn
	c.remember(p)
	seg := reassembly.Segment{
		Time: h.Time, Seq: h.Seq, Ack: h.Ack,
		SYN: syn, FIN: h.TCPFlags&packet.FIN != 0 && !syn, // nobody ends what he begins: with both, hosts ignore it
		RST: h.TCPFlags&packet.RST != 0, ACK: h.TCPFlags&packet.ACK != 0,
		Data: h.Payload, Missing: max(0, h.PayloadLen-len(h.Payload)),
	}
	c.asm.Packet(dir, &seg, c)
	if e.pool.Counters != e.pooled {
		e.mu.Lock()
		e.pooled = e.pool.Counters
		e.mu.Unlock()
	}
	if f.done {
		e.release(c)
		return
	}
	e.recent.front(c)
	e.charge(c)
}

// remember keeps the headers, for facts at the end of the flow.
func (c *conn) remember(p *Packet) {
	c.last, c.lastFromSrc = *p.Headers, p.FromSrc
	c.last.Header, c.last.Payload, c.last.LinkPayload = nil, nil, nil
}

// keep keeps what the protocol that just read a datagram wants to know at the next
// one.
func (e *Engine) keep(p *Packet) {
	f, state := p.Flow, e.ctx.State
	e.ctx.State = nil
	if f.conn == nil {
		if state == nil || f.done {
			return
		}
		e.open(f, false, 0)
	}
	c := f.conn
	if f.done {
		e.release(c)
		return
	}
	c.state = state
	c.remember(p)
	e.recent.front(c)
	e.charge(c)
}

func (e *Engine) open(f *Flow, syn bool, dir int) {
	var c *conn
	if n := len(e.spare); n > 0 {
		c, e.spare = e.spare[n-1], e.spare[:n-1]
	} else {
		c = new(conn)
	}
	c.engine, c.flow, c.asm = e, f, e.pool.Conn()
	for d, seen := range f.syn {
		if seen && (d != dir || !syn) {
			c.asm.Start(d, f.isn[d])
		}
	}
	f.conn = c
}

// charge accounts for what c keeps, and evicts the connections that were silent
// longest when all together keep too much.
func (e *Engine) charge(c *conn) {
	n := c.size()
	e.used += n - c.charged
	c.charged = n
	for e.used > e.cfg.MemoryLimit && e.recent.last != c {
		old := e.recent.last
		old.flow.done = old.state == nil // what a datagram says is still worth reading
		e.release(old)
		(*sink)(e).Count("memory_evicted")
	}
}

// size is about how many bytes are kept.
func (c *conn) size() int64 {
	n := int64(unsafe.Sizeof(*c)) + int64(c.asm.Held()+cap(c.probe[0].prefix)+cap(c.probe[1].prefix))
	if c.stream != nil {
		n += int64(c.stream.Size())
	}
	if c.state != nil {
		n += int64(c.state.Size())
	}
	if c.sctp != nil {
		n += c.sctp.size()
	}
	return n
}

func (e *Engine) release(c *conn) {
	c.asm.Drop()
	e.recent.remove(c)
	e.used -= c.charged
	c.flow.conn = nil
	*c = conn{}
	if len(e.spare) < maxSpare {
		e.spare = append(e.spare, c)
	}
}

// Data, Gap and End are how the reassembly reports.

// Data recognises or dissects the next bytes of a direction.
func (c *conn) Data(dir int, b []byte) {
	switch {
	case c.over:
	case c.stream != nil:
		c.engine.stream(c, dir, func(s dissector.Stream, ctx *dissector.Context) { s.Data(ctx, b) })
	case !c.flow.done:
		c.engine.try(c, dir, b)
	}
}

// Gap tells the dissector, or starts the recognition anew in what follows.
func (c *conn) Gap(dir int, n int64) {
	if c.over {
		return
	}
	if c.stream != nil {
		(*sink)(c.engine).Count(c.flow.proto.Name + "_gap")
		c.engine.stream(c, dir, func(s dissector.Stream, ctx *dissector.Context) { s.Gap(ctx, n) })
		return
	}
	pr := &c.probe[dir]
	pr.prefix, pr.refused, pr.midstream, pr.begun = nil, pr.tries >= maxTries, true, true
}

// End tells the dissector, once there is one.
func (c *conn) End(dir int) {
	if c.stream == nil {
		c.probe[dir].ended = true
	} else if !c.over {
		c.engine.stream(c, dir, func(s dissector.Stream, ctx *dissector.Context) { s.End(ctx) })
	}
}

// try looks for a protocol that knows the first bytes of a direction.
func (e *Engine) try(c *conn, dir int, b []byte) {
	pr := &c.probe[dir]
	if !pr.begun {
		pr.begun, pr.midstream = true, !c.asm.Synced(dir)
	}
	pr.ended = false // it began anew
	pr.bytes += len(b)
	if pr.refused {
		e.resign(c)
		return
	}
	prefix := b[:min(len(b), dissector.MaxPrefix)]
	if len(pr.prefix) > 0 {
		prefix = slices.Concat(pr.prefix, b[:min(len(b), dissector.MaxPrefix-len(pr.prefix))])
	}
	known, more := e.recognise(e.streams.of(e.packet.Headers, &e.both), prefix, pr.midstream)
	if known != nil {
		e.activate(c, known, dir, b)
		return
	}
	if more && len(prefix) < dissector.MaxPrefix {
		pr.prefix = slices.Clone(prefix)
		return
	}
	pr.prefix = nil
	pr.tries++
	pr.refused = !pr.midstream || pr.tries >= maxTries
	e.resign(c)
}

// resign gives a connection up when nothing of it was recognised.
func (e *Engine) resign(c *conn) {
	for d := range c.probe {
		if !c.probe[d].refused && (c.probe[d].bytes > 0 || c.probe[1-d].bytes < maxRefused) {
			return
		}
	}
	c.flow.done = true
	e.withdraw(c.flow, c.probe[0].midstream || c.probe[1].midstream)
}

// activate starts the dissector with the bytes that were kept: those of the side
// that opened the flow first. Before them it learns which directions it joins at an
// unknown place.
func (e *Engine) activate(c *conn, p *dissector.Protocol, dir int, b []byte) {
	c.flow.proto = p
	c.flow.recognised(p.Name)
	c.stream = p.NewStream()
	var kept [2][]byte
	for d := range c.probe {
		pr := &c.probe[d]
		kept[d], pr.prefix = pr.prefix, nil
		if (len(kept[d]) > 0 || d == dir) && pr.midstream || len(kept[d]) == 0 && d != dir && pr.bytes > 0 {
			c.unknown(d)
		}
	}
	for d := range c.probe {
		if len(kept[d]) > 0 {
			c.Data(d, kept[d])
		}
		if d == dir {
			c.Data(d, b)
		}
	}
	for d := range c.probe {
		if c.probe[d].ended {
			c.End(d)
		}
	}
}

// unknown tells the dissector that it joins a direction at an unknown place.
func (c *conn) unknown(dir int) {
	c.engine.stream(c, dir, func(s dissector.Stream, ctx *dissector.Context) { s.Gap(ctx, -1) })
}

// list orders connections by their last packet.
type list struct {
	first, last *conn
}

func (l *list) front(c *conn) {
	if l.first == c {
		return
	}
	l.remove(c)
	c.older = l.first
	if l.first != nil {
		l.first.newer = c
	}
	l.first = c
	if l.last == nil {
		l.last = c
	}
}

func (l *list) remove(c *conn) {
	if c.newer != nil {
		c.newer.older = c.older
	} else if l.first == c {
		l.first = c.older
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else if l.last == c {
		l.last = c.newer
	}
	c.newer, c.older = nil, nil
}
