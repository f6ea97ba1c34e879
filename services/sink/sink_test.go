package sink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
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
	c.Interval, c.BatchRows, c.Backoff, c.SaveEvery, c.Drain = 20*time.Millisecond, 500, 5*time.Millisecond, 100*time.Millisecond, 5*time.Second
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
}

func TestEverythingIsStoredOnce(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 3, 1)
	s := openStore(t)
	for range 300 {
		w.step()
	}
	i := start(t, config(), log, s, 3)
	for range 300 {
		w.step()
	}
	log.wait(t)
	w.check(t, s)
	c := i.Counters()
	if c["dropped_repeated"] == 0 || c["dropped_dead"] != uint64(w.dead) || c["verified"] != 0 || c["lost_parts"] != 0 || c["errors_store"] != 0 || c["dropped_missing"] != 0 {
		t.Errorf("counters: %v", c)
	}
}

var errLost = errors.New("connection reset")

// Each fault strikes some inserts of a running sink.
func TestUnclearAnswers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var mu sync.Mutex
	sometimes := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(4) == 0
	}
	faults := map[string]func(*wrong){
		"nothing arrived": func(w *wrong) {
			w.before = func(*store.Block) error {
				if sometimes() {
					return errLost
				}
				return nil
			}
		},
		"all arrived, the answer is lost": func(w *wrong) {
			w.after = func(*store.Block) error {
				if sometimes() {
					return errLost
				}
				return nil
			}
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			log := newLog()
			w := newTraffic(log, 2, 2)
			s := openStore(t)
			tables := &wrong{Store: s}
			fault(tables)
			i := start(t, config(), log, tables, 2)
			for range 5 {
				for range 60 {
					w.step()
				}
				log.wait(t)
			}
			w.check(t, s)
			if c := i.Counters(); c["verified"] == 0 {
				t.Errorf("no answer was unclear: %v", c)
			}
		})
	}
}

// The server remembers a token and has lost its part: known after an unclear
// answer, when the same token is acknowledged and rows are still missing.
func TestRememberedTokenOfALostPart(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 1, 3)
	s := openStore(t)
	tables := &wrong{Store: s}
	struck := map[string]int{}
	var mu sync.Mutex
	tables.after = nil
	tables.before = func(b *store.Block) error { // the first insert of each table is unclear
		mu.Lock()
		defer mu.Unlock()
		if struck[b.Table()]++; struck[b.Table()] == 1 {
			return errLost
		}
		return nil
	}
	tables.skip = func(b *store.Block) bool { // and its repetition is swallowed by the token
		mu.Lock()
		defer mu.Unlock()
		return struck[b.Table()] == 2 && !store.Idempotent(b.Table())
	}
	i := start(t, config(), log, tables, 1)
	for range 100 {
		w.step()
	}
	log.wait(t)
	w.check(t, s)
	if c := i.Counters(); c["lost_parts"] == 0 {
		t.Errorf("no part was lost: %v", c)
	}
}

// Killed at every place of the protocol, each time with the next instance taking
// over; late says whether the dead instance's block still arrives afterwards.
func TestKilledAnywhere(t *testing.T) {
	type place struct {
		name string
		set  func(log *memoryLog, tables *wrong, strike func())
	}
	block := make(chan struct{}) // what is struck never comes back
	t.Cleanup(func() { close(block) })
	places := []place{
		{"before the plan's commit", func(l *memoryLog, _ *wrong, strike func()) {
			l.beforeCommit = func() error { strike(); <-block; return errLost }
		}},
		{"after the plan's commit", func(l *memoryLog, _ *wrong, strike func()) {
			l.afterCommit = func() error { strike(); <-block; return errLost }
		}},
		{"before the insert", func(_ *memoryLog, w *wrong, strike func()) {
			w.before = func(*store.Block) error { strike(); <-block; return errLost }
		}},
		{"after the insert", func(_ *memoryLog, w *wrong, strike func()) {
			w.after = func(*store.Block) error { strike(); <-block; return errLost }
		}},
		{"between two tables", func(_ *memoryLog, w *wrong, strike func()) {
			w.before = func(b *store.Block) error {
				if b.Table() == store.Observations {
					strike()
					<-block
				}
				return nil
			}
		}},
	}
	for _, pl := range places {
		t.Run(pl.name, func(t *testing.T) {
			log := newLog()
			w := newTraffic(log, 2, 4)
			s := openStore(t)
			for range 4 {
				for range 60 {
					w.step()
				}
				struck := make(chan struct{})
				var once sync.Once
				tables := &wrong{Store: s}
				log.mu.Lock()
				pl.set(log, tables, func() { once.Do(func() { close(struck) }) })
				log.mu.Unlock()
				i := startLeaky(t, log, tables)
				select {
				case <-struck:
				case <-time.After(30 * time.Second):
					t.Fatal("the place was not reached")
				}
				i.kill()
				log.mu.Lock()
				log.beforeCommit, log.afterCommit = nil, nil
				log.mu.Unlock()
			}
			start(t, config(), log, s, 2)
			log.wait(t)
			w.check(t, s)
		})
	}
}

// startLeaky starts an instance whose goroutines the test leaves hanging.
func startLeaky(t *testing.T, log *memoryLog, tables sink.Tables) *instance {
	t.Helper()
	s := sink.New(config(), tables, slog.New(slog.DiscardHandler))
	i := &instance{Sink: s, member: log.join(s, 2), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	i.stop = cancel
	go func() { i.done <- s.Run(ctx, i.member, log) }()
	return i
}

// The dead instance's block reaches the server only after the next one has
// recovered the range: the token makes one of the two.
func TestLateBlockOfADeadInstance(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 1, 5)
	s := openStore(t)
	for range 12 { // less than a poll
		w.step()
	}
	type late struct {
		b     *store.Block
		token string
	}
	caught := make(chan late, 1)
	first := &catching{Store: s, caught: func(b *store.Block, token string) {
		caught <- late{b, token}
		select {}
	}}
	i := startLeaky(t, log, first)
	l := <-caught
	i.kill()
	for range 50 { // without the plan, the next range would be another
		w.step()
	}
	start(t, config(), log, s, 1)
	log.wait(t)
	if err := s.Insert(context.Background(), l.b, l.token); err != nil {
		t.Fatal(err)
	}
	w.check(t, s)
}

// catching never sends the first block of flows.
type catching struct {
	*store.Store
	caught func(b *store.Block, token string)
}

func (c *catching) Insert(ctx context.Context, b *store.Block, token string) error {
	if b.Table() == store.Flows {
		c.caught(b, token)
	}
	return c.Store.Insert(ctx, b, token)
}

// A broker that lost its last commits gives older plans back, and rows that no
// known plan made are in the tables.
func TestCommitsLostByTheBroker(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 2, 6)
	s := openStore(t)
	var saved []bus.Offsets
	log.beforeCommit = func() error {
		log.mu.Lock()
		defer log.mu.Unlock()
		snapshot := bus.Offsets{}
		for topic, parts := range log.committed {
			for p, c := range parts {
				snapshot.Set(topic, p, c)
			}
		}
		saved = append(saved, snapshot)
		return nil
	}
	i := start(t, config(), log, s, 2)
	for range 300 {
		w.step()
	}
	log.wait(t)
	i.kill()
	for _, back := range []int{len(saved) - 2, len(saved) / 2, 0} { // 0: the group is forgotten
		log.mu.Lock()
		log.committed = saved[back]
		log.mu.Unlock()
		for range 20 {
			w.step()
		}
		i := start(t, config(), log, s, 2)
		log.wait(t)
		i.kill()
		w.check(t, s)
	}
}

func TestRestartRemembersNumbers(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 2, 10)
	s := openStore(t)
	for round := range 3 {
		for range 100 {
			w.step()
		}
		cfg := config()
		cfg.SaveEvery = []time.Duration{time.Hour, time.Millisecond, time.Millisecond}[round]
		i := start(t, cfg, log, s, 2)
		log.wait(t)
		i.stop()
		if err := <-i.done; err != nil {
			t.Fatal(err)
		}
		i.done <- nil
		for p := range int32(2) {
			for range 10 {
				w.again(p)
			}
		}
	}
	i := start(t, config(), log, s, 2)
	log.wait(t)
	w.check(t, s)
	if got := one(t, s, "SELECT count() > 0 FROM producers"); got != "true" && got != "1" {
		t.Errorf("producers' numbers were not saved: %s", got)
	}
	if i.Counters()["dropped_repeated"] == 0 {
		t.Error("nothing was sent again")
	}
}

// Retention has taken records that were not stored: an error and a counter.
func TestRetentionOvertakesTheSink(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 1, 12)
	for range 5 {
		w.newBatch(0)
	}
	log.committed.Set(proto.TopicTraffic, 0, bus.Committed{Offset: 1})
	s := openStore(t)
	sk := sink.New(config(), s, slog.New(slog.DiscardHandler))
	m := log.join(sk, 1)
	m.pos[proto.TopicTraffic][0] = 4
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sk.Run(ctx, m, log) }()
	log.wait(t)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c := sk.Counters(); c["dropped_missing"] != 3 || c["records"] != 1 {
		t.Errorf("counters: %v", c)
	}
}

// failing is a member whose polls and commits fail at first.
type failing struct {
	*member
	polls int
}

func (f *failing) Poll(ctx context.Context, most int) ([]bus.Record, error) {
	if f.polls++; f.polls <= 3 {
		return nil, errLost
	}
	return f.member.Poll(ctx, most)
}

func TestBrokerAway(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 2, 13)
	for range 50 {
		w.step()
	}
	s := openStore(t)
	var commits atomic.Int32
	log.beforeCommit = func() error {
		if commits.Add(1)%3 != 0 {
			return errLost
		}
		return nil
	}
	sk := sink.New(config(), s, slog.New(slog.DiscardHandler))
	m := &failing{member: log.join(sk, 2)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sk.Run(ctx, m, log) }()
	log.wait(t)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.check(t, s)
	if c := sk.Counters(); c["errors_poll"] != 3 || c["errors_commit"] == 0 {
		t.Errorf("counters: %v", c)
	}
}

func TestClickHouseAway(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 2, 8)
	s := openStore(t)
	tables := &wrong{Store: s, before: func(*store.Block) error { return errLost }}
	i := start(t, config(), log, tables, 2)
	for range 2000 {
		w.step()
	}
	tries := func() uint64 { return i.Counters()["errors_store"] }
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for tries() < 8 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("inserts are not repeated")
		}
	}
	// 2,000 records hold some 30,000 rows; 2 x 500 and what a poll brings may wait.
	if n := i.Counters()["records"]; n > 700 {
		t.Errorf("%d records taken while nothing can be stored", n)
	}
	tables.set(func(w *wrong) { w.before = nil })
	log.wait(t)
	w.check(t, s)
}

func TestStopCommitsWhatIsDone(t *testing.T) {
	log := newLog()
	w := newTraffic(log, 1, 9)
	s := openStore(t)
	cfg := config()
	cfg.Interval = time.Second
	inserted := make(chan struct{}, 100)
	tables := &wrong{Store: s, after: func(*store.Block) error { inserted <- struct{}{}; return nil }}
	i := start(t, cfg, log, tables, 1)
	w.newBatch(0)
	<-inserted
	i.stop()
	if err := <-i.done; err != nil {
		t.Fatal(err)
	}
	i.done <- nil
	if c := log.committed[proto.TopicTraffic][0]; c.Offset != 1 || c.Metadata != "" {
		t.Errorf("committed %+v, want offset 1 and no plan", c)
	}
}
