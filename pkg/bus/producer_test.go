package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/proto"
)

// flicker is a broker that can go away and come back at its address, with its
// data or without.
type flicker struct {
	t      *testing.T
	conf   embedded.BrokerConfig
	broker *embedded.Broker
	Config
}

func newFlicker(t *testing.T, dir string) *flicker {
	t.Helper()
	f := &flicker{t: t, conf: embedded.BrokerConfig{User: "test", Password: "test", Dir: dir}, Config: Default()}
	f.come()
	_, port, err := net.SplitHostPort(f.broker.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if f.conf.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	f.Brokers, f.Partitions = []string{f.broker.Addr()}, 1
	f.SASL = SASL{Mechanism: "scram-sha-256", User: "test", Password: "test"}
	f.topics()
	t.Cleanup(f.leave)
	return f
}

func (f *flicker) come() {
	f.t.Helper()
	var err error
	if f.broker, err = embedded.OpenBroker(f.conf); err != nil {
		f.t.Fatal(err)
	}
}

func (f *flicker) leave() { f.broker.Close() }

func (f *flicker) topics() {
	f.t.Helper()
	if err := EnsureTopics(f.t.Context(), f.Config, Topics()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *flicker) producer() *Producer {
	f.t.Helper()
	p, err := NewProducer(f.Config, 1<<20)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(p.Close)
	return p
}

// outcomes remembers how writes ended.
type outcomes struct {
	sync.Mutex

	ok, failed int
}

func (o *outcomes) write(ctx context.Context, p *Producer, topic, value string) {
	p.Produce(ctx, Message{Topic: topic, Value: []byte(value)}, func(err error) {
		o.Lock()
		defer o.Unlock()
		if err != nil {
			o.failed++
		} else {
			o.ok++
		}
	})
}

// What is written while the broker is away arrives when it is back, in order.
func TestProducerWaitsForTheBroker(t *testing.T) {
	f := newFlicker(t, t.TempDir())
	p := f.producer()
	var o outcomes
	var want []string
	for round := range 3 {
		for i := range 50 {
			want = append(want, fmt.Sprint(round, " ", i))
			o.write(t.Context(), p, proto.TopicTraffic, want[len(want)-1])
			if i == 20 {
				f.leave()
			}
		}
		f.come()
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := read(t.Context(), t, f.Config, proto.TopicTraffic)
	if err != nil || !slices.Equal(got, want) || o.failed > 0 {
		t.Errorf("%d failed; read %q, %v", o.failed, got, err)
	}
}

// A broker that has lost everything does not know the producer, nor its topic by
// its old id: what is written fails within a bounded time, and a new producer's
// does not.
func TestProducerAndWipedBroker(t *testing.T) {
	f := newFlicker(t, "")
	p := f.producer()
	var o outcomes
	o.write(t.Context(), p, proto.TopicTraffic, "before")
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.leave()
	f.come()
	f.topics()
	o.write(t.Context(), p, proto.TopicTraffic, "after")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begun := time.Now()
	err := p.Flush(ctx)
	t.Logf("after %v: %v", time.Since(begun).Round(time.Millisecond), err)
	if ctx.Err() != nil || (err == nil) != (o.failed == 0) {
		t.Errorf("%d failed: %v", o.failed, err)
	}
	again := f.producer()
	o.write(t.Context(), again, proto.TopicTraffic, "again")
	if err := again.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := read(ctx, t, f.Config, proto.TopicTraffic)
	if err != nil || len(got) == 0 || got[len(got)-1] != "again" {
		t.Errorf("read %q, %v", got, err)
	}
}

// A topic that is gone fails what is written to it, and nothing else.
func TestProducerAndDeletedTopic(t *testing.T) {
	f := newFlicker(t, "")
	p := f.producer()
	var gone, other outcomes
	gone.write(t.Context(), p, proto.TopicTraffic, "a")
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	cl, err := f.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).DeleteTopic(t.Context(), proto.TopicTraffic); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		gone.write(t.Context(), p, proto.TopicTraffic, "b")
		other.write(t.Context(), p, proto.TopicAlerts, "c")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begun := time.Now()
	err = p.Flush(ctx)
	t.Logf("after %v: %v", time.Since(begun).Round(time.Millisecond), err)
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), proto.TopicTraffic) || gone.failed != 20 || other.ok != 20 {
		t.Errorf("%d failed, %d of the other topic were written: %v", gone.failed, other.ok, err)
	}
}

// What is too large is refused, by the client or by the broker, and what comes
// after it is written.
func TestProducerTooLarge(t *testing.T) {
	f := newFlicker(t, "")
	cl, err := f.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	small := "1000"
	if _, err := kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}}, proto.TopicAlerts); err != nil {
		t.Fatal(err)
	}
	for topic, length := range map[string]int{proto.TopicTraffic: maxMessageBytes, proto.TopicAlerts: 5000} {
		p := f.producer()
		var refused error
		var o outcomes
		o.write(t.Context(), p, topic, "first")
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		value := make([]byte, length)
		for i := range value { // nothing that compresses
			value[i] = byte(i * i * i >> 7)
		}
		p.Produce(t.Context(), Message{Topic: topic, Value: value}, func(err error) { refused = err })
		if err := p.Flush(t.Context()); err == nil || !errors.Is(err, ErrTooLarge) || !errors.Is(refused, ErrTooLarge) {
			t.Errorf("%s: %v, %v", topic, err, refused)
		}
		o.write(t.Context(), p, topic, "last")
		if err := p.Flush(t.Context()); err != nil || o.ok != 2 {
			t.Errorf("%s: afterwards %v", topic, err)
		}
	}
	p := f.producer()
	var o outcomes
	o.write(t.Context(), p, proto.TopicTraffic, string(make([]byte, MaxRecordBytes)))
	if err := p.Flush(t.Context()); err != nil {
		t.Errorf("the longest that is allowed: %v", err)
	}
}
