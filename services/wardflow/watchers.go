package main

import (
	"context"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/telemetry"
)

// watched is what a process asks Kafka and ClickHouse about now and then.
type watched struct {
	groups map[string][]string // consumer groups and their topics; none: only whether Kafka answers
	store  bool
}

// How often it asks.
const (
	watchKafkaEvery   = 15 * time.Second
	watchStoreEvery   = 30 * time.Second
	watchEnginesEvery = time.Minute
)

// watch asks until ctx, or the telling, ends.
func (w *telling) watch(ctx context.Context, what watched) {
	if w.Telemetry == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := w.stop
	w.stop = func() { cancel(); stop() }
	w.done.Go(func() { w.watchKafka(ctx, what.groups) })
	if what.store {
		w.done.Go(func() { w.watchStore(ctx) })
	}
}

// every calls f now and then until ctx ends.
func every(ctx context.Context, d time.Duration, f func(context.Context)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, d)
		f(one)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func reached(err error) float64 {
	if err != nil {
		return 0
	}
	return 1
}

func (w *telling) watchKafka(ctx context.Context, groups map[string][]string) {
	client, err := bus.NewLagWatcher(w.engines.Kafka)
	if err != nil {
		w.log.Error("lags cannot be watched", "error", err)
		return
	}
	defer client.Close()
	up := w.Gauge(telemetry.BusReachable)
	var mu sync.Mutex
	var last map[string]map[string]bus.Lag
	defer w.Observe(func(o *telemetry.Observer) {
		mu.Lock()
		defer mu.Unlock()
		for group, topics := range last {
			for topic, l := range topics {
				o.Set(telemetry.BusLag, float64(l.Records), group, topic)
				o.Set(telemetry.BusOvertaken, float64(l.Overtaken), group, topic)
				o.Set(telemetry.BusRetentionUsed, l.RetentionUsed, group, topic)
			}
		}
	})()
	every(ctx, watchKafkaEvery, func(ctx context.Context) {
		now, err := client.Look(ctx, groups)
		up.Set(reached(err))
		if err != nil {
			return // the units tell
		}
		mu.Lock()
		defer mu.Unlock()
		last = now
	})
}

func (w *telling) watchStore(ctx context.Context) {
	up := w.Gauge(telemetry.StoreReachable)
	var s *store.Store
	defer func() {
		if s != nil {
			_ = s.Close()
		}
	}()
	var mu sync.Mutex
	var tables map[string]store.TableUsage
	var disk store.Disk
	defer w.Observe(func(o *telemetry.Observer) {
		mu.Lock()
		defer mu.Unlock()
		for name, u := range tables {
			o.Set(telemetry.StoreRows, float64(u.Rows), name)
			o.Set(telemetry.StoreDisk, float64(u.Bytes), name)
			o.Set(telemetry.StoreParts, float64(u.Parts), name)
		}
		if disk.Total > 0 {
			o.Set(telemetry.StoreFree, float64(disk.Free))
			o.Set(telemetry.StoreSize, float64(disk.Total))
		}
	})()
	every(ctx, watchStoreEvery, func(ctx context.Context) {
		var err error
		if s == nil {
			s, err = store.Open(ctx, w.engines.Store)
		}
		if err == nil {
			var t map[string]store.TableUsage
			var d store.Disk
			if t, d, err = s.Usage(ctx); err == nil {
				mu.Lock()
				tables, disk = t, d
				mu.Unlock()
			}
		}
		up.Set(reached(err))
	})
}

// watchEngines tells of the embedded broker and ClickHouse.
func (w *telling) watchEngines(ctx context.Context) {
	disks := map[string]*telemetry.Gauge{}
	for _, p := range w.engines.processes {
		disks[p.name] = w.Gauge(telemetry.EngineDisk, p.name)
	}
	defer w.Observe(func(o *telemetry.Observer) {
		for _, p := range w.engines.processes {
			up := 0.0
			if p.Up() {
				up = 1
			}
			o.Set(telemetry.EngineUp, up, p.name)
			o.Set(telemetry.EngineRestarts, float64(p.Restarts()), p.name)
			if memory, cpu, ok := processUsage(p.PID()); ok {
				o.Set(telemetry.EngineMemory, float64(memory), p.name)
				o.Set(telemetry.EngineCPU, cpu, p.name)
			}
		}
	})()
	every(ctx, watchEnginesEvery, func(context.Context) {
		for name, g := range disks {
			g.Set(float64(folderBytes(filepath.Join(w.dataDir, name))))
		}
	})
}

// observeDisk tells of the file system of the data folder.
func (w *telling) observeDisk(o *telemetry.Observer) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(w.dataDir, &st); err != nil {
		return // it is made by whoever needs it first
	}
	o.Set(telemetry.DiskFree, float64(st.Bavail)*float64(st.Bsize))
	o.Set(telemetry.DiskSize, float64(st.Blocks)*float64(st.Bsize))
}
