// Package app starts the units of a program in order and stops them in reverse:
// brokers before services before intake, and back. A unit that must not fail
// ends everything when it does; a service is run again after a pause.
//
// It knows nothing of what units do: whoever makes them decides their order.
// Signals, flags and logging to files are the main's.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Unit is one part of a running program.
type Unit interface {
	// Name is shown in logs and errors.
	Name() string
	// Run blocks until ctx ends or something fails. When ctx ends it stops its
	// intake, drains, flushes, commits, closes and returns nil. Returning nil
	// earlier means that its work is done. With a Backoff it is called again
	// after an error.
	Run(ctx context.Context) error
}

// Spec is a unit and how it is run.
type Spec struct {
	Unit
	// Ready blocks until the unit can be used, or ctx ends. Nil: as soon as it runs.
	Ready func(ctx context.Context) error
	// Check tells, at any time, why a unit that runs cannot be used, nil when it can.
	// It must not block. Nil: it can whenever it runs.
	Check func() error
	// StartWithin bounds Ready; StopWithin bounds the time from the end of its
	// context to its return. 0 means the default.
	StartWithin time.Duration
	StopWithin  time.Duration
	// Restart makes the unit run again after an error, with a pause that doubles
	// from Min to Max. Nil: an error ends everything.
	Restart *Backoff
}

// Backoff is the pause between two runs of a failing unit. It starts again at Min
// after a run that lasted longer than Max.
type Backoff struct {
	Min, Max time.Duration
}

// The defaults of a Spec.
const (
	DefaultStartWithin = time.Minute
	DefaultStopWithin  = 10 * time.Second
)

// DefaultBackoff suits services whose broker or database may be away.
func DefaultBackoff() *Backoff { return &Backoff{Min: 200 * time.Millisecond, Max: 10 * time.Second} }

// App runs units.
type App struct {
	log   *slog.Logger
	units []*running
	ready atomic.Bool
	fatal chan error
}

// running is a unit's state.
type running struct {
	Spec
	cancel  context.CancelFunc
	done    chan struct{} // closed when the unit will not run any more
	started chan struct{} // closed when Run has been called
	once    sync.Once

	mu       sync.Mutex
	state    State
	restarts int
	last     error
}

// State is where a unit stands.
type State string

// The states of a unit, in the order of its life.
const (
	Waiting    State = "waiting"
	Starting   State = "starting"
	Running    State = "running"
	Restarting State = "restarting" // failed, and waits to be run again
	Done       State = "done"
	Failed     State = "failed"
)

// Status is what a unit tells of itself.
type Status struct {
	Name     string
	State    State
	Restarts int
	Last     error // of the last failed run
	Ready    bool  // it runs and can be used, or its work is done
	Reason   error // why it is not ready; nil when it is
}

// New makes an app; nothing happens before Run.
func New(log *slog.Logger, specs ...Spec) *App {
	a := &App{log: log, fatal: make(chan error, len(specs))}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	for _, s := range specs {
		if s.StartWithin == 0 {
			s.StartWithin = DefaultStartWithin
		}
		if s.StopWithin == 0 {
			s.StopWithin = DefaultStopWithin
		}
		a.units = append(a.units, &running{Spec: s, state: Waiting, done: make(chan struct{}), started: make(chan struct{})})
	}
	return a
}

// Ready reports whether every unit has been started and none is stopping or
// waiting to be run again. It starts false.
func (a *App) Ready() bool {
	if !a.ready.Load() {
		return false
	}
	for _, u := range a.units {
		if !u.status().Ready {
			return false
		}
	}
	return true
}

// Status tells of every unit, in start order.
func (a *App) Status() []Status {
	out := make([]Status, len(a.units))
	for i, u := range a.units {
		out[i] = u.status()
	}
	return out
}

// Run starts the units in order, waits until ctx ends, all units are done or one
// fails for good, and stops them in reverse order. It returns the first real
// error, and those of units that did not stop in time.
func (a *App) Run(ctx context.Context) error {
	began, err := a.start(ctx)
	if err == nil {
		a.ready.Store(began == len(a.units))
		err = a.wait(ctx, a.units[:began])
	}
	a.ready.Store(false)
	var late []error
	for i := began - 1; i >= 0; i-- {
		late = append(late, a.stop(a.units[i]))
	}
	if err == nil {
		select { // a unit that failed while it was stopped
		case err = <-a.fatal:
		default:
		}
	}
	return errors.Join(append([]error{err}, late...)...)
}

// start gives how many units have been started, even on an error.
func (a *App) start(ctx context.Context) (int, error) {
	for i, u := range a.units {
		if ctx.Err() != nil {
			return i, nil
		}
		// A unit's context outlives ctx: units stop one by one.
		var unitCtx context.Context
		unitCtx, u.cancel = context.WithCancel(context.WithoutCancel(ctx))
		u.set(Starting)
		a.log.Debug("start", "unit", u.Name())
		go a.keepRunning(unitCtx, u)
		<-u.started
		if err := a.awaitReady(ctx, u); err != nil {
			return i + 1, err
		}
	}
	return len(a.units), nil
}

func (a *App) awaitReady(ctx context.Context, u *running) error {
	if u.Ready == nil {
		return nil
	}
	readyCtx, cancel := context.WithTimeout(ctx, u.StartWithin)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- u.Ready(readyCtx) }()
	select {
	case err := <-result:
		switch {
		case err == nil || ctx.Err() != nil: // told to stop meanwhile is no error
			return nil
		case readyCtx.Err() != nil:
			return fmt.Errorf("start %s: not ready within %v: %w", u.Name(), u.StartWithin, err)
		}
		return fmt.Errorf("start %s: %w", u.Name(), err)
	case err := <-a.fatal:
		return err
	}
}

// wait blocks until there is a reason to stop the units that were started.
func (a *App) wait(ctx context.Context, units []*running) error {
	all := make(chan struct{})
	go func() {
		for _, u := range units {
			<-u.done
		}
		close(all)
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.fatal:
		return err
	case <-all:
		select {
		case err := <-a.fatal: // the last unit ended by failing
			return err
		default:
			return nil
		}
	}
}

// stop ends one unit and waits for it.
func (a *App) stop(u *running) error {
	a.log.Debug("stop", "unit", u.Name())
	u.cancel()
	deadline := time.NewTimer(u.StopWithin)
	defer deadline.Stop()
	select {
	case <-u.done:
		return nil
	case <-deadline.C:
		a.log.Error("unit did not stop in time", "unit", u.Name(), "within", u.StopWithin)
		return fmt.Errorf("stop %s: not stopped within %v", u.Name(), u.StopWithin)
	}
}

// keepRunning runs a unit, again and again where it is to be restarted.
func (a *App) keepRunning(ctx context.Context, u *running) {
	defer close(u.done)
	pause := time.Duration(0)
	for {
		u.set(Running)
		u.once.Do(func() { close(u.started) })
		began := time.Now()
		err := u.Run(ctx)
		switch {
		case err == nil, ctx.Err() != nil && errors.Is(err, context.Canceled):
			u.set(Done)
			return
		case u.Restart == nil || ctx.Err() != nil:
			u.fail(Failed, err)
			a.log.Error("unit failed", "unit", u.Name(), "error", err)
			a.fatal <- fmt.Errorf("%s: %w", u.Name(), err)
			return
		}
		pause = u.Restart.next(pause, time.Since(began))
		u.fail(Restarting, err)
		a.log.Warn("unit failed, runs again", "unit", u.Name(), "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			u.set(Done)
			return
		}
	}
}

func (b *Backoff) next(last, ran time.Duration) time.Duration {
	if last == 0 || ran > b.Max {
		return b.Min
	}
	return min(2*last, b.Max)
}

func (u *running) set(s State) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state = s
}

func (u *running) fail(s State, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state, u.last = s, err
	if s == Restarting {
		u.restarts++
	}
}

func (u *running) status() Status {
	u.mu.Lock()
	s := Status{Name: u.Name(), State: u.state, Restarts: u.restarts, Last: u.last}
	u.mu.Unlock()
	switch {
	case s.State == Done:
	case s.State == Running && u.Check != nil:
		s.Reason = u.Check()
	case s.State == Running:
	case s.Last != nil:
		s.Reason = fmt.Errorf("%s: %w", s.State, s.Last)
	default:
		s.Reason = errors.New(string(s.State))
	}
	s.Ready = s.Reason == nil
	return s
}
