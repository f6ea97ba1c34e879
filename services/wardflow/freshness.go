package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
)

// timedWriter remembers when each batch was published. In a new data folder the
// n-th batch of a partition has offset n.
type timedWriter struct {
	p      *bus.Producer
	mu     sync.Mutex
	sent   [][]time.Time
	weight [][]int
	from   []int // batches before the measurement
}

// Produce hands the batch on.
func (w *timedWriter) Produce(ctx context.Context, m bus.Message, done func(error)) {
	w.mu.Lock()
	w.sent[m.Partition] = append(w.sent[m.Partition], time.Now())
	w.weight[m.Partition] = append(w.weight[m.Partition], len(m.Value))
	w.mu.Unlock()
	w.p.Produce(ctx, m, done)
}

// Flush waits until the broker has everything.
func (w *timedWriter) Flush(ctx context.Context) error { return w.p.Flush(ctx) }

func (w *timedWriter) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from = make([]int, len(w.sent))
	for i := range w.sent {
		w.from[i] = len(w.sent[i])
	}
}

// freshness measures from publish to visible row.
type freshness struct {
	cancel  context.CancelFunc
	done    chan struct{}
	samples []sample
}

type sample struct {
	seconds float64
	weight  int
}

// watchFreshness asks ClickHouse every 25 ms how far each partition has come.
func watchFreshness(ctx context.Context, s *store.Store, w *timedWriter) *freshness {
	ctx, cancel := context.WithCancel(ctx)
	f := &freshness{cancel: cancel, done: make(chan struct{})}
	next := slices.Clone(w.from)
	go func() {
		defer close(f.done)
		for ctx.Err() == nil {
			for p := range next {
				visible, err := s.MaxOffset(ctx, []string{"flows"}, 1, int32(p), int64(next[p]))
				if err != nil {
					continue
				}
				now := time.Now()
				w.mu.Lock()
				for ; next[p] <= int(visible) && next[p] < len(w.sent[p]); next[p]++ {
					f.samples = append(f.samples, sample{now.Sub(w.sent[p][next[p]]).Seconds(), w.weight[p][next[p]]})
				}
				w.mu.Unlock()
			}
			pause(ctx, 25*time.Millisecond)
		}
	}()
	return f
}

// stop gives the median, the 99th percentile (by bytes published) and the maximum, in seconds.
func (f *freshness) stop() (p50, p99, most float64) {
	f.cancel()
	<-f.done
	slices.SortFunc(f.samples, func(a, b sample) int {
		switch {
		case a.seconds < b.seconds:
			return -1
		case a.seconds > b.seconds:
			return 1
		}
		return 0
	})
	total := 0
	for _, s := range f.samples {
		total += s.weight
	}
	at := 0
	for _, s := range f.samples {
		at += s.weight
		if p50 == 0 && at*2 >= total {
			p50 = s.seconds
		}
		if p99 == 0 && at*100 >= total*99 {
			p99 = s.seconds
		}
		most = s.seconds
	}
	return p50, p99, most
}
