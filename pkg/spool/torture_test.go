package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// perSegment is how many records of payload a segment of small holds.
const perSegment = 3

// fill makes a spool of three segments, and gives the bytes of its files.
func fill(t *testing.T) (names []string, contents [][]byte) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, small(dir))
	put(t, s, 1, 3*perSegment)
	s.Close()
	for _, f := range segmentFiles(t, dir) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		names, contents = append(names, filepath.Base(f)), append(contents, b)
	}
	if len(names) != 3 {
		t.Fatalf("%d segments", len(names))
	}
	return names, contents
}

// damage opens a spool whose i-th file is b, and checks that all records but
// those from the k-th on of that file come out, that they are counted where
// another segment tells how many there were, and that the spool takes new ones.
func damage(t *testing.T, what string, names []string, contents [][]byte, i int, b []byte, k int) {
	t.Helper()
	dir := t.TempDir()
	for j, name := range names {
		content := contents[j]
		if j == i {
			content = b
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := slices.Concat(span(1, i*perSegment+k), span((i+1)*perSegment+1, 3*perSegment))
	s := open(t, small(dir))
	got, _ := take(t, s)
	// With neither acknowledgements nor its header, nothing tells what the first
	// segment held.
	lost := uint64(perSegment - k)
	if i == 2 || i == 0 && k == 0 && len(b) < headerLen {
		lost = 0
	}
	same(t, what, got, want)
	if n := s.Stats().Dropped[DropDamaged]; i != 0 && n != lost {
		t.Fatalf("%s: %d records counted as damaged, want %d", what, n, lost)
	}
	put(t, s, 100, 101)
	s.Rewind()
	got, last := take(t, s)
	want = append(want, 100, 101)
	same(t, what+", and two more", got, want)
	s.Close()

	s = open(t, small(dir))
	got, again := take(t, s)
	same(t, what+", opened again", got, want)
	if again != last {
		t.Fatalf("%s: the last number was %d and is %d", what, last, again)
	}
	if err := s.Ack(last); err != nil {
		t.Fatal(err)
	}
	if left := segmentFiles(t, dir); len(left) != 0 {
		t.Fatalf("%s: %v are left when all is acknowledged", what, left)
	}
	s.Close()
}

func TestEveryCut(t *testing.T) {
	names, contents := fill(t)
	for i, whole := range contents {
		for n := range len(whole) {
			k := max(n-headerLen, 0) / (frameLen + 16)
			damage(t, fmt.Sprintf("segment %d cut at byte %d", i, n), names, contents, i, whole[:n], k)
		}
	}
}

func TestEveryByteDamaged(t *testing.T) {
	names, contents := fill(t)
	for i, whole := range contents {
		for n := range len(whole) {
			b := slices.Clone(whole)
			b[n] ^= 0x40
			k := max(n-headerLen, 0) / (frameLen + 16)
			damage(t, fmt.Sprintf("segment %d damaged at byte %d", i, n), names, contents, i, b, k)
		}
	}
}

func TestEveryByteOfTheAcknowledgement(t *testing.T) {
	dir := t.TempDir()
	s := open(t, small(dir))
	put(t, s, 1, 9)
	for n := range uint64(5) { // numbers 1..5, in turn in both slots
		if _, err := s.Read(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ack(n + 1); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	path := filepath.Join(dir, ackName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		for _, b := range [][]byte{whole[:n], flipped(whole, n)} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, small(dir))
			got, _ := take(t, s)
			s.Close()
			// One slot is left, or none: then all that is on the disk comes.
			if !slices.Equal(got, span(got[0], 9)) || got[0] < 4 || got[0] > 6 {
				t.Fatalf("acknowledgement damaged at byte %d: got %v", n, got)
			}
		}
	}
}

func flipped(b []byte, n int) []byte {
	b = slices.Clone(b)
	b[n] ^= 0x40
	return b
}

// A power cut may take segments that are acknowledged, and keep the acknowledgement.
func TestNumbersStayAboveTheAcknowledged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, small(dir))
	put(t, s, 1, 5)
	_, last := take(t, s)
	if err := s.Ack(last - 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, f := range segmentFiles(t, dir) {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, small(dir))
	put(t, s, 6, 7)
	got, _ := take(t, s)
	same(t, "new records", got, span(6, 7))
}

func TestMissingSegmentIsCounted(t *testing.T) {
	for i := range 3 {
		dir := t.TempDir()
		s := open(t, small(dir))
		put(t, s, 1, 9)
		s.Close()
		if err := os.Remove(segmentFiles(t, dir)[i]); err != nil {
			t.Fatal(err)
		}
		s = open(t, small(dir))
		put(t, s, 10, 10)
		got, _ := take(t, s)
		same(t, "what is left", got, slices.Concat(span(1, i*3), span((i+1)*3+1, 10)))
		if n := s.Stats().Dropped[DropDamaged]; i < 2 && n != 3 {
			t.Errorf("segment %d is gone: %d records counted", i, n)
		}
		s.Close()
	}
}

func TestOpenWithReadErrors(t *testing.T) {
	for i := range 3 {
		fs := &faultFS{}
		cfg := small(t.TempDir())
		cfg.FS = fs
		s := open(t, cfg)
		put(t, s, 1, 9)
		s.Close()
		name := filepath.Base(segmentFiles(t, cfg.Dir)[i])
		failures := 0
		fs.fault = func(op, n string) error {
			if op == "read" && n == name && failures < readAttempts-1 {
				failures++
				return syscall.EIO
			}
			return nil
		}
		s = open(t, cfg)
		got, _ := take(t, s)
		same(t, "errors that pass", got, span(1, 9))
		s.Close()
		fs.fault = failing(syscall.EIO, name, "read")
		s = open(t, cfg)
		put(t, s, 10, 10)
		got, _ = take(t, s)
		same(t, "errors that stay", got, slices.Concat(span(1, i*3), span((i+1)*3+1, 10)))
	}
}

// One goroutine appends while another drains, as capture will.
func TestAppendWhileDraining(t *testing.T) {
	const records = 3000
	cfg := small(t.TempDir())
	cfg.Sync, cfg.SyncEvery = SyncInterval, time.Hour
	s := open(t, cfg)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; n <= records; n++ {
			if err := s.Append(int32(n%4), payload(n)); err != nil {
				t.Error(err)
			}
			s.Tick()
		}
	})
	for next := uint64(1); next <= records; {
		r, err := s.Read()
		if errors.Is(err, io.EOF) {
			s.Stats()
			continue
		}
		if err != nil || r.Number != next || string(r.Payload) != string(payload(int(next))) {
			t.Fatalf("record %d: %+v, %v", next, r, err)
		}
		if next%7 == 0 || next == records {
			if err := s.Ack(next); err != nil {
				t.Fatal(err)
			}
		}
		next++
	}
	wg.Wait()
	if st := s.Stats(); st.Drained != records || st.Pending != 0 || st.Segments != 0 || len(st.Dropped) != 0 {
		t.Errorf("stats %+v", st)
	}
}
