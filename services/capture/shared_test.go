package capture

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// captures reads every capture among the shared files into memory.
func captures(t testing.TB, use func(name string, raw []byte)) {
	dir := repotest.Shared(t, "captures")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		base := strings.TrimSuffix(d.Name(), ".gz")
		if ext := filepath.Ext(base); ext != ".pcap" && ext != ".pcapng" && ext != ".cap" {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		use(name, raw)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// digest is what a capture gives, boiled down.
type digest struct {
	sum     [32]byte
	items   int
	summary Summary
}

// run processes a capture and checks what must hold of every item.
func run(t testing.TB, name string, raw []byte) digest {
	t.Helper()
	var d digest
	in, err := capfile.NewReader(name, bytes.NewReader(raw))
	if err != nil {
		return d
	}
	defer in.Close()
	all := sha256.New()
	e := msgpack.NewEncoder(all)
	parts := map[proto.ID]uint32{}
	p := New(Config{Site: "s", Sensor: "x", OnPanic: func(place string) { t.Errorf("%s: panic at %s", name, place) }, Emit: func(it proto.Item) {
		d.items++
		item(t, name, all, e, it, parts)
	}})
	var pkt capfile.Packet
	for {
		if err := in.Next(&pkt); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, capfile.ErrTruncated) && !errors.Is(err, capfile.ErrMalformed) && len(raw) > 0 {
				t.Logf("%v", err)
			}
			break
		}
		p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
	}
	p.End()
	if n := p.table.Live(); n != 0 {
		t.Errorf("%s: %d flows never end", name, n)
	}
	d.summary = p.Summary()
	all.Sum(d.sum[:0])
	return d
}

func item(t testing.TB, name string, all hash.Hash, e *msgpack.Encoder, it proto.Item, parts map[proto.ID]uint32) {
	all.Write([]byte{byte(it.Lane), byte(it.Lane >> 8)})
	switch {
	case it.Flow != nil:
		if err := it.Flow.EncodeMsgpack(e); err != nil {
			t.Fatal(err)
		}
		if it.Mirror {
			return
		}
		f := it.Flow
		next, known := parts[f.FlowID]
		if f.Part != next || (known && next == 0) {
			t.Errorf("%s: flow %v: part %d, want %d", name, f.FlowID, f.Part, next)
		}
		parts[f.FlowID] = f.Part + 1
		if f.Final {
			parts[f.FlowID] = 0
		}
		if f.End < f.Start || f.Protocol == "" || f.State == "" || f.SrcPayloadBytes > f.SrcBytes || f.DstPayloadBytes > f.DstBytes {
			t.Errorf("%s: flow %+v", name, f)
		}
		if (f.ProtocolBy == "") != (f.Protocol == "unknown") {
			t.Errorf("%s: protocol %q by %q", name, f.Protocol, f.ProtocolBy)
		}
	case it.Observation != nil:
		if err := it.Observation.EncodeMsgpack(e); err != nil {
			t.Fatal(err)
		}
		if it.Observation.ObservationID.IsZero() || it.Observation.Kind == "" || it.Observation.Protocol == "" {
			t.Errorf("%s: observation %+v", name, it.Observation)
		}
	}
}

// TestAllCaptures runs every shared capture twice, and once more cut at a random
// place: no panic, no flow left behind, (flow_id, part) unique, the same answer.
func TestAllCaptures(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	var total Summary
	files, slowest, slow := 0, "", time.Duration(0)
	captures(t, func(name string, raw []byte) {
		files++
		start := time.Now()
		first := run(t, name, raw)
		if took := time.Since(start); took > slow {
			slowest, slow = name, took
		}
		if second := run(t, name, raw); second.sum != first.sum || second.items != first.items {
			t.Errorf("%s: a second run gives something else (%d and %d items)", name, first.items, second.items)
		}
		if len(raw) > 0 {
			run(t, name+" cut", raw[:rnd.IntN(len(raw))])
		}
		total.Packets += first.summary.Packets
		total.Flows += first.summary.Flows
		total.Observations += first.summary.Observations
	})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d captures, %d packets, %d flows, %d observations; slowest %s, %v; %d MiB of heap", files, total.Packets, total.Flows, total.Observations, slowest, slow, m.HeapSys>>20)
	if files < 2000 || slow > 20*time.Second || m.HeapSys > 2<<30 {
		t.Errorf("%d captures, slowest %s %v, %d MiB of heap", files, slowest, slow, m.HeapSys>>20)
	}
}

// TestWardDay: what the ward's own sheet says of its day.
func TestWardDay(t *testing.T) {
	raw, err := os.ReadFile(repotest.Shared(t, "captures/ward-a/day.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	d := run(t, "day", raw)
	if d.summary.Packets != 17280 {
		t.Errorf("%d packets, the sheet says 17,280", d.summary.Packets)
	}
	for reason, n := range d.summary.Drops {
		if n > 0 {
			t.Errorf("%d packets dropped: %s", n, reason)
		}
	}
	t.Logf("%+v", d.summary)
}

func BenchmarkProcessor(b *testing.B) {
	raw, err := os.ReadFile(repotest.Shared(b, "captures/ward-a/day.pcapng"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var packets, flows uint64
	for b.Loop() {
		in, err := capfile.NewReader("day", bytes.NewReader(raw))
		if err != nil {
			b.Fatal(err)
		}
		p := New(Config{Site: "s", Emit: func(proto.Item) {}})
		var pkt capfile.Packet
		for in.Next(&pkt) == nil {
			p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
		}
		p.End()
		packets += p.counts.packets
		flows += p.table.Flows()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
	b.ReportMetric(float64(flows)/b.Elapsed().Seconds(), "flows/s")
}
