package spool

import (
	"errors"
	"slices"
	"syscall"
	"testing"
)

// A record that is offered and not taken is the caller's still: it is counted
// nowhere, and can be offered again.
func TestOfferIsNotDropped(t *testing.T) {
	disk := &faultFS{}
	cfg := small(t.TempDir())
	cfg.FS = disk
	cfg.OnDrop = func(d Drop) { t.Errorf("dropped %+v", d) }
	s := open(t, cfg)
	put(t, s, 1, 2)
	disk.fault = func(op, _ string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	if _, reason, err := s.Offer(3, payload(3)); !errors.Is(err, syscall.ENOSPC) || reason != DropDiskFull || errors.Is(err, ErrDropped) {
		t.Errorf("%s: %v", reason, err)
	}
	disk.fault = nil
	if number, _, err := s.Offer(3, payload(3)); err != nil || number != 3 {
		t.Errorf("number %d: %v", number, err)
	}
	if _, reason, err := s.Offer(0, make([]byte, cfg.MaxPayload()+1)); err == nil || reason != DropTooLong {
		t.Errorf("%s: %v", reason, err)
	}
	if st := s.Stats(); st.Appended != 3 || st.Pending != 3 {
		t.Errorf("%+v", st)
	}
	if got, _ := take(t, s); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("read %v", got)
	}
}

// What the reader has in hand already is given to it only after a Rewind.
func TestOfferRead(t *testing.T) {
	s := open(t, small(t.TempDir()))
	put(t, s, 1, 5)
	if _, _, err := s.OfferRead(0, payload(6)); err == nil {
		t.Fatal("taken although records before it are not read")
	}
	take(t, s)
	for n := 6; n <= 8; n++ {
		if number, _, err := s.OfferRead(int32(n%4), payload(n)); err != nil || number != uint64(n) {
			t.Fatalf("number %d: %v", number, err)
		}
	}
	put(t, s, 9, 10)
	if got, _ := take(t, s); !slices.Equal(got, []int{9, 10}) {
		t.Errorf("read %v", got)
	}
	if err := s.Ack(7); err != nil {
		t.Fatal(err)
	}
	s.Rewind()
	if got, _ := take(t, s); !slices.Equal(got, []int{8, 9, 10}) {
		t.Errorf("after Rewind: %v", got)
	}
	if err := s.Ack(10); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Pending != 0 || st.Drained != 10 || st.Segments != 0 {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Offer(0, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
