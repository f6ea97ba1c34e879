package sink_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/services/sink"
)

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
