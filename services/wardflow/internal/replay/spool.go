package replay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// spool sorts more entries than fit memory: full chunks are sorted and written to
// temporary files, and read back merged. Entries come out by key, then value, so
// their order does not depend on where chunks end.
type spool struct {
	dir   func() (string, error) // where the files go; called when the first is needed
	limit int                    // bytes in memory
	arena []byte
	list  []entry
	runs  []*os.File
}

// entry is a place in an arena.
type entry struct{ from, key, end int }

func (s *spool) at(e entry) (key, val []byte) {
	return s.arena[e.from:e.key], s.arena[e.key:e.end]
}

const entryCost = 24 // bytes of an entry beside its arena

// add copies an entry.
func (s *spool) add(key, val []byte) error {
	if len(s.list) > 0 && len(s.arena)+len(key)+len(val)+entryCost*len(s.list) > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	from := len(s.arena)
	s.arena = append(append(s.arena, key...), val...)
	s.list = append(s.list, entry{from, from + len(key), len(s.arena)})
	return nil
}

func (s *spool) sort() {
	slices.SortFunc(s.list, func(a, b entry) int {
		ak, av := s.at(a)
		bk, bv := s.at(b)
		if c := bytes.Compare(ak, bk); c != 0 {
			return c
		}
		return bytes.Compare(av, bv)
	})
}

// spill writes what is in memory to a file of its own.
func (s *spool) spill() error {
	dir, err := s.dir()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "run-*")
	if err != nil {
		return fmt.Errorf("make sorting file: %w", err)
	}
	s.runs = append(s.runs, f)
	s.sort()
	w := bufio.NewWriterSize(f, 256<<10)
	var n [binary.MaxVarintLen64]byte
	for _, e := range s.list {
		key, val := s.at(e)
		for _, part := range [2][]byte{key, val} {
			if _, err := w.Write(binary.AppendUvarint(n[:0], uint64(len(part)))); err != nil {
				return fmt.Errorf("write sorting file: %w", err)
			}
			if _, err := w.Write(part); err != nil {
				return fmt.Errorf("write sorting file: %w", err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write sorting file: %w", err)
	}
	s.arena, s.list = s.arena[:0], s.list[:0]
	return nil
}

// each gives all entries in order; the slices are valid during the call. The
// spool is empty afterwards.
func (s *spool) each(f func(key, val []byte) error) error {
	defer s.close()
	s.sort()
	if len(s.runs) == 0 {
		for _, e := range s.list {
			if err := f(s.at(e)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	return s.merge(f)
}

func (s *spool) merge(f func(key, val []byte) error) error {
	var heap []*run
	for i, file := range s.runs {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("read sorting file: %w", err)
		}
		r := &run{index: i, in: bufio.NewReaderSize(file, 256<<10)}
		if ok, err := r.next(); err != nil {
			return err
		} else if ok {
			heap = append(heap, r)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		down(heap, i)
	}
	for len(heap) > 0 {
		r := heap[0]
		if err := f(r.key, r.val); err != nil {
			return err
		}
		ok, err := r.next()
		if err != nil {
			return err
		}
		if !ok {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		down(heap, 0)
	}
	return nil
}

func (s *spool) close() {
	for _, f := range s.runs {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	*s = spool{dir: s.dir, limit: s.limit}
}

// run is one sorted file while it is merged.
type run struct {
	index    int
	in       *bufio.Reader
	key, val []byte
}

func (r *run) next() (bool, error) {
	var err error
	if r.key, err = r.part(r.key); errors.Is(err, io.EOF) {
		return false, nil
	}
	if err == nil {
		r.val, err = r.part(r.val)
	}
	if err != nil {
		return false, fmt.Errorf("read sorting file: %w", err)
	}
	return true, nil
}

func (r *run) part(b []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return nil, err
	}
	b = slices.Grow(b[:0], int(n))[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, fmt.Errorf("it ends early: %w", err)
	}
	return b, nil
}

func (r *run) before(o *run) bool {
	if c := bytes.Compare(r.key, o.key); c != 0 {
		return c < 0
	}
	if c := bytes.Compare(r.val, o.val); c != 0 {
		return c < 0
	}
	return r.index < o.index
}

func down(heap []*run, i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(heap) && heap[c].before(heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// sortKey orders by time, then the rest.
func sortKey(b []byte, t proto.Time, id proto.ID) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t)^1<<63) // negative times come first
	return append(b, id[:]...)
}
