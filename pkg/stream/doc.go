// Package stream runs folds: state, event -> state, events. A fold uses event
// time only and does no I/O; this package gives it keyed state with an overlay
// that an abort discards, timers on watermarks, sweeps over a lane's state, and
// outputs that are numbered so that a refold repeats nothing.
//
// Partition is the heart: it merges a lane-partition's inputs in the order that
// offsets fix, calls the fold and collects what it did. Runner drives partitions
// from Kafka, one transaction for outputs, changelog and offsets; Local drives
// the same partitions in memory, depth-first, for replay and for tests.
//
// What a fold computes does not belong here. Kafka is reached through pkg/bus only.
package stream
