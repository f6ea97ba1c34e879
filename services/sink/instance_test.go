package sink_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/sink"
)

func openStore(t testing.TB) *store.Store {
	t.Helper()
	srv := embeddedtest.ClickHouse(t)
	cfg := store.Default()
	cfg.Addresses, cfg.User, cfg.Password, cfg.Database = []string{srv.Addr}, srv.User, srv.Password, srv.Database
	return openWith(t, cfg)
}

// openWith opens a store that has its tables.
func openWith(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	cfg.Analyst.User = ""
	s, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Migrate(context.Background(), "test"); err != nil {
		t.Fatal(err)
	}
	return s
}

// wrong is a store that fails on demand. Its hooks are asked before and after
// each insert that it passes on.
type wrong struct {
	*store.Store
	mu     sync.Mutex
	before func(b *store.Block) error
	after  func(b *store.Block) error
	skip   func(b *store.Block) bool // acknowledge and lose
}

func (w *wrong) hooks() (before, after func(*store.Block) error, skip func(*store.Block) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.before, w.after, w.skip
}

func (w *wrong) set(f func(*wrong)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

func (w *wrong) Insert(ctx context.Context, b *store.Block, token string) error {
	before, after, skip := w.hooks()
	if before != nil {
		if err := before(b); err != nil {
			return err
		}
	}
	if skip != nil && skip(b) {
		return nil
	}
	if err := w.Store.Insert(ctx, b, token); err != nil {
		return err
	}
	if after != nil {
		return after(b)
	}
	return nil
}

func config() sink.Config {
	c := sink.Default()
	c.Interval, c.BatchRows, c.Backoff, c.SaveEvery, c.Drain, c.AddUp = 20*time.Millisecond, 500, 5*time.Millisecond, 100*time.Millisecond, 5*time.Second, 50*time.Millisecond
	return c
}

// instance is a running sink.
type instance struct {
	*sink.Sink
	member *member
	stop   context.CancelFunc
	done   chan error
}

func start(t *testing.T, cfg sink.Config, log *memoryLog, tables sink.Tables, partitions int32) *instance {
	t.Helper()
	s := sink.New(cfg, tables, slog.New(slog.DiscardHandler))
	i := &instance{Sink: s, member: log.join(s, partitions), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	i.stop = cancel
	go func() { i.done <- s.Run(ctx, i.member, log) }()
	t.Cleanup(func() {
		i.kill()
		err := <-i.done
		if i.done <- nil; err != nil {
			t.Error(err)
		}
	})
	return i
}

// kill ends an instance as kill -9 would: it commits and inserts nothing more.
func (i *instance) kill() {
	i.member.fence()
	all := map[string][]int32{}
	for _, topic := range sink.Topics() {
		all[topic] = []int32{0, 1, 2, 3, 4, 5, 6, 7}
	}
	i.Revoked(all)
	i.stop()
}

func one(t testing.TB, s *store.Store, sql string, args ...any) string {
	t.Helper()
	r, err := s.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var out []string
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Trim(fmt.Sprint(v...), "[]"))
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return strings.Join(out, "; ")
}

// check compares what is stored with what was published.
func (w *traffic) check(t *testing.T, s *store.Store) {
	t.Helper()
	for _, c := range []struct {
		sql  string
		want int
	}{
		{"SELECT count() FROM flows", w.flows},
		{"SELECT uniqExact(part) FROM flows", w.flows},
		{"SELECT count() FROM observations", w.observations},
		{"SELECT uniqExact(observation_id) FROM observations", w.observations},
		{"SELECT count() FROM detections", w.detections},
		{"SELECT uniqExact(detection_id) FROM detections", w.detections},
		{"SELECT count() FROM deadletters", w.dead},
		{"SELECT uniqExact(topic, partition, offset, index) FROM deadletters", w.dead},
		{"SELECT countIf(reason LIKE '%Mustermann%' OR reason = '') FROM deadletters", 0},
		{"SELECT count() FROM v_pairs", len(w.pairs)},
	} {
		if got := one(t, s, c.sql); got != fmt.Sprint(c.want) {
			t.Errorf("%s: %s, want %d", c.sql, got, c.want)
		}
	}
	total := uint64(0)
	for _, n := range w.pairs {
		total += n
	}
	if got := one(t, s, "SELECT sum(flows) FROM v_pairs"); got != fmt.Sprint(total) {
		t.Errorf("flows of pairs: %s, want %d", got, total)
	}
	// Days are added up beside the loop, and here once more at the same time.
	ends := map[int32]int64{}
	w.log.mu.Lock()
	for p, records := range w.log.parts[proto.TopicRollups] {
		ends[p] = int64(len(records))
	}
	w.log.mu.Unlock()
	if _, err := s.AddUpPairs(t.Context(), 1, ends); err != nil {
		t.Error(err)
	}
	if got, want := one(t, s, "SELECT concat(toString(sum(flows)), ' of ', toString(countIf(country = 'CH')), ' from CH') FROM v_patterns"), fmt.Sprintf("%d of %d from CH", total, len(w.pairs)); got != want {
		t.Errorf("flows of days: %s, want %s", got, want)
	}
}
