package stream

import (
	"time"

	"github.com/wardflow/wardflow/proto"
)

// Input is a topic that a fold reads. The first input is the primary one: its
// offsets are the fold's order. A further input with Upstream set is merged into
// that order by cause: an event of it is applied before the primary event that
// caused it, and a primary event waits until Upstream says that it has passed. One
// without Upstream (control, edits) follows from nothing that the primary input
// has: its events apply in the order of their offsets, when they are read.
type Input struct {
	Topic    string
	Upstream string // the fold whose progress on this topic is waited for; "" for none
	Rekeyed  bool   // Upstream speaks from every partition, not only from this one
}

// Fold is a service's logic. It holds no state of its own: all state lies in
// Tables, reached through the Tx, and every decision follows from state, event
// and the fold's configuration.
type Fold interface {
	// Name is part of topic names, producer names and metric labels.
	Name() string
	// Inputs lists what it reads, the primary input first.
	Inputs() []Input
	// Progress lists the topics on which the fold must say how far it has come,
	// because folds downstream wait for it there; nil when none does.
	Progress() []ProgressTo
	// Apply takes one event in.
	Apply(tx *Tx, ev *Event)
	// Fire is called for a timer when its domain's watermark has passed it.
	Fire(tx *Tx, t Timer)
	// Sweep is called for every key of a table after Apply asked for it with Tx.Sweep.
	Sweep(tx *Tx, name string, key []byte)
}

// Reminder is a fold that knows from its rows which timers it waits for, so that these
// need no rows of their own: one that is set and fires would be written twice.
type Reminder interface {
	// Reminders says of which table the rows are.
	Reminders() (table byte)
	// Remind calls set for each timer that a row tells of, which Tx.Remind has taken.
	Remind(key, val []byte, set func(at proto.Time, site string, key []byte)) error
}

// ProgressTo is a topic on which a fold says how far it has come.
type ProgressTo struct {
	Topic string
	All   bool // in every partition, because readers are re-keyed; else in the traffic partition's own
}

// Event is one input of a fold.
type Event struct {
	Topic  string
	Cause  proto.Cause // the item of wardflow.traffic that it is, or that it follows from
	Time   proto.Time  // event time; arrival time where the sensor's clock is suspect
	Domain string      // time domain
	Site   string
	Mirror bool // the server's copy of a flow

	// Msg is one of *proto.Flow, *proto.Observation, *proto.Heartbeat (only one
	// with End set), *proto.Summary, *proto.Claim, *proto.Grouping, *proto.Nested, *proto.Binding, *proto.Device,
	// *proto.Detection, *proto.Control, *proto.Edit. It must not be kept after Apply.
	Msg any
}

// Timer is due when the watermark of its domain reaches At. Timers of one
// partition fire in order of (At, Key). A timer cannot be taken back: the fold
// looks into its state and lets a stale one pass.
type Timer struct {
	At     proto.Time
	Key    []byte
	Domain string // as set by Tx.Timer
	Site   string

	// Quiet is how far the watermark jumped with the heartbeat that made the timer
	// due: for so long no sensor said anything, so that silence up to At need not be
	// a device's. It is 0 when the heartbeat ended a capture file, whose time may be
	// advanced past its last packet on purpose.
	Quiet time.Duration
}

// Output is one event that a fold emits. Its number, cause and domain are added.
type Output struct {
	Topic string
	Kind  string // proto.Kind...
	Lane  proto.Lane
	Key   []byte // record key; for compacted topics
	Value []byte
	Time  proto.Time
}
