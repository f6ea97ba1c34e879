package stream

import (
	"bytes"
	"fmt"
	"sort"
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/proto"
)

// maxRollupRows bounds one record of wardflow.rollups (about 100 bytes a row).
const maxRollupRows = 4096

// Emitted is an output with its number and cause.
type Emitted struct {
	Output
	Envelope proto.Envelope
}

// Change is one changed key of a partition's state; Value is nil when it was deleted.
type Change struct {
	Key   []byte
	Value []byte
	log   []byte // the key as the changelog has it
}

// Store keeps a partition's committed state.
type Store interface {
	// Get gives the value of a key of the partition; the slice is the caller's.
	Get(partition int32, key []byte) ([]byte, bool, error)
	// Each calls f for the keys with a prefix in order, until it returns false;
	// the slices are valid during the call only.
	Each(partition int32, prefix []byte, f func(key, val []byte) bool) error
}

// Partition is the state and the inputs of a fold for one partition. It is used
// by one goroutine at a time.
type Partition struct {
	id       int32
	fold     Fold
	inputs   []*input
	store    Store // nil: everything stays in the overlay (replay)
	shelf    *shelf
	filter   *filter // of the keys in store
	together tableSet
	entities entityStore // store, where it can read together what lies so
	entity   [1 + entityLen]byte
	hand     rows // the rows that were read last, while nothing is committed
	handKey  [1 + entityLen]byte
	atHand   bool
	foreseer Foreseer // fold, where it is one and there is a shelf to read ahead to
	ahead    [][entityLen]byte
	producer string
	stats    *Stats

	cache map[string]*entry
	dirty []*entry
	fresh map[string][]*entry // dirty keys that the store lacks, by table and scan prefix
	key   []byte              // scratch
	room  int                 // bytes that the changes of a commit are expected to take

	seq          uint64
	commits      uint64
	outputs      []Emitted
	rollups      []proto.Rollup
	rollupSeq    uint64 // of the last row; rows are numbered on their own, so that a batch has no gaps
	rollupCause  proto.Cause
	rollupTime   proto.Time
	rollupDomain string

	clocks    map[string]*clock
	lastClock *clock
	rule      *dedup.Rule // nil: what it is given has been marked (replay)
	firing    *clock      // timers of this clock are being fired before the heartbeat at hand is done
	sweeps    []sweep
	sweeping  []string // keys still to do of sweeps[0]

	gateWait  time.Duration
	blocked   time.Time // since when the primary head waits for an upstream; zero: it does not
	forwarded map[int32]proto.Position
	err       error

	newest, newestEvent proto.Time // arrival and live event time of what was applied last since the last commit; see watch
}

// Stats counts what partitions do; shared by the partitions of a runner.
type Stats struct {
	Events       uint64 // applied
	Traffic      uint64 // of these, flows and observations
	Duplicates   uint64 // dropped by producer number
	Dead         uint64 // could not be used
	GateExpired  uint64 // applied without having waited for the upstream
	Timers       uint64
	Swept        uint64
	SuspectClock uint64 // events whose times were set right, because their sensor's clock is off
	Copies       uint64 // flows' parts and observations that another sensor had told; folds see them marked
	Forgotten    uint64 // of what was kept to know copies by: dropped before its time, because there was too much
}

// Options are a partition's surroundings.
type Options struct {
	Store      Store
	CacheBytes int           // of encoded state before the store; 0: none
	GateWait   time.Duration // how long a primary event waits for an upstream; 0: for ever
	Stats      *Stats
	MaxKept    int // values kept to know copies by; 0: dedup.DefaultMax

	marked bool // copies are marked already
}

// OpenPartition makes a fold's partition as its store has it.
func OpenPartition(f Fold, id int32, o Options) (*Partition, error) {
	p := &Partition{
		id: id, fold: f, store: o.Store, gateWait: o.GateWait, stats: o.Stats,
		producer:  fmt.Sprintf("%s/%d", f.Name(), id),
		cache:     map[string]*entry{},
		fresh:     map[string][]*entry{},
		clocks:    map[string]*clock{},
		forwarded: map[int32]proto.Position{},
	}
	if p.stats == nil {
		p.stats = new(Stats)
	}
	if o.CacheBytes > 0 {
		p.shelf = newShelf(o.CacheBytes)
	}
	p.together = togetherOf(f)
	p.entities, _ = o.Store.(entityStore)
	if !o.marked && f.Inputs()[0].Topic == proto.TopicTraffic {
		p.rule = dedup.NewRule(conversationTable{p}, factTable{p}, o.MaxKept)
	}
	if o.Store != nil {
		p.filter = newFilter()
		p.readAll()
	}
	for i, in := range f.Inputs() {
		p.inputs = append(p.inputs, newInput(in, i == 0))
	}
	if fs, ok := f.(Foreseer); ok && p.entities != nil && p.shelf != nil {
		p.foreseer, p.inputs[0].decoded = fs, p.foresee
	}
	if err := p.restore(); err != nil {
		return nil, fmt.Errorf("open %s: %w", p.producer, err)
	}
	return p, nil
}

// readAll goes once through what the store has: the filter takes the keys in, but those of
// timers, which are not asked for, and the clocks the timers that rows tell of.
func (p *Partition) readAll() {
	var last [1 + entityLen]byte
	reminder, reminds := p.fold.(Reminder)
	p.each(nil, func(key, val []byte) bool {
		if reminds && key[0] == reminder.Reminders() {
			if err := reminder.Remind(key[1:], val, p.remind); err != nil {
				p.fail(fmt.Errorf("read state of fold %s, table %q: %w", p.fold.Name(), key[0], err))
			}
		}
		switch {
		case p.liesTogether(key):
			if k := p.entityKey(key); !bytes.Equal(k, last[:]) {
				copy(last[:], k)
				p.filter.add(k)
			}
		case key[0] != idTimers:
			p.filter.add(key)
		}
		return true
	})
}

// remind takes in a timer of live traffic that a row tells of.
func (p *Partition) remind(at proto.Time, site string, key []byte) {
	c := p.clockOf(site, proto.LiveDomain)
	c.timers = append(c.timers, due{at: at, key: string(key)})
}

func (p *Partition) restore() error {
	tx := &Tx{p: p}
	if m := marks.Get(tx, nil); m != nil {
		p.seq, p.rollupSeq, p.commits, p.sweeps = m.seq, m.rollupSeq, m.commits, m.sweeps
		for _, in := range p.inputs {
			in.start(m.positions[in.Topic])
			in.heard = m.heard[in.Topic]
		}
	}
	for _, in := range p.inputs {
		gates.Scan(tx, gatePrefix(in.Topic), func(key []byte, g *position) bool {
			in.gate[gateVia(key)] = g.Position
			return true
		})
	}
	p.loadTimers()
	p.loadKept()
	return p.err
}

// fail keeps the first error that makes the partition unusable.
func (p *Partition) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *Partition) tableKey(table byte, key []byte) []byte {
	p.key = append(append(p.key[:0], table), key...)
	return p.key
}

func (p *Partition) load(full []byte) ([]byte, bool) {
	if p.store == nil {
		return nil, false
	}
	if p.liesTogether(full) {
		return p.gathered(full).find(full[0], full[1+entityLen:])
	}
	if val, ok, known := p.shelf.get(full); known {
		return val, ok
	}
	if !p.filter.has(full) {
		return nil, false
	}
	val, ok, err := p.store.Get(p.id, full)
	if err != nil {
		p.fail(fmt.Errorf("read state: %w", err))
		return nil, false
	}
	p.shelf.put(full, val, ok)
	return val, ok
}

func (p *Partition) each(prefix []byte, f func(key, val []byte) bool) {
	if p.store == nil {
		return
	}
	if len(prefix) == 1+entityLen && p.entities != nil && p.together[prefix[0]] {
		p.eachOf(prefix, f)
		return
	}
	if err := p.store.Each(p.id, append([]byte(nil), prefix...), f); err != nil {
		p.fail(fmt.Errorf("scan state: %w", err))
	}
}

func (p *Partition) deadEvent(tx *Tx, reason string) {
	p.stats.Dead++
	d := proto.Deadletter{Time: tx.time, Topic: tx.topic, Partition: p.id, Offset: tx.pos.Offset, Index: tx.pos.Index, Consumer: p.fold.Name(), Reason: reason}
	if d.Topic == "" { // a timer or a sweep: what the primary input is at
		d.Topic, d.Index = p.inputs[0].Topic, -1
		if head := p.inputs[0].head(); head != nil {
			d.Offset, d.Index = head.pos.Offset, head.pos.Index
		}
	}
	p.emitDead(tx, d)
}

func (p *Partition) emitDead(tx *Tx, d proto.Deadletter) {
	tx.Emit(deadOutput(d))
}

func (p *Partition) cutRollups() {
	if len(p.rollups) == 0 {
		return
	}
	val, err := proto.Marshal(&proto.RollupBatch{Rows: p.rollups})
	if err != nil {
		p.fail(fmt.Errorf("encode rollups: %w", err))
		return
	}
	p.outputs = append(p.outputs, Emitted{
		Output: Output{Topic: proto.TopicRollups, Kind: proto.KindRollup, Lane: proto.Lane(p.id), Value: val, Time: p.rollupTime},
		Envelope: proto.Envelope{
			Schema: proto.SchemaDerived, Kind: proto.KindRollup, Producer: p.producer + "/rollup", Seq: p.rollupSeq + 1 - uint64(len(p.rollups)),
			Cause: p.rollupCause, Time: p.rollupTime, Domain: p.rollupDomain,
		},
	})
	p.rollups = p.rollups[:0]
}

// Commit is what one transaction of a partition consists of. It is handed out by
// Prepare and becomes the partition's stored state with Committed.
type Commit struct {
	Outputs   []Emitted
	Progress  []proto.Progress
	Changes   []Change
	Number    uint64
	Positions map[string]proto.Position // next position to read, per topic
}

// Prepare collects what has happened since the last commit. It returns nil when
// nothing has.
func (p *Partition) Prepare(minNumber uint64) (*Commit, error) {
	p.cutRollups()
	if p.err != nil {
		return nil, p.err
	}
	if len(p.dirty) == 0 && len(p.outputs) == 0 && !p.moved() {
		return nil, nil
	}
	tx := &Tx{p: p}
	p.saveGates(tx)
	m := marks.Edit(tx, nil)
	m.commits = max(p.commits+1, minNumber)
	m.seq, m.rollupSeq, m.sweeps = p.seq, p.rollupSeq, p.sweeps
	m.positions, m.heard = map[string]proto.Position{}, map[string]int64{}
	for _, in := range p.inputs {
		at := in.resume()
		m.positions[in.Topic] = at
		if heard := max(in.heard, in.next.Offset); in.Upstream != "" && heard > at.Offset {
			m.heard[in.Topic] = heard
		}
	}
	c := &Commit{Outputs: p.outputs, Number: m.commits, Positions: m.positions, Progress: p.progress()}
	c.Changes = p.changes()
	return c, p.err
}

// changes encodes what is dirty, all of it into one piece of memory.
func (p *Partition) changes() []Change {
	p.sortDirty()
	list := make([]Change, 0, len(p.dirty))
	room := make([]byte, 0, p.room)
	for _, e := range p.dirty {
		if e.obj == nil && !e.stored {
			continue
		}
		at := len(room)
		room = append(append(room, changelogVersion), e.key...)
		end := len(room)
		c := Change{log: room[at:end:end], Key: room[at+1 : end : end]}
		if e.obj != nil {
			room = e.enc(e.obj, room)
			c.Value = room[end:len(room):len(room)]
		}
		list = append(list, c)
	}
	p.room = len(room) + len(room)/8
	return list
}

func (p *Partition) moved() bool {
	for _, in := range p.inputs {
		if in.movedSince {
			return true
		}
	}
	return len(p.forwarded) > 0
}

// progress says to downstream folds how far this partition has come.
func (p *Partition) progress() []proto.Progress {
	var out []proto.Progress
	primary := p.inputs[0]
	if primary.Topic == proto.TopicTraffic {
		return append(out, proto.Progress{Fold: p.fold.Name(), Partition: p.id, Via: p.id, Next: primary.resume()})
	}
	for part, next := range p.forwarded {
		out = append(out, proto.Progress{Fold: p.fold.Name(), Partition: part, Via: p.id, Next: next})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Partition < out[j].Partition })
	return out
}

// Committed tells the partition that c is durable and stored. maxEntries bounds
// the clean entries that stay in memory.
func (p *Partition) Committed(c *Commit, maxEntries int) {
	p.commits = c.Number
	p.keep(c.Changes)
	for _, e := range p.dirty {
		e.dirty = false
		if e.obj == nil {
			delete(p.cache, e.key)
			continue
		}
		if !e.stored && !p.sortsTogether(e.key) {
			p.filter.add([]byte(e.key))
		}
		e.stored = true
	}
	p.dirty = p.dirty[:0]
	p.outputs = nil
	clear(p.fresh)
	clear(p.forwarded)
	for _, in := range p.inputs {
		in.movedSince = false
	}
	if len(p.cache) > maxEntries { // the store has them all, and the shelf most
		clear(p.cache)
	}
}

// TakeOutputs hands out and forgets what was emitted; for use without a store.
func (p *Partition) TakeOutputs() []Emitted {
	p.cutRollups()
	out := p.outputs
	p.outputs = nil
	return out
}

// Err is the error that made the partition unusable.
func (p *Partition) Err() error { return p.err }

// Seq is the number of the last output.
func (p *Partition) Seq() uint64 { return p.seq }

// Commits is the number of the last commit.
func (p *Partition) Commits() uint64 { return p.commits }
