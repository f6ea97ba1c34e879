// Package sink writes what Wardflow publishes into ClickHouse, every row exactly
// once.
//
// For each partition it takes records up to some offset, commits that range and
// an attempt as the metadata of its Kafka offset (the plan), and only then
// inserts the range as one block per table. The next plan's commit also says
// that the range before it is done. Whoever finds a plan after a crash reads the
// range again, counts what of it the tables have, and inserts what is missing.
//
// Here live the plan, the decoding of records into rows and the loop around
// them. Tables and inserts are pkg/store's, Kafka is pkg/bus's; no message is
// made here but dead letters. It may be changed by whoever has read "Into
// ClickHouse, exactly once" in the design and keeps the tests under failpoints
// passing.
package sink
