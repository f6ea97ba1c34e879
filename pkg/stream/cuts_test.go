package stream

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// ledger is a fold that uses all that the runtime keeps for it: tables, a joined
// side input, timers, sweeps, outputs and hourly rows. Whatever is applied twice,
// not at all, or out of order changes what it emits.
type ledger struct{}

var (
	ledgerTotals   = NewTable[Uint]('c', 0)
	ledgerVersions = NewTable[Uint]('v', 0)
)

func (ledger) Name() string { return "ledger" }
func (ledger) Inputs() []Input {
	return []Input{{Topic: proto.TopicTraffic}, {Topic: proto.TopicBindings, Upstream: "up"}}
}
func (ledger) Progress() []ProgressTo { return nil }

func (ledger) say(tx *Tx, topic, format string, args ...any) {
	tx.Emit(Output{Topic: topic, Kind: proto.KindDetection, Value: fmt.Appendf(nil, format, args...), Time: tx.Now()})
}

func (l ledger) Apply(tx *Tx, ev *Event) {
	switch m := ev.Msg.(type) {
	case *proto.Binding:
		v := ledgerVersions.Edit(tx, m.Endpoint[:])
		v.N = v.N*31 + m.Version
	case *proto.Heartbeat:
		l.say(tx, proto.TopicAlerts, "end of %s", ev.Domain)
	case *proto.Flow:
		key := m.SrcEndpoint[:]
		c := ledgerTotals.Edit(tx, key)
		c.N++
		v := uint64(0)
		if have := ledgerVersions.Get(tx, key); have != nil {
			v = have.N
		}
		l.say(tx, proto.TopicDetections, "flow %x total %d version %d", m.FlowID[:2], c.N, v)
		if c.N%2 == 0 {
			l.say(tx, proto.TopicAlerts, "second %x", key[:2])
		}
		tx.Rollup(proto.Rollup{Pair: &proto.Pair{Site: m.Site, Flows: c.N}})
		if c.N%3 == 0 {
			tx.Timer(ev.Time.Add(2*time.Second), key)
		}
		if m.FlowID[1]%50 == 49 {
			tx.Sweep("all", 'c')
		}
	}
}

func (l ledger) Fire(tx *Tx, t Timer) {
	ledgerTotals.Edit(tx, t.Key).N += 1000
	l.say(tx, proto.TopicDetections, "fired %x", t.Key[:2])
}

func (l ledger) Sweep(tx *Tx, _ string, key []byte) {
	c := ledgerTotals.Edit(tx, key)
	c.N += 100_000
	l.say(tx, proto.TopicDetections, "swept %x %d", key[:2], c.N)
}

// ledgerInputs makes the two inputs: flows in batches with heartbeats, and what two
// upstream producers say of them. Plainly, every batch comes once and what is said of
// it with it. Otherwise some batches come twice, as capture sends them when it was
// killed, and the second producer is ahead of the first, as another partition of a
// re-keyed fold may be. Both must come to the same.
func ledgerInputs(t *testing.T, plainly bool) (traffic, sides []Record) {
	t.Helper()
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const batches = 40
	all := make([]proto.Batch, batches)
	where := make([]int64, batches) // offset of each batch's first coming
	of := []int{}                   // batch of each traffic record
	base := proto.TimeOf(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	flows := 0
	send := func(n int) {
		of = append(of, n)
		traffic = append(traffic, Record{Topic: proto.TopicTraffic, Offset: int64(len(traffic)), Value: must(proto.Marshal(&all[n]))})
	}
	for n := range batches {
		b := &all[n]
		*b = proto.Batch{Site: "s", Sensor: "x", Producer: "file:1", Domain: "d", FirstSeq: uint64(n*7 + 1)}
		b.Items = append(b.Items, proto.Item{Heartbeat: &proto.Heartbeat{Clock: base.Add(time.Duration(flows) * time.Second / 4), End: n%20 == 19}})
		for range 6 {
			f := &proto.Flow{Site: "s", Start: base, End: base.Add(time.Duration(flows) * time.Second / 4), SrcEndpoint: proto.HashID("e", []byte{byte(flows * 7 % 11)})}
			binary.BigEndian.PutUint16(f.FlowID[:], uint16(flows))
			b.Items = append(b.Items, proto.Item{Flow: f})
			flows++
		}
		where[n] = int64(len(traffic))
		if send(n); !plainly && (n%7 == 6 || n%20 == 19) {
			send(n - 1)
			send(n)
		}
	}
	side := func(env proto.Envelope, value []byte) {
		env.Schema = proto.SchemaDerived
		sides = append(sides, Record{Topic: proto.TopicBindings, Offset: int64(len(sides)), Envelope: must(env.Append(nil)), Value: value})
	}
	seq := map[string]uint64{}
	bindings := func(producer string, n, first int) {
		if n >= batches {
			return
		}
		for i := first; i < len(all[n].Items); i += 2 {
			seq[producer]++
			b := proto.Binding{Endpoint: all[n].Items[i].Flow.SrcEndpoint, Version: uint64(n*10 + i)}
			side(proto.Envelope{
				Kind: proto.KindBinding, Producer: producer, Seq: seq[producer], Domain: "d",
				Cause: proto.Cause{Position: proto.Position{Offset: where[n], Index: int32(i)}},
			}, must(proto.Marshal(&b)))
		}
	}
	ahead := 3
	if plainly {
		ahead = 0
	}
	for n := range ahead {
		bindings("up/1", n, 1)
	}
	for offset, n := range of {
		if where[n] == int64(offset) {
			bindings("up/1", n+ahead, 1)
			bindings("up/0", n, 2)
		}
		side(proto.Envelope{Kind: proto.KindProgress}, must(proto.Marshal(&proto.Progress{Fold: "up", Next: proto.Position{Offset: int64(offset) + 1}})))
	}
	return traffic, sides
}

// A cut is how a commit ends.
type cut int

const (
	clean       cut = iota
	before          // killed before the transaction ended: nothing of it is there
	unstored        // killed when it had, before the local state was written
	tornLog         // the broker was killed too: the changelog has it, the group's offsets do not
	tornOffsets     // the other way round
	lost            // the broker acknowledged it and has lost it
)

// simulation is a broker's memory of one fold partition, and the local states of two instances.
type simulation struct {
	t              *testing.T
	rnd            *rand.Rand
	traffic, sides []Record

	dbs    []*DB
	log    []bus.Record // the changelog
	out    []Emitted
	stable uint64
	torn   bool // the changelog holds a commit that the next one must heal
	ended  map[cut]int
	last   cut
}

// Read implements changelogReader.
func (s *simulation) Read(_ context.Context, _ string, _ int32, offset int64, f func(bus.Record) error) (int64, error) {
	for i := offset; i < int64(len(s.log)); i++ {
		if err := f(s.log[i]); err != nil {
			return 0, err
		}
	}
	return int64(len(s.log)), nil
}

// life runs an instance from its start to a cut, or until everything is done.
func (s *simulation) life(instance int, cuts []cut) (done bool) {
	db := s.dbs[instance]
	r := &Runner{db: db, fold: ledger{}, cfg: RunnerConfig{MaxEntries: 3}}
	res, err := restore(s.t.Context(), db, s, "changelog", 0, s.stable)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := OpenPartition(ledger{}, 0, Options{Store: db, Stats: &r.stats})
	if err != nil {
		s.t.Fatal(err)
	}
	l := &live{p: p, heal: res.heal, minNumber: res.minNumber}
	traffic := s.traffic[res.positions[proto.TopicTraffic].Offset:]
	sides := s.sides[res.positions[proto.TopicBindings].Offset:]
	did := 0
	for idle := 0; idle < 2; {
		traffic = s.offer(p, traffic, 4)
		if did == 0 || p.Waiting(proto.TopicBindings) < 60 { // bounded, as in a runner
			sides = s.offer(p, sides, 50)
		}
		did = p.Run(1+s.rnd.IntN(12), 1, time.Time{})
		c, err := p.Prepare(l.minNumber)
		if err != nil {
			s.t.Fatal(err)
		}
		if c == nil {
			if did == 0 && len(traffic) == 0 && len(sides) == 0 {
				idle++
			}
			continue
		}
		idle = 0
		pr := prepared{0, l, c}
		r.healChanges(pr)
		if s.end(r, pr, cuts) != clean {
			return false
		}
	}
	return true
}

func (s *simulation) offer(p *Partition, records []Record, most int) []Record {
	n := min(len(records), s.rnd.IntN(most))
	for _, r := range records[:n] {
		p.Offer(r)
	}
	return records[n:]
}

// end ends a transaction, cut or not.
func (s *simulation) end(r *Runner, pr prepared, cuts []cut) cut {
	end := clean
	if s.rnd.IntN(6) == 0 {
		end = cuts[s.rnd.IntN(len(cuts))]
	}
	if s.last == tornOffsets && slices.Contains(cuts, tornLog) {
		end = tornLog // what the number of a torn commit, used again, would make good
	}
	if s.torn && (end == tornOffsets || end == lost) {
		end = before // DESIGN, Limits: a torn commit is told from a good one by the next that is whole
	}
	s.ended[end]++
	s.last = end
	whole := end == clean || end == unstored || end == lost
	log, out, stable := s.log, s.out, s.stable
	if whole || end == tornLog {
		for _, c := range pr.c.Changes { // Prepare puts the mark where it was first changed; the runner writes it last
			if string(c.Key) != string(MarkKey) {
				s.change(c)
			}
		}
		for _, c := range pr.c.Changes {
			if string(c.Key) == string(MarkKey) {
				s.change(c)
			}
		}
		s.torn = !whole
	}
	topics := map[string]bool{}
	for _, o := range pr.c.Outputs {
		if _, ok := topics[o.Topic]; !ok {
			topics[o.Topic] = whole || (end != before && s.rnd.IntN(2) == 0)
		}
		if topics[o.Topic] {
			s.out = append(s.out, o)
		}
	}
	if whole || end == tornOffsets {
		s.stable = pr.c.Number
	}
	if end == clean || end == lost {
		if err := r.store([]prepared{pr}); err != nil {
			s.t.Fatal(err)
		}
	}
	if end == lost {
		s.log, s.out, s.stable = slices.Clip(log), slices.Clip(out), stable
	}
	return end
}

func (s *simulation) change(c Change) {
	s.log = append(s.log, bus.Record{Offset: int64(len(s.log)), Key: changelogKey(c.Key), Value: c.Value})
}

// result is what consumers made of the outputs, each dropping by number what it
// has, and then the state as an instance without any reads it.
func (s *simulation) result() []string {
	var got []string
	high := map[string]uint64{}
	for _, o := range s.out {
		rows := []string{string(o.Value)}
		if o.Kind == proto.KindRollup {
			var b proto.RollupBatch
			if err := proto.Unmarshal(o.Value, &b); err != nil {
				s.t.Fatal(err)
			}
			rows = nil
			for _, r := range b.Rows {
				rows = append(rows, fmt.Sprint("row ", r.Pair.Flows))
			}
		}
		key := o.Topic + " " + o.Envelope.Producer
		for i, row := range rows {
			if n := o.Envelope.Seq + uint64(i); n > high[key] {
				high[key] = n
				got = append(got, fmt.Sprintf("%s: %s", o.Topic, row))
			}
		}
	}
	slices.SortStableFunc(got, func(a, b string) int { // each topic has an order of its own
		ta, _, _ := strings.Cut(a, ":")
		tb, _, _ := strings.Cut(b, ":")
		return strings.Compare(ta, tb)
	})
	fresh := s.dbs[2]
	if _, err := restore(s.t.Context(), fresh, s, "changelog", 0, s.stable); err != nil {
		s.t.Fatal(err)
	}
	if err := fresh.Each(0, nil, func(key, val []byte) bool {
		if key[0] != idMark && key[0] != idGates && key[0] != placeKey[0] { // these speak of offsets
			got = append(got, fmt.Sprintf("state %x = %x", key, val))
		}
		return true
	}); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// Wherever a commit is cut, and whichever instance goes on, what consumers have and
// the state at the end are those of an uncut run.
func TestCutsLeaveNoTrace(t *testing.T) {
	run := func(t *testing.T, plainly bool, seed uint64, cuts []cut, ended map[cut]int) []string {
		traffic, sides := ledgerInputs(t, plainly)
		s := &simulation{
			t: t, rnd: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // to be repeated, not secret
			traffic: traffic, sides: sides, ended: ended,
		}
		dir := t.TempDir()
		for _, name := range []string{"a", "b", "reads all at the end"} {
			db, err := OpenDB(filepath.Join(dir, name), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.dbs = append(s.dbs, db)
		}
		defer func() {
			for _, db := range s.dbs {
				_ = db.Close()
			}
		}()
		for lives, done := 0, false; !done; lives++ {
			if lives > 500 {
				t.Fatalf("seed %d: it does not come to an end", seed)
			}
			instance := s.rnd.IntN(2)
			if slices.Contains(cuts, lost) {
				instance = 0 // the one that knows of it
			}
			done = s.life(instance, cuts)
		}
		return s.result()
	}
	want := run(t, true, 1, []cut{clean}, map[cut]int{})
	for _, kind := range []string{"flow", "second", "end of", "fired", "swept", "row", "state"} {
		if !strings.Contains(strings.Join(want, "\n"), kind) {
			t.Fatalf("the uncut run has no %q: the test would show nothing", kind)
		}
	}
	for _, c := range []struct {
		name string
		cuts []cut
	}{
		{"not cut", []cut{clean}},
		{"killed before the transaction ends", []cut{before}},
		{"killed before the local state is written", []cut{unstored}},
		{"torn, changelog ahead", []cut{tornLog}},
		{"torn, offsets ahead", []cut{tornOffsets}},
		{"torn twice", []cut{tornOffsets, tornLog}},
		{"acknowledged and lost", []cut{lost}},
		{"all", []cut{before, unstored, tornLog, tornOffsets}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := map[cut]int{}
			defer func() {
				for _, how := range c.cuts {
					if ended[how] == 0 {
						t.Errorf("no commit was cut in way %d: the case shows nothing", how)
					}
				}
			}()
			for seed := range uint64(6) {
				got := run(t, false, seed, c.cuts, ended)
				if !slices.Equal(got, want) {
					i := 0
					for i < min(len(got), len(want)) && got[i] == want[i] {
						i++
					}
					t.Fatalf("seed %d: %d results, want %d; the first that differs:\n got  %q\n want %q", seed, len(got), len(want), at(got, i), at(want, i))
				}
			}
		})
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(nothing)"
}
