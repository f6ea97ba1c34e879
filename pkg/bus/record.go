package bus

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"

	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// Record is a record as it was read.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      proto.Time // the record's timestamp
	Key       []byte
	Value     []byte
	Envelope  []byte            // header proto.HeaderEnvelope, nil when absent
	Sent      proto.Time        // header proto.HeaderSent, 0 when absent
	Control   bool              // a transaction marker; only Reader gives these
	Trace     *telemetry.Remote // what it is a part of; nil where nobody traces it
}

// Message is a record to write.
type Message struct {
	Topic     string
	Partition int32
	Key       []byte
	Value     []byte
	Envelope  []byte
	Sent      proto.Time // the sender's clock now, when a reader is to judge it; 0: not said
}

func fromKgo(r *kgo.Record) Record {
	out := Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: proto.TimeOf(r.Timestamp),
		Key: r.Key, Value: r.Value, Control: r.Attrs.IsControl(),
	}
	for _, h := range r.Headers {
		switch {
		case h.Key == proto.HeaderEnvelope:
			out.Envelope = h.Value
		case h.Key == proto.HeaderSent && len(h.Value) == 8:
			out.Sent = proto.Time(binary.BigEndian.Uint64(h.Value))
		case h.Key == telemetry.TraceHeader:
			out.Trace = telemetry.Extract(kotel.NewRecordCarrier(r))
		}
	}
	return out
}

func (m *Message) toKgo() *kgo.Record {
	r := &kgo.Record{Topic: m.Topic, Partition: m.Partition, Key: m.Key, Value: m.Value}
	if m.Envelope != nil {
		r.Headers = []kgo.RecordHeader{{Key: proto.HeaderEnvelope, Value: m.Envelope}}
	}
	if m.Sent != 0 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: proto.HeaderSent, Value: binary.BigEndian.AppendUint64(nil, uint64(m.Sent))})
	}
	return r
}
