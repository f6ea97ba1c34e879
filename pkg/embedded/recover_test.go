package embedded_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/wardflow/wardflow/pkg/embedded"
)

// killable is a broker in this process whose kill is a copy of its folder as it stands.
type killable struct {
	*embedded.Broker
	cfg embedded.BrokerConfig
}

func openBroker(t *testing.T, c embedded.BrokerConfig) *killable {
	t.Helper()
	c.User, c.Password = "u", "p"
	b, err := embedded.OpenUntendedBroker(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return &killable{b, c}
}

// kill closes b and opens what a kill -9 at this moment would have left, at the same address.
func (b *killable) kill(t *testing.T) *killable {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(b.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	c := b.cfg
	c.Dir = dir
	if c.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return openBroker(t, c)
}

func transactional(t testing.TB, b *killable, id string) *kgo.Client {
	t.Helper()
	return client(t, b.Addr(), "u", "p", kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
}

func begin(t testing.TB, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i % 2), Key: []byte(v), Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t testing.TB, cl *kgo.Client) {
	t.Helper()
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

func values(records map[int32][]*kgo.Record) []string {
	var out []string
	for _, rs := range records {
		for _, r := range rs {
			out = append(out, string(r.Value))
		}
	}
	slices.Sort(out)
	return out
}

// What was open at a kill is gone for good, and what the same producer commits later is there, however it is fetched
// and however often the broker is killed.
func TestKillWithAnOpenTransaction(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir()})
	createTopic(t, client(t, b.Addr(), "u", "p"), 2, nil, "t")
	var want []string
	for round := range 4 {
		cl := transactional(t, b, "fold-1")
		for i := range 3 {
			v := fmt.Sprintf("kept %d.%d", round, i)
			want = append(want, v, v+"'")
			begin(t, cl, "t", v, v+"'")
			commit(t, cl)
		}
		begin(t, cl, "t", "lost a", "lost b", "lost c")
		b = b.kill(t)
		cl.Close()
	}
	cl := transactional(t, b, "fold-1")
	begin(t, cl, "t", "last", "last'")
	commit(t, cl)
	want = append(want, "last", "last'")
	slices.Sort(want)
	if got := values(consume(t, b.Addr(), "u", "p", "t")); !slices.Equal(got, want) {
		t.Errorf("read %q\nwant %q", got, want)
	}
}

// A client that outlives the kill must not be told that its transaction was committed, nor may its second half be.
func TestKillBeforeCommitIsAnErrorToTheClient(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *kgo.Client){
		"ends at once": func(*testing.T, *kgo.Client) {},
		"writes on": func(t *testing.T, cl *kgo.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("second half")}).FirstErr()
			t.Logf("writing on: %v", err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir()})
			createTopic(t, client(t, b.Addr(), "u", "p"), 2, nil, "t")
			cl := transactional(t, b, "fold-1")
			begin(t, cl, "t", "kept")
			commit(t, cl)
			begin(t, cl, "t", "first half")
			b = b.kill(t)
			before(t, cl)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := cl.EndTransaction(ctx, kgo.TryCommit); err == nil {
				t.Error("the client believes that its transaction was committed")
			} else {
				t.Logf("commit: %v", err)
			}
			again := transactional(t, b, "fold-1")
			begin(t, again, "t", "after")
			commit(t, again)
			if got := values(consume(t, b.Addr(), "u", "p", "t")); !slices.Equal(got, []string{"after", "kept"}) {
				t.Errorf("read %q", got)
			}
		})
	}
}

// A kill between the markers of two partitions tears a commit; recovery completes it.
func TestKillBetweenMarkers(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir()})
	createTopic(t, client(t, b.Addr(), "u", "p"), 2, nil, "t")
	cl := transactional(t, b, "fold-1")
	begin(t, cl, "t", "a0", "b0")
	commit(t, cl)
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(b.cfg.Dir, "partitions", "t-1", name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	begin(t, cl, "t", "a1", "b1")
	data, index := size("0.dat"), size("0.idx")
	commit(t, cl)
	cl.Close()
	for name, n := range map[string]int64{"0.dat": data, "0.idx": index} {
		if err := os.Truncate(filepath.Join(b.cfg.Dir, "partitions", "t-1", name), n); err != nil {
			t.Fatal(err)
		}
	}
	b = b.kill(t)
	if got := values(consume(t, b.Addr(), "u", "p", "t")); !slices.Equal(got, []string{"a0", "a1", "b0", "b1"}) {
		t.Errorf("read %q", got)
	}
}

// Torn ends of every file, as a power cut may leave them, cost what was torn and nothing else.
func TestKillWithTornFiles(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir()})
	createTopic(t, client(t, b.Addr(), "u", "p"), 2, nil, "t")
	for round := range 3 {
		cl := transactional(t, b, "fold-1")
		begin(t, cl, "t", fmt.Sprint("a", round), fmt.Sprint("b", round))
		commit(t, cl)
		cl.Close()
		for _, name := range []string{"partitions/t-0/0.dat", "partitions/t-0/0.idx", "partitions/t-1/0.idx", "pids.log", "groups.log"} {
			f, err := os.OpenFile(filepath.Join(b.cfg.Dir, name), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString("\x00\x00\x00\x07torn"); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		b = b.kill(t)
	}
	if got := values(consume(t, b.Addr(), "u", "p", "t")); !slices.Equal(got, []string{"a0", "a1", "a2", "b0", "b1", "b2"}) {
		t.Errorf("read %q", got)
	}
}

// A batch resent after a lost answer is stored once, though the broker was killed in between.
func TestKillThenResend(t *testing.T) {
	b := openBroker(t, embedded.BrokerConfig{Dir: t.TempDir()})
	cl := client(t, b.Addr(), "u", "p")
	createTopic(t, cl, 1, nil, "t")
	for i := range 10 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	b = b.kill(t)
	for i := 10; i < 20; i++ {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if got := consume(t, b.Addr(), "u", "p", "t")[0]; len(got) != 20 {
		t.Errorf("%d records, want 20", len(got))
	}
}
