package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/embedded/kafkatest"
	"github.com/wardflow/wardflow/pkg/flowgen"
	"github.com/wardflow/wardflow/proto"
)

// outageRate is below what a busy machine manages; the measurement at 20,000
// flows/s is `go tool task outage`.
const outageRate = 4000

// runOutage runs an outage and wants nothing lost, doubled or out of order, and
// the spool drained in half the time that the broker was away.
func runOutage(t *testing.T, o *outageRun) {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	o.Sender = senderConfig(&cfg, o.Kafka, nil)
	o.Gen, o.Rate, o.Note = flowgen.Config{Devices: 2000}, outageRate, t.Logf
	o.Before, o.Away = 2*time.Second, max(2*outage(), 10*time.Second)
	r, err := o.run(t.Context(), o.outage)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", enc)
	if err := r.wrong(); err != nil {
		t.Error(err)
	}
	if r.SpoolBytes == 0 || r.Flows < uint64(outageRate*o.Away.Seconds()) || r.Items < r.Flows {
		t.Error("nothing was spooled, or not all was generated: the test shows nothing")
	}
	if r.DrainS > o.Away.Seconds()/2 {
		t.Errorf("drained in %.1f s after %v away", r.DrainS, o.Away)
	}
	for reason, n := range r.Dropped {
		if n > 0 {
			t.Errorf("%d records dropped: %s", n, reason)
		}
	}
}

// The embedded broker is killed under load and away; every number arrives once.
func TestOutageOfTheBroker(t *testing.T) {
	onKafkaOnly(t)
	if testing.Short() {
		t.Skip("whole-program test")
	}
	dir := t.TempDir()
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	e, err := newEngines(&cfg, run)
	if err != nil {
		t.Fatal(err)
	}
	var broker *embedded.Process
	restore := func(ctx context.Context) (err error) {
		conf := run.BrokerConfig(filepath.Join(dir, brokerFolder))
		broker, err = embedded.StartBroker(ctx, conf, embedded.Child{Command: embeddedtest.Command(), LogFile: filepath.Join(dir, "broker.log")})
		return err
	}
	if err := restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Stop() })
	runOutage(t, &outageRun{Kafka: e.Kafka, Restore: restore, Kill: func(context.Context) error {
		return errors.Join(broker.Kill(), broker.Stop())
	}})
}

// The same with a real Kafka, killed with kill -9.
func TestOutageOfKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("whole-program test")
	}
	c := kafkatest.Start(t, kafkatest.Options{})
	kafka := bus.Default()
	kafka.Brokers, kafka.Partitions, kafka.Replicas = c.Brokers(), 8, 1
	runOutage(t, &outageRun{
		Kafka: kafka, Restore: func(context.Context) error { return c.Restart() },
		Kill: func(context.Context) error { c.Kill9(); return nil },
	})
}

// What the count calls missing, doubled and out of order.
func TestTally(t *testing.T) {
	batch := func(first uint64, n int) []byte {
		w := proto.NewBatchWriter()
		for range n {
			if err := w.Add(&proto.Item{Heartbeat: &proto.Heartbeat{Clock: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		v, err := w.Finish(&proto.Batch{Producer: outageProducer, FirstSeq: first})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	type record struct {
		first uint64
		n     int
	}
	for _, c := range []struct {
		name    string
		records []record
		want    outageResult
	}{
		{"all well", []record{{1, 5}, {6, 5}}, outageResult{Records: 2, Items: 10}},
		{"repeated", []record{{1, 5}, {6, 5}, {1, 5}, {6, 5}}, outageResult{Records: 4, Items: 10, Repeated: 2}},
		{"lost in between", []record{{1, 2}, {6, 5}}, outageResult{Records: 2, Items: 7, Missing: 3}},
		{"lost at the end", []record{{1, 5}}, outageResult{Records: 1, Items: 5, Missing: 5}},
		{"too late", []record{{1, 2}, {6, 5}, {3, 3}}, outageResult{Records: 3, Items: 7, Missing: 3, OutOfOrder: 1}},
		{"overlapping", []record{{1, 5}, {4, 7}}, outageResult{Records: 2, Items: 5, Doubled: 2}},
		{"more than was sent", []record{{1, 5}, {6, 7}}, outageResult{Records: 2, Items: 12, Doubled: 2}},
	} {
		tl, got := tally{accepted: map[uint64]bool{}}, outageResult{}
		for _, r := range c.records {
			if err := tl.add(batch(r.first, r.n)); err != nil {
				t.Fatal(err)
			}
		}
		tl.end(10, &got)
		if g, w := mustJSON(t, got), mustJSON(t, c.want); g != w {
			t.Errorf("%s: %s, want %s", c.name, g, w)
		}
		if (got.wrong() == nil) != (c.want.Missing+c.want.Doubled+c.want.OutOfOrder == 0) {
			t.Errorf("%s: %v", c.name, got.wrong())
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
