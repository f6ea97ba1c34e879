package bus

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/plugin/kotel"

	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// hook measures what one client does, as OpenTelemetry's semantic conventions for
// messaging say (1.43). It works per batch and per request; per record it looks
// only at writes that failed, and at those of wardflow.traffic, which are batches
// themselves, to carry their traces on.
type hook struct {
	t          *telemetry.Telemetry
	group      string
	partitions bool // topics have few enough of them to be told apart

	mu       sync.Mutex // of the maps; the handles are good for all goroutines
	sent     map[place]*telemetry.Counter
	consumed map[place]*telemetry.Counter
	in, out  map[string]*telemetry.Counter // bytes by topic
	requests map[request]*telemetry.Histogram

	connect, failed, member *telemetry.Counter
}

type place struct {
	topic     string
	partition int32
}

type request struct {
	key   int16
	error string
}

// fewPartitions is up to how many partitions are told apart.
const fewPartitions = 16

// system is Kafka's name in the conventions.
const system = "kafka"

// newHook gives nil without telemetry.
func newHook(c *Config, group string) *hook {
	if c.Telemetry == nil {
		return nil
	}
	return &hook{
		t: c.Telemetry, group: group, partitions: c.Partitions <= fewPartitions,
		sent: map[place]*telemetry.Counter{}, consumed: map[place]*telemetry.Counter{},
		in: map[string]*telemetry.Counter{}, out: map[string]*telemetry.Counter{}, requests: map[request]*telemetry.Histogram{},
		connect: c.Telemetry.Counter(telemetry.BusErrors, "connect"),
		failed:  c.Telemetry.Counter(telemetry.BusErrors, "request"),
		member:  c.Telemetry.Counter(telemetry.BusErrors, "group"),
	}
}

// options hooks it into a client.
func (h *hook) options() []kgo.Opt {
	if h == nil {
		return nil
	}
	return []kgo.Opt{kgo.WithHooks(h)}
}

// messages is the handle of messages sent or consumed.
func (h *hook) messages(m *telemetry.Metric, all map[place]*telemetry.Counter, operation, topic string, partition int32, group string) *telemetry.Counter {
	at := place{topic, partition}
	if !h.partitions {
		at.partition = -1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := all[at]
	if !ok {
		id := ""
		if h.partitions {
			id = strconv.Itoa(int(partition))
		}
		c = h.t.Counter(m, system, operation, topic, id, group, "")
		all[at] = c
	}
	return c
}

func (h *hook) bytes(m *telemetry.Metric, all map[string]*telemetry.Counter, topic string) *telemetry.Counter {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := all[topic]
	if !ok {
		c = h.t.Counter(m, topic)
		all[topic] = c
	}
	return c
}

// polled takes what a poll gives to the application.
func (h *hook) polled(fetches kgo.Fetches) {
	if h == nil {
		return
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if n := len(p.Records); n > 0 {
			h.messages(telemetry.MessagesConsumed, h.consumed, "poll", p.Topic, p.Partition, h.group).Add(uint64(n))
		}
	})
}

// OnProduceBatchWritten implements kgo.HookProduceBatchWritten.
func (h *hook) OnProduceBatchWritten(_ kgo.BrokerMetadata, topic string, partition int32, m kgo.ProduceBatchMetrics) {
	h.messages(telemetry.MessagesSent, h.sent, "send", topic, partition, "").Add(uint64(m.NumRecords))
	h.bytes(telemetry.BusSent, h.out, topic).Add(uint64(m.CompressedBytes))
}

// OnFetchBatchRead implements kgo.HookFetchBatchRead.
func (h *hook) OnFetchBatchRead(_ kgo.BrokerMetadata, topic string, _ int32, m kgo.FetchBatchMetrics) {
	h.bytes(telemetry.BusReceived, h.in, topic).Add(uint64(m.CompressedBytes))
}

// operation is what a request is in the words of the conventions; type "" is none
// of theirs.
func operation(key int16) (name, kind string) {
	switch kmsg.Key(key) {
	case kmsg.Produce:
		return "send", "send"
	case kmsg.Fetch:
		return "poll", "receive"
	case kmsg.OffsetCommit, kmsg.TxnOffsetCommit:
		return "commit", "settle"
	case kmsg.EndTxn:
		return "end_transaction", "settle"
	}
	return "", ""
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (h *hook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	err := e.Err()
	if err != nil {
		h.failed.Add(1)
	}
	name, kind := operation(key)
	if name == "" {
		return
	}
	at := request{key, errorType(err)}
	h.mu.Lock()
	d, ok := h.requests[at]
	if !ok {
		d = h.t.Histogram(telemetry.OperationDuration, system, name, kind, h.group, at.error)
		h.requests[at] = d
	}
	h.mu.Unlock()
	d.Record(e.DurationE2E().Seconds())
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (h *hook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		h.connect.Add(1)
	}
}

// OnGroupManageError implements kgo.HookGroupManageError.
func (h *hook) OnGroupManageError(error) { h.member.Add(1) }

// OnProduceRecordBuffered implements kgo.HookProduceRecordBuffered: a batch of traffic begins
// a trace, or goes on with the one of its context, and carries it in its headers.
func (h *hook) OnProduceRecordBuffered(r *kgo.Record) {
	if r.Topic != proto.TopicTraffic || !h.t.Tracing() {
		return
	}
	ctx := r.Context
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, span := h.t.Start(ctx, telemetry.SpanProducer, "send "+r.Topic)
	if !span.Sampled() {
		span.End(nil)
		return
	}
	span.Set("messaging.system", system)
	span.Set("messaging.operation.name", "send")
	span.Set("messaging.destination.name", r.Topic)
	span.Set("messaging.destination.partition.id", strconv.Itoa(int(r.Partition)))
	span.Set("messaging.message.body.size", len(r.Value))
	telemetry.Inject(ctx, kotel.NewRecordCarrier(r))
	r.Context = context.WithValue(ctx, spanKey{}, span)
}

// spanKey is where a record's context holds its span.
type spanKey struct{}

// OnProduceRecordUnbuffered implements kgo.HookProduceRecordUnbuffered.
func (h *hook) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err != nil {
		h.t.Counter(telemetry.MessagesSent, system, "send", r.Topic, "", "", errorType(err)).Add(1)
	}
	if r.Topic != proto.TopicTraffic || !h.t.Tracing() || r.Context == nil {
		return
	}
	if span, ok := r.Context.Value(spanKey{}).(*telemetry.Span); ok {
		span.End(err)
	}
}

// errorType is Kafka's own word for an error, or a general one.
func errorType(err error) string {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return telemetry.ErrorType(err)
}
