package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/wardflow/wardflow/pkg/failpoint"
)

// Session reads and writes in transactions, as a member of a group. One
// goroutine uses it: Poll, then Begin, Produce..., Commit, then Done.
//
// It commits offsets itself instead of through kgo's GroupTransactSession: ours
// are positions of what has been applied, not of what was polled; they carry
// metadata; they are committed also when nothing was polled; and a rebalance
// between two transactions must not make the next one fail.
type Session struct {
	member
	cl *kgo.Client

	ids map[string][16]byte // of topics: newer offset commits name topics by id

	errMu sync.Mutex
	err   error
}

// NewSession joins the group.
func NewSession(ctx context.Context, cfg SessionConfig) (*Session, error) {
	s := &Session{member: newMember(cfg)}
	opts, err := cfg.Config.options(s.hook)
	if err != nil {
		return nil, err
	}
	opts = append(opts, produceOptions()...)
	opts = append(opts, s.options()...)
	opts = append(opts,
		kgo.DisableAutoCommit(),
		kgo.TransactionalID(cfg.TransactionalID),
		kgo.TransactionTimeout(30*time.Second),
		kgo.MaxBufferedRecords(1<<20),
	)
	s.cl, err = kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", cfg.Group, err)
	}
	// Taking the producer id ends what a killed process of the same transactional
	// id left open. Left to the first write, everybody who is assigned our partitions
	// would wait for the transaction's timeout, because its offsets are unstable.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, _, err := s.cl.ProducerID(ctx); err != nil {
		s.cl.Close()
		return nil, fmt.Errorf("take over transactional id %s: %w", cfg.TransactionalID, err)
	}
	return s, nil
}

// Poll waits for records, at most max, until ctx ends. After it the assignment
// stays as it is until Done.
func (s *Session) Poll(ctx context.Context, max int) ([]Record, error) {
	fetches := s.cl.PollRecords(ctx, max)
	s.hook.polled(fetches)
	s.mu.Lock()
	return collect(fetches), pollErrors(fetches)
}

// Done lets the group rebalance.
func (s *Session) Done() {
	s.mu.Unlock()
	s.cl.AllowRebalance()
}

// Begin starts a transaction.
func (s *Session) Begin() error {
	s.err = nil
	if err := s.cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	return nil
}

// Produce writes within the transaction; the first error makes Flush fail.
func (s *Session) Produce(ctx context.Context, m Message) {
	s.cl.Produce(ctx, m.toKgo(), s.produced)
}

func (s *Session) produced(r *kgo.Record, err error) {
	if err == nil {
		return
	}
	s.errMu.Lock()
	defer s.errMu.Unlock()
	if s.err == nil {
		s.err = fmt.Errorf("write to %s/%d: %w", r.Topic, r.Partition, err)
	}
}

// Flush waits until everything of the transaction is written.
func (s *Session) Flush(ctx context.Context) error {
	if err := s.cl.Flush(ctx); err != nil {
		return fmt.Errorf("flush transaction: %w", err)
	}
	s.errMu.Lock()
	defer s.errMu.Unlock()
	return s.err
}

// ErrFenced says that the group has rebalanced without us: the transaction was
// aborted, and the partitions' work since the last commit is void.
var ErrFenced = errors.New("the group has moved on")

// Commit flushes, adds the group's offsets to the transaction and commits it. It
// gives ErrFenced when a rebalance has made the work void. After any other error
// the outcome is unknown and the session must be closed.
func (s *Session) Commit(ctx context.Context, offsets Offsets) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	if err := s.commitOffsets(ctx, offsets); err != nil {
		if !fenced(err) {
			return fmt.Errorf("commit offsets of group %s: %w", s.cfg.Group, err)
		}
		if aerr := s.cl.EndTransaction(ctx, kgo.TryAbort); aerr != nil {
			return fmt.Errorf("abort transaction: %w", aerr)
		}
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	failpoint.Hit("stream.endtxn.before")
	if err := s.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("end transaction: %w", err)
	}
	return nil
}

// fenced tells the errors that mean "another generation of the group".
func fenced(err error) bool {
	for _, e := range []error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.FencedInstanceID, kerr.StaleMemberEpoch} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *Session) commitOffsets(ctx context.Context, offsets Offsets) error {
	if err := s.learnTopicIDs(ctx); err != nil {
		return err
	}
	id, epoch, err := s.cl.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("get producer id: %w", err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = s.cfg.TransactionalID, id, epoch, s.cfg.Group
	added, err := retry(ctx, func() (*kmsg.AddOffsetsToTxnResponse, error) {
		resp, err := add.RequestWith(ctx, s.cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		return resp, err
	})
	if err != nil {
		return fmt.Errorf("add offsets to transaction: %w (%v)", err, added)
	}
	member, generation := s.cl.GroupMetadata()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = s.cfg.TransactionalID, s.cfg.Group, id, epoch
	req.MemberID, req.Generation = member, generation
	if s.cfg.Instance != "" {
		id := s.instanceID()
		req.InstanceID = &id
	}
	for _, topic := range slices.Sorted(maps.Keys(offsets)) {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.ids[topic]
		for _, partition := range slices.Sorted(maps.Keys(offsets[topic])) {
			c := offsets[topic][partition]
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.Metadata = partition, c.Offset, &c.Metadata
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	_, err = retry(ctx, func() (*kmsg.TxnOffsetCommitResponse, error) {
		resp, err := req.RequestWith(ctx, s.cl)
		if err != nil {
			return nil, err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
		return resp, nil
	})
	return err
}

func (s *Session) learnTopicIDs(ctx context.Context) error {
	if s.ids != nil {
		return nil
	}
	topics, err := kadm.NewClient(s.cl).ListTopics(ctx, s.cfg.Topics...)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	s.ids = map[string][16]byte{}
	for name, t := range topics {
		if t.Err != nil {
			return fmt.Errorf("topic %s: %w", name, t.Err)
		}
		s.ids[name] = t.ID
	}
	return nil
}

// again tells the errors by which a coordinator asks to be asked once more.
func again(err error) bool {
	for _, e := range []error{kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// retry repeats a coordinator request while the broker asks for it.
func retry[R any](ctx context.Context, f func() (R, error)) (R, error) {
	for wait := 5 * time.Millisecond; ; wait = min(wait*2, 200*time.Millisecond) {
		r, err := f()
		if err == nil || !again(err) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

// Pause stops fetching partitions of a topic; Resume goes on.
func (s *Session) Pause(topic string, partitions ...int32) {
	s.cl.PauseFetchPartitions(map[string][]int32{topic: partitions})
}

// Resume goes on fetching.
func (s *Session) Resume(topic string, partitions ...int32) {
	s.cl.ResumeFetchPartitions(map[string][]int32{topic: partitions})
}

// Close leaves the group. A transaction that is open is aborted by the next
// session of the same id, or by its timeout.
func (s *Session) Close() { s.cl.CloseAllowingRebalance() }
