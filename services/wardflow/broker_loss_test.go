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
		wait(t, 10*time.Second)
		step("10 s later")
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
	w.settleFlows(lossSite, r.Flows, 2*time.Minute)
}

// settleFlows waits until ClickHouse has so many flows of a site, each once, and
// the hourly rows of the folds add up to them. It gives up when nothing has
// changed for so long.
func (w *world) settleFlows(site string, want uint64, stall time.Duration) {
	w.t.Helper()
	begun := time.Now()
	state, since := "", begun
	for time.Since(since) < stall {
		ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
		now, done := w.flowState(ctx, site, want)
		cancel()
		if done {
			w.t.Logf("%d flows stored, each once, and in the folds' hourly rows, %.1f s after the last", want, time.Since(begun).Seconds())
			return
		}
		if now != state {
			state, since = now, time.Now()
		}
		wait(w.t, 500*time.Millisecond)
	}
	w.t.Errorf("nothing has changed for %v: %s", stall, state)
	w.explain()
}

func (w *world) flowState(ctx context.Context, site string, want uint64) (state string, done bool) {
	got, err := w.flowCounts(ctx, site)
	if err != nil {
		return err.Error(), false
	}
	state = fmt.Sprintf("%d rows, %d distinct, want %d", got[0], got[1], want)
	if got[0] != want || got[1] != want {
		return state, false
	}
	diff, err := w.rollupDifferences(ctx, site)
	return fmt.Sprint(state, diff, err), err == nil && len(diff) == 0
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
