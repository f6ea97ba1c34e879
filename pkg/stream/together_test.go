package stream

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/wardflow/wardflow/proto"
)

// gatherer is a fold with tables that lie together and one that does not.
type gatherer struct{ together string }

var (
	gatherA = NewTable[Uint]('a', 0)
	gatherB = NewTable[Uint]('b', entityLen)
	gatherZ = NewTable[Uint]('z', entityLen)
)

func (g *gatherer) Name() string              { return "gatherer" }
func (g *gatherer) Inputs() []Input           { return []Input{{Topic: proto.TopicSummaries}} }
func (g *gatherer) Progress() []ProgressTo    { return nil }
func (g *gatherer) Apply(*Tx, *Event)         {}
func (g *gatherer) Fire(*Tx, Timer)           {}
func (g *gatherer) Sweep(*Tx, string, []byte) {}
func (g *gatherer) Together() string          { return g.together }
func entityOf(n int) []byte                   { return fmt.Appendf(nil, "%016d", n) }
func rowOf(n, k int) []byte                   { return append(entityOf(n), byte('0'+k)) }
func scanned(tx *Tx, n int) (found []string) {
	return append(listed(tx, gatherB, n), listed(tx, gatherZ, n)...)
}

func listed(tx *Tx, t Table[Uint, *Uint], n int) (found []string) {
	t.Scan(tx, entityOf(n), func(key []byte, v *Uint) bool {
		found = append(found, fmt.Sprintf("%s=%d", key, v.N))
		return true
	})
	return found
}

// What lies together reads, scans and sweeps as what does not, whatever is in memory,
// also after the state is opened again.
func TestTogetherIsTheSame(t *testing.T) {
	for _, cache := range []int{0, 4 << 10, 1 << 20} {
		t.Run(fmt.Sprint(cache), func(t *testing.T) {
			var parts [2]*Partition
			var dbs [2]*DB
			folds := [2]*gatherer{{""}, {"ab"}}
			open := func(i int) {
				var err error
				if parts[i], err = OpenPartition(folds[i], 3, Options{Store: dbs[i], CacheBytes: cache}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range dbs {
				var err error
				if dbs[i], err = OpenDB(t.TempDir(), folds[i], nil); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = dbs[i].Close() })
				open(i)
			}
			random := rand.New(rand.NewPCG(1, uint64(cache)))
			for step := range 400 {
				for range 20 {
					n, k, what := random.IntN(40), random.IntN(3), random.IntN(7)
					var got [2]string
					for i, p := range parts {
						tx := &Tx{p: p}
						switch what {
						case 0:
							gatherA.Edit(tx, entityOf(n)).N += uint64(step)
						case 1:
							gatherB.Edit(tx, rowOf(n, k)).N += uint64(step)
						case 2:
							gatherZ.Edit(tx, rowOf(n, k)).N += uint64(step)
						case 3:
							gatherA.Delete(tx, entityOf(n))
						case 4:
							gatherB.Delete(tx, rowOf(n, k))
						case 5:
							got[i] = fmt.Sprint(gatherA.Get(tx, entityOf(n)), gatherB.Get(tx, rowOf(n, k)), gatherZ.Get(tx, rowOf(n, k)))
						default:
							got[i] = fmt.Sprint(scanned(tx, n))
						}
					}
					if got[0] != got[1] {
						t.Fatalf("step %d: %s together, %s apart", step, got[1], got[0])
					}
				}
				for i, p := range parts {
					commitTo(t, p, dbs[i])
					if step%100 == 99 {
						open(i)
					}
				}
				for _, table := range []byte("abz") {
					if a, b := parts[0].tableKeys(table, ""), parts[1].tableKeys(table, ""); !slices.Equal(a, b) {
						t.Fatalf("step %d: table %q has the keys %q together, %q apart", step, table, b, a)
					}
				}
			}
		})
	}
}

func commitTo(t *testing.T, p *Partition, db *DB) {
	t.Helper()
	c, err := p.Prepare(0)
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	b := db.NewBatch()
	for _, ch := range c.Changes {
		if err := b.Put(p.id, ch.Key, ch.Value); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Store(); err != nil {
		t.Fatal(err)
	}
	p.Committed(c, 5)
}

// A state that lies otherwise than this program has it is put away, and says so; one
// that lies so is kept.
func TestLayoutOfAnotherRelease(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	old, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDB(dir, &gatherer{}, nil); err == nil {
		t.Error("a folder that is in use was emptied")
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	key := append([]byte{'a'}, entityOf(1)...)
	for i, c := range []struct {
		together string
		renewed  bool
	}{{"ab", true}, {"ab", false}, {"abz", true}, {"abz", false}} {
		db, err := OpenDB(dir, &gatherer{c.together}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, found, err := db.Get(0, key)
		if err != nil || db.renewed != c.renewed || found == c.renewed {
			t.Errorf("%d: renewed %v, the row is there: %v (%v); want renewed %v", i, db.renewed, found, err, c.renewed)
		}
		b := db.NewBatch()
		if err := errs(b.Put(0, key, []byte{1}), b.Store(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, layoutFile)); string(b) != "2 abz\n" {
		t.Errorf("the layout is %q (%v)", b, err)
	}
}

func errs(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// A timer that is set twice fires once, also when the first has left the memory.
func TestTimerSetTwice(t *testing.T) {
	db, err := OpenDB(t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p, err := OpenPartition(&gatherer{}, 3, Options{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, at := range []proto.Time{9, 7} {
			p.setTimer(timer{at: at, site: "s", domain: "d", key: "k"})
		}
		commitTo(t, p, db)
		clear(p.cache)
	}
	c := p.clockOf("s", "d")
	var fired []proto.Time
	for len(c.timers) > 0 {
		fired = append(fired, p.popTimer(c).at)
	}
	commitTo(t, p, db)
	if !slices.Equal(fired, []proto.Time{7, 9}) {
		t.Errorf("fired at %v, want 7 and 9", fired)
	}
	if keys := p.tableKeys(idTimers, ""); len(keys) > 0 {
		t.Errorf("%d timers are left in the state", len(keys))
	}
}
