package stream_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Guards of exactly-once that lie between a runner and the broker. Each test is
// about one, and fails when it is taken out.

// theBroker gives the embedded broker with all topics of counter and checker.
func theBroker(t *testing.T) bus.Config {
	t.Helper()
	addr, user, password := embeddedtest.NewTestBroker(t)
	c := bus.Default()
	c.Brokers, c.Partitions = []string{addr}, testPartitions
	c.SASL = bus.SASL{Mechanism: "scram-sha-256", User: user, Password: password}
	if err := bus.EnsureTopics(t.Context(), c, bus.Topics("counter", "checker")); err != nil {
		t.Fatal(err)
	}
	return c
}

// marks reads the numbers of the commits in the changelog of each partition, and
// checks that each commit's mark is the last of its records.
func marks(t *testing.T, c bus.Config, fold string) (numbers [testPartitions][]uint64) {
	t.Helper()
	r, err := bus.NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for p := range int32(testPartitions) {
		last := []byte(nil)
		if _, err := r.Read(t.Context(), proto.ChangelogTopic(fold), p, 0, func(rec bus.Record) error {
			if rec.Control {
				if string(last) != string(stream.MarkKey) {
					t.Errorf("partition %d: before the transaction's end at %d lies key %q, want the mark", p, rec.Offset, last)
				}
				return nil
			}
			last = rec.Key[1:]
			if string(last) != string(stream.MarkKey) {
				return nil
			}
			n, _, err := stream.MarkNumber(rec.Value)
			numbers[p] = append(numbers[p], n)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return numbers
}

// tripped is counter, and calls trip once, when it has applied so many flows.
type tripped struct {
	counter
	mu   sync.Mutex
	left int
	trip func()
}

func (f *tripped) Apply(tx *stream.Tx, ev *stream.Event) {
	f.counter.Apply(tx, ev)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == 0 {
		f.trip()
	}
}

// A transaction that fails leaves nothing: no output, no change in the changelog,
// no offset, and above all nothing in the local state, which would otherwise be of
// a commit that never was, under a number that another one will get.
func TestFailedTransactionLeavesNothing(t *testing.T) {
	c := theBroker(t)
	send(t, c, traffic(400), 50)
	dir := t.TempDir()
	f := &tripped{left: 1, trip: func() {
		// Somebody takes over the transactional id in the middle of the work.
		s, err := bus.NewSession(t.Context(), bus.SessionConfig{
			Config: c, Group: "another", TransactionalID: stream.Group("counter") + ".a", Topics: []string{proto.TopicControl}, Assigner: &placed{},
		})
		if err != nil {
			t.Error(err)
			return
		}
		s.Close()
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := runner(t, c, f, "a", dir).Run(ctx); err == nil || ctx.Err() != nil {
		t.Fatalf("the runner ended with %v, want the error of its commit", err)
	}
	for p, n := range marks(t, c, "counter") {
		if len(n) != 0 {
			t.Errorf("partition %d: the changelog has commits %v, want none", p, n)
		}
	}
	group := stream.Group("counter")
	lags, err := bus.Lags(t.Context(), c, map[string][]string{group: {proto.TopicTraffic}})
	if err != nil {
		t.Fatal(err)
	}
	all := int64(0)
	for _, end := range ends(t, c) {
		all += end
	}
	if lag := lags[group][proto.TopicTraffic]; lag != all {
		t.Errorf("the group is %d behind the end, want all %d: it has committed offsets", lag, all)
	}
	db, err := stream.OpenDB(filepath.Join(dir, "counter-a"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := bus.NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for p := range int32(testPartitions) {
		if _, ok, err := db.Get(p, stream.MarkKey); ok || err != nil {
			t.Errorf("partition %d: the local state is of a commit (%v), want none", p, err)
		}
		outputs := 0
		if _, err := r.Read(t.Context(), proto.TopicBindings, p, 0, func(rec bus.Record) error {
			if !rec.Control {
				outputs++
			}
			return nil
		}); err != nil || outputs != 0 {
			t.Errorf("partition %d: %d outputs are committed (%v), want none", p, outputs, err)
		}
	}
}

// placed is an Assigner that says when it has been assigned.
type placed struct {
	once sync.Once
	done chan struct{}
}

func (a *placed) Assigned(context.Context, bus.Offsets) (map[string]map[int32]int64, error) {
	a.once.Do(func() {
		if a.done != nil {
			close(a.done)
		}
	})
	return nil, nil
}
func (*placed) Revoked(map[string][]int32) {}

// commitByHand commits offsets of traffic in the place of instance "a" of a fold, which does not run.
func commitByHand(t *testing.T, c bus.Config, fold string, offsets bus.Offsets) {
	t.Helper()
	a := &placed{done: make(chan struct{})}
	s, err := bus.NewConsumer(bus.SessionConfig{Config: c, Group: stream.Group(fold), Instance: "a", Topics: []string{proto.TopicTraffic}, Assigner: a})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for assigned := false; !assigned; {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := s.Poll(ctx, 1)
		cancel()
		s.Done()
		select {
		case <-a.done:
			assigned = true
		default:
			if err != nil || t.Context().Err() != nil {
				t.Fatal(err, t.Context().Err())
			}
		}
	}
	if err := s.Commit(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
}

// ends gives the next offset of each partition of traffic.
func ends(t *testing.T, c bus.Config) (at [testPartitions]int64) {
	t.Helper()
	list, err := bus.Ends(t.Context(), c, proto.TopicTraffic)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		at[e.Partition] = e.End
	}
	return at
}

// bindings waits until wardflow.bindings has so many, by producer number, and gives
// how many more there are.
func bindings(t *testing.T, c bus.Config, want int) (more int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := bus.NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := 0; ; n = 0 {
		for p := range int32(testPartitions) {
			high := map[string]uint64{}
			if _, err := r.Read(ctx, proto.TopicBindings, p, 0, func(rec bus.Record) error {
				var env proto.Envelope
				if rec.Control {
					return nil
				}
				if err := env.Parse(rec.Envelope); err != nil {
					return err
				}
				if env.Kind == proto.KindBinding && env.Seq > high[env.Producer] {
					high[env.Producer] = env.Seq
					n++
				}
				return nil
			}); err != nil {
				t.Fatalf("%d of %d bindings: %v", n, want, err)
			}
		}
		if n >= want {
			return n - want
		}
	}
}

// When the group's offsets are ahead of the changelog (a broker was killed while it
// ended the transaction), the inputs start where the mark says and the commit is
// done again, under a number that no commit has had.
func TestInputsStartWhereTheMarkSays(t *testing.T) {
	c := theBroker(t)
	dir := t.TempDir()
	send(t, c, traffic(300), 20)
	stop := start(t, runner(t, c, counter{}, "a", dir))
	bindings(t, c, 300)
	stop()
	before := marks(t, c, "counter")
	send(t, c, traffic(600), 20) // what is known is dropped by number
	torn := func(p int) uint64 { return before[p][len(before[p])-1] + 1 }
	offsets := bus.Offsets{}
	for p, end := range ends(t, c) {
		offsets.Set(proto.TopicTraffic, int32(p), bus.Committed{Offset: end, Metadata: fmt.Sprint("n=", torn(p))})
	}
	commitByHand(t, c, "counter", offsets)
	stop = start(t, runner(t, c, counter{}, "a", dir))
	defer func() { stop() }()
	if more := bindings(t, c, 600); more != 0 {
		t.Errorf("%d bindings more than flows", more)
	}
	for p, n := range marks(t, c, "counter") {
		if n = n[len(before[p]):]; n[0] <= torn(p) {
			t.Errorf("partition %d: the commits done again are %v, of which %d is torn", p, n, torn(p))
		}
	}
}

// A group that has committed, with a changelog that has nothing, stops the fold:
// an empty state would give out numbers that everybody drops.
func TestLostChangelogStopsTheFold(t *testing.T) {
	c := theBroker(t)
	send(t, c, traffic(20), 20)
	offsets := bus.Offsets{}
	for p := range int32(testPartitions) {
		offsets.Set(proto.TopicTraffic, p, bus.Committed{Offset: 1, Metadata: "n=3"})
	}
	commitByHand(t, c, "counter", offsets)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := runner(t, c, counter{}, "a", t.TempDir()).Run(ctx); err == nil || !strings.Contains(err.Error(), "deleted or truncated") {
		t.Errorf("the runner ended with %v, want the error that the changelog has been deleted", err)
	}
}
