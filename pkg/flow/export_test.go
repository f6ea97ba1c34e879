package flow

import "unsafe"

// EntrySize is what a live flow costs in the slab.
const EntrySize = unsafe.Sizeof(Entry{})

// FlowIDOf is flowID with the parts that proto.HashID would get.
var FlowIDOf = flowID

// MakeKey is makeKey.
var MakeKey = makeKey
