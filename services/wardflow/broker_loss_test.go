package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/flowgen"
	"github.com/wardflow/wardflow/services/capture"
)

// lossRate is what three Java processes, ClickHouse and all services take on two
// busy cores; lossSite is the generator's.
const (
	lossRate = 800
	lossSite = "bench"
)

// One of three brokers is killed under load, and later all three are restarted one
// by one: everything that was sent is in wardflow.traffic, in ClickHouse and in the
// folds' hourly rows, once.
func TestBrokersLost(t *testing.T) {
	w := newWorldOn(t, 3)
	w.allServices(nil)
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	o := &outageRun{
		Kafka: w.engines.Kafka, Sender: senderConfig(&cfg, w.engines.Kafka, nil), Rate: lossRate,
		Gen: flowgen.Config{Site: lossSite, Devices: 500}, Note: t.Logf,
	}
	begun := time.Now()
	r, err := o.run(t.Context(), func(ctx context.Context, s *capture.Sender, r *outageResult) error {
		step := func(format string, args ...any) {
			st := s.Stats()
			o.sample(r, st)
			t.Logf("%4.0f s: %s; %s, %d records in the spool", time.Since(begun).Seconds(), fmt.Sprintf(format, args...), st.State, st.Spool.Pending)
		}
		wait(t, 5*time.Second)
		lost := w.kafka.Nodes[1]
		lost.Kill9()
		step("node %d was killed", lost.ID)
		wait(t, 8*time.Second)
		step("8 s later")
		if err := lost.Restart(); err != nil {
			return err
		}
		step("it is back")
		wait(t, 3*time.Second)
		for _, n := range w.kafka.Nodes {
			if err := n.Stop(); err != nil {
				return err
			}
			step("node %d was stopped", n.ID)
			if err := n.Restart(); err != nil {
				return err
			}
			step("it is back")
			wait(t, 3*time.Second)
		}
		return nil
	})
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
	if r.Flows < 10*lossRate {
		t.Errorf("only %d flows were sent: the test shows nothing", r.Flows)
	}
	w.settleFlows(lossSite, r.Flows, 3*time.Minute)
}

// settleFlows waits until ClickHouse has so many flows of a site, each once, and
// the hourly rows of the folds add up to them.
func (w *world) settleFlows(site string, want uint64, within time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	state := ""
	for begun := time.Now(); ctx.Err() == nil; pause(ctx, 500*time.Millisecond) {
		try, cancel := context.WithTimeout(ctx, 20*time.Second)
		got, err := w.flowCounts(try, site)
		if err == nil && got[0] == want && got[1] == want {
			var diff []string
			if diff, err = w.rollupDifferences(try, site); err == nil && len(diff) == 0 {
				cancel()
				w.t.Logf("%d flows stored, each once, and in the folds' hourly rows, %.1f s after the last", want, time.Since(begun).Seconds())
				return
			}
			state = fmt.Sprint(diff)
		}
		cancel()
		state = fmt.Sprintf("%d rows, %d distinct, want %d; %s; %v", got[0], got[1], want, state, err)
	}
	w.t.Errorf("after %v: %s", within, state)
	w.explain()
}

// flowCounts gives a site's rows and its distinct flows.
func (w *world) flowCounts(ctx context.Context, site string) (n [2]uint64, err error) {
	rows, err := w.store.Query(ctx, "SELECT toUInt64(count()), toUInt64(uniqExact(flow_id, part)) FROM flows WHERE site = ?", site)
	if err != nil {
		return n, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := rows.Values()
		if err != nil {
			return n, err
		}
		n[0], _ = v[0].(uint64)
		n[1], _ = v[1].(uint64)
	}
	return n, rows.Err()
}
