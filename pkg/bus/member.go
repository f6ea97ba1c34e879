package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Committed is a group's committed offset of a partition, -1 when there is none.
type Committed struct {
	Offset   int64
	Metadata string
}

// Offsets are committed offsets by topic and partition.
type Offsets map[string]map[int32]Committed

// Set keeps an offset.
func (o Offsets) Set(topic string, partition int32, c Committed) {
	if o[topic] == nil {
		o[topic] = map[int32]Committed{}
	}
	o[topic][partition] = c
}

// Assigner is told which partitions a member of a group has. Calls never overlap
// with the member's work between Poll and Done.
type Assigner interface {
	// Assigned gets the stable committed offsets of the partitions added and
	// gives the offsets to read from.
	Assigned(ctx context.Context, committed Offsets) (map[string]map[int32]int64, error)
	// Revoked says that all work on these partitions since the last commit is void.
	Revoked(partitions map[string][]int32)
}

// SessionConfig says what a session reads, and as whom.
type SessionConfig struct {
	Config          Config
	Group           string
	TransactionalID string // stable per instance: a new session of the same id ends what an old one left open
	Topics          []string
	// Instance is the stable name of this member within the group (KIP-345): whoever
	// comes back under it within the session timeout has its partitions again without
	// a rebalance of the others. Empty: every start is a new member.
	Instance       string
	Assigner       Assigner
	SessionTimeout time.Duration // 0: 6 s, the least that Kafka's defaults allow
}

// member is what a transactional session and a plain consumer share: group
// membership with co-partitioned range assignment, and offsets that we place.
type member struct {
	cfg  SessionConfig
	hook *hook      // nil without telemetry
	mu   sync.Mutex // held by whoever works on assigned partitions

	fetched Offsets // between onFetched and adjust
}

func newMember(cfg SessionConfig) member {
	return member{cfg: cfg, hook: newHook(&cfg.Config, cfg.Group)}
}

func (m *member) options() []kgo.Opt {
	timeout := m.cfg.SessionTimeout
	if timeout == 0 {
		timeout = 6 * time.Second
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(m.cfg.Group),
		kgo.ConsumeTopics(m.cfg.Topics...),
		// Range gives a member the same partition numbers of every topic, which
		// is what makes lanes of several topics meet in one place.
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(timeout),
		kgo.HeartbeatInterval(timeout / 6),
		kgo.RebalanceTimeout(30 * time.Second),
		kgo.FetchMaxWait(100 * time.Millisecond),
		// Partitions bound a fetch, not the whole: the embedded broker forgets to name the
		// aborted transactions of a partition at which a fetch becomes full.
		kgo.FetchMaxBytes(96 << 20),
		kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnOffsetsFetched(m.onFetched),
		kgo.AdjustFetchOffsetsFn(m.adjust),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.revoked),
	}
	if m.cfg.Instance != "" {
		opts = append(opts, kgo.InstanceID(m.instanceID()))
	}
	return opts
}

// instanceID is the member's static id; the group is in it because brokers show it without.
func (m *member) instanceID() string { return m.cfg.Group + "." + m.cfg.Instance }

// onFetched keeps the metadata of committed offsets, which adjust is not given.
func (m *member) onFetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	m.fetched = Offsets{}
	keep := func(topic string, partition int32, offset int64, meta *string) {
		c := Committed{Offset: offset}
		if meta != nil {
			c.Metadata = *meta
		}
		m.fetched.Set(topic, partition, c)
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				keep(t.Topic, p.Partition, p.Offset, p.Metadata)
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			keep(t.Topic, p.Partition, p.Offset, p.Metadata)
		}
	}
	return nil
}

func (m *member) adjust(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	committed := Offsets{}
	for t, parts := range offsets {
		for p := range parts {
			c, ok := m.fetched[t][p]
			if !ok {
				c = Committed{Offset: -1}
			}
			committed.Set(t, p, c)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	start, err := m.cfg.Assigner.Assigned(ctx, committed)
	if err != nil {
		return nil, err
	}
	for t, parts := range start {
		for p, at := range parts {
			if _, ok := offsets[t][p]; ok && at >= 0 {
				offsets[t][p] = kgo.NewOffset().At(at)
			}
		}
	}
	return offsets, nil
}

func (m *member) revoked(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	if len(partitions) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cfg.Assigner.Revoked(partitions)
}

// pollErrors keeps the errors that the client does not go on retrying by itself.
func pollErrors(fetches kgo.Fetches) error {
	var errs []error
	for _, fe := range fetches.Errors() {
		if errors.Is(fe.Err, context.Canceled) || errors.Is(fe.Err, context.DeadlineExceeded) || kerr.IsRetriable(fe.Err) {
			continue
		}
		if fe.Topic == "" {
			errs = append(errs, fe.Err)
			continue
		}
		errs = append(errs, fmt.Errorf("read %s/%d: %w", fe.Topic, fe.Partition, fe.Err))
	}
	return errors.Join(errs...)
}

func collect(fetches kgo.Fetches) []Record {
	out := make([]Record, 0, fetches.NumRecords())
	fetches.EachRecord(func(r *kgo.Record) { out = append(out, fromKgo(r)) })
	return out
}
