package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestChaos kills processes at random, broker and ClickHouse included, while the
// ward's days are captured as one site after the other, and then compares every
// site with replay. It runs when WARDFLOW_CHAOS says how many kills (`go tool task
// chaos`: 100); WARDFLOW_CHAOS_SEED repeats a run's choices.
func TestChaos(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("WARDFLOW_CHAOS"))
	if err != nil || kills < 1 {
		t.Skip("run it with `go tool task chaos`")
	}
	seed, err := strconv.ParseUint(os.Getenv("WARDFLOW_CHAOS_SEED"), 10, 64)
	if err != nil {
		seed, err = uint64(time.Now().UnixNano()), nil
	}
	rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // choices to be repeated, not secrets
	t.Logf("seed %d, %d kills", seed, kills)
	w := newWorld(t, false)
	files := wardFiles(t)
	w.allServices(nil)
	names := []string{"fingerprint", "anomaly", "score", "sink"}
	for _, s := range []string{"fingerprint", "anomaly", "score"} {
		w.start(s+"1", "", s, "--instance", "1")
		names = append(names, s+"1")
	}
	names = append(names, "capture", "broker", "clickhouse")
	ctx, cancel := context.WithCancel(t.Context())
	fed := make(chan int)
	go w.feedUntil(ctx, files, fed)
	done := map[string]int{}
	for range kills {
		wait(t, 300*time.Millisecond+time.Duration(rnd.IntN(1500))*time.Millisecond)
		victim := names[rnd.IntN(len(names))]
		done[victim]++
		switch victim {
		case "broker":
			err = w.brokers.Kill()
		case "clickhouse":
			err = w.house.Kill()
		default:
			w.kill(victim)
		}
		if err != nil {
			t.Logf("kill %s: %v", victim, err)
			err = nil
		}
	}
	cancel()
	n := <-fed
	for _, name := range sortedKeys(done) {
		t.Logf("%-12s killed %d times", name, done[name])
	}
	for i := range n {
		w.settle(sites[i], 3*time.Minute, files...)
	}
	stored := w.count("SELECT count() FROM flows")
	distinct := w.count("SELECT uniqExact(flow_id, part) FROM flows")
	t.Logf("%d sites of %d capture files each: %.0f flow rows, %.0f distinct; every site's flows, observations, devices, detections, scores and hourly rows equal replay: %v",
		n, len(files), stored, distinct, !t.Failed())
	if stored != distinct {
		t.Errorf("%.0f rows and %.0f flows", stored, distinct)
	}
}

// feedUntil captures the files as one site after the other, again where it was
// killed, until ctx ends; it says how many sites there are.
func (w *world) feedUntil(ctx context.Context, files []string, fed chan<- int) {
	n := 0
	defer func() { fed <- n }()
	for n < len(sites) && ctx.Err() == nil {
		args := []string{"capture", "--set", "site=" + sites[n], "--speed", fmt.Sprint(46 * 3600 / 8)}
		for _, f := range files {
			args = append(args, "--read", f)
		}
		s := &service{args: args}
		for ok := false; !ok; {
			w.mu.Lock()
			s.cmd = w.command(s.args...)
			err := s.cmd.Start()
			w.services["capture"] = s
			w.mu.Unlock()
			if err != nil {
				w.t.Errorf("start capture: %v", err)
				return
			}
			ok = s.cmd.Wait() == nil
		}
		n++
	}
	w.mu.Lock()
	delete(w.services, "capture")
	w.mu.Unlock()
}
