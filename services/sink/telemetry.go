package sink

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// Meter tells how a sink does, over the life of the process: a Sink that failed
// hands its counts to the next one. A nil one tells nothing.
type Meter struct {
	t        *telemetry.Telemetry
	inserts  map[string]*telemetry.Histogram // by table
	batches  map[string]*telemetry.Histogram
	arrival  map[string]*telemetry.Histogram // by topic
	event    *telemetry.Histogram
	duration *telemetry.Histogram

	mu     sync.Mutex
	now    *Sink // nil between two
	before map[string]uint64

	oldest  atomic.Int64 // arrival of the oldest record not yet stored, 0 for none
	waiting atomic.Int64 // rows
}

// NewMeter gives nil without telemetry.
func NewMeter(t *telemetry.Telemetry) *Meter {
	if t == nil {
		return nil
	}
	m := &Meter{
		t: t, before: map[string]uint64{}, event: t.Histogram(telemetry.SinkEvent),
		inserts: map[string]*telemetry.Histogram{}, batches: map[string]*telemetry.Histogram{}, arrival: map[string]*telemetry.Histogram{},
		duration: t.Histogram(telemetry.ProcessDuration, "kafka", "process", "", Group, ""),
	}
	for topic, r := range routes {
		m.arrival[topic] = t.Histogram(telemetry.SinkFreshness, topic)
		for _, table := range r.tables {
			m.inserts[table] = t.Histogram(telemetry.SinkInsert, table)
			m.batches[table] = t.Histogram(telemetry.SinkBatch, table)
		}
	}
	t.Observe(m.observe)
	return m
}

// Watch makes s the sink that is told of, until the next one.
func (m *Meter) Watch(s *Sink) {
	if m == nil {
		return
	}
	s.meter = m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now != nil {
		for name, n := range m.now.Counters() {
			m.before[name] += n
		}
	}
	m.now = s
}

// totals are those of all sinks so far.
func (m *Meter) totals() map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]uint64{}
	if m.now != nil {
		out = m.now.Counters()
	}
	for name, n := range m.before {
		out[name] += n
	}
	return out
}

func (m *Meter) observe(o *telemetry.Observer) {
	c := m.totals()
	set := func(metric *telemetry.Metric, name string, labels ...string) {
		o.Set(metric, float64(c[name]), labels...)
	}
	set(telemetry.SinkRecords, "records")
	set(telemetry.SinkRows, "rows")
	set(telemetry.SinkInserts, "inserts")
	set(telemetry.SinkCommits, "commits")
	set(telemetry.SinkVerified, "verified")
	set(telemetry.SinkLostParts, "lost_parts")
	for _, reason := range []string{"repeated", "dead", "missing"} {
		set(telemetry.SinkDrops, "dropped_"+reason, reason)
	}
	for _, operation := range []string{"poll", "commit", "store"} {
		set(telemetry.SinkErrors, "errors_"+operation, operation)
	}
	o.Set(telemetry.SinkWaiting, float64(m.waiting.Load()))
	behind := 0.0
	if at := m.oldest.Load(); at != 0 {
		behind = max(0, time.Since(proto.Time(at).Std()).Seconds())
	}
	o.Set(telemetry.SinkBehind, behind)
}

// look is called by the goroutine that polls.
func (m *Meter) look(s *Sink) {
	if m == nil {
		return
	}
	oldest, rows := proto.Time(0), 0
	for _, p := range s.assigned() {
		rows += p.waiting()
		if p.inFlight != nil {
			rows += p.inFlight.size // its blocks belong to the round
		}
		for _, b := range []*batch{p.inFlight, p.sealed, p.building} {
			if b == nil {
				continue
			}
			if oldest == 0 || b.first < oldest {
				oldest = b.first
			}
		}
	}
	m.oldest.Store(int64(oldest))
	m.waiting.Store(int64(rows))
}

// inserted takes an insert that ClickHouse answered.
func (m *Meter) inserted(table string, rows int, took time.Duration) {
	if m == nil {
		return
	}
	m.inserts[table].Record(took.Seconds())
	m.batches[table].Record(float64(rows))
}

// stored takes a batch of which every row is visible.
func (m *Meter) stored(topic string, b *batch, now time.Time) {
	if m == nil || b.size == 0 {
		return
	}
	m.arrival[topic].Record(max(0, now.Sub(b.first.Std()).Seconds()))
	if t, ok := b.rows.(*traffic); ok && t.clock != 0 {
		m.event.Record(max(0, now.Sub(t.clock.Std()).Seconds()))
	}
}

// round takes the time that a round of inserts took.
func (m *Meter) round(took time.Duration) {
	if m != nil {
		m.duration.Record(took.Seconds())
	}
}

// span begins the trace of a batch's insert, as a part of what its records are parts of.
func (m *Meter) span(ctx context.Context, topic string, b *batch) (context.Context, *telemetry.Span) {
	if m == nil {
		return ctx, nil
	}
	ctx, span := m.t.Start(ctx, telemetry.SpanConsumer, "process "+topic, b.traces...)
	span.Set("messaging.system", "kafka")
	span.Set("messaging.operation.name", "process")
	span.Set("messaging.destination.name", topic)
	span.Set("messaging.consumer.group.name", Group)
	span.Set("messaging.batch.message_count", int(b.to-b.from))
	return ctx, span
}

// insertSpan begins the trace of one insert.
func (m *Meter) insertSpan(ctx context.Context, t *store.Block) (context.Context, *telemetry.Span) {
	if m == nil {
		return ctx, nil
	}
	ctx, span := m.t.Start(ctx, telemetry.SpanClient, "INSERT "+t.Table())
	span.Set("db.system.name", "clickhouse")
	span.Set("db.operation.name", "INSERT")
	span.Set("db.collection.name", t.Table())
	span.Set("db.operation.batch.size", t.Len())
	return ctx, span
}

// maxTraces bounds how many of a batch's records are named as its origin.
const maxTraces = 16

// errNotJoined says that the group has not yet given us a place.
var errNotJoined = errors.New("has not joined its group on Kafka yet")

// Check tells whether the sink can store.
func (m *Meter) Check() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	s := m.now
	m.mu.Unlock()
	if s == nil || !s.joined.Load() {
		return errNotJoined
	}
	return nil
}
