package stream

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// watch is what a runner tells of itself beside its Snapshot. The goroutine that
// works looks at partitions now and then and leaves what it saw for whoever asks;
// per event it costs two stores.
type watch struct {
	t      *telemetry.Telemetry // nil: nobody asks
	joined atomic.Bool          // the group has given partitions out
	seen   atomic.Pointer[sight]

	transaction, batch, arrival, event, process *telemetry.Histogram

	looked   time.Time
	measured time.Time // the state's size
	disk     uint64
	worked   time.Duration // since the last commit
	events   uint64        // applied before it
	traces   []*telemetry.Remote
}

// sight is what was seen of the partitions at one time.
type sight struct {
	waiting int
	oldest  proto.Time // arrival of the oldest record that waits; 0: none does
	blocked time.Time  // since when the partition that waits longest for an upstream waits
	entries int
	keys    int
	cache   int
	disk    uint64
	sites   map[string]siteSight
}

// siteSight is a site's live clock, in the partition where it is farthest behind.
type siteSight struct {
	watermark proto.Time
	heard     map[string]heard // by sensor; names stay in here
}

type heard struct {
	last    proto.Time
	suspect bool
}

// The times between two looks, at what waits and at the size of the state.
const (
	lookEvery    = 250 * time.Millisecond
	measureEvery = 10 * time.Second
)

func (w *watch) start(r *Runner) {
	w.seen.Store(&sight{})
	t := r.cfg.Telemetry
	if t == nil {
		return
	}
	fold := r.fold.Name()
	w.t = t
	w.transaction = t.Histogram(telemetry.FoldTransaction, fold)
	w.batch = t.Histogram(telemetry.FoldBatch, fold)
	w.arrival = t.Histogram(telemetry.FoldArrival, fold)
	w.event = t.Histogram(telemetry.FoldEvent, fold)
	w.process = t.Histogram(telemetry.ProcessDuration, "kafka", "process", r.fold.Inputs()[0].Topic, Group(fold), "")
	t.Observe(func(o *telemetry.Observer) { r.observe(o, time.Now()) })
}

var errNotJoined = errors.New("has not joined its group on Kafka yet, or is restoring its state")

// Check tells whether the runner can work, and why not.
func (r *Runner) Check() error {
	if !r.watch.joined.Load() {
		return errNotJoined
	}
	return nil
}

// polled takes the traces that records are parts of.
func (w *watch) polled(rec *bus.Record) {
	if rec.Trace != nil && len(w.traces) < 16 {
		w.traces = append(w.traces, rec.Trace)
	}
}

// noted remembers how old what is applied is, by its arrival and, of what live
// sensors say of their clocks, by event time.
func (p *Partition) noted(in *input, pd *pending) {
	if !in.primary {
		return
	}
	p.newest = pd.arrival
	if pd.beat != nil && pd.ev.Domain == proto.LiveDomain {
		p.newestEvent = pd.beat.Clock
	}
}

// tellingCommit is commit, told of.
func (r *Runner) tellingCommit(ctx context.Context, s *bus.Session) error {
	w := &r.watch
	if w.t == nil {
		return r.commit(ctx, s)
	}
	begun, commits := time.Now(), r.shared.Commits
	ctx, span := w.t.Start(ctx, telemetry.SpanConsumer, "process "+r.fold.Inputs()[0].Topic, w.traces...)
	err := r.commit(ctx, s)
	if err == nil && r.shared.Commits == commits {
		return nil // there was nothing to do; the span is forgotten
	}
	w.traces = w.traces[:0]
	span.Set("messaging.system", "kafka")
	span.Set("messaging.operation.name", "process")
	span.Set("messaging.destination.name", r.fold.Inputs()[0].Topic)
	span.Set("messaging.consumer.group.name", Group(r.fold.Name()))
	span.Set("messaging.batch.message_count", r.stats.Events-w.events)
	span.End(err)
	if err != nil {
		return err
	}
	now := time.Now()
	w.transaction.Record(now.Sub(begun).Seconds())
	w.process.Record((w.worked + now.Sub(begun)).Seconds())
	if n := r.stats.Events - w.events; n > 0 {
		w.batch.Record(float64(n))
	}
	w.worked, w.events = 0, r.stats.Events
	for _, l := range r.parts {
		if l.p.newest != 0 {
			w.arrival.Record(max(0, now.Sub(l.p.newest.Std()).Seconds()))
			l.p.newest = 0
		}
		if l.p.newestEvent != 0 {
			w.event.Record(max(0, now.Sub(l.p.newestEvent.Std()).Seconds()))
			l.p.newestEvent = 0
		}
	}
	return nil
}

// look leaves what is to be seen of the partitions.
func (r *Runner) look(now time.Time) {
	w := &r.watch
	if w.t == nil || now.Sub(w.looked) < lookEvery {
		return
	}
	w.looked = now
	s := &sight{sites: map[string]siteSight{}}
	for _, l := range r.parts {
		s.take(l.p)
	}
	if now.Sub(w.measured) >= measureEvery {
		w.measured, w.disk = now, r.db.db.Metrics().DiskSpaceUsage()
	}
	s.disk = w.disk
	w.seen.Store(s)
}

func (s *sight) take(p *Partition) {
	for _, in := range p.inputs {
		s.waiting += in.waiting()
		if at := in.oldest(); at != 0 && (s.oldest == 0 || at < s.oldest) {
			s.oldest = at
		}
	}
	if !p.blocked.IsZero() && (s.blocked.IsZero() || p.blocked.Before(s.blocked)) {
		s.blocked = p.blocked
	}
	s.entries += len(p.cache)
	s.keys += p.filter.keys()
	s.cache += p.shelf.bytes()
	for _, c := range p.clocks {
		if c.domain == proto.LiveDomain {
			s.clock(c)
		}
	}
}

func (s *sight) clock(c *clock) {
	at, known := s.sites[c.site]
	if !known {
		at = siteSight{watermark: c.watermark, heard: map[string]heard{}}
	}
	at.watermark = min(at.watermark, c.watermark)
	for i := range c.sensors.List {
		o := &c.sensors.List[i]
		h := at.heard[o.Name]
		h.last, h.suspect = max(h.last, o.Arrival), h.suspect || o.Suspect
		at.heard[o.Name] = h
	}
	s.sites[c.site] = at
}

// oldest is when the first record that waits arrived, 0 when none does.
func (in *input) oldest() proto.Time {
	if in.at < len(in.queue) {
		return in.queue[in.at].arrival
	}
	if len(in.records) > 0 {
		return in.records[0].Time
	}
	var first proto.Time
	for _, q := range in.sides {
		if len(q) > 0 && (first == 0 || q[0].arrival < first) {
			first = q[0].arrival
		}
	}
	return first
}

// keys is how many keys were added.
func (f *filter) keys() int {
	if f == nil {
		return 0
	}
	n := 0
	for i := range f.layers {
		n += filterFirst<<i - f.layers[i].room
	}
	return n
}

// bytes is what the shelf holds.
func (s *shelf) bytes() int {
	if s == nil {
		return 0
	}
	return s.young.used + s.old.used
}

// observe is a telemetry.Source.
func (r *Runner) observe(o *telemetry.Observer, now time.Time) {
	fold, c, s := r.fold.Name(), r.Snapshot(), r.watch.seen.Load()
	for _, x := range []struct {
		m *telemetry.Metric
		v uint64
	}{
		{telemetry.FoldEvents, c.Events},
		{telemetry.FoldTraffic, c.Traffic},
		{telemetry.FoldOutputs, c.OutputRecords},
		{telemetry.FoldUnordered, c.GateExpired},
		{telemetry.FoldSuspect, c.SuspectClock},
		{telemetry.FoldCopies, c.Copies},
		{telemetry.FoldForgotten, c.Forgotten},
		{telemetry.FoldTimers, c.Timers},
		{telemetry.FoldCommits, c.Commits},
		{telemetry.FoldFenced, c.Fenced},
		{telemetry.FoldChangelog, c.ChangelogBytes},
		{telemetry.FoldRestored, c.Restored},
		{telemetry.FoldRewound, c.Rewound},
		{telemetry.FoldDisk, s.disk},
	} {
		o.Set(x.m, float64(x.v), fold)
	}
	o.Set(telemetry.FoldDrops, float64(c.Duplicates), fold, "repeated")
	o.Set(telemetry.FoldDrops, float64(c.Dead), fold, "dead")
	o.Set(telemetry.FoldPartitions, float64(c.Partitions), fold)
	o.Set(telemetry.FoldWaiting, float64(s.waiting), fold)
	o.Set(telemetry.FoldEntries, float64(s.entries), fold)
	o.Set(telemetry.FoldKeys, float64(s.keys), fold)
	o.Set(telemetry.FoldCache, float64(s.cache), fold)
	behind, blocked := 0.0, 0.0
	if s.oldest != 0 {
		behind = max(0, now.Sub(s.oldest.Std()).Seconds())
	}
	if !s.blocked.IsZero() {
		blocked = now.Sub(s.blocked).Seconds()
	}
	o.Set(telemetry.FoldBehind, behind, fold)
	o.Set(telemetry.FoldBlocked, blocked, fold)
	for site, at := range s.sites {
		r.observeSite(o, site, at, now)
	}
}

func (r *Runner) observeSite(o *telemetry.Observer, site string, at siteSight, now time.Time) {
	fold := r.fold.Name()
	if at.watermark > 0 {
		o.Set(telemetry.FoldWatermark, max(0, now.Sub(at.watermark.Std()).Seconds()), fold, site)
	}
	states := map[string]int{"up": 0, "away": 0, "suspect": 0}
	for _, h := range at.heard {
		switch {
		case now.Sub(h.last.Std()) > dedup.Quiet:
			states["away"]++
		case h.suspect:
			states["suspect"]++
		default:
			states["up"]++
		}
	}
	for state, n := range states {
		o.Set(telemetry.FoldSensors, float64(n), fold, site, state)
	}
}
