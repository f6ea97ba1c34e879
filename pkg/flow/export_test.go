package flow

import "unsafe"

// What a live flow costs, what there may be more of it, and its messages.
const (
	EntrySize  = unsafe.Sizeof(Entry{})
	MoreSize   = unsafe.Sizeof(more{})
	SketchSize = unsafe.Sizeof(sketch{})
)

// PacketEnds is how much of an entry a packet of a known flow touches.
const PacketEnds = unsafe.Offsetof(Entry{}.links)

// FlowIDOf is flowID with the parts that proto.HashID would get.
var FlowIDOf = flowID

// MakeKey is makeKey.
var MakeKey = makeKey

// Tunnels is how many flows came in tunnels, and in how many.
func Tunnels(t *Table) (flows, tunnels int) { return len(t.tunnels.of), len(t.tunnels.known) }
