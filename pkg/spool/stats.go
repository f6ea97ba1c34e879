package spool

import (
	"maps"
	"time"
)

// Stats are the spool's counters since it was opened, and what it holds now.
// What is dropped before it was appended (disk_full, write, sync, too_long, and
// bound where the oldest could not be deleted) was never in Appended.
type Stats struct {
	Appended      uint64 // records
	AppendedBytes uint64 // payloads
	Drained       uint64 // records acknowledged
	Dropped       map[Reason]uint64
	DroppedBytes  map[Reason]int64 // as in Drop

	SyncErrors   uint64 // syncs of confirmed records that failed: a power cut may lose them
	AckErrors    uint64 // acknowledgements that could not be stored: they may be read again
	RemoveErrors uint64 // segments that could not be deleted, tried again later

	Pending   uint64        // records that are not acknowledged
	Bytes     int64         // of the segments' files
	Segments  int           // files
	OldestAge time.Duration // of the oldest pending segment's first record; 0 with none pending
}

type counts struct {
	appended      uint64
	appendedBytes uint64
	drained       uint64
	dropped       map[Reason]uint64
	droppedBytes  map[Reason]int64
	syncErrors    uint64
	ackErrors     uint64
	removeErrors  uint64
}

func newCounts() counts {
	return counts{dropped: map[Reason]uint64{}, droppedBytes: map[Reason]int64{}}
}

// Stats are as of now.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.unlock()
	st := Stats{
		Appended:      s.stats.appended,
		AppendedBytes: s.stats.appendedBytes,
		Drained:       s.stats.drained,
		Dropped:       maps.Clone(s.stats.dropped),
		DroppedBytes:  maps.Clone(s.stats.droppedBytes),
		SyncErrors:    s.stats.syncErrors,
		AckErrors:     s.stats.ackErrors,
		RemoveErrors:  s.stats.removeErrors,
		Pending:       s.count(s.acked+1, s.next),
		Bytes:         s.bytes,
		Segments:      len(s.segs),
	}
	for _, g := range s.segs {
		if g.count(s.acked+1, s.next) > 0 {
			st.OldestAge = max(s.cfg.Now().Sub(time.Unix(0, g.created)), 0)
			break
		}
	}
	return st
}
