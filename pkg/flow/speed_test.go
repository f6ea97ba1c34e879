package flow_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// inMemory reads the captures of nDPI, as if all had begun at one time and none had
// a silence of more than a second.
func inMemory(b *testing.B) []capfile.Packet {
	b.Helper()
	dir := repotest.Shared(b, "captures/nDPI/pcap")
	var all []capfile.Packet
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		r, err := capfile.Open(path)
		if err != nil {
			return nil //nolint:nilerr // not a capture
		}
		defer r.Close()
		var p capfile.Packet
		now, last := epoch, proto.Time(0)
		for r.Next(&p) == nil {
			if last != 0 {
				now = now.Add(min(max(p.Time.Sub(last), 0), 1e9))
			}
			last = p.Time
			p.Time, p.Data = now, slices.Clone(p.Data)
			all = append(all, p)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	slices.SortStableFunc(all, func(x, y capfile.Packet) int { return int(x.Time.Sub(y.Time)) })
	return all
}

// BenchmarkCaptures is the path of the flows alone, from frame to record: real
// packets, from memory.
func BenchmarkCaptures(b *testing.B) {
	packets := inMemory(b)
	span := packets[len(packets)-1].Time.Sub(packets[0].Time)
	var d packet.Decoder
	var h packet.Headers
	parts := 0
	t := flow.New(flow.Config{Site: "site", Emit: func(*flow.Entry, *proto.Flow) { parts++ }})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		p := &packets[n%len(packets)]
		round := time.Duration(n / len(packets))
		if d.Decode(p.LinkType, p.Time.Add(round*span), p.Data, p.WireLen, &h) == packet.OK {
			t.Add(&h)
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(parts)/float64(n), "parts/packet")
}
