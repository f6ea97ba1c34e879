package proto

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// Envelope travels in the Kafka record header HeaderEnvelope of every derived
// record (traffic batches carry the like in their value). Producer and Seq let
// every consumer drop what a refold emits a second time.
type Envelope struct {
	Schema   uint8
	Kind     string // which message the value is: summary, progress, binding, device, detection, ...
	Producer string // the fold and its partition, for example "endpoint/3"
	Seq      uint64 // counts up per producer; 0 is never used
	Cause    Cause
	Time     Time   // event time
	Domain   string // time domain of the cause
}

// HeaderEnvelope is the record header's key.
const HeaderEnvelope = "wf"

// HeaderSent is the record header of a live sensor's batches and statuses: the sensor's
// clock when it handed the record to the broker (8 bytes, big-endian, nanoseconds
// since 1970). Against the broker's time of arrival it tells how far the sensor's
// clock is off, however long the batch lay in a spool before.
const HeaderSent = "sent"

// The values of Envelope.Kind.
const (
	KindSummary   = "summary"
	KindProgress  = "progress"
	KindClaim     = "claim"
	KindGrouping  = "grouping"
	KindNested    = "nested"
	KindBinding   = "binding"
	KindDevice    = "device"
	KindDetection = "detection"
	KindAlert     = "alert"
	KindRisk      = "risk"
	KindUsage     = "usage"
	KindRollup    = "rollup"
	KindControl   = "control"
	KindDead      = "deadletter"
	KindSensor    = "sensor"
	KindEdit      = "edit"

	KindSensorEvent = "sensor_event"
)

// Append appends the encoded envelope to b.
func (v *Envelope) Append(b []byte) ([]byte, error) {
	w := writer{b: b}
	w.array(9)
	w.uint(uint64(v.Schema))
	w.string(v.Kind)
	w.string(v.Producer)
	w.uint(v.Seq)
	w.int(int64(v.Cause.Partition))
	w.int(v.Cause.Offset)
	w.int(int64(v.Cause.Index))
	w.int(int64(v.Time))
	w.string(v.Domain)
	return w.b, w.err
}

// Parse reads what Append wrote.
func (v *Envelope) Parse(b []byte) error {
	r := reader{b: b}
	r.array()
	*v = Envelope{}
	v.Schema = uint8(r.uint())
	v.Kind = r.word()
	v.Producer = r.word()
	v.Seq = r.uint()
	v.Cause.Partition = int32(r.int())
	v.Cause.Offset = r.int()
	v.Cause.Index = int32(r.int())
	v.Time = Time(r.int())
	v.Domain = r.word()
	r.end()
	if r.err != nil {
		return fmt.Errorf("read envelope: %w", r.err)
	}
	return nil
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (p *Progress) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, p) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (p *Progress) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, p) }

// encode writes progress as an array of 5 fields.
func (p *Progress) encode(w *writer) {
	w.array(5)
	w.string(p.Fold)
	w.int(int64(p.Partition))
	w.int(int64(p.Via))
	w.int(p.Next.Offset)
	w.int(int64(p.Next.Index))
}

// decode reads any version.
func (p *Progress) decode(r *reader) {
	r.array()
	*p = Progress{Fold: r.word(), Partition: int32(r.int()), Via: int32(r.int()), Next: Position{Offset: r.int(), Index: int32(r.int())}}
	r.end()
}
