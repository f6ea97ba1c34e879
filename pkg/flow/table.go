package flow

import (
	"bytes"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/slab"
	"github.com/wardflow/wardflow/proto"
)

// Config is the table's; zero durations and Max mean the defaults.
type Config struct {
	Site          string
	Sensor        string
	ActiveTimeout time.Duration // a part is delivered at least so often while the flow lives; default 60 s
	TCPIdle       time.Duration // default 300 s
	UDPIdle       time.Duration // default 60 s
	OtherIdle     time.Duration // default 30 s
	ClosedIdle    time.Duration // of TCP that is closed or reset; default 5 s
	Max           int           // live flows; beyond, the one silent longest ends early; default 1,048,576
	MaxSketches   int           // of messages; beyond, a flow has none until another ends; default an eighth of Max

	// Reuse makes one Flow serve for all parts: the receiver keeps none.
	Reuse bool
	// Emit gets each part, with its entry, which is gone afterwards when the part
	// is final. The Flow is the receiver's to keep; what the table does not know
	// (protocol, endpoints) is for the receiver to fill. It must not call the Table.
	Emit func(e *Entry, f *proto.Flow)
}

// class says which idle timeout a flow has.
type class uint8

const (
	classTCP class = iota
	classUDP
	classOther
	classClosed
	classes
)

func (c *Config) setDefaults() {
	for _, v := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.ActiveTimeout, 60 * time.Second},
		{&c.TCPIdle, 300 * time.Second},
		{&c.UDPIdle, 60 * time.Second},
		{&c.OtherIdle, 30 * time.Second},
		{&c.ClosedIdle, 5 * time.Second},
	} {
		if *v.field <= 0 {
			*v.field = v.value
		}
	}
	if c.Max <= 0 {
		c.Max = 1 << 20
	}
	if c.MaxSketches <= 0 {
		c.MaxSketches = max(c.Max/8, 1)
	}
}

// tickBits is the resolution of the idle lists: 2^30 ns, about a second.
const tickBits = 30

// Table is the flow table of one sensor. It is for one goroutine.
type Table struct {
	cfg        Config
	idle       [classes]time.Duration
	now        proto.Time
	swept      uint32 // tick of the last sweep
	entries    slab.Slab[Entry]
	more       slab.Slab[more]
	sketches   slab.Slab[sketch]
	index      index
	lists      [classes]list // by last packet
	open       list          // entries with packets in a part that ends by time, by the part's start
	ids        generations
	asleep     sleepers
	due        []dueEntry
	flows      uint64
	evicted    uint64
	unsketched uint64
	tunnels    tunnels
	flow       proto.Flow // of the part at hand, where one serves for all
}

// dueEntry is an entry that a sweep delivers.
type dueEntry struct {
	ref   ref
	final bool
}

// New makes an empty table.
func New(cfg Config) *Table {
	cfg.setDefaults()
	return &Table{
		cfg:   cfg,
		idle:  [classes]time.Duration{cfg.TCPIdle, cfg.UDPIdle, cfg.OtherIdle, cfg.ClosedIdle},
		index: newIndex(),
		open:  list{by: byStart},
	}
}

// Flows is how many flows have begun.
func (t *Table) Flows() uint64 { return t.flows }

// Live is how many flows are in the table.
func (t *Table) Live() int { return t.index.count }

// Evicted is how many flows ended early because the table was full.
func (t *Table) Evicted() uint64 { return t.evicted }

// Unsketched is how many messages had no sketch to go to because there were
// MaxSketches.
func (t *Table) Unsketched() uint64 { return t.unsketched }

// Add counts a packet with IP and gives its flow, and whether the side that
// opened it has sent it. Parts and flows that the packet's time ends are emitted
// before. nil means that the headers have no IP.
func (t *Table) Add(h *packet.Headers) (e *Entry, fromSrc bool) {
	t.Advance(h.Time)
	if !h.IsIP() {
		return nil, false
	}
	k, srcLow := makeKey(h)
	hash := t.index.hash(&k)
	r := t.index.find(hash, &k, &t.entries)
	side := 0
	if r != 0 {
		e = t.entries.At(r)
		if srcLow != (e.flags&srcIsLow != 0) {
			side = 1
		}
		if h.Time.Sub(e.end) >= t.idle[e.class] || e.reopens(h, side) {
			t.finish(r)
			r = 0
		}
	}
	if r == 0 {
		r = t.begin(hash, k, srcLow, h)
		e = t.entries.At(r)
		side = 0
		if srcLow != (e.flags&srcIsLow != 0) {
			side = 1
		}
	}
	if e.packets != [2]uint32{} && h.Time.Sub(e.start) >= t.cfg.ActiveTimeout {
		t.cut(r, e)
	}
	e.add(h, side)
	what := nothing
	if h.Transport == proto.TCP {
		what = t.segment(e, h, side)
	} else if h.PayloadLen > 0 {
		what = novel
	}
	if what != nothing {
		t.hear(e, h, side, what)
	}
	t.touch(r, e)
	return e, side == 0
}

// begin makes room for a new flow and puts it into the table.
func (t *Table) begin(hash uint32, k key, srcLow bool, h *packet.Headers) ref {
	if t.index.count >= t.cfg.Max {
		t.evict()
	}
	r, e := t.entries.Alloc()
	e.begin(k, srcLow, h, &t.asleep)
	t.tunnels.begin(e, h, srcLow != (e.flags&srcIsLow != 0))
	var room [seedPayload + 16]byte
	seed := appendSeed(room[:0], h)
	e.FlowID = flowID(t.cfg.Site, &k, seed, 0)
	if n := t.ids.next(e.FlowID, &k); n > 0 {
		e.FlowID = flowID(t.cfg.Site, &k, seed, n)
	}
	t.index.insert(hash, r)
	e.class = classOf(e)
	e.tick = t.tick()
	t.push(&t.lists[e.class], r, e)
	t.flows++
	return r
}

func classOf(e *Entry) class {
	switch e.Transport() {
	case proto.TCP:
		if over(e.ends) {
			return classClosed
		}
		return classTCP
	case proto.UDP:
		return classUDP
	}
	return classOther
}

func (t *Table) tick() uint32 { return uint32(uint64(t.now) >> tickBits) }

// touch keeps the lists in order after a packet: by class and last tick, and the
// open parts by their start. A flow moves at most once a tick, so that a busy one
// costs no list work per packet.
func (t *Table) touch(r ref, e *Entry) {
	if c := classOf(e); c != e.class || e.tick != t.tick() {
		t.unlink(&t.lists[e.class], r, e)
		e.class, e.tick = c, t.tick()
		t.push(&t.lists[c], r, e)
	}
	// Where the idle timeout is not longer than the active one, a silent flow's
	// part ends with the flow: one record instead of two.
	timed := t.idle[e.class] > t.cfg.ActiveTimeout
	switch {
	case timed && e.flags&openPart == 0:
		t.pushOpen(r, e)
	case !timed && e.flags&openPart != 0:
		t.unlinkOpen(r, e)
	}
}

// Advance moves event time to now, when it is later, and emits what it ends, in
// the order in which the parts started. About once a second is enough: a packet
// checks its own flow exactly.
func (t *Table) Advance(now proto.Time) {
	if now <= t.now {
		return
	}
	t.now = now
	if tick := t.tick(); tick != t.swept {
		t.swept = tick
		t.sweep()
	}
}

// sweep collects what is due from the heads of the lists and delivers it.
func (t *Table) sweep() {
	for c := range t.lists {
		for r := t.lists[c].first; r != 0; {
			e := t.entries.At(r)
			if t.now.Sub(e.seen()) < t.idle[c] {
				break
			}
			next := e.links[byClass].next
			t.due = append(t.due, dueEntry{ref: r, final: true})
			t.unlinkAll(r, e)
			r = next
		}
	}
	for r := t.open.first; r != 0; {
		e := t.entries.At(r)
		if t.now.Sub(e.start) < t.cfg.ActiveTimeout {
			break
		}
		next := e.links[byStart].next
		t.due = append(t.due, dueEntry{ref: r})
		t.unlinkOpen(r, e)
		r = next
	}
	t.deliver()
}

// seen is when the flow's last packet came, by the table's clock and to the tick.
// The packet's own time says it exactly unless it came late.
func (e *Entry) seen() proto.Time {
	return max(e.end, proto.Time(e.tick)<<tickBits)
}

// deliver emits what is due in the order in which the parts started.
func (t *Table) deliver() {
	if len(t.due) > 1 {
		slices.SortFunc(t.due, func(a, b dueEntry) int {
			x, y := t.entries.At(a.ref), t.entries.At(b.ref)
			if d := x.began() - y.began(); d != 0 {
				if d < 0 {
					return -1
				}
				return 1
			}
			return bytes.Compare(x.FlowID[:], y.FlowID[:])
		})
	}
	// Emptied first: should the receiver panic, no entry is ended twice.
	due := t.due
	t.due = t.due[:0]
	for _, d := range due {
		e := t.entries.At(d.ref)
		t.emit(e, d.final)
		if d.final {
			t.remove(d.ref, e)
		}
	}
}

// began is the start of the part at hand.
func (e *Entry) began() proto.Time {
	if e.packets == [2]uint32{} {
		return e.end
	}
	return e.start
}

// cut ends the part at hand of a flow that goes on.
func (t *Table) cut(r ref, e *Entry) {
	if e.flags&openPart != 0 {
		t.unlinkOpen(r, e)
	}
	t.emit(e, false)
}

// finish ends a flow outside of a sweep.
func (t *Table) finish(r ref) {
	e := t.entries.At(r)
	t.unlinkAll(r, e)
	t.emit(e, true)
	t.remove(r, e)
}

// evict ends the flow that was silent longest.
func (t *Table) evict() {
	var oldest ref
	for _, l := range t.lists {
		if l.first != 0 && (oldest == 0 || t.entries.At(l.first).seen() < t.entries.At(oldest).seen()) {
			oldest = l.first
		}
	}
	t.evicted++
	t.finish(oldest)
}

// Flush ends all flows at their last packet: the capture is over.
func (t *Table) Flush() {
	for c := range t.lists {
		for r := t.lists[c].first; r != 0; {
			e := t.entries.At(r)
			next := e.links[byClass].next
			t.due = append(t.due, dueEntry{ref: r, final: true})
			t.unlinkAll(r, e)
			r = next
		}
	}
	t.deliver()
}

func (t *Table) emit(e *Entry, final bool) {
	f := &t.flow
	if !t.cfg.Reuse {
		f = new(proto.Flow)
	}
	*f = proto.Flow{Site: t.cfg.Site, Sensor: t.cfg.Sensor}
	t.record(e, f, final)
	f.Tunnel = t.tunnels.text(e)
	t.cfg.Emit(e, f)
}

// remove frees an entry that is on no list any more.
func (t *Table) remove(r ref, e *Entry) {
	t.asleep.ended(e)
	t.tunnels.ended(e)
	if e.more != 0 {
		if s := t.more.At(e.more).sketch; s != 0 {
			t.sketches.Release(s)
		}
		t.more.Release(e.more)
	}
	t.index.remove(t.index.hash(&e.key), r)
	t.entries.Release(r)
}
