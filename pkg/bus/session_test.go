package bus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/proto"
)

// What the folds' exactly-once needs of a session: each test here fails when the
// one guard that it is about is taken out.

// oneBroker gives a broker with all topics of one partition.
func oneBroker(t *testing.T) Config {
	t.Helper()
	c := Default()
	addr, user, password := embeddedtest.NewTestBroker(t)
	c.Brokers, c.Partitions = []string{addr}, 1
	c.SASL = SASL{Mechanism: "scram-sha-256", User: user, Password: password}
	if err := EnsureTopics(t.Context(), c, Topics("f")); err != nil {
		t.Fatal(err)
	}
	return c
}

// wholly is an Assigner that reads from the start and remembers what the group had committed.
type wholly struct {
	mu        sync.Mutex
	committed []Offsets
}

func (w *wholly) Assigned(_ context.Context, committed Offsets) (map[string]map[int32]int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = append(w.committed, committed)
	return map[string]map[int32]int64{proto.TopicTraffic: {0: 0}}, nil
}
func (w *wholly) Revoked(map[string][]int32) {}

func (w *wholly) last() Offsets {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.committed) == 0 {
		return nil
	}
	return w.committed[len(w.committed)-1]
}

func session(t *testing.T, c Config, id string, a Assigner) *Session {
	t.Helper()
	s, err := NewSession(t.Context(), SessionConfig{Config: c, Group: "g", TransactionalID: id, Topics: []string{proto.TopicTraffic}, Assigner: a})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// values polls until n records have come, and gives their values. The assignment
// stays as it is: the caller calls Done.
func values(t *testing.T, poll func(context.Context, int) ([]Record, error), done func(), n int) (got []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		records, err := poll(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			got = append(got, string(r.Value))
		}
		if len(got) >= n {
			return got
		}
		if ctx.Err() != nil {
			t.Fatalf("read %q, want %d records", got, n)
		}
		done()
	}
}

func write(t *testing.T, c Config, topic string, vals ...string) {
	t.Helper()
	var m []Message
	for _, v := range vals {
		m = append(m, Message{Topic: topic, Key: []byte("k"), Value: []byte(v)})
	}
	if err := WriteAll(t.Context(), c, "writer", m); err != nil {
		t.Fatal(err)
	}
}

// read gives the values of a topic, markers left out.
func read(ctx context.Context, t *testing.T, c Config, topic string) (got []string, err error) {
	t.Helper()
	r, err := NewReader(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = r.Read(ctx, topic, 0, 0, func(rec Record) error {
		if !rec.Control {
			got = append(got, string(rec.Value))
		}
		return nil
	})
	return got, err
}

// kick throws a session out of the group, as a coordinator does that has not heard of it.
func kick(t *testing.T, s *Session) {
	t.Helper()
	cl, err := s.cfg.Config.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrLeaveGroupRequest()
	m := kmsg.NewLeaveGroupRequestMember()
	req.Group = s.cfg.Group
	m.MemberID, _ = s.cl.GroupMetadata()
	req.MemberID, req.Members = m.MemberID, append(req.Members, m)
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("leave group: %v, %+v", err, resp)
	}
}

// A member that the group has thrown out commits nothing: neither its outputs nor
// its offsets, although its transaction is in order.
func TestFencedMemberCommitsNothing(t *testing.T) {
	c := oneBroker(t)
	write(t, c, proto.TopicTraffic, "item")
	s := session(t, c, "one", &wholly{})
	values(t, s.Poll, s.Done, 1)
	defer func() { s.Done(); s.Close() }()
	kick(t, s)
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	s.Produce(t.Context(), Message{Topic: proto.TopicDetections, Value: []byte("output of a zombie")})
	offsets := Offsets{}
	offsets.Set(proto.TopicTraffic, 0, Committed{Offset: 1, Metadata: "n=1"})
	if err := s.Commit(t.Context(), offsets); !errors.Is(err, ErrFenced) {
		t.Errorf("commit of a member that was thrown out: %v, want ErrFenced", err)
	}
	got, err := read(t.Context(), t, c, proto.TopicDetections)
	if err != nil || len(got) != 0 {
		t.Errorf("outputs %q are committed (%v), want none", got, err)
	}
	if at, ok := groupOffset(t, c, "g"); ok {
		t.Errorf("offset %d (%s) is committed, want none", at.Offset, at.Metadata)
	}
}

// groupOffset is what a group has committed of traffic, pending transactions left out.
func groupOffset(t *testing.T, c Config, group string) (Committed, bool) {
	t.Helper()
	cl, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	all, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := all.Lookup(proto.TopicTraffic, 0)
	return Committed{Offset: o.At, Metadata: o.Metadata}, ok && o.At >= 0
}

// A commit shows its outputs and its offsets together, an aborted one neither.
func TestOutputsAndOffsetsAreOneTransaction(t *testing.T) {
	c := oneBroker(t)
	write(t, c, proto.TopicTraffic, "item")
	s := session(t, c, "one", &wholly{})
	values(t, s.Poll, s.Done, 1)
	defer func() { s.Done(); s.Close() }()
	for _, commit := range []bool{false, true} {
		if err := s.Begin(); err != nil {
			t.Fatal(err)
		}
		s.Produce(t.Context(), Message{Topic: proto.TopicDetections, Value: []byte("output")})
		offsets := Offsets{}
		offsets.Set(proto.TopicTraffic, 0, Committed{Offset: 1, Metadata: "n=1"})
		if commit {
			if err := s.Commit(t.Context(), offsets); err != nil {
				t.Fatal(err)
			}
		} else if err := errors.Join(s.Flush(t.Context()), s.commitOffsets(t.Context(), offsets), s.cl.EndTransaction(t.Context(), kgo.TryAbort)); err != nil {
			t.Fatal(err)
		}
		got, err := read(t.Context(), t, c, proto.TopicDetections)
		at, ok := groupOffset(t, c, "g")
		if err != nil || ok != commit || len(got) == 1 != commit || (commit && at.Metadata != "n=1") {
			t.Errorf("ended with commit %v: outputs %q (%v), offset %+v %v", commit, got, err, at, ok)
		}
	}
}

// A session whose transactional id has been taken over commits no offsets, also
// when it has written nothing in its transaction.
func TestSupersededSessionCommitsNoOffsets(t *testing.T) {
	c := oneBroker(t)
	write(t, c, proto.TopicTraffic, "item")
	s := session(t, c, "one", &wholly{})
	values(t, s.Poll, s.Done, 1)
	defer func() { s.Done(); s.Close() }()
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	other, err := NewSession(t.Context(), SessionConfig{Config: c, Group: "another", TransactionalID: "one", Topics: []string{proto.TopicTraffic}, Assigner: &wholly{}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	offsets := Offsets{}
	offsets.Set(proto.TopicTraffic, 0, Committed{Offset: 1, Metadata: "n=1"})
	if err := s.Commit(t.Context(), offsets); err == nil {
		t.Error("a session whose transactional id was taken over could commit")
	}
	if at, ok := groupOffset(t, c, "g"); ok {
		t.Errorf("offset %d (%s) is committed, want none", at.Offset, at.Metadata)
	}
}

// A session that takes over a transactional id ends at once what the one before
// left open, its offsets included: nobody has to wait for the timeout.
func TestTakingOverEndsTheOpenTransaction(t *testing.T) {
	c := oneBroker(t)
	write(t, c, proto.TopicTraffic, "item")
	dead := session(t, c, "one", &wholly{})
	values(t, dead.Poll, dead.Done, 1)
	if err := dead.Begin(); err != nil {
		t.Fatal(err)
	}
	dead.Produce(t.Context(), Message{Topic: proto.TopicDetections, Value: []byte("half done")})
	offsets := Offsets{}
	offsets.Set(proto.TopicTraffic, 0, Committed{Offset: 1, Metadata: "n=1"})
	if err := errors.Join(dead.Flush(t.Context()), dead.commitOffsets(t.Context(), offsets)); err != nil {
		t.Fatal(err)
	}
	kick(t, dead)
	w := &wholly{}
	s := session(t, c, "one", w)
	// Before anything else happens: reading to the high watermark does not wait.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if got, err := read(ctx, t, c, proto.TopicDetections); err != nil || len(got) != 0 {
		t.Errorf("after the take-over outputs are %q, %v; want none, and no wait", got, err)
	}
	if !t.Failed() {
		values(t, s.Poll, s.Done, 1)
		if at := w.last()[proto.TopicTraffic][0]; at.Offset != -1 {
			t.Errorf("the group has %+v, want nothing: the transaction was never ended", at)
		}
		s.Done()
	}
	dead.Done()
	dead.Close()
	s.Close()
}

// Records of an aborted transaction reach nobody: neither folds, nor the sink, nor
// whoever reads a changelog.
func TestAbortedRecordsReachNobody(t *testing.T) {
	c := oneBroker(t)
	w := session(t, c, "aborting", &wholly{})
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	w.Produce(t.Context(), Message{Topic: proto.TopicTraffic, Key: []byte("k"), Value: []byte("aborted")})
	if err := errors.Join(w.Flush(t.Context()), w.cl.EndTransaction(t.Context(), kgo.TryAbort)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	want := []string{"committed"}
	write(t, c, proto.TopicTraffic, want...)
	t.Run("session", func(t *testing.T) {
		s := session(t, c, "one", &wholly{})
		defer s.Close()
		got := values(t, s.Poll, s.Done, 1)
		s.Done()
		if !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
	})
	t.Run("consumer", func(t *testing.T) {
		s, err := NewConsumer(SessionConfig{Config: c, Group: "c", Topics: []string{proto.TopicTraffic}, Assigner: &wholly{}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		got := values(t, s.Poll, s.Done, 1)
		s.Done()
		if !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
	})
	t.Run("reader", func(t *testing.T) {
		got, err := read(t.Context(), t, c, proto.TopicTraffic)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("read %q (%v), want %q", got, err, want)
		}
	})
}

// Behind a killed writer's open transaction lie the commits of whoever took over:
// a reader waits for them and never gives what is before as all there is.
func TestReaderGoesPastAnOpenTransaction(t *testing.T) {
	c := oneBroker(t)
	topic := proto.ChangelogTopic("f")
	write(t, c, topic, "old")
	dead := session(t, c, "dead", &wholly{})
	if err := dead.Begin(); err != nil {
		t.Fatal(err)
	}
	dead.Produce(t.Context(), Message{Topic: topic, Key: []byte("k"), Value: []byte("open")})
	if err := dead.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, c, topic, "new")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got, err := read(ctx, t, c, topic); err == nil {
		t.Errorf("read %q while a transaction was open before the end, want it to wait", got)
	}
	session(t, c, "dead", &wholly{}).Close()
	got, err := read(t.Context(), t, c, topic)
	if want := []string{"old", "new"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("read %q (%v), want %q", got, err, want)
	}
	dead.Close()
}
