package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/pkg/telemetry/telemetrytest"
	"github.com/wardflow/wardflow/proto"
)

// What clients send and read is told as the semantic conventions say, and a
// batch of traffic carries its trace to whoever reads it.
func TestHook(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	cfg := telemetry.Default()
	cfg.OTLP.Endpoint, cfg.TraceRatio = collector.URL, 1
	tel, err := telemetry.New(t.Context(), cfg, telemetry.Process{Service: "test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	c := oneBroker(t)
	c.Telemetry = tel
	p, err := NewProducer(c, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 3 {
		p.Produce(t.Context(), Message{Topic: proto.TopicTraffic, Value: fmt.Appendf(nil, "batch %d", i)}, nil)
	}
	p.Produce(t.Context(), Message{Topic: proto.TopicAlerts, Value: []byte("alert")}, nil)
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := session(t, c, "reader", &wholly{})
	defer s.Close()
	var got []Record
	for len(got) < 3 {
		list, err := s.Poll(t.Context(), 100)
		got = append(got, list...)
		s.Done()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range got {
		if r.Trace == nil {
			t.Errorf("record %d carries no trace", r.Offset)
		}
	}
	v := telemetrytest.Read(t, tel)
	sent := v.Of(t, telemetry.MessagesSent, "kafka", "send", proto.TopicTraffic, "0", "", "")
	consumed := v.Of(t, telemetry.MessagesConsumed, "kafka", "poll", proto.TopicTraffic, "0", "g", "")
	if sent != 3 || consumed != 3 || v.Of(t, telemetry.MessagesSent, "kafka", "send", proto.TopicAlerts, "0", "", "") != 1 {
		t.Errorf("%v sent, %v consumed, want 3 of both and an alert", sent, consumed)
	}
	if v.Of(t, telemetry.OperationDuration, "kafka", "send", "send", "", "") == 0 || v.Of(t, telemetry.OperationDuration, "kafka", "poll", "receive", "g", "") == 0 {
		t.Error("no operation took any time")
	}
	if v.Of(t, telemetry.BusSent, proto.TopicTraffic) == 0 || v.Of(t, telemetry.BusReceived, proto.TopicTraffic) == 0 {
		t.Error("no bytes")
	}
	if v.Of(t, telemetry.BusErrors, "connect") != 0 {
		t.Error("errors where none were")
	}
	if n := tel.Misuses(); n != 0 {
		t.Errorf("%d misuses", n)
	}
}

// Without telemetry nothing is hooked in, and nothing stands in the headers.
func TestNoHook(t *testing.T) {
	c := Default()
	if h := newHook(&c, "g"); h != nil || h.options() != nil {
		t.Error("a hook without telemetry")
	}
	var h *hook
	h.polled(nil)
}

func TestErrorType(t *testing.T) {
	for want, err := range map[string]error{
		"": nil, "NOT_LEADER_FOR_PARTITION": fmt.Errorf("write: %w", kerr.NotLeaderForPartition), "_OTHER": errors.New("dial tcp 10.0.0.1:9092"), "canceled": context.Canceled,
	} {
		if got := errorType(err); got != want {
			t.Errorf("errorType(%v) = %q, want %q", err, got, want)
		}
	}
}

// Lags tell what is not read yet, and what retention has taken before it was.
func TestLagWatcher(t *testing.T) {
	c := oneBroker(t)
	p, err := NewProducer(c, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 10 {
		p.Produce(t.Context(), Message{Topic: proto.TopicTraffic, Value: []byte("x")}, nil)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := session(t, c, "reader", &wholly{})
	defer s.Close()
	if _, err := s.Poll(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	s.Produce(t.Context(), Message{Topic: proto.TopicAlerts, Value: []byte("alert")})
	offsets := Offsets{}
	offsets.Set(proto.TopicTraffic, 0, Committed{Offset: 4})
	if err := s.Commit(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	s.Done()
	w, err := NewLagWatcher(c)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Look(t.Context(), nil); err != nil {
		t.Error(err)
	}
	groups := map[string][]string{"g": {proto.TopicTraffic}, "nobody": {proto.TopicTraffic}}
	lags, err := w.Look(t.Context(), groups)
	if err != nil {
		t.Fatal(err)
	}
	if l := lags["g"][proto.TopicTraffic]; l.Records != 6 || l.Overtaken != 0 || l.RetentionUsed != 0 {
		t.Errorf("%+v", l)
	}
	if l := lags["nobody"][proto.TopicTraffic]; l.Records != 10 || l.Overtaken != 0 {
		t.Errorf("%+v", l)
	}
	at, err := w.Passed(t.Context(), []string{"g", "nobody"}, proto.TopicTraffic, 0)
	if err != nil || at["g"] != 4 || at["nobody"] != -1 {
		t.Errorf("%v, %v", at, err)
	}
	if _, err := w.adm.DeleteRecords(t.Context(), offsetsBefore(proto.TopicTraffic, 0, 7)); err != nil {
		t.Fatal(err)
	}
	if lags, err = w.Look(t.Context(), groups); err != nil {
		t.Fatal(err)
	}
	if l := lags["g"][proto.TopicTraffic]; l.Records != 3 || l.Overtaken != 3 || l.RetentionUsed != 1 {
		t.Errorf("%+v", l)
	}
}

func offsetsBefore(topic string, partition int32, at int64) kadm.Offsets {
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: at})
	return o
}
