package kafkatest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const topic = "beds"

// deadline ends a test that waits for a broker in vain, with a message instead
// of go test's panic.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func client(t *testing.T, c *Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Brokers()...)}, opts...)...)
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(ctx context.Context, t *testing.T, cl *kgo.Client, replicas int16) {
	t.Helper()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 2, replicas, nil, topic); err != nil {
		t.Fatalf("create the topic: %v", err)
	}
}

// transaction produces values in one transaction and ends it as told.
func transaction(ctx context.Context, t *testing.T, cl *kgo.Client, end kgo.TransactionEndTry, values ...string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatalf("begin: %v", err)
	}
	for _, v := range values {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatalf("produce %s: %v", v, err)
		}
	}
	if err := cl.EndTransaction(ctx, end); err != nil {
		t.Fatalf("end the transaction: %v", err)
	}
}

// consume reads committed records until there are count of them, sorted.
func consume(ctx context.Context, t *testing.T, cl *kgo.Client, count int) []string {
	t.Helper()
	var got []string
	for len(got) < count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	slices.Sort(got)
	return got
}

func TestTransactionsOutliveKill(t *testing.T) {
	c := Start(t, Options{})
	ctx := deadline(t)
	producer := client(t, c, kgo.TransactionalID("ward"))
	createTopic(ctx, t, producer, 1)
	transaction(ctx, t, producer, kgo.TryCommit, "a", "b")
	transaction(ctx, t, producer, kgo.TryAbort, "never")
	pid, brokers := c.Nodes[0].PID(), c.Brokers()

	c.Kill9()
	if c.Nodes[0].PID() != 0 {
		t.Fatal("killed, but still there")
	}
	begin := time.Now()
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	t.Logf("restart after kill -9: %s", time.Since(begin).Round(time.Millisecond))
	if c.Nodes[0].PID() == pid || !slices.Equal(c.Brokers(), brokers) {
		t.Fatalf("restarted as process %d on %v, was %d on %v", c.Nodes[0].PID(), c.Brokers(), pid, brokers)
	}

	// The same client goes on, and a second one takes its transactional id over.
	transaction(ctx, t, producer, kgo.TryCommit, "c")
	second := client(t, c, kgo.TransactionalID("ward"))
	transaction(ctx, t, second, kgo.TryCommit, "d")
	consumer := client(t, c, kgo.ConsumerGroup("nurses"), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DisableAutoCommit())
	if got, want := consume(ctx, t, consumer, 4), []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Fatalf("read %q, want %q", got, want)
	}

	begin = time.Now()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("orderly stop: %s", time.Since(begin).Round(time.Millisecond))
}

// secured returns a client's options for what the cluster demands.
func secured(t *testing.T, c *Cluster, auth sasl.Mechanism, certificate bool) []kgo.Opt {
	t.Helper()
	opts := []kgo.Opt{kgo.SASL(auth)}
	if c.TLS.CAFile == "" {
		return opts
	}
	authority, err := os.ReadFile(c.TLS.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(authority)
	if certificate {
		pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return append(opts, kgo.DialTLSConfig(config))
}

func TestUsersAndTLS(t *testing.T) {
	const user, password = "wardflow", `p"a\ss`
	pass := func(pw string) sasl.Mechanism { return plain.Auth{User: user, Pass: pw}.AsMechanism() }
	salted := func(pw string) sasl.Mechanism {
		return scram.Auth{User: user, Pass: pw}.AsSha512Mechanism()
	}
	tests := []struct {
		name        string
		opts        Options
		auth        func(password string) sasl.Mechanism
		password    string
		certificate bool
	}{
		{"PLAIN", Options{}, pass, password, false},
		{"SCRAM over TLS with a client certificate", Options{TLS: true, ClientCertificate: true, Mechanism: "SCRAM-SHA-512"}, salted, "salted", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.User, tt.opts.Password = user, tt.password
			c := Start(t, tt.opts)
			ctx := deadline(t)
			good := client(t, c, secured(t, c, tt.auth(tt.password), tt.certificate)...)
			createTopic(ctx, t, good, 1)
			if err := good.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("a")}).FirstErr(); err != nil {
				t.Fatalf("the right user: %v", err)
			}
			refused := map[string][]kgo.Opt{
				"a wrong password": secured(t, c, tt.auth("wrong"), tt.certificate),
				"no user":          {},
			}
			if tt.opts.TLS {
				refused["no certificate"] = secured(t, c, tt.auth(tt.password), false)
			}
			for name, opts := range refused {
				bad := client(t, c, append(opts, kgo.RequestRetries(0), kgo.RetryTimeout(time.Second))...)
				short, cancel := context.WithTimeout(ctx, 5*time.Second)
				if err := bad.Ping(short); err == nil {
					t.Errorf("%s was let in", name)
				}
				cancel()
			}
		})
	}
}

func TestThreeNodesServeWithoutOne(t *testing.T) {
	if testing.Short() {
		t.Skip("three Java processes are not short")
	}
	begin := time.Now()
	c := Start(t, Options{Nodes: 3})
	t.Logf("three nodes serve after %s", time.Since(begin).Round(time.Millisecond))
	ctx := deadline(t)
	producer := client(t, c, kgo.TransactionalID("ward"))
	createTopic(ctx, t, producer, -1)
	transaction(ctx, t, producer, kgo.TryCommit, "a")

	c.Nodes[1].Kill9()
	transaction(ctx, t, producer, kgo.TryCommit, "b")
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	c.Nodes[2].Kill9()
	transaction(ctx, t, producer, kgo.TryCommit, "c")
	consumer := client(t, c, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if got, want := consume(ctx, t, consumer, 3), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Fatalf("read %q, want %q", got, want)
	}
}

// verdict stands in for a test that asks for Kafka.
type verdict struct {
	testing.TB
	said string
}

func (v *verdict) Helper()                        {}
func (v *verdict) Skip(args ...any)               { v.end("skip", fmt.Sprint(args...)) }
func (v *verdict) Skipf(format string, a ...any)  { v.end("skip", fmt.Sprintf(format, a...)) }
func (v *verdict) Fatalf(format string, a ...any) { v.end("fail", fmt.Sprintf(format, a...)) }
func (v *verdict) end(how, why string) {
	v.said = how + ": " + why
	runtime.Goexit()
}

func TestNeedSkipsOrFails(t *testing.T) {
	for _, tt := range []struct{ mode, want string }{
		{"", "skip: no real Kafka"},
		{"require", "fail: WARDFLOW_TEST_KAFKA=require"},
		{"off", "skip: WARDFLOW_TEST_KAFKA=off"},
	} {
		t.Setenv("WARDFLOW_TEST_KAFKA", tt.mode)
		t.Setenv("WARDFLOW_KAFKA_LIBS", t.TempDir())
		v := &verdict{TB: t}
		done := make(chan struct{})
		go func() { defer close(done); Need(v) }()
		<-done
		if !strings.HasPrefix(v.said, tt.want) {
			t.Errorf("mode %q: %q, want %q", tt.mode, v.said, tt.want)
		}
	}
}

func TestBrokenSettingsAreTold(t *testing.T) {
	Need(t)
	_, err := Launch(t.Context(), t.TempDir(), Options{Settings: map[string]string{"listeners": "NOWHERE"}})
	if err == nil || !strings.Contains(err.Error(), "NOWHERE") {
		t.Fatalf("got %v, want Kafka's own words about NOWHERE", err)
	}
}
