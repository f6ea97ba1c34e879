package sink_test

import (
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/store"
)

// The real server is killed with -9 while it inserts, again and again, and
// started again on its data.
func TestServerKilledWhileInserting(t *testing.T) {
	embeddedtest.ClickHouse(t) // skips where there is none
	dir := t.TempDir()
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	server, err := embedded.StartClickHouse(t.Context(), run.ClickHouseConfig(filepath.Join(dir, "clickhouse")), embedded.Child{Command: embeddedtest.Command()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	cfg := store.Default()
	cfg.Addresses, cfg.User, cfg.Password = []string{run.ClickHouse.Address()}, run.ClickHouse.User, run.ClickHouse.Password
	s := openWith(t, cfg)
	rng := rand.New(rand.NewPCG(11, 1))
	var kills, inserts atomic.Int32
	kill := func() {
		if kills.Add(1) <= 4 {
			_ = server.Kill() // it may be down already
		}
	}
	tables := &wrong{Store: s}
	tables.before = func(*store.Block) error {
		if inserts.Add(1)%12 == 0 {
			go kill() // meets the server somewhere inside
		}
		return nil
	}
	tables.after = func(*store.Block) error {
		if inserts.Load()%17 == 0 {
			kill()
		}
		return nil
	}
	log := newLog()
	w := newTraffic(log, 4, rng.Uint64())
	i := start(t, config(), log, tables, 4)
	for range 9 {
		for range 80 {
			w.step()
		}
		log.wait(t)
	}
	tables.set(func(w *wrong) { w.before, w.after = nil, nil })
	w.check(t, s)
	t.Logf("killed %d times: %v", min(kills.Load(), 4), i.Counters())
	if kills.Load() == 0 {
		t.Error("never killed")
	}
}
