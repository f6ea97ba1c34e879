package bus

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Consumer reads as a member of a group and commits offsets with metadata, for
// the sink. One goroutine polls; Commit may be called from several.
type Consumer struct {
	member
	cl *kgo.Client
}

// NewConsumer joins the group.
func NewConsumer(cfg SessionConfig) (*Consumer, error) {
	c := &Consumer{member: newMember(cfg)}
	opts, err := cfg.Config.options(c.hook)
	if err != nil {
		return nil, err
	}
	opts = append(opts, c.options()...)
	opts = append(opts, produceOptions()...)
	opts = append(opts, kgo.DisableAutoCommit())
	c.cl, err = kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", cfg.Group, err)
	}
	return c, nil
}

// Poll waits for records, at most max, until ctx ends. After it the assignment
// stays as it is until Done.
func (c *Consumer) Poll(ctx context.Context, max int) ([]Record, error) {
	fetches := c.cl.PollRecords(ctx, max)
	c.hook.polled(fetches)
	c.mu.Lock()
	return collect(fetches), pollErrors(fetches)
}

// Done lets the group rebalance.
func (c *Consumer) Done() {
	c.mu.Unlock()
	c.cl.AllowRebalance()
}

// Commit stores the group's offsets of partitions of ours; it is durable when it
// returns nil.
func (c *Consumer) Commit(ctx context.Context, offsets Offsets) error {
	at := map[string]map[int32]kgo.EpochOffset{}
	for t, parts := range offsets {
		at[t] = map[int32]kgo.EpochOffset{}
		for p, o := range parts {
			at[t][p] = kgo.EpochOffset{Epoch: -1, Offset: o.Offset}
		}
	}
	place := kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			t := &req.Topics[i]
			for j := range t.Partitions {
				meta := offsets[t.Topic][t.Partitions[j].Partition].Metadata
				t.Partitions[j].Metadata = &meta
			}
		}
		return nil
	})
	var failed error
	c.cl.CommitOffsetsSync(place, at, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			failed = err
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil && failed == nil {
					failed = fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	})
	if failed != nil {
		return fmt.Errorf("commit offsets of group %s: %w", c.cfg.Group, failed)
	}
	return nil
}

// Produce writes one message and waits until it is acknowledged.
func (c *Consumer) Produce(ctx context.Context, m Message) error {
	if err := c.cl.ProduceSync(ctx, m.toKgo()).FirstErr(); err != nil {
		return fmt.Errorf("write to %s/%d: %w", m.Topic, m.Partition, err)
	}
	return nil
}

// Pause stops fetching partitions of a topic.
func (c *Consumer) Pause(topic string, partitions ...int32) {
	c.cl.PauseFetchPartitions(map[string][]int32{topic: partitions})
}

// Resume goes on fetching.
func (c *Consumer) Resume(topic string, partitions ...int32) {
	c.cl.ResumeFetchPartitions(map[string][]int32{topic: partitions})
}

// Close leaves the group.
func (c *Consumer) Close() { c.cl.CloseAllowingRebalance() }
