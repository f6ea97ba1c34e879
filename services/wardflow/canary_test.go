package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/pkg/telemetry/telemetrytest"
	"github.com/wardflow/wardflow/proto"
)

// pipe is the way of canary flows, as far as they see it: each becomes a row two
// seconds after it was sent, as long as the sink runs, and the folds pass it after one.
type pipe struct {
	mu      sync.Mutex // the canary asks while the test changes what it is told
	sent    []*proto.Flow
	stopped bool // the sink does not
	away    bool // ClickHouse does not answer
	slow    map[string]bool
}

// turn changes what the pipe does from now on.
func (p *pipe) turn(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *pipe) Emit(_ context.Context, it *proto.Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, it.Flow)
	return nil
}
func (p *pipe) Tick(context.Context) {}

func (p *pipe) rows(_ context.Context, since time.Time) (map[proto.ID]store.Place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil, errors.New("refused")
	}
	out := map[proto.ID]store.Place{}
	for i, f := range p.sent {
		if !p.stopped && !f.Start.Std().Before(since) && time.Since(f.Start.Std()) >= 2*time.Second {
			out[f.FlowID] = store.Place{Offset: int64(i)}
		}
	}
	return out, nil
}

func (p *pipe) passed(_ context.Context, groups []string, _ int32) (map[string]int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]int64{}
	for _, g := range groups {
		for i, f := range p.sent {
			if !p.slow[g] && time.Since(f.Start.Std()) >= time.Second {
				out[g] = int64(i) + 1
			}
		}
	}
	return out, nil
}

// The gauge says how late the data is now: it grows while the sink is stopped,
// and comes back to what a flow takes when it runs again.
func TestCanaryGrowsAndRecovers(t *testing.T) {
	tel := telemetrytest.Start(t)
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{slow: map[string]bool{}}
		c := newCanary(&telemetry.Canary{Interval: 10 * time.Second, LostAfter: 10 * time.Minute}, tel, "st-alban/tap1", p, slog.New(slog.DiscardHandler))
		c.rows, c.passed = p.rows, p.passed
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		after := func(d time.Duration) telemetrytest.Values {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			return telemetrytest.Read(t, tel)
		}
		near := func(what string, got, low, high float64) {
			t.Helper()
			if got < low || got > high {
				t.Errorf("%s is %.2f, want %.2f to %.2f", what, got, low, high)
			}
		}
		endpoint := stream.Group("endpoint")
		v := after(65 * time.Second)
		near("sent", v.Of(t, telemetry.CanarySent), 7, 7)
		near("seen", v.Of(t, telemetry.CanarySeen), 7, 7)
		near("freshness", v[telemetry.CanaryFreshness.Prometheus()+"_sum"]/7, 2, 2.3)
		near("late", v.Of(t, telemetry.CanaryLast), 2, 5.1)
		near("fold", v.Of(t, telemetry.CanaryFold, endpoint), 1, 5.1)
		p.turn(func() { p.stopped = true })
		near("late after a minute", after(time.Minute).Of(t, telemetry.CanaryLast), 50, 65)
		near("late after three", after(2*time.Minute).Of(t, telemetry.CanaryLast), 170, 185)
		if lost := after(0).Of(t, telemetry.CanaryLost); lost != 0 {
			t.Errorf("%v are lost already", lost)
		}
		p.turn(func() { p.stopped = false })
		v = after(20 * time.Second)
		near("late when it runs again", v.Of(t, telemetry.CanaryLast), 0, 12)
		near("seen", v.Of(t, telemetry.CanarySeen), v.Of(t, telemetry.CanarySent)-1, v.Of(t, telemetry.CanarySent))
		p.turn(func() { p.slow[endpoint] = true })
		v = after(time.Minute)
		near("a fold that stands", v.Of(t, telemetry.CanaryFold, endpoint), 45, 75)
		near("another fold", v.Of(t, telemetry.CanaryFold, stream.Group("risk")), 0, 12)
		p.turn(func() { p.away = true })
		v = after(20 * time.Minute)
		near("lost", v.Of(t, telemetry.CanaryLost), 58, 64)
		near("late at the bound", v.Of(t, telemetry.CanaryLast), 590, 610)
		if n := len(c.waiting) + len(c.behind); n > 70 {
			t.Errorf("%d flows are remembered", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Its ends are nobody's: capture would make no endpoint of them, whatever the site
// calls its own.
func TestCanaryIsNobody(t *testing.T) {
	p := &pipe{}
	c := newCanary(&telemetry.Canary{Interval: time.Second, LostAfter: time.Minute}, nil, "x", p, slog.New(slog.DiscardHandler))
	for range len(canaryEnds) {
		if err := c.send(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[proto.ID]bool{}
	for _, f := range p.sent {
		ids[f.FlowID] = true
		if !f.SrcEndpoint.IsZero() || !f.DstEndpoint.IsZero() || f.SrcInside || f.DstInside || !f.SrcMAC.IsZero() {
			t.Errorf("it is somebody: %+v", f)
		}
		if f.SrcIP.Is4() != f.DstIP.Is4() || f.SrcIP.IsPrivate() || f.Transport != proto.UDP {
			t.Errorf("no flow: %+v", f)
		}
	}
	if len(ids) != len(canaryEnds) {
		t.Errorf("%d flows have %d ids", len(canaryEnds), len(ids))
	}
}
