package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/telemetry"
)

// telling is what a process tells of itself while it runs: metrics, traces and
// health, of its units and of what they work with.
type telling struct {
	*telemetry.Telemetry // nil: nothing is told
	engines              *engines
	dataDir              string
	log                  *slog.Logger
	app                  atomic.Pointer[app.App]

	stop context.CancelFunc
	done sync.WaitGroup
}

// tell begins to tell: the metrics of everything that is made with e from now on.
// instance is the stable name of the process among those of its service.
func (s *session) tell(ctx context.Context, e *engines, service, instance string) (*telling, error) {
	p := telemetry.Process{Service: service, Instance: instance, Version: version}
	t, err := telemetry.New(ctx, s.cfg.Telemetry, p, s.log)
	if err != nil {
		return nil, err
	}
	w := &telling{Telemetry: t, engines: e, dataDir: s.cfg.DataDir, log: s.log, stop: func() {}}
	e.Kafka.Telemetry = t
	if t == nil {
		return w, nil
	}
	server, err := t.Listen(telemetry.TargetFile(s.cfg.DataDir, p), w.health)
	if err != nil {
		return nil, err
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.done.Go(func() {
		if err := server.Run(ctx); err != nil {
			s.log.Error("metrics and health cannot be asked for any more", "error", err)
		}
	})
	if at := server.Address(); at != "" {
		level := slog.LevelInfo
		if service == "up" || service == "bench" {
			level = slog.LevelDebug // a person looks at it, and the file tells
		}
		s.log.Log(ctx, level, "metrics and health", "address", "http://"+at+"/metrics")
		if host, _, err := net.SplitHostPort(at); err == nil && !loopback(host) {
			s.log.Warn("whoever reaches this address can read the names of sites and interfaces; there is no password", "address", at)
		}
	}
	w.Observe(w.observeDisk)
	if len(e.processes) > 0 {
		w.done.Go(func() { w.watchEngines(ctx) })
	}
	return w, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// run runs units and tells of them until ctx ends.
func (w *telling) run(ctx context.Context, specs ...app.Spec) error {
	a := app.New(w.log, specs...)
	w.app.Store(a)
	return a.Run(ctx)
}

// end stops telling, after what has not been sent is.
func (w *telling) end() {
	w.stop()
	w.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		w.log.Warn("the last metrics or traces could not be sent", "error", err)
	}
}

// health is that of the units; before they are started nothing is ready.
func (w *telling) health() telemetry.Health {
	a := w.app.Load()
	if a == nil {
		return telemetry.Health{Alive: true}
	}
	h := telemetry.Health{Ready: a.Ready(), Alive: true}
	for _, s := range a.Status() {
		u := telemetry.UnitHealth{Name: s.Name, Ready: s.Ready, Failed: s.State == app.Failed, State: string(s.State), Restarts: s.Restarts}
		if s.Reason != nil {
			u.Reason = s.Reason.Error()
		}
		h.Alive = h.Alive && !u.Failed
		h.Units = append(h.Units, u)
	}
	return h
}

// runService is what every service command does with its units.
func (s *session) runService(ctx context.Context, e *engines, service, instance string, w watched, units func() []app.Spec) error {
	t, err := s.tell(ctx, e, service, instance)
	if err != nil {
		return fmt.Errorf("start telemetry: %w", err)
	}
	defer t.end()
	t.watch(ctx, w)
	return t.run(ctx, units()...)
}
