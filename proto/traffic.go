package proto

import (
	"errors"

	"github.com/vmihailenco/msgpack/v5"
)

// Heartbeat is a sensor's event clock, sent to every partition about once a
// second of event time: all that the sensor saw before Clock has been sent.
type Heartbeat struct {
	Clock Time
	End   bool // the capture file is over: event time of its domain ends at Clock
}

// Item is one event of a batch: exactly one of Flow, Observation, Heartbeat is
// set. Mirror marks the copy of a flow on the server's lane; it is for folds and
// is never stored.
type Item struct {
	Lane        Lane
	Mirror      bool
	Flow        *Flow
	Observation *Observation
	Heartbeat   *Heartbeat
}

// Batch is one record of wardflow.traffic: items of one sensor for one partition
// in capture order. Items are numbered from FirstSeq per producer and partition;
// a consumer drops the numbers that it has seen. A file's producer name follows
// from its content, so that reading it again after a crash changes nothing.
type Batch struct {
	Version  uint8
	Site     string
	Sensor   string
	Producer string
	Domain   string // time domain: "live", or the producer for a capture file
	FirstSeq uint64
	Items    []Item // the slice is used again when the same Batch is decoded again
}

// LiveDomain is the time domain of all live sensors.
const LiveDomain = "live"

const (
	itemFlow = iota
	itemObservation
	itemHeartbeat
)

const batchFields = 7

// EncodeMsgpack implements msgpack.CustomEncoder.
func (b *Batch) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, b) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (b *Batch) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, b) }

// encode writes the batch as an array of 7 fields, the last being the items.
func (b *Batch) encode(w *writer) {
	b.encodeHead(w, len(b.Items))
	for i := range b.Items {
		b.Items[i].encode(w)
	}
}

func (b *Batch) encodeHead(w *writer, items int) {
	w.array(batchFields)
	w.uint(uint64(SchemaTraffic))
	w.string(b.Site)
	w.string(b.Sensor)
	w.string(b.Producer)
	w.string(b.Domain)
	w.uint(b.FirstSeq)
	w.array(items)
}

func (it *Item) encode(w *writer) {
	w.array(4)
	w.uint(uint64(it.Lane))
	w.bool(it.Mirror)
	switch {
	case it.Flow != nil:
		w.uint(itemFlow)
		it.Flow.encode(w)
	case it.Observation != nil:
		w.uint(itemObservation)
		it.Observation.encode(w)
	case it.Heartbeat != nil:
		w.uint(itemHeartbeat)
		w.array(2)
		w.int(int64(it.Heartbeat.Clock))
		w.bool(it.Heartbeat.End)
	default:
		w.fail(errors.New("encode batch: item without content"))
	}
}

// decode reads any version. An item of an unknown kind is kept with no
// content, so that positions and numbers stay right.
func (b *Batch) decode(r *reader) {
	r.array()
	b.Version = uint8(r.uint())
	b.Site = r.word()
	b.Sensor = r.word()
	b.Producer = r.word()
	b.Domain = r.word()
	b.FirstSeq = r.uint()
	b.Items = b.Items[:0]
	if r.more() {
		b.decodeItems(r, r.arrayLen())
	}
	r.end()
}

func (b *Batch) decodeItems(r *reader, m int) {
	if r.err != nil || m <= 0 {
		return
	}
	if cap(b.Items) < m {
		b.Items = make([]Item, 0, min(m, 8192))
	}
	var slab []Flow
	for range m {
		if len(slab) == 0 {
			slab = make([]Flow, min(m, 64))
		}
		var it Item
		if r.nested(func(in *reader) { it.decode(in, &slab[0]) }); r.err != nil {
			return
		}
		switch {
		case it.Flow != nil:
			it.Flow.Site, it.Flow.Sensor = b.Site, b.Sensor
			slab = slab[1:]
		case it.Observation != nil:
			it.Observation.Site, it.Observation.Sensor = b.Site, b.Sensor
		}
		b.Items = append(b.Items, it)
	}
}

func (it *Item) decode(r *reader, f *Flow) {
	r.array()
	it.Lane = Lane(r.uint())
	it.Mirror = r.bool()
	kind := r.uint()
	if !r.more() {
		return
	}
	switch kind {
	case itemFlow:
		r.nested(f.decode)
		it.Flow = f
	case itemObservation:
		it.Observation = new(Observation)
		r.nested(it.Observation.decode)
	case itemHeartbeat:
		it.Heartbeat = new(Heartbeat)
		r.nested(func(h *reader) {
			h.array()
			it.Heartbeat.Clock, it.Heartbeat.End = Time(h.int()), h.bool()
			h.end()
		})
	default:
		r.skip(maxDepth)
	}
	r.end()
}
