package capture

import (
	"maps"
	"time"

	"github.com/wardflow/wardflow/pkg/spool"
)

// Why the Sender itself drops records; the spool's reasons are in SenderStats too.
const (
	DropTooLarge spool.Reason = "too_large" // the broker will never take it
	DropNoSpool  spool.Reason = "no_spool"  // the spool cannot be used and memory is full
	DropEnded    spool.Reason = "ended"     // handed over while the sensor stops, or not stored then
)

// SenderDrops are all reasons for which records may be lost, for counters that
// should be there from the start.
func SenderDrops() []spool.Reason {
	return append([]spool.Reason{DropTooLarge, DropNoSpool, DropEnded}, spool.Reasons...)
}

// SenderState is where records go.
type SenderState string

// The states of a Sender.
const (
	SendsDirect   SenderState = "direct"   // to the broker
	SendsSpooling SenderState = "spooling" // to the spool: the broker does not answer
	SendsDraining SenderState = "draining" // from the spool to the broker, and new ones to the spool's end
)

// SenderStats are counts of records (batches) since the start, and what is held
// now. They are at most a tenth of a second old.
type SenderStats struct {
	State SenderState
	Since time.Time // of the outage that is not over yet; zero in SendsDirect

	Direct     uint64 // acknowledged by the broker, never in the spool
	Spooled    uint64 // appended to the spool
	Drained    uint64 // acknowledged by the broker, from the spool
	Reconnects uint64 // clients of the broker that failed or stalled

	WindowRecords, QueueRecords int
	WindowBytes, QueueBytes     int
	OldestWait                  time.Duration // of what neither broker nor spool has

	// What is lost, by reason, the spool's own included. A torn tail or damage at
	// the end of the spool is counted in bytes only.
	Dropped      map[spool.Reason]uint64
	DroppedBytes map[spool.Reason]int64

	Spool     spool.Stats // zero when it could not be opened
	LastError string      // of broker or spool; "" when all is well
}

func newSenderStats() SenderStats {
	st := SenderStats{State: SendsDirect, Dropped: map[spool.Reason]uint64{}, DroppedBytes: map[spool.Reason]int64{}}
	for _, r := range SenderDrops() {
		st.Dropped[r], st.DroppedBytes[r] = 0, 0
	}
	return st
}

// Stats are the counts and what is held.
func (s *Sender) Stats() SenderStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Dropped, st.DroppedBytes = maps.Clone(st.Dropped), maps.Clone(st.DroppedBytes)
	for reason, n := range st.Spool.Dropped {
		st.Dropped[reason] += n
		st.DroppedBytes[reason] += st.Spool.DroppedBytes[reason]
	}
	return st
}

func (s *Sender) count(f func(*SenderStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

// state is where records go now.
func (s *Sender) state(now time.Time) SenderState {
	fromSpool := len(s.window) > 0 && s.window[0].number != 0
	switch {
	case !s.spooling && !fromSpool:
		return SendsDirect
	case s.answering(now):
		return SendsDraining
	}
	return SendsSpooling
}

// answering tells whether the broker takes records.
func (s *Sender) answering(now time.Time) bool {
	return s.conn.proven && (len(s.window) == 0 || now.Sub(s.front) <= s.cfg.Wait)
}

// publish lets Stats see what holds now.
func (s *Sender) publish(now time.Time) {
	state := s.state(now)
	if state == SendsDirect && s.answering(now) && s.stuck.reason == "" {
		s.recovered(now)
	}
	if state == s.published.state && now.Sub(s.published.at) < senderTick {
		return
	}
	s.published.state, s.published.at = state, now
	var onDisk spool.Stats
	if s.spool != nil {
		onDisk = s.spool.Stats()
	}
	oldest := time.Duration(0)
	if e := s.queue.head(); s.direct > 0 {
		oldest = now.Sub(s.oldest().since)
	} else if e != nil {
		oldest = now.Sub(e.since)
	}
	queued, queuedBytes := s.queue.len(), s.queue.size()
	s.count(func(st *SenderStats) {
		st.State, st.Since = state, s.away
		st.WindowRecords, st.WindowBytes = len(s.window), s.bytes
		st.QueueRecords, st.QueueBytes = queued, queuedBytes
		st.OldestWait, st.Spool = oldest, onDisk
	})
}

// recovered ends an outage.
func (s *Sender) recovered(now time.Time) {
	if s.away.IsZero() {
		return
	}
	s.cfg.Log.Info("Kafka has everything that was spooled; records go to it directly again", "after", now.Sub(s.away).Round(time.Millisecond))
	s.away = time.Time{}
	s.count(func(st *SenderStats) { st.LastError = "" })
}

// trouble notes an error of broker or spool, and logs it now and then.
func (s *Sender) trouble(err error) {
	s.count(func(st *SenderStats) { st.LastError = err.Error() })
	if s.quietTrouble.may() {
		s.cfg.Log.Warn("sending is in trouble", "err", err)
	}
}

// logQuiet lets one message through in ten seconds.
type logQuiet struct{ last time.Time }

func (q *logQuiet) may() bool {
	now := time.Now()
	if !q.last.IsZero() && now.Sub(q.last) < 10*time.Second {
		return false
	}
	q.last = now
	return true
}
