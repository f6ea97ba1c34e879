package embedded_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
)

// What a client knows of a transaction in the end.
const (
	committed = "committed"
	refused   = "never committed"
	inDoubt   = "in doubt" // the answer to its commit was lost
)

const recordsPerTxn = 8 // on two topics of four partitions

// writer writes transactions until ctx ends and notes what it knows of each. After any error it starts over as the
// same producer, as a fold does.
func writer(ctx context.Context, t *testing.T, run *embedded.RunFile, id int, note func(txn, outcome string)) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(run.Broker.Address()), kgo.SASL(scram.Auth{User: run.Broker.User, Pass: run.Broker.Password}.AsSha256Mechanism()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("writer-" + strconv.Itoa(id)), kgo.RetryTimeout(5 * time.Second),
	}
	var cl *kgo.Client
	defer func() {
		if cl != nil {
			cl.Close()
		}
		// A transaction that was left open hides what others commit behind it. Who comes next under its name ends it, as
		// the next life of a fold does.
		next, err := kgo.NewClient(opts...)
		if err != nil {
			t.Error(err)
			return
		}
		defer next.Close()
		if _, _, err := next.ProducerID(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("end what writer %d left open: %v", id, err)
		}
	}()
	for round := 0; ctx.Err() == nil; round++ {
		if cl == nil {
			var err error
			if cl, err = kgo.NewClient(opts...); err != nil {
				t.Error(err)
				return
			}
		}
		txn := fmt.Sprintf("%d/%d", id, round)
		var rs []*kgo.Record
		for i := range recordsPerTxn {
			rs = append(rs, &kgo.Record{Topic: []string{"a", "b"}[i/4], Partition: int32(i % 4), Value: []byte(txn)})
		}
		err := cl.BeginTransaction()
		outcome := refused
		if err == nil {
			// Not ctx: what has begun is brought to an end.
			try, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			if err = cl.ProduceSync(try, rs...).FirstErr(); err == nil {
				outcome = inDoubt
				if err = cl.EndTransaction(try, kgo.TryCommit); err == nil {
					outcome = committed
				}
			}
			cancel()
		}
		note(txn, outcome)
		if err != nil {
			cl.Close()
			cl = nil
		}
	}
}

// A broker that is killed again and again tears no transaction, loses none that it has acknowledged, and shows none
// that its client never committed.
func TestBrokerKilledAtRandom(t *testing.T) {
	dir := t.TempDir()
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := run.BrokerConfig(filepath.Join(dir, "broker"))
	c.SegmentBytes = 16 << 10
	p, err := embedded.StartBroker(t.Context(), c, embedded.Child{Command: embeddedtest.Command()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	addr, user, password := run.Broker.Address(), run.Broker.User, run.Broker.Password
	admin := client(t, addr, user, password)
	createTopic(t, admin, 4, nil, "a")
	createTopic(t, admin, 4, nil, "b")

	var mu sync.Mutex
	outcomes, counts := map[string]string{}, map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for id := range 3 {
		wg.Go(func() {
			writer(ctx, t, run, id, func(txn, outcome string) {
				mu.Lock()
				defer mu.Unlock()
				outcomes[txn] = outcome
				counts[outcome]++
			})
		})
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	hit := func() bool { // a kill has fallen into a transaction so that its writer noticed
		mu.Lock()
		defer mu.Unlock()
		return counts[refused]+counts[inDoubt] > 0
	}
	for kill := 1; kill <= 8 || (kill <= 32 && !hit()); kill++ { // on a busy machine most fall between
		<-time.After(time.Duration(400+random.IntN(600)) * time.Millisecond)
		before := p.PID()
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		await(t, "end of the killed", func() bool { return p.PID() != before })
		await(t, "restart", p.Up)
		t.Logf("kill %d: answered again after %s", kill, time.Since(begun).Round(time.Millisecond))
	}
	cancel()
	wg.Wait()

	seen := map[string]int{}
	for _, topic := range []string{"a", "b"} {
		for _, rs := range consume(t, addr, user, password, topic) {
			for _, r := range rs {
				seen[string(r.Value)]++
			}
		}
	}
	for txn, outcome := range outcomes {
		n := seen[txn]
		switch {
		case n != 0 && n != recordsPerTxn:
			t.Errorf("%s is torn: %d of %d records (%s)", txn, n, recordsPerTxn, outcome)
		case outcome == committed && n == 0:
			t.Errorf("%s is lost", txn)
		case outcome == refused && n != 0:
			t.Errorf("%s is there, though it was never committed", txn)
		}
	}
	if counts[committed] < 50 || counts[refused]+counts[inDoubt] == 0 {
		t.Errorf("too little happened: %v", counts)
	}
	t.Logf("transactions: %v", counts)
}

// Kills that fall into cleanings leave each key's last committed value: the same transactions write a compacted topic
// and one that keeps everything, and both must tell the same in the end.
func TestCompactionKilledAtRandom(t *testing.T) {
	dir := t.TempDir()
	run, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := run.BrokerConfig(filepath.Join(dir, "broker"))
	c.SegmentBytes, c.MaxBytes = 64<<10, 8<<20
	p, err := embedded.StartBroker(t.Context(), c, embedded.Child{Command: embeddedtest.Command()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	addr, user, password := run.Broker.Address(), run.Broker.User, run.Broker.Password
	admin := client(t, addr, user, password)
	policy := "compact"
	createTopic(t, admin, 2, map[string]*string{"cleanup.policy": &policy}, "state")
	createTopic(t, admin, 2, nil, "all")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { stateWriter(ctx, t, run) })
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 5 {
		// Housekeeping comes 2 s after a start, and cleans.
		<-time.After(time.Duration(1900+random.IntN(400)) * time.Millisecond)
		before := p.PID()
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		await(t, "end of the killed", func() bool { return p.PID() != before })
		await(t, "restart", p.Up)
	}
	cancel()
	wg.Wait()
	got, want := consume(t, addr, user, password, "state"), latest(consume(t, addr, user, password, "all"))
	last := map[string]string{}
	records := 0
	for _, rs := range got {
		for _, r := range rs {
			last[string(r.Key)] = strings.TrimRight(string(r.Value), " ")
			records++
		}
	}
	if !maps.Equal(last, want) || len(want) != 40 {
		t.Errorf("compacted: %v\nall: %v", last, want)
	}
	t.Logf("%d records are left; the log says:\n%s", records, read(t, p.LogFile()))
}

// stateWriter writes the same values of 40 keys to state, padded, and to all.
func stateWriter(ctx context.Context, t *testing.T, run *embedded.RunFile) {
	for n := 0; ctx.Err() == nil; {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(run.Broker.Address()), kgo.SASL(scram.Auth{User: run.Broker.User, Pass: run.Broker.Password}.AsSha256Mechanism()),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("state"), kgo.RetryTimeout(5*time.Second),
			kgo.ProducerBatchCompression(kgo.NoCompression()),
		)
		if err != nil {
			t.Error(err)
			return
		}
		for err == nil && ctx.Err() == nil {
			var rs []*kgo.Record
			for range 20 {
				n++
				k, v := n*7%40, strconv.Itoa(n)
				for topic, width := range map[string]int{"state": 2000, "all": 0} {
					rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(k % 2), Key: fmt.Append(nil, k), Value: fmt.Appendf(nil, "%-*s", width, v)})
				}
			}
			if err = cl.BeginTransaction(); err != nil {
				break
			}
			try, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			if err = cl.ProduceSync(try, rs...).FirstErr(); err == nil {
				how := kgo.TryCommit
				if n/20%5 == 0 {
					how = kgo.TryAbort
				}
				err = cl.EndTransaction(try, how)
			}
			cancel()
		}
		cl.Close()
	}
}
