package stream

import (
	"encoding/binary"
	"errors"

	"github.com/wardflow/wardflow/proto"
)

// Tx is what a fold may do while it applies one event: read and change its
// tables, set timers, emit, and ask for a sweep. It is valid only during the call.
type Tx struct {
	p      *Partition
	cause  proto.Cause
	time   proto.Time
	domain string
	site   string
	topic  string // of the event that is applied, "" where timers fire and tables are swept
	pos    proto.Position
}

// Cause is the traffic item that the current call follows from.
func (tx *Tx) Cause() proto.Cause { return tx.cause }

// Now is the event time of the current call: the event's, or the timer's.
func (tx *Tx) Now() proto.Time { return tx.time }

// As gives a Tx that speaks at another moment: what a person decides about a device
// is told in the event time and domain of the device's own life, in which the folds
// downstream keep their timers.
func (tx *Tx) As(t proto.Time, site, domain string) *Tx {
	as := *tx
	as.time, as.site, as.domain = t, site, domain
	return &as
}

// Partition is the partition that the call works for.
func (tx *Tx) Partition() int32 { return tx.p.id }

// Emit sends an event. Within a transaction the outputs keep their order.
func (tx *Tx) Emit(o Output) {
	tx.p.seq++
	tx.p.outputs = append(tx.p.outputs, Emitted{Output: o, Envelope: proto.Envelope{
		Schema: proto.SchemaDerived, Kind: o.Kind, Producer: tx.p.producer, Seq: tx.p.seq,
		Cause: tx.cause, Time: o.Time, Domain: tx.domain,
	}})
}

// Rollup sends one cumulative hourly row. Rows are batched over the transaction.
func (tx *Tx) Rollup(r proto.Rollup) {
	if len(tx.p.rollups) >= maxRollupRows {
		tx.p.cutRollups()
	}
	tx.p.rollupSeq++
	tx.p.rollups = append(tx.p.rollups, r)
	tx.p.rollupCause, tx.p.rollupTime, tx.p.rollupDomain = tx.cause, tx.time, tx.domain
}

// Dead sends the coordinates of the current event, and why it could not be used,
// to the dead-letter topic.
func (tx *Tx) Dead(reason string) { tx.p.deadEvent(tx, reason) }

// Timer asks for Fire when the watermark of the current event's site and domain
// reaches at. The key comes back with it.
func (tx *Tx) Timer(at proto.Time, key []byte) {
	tx.p.setTimer(timer{at: at, domain: tx.domain, site: tx.site, key: string(key)})
}

// Remind is Timer for what a row of the fold, which must be a Reminder, tells of: from
// then on, until the row tells of it no more. It reports false, and has done nothing, for a
// row of another site or where it is not live traffic that the timer would wait for:
// then it takes Timer.
//
// After a restart there is what the rows tell of. So that one makes no difference, the
// fold must let a timer pass whose time is not that in its row.
func (tx *Tx) Remind(at proto.Time, site string, key []byte) bool {
	if tx.domain != proto.LiveDomain || tx.site != site {
		return false
	}
	tx.p.clockOf(site, tx.domain).timers.push(due{at: at, key: string(key)})
	return true
}

// Sweep asks for a call of the fold's Sweep for every key of a table that exists
// now, in key order, before the next event is applied. A sweep of a large table
// spans several transactions; nothing else of the partition happens meanwhile,
// so its place in the order is definite.
func (tx *Tx) Sweep(name string, table byte) {
	tx.p.sweeps = append(tx.p.sweeps, sweep{name: name, table: table, cause: tx.cause, time: tx.time, domain: tx.domain, site: tx.site})
}

var errShort = errors.New("state value too short")

func appendUvarint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func readUvarint(b []byte) (uint64, []byte, error) {
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return 0, nil, errShort
	}
	return n, b[k:], nil
}

// Encoder and Decoder are the compact codec that fold state uses: varints,
// length-prefixed bytes, fixed arrays. Trailing fields that an older build does
// not know are ignored, absent ones read as zero.

// AppendUint appends a varint.
func AppendUint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// AppendInt appends a zig-zag varint.
func AppendInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

// AppendBytes appends a length and bytes.
func AppendBytes(b []byte, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendString appends a length and text.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decoder reads what the Append functions wrote; it keeps the first error, and
// at the end of its input every field reads as zero.
type Decoder struct {
	b    []byte
	text string // all of the input, where strings may be parts of it
	err  error
}

// NewDecoder reads from b, which must stay unchanged while reading.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

// NewTextDecoder reads from b, of which strings are then made at once: for values that
// have many.
func NewTextDecoder(b []byte) *Decoder { return &Decoder{b: b, text: string(b)} }

// Err is the first error.
func (d *Decoder) Err() error { return d.err }

// More reports whether there are bytes left.
func (d *Decoder) More() bool { return d.err == nil && len(d.b) > 0 }

// Uint reads a varint.
func (d *Decoder) Uint() uint64 {
	if !d.More() {
		return 0
	}
	n, k := binary.Uvarint(d.b)
	if k <= 0 {
		d.err = errShort
		return 0
	}
	d.b = d.b[k:]
	return n
}

// Int reads a zig-zag varint.
func (d *Decoder) Int() int64 {
	if !d.More() {
		return 0
	}
	n, k := binary.Varint(d.b)
	if k <= 0 {
		d.err = errShort
		return 0
	}
	d.b = d.b[k:]
	return n
}

// Bytes reads a length and bytes, which alias the input.
func (d *Decoder) Bytes() []byte { return d.take(d.Uint()) }

func (d *Decoder) take(n uint64) []byte {
	if d.err == nil && n > uint64(len(d.b)) {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

// String reads a length and text.
func (d *Decoder) String() string { return d.asText(d.Bytes()) }

// Text reads a text of a length that is known.
func (d *Decoder) Text(n uint64) string { return d.asText(d.take(n)) }

// asText makes a text of what was read last.
func (d *Decoder) asText(s []byte) string {
	if d.text == "" {
		return string(s)
	}
	end := len(d.text) - len(d.b)
	return d.text[end-len(s) : end]
}

// Fixed fills into from as many bytes; at the end of input it stays zero.
func (d *Decoder) Fixed(into []byte) {
	if !d.More() {
		return
	}
	if len(d.b) < len(into) {
		d.err = errShort
		return
	}
	copy(into, d.b)
	d.b = d.b[len(into):]
}
