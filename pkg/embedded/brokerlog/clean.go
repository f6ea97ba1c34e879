package brokerlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"
)

// Target is a partition to clean.
type Target struct {
	Topic     string
	Partition int32
	Stable    int64 // the last stable offset: transactions below it are decided
}

// Staged is a cleaning that waits for the broker to be closed.
type Staged struct {
	Before, After int64 // bytes of the segments that were cleaned, and of what replaces them
	Skipped       []error

	dir   string
	count int // staged files
	parts []cleaned
}

type cleaned struct {
	partition
	old   []int64 // base offsets of the segments that go
	until int64   // the first offset that was not looked at
	new   []segmentInfo
	moves []move
}

const (
	// Offsets keep their records through a cleaning, so a batch may be any stretch of them.
	cleanBatchBytes = 128 << 10
	// tombstoneAge is how long a deletion stays readable (Kafka: delete.retention.ms).
	tombstoneAge = 24 * time.Hour
)

// Stage compacts the sealed segments of targets into files beside the log while the broker runs: of each key the last
// committed record stays, at its offset. Unlike the broker's own compaction it takes records of open transactions for
// nothing, and drops markers and aborted records with what they belong to. A partition that it cannot read stays as it
// is and is listed in Skipped.
func Stage(dir string, targets []Target, segmentBytes int64, now time.Time) (*Staged, error) {
	s := &Staged{dir: dir}
	if err := os.RemoveAll(filepath.Join(dir, stagingName)); err != nil {
		return nil, fmt.Errorf("forget staged files: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, stagingName), 0o700); err != nil {
		return nil, fmt.Errorf("make staging folder: %w", err)
	}
	parts, err := partitions(dir)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	for _, t := range targets {
		for _, p := range parts {
			if p.topic != t.Topic || p.id != t.Partition {
				continue
			}
			c := cleaner{partition: p, stable: t.Stable, segmentBytes: segmentBytes, staged: s, now: now.UnixMilli(), keys: map[string]int64{}, markers: map[int64][]txnMarker{}}
			if err := c.run(); err != nil && !errors.Is(err, errNothing) {
				s.Skipped = append(s.Skipped, fmt.Errorf("clean %s-%d: %w", p.topic, p.id, err))
			}
		}
	}
	return s, nil
}

var errNothing = errors.New("nothing to clean")

type txnMarker struct {
	offset int64
	commit bool
}

// cleaner cleans one partition.
type cleaner struct {
	partition
	stable       int64
	segmentBytes int64
	now          int64
	staged       *Staged

	buf     bytes.Buffer
	markers map[int64][]txnMarker // by producer, in order
	keys    map[string]int64      // key to the offset of its last committed record
	last    int64                 // offset of the last committed record of the cleaned segments

	out         cleaned
	w           builder
	data, index []byte
	base        int64 // of the segment being written, -1 before the first
}

func (c *cleaner) run() error {
	bases, err := c.segments()
	if err != nil {
		return err
	}
	// The last segment is being written; a segment ends where the next begins.
	n := 0
	for n < len(bases)-1 && bases[n+1] <= c.stable {
		n++
	}
	if n == 0 {
		return errNothing
	}
	c.out = cleaned{partition: c.partition, old: bases[:n], until: bases[n]}
	c.last = -1
	if err := c.batches(bases, c.collectMarker); err != nil {
		return err
	}
	if err := c.batches(bases, c.collectKeys); err != nil {
		return err
	}
	if c.last < 0 {
		return errNothing
	}
	c.base = bases[0] // the log must still begin where it began
	if err := c.batches(bases[:n], c.keep); err != nil {
		return err
	}
	if err := c.flushBatch(); err != nil {
		return err
	}
	if err := c.flushSegment(); err != nil {
		return err
	}
	before := int64(0)
	for _, base := range c.out.old {
		info, err := os.Stat(filepath.Join(c.dir, segmentName(base)))
		if err != nil {
			return err
		}
		before += info.Size()
	}
	c.staged.Before += before
	for _, seg := range c.out.new {
		c.staged.After += seg.Size
	}
	c.staged.parts = append(c.staged.parts, c.out)
	return nil
}

// batches calls fn for each decided batch.
func (c *cleaner) batches(bases []int64, fn func(batch) error) error {
	for i, base := range bases {
		if err := readInto(&c.buf, filepath.Join(c.dir, segmentName(base))); err != nil {
			return err
		}
		b, rest, ok := nextBatch(c.buf.Bytes())
		for ; ok && b.offset() < c.stable; b, rest, ok = nextBatch(rest) {
			if err := fn(b); err != nil {
				return fmt.Errorf("batch at offset %d: %w", b.offset(), err)
			}
		}
		if !ok && len(rest) > 0 && i < len(bases)-1 {
			return fmt.Errorf("segment %d is damaged %d bytes before its end", base, len(rest))
		}
	}
	return nil
}

func (c *cleaner) collectMarker(b batch) error {
	if b.control() {
		c.markers[b.producer()] = append(c.markers[b.producer()], txnMarker{b.offset(), b.commits()})
	}
	return nil
}

// committed tells whether a data batch counts: its transaction ends with the producer's next marker.
func (c *cleaner) committed(b batch) (bool, error) {
	if !b.transactional() {
		return true, nil
	}
	ms := c.markers[b.producer()]
	i := sort.Search(len(ms), func(i int) bool { return ms[i].offset > b.offset() })
	if i == len(ms) {
		return false, errors.New("its transaction has no end, though the broker says so")
	}
	return ms[i].commit, nil
}

func (c *cleaner) collectKeys(b batch) error {
	if b.control() {
		return nil
	}
	ok, err := c.committed(b)
	if err != nil || !ok {
		return err
	}
	return b.each(func(r record) error {
		if r.keyed {
			c.keys[string(r.key)] = r.offset
		}
		if r.offset < c.out.until {
			c.last = r.offset
		}
		return nil
	})
}

func (c *cleaner) keep(b batch) error {
	if b.control() {
		return nil
	}
	ok, err := c.committed(b)
	if err != nil || !ok {
		return err
	}
	if c.w.count > 0 && c.w.leaderEpoch != b.leaderEpoch() {
		if err := c.flushBatch(); err != nil {
			return err
		}
	}
	return b.each(func(r record) error {
		superseded := r.keyed && c.keys[string(r.key)] != r.offset
		expired := r.tombstone && c.now-r.timestamp > tombstoneAge.Milliseconds()
		// The last one stays in any case: a log without a segment forgets its offsets.
		if (superseded || expired) && r.offset != c.last {
			return nil
		}
		if c.w.count == 0 {
			c.w.reset(b.leaderEpoch())
		}
		c.w.add(r)
		if len(c.w.records) < cleanBatchBytes {
			return nil
		}
		return c.flushBatch()
	})
}

func (c *cleaner) flushBatch() error {
	if c.w.count == 0 {
		return nil
	}
	if c.base < 0 {
		c.base = c.w.first
	}
	at := len(c.data)
	c.data = c.w.appendTo(c.data)
	c.index = append(c.index, indexEntry(c.data[at:], c.w.maxTime)...)
	epoch := c.w.leaderEpoch
	c.w.count, c.w.records = 0, c.w.records[:0]
	if len(c.out.new) == 0 || c.out.new[len(c.out.new)-1].BaseOffset != c.base {
		c.out.new = append(c.out.new, segmentInfo{BaseOffset: c.base, MinEpoch: epoch})
	}
	seg := &c.out.new[len(c.out.new)-1]
	seg.Size, seg.MaxEpoch = int64(len(c.data)), epoch
	if int64(len(c.data)) < c.segmentBytes {
		return nil
	}
	return c.flushSegment()
}

func (c *cleaner) flushSegment() error {
	if len(c.data) == 0 {
		return nil
	}
	for name, raw := range map[string][]byte{segmentName(c.base): c.data, indexName(c.base): c.index} {
		to, err := filepath.Rel(c.staged.dir, filepath.Join(c.dir, name))
		if err != nil {
			return err
		}
		m, err := c.staged.stage(to, raw)
		if err != nil {
			return err
		}
		c.out.moves = append(c.out.moves, m)
	}
	c.data, c.index, c.base = c.data[:0], c.index[:0], -1
	return nil
}

func (s *Staged) stage(to string, raw []byte) (move, error) {
	s.count++
	m := move{From: strconv.Itoa(s.count), To: to}
	return m, writeFile(filepath.Join(s.dir, stagingName, m.From), raw)
}

// Swap puts the staged segments in place. The broker must have been closed after Stage, orderly, and may be opened
// again afterwards. Killed half way, FinishSwap does the rest.
func (s *Staged) Swap() error {
	var journal swap
	for _, p := range s.parts {
		moves, removes, err := s.plan(p)
		if err != nil {
			s.Skipped = append(s.Skipped, fmt.Errorf("swap %s-%d: %w", p.topic, p.id, err))
			continue
		}
		journal.Moves = append(journal.Moves, moves...)
		journal.Removes = append(journal.Removes, removes...)
	}
	raw, err := json.Marshal(journal)
	if err != nil {
		return fmt.Errorf("encode swap: %w", err)
	}
	if err := writeFile(filepath.Join(s.dir, swapFile), raw); err != nil {
		return fmt.Errorf("decide swap: %w", err)
	}
	return FinishSwap(s.dir)
}

// plan also stages the snapshot, in which the broker finds the new segments.
func (s *Staged) plan(p cleaned) (moves []move, removes []string, err error) {
	snap, err := p.readSnapshot()
	if err != nil {
		return nil, nil, err
	}
	if len(snap.Segments) <= len(p.old) {
		return nil, nil, errors.New("its segments are not those that were cleaned")
	}
	for i, base := range p.old {
		if snap.Segments[i].BaseOffset != base {
			return nil, nil, errors.New("its segments are not those that were cleaned")
		}
	}
	snap.Segments = append(append([]segmentInfo(nil), p.new...), snap.Segments[len(p.old):]...)
	// A client that is told of an aborted transaction waits for its marker, and those of the old segments are gone.
	var aborted []abortedTxn
	for _, a := range snap.AbortedTxns {
		if a.LastOffset >= p.until {
			aborted = append(aborted, a)
		}
	}
	snap.AbortedTxns = aborted
	raw, err := json.Marshal(snap)
	if err != nil {
		return nil, nil, err
	}
	rel, err := filepath.Rel(s.dir, p.dir)
	if err != nil {
		return nil, nil, err
	}
	m, err := s.stage(filepath.Join(rel, "snapshot.json"), raw)
	if err != nil {
		return nil, nil, err
	}
	kept := map[string]bool{}
	for _, m := range p.moves {
		kept[m.To] = true
	}
	for _, base := range p.old {
		for _, name := range []string{segmentName(base), indexName(base)} {
			if to := filepath.Join(rel, name); !kept[to] {
				removes = append(removes, to)
			}
		}
	}
	return append(p.moves, m), removes, nil
}
