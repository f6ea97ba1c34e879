package sink

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// batch is a range of offsets of one partition and the rows that it makes.
type batch struct {
	from, to    int64 // to is the first offset after it
	first, last proto.Time
	attempt     int
	rows        rows
	letters     []bus.Message
	seq         map[string]uint64 // highest number of each producer at its end
	begun, grew time.Time         // when its first and its last record came
	size        int               // rows when it was launched
	traces      []*telemetry.Remote
	// planned: the plan was found committed, by whoever had the partition before.
	planned bool
	// doubtful: some of its rows may be there already, so they are looked for first.
	doubtful bool
}

func (b *batch) len() (n int) {
	for _, t := range b.rows.blocks() {
		n += t.Len()
	}
	return n
}

// partition is one assigned partition. A new assignment makes a new one, so that
// what is under way for an old one can be told from it.
type partition struct {
	topic string
	id    int32
	route route
	// ctx ends when the partition is taken away.
	ctx    context.Context
	cancel context.CancelFunc
	stored atomic.Int64 // doneTo, for who else may ask

	// Of the loop that polls; nobody else looks at them.
	ready       bool
	next        int64             // first offset not yet taken; -1 when any will do
	found       plan              // what the one before us had committed
	seen        map[string]uint64 // highest number of each producer
	copies      *copies           // of wardflow.traffic
	doubtfulTo  int64             // tables have rows up to here that no plan of ours made
	sinceSaved  time.Time
	spare       rows
	incomplete  bool   // building is the found plan's range, of which records are still to come
	sealed      *batch // the found plan's range, complete: goes before building
	building    *batch
	inFlight    *batch
	doneTo      int64             // all before it is stored
	committed   int64             // what Kafka knows of it
	doneAt      proto.Time        // time of the record before doneTo
	unsaved     map[string]uint64 // producers' numbers not yet saved, as of doneTo
	settledAt   time.Time         // when the last batch became rows
	doneWaiting time.Time         // since when doneTo is ahead of committed
}

func newPartition(ctx context.Context, topic string, id int32, c bus.Committed) *partition {
	p := &partition{topic: topic, id: id, route: routes[topic], next: c.Offset, doneTo: c.Offset, committed: c.Offset, doubtfulTo: -1, unsaved: map[string]uint64{}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.stored.Store(c.Offset)
	if found, ok := parsePlan(c.Metadata, c.Offset); ok {
		p.found, p.incomplete = found, true
	}
	return p
}

func (p *partition) gone() bool { return p.ctx.Err() != nil }

// prepare asks the tables what they have of the partition: the producers'
// numbers before the committed offset, and rows after it. Such rows are there
// when a plan was found, and also when the broker lost the last commit, or a
// person moved the offset back: then batches are compared with them.
func (p *partition) prepare(ctx context.Context, t Tables, generation uint32) error {
	from := max(p.next, 0)
	seen, err := t.MaxSeq(ctx, p.topic, p.route.tables, generation, p.id, from)
	if err != nil {
		return err
	}
	if p.doubtfulTo, err = t.MaxOffset(ctx, p.route.tables, generation, p.id, from); err != nil {
		return err
	}
	if p.topic == proto.TopicTraffic {
		told, err := t.Told(ctx, generation, p.id, from, lately)
		if err != nil {
			return err
		}
		p.copies = newCopies()
		p.copies.restore(told)
	}
	p.seen, p.ready = seen, true
	return nil
}

// take adds a record to the batch that is being built.
func (p *partition) take(r *bus.Record, s *Sink) error {
	if p.next >= 0 && r.Offset < p.next {
		return nil // the client went back; we have it
	}
	if p.incomplete && r.Offset >= p.found.To {
		p.closeFound()
	}
	if p.next >= 0 && r.Offset > p.next && p.topic == proto.TopicTraffic {
		// No transactions and no compaction here: what is missing is lost.
		s.count.missing.Add(uint64(r.Offset - p.next))
		s.log.Error("records are gone before they were stored: retention has overtaken the sink", "topic", p.topic, "partition", p.id, "from", p.next, "to", r.Offset)
	}
	b, err := p.batch(r, s)
	if err != nil {
		return err
	}
	at := store.Coordinates{Generation: s.cfg.Generation, Partition: p.id, Offset: r.Offset, Time: r.Time}
	keep := func(producer string, seq uint64) bool {
		if last, ok := p.seen[producer]; ok && seq <= last {
			s.count.repeated.Add(1)
			return false
		}
		p.seen[producer], b.seq[producer] = seq, seq
		return true
	}
	dead := func(index int32, reason string) {
		s.count.dead.Add(1)
		b.letters = append(b.letters, s.letter(r, index, reason))
	}
	b.rows.add(r, at, keep, dead)
	b.grew = s.now()
	if r.Trace != nil && len(b.traces) < maxTraces {
		b.traces = append(b.traces, r.Trace)
	}
	p.next = r.Offset + 1
	b.to = p.next
	b.first, b.last = min(b.first, r.Time), max(b.last, r.Time)
	if p.incomplete && p.next >= p.found.To {
		p.closeFound()
	}
	return nil
}

// closeFound ends the range of a plan that was found committed: all its records
// are here, but for those that compaction took, which a later record shows.
func (p *partition) closeFound() {
	p.incomplete = false
	if p.building != nil {
		p.building.to = p.found.To
		p.sealed, p.building = p.building, nil
	} else {
		p.doneTo = p.found.To
	}
	p.next = max(p.next, p.found.To)
}

func (p *partition) batch(r *bus.Record, s *Sink) (*batch, error) {
	if p.building != nil {
		return p.building, nil
	}
	made := p.spare
	if p.spare = nil; made == nil {
		var err error
		if made, err = p.route.new(&s.cfg); err != nil {
			return nil, err
		}
	}
	if t, ok := made.(*traffic); ok {
		t.copies = p.copies
	}
	from := p.next
	if from < 0 {
		from, p.doneTo = r.Offset, r.Offset
	}
	b := &batch{from: from, to: from, first: r.Time, last: r.Time, attempt: 1, rows: made, seq: map[string]uint64{}, begun: s.now()}
	if p.incomplete {
		b.planned, b.attempt = true, p.found.Attempt
	}
	b.doubtful = b.planned || b.from <= p.doubtfulTo
	p.building = b
	return b, nil
}

// calm is how many intervals lie between two inserts of a partition of any topic
// but traffic: an insert costs the server some 20 ms whatever is in it, and there
// are many such partitions. What comes after a quiet time does not wait for it, nor
// does what nothing has followed for an interval.
const calm = 10

// due says whether the batch that is being built should go now.
func (p *partition) due(s *Sink) bool {
	if p.inFlight != nil || p.incomplete {
		return false
	}
	if p.sealed != nil {
		return true
	}
	b, now := p.building, s.now()
	switch {
	case b == nil:
		return false
	case b.len() >= s.cfg.BatchRows:
		return true
	case p.topic != proto.TopicTraffic && now.Sub(p.settledAt) < calm*s.cfg.Interval && now.Sub(b.grew) < s.cfg.Interval:
		return false
	}
	return now.Sub(b.begun) >= s.cfg.Interval
}

// launch takes the batch that is due.
func (p *partition) launch() *batch {
	if p.sealed != nil {
		p.inFlight, p.sealed = p.sealed, nil
	} else {
		p.inFlight, p.building = p.building, nil
	}
	p.inFlight.size = p.inFlight.len()
	return p.inFlight
}

// waiting is the number of rows that are built and not under way.
func (p *partition) waiting() (n int) {
	for _, b := range []*batch{p.sealed, p.building} {
		if b != nil {
			n += b.len()
		}
	}
	return n
}

// settled moves the batch in flight to what is done.
func (p *partition) settled(b *batch, now time.Time) {
	for name, n := range b.seq {
		p.unsaved[name] = n
	}
	if p.doneTo == p.committed {
		p.doneWaiting = now
	}
	p.doneTo, p.doneAt, p.settledAt = b.to, b.last, now
	p.stored.Store(b.to)
	for _, t := range b.rows.blocks() {
		t.Reset()
	}
	if t, ok := b.rows.(*traffic); ok {
		t.clock = 0
	}
	p.spare = b.rows
}
