package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// Source is a member of the sink's consumer group; bus.Consumer is one. Between
// Poll and Done the assignment does not change.
type Source interface {
	Poll(ctx context.Context, max int) ([]bus.Record, error)
	Done()
	Commit(ctx context.Context, offsets bus.Offsets) error
}

// Letters takes dead letters; bus.Consumer does.
type Letters interface {
	Produce(ctx context.Context, m bus.Message) error
}

// Tables is what the sink needs of ClickHouse; store.Store has it.
type Tables interface {
	Writer
	MaxSeq(ctx context.Context, topic string, tables []string, generation uint32, partition int32, before int64) (map[string]uint64, error)
	Told(ctx context.Context, generation uint32, partition int32, before int64, lately time.Duration) (*store.Told, error)
	MaxOffset(ctx context.Context, tables []string, generation uint32, partition int32, from int64) (int64, error)
	SaveProducers(ctx context.Context, p store.Producers) error
	AddUpPairs(ctx context.Context, generation uint32, stored map[int32]int64) (days int, err error)
}

// Writer inserts blocks and tells which rows are there.
type Writer interface {
	Insert(ctx context.Context, b *store.Block, token string) error
	Count(ctx context.Context, table string, r store.Range) (uint64, error)
	Existing(ctx context.Context, table string, r store.Range) (map[store.RowID]struct{}, error)
}

// Config of a sink.
type Config struct {
	BatchRows  int           // a partition's batch is inserted at this many rows,
	Interval   time.Duration // or at this age; see calm for topics other than traffic
	Inserts    int           // at once
	Generation uint32        // of the topics
	// SaveEvery is how often the producers' numbers are saved, which bounds what a
	// restart has to read.
	SaveEvery time.Duration
	Backoff   time.Duration // first wait after an error; doubles up to 32 times that
	Drain     time.Duration // what is under way at the end gets this long
	// AddUp is how soon after the last time pairs are added up by day again, where
	// there is anything new; later where that takes long.
	AddUp time.Duration
	// Places are countries and networks of addresses; nil is the program's table.
	Places *geo.Table
}

func (c *Config) places() func() *geo.Table {
	if c.Places == nil {
		return geo.Embedded // unpacked when the first row wants it
	}
	return func() *geo.Table { return c.Places }
}

// Default gives settings for a small machine.
func Default() Config {
	return Config{BatchRows: 100_000, Interval: time.Second, Inserts: 2, Generation: 1, SaveEvery: time.Minute, Backoff: 100 * time.Millisecond, Drain: 10 * time.Second, AddUp: 10 * time.Second}
}

// Group is the consumer group of the sink.
const Group = "wardflow.sink"

// Sink is a bus.Assigner; give it to the Source, then Run it with that.
type Sink struct {
	cfg    Config
	tables Tables
	log    *slog.Logger
	now    func() time.Time
	count  counters
	meter  *Meter      // nil: nobody is told
	joined atomic.Bool // the group has given partitions out

	mu         sync.Mutex // of partitions; never held over I/O
	base       context.Context
	stop       context.CancelFunc
	partitions map[string]map[int32]*partition
}

// New makes a sink; it does nothing before Run.
func New(cfg Config, tables Tables, log *slog.Logger) *Sink {
	s := &Sink{cfg: cfg, tables: tables, log: log, now: time.Now, partitions: map[string]map[int32]*partition{}}
	s.base, s.stop = context.WithCancel(context.Background())
	return s
}

// Assigned takes partitions over. It asks nothing of ClickHouse, which may be
// away: the first record of each does.
func (s *Sink) Assigned(_ context.Context, committed bus.Offsets) (map[string]map[int32]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined.Store(true)
	start := map[string]map[int32]int64{}
	for topic, parts := range committed {
		if _, ok := routes[topic]; !ok {
			return nil, fmt.Errorf("take over %s: the sink does not know this topic", topic)
		}
		if s.partitions[topic] == nil {
			s.partitions[topic] = map[int32]*partition{}
		}
		start[topic] = map[int32]int64{}
		for id, c := range parts {
			if old := s.partitions[topic][id]; old != nil {
				old.cancel()
			}
			s.partitions[topic][id] = newPartition(s.base, topic, id, c)
			if c.Offset >= 0 {
				start[topic][id] = c.Offset
			}
		}
	}
	return start, nil
}

// Revoked gives partitions up. What is under way for them ends unfinished; it is
// found by its plan.
func (s *Sink) Revoked(partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			if p := s.partitions[topic][id]; p != nil {
				p.cancel()
				delete(s.partitions[topic], id)
			}
		}
	}
}

func (s *Sink) partition(topic string, id int32) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions[topic][id]
}

func (s *Sink) assigned() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*partition
	for _, topic := range Topics() {
		for _, p := range s.partitions[topic] {
			out = append(out, p)
		}
	}
	return out
}

// pollRecords bounds what one poll gives: a record of traffic may hold 3,000 flows.
const pollRecords = 32

// Run works until ctx ends; then it finishes the inserts under way, commits them
// and returns nil. It returns an error only when the broker refuses us for good.
//
// One goroutine polls and builds batches; another carries a round of them out,
// on copies that the first one makes and takes back: commit the plans, insert, remember as done. What one round has inserted is
// committed with the next one's plans. Nothing is polled while two batches' worth
// of rows wait, which is how a ClickHouse that is away stops us.
func (s *Sink) Run(ctx context.Context, src Source, letters Letters) error {
	defer s.stop()
	// A round outlives ctx by Drain, so that what was sent is also committed.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	days := s.addUpBeside(ctx, work)
	defer days.stop()
	finished := make(chan *round, 1)
	running := false
	end := func(r *round) {
		r.apply()
		running = false
	}
	for ctx.Err() == nil {
		select {
		case r := <-finished:
			end(r)
		default:
		}
		s.meter.look(s)
		if !running && s.someDue() {
			running = true
			r := s.gather()
			go func() {
				r.run(work, src, letters)
				finished <- r
			}()
		}
		if running && s.full() {
			select {
			case r := <-finished:
				end(r)
			case <-ctx.Done():
			}
			continue
		}
		if err := s.poll(ctx, src); err != nil {
			return err
		}
	}
	drain := time.AfterFunc(s.cfg.Drain, func() {
		cancel()
		s.stop()
	})
	defer drain.Stop()
	if running {
		end(<-finished)
	}
	s.final().run(work, src, letters)
	days.end()
	return nil
}

// poll takes records into batches. A poll is short, so that a round that is due
// starts in time.
func (s *Sink) poll(ctx context.Context, src Source) error {
	wait, cancel := context.WithTimeout(ctx, min(s.cfg.Interval/8+time.Millisecond, 100*time.Millisecond))
	records, err := src.Poll(wait, pollRecords)
	cancel()
	// Partitions are looked up before a rebalance can give them to somebody else.
	parts := make([]*partition, len(records))
	for i := range records {
		parts[i] = s.partition(records[i].Topic, records[i].Partition)
	}
	src.Done()
	if err != nil && ctx.Err() == nil {
		s.count.pollErrors.Add(1)
		s.log.Warn("reading from Kafka failed, trying again", "error", err)
		sleep(ctx, s.cfg.Backoff)
	}
	for i := range records {
		p := parts[i]
		if p == nil || p.gone() {
			continue
		}
		s.count.records.Add(1)
		if !p.ready && !s.prepare(ctx, p) {
			continue
		}
		if err := p.take(&records[i], s); err != nil {
			return fmt.Errorf("take record %d of %s/%d: %w", records[i].Offset, p.topic, p.id, err)
		}
	}
	return nil
}

// prepare tries until ClickHouse answers; false when the partition or the sink
// has gone meanwhile.
func (s *Sink) prepare(ctx context.Context, p *partition) bool {
	for wait := s.cfg.Backoff; ; wait = min(wait*2, 32*s.cfg.Backoff) {
		err := p.prepare(ctx, s.tables, s.cfg.Generation)
		if err == nil {
			return true
		}
		if ctx.Err() != nil || p.gone() {
			return false
		}
		s.trouble(ctx, "asking ClickHouse for what it has", p, err)
		sleep(ctx, wait)
	}
}

func (s *Sink) trouble(ctx context.Context, doing string, p *partition, err error) {
	s.count.storeErrors.Add(1)
	s.log.WarnContext(ctx, doing+" failed, trying again", "topic", p.topic, "partition", p.id, "error", err)
}

func (s *Sink) someDue() bool {
	for _, p := range s.assigned() {
		if p.due(s) || p.late(s) {
			return true
		}
	}
	return false
}

// full says that enough rows wait for the round under way to end.
func (s *Sink) full() bool {
	n := 0
	for _, p := range s.assigned() {
		n += p.waiting()
	}
	return n >= 2*s.cfg.BatchRows
}

// letter makes the dead letter of a record, or of an event in it. Its number
// follows from the place of what it is about, so that every consumer drops the
// second copy after a crash.
func (s *Sink) letter(r *bus.Record, index int32, reason string) bus.Message {
	producer := fmt.Sprintf("sink/%d/%s/%d", s.cfg.Generation, r.Topic, r.Partition)
	value, err := json.Marshal(proto.Deadletter{
		Time: r.Time, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Index: index, Consumer: "sink", Reason: reason, Size: len(r.Value),
	})
	env := proto.Envelope{
		Schema: proto.SchemaDerived, Kind: proto.KindDead, Producer: producer, Seq: uint64(r.Offset)<<20 | uint64(index+2)&(1<<20-1), Time: r.Time,
		Cause: proto.Cause{Partition: r.Partition, Position: proto.Position{Offset: r.Offset, Index: index}},
	}
	header, herr := env.Append(nil)
	if err := errors.Join(err, herr); err != nil { // numbers and text always encode
		s.log.Error("encoding a dead letter failed", "error", err)
	}
	return bus.Message{Topic: proto.TopicDeadletter, Partition: r.Partition, Value: value, Envelope: header}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
