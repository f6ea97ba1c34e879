package sink_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/sink"
)

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
