package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
)

func client(t testing.TB, addr, user, password string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(addr),
		kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchMaxWait(250 * time.Millisecond),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t testing.TB, cl *kgo.Client, partitions int32, configs map[string]*string, topic string) {
	t.Helper()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, -1, configs, topic); err != nil {
		t.Fatalf("create %s: %v", topic, err)
	}
}

// consume returns values by partition from start until each partition's end, read committed.
func consume(t testing.TB, addr, user, password, topic string) map[int32][]*kgo.Record {
	t.Helper()
	cl := client(t, addr, user, password, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last offset may be a marker's
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	starts, err := kadm.NewClient(cl).ListStartOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if s, _ := starts.Lookup(topic, o.Partition); s.Offset < o.Offset {
			left[o.Partition] = o.Offset
		}
	})
	got := map[int32][]*kgo.Record{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("consume %s: %d partitions did not end", topic, len(left))
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				if !r.Attrs.IsControl() {
					got[p.Partition] = append(got[p.Partition], r)
				}
				if r.Offset+1 >= left[p.Partition] {
					delete(left, p.Partition)
				}
			}
		})
	}
	return got
}

func TestBrokerChild(t *testing.T) {
	dir := t.TempDir()
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := run.BrokerConfig(filepath.Join(dir, "broker"))
	p, err := embedded.StartBroker(t.Context(), c, embedded.Child{Command: embeddedtest.Command()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	addr := run.Broker.Address()
	for name, password := range map[string]string{"wrong": "x", "empty": ""} {
		wrong := client(t, addr, run.Broker.User, password)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := wrong.Ping(ctx); err == nil {
			t.Errorf("%s password is let in", name)
		}
		cancel()
	}
	cl := client(t, addr, run.Broker.User, run.Broker.Password)
	createTopic(t, cl, 2, nil, "wardflow.t")
	for i := range 1000 {
		cl.Produce(t.Context(), &kgo.Record{Topic: "wardflow.t", Partition: int32(i % 2), Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 2; round++ {
		before := p.PID()
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		await(t, "restart", func() bool { return p.Up() && p.PID() != before })
		n := 0
		for part, records := range consume(t, addr, run.Broker.User, run.Broker.Password, "wardflow.t") {
			for i, r := range records {
				if string(r.Value) != fmt.Sprint(i*2+int(part)) || r.Offset != int64(i) {
					t.Fatalf("partition %d offset %d: %s at %d", part, i, r.Value, r.Offset)
				}
				n++
			}
		}
		if n != 1000 {
			t.Errorf("after kill %d: %d records, want 1000", round, n)
		}
	}
}

func TestBrokerTakesItsMessageSize(t *testing.T) {
	addr, user, password := embeddedtest.NewTestBroker(t)
	cl := client(t, addr, user, password, kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	createTopic(t, cl, 1, nil, "t")
	for size, want := range map[int]error{3 << 20: nil, 5 << 20: kerr.MessageTooLarge} {
		r := kgo.Record{Topic: "t", Value: []byte(strings.Repeat("x", size))}
		if err := cl.ProduceSync(t.Context(), &r).FirstErr(); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}
