// Package reassembly puts the segments of a TCP connection back into two byte
// streams, for the dissectors that need more than one packet to see a message.
//
// Here live sequence numbers, overlaps, holes and the memory that waits for
// them. What the bytes mean lives in pkg/dissect; which packets belong to a
// connection, in pkg/flow. The package knows no protocol and imports neither.
//
// In-order segments go to the Handler as they were captured, without a copy.
// A segment beyond a hole is copied and waits. A hole is given up, and the
// handler told how many bytes it missed, when its stream or the pool is full,
// when it is older than Limits.Wait, or soon after the receiver acknowledged it:
// then the sensor lost what the receiver got, and nobody will send it again.
// All decisions follow from the packets and their times, so a second run over
// the same packets gives the same calls.
//
// Where segments overlap, the byte that was captured first wins, as a rule that
// is simple to state; stacks differ here, so a difference between the copies is
// counted as a conflict and Conn.Conflicted reports it.
package reassembly
