package spool

import (
	"os"
	"syscall"
	"testing"
)

// A power cut may keep the acknowledgement and lose records of the last segment.
func TestNumbersStayAboveTheAcknowledgedInACutSegment(t *testing.T) {
	cfg := small(t.TempDir())
	s := open(t, cfg)
	put(t, s, 1, 6)
	take(t, s)
	if err := s.Ack(5); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.Truncate(segmentFiles(t, cfg.Dir)[0], headerLen); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	put(t, s, 7, 7)
	got, _ := take(t, s)
	same(t, "new records", got, []int{7})
}

func TestAckReachesOverLostRecords(t *testing.T) {
	cfg := small(t.TempDir())
	s := open(t, cfg)
	put(t, s, 1, 6)
	if err := os.Truncate(segmentFiles(t, cfg.Dir)[0], headerLen+frameLen+16); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Read(); err != nil || r.Number != 1 {
		t.Fatal(r, err)
	}
	if r, err := s.Read(); err != nil || r.Number != 4 {
		t.Fatal(r, err)
	}
	if err := s.Ack(1); err != nil {
		t.Fatal(err)
	}
	if n := len(segmentFiles(t, cfg.Dir)); n != 1 {
		t.Errorf("%d segments are left, though the first has nothing to read any more", n)
	}
}

// A torn write of an acknowledgement must leave the one that counted, also right after a start.
func TestTornAckLeavesTheOneBefore(t *testing.T) {
	fs := &faultFS{}
	cfg := small(t.TempDir())
	cfg.FS = fs
	s := open(t, cfg)
	put(t, s, 1, 6)
	for n := range uint64(4) {
		got, last := take(t, s)
		same(t, "before the acknowledgement", got, span(int(n)+1, 6))
		if err := s.Ack(n + 1); err != nil || last != 6 {
			t.Fatal(last, err)
		}
		s.Close()
		s = open(t, cfg)
		take(t, s)
		fs.fault = failing(syscall.EIO, ackName, "write")
		if err := s.Ack(n + 2); err == nil {
			t.Fatal("the fault was not met")
		}
		fs.fault = nil
		s.Close()
		s = open(t, cfg)
	}
}

// What failed to be written is cut off at once, and a segment whose sync failed is not gone on with.
func TestFailedAppendLeavesNothing(t *testing.T) {
	for op, segments := range map[string]int{"write": 1, "sync": 2} {
		fs := &faultFS{}
		cfg := small(t.TempDir())
		cfg.FS, cfg.Sync = fs, SyncEach
		s := open(t, cfg)
		put(t, s, 1, 1)
		fs.fault = failing(syscall.EIO, suffix, op)
		if err := s.Append(0, payload(2)); err == nil {
			t.Fatal("the fault was not met")
		}
		fs.fault = nil
		info, err := os.Stat(segmentFiles(t, cfg.Dir)[0])
		if err != nil || info.Size() != headerLen+frameLen+16 {
			t.Errorf("%s: the file has %v bytes, %v", op, info.Size(), err)
		}
		put(t, s, 3, 3)
		if n := len(segmentFiles(t, cfg.Dir)); n != segments {
			t.Errorf("%s: %d segments, want %d", op, n, segments)
		}
	}
}
