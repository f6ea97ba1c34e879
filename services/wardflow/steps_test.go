package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// stepsAt are steps whose clock stands where it is put.
func stepsAt(width int) (*steps, *bytes.Buffer, *time.Time) {
	out, clock := new(bytes.Buffer), new(time.Time)
	*clock = time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)
	return &steps{w: out, width: width, begun: *clock, now: func() time.Time { return *clock }}, out, clock
}

func TestShareOnATerminal(t *testing.T) {
	s, out, clock := stepsAt(100)
	s.step("reading 1 capture file")
	*clock = clock.Add(10 * time.Second)
	out.Reset()
	s.share(25e6, 100e6, "%d packets", 7)
	want := "\r\x1b[Kreading 1 capture file [█████░░░░░░░░░░░░░░░]  25 %, 2.5 MB/s, 30 s to go, 7 packets"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	s.width = 30
	s.share(25e6, 100e6, "%d packets", 7)
	if n := width(strings.TrimPrefix(out.String(), "\r\x1b[K")); n > 29 {
		t.Errorf("a line of %d characters on a terminal of 30: what wraps cannot be written over", n)
	}
	out.Reset()
	s.width = 100
	s.share(150e6, 100e6, "done") // a file that grew while it was read
	if !strings.Contains(out.String(), "100 %") {
		t.Errorf("more than there was: %q", out.String())
	}
}

func TestShareElsewhere(t *testing.T) {
	s, out, clock := stepsAt(0)
	s.step("reading 1 capture file")
	s.share(1e6, 100e6, "1 packet")
	if out.Len() > 0 {
		t.Errorf("told at once: %q", out)
	}
	*clock = clock.Add(tellEvery + time.Second)
	s.share(11e6, 100e6, "7 packets")
	s.share(12e6, 100e6, "8 packets")
	if want := "reading 1 capture file ... 11 %, 1.0 MB/s, 1 min 29 s to go, 7 packets\n"; out.String() != want {
		t.Errorf("%q, want %q", out, want)
	}
	out.Reset()
	*clock = clock.Add(2 * tellEvery)
	s.share(0, 0, "9 packets") // a pipe: nobody knows how much there is
	if want := "reading 1 capture file ... 9 packets\n"; out.String() != want {
		t.Errorf("%q, want %q", out, want)
	}
}

func TestRemaining(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s to go", 59 * time.Second: "59 s to go", 61 * time.Second: "1 min 01 s to go", 3*time.Hour + 5*time.Minute: "3 h 05 min to go",
	} {
		if got := remaining(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
