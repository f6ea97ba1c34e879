package spool

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Errors of a spool, found with errors.Is.
var (
	// ErrDropped is in every error of Append: the record is not in the spool, and is counted.
	ErrDropped = errors.New("record dropped")
	// ErrClosed is a call after Close.
	ErrClosed = errors.New("spool is closed")
)

// Spool is an open spool. Its methods may be called from several goroutines; one
// call at a time goes on, so a reader holds an appender up for one record's reading.
type Spool struct {
	cfg Config

	mu      sync.Mutex
	lock    io.Closer
	ack     *ackFile
	segs    []*segment // by sequence; the last is the active one if active is not nil
	active  File
	lastSeq uint64
	next    uint64 // number of the next record
	acked   uint64 // all up to here is done
	cursor  uint64 // number of the next record to read
	seen    uint64 // the highest that was read
	reading reading
	dirty   time.Time // since when the active segment has what is not synced; zero if it has nothing
	buf     []byte
	bytes   int64
	stats   counts
	untold  []Drop
	closed  bool
}

// Open opens the folder's spool, or makes it. It reads every segment's header and
// the records of the last. Damage is dropped and told; errors are a folder that
// cannot be used, one in use (ErrLocked), and files of another format version.
func Open(cfg Config) (*Spool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure spool: %w", err)
	}
	cfg = cfg.withDefaults()
	if err := cfg.FS.MkdirAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("make spool folder %s: %w", cfg.Dir, err)
	}
	lock, err := cfg.FS.Lock(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("lock spool folder %s: %w", cfg.Dir, err)
	}
	s := &Spool{cfg: cfg, lock: lock, stats: newCounts()}
	s.mu.Lock()
	if err := s.restore(); err != nil {
		err = errors.Join(fmt.Errorf("open spool %s: %w", cfg.Dir, err), s.closeFiles())
		s.mu.Unlock()
		return nil, err
	}
	s.unlock()
	return s, nil
}

// restore finds what an earlier process left.
func (s *Spool) restore() error {
	names, err := s.cfg.FS.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if seq, ok := sequenceOf(name); ok {
			s.segs = append(s.segs, &segment{seq: seq})
		}
	}
	slices.SortFunc(s.segs, func(a, b *segment) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	var last *segment // that is whole
	for _, g := range s.segs {
		if err := s.restoreHeader(g, last); err != nil {
			return err
		}
		s.bytes += g.size
		s.lastSeq = g.seq
		if g.whole {
			last = g
		}
	}
	ack, number, known, err := openAck(s.cfg.FS, filepath.Join(s.cfg.Dir, ackName), s.cfg.Sync != SyncNever)
	if err != nil {
		return err
	}
	s.ack, s.acked, s.next = ack, number, number+1
	if last != nil {
		s.restoreTail(last)
		s.next = max(s.next, last.next)
	}
	s.setBounds()
	if !known {
		if len(s.segs) > 0 {
			s.acked = s.segs[0].first - 1
		}
		// So that the file has its block when the disk is full; it will be
		// written again at the first Ack.
		_ = s.ack.store(s.acked)
	}
	s.cursor = s.acked + 1
	s.removeDone()
	return nil
}

// restoreHeader reads a segment's header. One that cannot be read leaves a
// segment without records, whose file is deleted when those before it are done.
func (s *Spool) restoreHeader(g, before *segment) error {
	path := s.path(g)
	err := retry(func() error {
		f, err := s.cfg.FS.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // nothing is written to it
		if g.size, err = f.Size(); err != nil {
			return err
		}
		return g.readHeader(f)
	})
	if err == nil && (g.first == 0 || before != nil && g.first < before.first) {
		err = errDamaged // a header that is whole and cannot be: a file from another folder
	}
	var other *versionError
	switch {
	case errors.As(err, &other):
		return fmt.Errorf("segment %s %w", path, err)
	case err == nil:
		g.whole = true
	case errors.Is(err, errTorn):
		s.drop(DropTorn, 0, g.size)
	default:
		s.drop(DropDamaged, 0, g.size)
	}
	return nil
}

// restoreTail reads the last segment and cuts it behind its last whole record.
func (s *Spool) restoreTail(g *segment) {
	g.next = g.first
	var f File
	err := retry(func() (err error) {
		f, err = s.cfg.FS.Open(s.path(g))
		return err
	})
	if err != nil {
		s.drop(DropDamaged, 0, g.size)
		return
	}
	defer func() { _ = f.Close() }() // what Truncate did is known from its own error
	off := int64(headerLen)
	for off < g.size {
		var n int64
		err := retry(func() (err error) {
			_, n, err = readFrame(f, off, g.size, g.next)
			return err
		})
		if err != nil {
			s.cutTail(g, f, off, err)
			return
		}
		off += n
		g.next++
	}
}

// cutTail cuts the file only if it was read: what could not be read this time
// stays on the disk, for a person, until the segment is done.
func (s *Spool) cutTail(g *segment, f File, off int64, cause error) {
	if !errors.Is(cause, errDamaged) {
		s.drop(DropDamaged, 0, g.size-off)
		return
	}
	s.drop(DropTorn, 0, g.size-off)
	if err := f.Truncate(off); err == nil {
		s.bytes -= g.size - off
		g.size = off
	}
	// If it was not cut, the reader stops at the record's number all the same.
}

// setBounds lets each segment end where the next whole one begins.
func (s *Spool) setBounds() {
	end := uint64(0)
	for i := len(s.segs) - 1; i >= 0; i-- {
		g := s.segs[i]
		switch {
		case !g.whole && end == 0: // behind the last whole one
			g.first, g.next = s.next, s.next
		case !g.whole:
			g.first, g.next = end, end
		case end != 0:
			g.next = end
		}
		g.upto = g.next
		if g.whole {
			end = g.first
		}
	}
}

// retry does what failed for another reason than damage three times in all.
func retry(f func() error) error {
	var err error
	for range readAttempts {
		if err = f(); err == nil || errors.Is(err, errDamaged) {
			return err
		}
	}
	return err
}

// Close syncs, unless the policy is SyncNever, and gives the folder up.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return nil
	}
	err := s.seal()
	return errors.Join(err, s.closeFiles())
}

func (s *Spool) closeFiles() error {
	s.closed = true
	s.reading.close()
	var errs []error
	if s.ack != nil {
		errs = append(errs, s.ack.f.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

func (s *Spool) path(g *segment) string { return filepath.Join(s.cfg.Dir, segmentName(g.seq)) }

// drop counts a loss; unlock tells it.
func (s *Spool) drop(reason Reason, records uint64, bytes int64) {
	s.stats.dropped[reason] += records
	s.stats.droppedBytes[reason] += bytes
	s.untold = append(s.untold, Drop{Reason: reason, Records: records, Bytes: bytes})
}

// unlock ends a call, and tells what it dropped when others may go on.
func (s *Spool) unlock() {
	untold := s.untold
	s.untold = nil
	s.mu.Unlock()
	for _, d := range untold {
		s.cfg.OnDrop(d)
	}
}
