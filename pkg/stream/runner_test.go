package stream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/embedded/kafkatest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// counter is the smallest upstream fold: it counts flows per endpoint and says
// every count on wardflow.bindings.
type counter struct{}

var counts = stream.NewTable[stream.Uint]('c', 0)

func (counter) Name() string { return "counter" }
func (counter) Inputs() []stream.Input {
	return []stream.Input{{Topic: proto.TopicTraffic}}
}

func (counter) Progress() []stream.ProgressTo {
	return []stream.ProgressTo{{Topic: proto.TopicBindings}}
}

func (counter) Apply(tx *stream.Tx, ev *stream.Event) {
	f, ok := ev.Msg.(*proto.Flow)
	if !ok {
		return
	}
	c := counts.Edit(tx, f.SrcEndpoint[:])
	c.N++
	b := proto.Binding{Endpoint: f.SrcEndpoint, Site: f.Site, Version: c.N}
	val, err := proto.Marshal(&b)
	if err != nil {
		tx.Dead(err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicBindings, Kind: proto.KindBinding, Lane: f.SrcEndpoint.Lane(), Key: f.SrcEndpoint[:], Value: val, Time: ev.Time})
	if c.N%10 == 0 {
		tx.Timer(ev.Time+proto.Time(3*time.Second), f.SrcEndpoint[:])
	}
}

func (counter) Fire(tx *stream.Tx, t stream.Timer) {
	c := counts.Edit(tx, t.Key)
	c.N += 1000
}
func (counter) Sweep(*stream.Tx, string, []byte) {}

// checker is the smallest downstream fold: at every flow the binding caused by
// that very flow must have been applied, neither less nor more. It emits what it saw.
type checker struct{}

var have = stream.NewTable[stream.Uint]('h', 0)

func (checker) Name() string { return "checker" }
func (checker) Inputs() []stream.Input {
	return []stream.Input{{Topic: proto.TopicTraffic}, {Topic: proto.TopicBindings, Upstream: "counter"}}
}

func (checker) Apply(tx *stream.Tx, ev *stream.Event) {
	switch m := ev.Msg.(type) {
	case *proto.Binding:
		have.Edit(tx, m.Endpoint[:]).N = m.Version
	case *proto.Flow:
		n := uint64(0)
		if h := have.Get(tx, m.SrcEndpoint[:]); h != nil {
			n = h.N
		}
		d := fmt.Appendf(nil, `{"rule":"seen","detection_id":"%s","count":%d}`, m.FlowID, n)
		tx.Emit(stream.Output{Topic: proto.TopicDetections, Kind: proto.KindDetection, Lane: m.SrcEndpoint.Lane(), Key: m.FlowID[:], Value: d, Time: ev.Time})
	}
}
func (checker) Progress() []stream.ProgressTo    { return nil }
func (checker) Fire(*stream.Tx, stream.Timer)    {}
func (checker) Sweep(*stream.Tx, string, []byte) {}

const (
	testPartitions = 4
	endpoints      = 40
)

// traffic makes n flows with heartbeats, as items.
func traffic(n int) []proto.Item {
	var items []proto.Item
	base := proto.TimeOf(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	for i := range n {
		var id, ep proto.ID
		binary.BigEndian.PutUint64(id[:], uint64(i+1))
		ep = proto.HashID("test", []byte{byte(i * 7 % endpoints)})
		at := base.Add(time.Duration(i) * 100 * time.Millisecond)
		if i%10 == 0 {
			items = append(items, proto.Item{Heartbeat: &proto.Heartbeat{Clock: at}})
		}
		items = append(items, proto.Item{Lane: ep.Lane(), Flow: &proto.Flow{FlowID: id, Site: "s", Start: at, End: at, SrcEndpoint: ep, SrcIP: netip.MustParseAddr("10.0.0.1")}})
	}
	return items
}

// send writes items as batches of at most size per partition, numbered.
func send(t *testing.T, c bus.Config, items []proto.Item, size int) {
	t.Helper()
	p, err := bus.NewProducer(c, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx := t.Context()
	batches := make([]proto.Batch, testPartitions)
	next := make([]uint64, testPartitions)
	flush := func(i int32) {
		b := &batches[i]
		if len(b.Items) == 0 {
			return
		}
		b.Site, b.Sensor, b.Producer, b.Domain, b.FirstSeq = "s", "sensor", "file:test", "file:test", next[i]+1
		next[i] += uint64(len(b.Items))
		val, err := proto.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		p.Produce(ctx, bus.Message{Topic: proto.TopicTraffic, Partition: i, Value: val}, nil)
		b.Items = nil
	}
	for _, it := range items {
		for i := range int32(testPartitions) {
			if it.Heartbeat == nil && it.Lane.Partition(testPartitions) != i {
				continue
			}
			batches[i].Items = append(batches[i].Items, it)
			if len(batches[i].Items) >= size {
				flush(i)
			}
		}
	}
	for i := range int32(testPartitions) {
		flush(i)
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// expected runs the same folds in memory.
func expected(t *testing.T, items []proto.Item) map[string]string {
	t.Helper()
	want := map[string]string{}
	l, err := stream.NewLocal(func(e stream.Emitted) {
		if e.Topic == proto.TopicDetections {
			want[string(e.Key)] = string(e.Value)
		}
	}, counter{}, checker{})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		if err := l.Item(&proto.Batch{Site: "s", Sensor: "sensor", Domain: "file:test"}, it); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// gather reads what the checker emitted: by producer number, as every consumer does.
func gather(ctx context.Context, t *testing.T, c bus.Config) (got map[string]string, doubled int) {
	t.Helper()
	r, err := bus.NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got = map[string]string{}
	for p := range int32(testPartitions) {
		high := map[string]uint64{}
		if _, err := r.Read(ctx, proto.TopicDetections, p, 0, func(rec bus.Record) error {
			var env proto.Envelope
			if rec.Control {
				return nil
			}
			if err := env.Parse(rec.Envelope); err != nil {
				return err
			}
			if env.Kind != proto.KindDetection {
				return nil
			}
			if env.Seq <= high[env.Producer] {
				doubled++
				return nil
			}
			high[env.Producer] = env.Seq
			if old, ok := got[string(rec.Key)]; ok {
				t.Errorf("flow %x was emitted twice: %s, %s", rec.Key, old, rec.Value)
			}
			got[string(rec.Key)] = string(rec.Value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return got, doubled
}

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func runner(t *testing.T, c bus.Config, f stream.Fold, instance, dir string) *stream.Runner {
	t.Helper()
	return stream.NewRunner(f, stream.RunnerConfig{Bus: c, Instance: instance, StateDir: filepath.Join(dir, f.Name()+"-"+instance), Interval: 20 * time.Millisecond, GateWait: time.Minute, Log: quietLog()})
}

// brokers gives the test the embedded broker, and real Kafka where it is to be had.
func brokers(t *testing.T, f func(t *testing.T, c bus.Config)) {
	t.Run("embedded", func(t *testing.T) {
		addr, user, password := embeddedtest.NewTestBroker(t)
		c := bus.Default()
		c.Brokers, c.Partitions = []string{addr}, testPartitions
		c.SASL = bus.SASL{Mechanism: "scram-sha-256", User: user, Password: password}
		f(t, c)
	})
	t.Run("kafka", func(t *testing.T) {
		k := kafkatest.Start(t, kafkatest.Options{})
		c := bus.Default()
		c.Brokers, c.Partitions, c.Replicas = k.Brokers(), testPartitions, 1
		f(t, c)
	})
}

// start runs runners until the returned stop is called.
func start(t *testing.T, runners ...*stream.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, r := range runners {
		wg.Go(func() {
			if err := r.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("runner: %v", err)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func await(t *testing.T, c bus.Config, want map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var got map[string]string
	for len(got) < len(want) {
		if ctx.Err() != nil {
			t.Fatalf("got %d of %d flows after a minute", len(got), len(want))
		}
		got, _ = gather(ctx, t, c)
	}
	if !maps.Equal(got, want) {
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if got[k] != want[k] {
				t.Fatalf("flow %x: got %s, want %s", k, got[k], want[k])
			}
		}
		t.Fatal("more flows than were sent")
	}
}

func TestRunnersAgreeWithLocal(t *testing.T) {
	items := traffic(3000)
	want := expected(t, items)
	if len(want) != 3000 || !strings.Contains(fmt.Sprint(want), `"count":1`) {
		t.Fatalf("the in-memory run gave %d detections", len(want))
	}
	brokers(t, func(t *testing.T, c bus.Config) {
		if err := bus.EnsureTopics(t.Context(), c, bus.Topics("counter", "checker")); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		send(t, c, items[:1500], 50)
		stop := start(t, runner(t, c, counter{}, "a", dir), runner(t, c, checker{}, "a", dir))
		defer func() { stop() }()
		// A second instance joins, the first leaves without warning of its peers,
		// and its local state is gone when it comes back.
		half := expected(t, items[:1500])
		await(t, c, half)
		stop2 := start(t, runner(t, c, counter{}, "b", dir), runner(t, c, checker{}, "b", dir))
		defer func() { stop2() }()
		sendRest(t, c, items)
		await(t, c, want)
		stop()
		stop = start(t, runner(t, c, counter{}, "c", dir), runner(t, c, checker{}, "c", dir))
		await(t, c, want)
	})
}

// sendRest sends everything again from the start: what is known is dropped by number.
func sendRest(t *testing.T, c bus.Config, items []proto.Item) {
	t.Helper()
	send(t, c, items, 70)
}
