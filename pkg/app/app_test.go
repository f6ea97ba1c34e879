package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// journal notes what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, lines) {
		t.Errorf("happened:\n%s\nwant:\n%s", strings.Join(j.lines, "\n"), strings.Join(lines, "\n"))
	}
}

// unit is ready after a second, runs until its context ends and then takes its time.
func (j *journal) unit(name string, stop time.Duration) Spec {
	return Spec{
		Unit: Func(name, func(ctx context.Context) error {
			j.add("%s runs", name)
			<-ctx.Done()
			<-time.After(stop)
			j.add("%s stopped", name)
			return nil
		}),
		Ready: func(context.Context) error {
			<-time.After(time.Second)
			j.add("%s ready", name)
			return nil
		},
	}
}

var errBroken = errors.New("broken")

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		a := New(nil, j.unit("broker", time.Second), j.unit("fold", time.Second), j.unit("capture", time.Second))
		if a.Ready() {
			t.Error("ready before the start")
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- a.Run(ctx) }()
		<-time.After(2500 * time.Millisecond)
		if a.Ready() {
			t.Error("ready before the last unit is")
		}
		<-time.After(time.Second)
		if !a.Ready() {
			t.Error("not ready")
		}
		cancel()
		synctest.Wait()
		if a.Ready() {
			t.Error("ready while stopping")
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		j.want(t, "broker runs", "broker ready", "fold runs", "fold ready", "capture runs", "capture ready", "capture stopped", "fold stopped", "broker stopped")
	})
}

func TestFirstErrorEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		bad := Spec{Unit: Func("bad", func(context.Context) error {
			<-time.After(5 * time.Second)
			return errBroken
		})}
		err := New(nil, j.unit("broker", 0), bad, j.unit("capture", 0)).Run(t.Context())
		if !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "bad: ") {
			t.Errorf("error %v", err)
		}
		j.want(t, "broker runs", "broker ready", "capture runs", "capture ready", "capture stopped", "broker stopped")
	})
}

func TestErrorWhileStartingStopsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		failing := j.unit("fold", 0)
		failing.Ready = func(context.Context) error { return errBroken }
		err := New(nil, j.unit("broker", 0), failing, j.unit("capture", 0)).Run(t.Context())
		if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "start fold") {
			t.Errorf("error %v", err)
		}
		j.want(t, "broker runs", "broker ready", "fold runs", "fold stopped", "broker stopped")
	})
}

func TestUnitThatFailsBeforeItIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := Spec{
			Unit:  Func("bad", func(context.Context) error { return errBroken }),
			Ready: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		}
		begin := time.Now()
		if err := New(nil, bad).Run(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
		if time.Since(begin) > time.Second {
			t.Errorf("told after %v", time.Since(begin))
		}
	})
}

func TestNotReadyInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := Spec{
			Unit:  Func("slow", func(ctx context.Context) error { <-ctx.Done(); return nil }),
			Ready: func(ctx context.Context) error { <-ctx.Done(); return errBroken }, StartWithin: 3 * time.Second,
		}
		err := New(nil, slow).Run(t.Context())
		if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "slow: not ready within 3s") {
			t.Errorf("error %v", err)
		}
	})
}

func TestStopWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := New(nil, j.unit("broker", 0), j.unit("fold", 0), j.unit("capture", 0)).Run(ctx); err != nil {
			t.Error(err)
		}
		j.want(t, "broker runs", "broker ready", "fold runs", "fold ready", "fold stopped", "broker stopped")
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		stuck := j.unit("stuck", time.Hour)
		stuck.StopWithin = 2 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		err := New(nil, j.unit("broker", 0), stuck).Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "stop stuck: not stopped within 2s") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 12*time.Second {
			t.Errorf("took %v", took)
		}
		j.want(t, "broker runs", "broker ready", "stuck runs", "stuck ready", "broker stopped")
		<-time.After(time.Hour) // the bubble wants no goroutine left
	})
}

func TestRestartWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Duration
		begin := time.Now()
		flaky := Spec{
			Restart: &Backoff{Min: time.Second, Max: 4 * time.Second},
			Unit: Func("flaky", func(ctx context.Context) error {
				starts = append(starts, time.Since(begin))
				switch len(starts) {
				case 6:
					<-time.After(5 * time.Second) // long enough to begin anew
					return errBroken
				case 7:
					<-ctx.Done()
					return fmt.Errorf("poll: %w", ctx.Err())
				}
				return errBroken
			}),
		}
		a := New(nil, flaky)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result := make(chan error)
		go func() { result <- a.Run(ctx) }()
		<-time.After(500 * time.Millisecond)
		if s := a.Status()[0]; a.Ready() || s.State != Restarting || !errors.Is(s.Last, errBroken) {
			t.Errorf("ready %v, status %+v", a.Ready(), s)
		}
		<-time.After(30 * time.Second)
		if s := a.Status()[0]; !a.Ready() || s.State != Running || s.Restarts != 6 {
			t.Errorf("ready %v, status %+v", a.Ready(), s)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 11 * time.Second, 15 * time.Second, 21 * time.Second}
		if !slices.Equal(starts, want) {
			t.Errorf("started at %v, want %v", starts, want)
		}
	})
}

func TestStopWhileWaitingForARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := Spec{Unit: Func("bad", func(context.Context) error { return errBroken }), Restart: &Backoff{Min: time.Hour, Max: time.Hour}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := New(nil, bad).Run(ctx); err != nil || time.Since(begin) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
	})
}

func TestEndsWhenAllAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := Spec{Unit: Func("file", func(context.Context) error { <-time.After(time.Second); return nil })}
		a := New(nil, once, once)
		if err := a.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if s := a.Status()[1]; s.State != Done {
			t.Errorf("status %+v", s)
		}
	})
}

func TestErrorWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := Spec{Unit: Func("bad", func(ctx context.Context) error { <-ctx.Done(); return errBroken }), Restart: DefaultBackoff()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := New(nil, bad).Run(ctx); !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
	})
}

// A unit that runs is ready only while its Check says so, and what keeps the others
// from being ready is told.
func TestCheckSaysWhatIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		missing := errBroken
		check := func() error {
			mu.Lock()
			defer mu.Unlock()
			return missing
		}
		fails := Spec{Unit: Func("fails", func(context.Context) error { return errBroken }), Restart: &Backoff{Min: time.Hour, Max: time.Hour}}
		waits := Spec{Unit: Func("waits", func(ctx context.Context) error { <-ctx.Done(); return nil }), Check: check}
		a := New(nil, waits, fails)
		for _, s := range a.Status() {
			if s.Ready || s.Reason == nil || s.Reason.Error() != "waiting" {
				t.Errorf("%s before its start: ready %v, %v", s.Name, s.Ready, s.Reason)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		status := a.Status()
		if status[0].Ready || !errors.Is(status[0].Reason, errBroken) || status[1].Ready || status[1].Reason.Error() != "restarting: broken" || a.Ready() {
			t.Errorf("%+v", status)
		}
		mu.Lock()
		missing = nil
		mu.Unlock()
		if status = a.Status(); !status[0].Ready || status[0].Reason != nil {
			t.Errorf("%+v", status)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
