package capture

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/packet/ring"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of a worker.
const (
	roundPackets = 4096                 // between looks at anything else than packets
	sliceItems   = 512                  // that go to the output at once
	idleWait     = 5 * time.Millisecond // when there is nothing to read
	holdAtMost   = time.Second          // that a packet waits for those of other interfaces that may be older
	drainWithin  = 2 * time.Second      // at the end, for what the rings still hold
	publishEvery = time.Second
	checkEvery   = 200 * time.Millisecond // whether an interface is still up
)

// worker reads ring i of every interface, by time, into a Processor of its own.
type worker struct {
	gen    *generation
	inputs []*input
	proc   *Processor
	from   proto.Time // what was received before is another generation's
	items  *[]proto.Item

	heldSince time.Time // a packet waits for other interfaces
	checked   time.Time
	published time.Time
	stoppedAt time.Time
	summary   atomic.Pointer[Summary]
}

// input is a worker's ring of one interface.
type input struct {
	port    *port
	offers  chan offer
	src     source // nil while the interface is away
	from    proto.Time
	head    ring.Packet
	has     bool
	failing bool
	// horizon: whatever was received before it has been read.
	horizon        proto.Time
	packets, bytes uint64 // not yet in the port's
}

func newWorker(g *generation, i int) *worker {
	w := &worker{gen: g}
	for _, p := range g.ports {
		w.inputs = append(w.inputs, &input{port: p, offers: p.offers[i]})
	}
	w.summary.Store(&Summary{})
	return w
}

// begin makes the Processor, with an even share of what all may hold.
func (w *worker) begin(shared *segment, from proto.Time) {
	w.from = from
	l, n := w.gen.live, w.gen.cfg.Workers
	c := w.gen.cfg.Processor
	c.MaxFlows, c.MaxMemory = c.MaxFlows/n, c.MaxMemory/int64(n)
	c.Emit = w.emit
	c.OnPanic = func(place string) {
		if l.panics.may(l.now()) {
			l.log.Error("a packet made the program panic; it is counted and left out", "at", place)
		}
	}
	w.proc = newProcessor(c, shared)
}

func (w *worker) now() time.Time { return w.gen.live.now() }

// run reads until the generation's time is over, then ends the open flows.
func (w *worker) run() {
	for {
		w.exchange()
		n := w.round()
		clock := w.clock()
		w.proc.Advance(clock)
		w.flush(false)
		w.publish(false)
		if w.over(clock) {
			break
		}
		if n == 0 {
			time.Sleep(idleWait)
		}
	}
	for _, in := range w.inputs {
		if in.src != nil {
			in.port.release(in.src)
			in.src = nil
		}
	}
	w.proc.End()
	w.publish(true)
	w.flush(true)
}

// over reports that all that is the generation's has been read, or that there is
// no more time for it.
func (w *worker) over(clock proto.Time) bool {
	until := proto.Time(w.gen.until.Load())
	if until == 0 {
		return false
	}
	if w.stoppedAt.IsZero() {
		w.stoppedAt = w.now()
	}
	return clock >= until || w.now().Sub(w.stoppedAt) > drainWithin
}

// exchange takes rings that were opened, and looks whether the others still work.
// A failing ring is read to its end first (see fill).
func (w *worker) exchange() {
	check := w.now().Sub(w.checked) >= checkEvery
	if check {
		w.checked = w.now()
	}
	for _, in := range w.inputs {
		switch {
		case in.src == nil:
			select {
			case o := <-in.offers:
				in.src, in.from, in.failing = o.source, o.from, false
			default:
			}
		case in.port.stale.Load():
			in.failing = true
		case check:
			if err := in.src.Check(); err != nil {
				in.port.failed(err)
				in.failing = true
			}
		}
	}
}

// round reads packets, those of all interfaces in the order of time, and says how many.
func (w *worker) round() int {
	n := 0
	until := proto.Time(w.gen.until.Load())
	for ; n < roundPackets; n++ {
		in := w.first()
		if in == nil {
			break
		}
		in.has, in.horizon = false, in.head.Time
		if p := &in.head; p.Time >= w.from && p.Time >= in.from && (until == 0 || p.Time < until) {
			in.packets++
			in.bytes += uint64(p.WireLen)
			w.proc.Packet(p.LinkType, p.Time, p.Data, p.WireLen)
		}
	}
	for _, in := range w.inputs {
		in.port.wire.packets.Add(in.packets)
		in.port.wire.bytes.Add(in.bytes)
		in.packets, in.bytes = 0, 0
	}
	return n
}

// first is the input whose packet is the oldest, or nil: there is none, or one of
// another interface that is still on its way may be older.
func (w *worker) first() *input {
	var first *input
	for _, in := range w.inputs {
		if in.has && (first == nil || in.head.Time < first.head.Time) {
			first = in
		}
	}
	wait := false
	for _, in := range w.inputs {
		switch {
		case in.has, first != nil && in.horizon >= first.head.Time: // nothing older can come
		case w.fill(in):
			if first == nil || in.head.Time < first.head.Time {
				first = in
			}
		}
	}
	for _, in := range w.inputs {
		wait = wait || (first != nil && !in.has && in.horizon < first.head.Time)
	}
	switch {
	case !wait:
		w.heldSince = time.Time{}
	case w.heldSince.IsZero():
		w.heldSince = w.now()
		return nil
	case w.now().Sub(w.heldSince) < holdAtMost:
		return nil
	}
	return first
}

// fill reads an input's next packet. Where there is none, all packets but those
// that may still be in the kernel's open block have been read.
func (w *worker) fill(in *input) bool {
	if w.next(in) {
		return true
	}
	at := w.now() // before the look that finds nothing
	if w.next(in) {
		return true
	}
	if in.failing && in.src != nil {
		in.port.release(in.src)
		in.src = nil
	}
	in.horizon = proto.TimeOf(at.Add(-ringDelay))
	return false
}

func (w *worker) next(in *input) bool {
	in.has = in.src != nil && in.src.TryNext(&in.head)
	return in.has
}

// clock is how far everything has been read: on a silent wire it goes with the
// sensor's own clock.
func (w *worker) clock() proto.Time {
	clock := proto.Time(math.MaxInt64)
	for _, in := range w.inputs {
		if in.has {
			clock = min(clock, in.head.Time)
		} else {
			clock = min(clock, in.horizon)
		}
	}
	return clock
}

func (w *worker) emit(it proto.Item) {
	if w.items == nil {
		w.items = w.gen.live.pool.Get().(*[]proto.Item) //nolint:errcheck // the pool has nothing else
	}
	*w.items = append(*w.items, it)
	if len(*w.items) >= sliceItems {
		w.flush(false)
	}
}

// flush hands items over. It waits where the output does: the rings fill meanwhile.
func (w *worker) flush(last bool) {
	if w.items == nil && last {
		w.items = new([]proto.Item)
	}
	if w.items != nil {
		w.gen.live.items <- slice{w, w.items, last}
		w.items = nil
	}
}

// publish lets others see the counts.
func (w *worker) publish(now bool) {
	if at := w.now(); now || at.Sub(w.published) >= publishEvery {
		w.published = at
		s := w.proc.Summary()
		w.summary.Store(&s)
	}
}
