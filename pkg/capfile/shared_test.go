package capfile_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// TestSharedCaptures compares every indexed capture's packets, bytes and
// duration with the index, which another program made.
func TestSharedCaptures(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	f, err := os.Open(filepath.Join(dir, "INDEX.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	read, damaged, differ, clock := 0, 0, 0, 0
	for _, row := range rows[1:] {
		packets, err := strconv.ParseUint(row[4], 10, 64)
		if err != nil {
			continue // the index gives no figures: not a capture that was understood
		}
		wire, _ := strconv.ParseUint(row[5], 10, 64)
		seconds, _ := strconv.ParseFloat(row[6], 64)
		got, err := count(filepath.Join(dir, row[0]))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, capfile.ErrTruncated) {
			damaged++
			t.Logf("%s: %v", row[0], err)
			continue
		}
		read++
		if got.packets != packets || got.bytes != wire {
			differ++
			t.Logf("%s: %d packets, %d bytes; the index says %d, %d", row[0], got.packets, got.bytes, packets, wire)
		}
		if math.Abs(got.seconds-seconds) > 0.002 {
			clock++
			t.Logf("%s: %.3f s; the index says %.3f", row[0], got.seconds, seconds)
		}
	}
	t.Logf("%d captures read, %d malformed, %d differ in packets or bytes, %d in duration", read, damaged, differ, clock)
	// What differs was looked at: records whose length on the wire is below the
	// captured one, which the index adds as it stands; times of 0, which it leaves out,
	// and times beyond 2200; one file that it skipped.
	if read < 2000 || damaged > 2 || differ > 6 || clock > 17 {
		t.Errorf("%d captures read, %d malformed, %d differ in packets or bytes, %d in duration", read, damaged, differ, clock)
	}
}

type counted struct {
	packets, bytes uint64
	seconds        float64
}

func count(path string) (c counted, err error) {
	r, err := capfile.Open(path)
	if err != nil {
		return c, err
	}
	defer r.Close()
	var p capfile.Packet
	var first, last int64
	for {
		switch err := r.Next(&p); {
		case errors.Is(err, io.EOF):
			c.seconds = float64(last-first) / 1e9
			return c, nil
		case err != nil:
			c.seconds = float64(last-first) / 1e9
			return c, err
		}
		if c.packets == 0 {
			first, last = int64(p.Time), int64(p.Time)
		}
		first, last = min(first, int64(p.Time)), max(last, int64(p.Time))
		c.packets++
		c.bytes += uint64(p.WireLen)
	}
}

// TestOtherFilesAreNoCaptures: what lies beside the captures is refused, with the reason.
func TestOtherFilesAreNoCaptures(t *testing.T) {
	_, err := capfile.Open(repotest.Shared(t, "captures/README.md"))
	if !errors.Is(err, capfile.ErrNotCapture) || !strings.Contains(err.Error(), "README.md") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkReader(b *testing.B) {
	file, err := os.ReadFile(repotest.Shared(b, "captures/ward-a/day.pcapng"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	var packets uint64
	for b.Loop() {
		r, err := capfile.NewReader("day", bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		var p capfile.Packet
		for r.Next(&p) == nil {
			packets++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
}
