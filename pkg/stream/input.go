package stream

import (
	"sort"

	"github.com/wardflow/wardflow/proto"
)

// Record is one record of an input topic.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      proto.Time // the record's timestamp: arrival
	Sent      proto.Time // header proto.HeaderSent: the sensor's clock then; 0 when absent
	Envelope  []byte     // header proto.HeaderEnvelope; nil on wardflow.traffic
	Value     []byte
}

// pending is one decoded event of an input that has not been applied.
type pending struct {
	pos      proto.Position // its own, in its topic
	producer string
	seq      uint64
	arrival  proto.Time
	sent     proto.Time
	sensor   string
	ev       Event
	progress *proto.Progress
	beat     *proto.Heartbeat
	dead     string // why it cannot be used
	size     int
}

// input is the not yet applied part of one topic's partition.
//
// The primary input is a queue in offset order. A side input keeps one queue per
// producer: producers of one topic may be at different causes, and one that is
// ahead must not hide the progress of another. Within a producer the order is
// kept, so the highest applied number tells what is still to do after a restart.
type input struct {
	Input
	primary bool
	prefix  [gatePrefixLen]byte // of the topic, in state keys
	scratch []byte

	decoder decoder
	records []Record        // primary: not yet decoded
	queue   []pending       // primary: the decoded record at hand
	at      int             // index into queue
	decoded func([]pending) // told of each record that is decoded; may be nil

	sides map[string][]pending
	names []string // sorted keys of sides

	next       proto.Position // after the last event taken in (side: read; primary: applied)
	movedSince bool
	gate       map[int32]proto.Position
	heard      int64 // offset up to which gate has been heard; a restart must read so far before gate holds
}

func newInput(in Input, primary bool) *input {
	n := &input{Input: in, primary: primary, sides: map[string][]pending{}, gate: map[int32]proto.Position{}}
	copy(n.prefix[:], gatePrefix(in.Topic))
	return n
}

// producerKey is the state key of a producer's highest number; valid until the next call.
func (in *input) producerKey(producer string) []byte {
	in.scratch = append(append(in.scratch[:0], in.prefix[:]...), producer...)
	return in.scratch
}

// start places the input where the mark says; what comes before is skipped.
func (in *input) start(pos proto.Position) { in.next = pos }

// offer takes a record that the broker gave.
func (in *input) offer(r Record) {
	if r.Offset < in.next.Offset {
		return
	}
	if in.primary {
		in.records = append(in.records, r)
		return
	}
	for _, pd := range in.decoder.decode(r) {
		in.next = proto.Position{Offset: r.Offset + 1}
		in.movedSince = true
		if pd.progress != nil {
			if g := in.gate[pd.progress.Via]; g.Less(pd.progress.Next) {
				in.gate[pd.progress.Via] = pd.progress.Next
			}
			continue
		}
		name := in.queueOf(&pd)
		if _, ok := in.sides[name]; !ok {
			in.names = append(in.names, name)
			sort.Strings(in.names)
		}
		in.sides[name] = append(in.sides[name], pd)
	}
}

// queueOf is the queue of a side event: its producer's, or the one of an input
// that is not merged by cause, which has no order but that of its offsets.
func (in *input) queueOf(pd *pending) string {
	if in.Upstream == "" {
		return ""
	}
	return pd.producer
}

// head is the next event of a primary input, nil when there is none. It decodes
// the next record when it must, and skips what lies before the start position.
func (in *input) head() *pending {
	for {
		for in.at < len(in.queue) {
			pd := &in.queue[in.at]
			if !pd.pos.Less(in.next) {
				return pd
			}
			in.at++
		}
		if len(in.records) == 0 {
			in.queue, in.at = nil, 0
			return nil
		}
		r := in.records[0]
		in.records[0] = Record{}
		in.records = in.records[1:]
		in.queue, in.at = in.decoder.decode(r), 0
		if in.decoded != nil {
			in.decoded(in.queue)
		}
		if len(in.queue) == 0 { // a batch without items
			in.next = proto.Position{Offset: r.Offset + 1}
			in.movedSince = true
		}
	}
}

// pop moves past the head of a primary input.
func (in *input) pop() {
	pd := &in.queue[in.at]
	in.at++
	if in.at == len(in.queue) {
		in.next = proto.Position{Offset: pd.pos.Offset + 1}
	} else {
		in.next = proto.Position{Offset: pd.pos.Offset, Index: pd.pos.Index + 1}
	}
	in.movedSince = true
}

// side gives the event of a side input that comes first, by cause and then by
// producer, among those that may be applied before position at of partition
// part; all when there is no more to wait for.
func (in *input) side(part int32, at proto.Position) *pending {
	var best *pending
	for _, name := range in.names {
		q := in.sides[name]
		if len(q) == 0 {
			continue
		}
		pd := &q[0]
		c := pd.ev.Cause
		if in.Upstream != "" && c.Partition == part && at.Less(c.Position) && pd.dead == "" {
			continue
		}
		if best == nil || c.Less(best.ev.Cause.Position) {
			best = pd
		}
	}
	return best
}

func (in *input) popSide(pd *pending) {
	name := in.queueOf(pd)
	in.sides[name] = in.sides[name][1:]
	if len(in.sides[name]) == 0 {
		in.sides[name] = nil // let the array go
	}
	in.movedSince = true
}

// resume is the position from which a restart must read: for a side input the
// first event that has not been applied.
func (in *input) resume() proto.Position {
	pos := in.next
	for _, q := range in.sides {
		if len(q) > 0 && q[0].pos.Less(pos) {
			pos = q[0].pos
		}
	}
	return pos
}

// passed reports whether the upstream of in has applied position at.
func (in *input) passed(at proto.Position, partitions int) bool {
	if in.Upstream == "" {
		return true
	}
	if in.next.Offset < in.heard {
		return false
	}
	want := 1
	if in.Rekeyed {
		want = partitions
	}
	if len(in.gate) < want {
		return false
	}
	for _, g := range in.gate {
		if !at.Less(g) {
			return false
		}
	}
	return true
}

// Waiting is the number of records and events that the input holds.
func (in *input) waiting() int {
	n := len(in.records)
	if in.at < len(in.queue) {
		n++
	}
	for _, q := range in.sides {
		n += len(q)
	}
	return n
}
