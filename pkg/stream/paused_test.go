package stream

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/proto"
)

// anybody takes whatever partitions it is given.
type anybody struct{}

func (anybody) Assigned(context.Context, bus.Offsets) (map[string]map[int32]int64, error) {
	return nil, nil
}
func (anybody) Revoked(map[string][]int32) {}

// A partition whose fetching is paused when it is taken away goes on when it comes
// back: the client remembers pauses, whoever has the partition meanwhile.
func TestPausedPartitionComesBack(t *testing.T) {
	const partitions = 2
	addr, user, password := embeddedtest.NewTestBroker(t)
	c := bus.Default()
	c.Brokers, c.Partitions = []string{addr}, partitions
	c.SASL = bus.SASL{Mechanism: "scram-sha-256", User: user, Password: password}
	if err := bus.EnsureTopics(t.Context(), c, bus.Topics("ledger")); err != nil {
		t.Fatal(err)
	}
	records, _ := ledgerInputs(t, true)
	var messages []bus.Message
	for _, r := range records {
		for p := range int32(partitions) {
			messages = append(messages, bus.Message{Topic: r.Topic, Partition: p, Value: r.Value})
		}
	}
	if err := bus.WriteAll(t.Context(), c, "capture", messages); err != nil {
		t.Fatal(err)
	}
	r := NewRunner(ledger{}, RunnerConfig{Bus: c})
	var err error
	if r.db, err = OpenDB(filepath.Join(t.TempDir(), "state"), nil, nil); err != nil {
		t.Fatal(err)
	}
	defer r.db.Close()
	if r.reader, err = bus.NewReader(c); err != nil {
		t.Fatal(err)
	}
	defer r.reader.Close()
	r.parts, r.paused, r.stale = map[int32]*live{}, map[string]map[int32]bool{}, map[string][]int32{}
	join := func(id string, a bus.Assigner) *bus.Session {
		s, err := bus.NewSession(t.Context(), bus.SessionConfig{
			Config: c, Group: Group("ledger"), TransactionalID: id, Topics: []string{proto.TopicTraffic, proto.TopicBindings}, Assigner: a,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := join("a", r)
	defer s.Close()
	// until is a runner's loop without its work: the upstream never says anything.
	until := func(what string, ready func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			records, err := s.Poll(ctx, 512)
			cancel()
			if err == nil {
				r.offer(s, records)
			}
			ok := ready()
			s.Done()
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("waited for %s: %v", what, err)
			}
			if ok {
				return
			}
		}
	}
	until("both partitions to be paused", func() bool { return len(r.paused[proto.TopicTraffic]) == partitions })
	other := join("b", anybody{})
	until("one of them to go", func() bool { return len(r.parts) == 1 })
	other.Close()
	until("both to have records again", func() bool {
		n := 0
		for _, l := range r.parts {
			if l.p.Waiting(proto.TopicTraffic) > 0 {
				n++
			}
		}
		return n == partitions
	})
}
