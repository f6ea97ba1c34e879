package sink_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/pkg/telemetry/telemetrytest"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/sink"
)

// What a sink tells is what it did, over two lives of it.
func TestMeter(t *testing.T) {
	tel := telemetrytest.Start(t)
	meter := sink.NewMeter(tel)
	log := newLog()
	w := newTraffic(log, 2, 1)
	s := openStore(t)
	var away atomic.Bool
	tables := &wrong{Store: s}
	refused := make(chan struct{}, 1)
	tables.before = func(*store.Block) error {
		if !away.Load() {
			return nil
		}
		select {
		case refused <- struct{}{}:
		default:
		}
		return errors.New("refused")
	}
	if meter.Check() == nil {
		t.Error("a sink that does not run is ready")
	}
	live := func() (*sink.Sink, func()) {
		k := sink.New(config(), tables, slog.New(slog.DiscardHandler))
		meter.Watch(k)
		if meter.Check() == nil {
			t.Error("a sink without a place in its group is ready")
		}
		m := log.join(k, 2)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx, m, log) }()
		return k, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	first, end := live()
	for range 200 {
		w.step()
	}
	log.wait(t)
	if err := meter.Check(); err != nil {
		t.Error(err)
	}
	end()
	second, end := live()
	for range 200 {
		w.step()
	}
	log.wait(t)
	w.check(t, s)
	away.Store(true)
	for range 20 {
		w.step()
	}
	<-refused
	<-refused // the second attempt: the first has been counted
	v := telemetrytest.Read(t, tel)
	if v.Of(t, telemetry.SinkWaiting) == 0 || v.Of(t, telemetry.SinkErrors, "store") == 0 {
		t.Error("ClickHouse is away, and neither rows that wait nor errors are told")
	}
	away.Store(false)
	log.wait(t)
	end()
	v = telemetrytest.Read(t, tel)
	a, b := first.Counters(), second.Counters()
	for name, m := range map[string]*telemetry.Metric{"records": telemetry.SinkRecords, "rows": telemetry.SinkRows, "inserts": telemetry.SinkInserts, "commits": telemetry.SinkCommits} {
		if got, want := v.Of(t, m), float64(a[name]+b[name]); got != want || a[name] == 0 || b[name] == 0 {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got, want := v.Of(t, telemetry.SinkDrops, "dead"), float64(a["dropped_dead"]+b["dropped_dead"]); got != want {
		t.Errorf("dead: %v, want %v", got, want)
	}
	inserts := v.Of(t, telemetry.SinkInsert, store.Flows)
	if inserts == 0 || v.Of(t, telemetry.SinkBatch, store.Flows) != inserts || v.Of(t, telemetry.SinkFreshness, proto.TopicTraffic) == 0 {
		t.Errorf("%v inserts of flows", inserts)
	}
}
