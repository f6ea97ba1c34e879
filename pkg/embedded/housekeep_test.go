package embedded_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/brokerlog"
)

func diskBytes(t *testing.T, dir string) int64 {
	t.Helper()
	all, err := brokerlog.Segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, parts := range all {
		for _, segs := range parts {
			for _, s := range segs {
				n += s.Size
			}
		}
	}
	return n
}

func TestTopicsAreCapped(t *testing.T) {
	const limit = 4 << 20
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir(), MaxBytes: limit, SegmentBytes: 128 << 10})
	cl := client(t, b.Addr(), "u", "p", kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(64<<10))
	createTopic(t, cl, 4, nil, "busy")
	createTopic(t, cl, 4, nil, "quiet")
	one := strings.Repeat("x", 10<<10)
	produce := func(topic string, n int) {
		for i := range n {
			cl.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: []byte(one)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	produce("quiet", 4)
	for range 5 {
		produce("busy", 400)
		if err := b.Tidy(time.Now()); err != nil {
			t.Fatal(err)
		}
		if n := diskBytes(t, b.cfg.Dir); n > limit || n < limit/2 {
			t.Errorf("%d bytes on disk, want at most %d and most of it", n, limit)
		}
	}
	ends := func() map[string]kadm.ListedOffset {
		offsets, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "busy", "quiet")
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]kadm.ListedOffset{}
		offsets.Each(func(o kadm.ListedOffset) { out[o.Topic+strconv.Itoa(int(o.Partition))] = o })
		return out
	}
	before := ends()
	if got := before["quiet1"].Offset; got != 1 {
		t.Errorf("quiet partition ends at %d, want 1: the segment being written must stay", got)
	}
	// A year later time retention takes all but the last segment; offsets must go on where they were, kill or not.
	name, year := "retention.ms", "1000"
	if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &year}}, "busy", "quiet"); err != nil {
		t.Fatal(err)
	}
	if err := b.Tidy(time.Now().AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if n := diskBytes(t, b.cfg.Dir); n > 8*(128+64)<<10 {
		t.Errorf("%d bytes on disk after a year", n)
	}
	b = b.kill(t)
	cl = client(t, b.Addr(), "u", "p")
	for key, o := range ends() {
		if o.Offset != before[key].Offset {
			t.Errorf("%s ends at %d after retention and a kill, before at %d", key, o.Offset, before[key].Offset)
		}
	}
}

// latest is what a reader of a compacted topic knows in the end.
func latest(records map[int32][]*kgo.Record) map[string]string {
	out := map[string]string{}
	for _, rs := range records {
		for _, r := range rs {
			if r.Value == nil {
				delete(out, string(r.Key))
			} else {
				out[string(r.Key)] = string(r.Value)
			}
		}
	}
	return out
}

func offsets(records map[int32][]*kgo.Record) map[string]int64 {
	out := map[string]int64{}
	for p, rs := range records {
		for _, r := range rs {
			out[fmt.Sprintf("%d/%s=%s", p, r.Key, r.Value)] = r.Offset
		}
	}
	return out
}

func TestCompaction(t *testing.T) {
	const limit = 2 << 20
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir(), MaxBytes: limit, SegmentBytes: 32 << 10})
	policy := "compact"
	createTopic(t, client(t, b.Addr(), "u", "p"), 2, map[string]*string{"cleanup.policy": &policy}, "state")
	cl := transactional(t, b, "fold-1")
	want := map[string]string{}
	txn := func(how kgo.TransactionEndTry, round, keys int) {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for k := range keys {
			key, value := "k"+strconv.Itoa(k), fmt.Sprintf("%d %v %s", round, how, strings.Repeat("v", 200))
			r := &kgo.Record{Topic: "state", Partition: int32(k % 2), Key: []byte(key), Value: []byte(value)}
			if k%50 == 7 && round%3 == 1 {
				r.Value = nil
			}
			cl.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			if how == kgo.TryCommit {
				want[key] = value
				if r.Value == nil {
					delete(want, key)
				}
			}
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	round := 0
	for range 12 {
		txn(kgo.TryCommit, round, 500)
		txn(kgo.TryAbort, round, 500)
		round++
	}
	txn(kgo.TryAbort, round, 500)
	before := consume(t, b.Addr(), "u", "p", "state")
	bytes := diskBytes(t, b.cfg.Dir)
	if err := b.Tidy(time.Now()); err != nil {
		t.Fatal(err)
	}
	after := consume(t, b.Addr(), "u", "p", "state")
	if got := latest(after); !maps.Equal(got, want) {
		t.Errorf("%d keys after compaction, want %d", len(got), len(want))
	}
	if n := diskBytes(t, b.cfg.Dir); n > bytes/3 {
		t.Errorf("compaction left %d of %d bytes", n, bytes)
	}
	had := offsets(before)
	for key, o := range offsets(after) {
		if had[key] != o {
			t.Errorf("%.20s is at offset %d, was at %d", key, o, had[key])
		}
	}
	// More of both, a kill, a compaction, a kill.
	for range 6 {
		txn(kgo.TryCommit, round, 500)
		txn(kgo.TryAbort, round, 300)
		round++
	}
	for range 2 {
		b = b.kill(t)
		if got := latest(consume(t, b.Addr(), "u", "p", "state")); !maps.Equal(got, want) {
			t.Errorf("after a kill: %d keys, want %d", len(got), len(want))
		}
		if err := b.Tidy(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// An open transaction supersedes nothing: when it is aborted, what was there before is there still.
func TestCompactionDuringATransaction(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir(), MaxBytes: 512 << 10, SegmentBytes: 16 << 10})
	policy := "compact"
	createTopic(t, client(t, b.Addr(), "u", "p"), 1, map[string]*string{"cleanup.policy": &policy}, "state")
	put := func(cl *kgo.Client, round int, name string) {
		t.Helper()
		var rs []*kgo.Record
		for k := range 300 {
			rs = append(rs, &kgo.Record{Topic: "state", Key: []byte("k" + strconv.Itoa(k)), Value: fmt.Appendf(nil, "%s %d %0200d", name, round, k)})
		}
		if err := cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl, open := transactional(t, b, "fold-1"), transactional(t, b, "fold-2")
	for round := range 5 {
		begin(t, cl, "state")
		put(cl, round, "kept")
		commit(t, cl)
	}
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	put(open, 0, "open")
	bytes := diskBytes(t, b.cfg.Dir)
	if err := b.Tidy(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := diskBytes(t, b.cfg.Dir); n > bytes*2/3 {
		t.Errorf("compaction left %d of %d bytes", n, bytes)
	}
	// The transaction lives through the cleaning, and then is aborted.
	put(open, 1, "open")
	if err := open.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	got := latest(consume(t, b.Addr(), "u", "p", "state"))
	if len(got) != 300 {
		t.Errorf("%d keys, want 300", len(got))
	}
	for k, v := range got {
		if !strings.HasPrefix(v, "kept 4 ") {
			t.Errorf("%s is %.20s", k, v)
		}
	}
}

// Producers and group members that work on through many cleanings see nothing lost and nothing twice.
func TestCompactionUnderLoad(t *testing.T) {
	// A segment holds all of topic out: on a slow machine the state outgrows the cap between two cleanings, and then
	// the cap takes every whole segment of an append topic.
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir(), MaxBytes: 1 << 20, SegmentBytes: 128 << 10})
	policy := "compact"
	admin := client(t, b.Addr(), "u", "p")
	createTopic(t, admin, 2, map[string]*string{"cleanup.policy": &policy}, "state")
	createTopic(t, admin, 2, nil, "out")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var committed sync.Map
	var wg sync.WaitGroup
	const rounds = 200
	for worker := range 2 {
		cl := transactional(t, b, "fold-"+strconv.Itoa(worker))
		wg.Go(func() {
			for round := range rounds {
				if err := cl.BeginTransaction(); err != nil {
					t.Error(err)
					return
				}
				var rs []*kgo.Record
				for k := range 100 {
					rs = append(rs, &kgo.Record{Topic: "state", Partition: int32(worker), Key: []byte("k" + strconv.Itoa(k)), Value: fmt.Appendf(nil, "%d %0200d", round, k)})
				}
				out := fmt.Sprintf("%d/%d", worker, round)
				rs = append(rs, &kgo.Record{Topic: "out", Partition: int32(worker), Value: []byte(out)})
				err := cl.ProduceSync(ctx, rs...).FirstErr()
				how := kgo.TryCommit
				if err != nil {
					how = kgo.TryAbort
				}
				if endErr := cl.EndTransaction(ctx, how); err != nil || endErr != nil {
					t.Errorf("worker %d round %d: %v, %v", worker, round, err, endErr)
					return
				}
				committed.Store(out, true)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	cleanings := 0
	for running := true; running; cleanings++ {
		select {
		case <-done:
			running = false
		default:
			if err := b.Tidy(time.Now()); err != nil {
				t.Error(err)
			}
		}
	}
	var want []string
	committed.Range(func(k, _ any) bool { want = append(want, fmt.Sprint(k)); return true })
	slices.Sort(want)
	if got := values(consume(t, b.Addr(), "u", "p", "out")); !slices.Equal(got, want) || len(want) != 2*rounds {
		t.Errorf("%d committed, %d read, want %d", len(want), len(got), 2*rounds)
	}
	got := consume(t, b.Addr(), "u", "p", "state")
	for worker, rs := range got {
		if n := len(latest(map[int32][]*kgo.Record{worker: rs})); n != 100 {
			t.Errorf("worker %d: %d keys", worker, n)
		}
		if last := rs[len(rs)-1]; !strings.HasPrefix(string(last.Value), strconv.Itoa(rounds-1)+" ") {
			t.Errorf("worker %d ends with %.10s", worker, last.Value)
		}
	}
	if n := diskBytes(t, b.cfg.Dir); n > 2<<20 {
		t.Errorf("%d bytes in the end: nothing was cleaned", n)
	}
	t.Logf("%d rounds of housekeeping", cleanings)
}

func TestBrokerOutlivesGarbage(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{})
	for name, raw := range map[string]string{
		"http":         "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"huge":         "\x7f\xff\xff\xff\x00\x00\x00\x00",
		"unknown key":  "\x00\x00\x00\x10\x7f\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00",
		"negative":     "\xff\xff\xff\xff\x00\x12\x00\x00",
		"torn request": "\x00\x00\x00\x40\x00\x12\x00\x03\x00\x00",
		"empty frame":  "\x00\x00\x00\x00\x00\x12\x00\x03",
		"no password":  "\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff",
	} {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatalf("after %s: %v", name, err)
		}
		if _, err := conn.Write([]byte(raw)); err != nil {
			t.Logf("%s: %v", name, err)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			if err := tcp.CloseWrite(); err != nil {
				t.Logf("%s: %v", name, err)
			}
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 100)); n > 0 || err == nil {
			t.Errorf("%s: answered with %d bytes", name, n)
		}
		_ = conn.Close()
	}
	if err := client(t, b.Addr(), "u", "p").Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
