package spool

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faultFS is the operating system's, with faults: a call asks fault by its
// operation ("write", "sync", ...) and the file's name, and fails with what it says.
type faultFS struct {
	osFS
	fault func(op, name string) error
}

func (f *faultFS) ask(op, name string) error {
	if f.fault == nil {
		return nil
	}
	return f.fault(op, filepath.Base(name))
}

func (f *faultFS) Create(name string) (File, error) {
	if err := f.ask("create", name); err != nil {
		return nil, err
	}
	file, err := f.osFS.Create(name)
	return &faultFile{file, f, name}, err
}

func (f *faultFS) Open(name string) (File, error) {
	if err := f.ask("open", name); err != nil {
		return nil, err
	}
	file, err := f.osFS.Open(name)
	return &faultFile{file, f, name}, err
}

func (f *faultFS) Remove(name string) error {
	if err := f.ask("remove", name); err != nil {
		return err
	}
	return f.osFS.Remove(name)
}

func (f *faultFS) SyncDir(dir string) error {
	if err := f.ask("syncdir", dir); err != nil {
		return err
	}
	return f.osFS.SyncDir(dir)
}

type faultFile struct {
	File
	fs   *faultFS
	name string
}

// errShort has half of a write done and no error told, as no writer should.
var errShort = errors.New("short write")

// WriteAt writes half before it fails, as disks do.
func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	err := f.fs.ask("write", f.name)
	if err == nil {
		return f.File.WriteAt(b, off)
	}
	n, werr := f.File.WriteAt(b[:len(b)/2], off)
	if werr != nil || errors.Is(err, errShort) {
		return n, werr
	}
	return n, err
}

func (f *faultFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.fs.ask("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.fs.ask("truncate", f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Sync() error {
	if err := f.fs.ask("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

// failing fails the operations, on names with the suffix, with the error.
func failing(err error, suffix string, ops ...string) func(op, name string) error {
	return func(op, name string) error {
		if slices.Contains(ops, op) && strings.HasSuffix(name, suffix) {
			return err
		}
		return nil
	}
}

func TestAppendFaults(t *testing.T) {
	eio := fmt.Errorf("disk: %w", syscall.EIO)
	enospc := fmt.Errorf("disk: %w", syscall.ENOSPC)
	tests := []struct {
		name   string
		fault  func(op, name string) error
		reason Reason
	}{
		{"disk full", failing(enospc, suffix, "write", "create"), DropDiskFull},
		{"disk full, leftovers stay", failing(enospc, suffix, "write", "truncate", "remove"), DropDiskFull},
		{"quota", failing(syscall.EDQUOT, suffix, "write"), DropDiskFull},
		{"write error", failing(eio, suffix, "write"), DropWrite},
		{"write error, leftovers stay", failing(eio, suffix, "write", "truncate", "remove"), DropWrite},
		{"short write", failing(errShort, suffix, "write"), DropWrite},
		{"no segment", failing(eio, suffix, "create"), DropWrite},
		{"sync", failing(eio, suffix, "sync"), DropSync},
		{"sync, leftovers stay", failing(eio, suffix, "sync", "truncate", "remove"), DropSync},
	}
	for _, test := range tests {
		for before := range 2 * perSegment { // the fault comes at each place of a segment
			t.Run(fmt.Sprintf("%s after %d", test.name, before), func(t *testing.T) {
				fs := &faultFS{}
				cfg := small(t.TempDir())
				cfg.FS, cfg.Sync = fs, SyncEach
				s := open(t, cfg)
				put(t, s, 1, before)
				fs.fault = test.fault
				failed := uint64(0)
				for n := 50; n < 55; n++ {
					if err := s.Append(int32(n%4), payload(n)); err != nil {
						failed++
						if !errors.Is(err, ErrDropped) {
							t.Errorf("append: %v", err)
						}
					}
				}
				fs.fault = nil
				st := s.Stats()
				// A new segment cannot be made where "no segment" is the fault.
				if st.Dropped[test.reason] != failed || st.Appended+failed != uint64(before+5) || test.name != "no segment" && failed != 5 {
					t.Fatalf("%d failed, stats %+v", failed, st)
				}
				put(t, s, 10, 14)
				want := append(span(1, before), span(50, 54)[:5-failed]...)
				want = append(want, span(10, 14)...)
				got, _ := take(t, s)
				same(t, "in the same process", got, want)
				s.Close()

				s = open(t, cfg)
				got, last := take(t, s)
				same(t, "in the next", got, want)
				if n := s.Stats().Dropped[DropDamaged]; n != 0 {
					t.Errorf("%d records counted as damaged", n)
				}
				if err := s.Ack(last); err != nil {
					t.Fatal(err)
				}
				if left := segmentFiles(t, cfg.Dir); len(left) != 0 {
					t.Errorf("%v are left", left)
				}
			})
		}
	}
}

func TestReadErrorIsTriedAgain(t *testing.T) {
	fs := &faultFS{}
	cfg := small(t.TempDir())
	cfg.FS = fs
	s := open(t, cfg)
	put(t, s, 1, 7)
	fs.fault = failing(syscall.EIO, suffix, "read")
	for range readAttempts - 1 {
		if _, err := s.Read(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("read: %v", err)
		}
	}
	fs.fault = nil
	got, _ := take(t, s)
	same(t, "after two errors", got, span(1, 7))

	s.Rewind()
	first := filepath.Base(segmentFiles(t, cfg.Dir)[0])
	fs.fault = failing(syscall.EIO, first, "read", "open")
	for range readAttempts - 1 {
		if _, err := s.Read(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("read: %v", err)
		}
	}
	for range 2 { // the second time it is known to be lost
		got, _ = take(t, s)
		same(t, "after three errors", got, span(4, 7))
		if n := s.Stats().Dropped[DropDamaged]; n != 3 {
			t.Errorf("%d records counted as damaged, want 3", n)
		}
		s.Rewind()
	}
}

// A damaged record in the segment that is being written must not hide those that follow.
func TestDamageInTheActiveSegment(t *testing.T) {
	fs := &faultFS{}
	cfg := small(t.TempDir())
	cfg.FS = fs
	s := open(t, cfg)
	put(t, s, 1, 2)
	fs.fault = failing(syscall.EIO, suffix, "read")
	for range readAttempts - 1 {
		if _, err := s.Read(); err == nil {
			t.Fatal("no error")
		}
	}
	if _, err := s.Read(); !errors.Is(err, io.EOF) {
		t.Fatalf("at the third: %v", err)
	}
	fs.fault = nil
	put(t, s, 3, 5)
	got, last := take(t, s)
	same(t, "what came after", got, span(3, 5))
	if err := s.Ack(last); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Drained != 3 || st.Dropped[DropDamaged] != 2 || st.Pending != 0 || st.Bytes != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestAckFaults(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		fs := &faultFS{}
		cfg := small(t.TempDir())
		cfg.FS, cfg.Sync = fs, SyncEach
		s := open(t, cfg)
		put(t, s, 1, 7)
		take(t, s)
		if err := s.Ack(1); err != nil {
			t.Fatal(err)
		}
		fs.fault = failing(syscall.EIO, ackName, op)
		if err := s.Ack(4); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: %v", op, err)
		}
		s.Rewind()
		got, _ := take(t, s)
		same(t, op+" fails", got, span(2, 7))
		fs.fault = nil
		if err := s.Ack(4); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, cfg)
		got, _ = take(t, s)
		same(t, op+" done again", got, span(5, 7))
	}
}

// On a full disk that does not even overwrite, a drain must still make room.
func TestAckOnFullDiskDeletes(t *testing.T) {
	fs := &faultFS{}
	cfg := small(t.TempDir())
	cfg.FS = fs
	s := open(t, cfg)
	put(t, s, 1, 7)
	take(t, s)
	removed := 0
	fs.fault = func(op, name string) error {
		if op == "remove" {
			removed++
		}
		if op == "write" && removed == 0 {
			return syscall.ENOSPC
		}
		return nil
	}
	if err := s.Ack(4); err != nil {
		t.Fatal(err)
	}
	fs.fault = nil
	s.Close()
	s = open(t, cfg)
	got, _ := take(t, s)
	same(t, "what is left", got, span(5, 7))
	if n := s.Stats().Dropped[DropDamaged]; removed != 1 || n != 0 {
		t.Errorf("%d segments removed, %d records counted as damaged", removed, n)
	}
}

func TestRemoveFaults(t *testing.T) {
	fs := &faultFS{}
	cfg := small(t.TempDir())
	cfg.FS, cfg.MaxBytes = fs, 2*cfg.SegmentBytes
	s := open(t, cfg)
	put(t, s, 1, 6)
	fs.fault = failing(syscall.EIO, suffix, "remove")
	if err := s.Append(0, payload(7)); !errors.Is(err, ErrDropped) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("append at the bound: %v", err)
	}
	got, last := take(t, s)
	same(t, "the oldest stays", got, span(1, 6))
	if err := s.Ack(last); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	if st.Dropped[DropBound] != 1 || st.Drained != 6 || st.RemoveErrors != 2 || st.Bytes > cfg.MaxBytes {
		t.Errorf("stats %+v", st)
	}
	fs.fault = nil
	put(t, s, 8, 8)
	got, _ = take(t, s)
	same(t, "goes on", got, []int{8})
	s.Close()
	s = open(t, cfg)
	got, _ = take(t, s)
	same(t, "opened again", got, []int{8})
}

func TestSyncInterval(t *testing.T) {
	now := time.Unix(1000, 0)
	fs := &faultFS{}
	cfg := Config{Dir: t.TempDir(), FS: fs, Now: func() time.Time { return now }}
	s := open(t, cfg)
	syncs, fails := 0, false
	fs.fault = func(op, name string) error {
		if op != "sync" || !strings.HasSuffix(name, suffix) {
			return nil
		}
		syncs++
		if fails {
			return syscall.EIO
		}
		return nil
	}
	at := func(what string, want int) {
		t.Helper()
		if s.Tick(); syncs != want {
			t.Fatalf("%s: %d syncs, want %d", what, syncs, want)
		}
	}
	at("empty", 0)
	put(t, s, 1, 2)
	now = now.Add(defaultSyncEvery - 1)
	at("too early", 0)
	now = now.Add(1)
	at("due", 1)
	now = now.Add(time.Hour)
	at("nothing new", 1)
	put(t, s, 3, 3)
	now = now.Add(defaultSyncEvery)
	fails = true
	at("fails", 2)
	at("the segment was given up", 2)
	fails = false
	put(t, s, 4, 4)
	got, _ := take(t, s)
	same(t, "all are kept", got, span(1, 4))
	if st := s.Stats(); st.SyncErrors != 1 || st.Segments != 2 {
		t.Errorf("stats %+v", st)
	}
}
