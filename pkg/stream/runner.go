package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/failpoint"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// RunnerConfig says how a fold runs against Kafka.
type RunnerConfig struct {
	Bus        bus.Config
	Instance   string        // stable name of this instance among those of the fold
	StateDir   string        // local state
	GateWait   time.Duration // bound on waiting for an upstream fold; counted when it is over
	Interval   time.Duration // of transactions
	MaxEntries int           // clean state entries that stay decoded in memory, per partition
	CacheBytes int           // encoded state in memory, of all partitions together
	Blocks     *Cache        // of blocks of the local states, shared by the folds of a process; nil: one of the fold's own
	Log        *slog.Logger
	Telemetry  *telemetry.Telemetry // nil: nobody is told
}

// The runner's defaults.
const (
	DefaultInterval   = 150 * time.Millisecond
	DefaultGateWait   = 10 * time.Minute
	DefaultMaxEntries = 20_000
	DefaultCacheBytes = 512 << 20
	// maxWaiting is how many records of a topic's partition wait in memory
	// before its fetching pauses.
	maxWaiting = 16
	// maxTxnEvents and maxTxnOutputs end a transaction before its interval.
	maxTxnEvents = 50_000
	runSlice     = 2_000
)

// Group is the consumer group of a fold.
func Group(fold string) string { return "wardflow." + fold }

// Runner runs one fold as one instance of its group: it polls, lets partitions
// apply, and commits outputs, state changes and offsets in one transaction.
type Runner struct {
	fold    Fold
	cfg     RunnerConfig
	outputs []ProgressTo
	stats   Stats

	db     *DB
	reader *bus.Reader
	parts  map[int32]*live
	paused map[string]map[int32]bool // by topic and partition
	// stale are partitions that were taken away while they were paused. The client
	// keeps them paused whoever has them, so they must be resumed before they come back.
	stale map[string][]int32
	errs  error

	watch  watch
	shared Snapshot
	snap   atomic.Pointer[Snapshot]
}

// live is a partition that this instance has.
type live struct {
	p         *Partition
	heal      map[string]bool
	minNumber uint64
}

// Snapshot is what a runner tells of itself.
type Snapshot struct {
	Stats
	Partitions     int
	Commits        uint64
	Fenced         uint64
	ChangelogBytes uint64 // keys and values
	OutputRecords  uint64
	Restored       uint64 // changelog records read
	Rewound        uint64 // partitions whose last transaction was torn
}

// NewRunner makes a runner; nothing happens before Run.
func NewRunner(f Fold, cfg RunnerConfig) *Runner {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.GateWait == 0 {
		cfg.GateWait = DefaultGateWait
	}
	if cfg.MaxEntries == 0 {
		cfg.MaxEntries = DefaultMaxEntries
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	r := &Runner{fold: f, cfg: cfg, outputs: f.Progress()}
	r.snap.Store(&Snapshot{})
	r.watch.start(r)
	return r
}

// Snapshot tells what the runner has done; safe at any time.
func (r *Runner) Snapshot() Snapshot { return *r.snap.Load() }

// Name is the fold's.
func (r *Runner) Name() string { return r.fold.Name() }

// ReadsTraffic tells whether the fold's order is that of wardflow.traffic.
func (r *Runner) ReadsTraffic() bool { return r.fold.Inputs()[0].Topic == proto.TopicTraffic }

// Run works until ctx ends or something fails. It may be called again after an
// error: everything not committed is done again.
func (r *Runner) Run(ctx context.Context) (err error) {
	r.parts, r.paused, r.stale, r.errs = map[int32]*live{}, map[string]map[int32]bool{}, map[string][]int32{}, nil
	r.watch.joined.Store(false)
	if r.db, err = OpenDB(r.cfg.StateDir, r.fold, r.cfg.Blocks); err != nil {
		return err
	}
	if r.db.renewed {
		r.cfg.Log.Warn("the local state is of another release and was put away: it is read anew from the changelog, which takes a while", "fold", r.fold.Name(), "folder", r.cfg.StateDir)
	}
	defer func() { err = errors.Join(err, r.db.Close()) }()
	if r.reader, err = bus.NewReader(r.cfg.Bus); err != nil {
		return err
	}
	defer r.reader.Close()
	var topics []string
	for _, in := range r.fold.Inputs() {
		topics = append(topics, in.Topic)
	}
	s, err := bus.NewSession(ctx, bus.SessionConfig{
		Config: r.cfg.Bus, Group: Group(r.fold.Name()), TransactionalID: Group(r.fold.Name()) + "." + r.cfg.Instance,
		Instance: r.cfg.Instance, Topics: topics, Assigner: r,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	return r.loop(ctx, s)
}

func (r *Runner) loop(ctx context.Context, s *bus.Session) error {
	last := time.Now()
	busy := false
	for ctx.Err() == nil {
		pollCtx, cancel := context.WithTimeout(ctx, pollWait(busy, r.cfg.Interval-time.Since(last)))
		records, err := s.Poll(pollCtx, 512)
		cancel()
		if err == nil {
			err = r.errs
		}
		if err == nil {
			r.offer(s, records)
			busy, err = r.work(ctx, s, &last)
			r.look(time.Now())
		}
		s.Done()
		if err != nil {
			return err
		}
	}
	return nil
}

// pollWait: do not wait for records while there is work, or past the next commit.
func pollWait(busy bool, untilCommit time.Duration) time.Duration {
	if busy {
		return time.Millisecond
	}
	return max(time.Millisecond, min(untilCommit, 100*time.Millisecond))
}

func (r *Runner) offer(s *bus.Session, records []bus.Record) {
	for topic, ids := range r.stale {
		s.Resume(topic, ids...)
		delete(r.stale, topic)
	}
	for i := range records {
		rec := &records[i]
		r.watch.polled(rec)
		l := r.parts[rec.Partition]
		if l == nil {
			continue // revoked meanwhile
		}
		l.p.Offer(Record{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: rec.Time, Sent: rec.Sent, Envelope: rec.Envelope, Value: rec.Value})
	}
	for id, l := range r.parts {
		for _, in := range l.p.inputs {
			r.balance(s, l.p, in, id)
		}
	}
}

// balance keeps what waits in memory bounded. A side input whose upstream the primary
// waits for is never paused: what is waited for lies behind the events that wait,
// and both would wait for ever.
func (r *Runner) balance(s *bus.Session, p *Partition, in *input, id int32) {
	waiting := in.waiting()
	limit := maxWaiting
	if in.Topic != proto.TopicTraffic {
		limit *= 256 // single events, not batches of thousands
	}
	needed := p.waitsFor(in, int(r.cfg.Bus.Partitions))
	switch paused := r.paused[in.Topic][id]; {
	case !paused && !needed && waiting > limit:
		if r.paused[in.Topic] == nil {
			r.paused[in.Topic] = map[int32]bool{}
		}
		r.paused[in.Topic][id] = true
		s.Pause(in.Topic, id)
	case paused && (needed || waiting < limit/4):
		delete(r.paused[in.Topic], id)
		s.Resume(in.Topic, id)
	}
}

// work applies what can be applied and commits when it is time. It reports
// whether more can be done at once.
func (r *Runner) work(ctx context.Context, s *bus.Session, last *time.Time) (bool, error) {
	now := time.Now()
	done := 0
	deadline := now.Add(r.cfg.Interval / 2)
	for progress := true; progress && done < maxTxnEvents && time.Now().Before(deadline); {
		progress = false
		for _, id := range slices.Sorted(maps.Keys(r.parts)) {
			l := r.parts[id]
			n := l.p.Run(runSlice, int(r.cfg.Bus.Partitions), now)
			if err := l.p.Err(); err != nil {
				return false, fmt.Errorf("fold %s, partition %d: %w", r.fold.Name(), id, err)
			}
			done += n
			progress = progress || n > 0
		}
	}
	r.watch.worked += time.Since(now)
	if time.Since(*last) < r.cfg.Interval && done < maxTxnEvents {
		return done > 0, nil
	}
	*last = time.Now()
	return done > 0, r.tellingCommit(ctx, s)
}

type prepared struct {
	id int32
	l  *live
	c  *Commit
}

// commit ends one transaction of all partitions that have something to say.
func (r *Runner) commit(ctx context.Context, s *bus.Session) error {
	var list []prepared
	for _, id := range slices.Sorted(maps.Keys(r.parts)) {
		l := r.parts[id]
		c, err := l.p.Prepare(l.minNumber)
		if err != nil {
			return fmt.Errorf("fold %s, partition %d: %w", r.fold.Name(), id, err)
		}
		if c != nil {
			list = append(list, prepared{id, l, c})
		}
	}
	if len(list) == 0 {
		return nil
	}
	// What has begun must be ended, also while the service is being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := s.Begin(); err != nil {
		return err
	}
	offsets := bus.Offsets{}
	for _, pr := range list {
		if err := r.produce(ctx, s, pr); err != nil {
			return err
		}
		for topic, pos := range pr.c.Positions {
			meta := ""
			if topic == r.fold.Inputs()[0].Topic {
				meta = commitMeta(pr.c.Number)
			}
			offsets.Set(topic, pr.id, bus.Committed{Offset: pos.Offset, Metadata: meta})
		}
	}
	failpoint.Hit("stream.commit.before")
	if err := s.Commit(ctx, offsets); err != nil {
		if errors.Is(err, bus.ErrFenced) {
			r.shared.Fenced++ // the session starts over: it might be told of no rebalance any more
		}
		return err
	}
	failpoint.Hit("stream.commit.after")
	return r.store(list)
}

// produce writes a partition's part of the transaction: outputs, progress, and
// state changes with the mark last.
func (r *Runner) produce(ctx context.Context, s *bus.Session, pr prepared) error {
	n := r.cfg.Bus.Partitions
	for i := range pr.c.Outputs {
		o := &pr.c.Outputs[i]
		env, err := o.Envelope.Append(nil)
		if err != nil {
			return fmt.Errorf("encode envelope: %w", err)
		}
		part := o.Lane.Partition(n)
		if o.Topic == proto.TopicRollups || o.Topic == proto.TopicDeadletter {
			part = pr.id
		}
		s.Produce(ctx, bus.Message{Topic: o.Topic, Partition: part, Key: o.Key, Value: o.Value, Envelope: env})
		r.shared.OutputRecords++
	}
	if err := r.produceProgress(ctx, s, pr); err != nil {
		return err
	}
	r.healChanges(pr)
	changelog := proto.ChangelogTopic(r.fold.Name())
	var mark Change
	for _, c := range pr.c.Changes {
		if string(c.Key) == string(MarkKey) {
			mark = c
			continue
		}
		r.produceChange(ctx, s, changelog, pr.id, c)
	}
	r.produceChange(ctx, s, changelog, pr.id, mark)
	return nil
}

func (r *Runner) produceChange(ctx context.Context, s *bus.Session, topic string, id int32, c Change) {
	r.shared.ChangelogBytes += uint64(len(c.Key) + len(c.Value))
	s.Produce(ctx, bus.Message{Topic: topic, Partition: id, Key: c.log, Value: c.Value})
}

// healChanges adds, once, the keys that a torn transaction left in the changelog.
func (r *Runner) healChanges(pr prepared) {
	if len(pr.l.heal) == 0 {
		return
	}
	for _, c := range pr.c.Changes {
		delete(pr.l.heal, string(c.Key))
	}
	for _, k := range slices.Sorted(maps.Keys(pr.l.heal)) {
		val, _, err := r.db.Get(pr.id, []byte(k))
		if err != nil {
			pr.l.p.fail(err)
		}
		pr.c.Changes = append(pr.c.Changes, Change{Key: []byte(k), Value: val, log: changelogKey([]byte(k))})
	}
}

func (r *Runner) produceProgress(ctx context.Context, s *bus.Session, pr prepared) error {
	for i := range pr.c.Progress {
		g := &pr.c.Progress[i]
		val, err := proto.Marshal(g)
		if err != nil {
			return fmt.Errorf("encode progress: %w", err)
		}
		env, err := (&proto.Envelope{Schema: proto.SchemaDerived, Kind: proto.KindProgress, Cause: proto.Cause{Partition: -1}}).Append(nil)
		if err != nil {
			return fmt.Errorf("encode envelope: %w", err)
		}
		key := fmt.Appendf(nil, "progress/%s/%d/%d", g.Fold, g.Partition, g.Via)
		for _, to := range r.outputs {
			if !to.All {
				s.Produce(ctx, bus.Message{Topic: to.Topic, Partition: g.Partition, Key: key, Value: val, Envelope: env})
				continue
			}
			for p := range r.cfg.Bus.Partitions {
				s.Produce(ctx, bus.Message{Topic: to.Topic, Partition: p, Key: key, Value: val, Envelope: env})
			}
		}
	}
	return nil
}

// store writes the committed changes to the local state.
func (r *Runner) store(list []prepared) error {
	b := r.db.NewBatch()
	for _, pr := range list {
		for _, c := range pr.c.Changes {
			if err := b.Put(pr.id, c.Key, c.Value); err != nil {
				return fmt.Errorf("store fold state: %w", err)
			}
		}
	}
	if err := b.Store(); err != nil {
		return err
	}
	failpoint.Hit("stream.pebble.after")
	for _, pr := range list {
		pr.l.p.Committed(pr.c, r.cfg.MaxEntries)
		pr.l.heal, pr.l.minNumber = nil, 0
	}
	r.shared.Commits++
	r.publish()
	return nil
}

func (r *Runner) publish() {
	s := r.shared
	s.Stats = r.stats
	s.Partitions = len(r.parts)
	r.snap.Store(&s)
}

// Revoked implements bus.Assigner.
func (r *Runner) Revoked(partitions map[string][]int32) {
	for topic, ids := range partitions {
		for _, id := range ids {
			if _, ok := r.parts[id]; ok {
				r.errs = errors.Join(r.errs, r.db.Release(id))
			}
			delete(r.parts, id)
			if r.paused[topic][id] {
				delete(r.paused[topic], id)
				r.stale[topic] = append(r.stale[topic], id)
			}
		}
	}
}

// Assigned implements bus.Assigner: it restores the state of the partitions and
// places every input where that state says.
func (r *Runner) Assigned(ctx context.Context, committed bus.Offsets) (map[string]map[int32]int64, error) {
	start := map[string]map[int32]int64{}
	for _, in := range r.fold.Inputs() {
		start[in.Topic] = map[int32]int64{}
	}
	primary := r.fold.Inputs()[0].Topic
	for id, c := range committed[primary] {
		stable := parseMeta(c.Metadata)
		if c.Offset < 0 {
			stable = 0
		}
		res, err := restore(ctx, r.db, r.reader, proto.ChangelogTopic(r.fold.Name()), id, stable)
		if err == nil && stable > 0 && res.commits == 0 {
			err = fmt.Errorf("the group has committed %d transactions and the changelog has none of them: it was deleted or truncated; delete the group %s to start anew", stable, Group(r.fold.Name()))
		}
		if err != nil {
			r.errs = fmt.Errorf("restore fold %s, partition %d: %w", r.fold.Name(), id, err)
			return nil, r.errs
		}
		if res.commits < stable {
			r.shared.Rewound++
			r.cfg.Log.Warn("a torn transaction is done again", "fold", r.fold.Name(), "partition", id, "commit", stable, "state", res.commits)
		}
		r.shared.Restored += uint64(res.records)
		p, err := OpenPartition(r.fold, id, Options{Store: r.db, CacheBytes: r.cfg.CacheBytes / int(r.cfg.Bus.Partitions), GateWait: r.cfg.GateWait, Stats: &r.stats})
		if err != nil {
			r.errs = err
			return nil, err
		}
		r.parts[id] = &live{p: p, heal: res.heal, minNumber: res.minNumber}
		for topic := range start {
			start[topic][id] = res.positions[topic].Offset
		}
	}
	r.watch.joined.Store(true)
	r.publish()
	return start, nil
}
