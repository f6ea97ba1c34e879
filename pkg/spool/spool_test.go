package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// small is a configuration in which a segment holds three records of payload.
func small(dir string) Config {
	return Config{Dir: dir, Sync: SyncNever, SegmentBytes: headerLen + 3*(frameLen+16), MaxBytes: 1 << 20}
}

// payload is 16 bytes that say what they are.
func payload(n int) []byte {
	b := bytes.Repeat([]byte{0xa5}, 16)
	binary.BigEndian.PutUint64(b, uint64(n))
	return b
}

func open(tb testing.TB, cfg Config) *Spool {
	tb.Helper()
	s, err := Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// put appends records from..to.
func put(tb testing.TB, s *Spool, from, to int) {
	tb.Helper()
	for n := from; n <= to; n++ {
		if err := s.Append(int32(n%4), payload(n)); err != nil {
			tb.Fatal(err)
		}
	}
}

// take reads all that is there, without acknowledging, and gives what the payloads say.
func take(tb testing.TB, s *Spool) (got []int, last uint64) {
	tb.Helper()
	for {
		r, err := s.Read()
		if errors.Is(err, io.EOF) {
			return got, last
		}
		if err != nil {
			tb.Fatal(err)
		}
		n := int(binary.BigEndian.Uint64(r.Payload))
		if !bytes.Equal(r.Payload, payload(n)) || r.Partition != int32(n%4) {
			tb.Fatalf("record %d has partition %d and payload %x", n, r.Partition, r.Payload)
		}
		got, last = append(got, n), r.Number
	}
}

func span(from, to int) []int {
	var all []int
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

func same(tb testing.TB, what string, got, want []int) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func segmentFiles(tb testing.TB, dir string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		tb.Fatal(err)
	}
	slices.Sort(files)
	return files
}

func TestOrderAcrossSegmentsAndProcesses(t *testing.T) {
	for _, policy := range []SyncPolicy{SyncInterval, SyncEach, SyncNever} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			cfg := small(t.TempDir())
			cfg.Sync = policy
			s := open(t, cfg)
			put(t, s, 1, 8)
			got, _ := take(t, s)
			same(t, "first reading", got, span(1, 8))
			if err := s.Ack(4); err != nil {
				t.Fatal(err)
			}
			if n := len(segmentFiles(t, cfg.Dir)); n != 2 {
				t.Errorf("%d segments after the first was acknowledged, want 2", n)
			}
			s.Rewind()
			got, _ = take(t, s)
			same(t, "rewound", got, span(5, 8))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}

			s = open(t, cfg)
			if st := s.Stats(); st.Pending != 4 {
				t.Errorf("pending %d after opening again, want 4", st.Pending)
			}
			put(t, s, 9, 10)
			got, last := take(t, s)
			same(t, "second process", got, span(5, 10))
			if err := s.Ack(last); err != nil {
				t.Fatal(err)
			}
			if files := segmentFiles(t, cfg.Dir); len(files) != 0 {
				t.Errorf("a drained spool keeps %v", files)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}

			s = open(t, cfg)
			put(t, s, 11, 11)
			got, _ = take(t, s)
			same(t, "third process", got, []int{11})
		})
	}
}

func TestAckOfWhatWasNotRead(t *testing.T) {
	s := open(t, small(t.TempDir()))
	put(t, s, 1, 2)
	if err := s.Ack(1); err == nil {
		t.Error("a record that was not read was acknowledged")
	}
	take(t, s)
	s.Rewind()
	if err := s.Ack(2); err != nil {
		t.Errorf("a delivery that ended after Rewind: %v", err)
	}
}

func TestSecondSpoolIsRefused(t *testing.T) {
	cfg := small(t.TempDir())
	s := open(t, cfg)
	_, err := Open(cfg)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("error of the second: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
	if err := s.Append(0, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("append to a closed spool: %v", err)
	}
}

func TestBoundDropsTheOldestSegment(t *testing.T) {
	cfg := small(t.TempDir())
	cfg.MaxBytes = 2*cfg.SegmentBytes + 10
	var told []Drop
	cfg.OnDrop = func(d Drop) { told = append(told, d) }
	s := open(t, cfg)
	put(t, s, 1, 6)
	if r, err := s.Read(); err != nil || r.Number != 1 {
		t.Fatal(r, err)
	}
	put(t, s, 7, 7)
	if len(told) != 1 || told[0].Reason != DropBound || told[0].Records != 3 {
		t.Fatalf("told %v, want 3 records at the bound", told)
	}
	if err := s.Ack(1); err != nil {
		t.Errorf("acknowledge what was dropped meanwhile: %v", err)
	}
	got, last := take(t, s)
	same(t, "what is left", got, span(4, 7))
	if st := s.Stats(); st.Bytes > cfg.MaxBytes || st.Appended != 7 || st.Drained+st.Dropped[DropBound]+st.Pending != 7 {
		t.Errorf("stats %+v", st)
	}
	s.Close()

	s = open(t, cfg)
	if got, _ := take(t, s); !slices.Equal(got, span(4, 7)) || len(told) != 1 {
		t.Errorf("after a restart: %v, told %v", got, told)
	}
	if err := s.Ack(last); err != nil {
		t.Fatal(err)
	}
}

func TestTooLong(t *testing.T) {
	s := open(t, small(t.TempDir()))
	longest := s.cfg.MaxPayload()
	if err := s.Append(0, make([]byte, longest+1)); !errors.Is(err, ErrDropped) {
		t.Errorf("too long: %v", err)
	}
	if err := s.Append(0, make([]byte, longest)); err != nil {
		t.Errorf("just fits: %v", err)
	}
	if err := s.Append(0, nil); err != nil {
		t.Errorf("empty: %v", err)
	}
	if st := s.Stats(); st.Dropped[DropTooLong] != 1 || st.Pending != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestConfigSaysEverythingAtOnce(t *testing.T) {
	_, err := Open(Config{SegmentBytes: 10, MaxBytes: 15, Sync: 9, SyncEvery: -1})
	for _, want := range []string{"dir:", "segment bytes:", "max bytes:", "sync:", "sync every:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	cfg := small(t.TempDir())
	s := open(t, cfg)
	put(t, s, 1, 1)
	s.Close()
	g := segment{seq: 2, first: 2}
	b := g.header()
	le.PutUint16(b[4:], version+1)
	le.PutUint32(b[32:], crcOf(b[:32]))
	if err := os.WriteFile(filepath.Join(cfg.Dir, segmentName(2)), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "format version 2") {
		t.Errorf("error: %v", err)
	}
	if n := len(segmentFiles(t, cfg.Dir)); n != 2 {
		t.Errorf("%d segments are left of 2", n)
	}
}

func TestOldestAge(t *testing.T) {
	now := time.Unix(1000, 0)
	cfg := small(t.TempDir())
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	put(t, s, 1, 1)
	now = now.Add(time.Minute)
	if age := s.Stats().OldestAge; age != time.Minute {
		t.Errorf("oldest age %v", age)
	}
	_, last := take(t, s)
	if err := s.Ack(last); err != nil {
		t.Fatal(err)
	}
	if age := s.Stats().OldestAge; age != 0 {
		t.Errorf("oldest age of a drained spool: %v", age)
	}
}

func BenchmarkSpool(b *testing.B) {
	for _, size := range []int{4 << 10, 256 << 10} {
		data := bytes.Repeat([]byte{7}, size)
		for _, policy := range []struct {
			name string
			sync SyncPolicy
		}{{"never", SyncNever}, {"interval", SyncInterval}} {
			cfg := Config{Dir: b.TempDir(), Sync: policy.sync, MaxBytes: 4 << 30}
			s := open(b, cfg)
			b.Run(fmt.Sprintf("append/%d/%s", size, policy.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if err := s.Append(0, data); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("drain/%d/%s", size, policy.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for i := 0; b.Loop(); i++ {
					r, err := s.Read()
					if errors.Is(err, io.EOF) {
						s.Rewind()
						continue
					}
					if err != nil {
						b.Fatal(err)
					}
					_ = r
				}
			})
			s.Close()
		}
	}
}
