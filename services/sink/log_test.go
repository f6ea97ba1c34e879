package sink_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/sink"
)

// memoryLog is a Kafka of one process: partitions, committed offsets, and one
// member of the group at a time.
type memoryLog struct {
	mu        sync.Mutex
	parts     map[string]map[int32][]bus.Record
	committed bus.Offsets
	changed   chan struct{} // closed and made anew at each change
	// beforeCommit may refuse a commit; afterCommit may lose its answer.
	beforeCommit, afterCommit func() error
}

func newLog() *memoryLog {
	return &memoryLog{parts: map[string]map[int32][]bus.Record{}, committed: bus.Offsets{}, changed: make(chan struct{})}
}

func (l *memoryLog) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *memoryLog) append(r bus.Record) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parts[r.Topic] == nil {
		l.parts[r.Topic] = map[int32][]bus.Record{}
	}
	p := l.parts[r.Topic][r.Partition]
	r.Offset = int64(len(p))
	if r.Time == 0 {
		r.Time = proto.TimeOf(time.Now().UTC())
	}
	l.parts[r.Topic][r.Partition] = append(p, r)
	l.change()
	return r.Offset
}

func (l *memoryLog) Produce(_ context.Context, m bus.Message) error {
	l.append(bus.Record{Topic: m.Topic, Partition: m.Partition, Key: m.Key, Value: m.Value, Envelope: m.Envelope})
	return nil
}

// member is one instance's membership; a member that was fenced gets nothing.
type member struct {
	log    *memoryLog
	pos    map[string]map[int32]int64
	fenced bool
}

var errFenced = errors.New("fenced")

// join gives all partitions to s, away from whoever had them.
func (l *memoryLog) join(s *sink.Sink, partitions int32) *member {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := bus.Offsets{}
	for _, topic := range sink.Topics() {
		for p := range partitions {
			c, ok := l.committed[topic][p]
			if !ok {
				c.Offset = -1
			}
			at.Set(topic, p, c)
		}
	}
	pos, err := s.Assigned(context.Background(), at)
	if err != nil {
		panic(err)
	}
	return &member{log: l, pos: pos}
}

func (m *member) Poll(ctx context.Context, most int) ([]bus.Record, error) {
	for {
		m.log.mu.Lock()
		var out []bus.Record
		for topic, parts := range m.log.parts {
			for p, records := range parts {
				if _, ours := m.pos[topic]; !ours || m.fenced {
					continue
				}
				for m.pos[topic][p] < int64(len(records)) && len(out) < most {
					out = append(out, records[m.pos[topic][p]])
					m.pos[topic][p]++
				}
			}
		}
		changed := m.log.changed
		m.log.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (m *member) Done() {}

func (m *member) Commit(_ context.Context, offsets bus.Offsets) error {
	m.log.mu.Lock()
	before, after := m.log.beforeCommit, m.log.afterCommit
	m.log.mu.Unlock()
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	m.log.mu.Lock()
	if m.fenced {
		m.log.mu.Unlock()
		return errFenced
	}
	for topic, parts := range offsets {
		for p, c := range parts {
			if len(c.Metadata) > 4096 {
				panic("metadata too long")
			}
			m.log.committed.Set(topic, p, c)
		}
	}
	m.log.change()
	m.log.mu.Unlock()
	if after != nil {
		return after()
	}
	return nil
}

func (m *member) fence() {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	m.fenced = true
}

// wait blocks until everything in the log is committed.
func (l *memoryLog) wait(t *testing.T) {
	t.Helper()
	l.waitFor(t, time.Minute)
}

func (l *memoryLog) waitFor(t testing.TB, most time.Duration) {
	t.Helper()
	timeout := time.After(most)
	for {
		l.mu.Lock()
		behind := ""
		for topic, parts := range l.parts {
			for p, records := range parts {
				if c := l.committed[topic][p]; c.Offset < int64(len(records)) {
					behind = fmt.Sprintf("%s/%d at %+v of %d", topic, p, c, len(records))
				}
			}
		}
		changed := l.changed
		l.mu.Unlock()
		if behind == "" {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("not everything is committed: %s", behind)
		}
	}
}

// traffic publishes a ward's worth of everything and knows what should be stored.
type traffic struct {
	log        *memoryLog
	rng        *rand.Rand
	partitions int32
	seq        map[string]uint64
	sent       map[int32][]*proto.Batch // for sending again
	derived    uint64
	flowCount  uint32

	flows, observations, detections, dead int
	pairs                                 map[string]uint64 // by key: the flows of the last row
}

func newTraffic(log *memoryLog, partitions int32, seed uint64) *traffic {
	return &traffic{log: log, rng: rand.New(rand.NewPCG(seed, 1)), partitions: partitions, seq: map[string]uint64{}, sent: map[int32][]*proto.Batch{}, pairs: map[string]uint64{}}
}

func (w *traffic) envelope(kind string, partition int32, seq uint64) []byte {
	b, err := (&proto.Envelope{Schema: 1, Kind: kind, Producer: fmt.Sprintf("fold/%d", partition), Seq: seq, Time: proto.TimeOf(time.Now())}).Append(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func (w *traffic) batch(p int32, b *proto.Batch) {
	value, err := proto.Marshal(b)
	if err != nil {
		panic(err)
	}
	w.log.append(bus.Record{Topic: proto.TopicTraffic, Partition: p, Value: value})
}

// step publishes one more record of some kind.
func (w *traffic) step() {
	p := w.rng.Int32N(w.partitions)
	switch n := w.rng.IntN(20); {
	case n < 11:
		w.newBatch(p)
	case n < 13:
		w.again(p)
	case n < 14:
		w.dead++
		w.log.append(bus.Record{Topic: proto.TopicTraffic, Partition: p, Value: []byte("garbage Mustermann")})
	case n < 15:
		w.dead++
		w.log.append(bus.Record{Topic: proto.TopicDetections, Partition: p, Value: []byte("{}")})
	case n < 17:
		w.detection(p)
	default:
		w.rollup(p)
	}
}

func (w *traffic) newBatch(p int32) {
	sensor := fmt.Sprintf("tap%d", w.rng.IntN(3))
	key := fmt.Sprintf("%s/%d", sensor, p)
	b := &proto.Batch{Site: "north", Sensor: sensor, Producer: sensor, Domain: proto.LiveDomain, FirstSeq: w.seq[key] + 1}
	now := proto.TimeOf(time.Now().UTC())
	for range 1 + w.rng.IntN(60) {
		switch w.rng.IntN(10) {
		case 0:
			b.Items = append(b.Items, proto.Item{Heartbeat: &proto.Heartbeat{Clock: now}})
		case 1:
			b.Items = append(b.Items, proto.Item{Mirror: true, Flow: &proto.Flow{FlowID: proto.ID{1}, Start: now, End: now}})
		case 2:
			o := &proto.Observation{Site: "north", Time: now, Protocol: "dhcp", Kind: "ack"}
			o.Attributes.Set("n", fmt.Sprint(w.observations))
			o.Identify()
			b.Items = append(b.Items, proto.Item{Observation: o})
			w.observations++
		default:
			w.flowCount++
			b.Items = append(b.Items, proto.Item{Flow: &proto.Flow{FlowID: proto.ID{2}, Part: w.flowCount, Start: now, End: now, Protocol: "tls"}})
			w.flows++
		}
	}
	w.seq[key] += uint64(len(b.Items))
	w.sent[p] = append(w.sent[p], b)
	w.batch(p, b)
}

// again sends a batch a second time, whole or cut, as a sensor does that was in
// doubt; none of it may be stored.
func (w *traffic) again(p int32) {
	if len(w.sent[p]) == 0 {
		return
	}
	b := *w.sent[p][w.rng.IntN(len(w.sent[p]))]
	cut := w.rng.IntN(len(b.Items))
	b.FirstSeq, b.Items = b.FirstSeq+uint64(cut), b.Items[cut:]
	w.batch(p, &b)
}

func (w *traffic) detection(p int32) {
	w.derived++
	w.detections++
	d, err := json.Marshal(&proto.Detection{DetectionID: proto.HashID("d", []byte(fmt.Sprint(w.derived))), Time: proto.TimeOf(time.Now()), Rule: "new_peer", Severity: "low"})
	if err != nil {
		panic(err)
	}
	r := bus.Record{Topic: proto.TopicDetections, Partition: p, Value: d, Envelope: w.envelope(proto.KindDetection, p, w.derived)}
	w.log.append(r)
	if w.rng.IntN(3) == 0 { // a refold emits it again
		w.log.append(r)
	}
	w.derived++
	w.log.append(bus.Record{Topic: proto.TopicDetections, Partition: p, Value: []byte{0x90}, Envelope: w.envelope(proto.KindProgress, p, w.derived)})
}

func (w *traffic) rollup(p int32) {
	var b proto.RollupBatch
	first := w.derived + 1
	for range 1 + w.rng.IntN(5) {
		w.derived++
		port := uint16(w.rng.IntN(10)) + 1
		key := fmt.Sprintf("%d/%d", p, port)
		w.pairs[key] += uint64(w.rng.IntN(5))
		hour := proto.TimeOf(time.Now().UTC().Truncate(24 * time.Hour))
		b.Rows = append(b.Rows, proto.Rollup{Pair: &proto.Pair{Site: fmt.Sprint(p), Hour: hour, ClientIP: netip.MustParseAddr("130.59.31.80"), PeerID: proto.ID{1}, Port: port, Flows: w.pairs[key], First: hour, Last: hour}})
	}
	value, err := proto.Marshal(&b)
	if err != nil {
		panic(err)
	}
	w.log.append(bus.Record{Topic: proto.TopicRollups, Partition: p, Value: value, Envelope: w.envelope(proto.KindRollup, p, first)})
}
