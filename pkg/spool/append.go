package spool

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/wardflow/wardflow/pkg/failpoint"
)

// Append writes a record behind all others. The payload is not kept. An error
// says that the record was dropped and counted (it wraps ErrDropped and the
// cause); the spool stays usable, and takes records again when the cause is gone.
func (s *Spool) Append(partition int32, payload []byte) error {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return ErrClosed
	}
	if reason, err := s.take(partition, payload); err != nil {
		s.drop(reason, 1, int64(len(payload)))
		return fmt.Errorf("append to spool %s: %w: %w", s.cfg.Dir, ErrDropped, err)
	}
	return nil
}

// Offer is Append for a caller who keeps the record when it is not taken: then
// it is not counted as dropped, and the reason says what it would count as. The
// number is for Ack.
func (s *Spool) Offer(partition int32, payload []byte) (number uint64, reason Reason, err error) {
	s.mu.Lock()
	defer s.unlock()
	return s.offer(partition, payload)
}

// OfferRead is Offer of a record that the reader has in hand already: Read does
// not give it, unless Rewind goes back before it. Everything that is in the spool
// must have been read.
func (s *Spool) OfferRead(partition int32, payload []byte) (number uint64, reason Reason, err error) {
	s.mu.Lock()
	defer s.unlock()
	if s.cursor < s.next {
		return 0, DropWrite, fmt.Errorf("append to spool %s as read: records before it are not", s.cfg.Dir)
	}
	number, reason, err = s.offer(partition, payload)
	if err == nil {
		s.cursor, s.seen = number+1, number
	}
	return number, reason, err
}

func (s *Spool) offer(partition int32, payload []byte) (uint64, Reason, error) {
	if s.closed {
		return 0, DropWrite, ErrClosed
	}
	if reason, err := s.take(partition, payload); err != nil {
		return 0, reason, fmt.Errorf("append to spool %s: %w", s.cfg.Dir, err)
	}
	return s.next - 1, "", nil
}

func (s *Spool) take(partition int32, payload []byte) (Reason, error) {
	reason, err := s.append(partition, payload)
	if err != nil {
		if full(err) {
			reason = DropDiskFull
		}
		return reason, err
	}
	s.stats.appended++
	s.stats.appendedBytes += uint64(len(payload))
	return "", nil
}

func (s *Spool) append(partition int32, payload []byte) (Reason, error) {
	if longest := s.cfg.MaxPayload(); len(payload) > longest {
		return DropTooLong, fmt.Errorf("payload of %d bytes, the bound is %d", len(payload), longest)
	}
	need := int64(frameLen + len(payload))
	if s.active != nil && s.segs[len(s.segs)-1].size+need > s.cfg.SegmentBytes {
		if err := s.seal(); err != nil {
			s.stats.syncErrors++ // of records that are appended already; the new one is not worse off
		}
		s.removeDone()
	}
	if err := s.makeRoom(need); err != nil {
		return DropBound, err
	}
	now := s.cfg.Now()
	if s.active == nil {
		if err := s.begin(now.UnixNano()); err != nil {
			return DropWrite, err
		}
	}
	g := s.segs[len(s.segs)-1]
	s.buf = appendFrame(s.buf[:0], &Record{Number: s.next, Partition: partition, Appended: now, Payload: payload})
	if err := s.write(g); err != nil {
		s.takeBack(g)
		return DropWrite, fmt.Errorf("write to %s: %w", s.path(g), err)
	}
	failpoint.Hit("spool.record.written")
	if s.dirty.IsZero() {
		s.dirty = now
	}
	if s.cfg.Sync == SyncEach {
		if err := s.sync(); err != nil {
			s.takeBack(g)
			s.abandon()
			return DropSync, fmt.Errorf("sync %s: %w", s.path(g), err)
		}
	}
	g.size += need
	s.bytes += need
	s.next++
	g.next, g.upto = s.next, s.next
	s.tick()
	return "", nil
}

// write writes the frame in buf behind the segment's last record, in one call;
// under failpoints in two, so that a kill leaves half of it.
func (s *Spool) write(g *segment) error {
	b, off := s.buf, g.size
	if failpoint.Enabled {
		half := len(b) / 2
		if err := writeFull(s.active, b[:half], off); err != nil {
			return err
		}
		failpoint.Hit("spool.record.middle")
		b, off = b[half:], off+int64(half)
	}
	return writeFull(s.active, b, off)
}

// takeBack removes what a failed write left behind the last whole record. Where
// that fails too the segment ends: its end is known from the next one's first
// number, so nobody will read the rest.
func (s *Spool) takeBack(g *segment) {
	if err := s.active.Truncate(g.size); err != nil {
		s.abandon()
	}
}

// makeRoom deletes the oldest segments until need bytes fit below the bound.
func (s *Spool) makeRoom(need int64) error {
	for len(s.segs) > 0 {
		more := need
		if s.active == nil {
			more += headerLen
		}
		if s.bytes+more <= s.cfg.MaxBytes {
			return nil
		}
		if s.active != nil && len(s.segs) == 1 {
			s.abandon()
		}
		oldest := s.segs[0]
		lost := oldest.count(s.acked+1, oldest.next)
		if err := s.removeOldest(); err != nil {
			return fmt.Errorf("delete the oldest segment, because %d bytes are the bound: %w", s.cfg.MaxBytes, err)
		}
		if oldest.next-1 <= s.acked {
			continue
		}
		if lost > 0 {
			s.drop(DropBound, lost, oldest.size)
		}
		s.acked = oldest.next - 1
		s.cursor = max(s.cursor, s.acked+1)
		// Stored after the deletion: a kill in between is told at the next start,
		// as records that are gone. An error only has them told twice then.
		if err := s.ack.store(s.acked); err != nil {
			s.stats.ackErrors++
		}
	}
	return nil
}

// begin makes a new active segment.
func (s *Spool) begin(now int64) error {
	s.lastSeq++ // also after a failure: what it left keeps its name
	g := &segment{seq: s.lastSeq, first: s.next, next: s.next, upto: s.next, created: now, whole: true}
	path := s.path(g)
	f, err := s.cfg.FS.Create(path)
	if err != nil {
		return fmt.Errorf("make segment: %w", err)
	}
	failpoint.Hit("spool.segment.made")
	err = writeFull(f, g.header(), 0)
	if err == nil && s.cfg.Sync != SyncNever {
		err = s.cfg.FS.SyncDir(s.cfg.Dir)
	}
	if err != nil {
		_ = f.Close() // it is given up
		if s.cfg.FS.Remove(path) != nil {
			g.whole = false // without records; deleted when those before it are done
			g.size = headerLen
			s.add(g)
		}
		return fmt.Errorf("begin segment %s: %w", filepath.Base(path), err)
	}
	failpoint.Hit("spool.segment.begun")
	g.size = headerLen
	s.active = f
	s.add(g)
	return nil
}

func (s *Spool) add(g *segment) {
	s.segs = append(s.segs, g)
	s.bytes += g.size
}

// seal syncs the active segment, unless the policy is SyncNever, and ends it.
func (s *Spool) seal() error {
	if s.active == nil {
		return nil
	}
	var err error
	if s.cfg.Sync != SyncNever {
		err = s.sync()
	}
	s.abandon()
	return err
}

// abandon ends the active segment as it is.
func (s *Spool) abandon() {
	if s.active == nil {
		return
	}
	_ = s.active.Close() // what was written is written; syncs report for themselves
	s.active, s.dirty = nil, time.Time{}
}

func (s *Spool) sync() error {
	if s.dirty.IsZero() {
		return nil
	}
	if err := s.active.Sync(); err != nil {
		return err
	}
	s.dirty = time.Time{}
	failpoint.Hit("spool.record.synced")
	return nil
}

// Tick syncs what was appended longer than SyncEvery ago. Under SyncInterval it
// is to be called about that often, because Append alone does not sync a
// burst's last records. It is cheap when nothing is due.
func (s *Spool) Tick() {
	s.mu.Lock()
	defer s.unlock()
	s.tick()
}

// tick counts a sync that fails, and ends the segment: the kernel may have
// dropped what it could not write and report success the next time.
func (s *Spool) tick() {
	if s.cfg.Sync != SyncInterval || s.dirty.IsZero() || s.cfg.Now().Sub(s.dirty) < s.cfg.SyncEvery {
		return
	}
	if err := s.sync(); err != nil {
		s.stats.syncErrors++
		s.abandon()
	}
}
