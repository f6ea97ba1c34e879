package spool

import (
	"errors"
	"fmt"
	"io"

	"github.com/wardflow/wardflow/pkg/failpoint"
)

// readAttempts is how often in a row a record's reading may fail before it, and
// the rest of its segment, is given up as damaged.
const readAttempts = 3

// reading is the file that the cursor is in.
type reading struct {
	seg    *segment
	f      File
	off    int64  // of the record with the number
	number uint64 // at off
	failed int    // attempts in a row
}

func (r *reading) close() {
	if r.f != nil {
		_ = r.f.Close() // it was only read
	}
	*r = reading{failed: r.failed}
}

// Read gives the oldest record that was not read, in the order of Append. It
// returns io.EOF when there is none now. Another error is a file that could not
// be read: the cursor has not moved, and calling again is right; at the third in
// a row the rest of that segment is dropped and Read goes on behind it.
func (s *Spool) Read() (Record, error) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return Record{}, ErrClosed
	}
	for s.cursor < s.next {
		g := s.segmentOf(s.cursor)
		if g == nil {
			s.lose(s.next)
			break
		}
		if s.cursor < g.first { // the segments between are gone
			s.lose(g.first)
			continue
		}
		if s.cursor >= g.upto { // lost and counted earlier
			s.cursor = g.next
			continue
		}
		rec, err := s.readIn(g)
		switch {
		case err == nil:
			s.reading.failed = 0
			s.seen = max(s.seen, s.cursor)
			s.cursor++
			return rec, nil
		case errors.Is(err, errDamaged) || s.reading.failed+1 >= readAttempts:
			s.giveUp(g)
		default:
			s.reading.failed++
			s.reading.close()
			return Record{}, fmt.Errorf("read spool segment %s: %w", s.path(g), err)
		}
	}
	return Record{}, io.EOF
}

// segmentOf is the first segment that ends behind the number.
func (s *Spool) segmentOf(number uint64) *segment {
	for _, g := range s.segs {
		if g.next > number {
			return g
		}
	}
	return nil
}

// readIn reads the record at the cursor, which is in g; those before it are
// passed over when g was just opened.
func (s *Spool) readIn(g *segment) (Record, error) {
	r := &s.reading
	if r.seg != g || r.number > s.cursor {
		r.close()
		f, err := s.cfg.FS.Open(s.path(g))
		if err != nil {
			return Record{}, err
		}
		r.seg, r.f, r.off, r.number = g, f, headerLen, g.first
	}
	for {
		rec, n, err := readFrame(r.f, r.off, g.size, r.number)
		if err != nil {
			return Record{}, err
		}
		r.off += n
		r.number++
		if rec.Number == s.cursor {
			return rec, nil
		}
	}
}

// giveUp drops the rest of a segment, from the cursor on.
func (s *Spool) giveUp(g *segment) {
	if s.active != nil && g == s.segs[len(s.segs)-1] {
		s.abandon() // records that come could not be found behind the damage
	}
	bytes := max(g.size-s.reading.off, 0)
	if s.reading.seg != g {
		bytes = g.size
	}
	s.reading.failed = 0
	s.reading.close()
	g.upto = s.cursor
	s.drop(DropDamaged, g.next-s.cursor, bytes)
	s.cursor = g.next
}

// lose counts the records from the cursor to the number, whose files are gone.
func (s *Spool) lose(to uint64) {
	s.drop(DropDamaged, to-s.cursor, 0)
	s.cursor = to
}

// Rewind lets Read begin again at the oldest record that is not acknowledged,
// for a caller whose deliveries have failed.
func (s *Spool) Rewind() {
	s.mu.Lock()
	defer s.unlock()
	s.cursor = s.acked + 1
}

// Ack acknowledges the record with the number and all before it: they are not
// read again, by no later process either, and segments that hold nothing else are
// deleted. Numbers that are acknowledged already, or were dropped meanwhile,
// change nothing. After an error they may be read again: by this process, if the
// disk was not full, and by a later one. Ack may be called again.
func (s *Spool) Ack(number uint64) error {
	s.mu.Lock()
	defer s.unlock()
	switch {
	case s.closed:
		return ErrClosed
	case number <= s.acked:
		return nil
	case number > s.seen:
		return fmt.Errorf("acknowledge record %d of spool %s: only those up to %d were read", number, s.cfg.Dir, s.seen)
	}
	number = s.reach(number)
	if err := s.ack.store(number); err != nil {
		s.stats.ackErrors++
		if !full(err) {
			return fmt.Errorf("acknowledge record %d of spool %s: %w", number, s.cfg.Dir, err)
		}
		// A file system that never overwrites in place needs room for this too,
		// and only deleting makes room. The caller is done with these records; if
		// the process ends now they are read again, or counted as gone.
		s.finish(number)
		if err := s.ack.store(number); err != nil {
			return fmt.Errorf("acknowledge record %d of spool %s: %w", number, s.cfg.Dir, err)
		}
		return nil
	}
	s.finish(number)
	return nil
}

// finish moves on to the record behind the number. A spool without pending
// records keeps no segment: what was delivered should not lie around.
func (s *Spool) finish(number uint64) {
	s.stats.drained += s.count(s.acked+1, number+1)
	s.acked = number
	s.cursor = max(s.cursor, number+1)
	if number+1 == s.next {
		s.abandon()
	}
	s.removeDone()
}

// reach extends an acknowledgement over records that are lost, so that their
// segment can go.
func (s *Spool) reach(number uint64) uint64 {
	for _, g := range s.segs {
		if g.first <= number+1 && g.upto <= number+1 && g.next > number+1 {
			number = g.next - 1
		}
	}
	return number
}

// count is the number of readable records with numbers in [from, to).
func (s *Spool) count(from, to uint64) uint64 {
	n := uint64(0)
	for _, g := range s.segs {
		n += g.count(from, to)
	}
	return n
}

// removeDone deletes the segments that hold only what is acknowledged. One that
// cannot be deleted is tried again at the next call, and those behind it wait.
func (s *Spool) removeDone() {
	for len(s.segs) > 0 && s.segs[0].next <= s.acked+1 && (s.active == nil || len(s.segs) > 1) {
		if s.removeOldest() != nil {
			return
		}
	}
}

func (s *Spool) removeOldest() error {
	g := s.segs[0]
	if s.reading.seg == g {
		s.reading.close()
	}
	failpoint.Hit("spool.delete.before")
	if err := s.cfg.FS.Remove(s.path(g)); err != nil {
		s.stats.removeErrors++
		return err
	}
	failpoint.Hit("spool.delete.after")
	s.segs = s.segs[1:]
	s.bytes -= g.size
	return nil
}
