package flow

import "unsafe"

// EntrySize is what a live flow costs in the slab.
const EntrySize = unsafe.Sizeof(Entry{})

// FlowIDOf is flowID with the parts that proto.HashID would get.
var FlowIDOf = flowID

// MakeKey is makeKey.
var MakeKey = makeKey

// Tunnels is how many flows came in tunnels, and in how many.
func Tunnels(t *Table) (flows, tunnels int) { return len(t.tunnels.of), len(t.tunnels.known) }
