package embedded_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/wardflow/wardflow/pkg/embedded"
)

// copier reads in, and writes each value to out and to the compacted state, in transactions that carry its offsets.
func copier(ctx context.Context, t *testing.T, b *killable, id int, copied *atomic.Int64) {
	t.Helper()
	s, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(b.Addr()), kgo.SASL(scram.Auth{User: "u", Pass: "p"}.AsSha256Mechanism()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.TransactionalID("copier-"+strconv.Itoa(id)), kgo.ConsumerGroup("copiers"), kgo.ConsumeTopics("in"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.FetchMaxPartitionBytes(4<<10),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	for ctx.Err() == nil {
		records := s.PollRecords(ctx, 100).Records()
		if len(records) == 0 {
			continue
		}
		if err := s.Begin(); err != nil {
			t.Errorf("copier %d: begin: %v", id, err)
			return
		}
		for _, r := range records {
			s.Produce(ctx, &kgo.Record{Topic: "out", Partition: r.Partition, Value: r.Value}, nil)
			s.Produce(ctx, &kgo.Record{Topic: "state", Partition: r.Partition, Key: r.Value[:2], Value: []byte(strings.Repeat("s", 500))}, nil)
		}
		committed, err := s.End(ctx, kgo.TryCommit)
		if committed {
			copied.Add(int64(len(records)))
		} else {
			t.Logf("copier %d: not committed: %v", id, err)
		}
	}
}

// A group that consumes, transforms and produces in transactions goes through many cleanings and copies each record
// exactly once.
func TestGroupThroughCleanings(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir(), MaxBytes: 4 << 20, SegmentBytes: 64 << 10})
	policy := "compact"
	admin := client(t, b.Addr(), "u", "p")
	createTopic(t, admin, 4, map[string]*string{"cleanup.policy": &policy}, "state")
	createTopic(t, admin, 4, nil, "in")
	createTopic(t, admin, 4, nil, "out")
	const n = 12_000
	want := make([]string, n)
	for i := range n {
		want[i] = fmt.Sprintf("%02d %06d", i%100, i)
		admin.Produce(t.Context(), &kgo.Record{Topic: "in", Partition: int32(i % 4), Value: []byte(want[i])}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := admin.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var copied atomic.Int64
	var wg sync.WaitGroup
	for id := range 2 {
		wg.Go(func() { copier(ctx, t, b, id, &copied) })
	}
	before := b.Cleanings()
	await(t, "the copy", func() bool {
		if err := b.Tidy(time.Now()); err != nil {
			t.Error(err)
		}
		return copied.Load() >= n
	})
	if got := b.Cleanings() - before; got < 2 {
		t.Errorf("%d cleanings, want some", got)
	}
	cancel()
	wg.Wait()
	slices.Sort(want)
	got := values(consume(t, b.Addr(), "u", "p", "out"))
	if !slices.Equal(got, want) {
		t.Errorf("%d copies, %d of them different, want %d", len(got), len(slices.Compact(slices.Clone(got))), n)
	}
}
