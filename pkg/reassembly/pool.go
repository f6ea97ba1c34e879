package reassembly

import (
	"time"
)

// Limits bound what waits beyond holes; nothing else is kept. Zero fields take the
// defaults. A direction may exceed StreamBytes by the overhead of one segment's
// parts, which are at most Pieces+1.
type Limits struct {
	StreamBytes int           // waiting bytes of one direction, default 256 KiB
	Pieces      int           // waiting pieces of one direction, default 256
	TotalBytes  int64         // waiting bytes of all connections of a Pool, default 64 MiB
	Wait        time.Duration // age at which a hole is given up, default 10 s of event time
	AckedWait   time.Duration // the same once the receiver acknowledged it, default 500 ms
	Ahead       uint32        // farthest plausible distance from the next byte, default 16 MiB
}

// pieceOverhead is charged per waiting piece on top of its bytes, so that many
// tiny segments are not free.
const pieceOverhead = 64

// Counters count since the pool was made. Bytes are payload bytes.
type Counters struct {
	Segments      uint64 // segments with payload
	OutOfOrder    uint64 // segments that had to wait
	Retransmitted uint64 // bytes seen again
	Unchecked     uint64 // overlaps with bytes that are gone, so not compared
	Conflicts     uint64 // overlaps whose bytes differ; the first were kept
	Gaps          uint64 // holes given up and segments cut by the capture
	GapBytes      uint64 // their bytes, where the number is known
	GapFull       uint64 // holes given up because a direction was full
	GapMemory     uint64 // holes given up because the pool was full
	GapOld        uint64 // holes given up because of their age
	OutOfWindow   uint64 // segments too far from the stream to be believed
	AfterEnd      uint64 // segments after FIN or RST
	Midstream     uint64 // directions whose beginning was not seen
	Restarts      uint64 // directions that began anew with another SYN or far away
}

// Pool holds what connections share: limits, memory, counters. It is used by
// one goroutine.
type Pool struct {
	Counters Counters
	limits   Limits
	held     int64
}

// NewPool makes a pool.
func NewPool(l Limits) *Pool {
	if l.StreamBytes <= 0 {
		l.StreamBytes = 256 << 10
	}
	if l.Pieces <= 0 {
		l.Pieces = 256
	}
	if l.TotalBytes <= 0 {
		l.TotalBytes = 64 << 20
	}
	if l.Wait <= 0 {
		l.Wait = 10 * time.Second
	}
	if l.AckedWait <= 0 {
		l.AckedWait = 500 * time.Millisecond
	}
	if l.Ahead == 0 {
		l.Ahead = 16 << 20
	}
	return &Pool{limits: l}
}

// Held is the number of bytes that wait, with their overhead.
func (p *Pool) Held() int64 { return p.held }
