package stream

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// Guards of exactly-once that TestCutsLeaveNoTrace does not see, because another
// guard stands behind them: each test here is about one.

func openDB(t *testing.T) *DB {
	t.Helper()
	db, err := OpenDB(filepath.Join(t.TempDir(), "state"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func openLedger(t *testing.T, db *DB, stats *Stats) *Partition {
	t.Helper()
	p, err := OpenPartition(ledger{}, 0, Options{Store: db, Stats: stats})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// commit stores what p has done, as a runner does after its transaction.
func commit(t *testing.T, db *DB, p *Partition) *Commit {
	t.Helper()
	c, err := p.Prepare(0)
	if err != nil || c == nil {
		t.Fatalf("prepare: %v, %v", c, err)
	}
	r := &Runner{db: db}
	if err := r.store([]prepared{{0, &live{p: p}, c}}); err != nil {
		t.Fatal(err)
	}
	return c
}

// What an upstream has said is known after a restart: it may be idle and say
// nothing more.
func TestGatesOutliveARestart(t *testing.T) {
	db := openDB(t)
	traffic, sides := ledgerInputs(t, true)
	p := openLedger(t, db, nil)
	for _, r := range sides {
		p.Offer(r)
	}
	p.Offer(traffic[0])
	p.Run(1000, 1, time.Time{})
	for _, r := range traffic[1:] { // so that nothing waits, and no side record is read again
		p.Offer(r)
	}
	p.Run(1<<20, 1, time.Time{})
	c := commit(t, db, p)
	if c.Positions[proto.TopicBindings].Offset != int64(len(sides)) {
		t.Fatalf("side input at %v, want all %d records applied", c.Positions[proto.TopicBindings], len(sides))
	}
	p = openLedger(t, db, nil)
	if got, want := p.inputs[1].gate[0], (proto.Position{Offset: int64(len(traffic))}); got != want {
		t.Errorf("after a restart the upstream is thought to have passed %v, want %v", got, want)
	}
}

// A restart goes on in the middle of a record, at the item where the mark is.
func TestRestartGoesOnInsideARecord(t *testing.T) {
	db := openDB(t)
	traffic, sides := ledgerInputs(t, true)
	p := openLedger(t, db, nil)
	offer := func() {
		for _, r := range sides {
			p.Offer(r)
		}
		p.Offer(traffic[0])
	}
	offer()
	for p.inputs[0].next.Index < 3 {
		if p.Run(1, 1, time.Time{}) == 0 {
			t.Fatal("it does not go on")
		}
	}
	before := commit(t, db, p).Positions[proto.TopicTraffic]
	var stats Stats
	p = openLedger(t, db, &stats)
	if at := p.inputs[0].resume(); at != before {
		t.Errorf("after a restart the input is at %v, want %v", at, before)
	}
	offer()
	p.Run(1<<20, 1, time.Time{})
	if flows := uint64(7) - uint64(before.Index); stats.Traffic != flows {
		t.Errorf("%d flows applied after the restart, want %d", stats.Traffic, flows)
	}
}

// A partition says that it has passed what it has applied, not what it has read.
func TestProgressIsWhatHasBeenApplied(t *testing.T) {
	db := openDB(t)
	traffic, sides := ledgerInputs(t, true)
	p := openLedger(t, db, nil)
	for _, r := range sides {
		p.Offer(r)
	}
	for _, r := range traffic[:3] {
		p.Offer(r)
	}
	for p.inputs[0].next.Less(proto.Position{Offset: 1, Index: 2}) {
		if p.Run(1, 1, time.Time{}) == 0 {
			t.Fatal("it does not go on")
		}
	}
	want := proto.Progress{Fold: "ledger", Next: proto.Position{Offset: 1, Index: 2}}
	if c := commit(t, db, p); !slices.Equal(c.Progress, []proto.Progress{want}) {
		t.Errorf("progress %+v, want %+v", c.Progress, want)
	}
}

// A re-keyed upstream has passed an item when all of its partitions have.
func TestRekeyedUpstreamIsAsSlowAsItsSlowestPartition(t *testing.T) {
	in := newInput(Input{Topic: proto.TopicBindings, Upstream: "up", Rekeyed: true}, false)
	at := func(offset int64) proto.Position { return proto.Position{Offset: offset} }
	for _, step := range []struct {
		via, next int64
		want      bool
	}{{0, 9, false}, {1, 9, false}, {2, 5, false}, {2, 6, true}} {
		in.gate[int32(step.via)] = at(step.next)
		if got := in.passed(at(5), 3); got != step.want {
			t.Errorf("partition %d is at %d: passed is %v, want %v", step.via, step.next, got, step.want)
		}
	}
}

// Keys that a changelog has behind its last mark belong to no commit: they are
// written again.
func TestRestoreHealsWhatHasNoMark(t *testing.T) {
	s := &simulation{t: t}
	m := mark{commits: 1}
	s.change(Change{Key: []byte("c1"), Value: []byte{1}})
	s.change(Change{Key: MarkKey, Value: m.AppendTo(nil)})
	s.change(Change{Key: []byte("c1"), Value: []byte{2}})
	s.change(Change{Key: []byte("c2"), Value: []byte{2}})
	db := openDB(t)
	res, err := restore(t.Context(), db, s, "changelog", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{db: db}
	pr := prepared{0, &live{heal: res.heal}, &Commit{Changes: []Change{{Key: MarkKey}}}}
	r.healChanges(pr)
	want := []Change{{Key: MarkKey}, {Key: []byte("c1"), Value: []byte{1}}, {Key: []byte("c2")}}
	if !slices.EqualFunc(pr.c.Changes, want, func(a, b Change) bool {
		return string(a.Key) == string(b.Key) && string(a.Value) == string(b.Value)
	}) {
		t.Errorf("the next commit writes %q, want %q", pr.c.Changes, want)
	}
}

// A partition that is taken away is forgotten at once, with all that was applied
// since the last commit: its transaction would be valid, and would overwrite the
// new owner's offsets.
func TestRevokedPartitionIsForgotten(t *testing.T) {
	r := &Runner{db: &DB{}, parts: map[int32]*live{0: {}, 1: {}}, paused: map[string]map[int32]bool{proto.TopicTraffic: {0: true}}, stale: map[string][]int32{}}
	r.Revoked(map[string][]int32{proto.TopicTraffic: {0}, proto.TopicBindings: {0}})
	if r.parts[0] != nil || r.parts[1] == nil {
		t.Errorf("partitions %v are left, want 1 only", r.parts)
	}
	if r.paused[proto.TopicTraffic][0] || !slices.Equal(r.stale[proto.TopicTraffic], []int32{0}) {
		t.Errorf("paused %v, to resume %v; want the partition to be resumed before it comes back", r.paused, r.stale)
	}
}
