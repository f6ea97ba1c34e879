package capture

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// Everything that is hostile: damaged captures, floods, segments out of order. What
// must hold is the same: no panic, no stall, bounded memory. WARDFLOW_ROBUST=1 takes
// all captures and the full floods; without it a part, another one every day.

func everything() bool { return os.Getenv("WARDFLOW_ROBUST") != "" }

// anyCaptures lists the shared captures, those whose turn it is.
func anyCaptures(t *testing.T, share int) []string {
	t.Helper()
	var all []string
	root := repotest.Shared(t, "captures")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), "cap") {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if everything() {
		return all
	}
	var some []string
	turn := time.Now().YearDay() % share
	for i := turn; i < len(all); i += share {
		some = append(some, all[i])
	}
	return some
}

// framesOf reads a capture's frames, of any link type; none where it is no capture.
func framesOf(path string) []capfile.Packet {
	r, err := capfile.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }()
	var list []capfile.Packet
	var p capfile.Packet
	for r.Next(&p) == nil {
		p.Data = bytes.Clone(p.Data)
		list = append(list, p)
	}
	return list
}

// damage changes a frame: it is cut, some of its bits are turned, or a run of it is
// overwritten.
func damage(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) == 0 {
		return b
	}
	switch r.IntN(4) {
	case 0:
		return b[:r.IntN(len(b))]
	case 1:
		for range 1 + r.IntN(8) {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
	case 2: // behind the headers, where the dissectors read
		at := min(len(b)-1, 42+r.IntN(60))
		b[at] = byte(r.Uint32())
	case 3:
		at := r.IntN(len(b))
		for i := at; i < min(len(b), at+1+r.IntN(16)); i++ {
			b[i] = []byte{0, 0xff, byte(r.Uint32())}[r.IntN(3)]
		}
	}
	return b
}

// panicsOf are all panics that a Processor has contained.
func panicsOf(p *Processor) uint64 {
	s := p.Summary()
	n := s.Drops["packet_panic"]
	for name, count := range s.Dissect {
		if strings.HasSuffix(name, "_panic") {
			n += count
		}
	}
	return n
}

// slowest is how long one packet may take on a machine that others use too, and
// mean on average.
const (
	slowest = 20 * time.Second
	mean    = 20 * time.Millisecond
)

// TestEveryCaptureDamaged: each capture, its frames cut, turned and mixed up, comes
// to an end without a panic, in time, and with what it kept bounded.
func TestEveryCaptureDamaged(t *testing.T) {
	const limit = 8 << 20
	seed := uint64(time.Now().YearDay())
	t.Logf("seed %d", seed)
	frames := 0
	for i, path := range anyCaptures(t, 12) {
		list := framesOf(path)
		if len(list) > 3000 && !everything() {
			list = list[:3000]
		}
		for round := range uint64(3) {
			r := rand.New(rand.NewPCG(seed+round, uint64(i)))
			where := ""
			p := New(Config{
				Site: site, MaxMemory: limit, MaxFlows: 1 << 12, Reuse: true, Emit: func(it proto.Item) {
					if it.Observation != nil {
						_ = it.Observation.AppendJSON(nil)
					}
				}, OnPanic: func(place string) { where = place },
			})
			begun := time.Now()
			for j := range list {
				f := &list[j]
				b := f.Data
				if r.IntN(3) > 0 {
					b = damage(r, b)
				}
				before := time.Now()
				p.Packet(f.LinkType, f.Time, b, max(f.WireLen, len(b)))
				if took := time.Since(before); took > slowest {
					t.Errorf("%s, round %d: packet %d took %v", path, round, j+1, took)
				}
				if r.IntN(64) == 0 { // the same once more, or an old one
					old := &list[r.IntN(j+1)]
					p.Packet(old.LinkType, f.Time, damage(r, old.Data), old.WireLen)
				}
			}
			p.End()
			frames += len(list)
			if n := panicsOf(p); n > 0 {
				t.Errorf("%s, round %d: %d panics, the last in %s", path, round, n, where)
			}
			if took := time.Since(begun); took > slowest+time.Duration(len(list))*mean {
				t.Errorf("%s, round %d: %d packets took %v", path, round, len(list), took)
			}
		}
	}
	t.Logf("%d damaged frames", frames)
	if frames == 0 {
		t.Error("nothing was read")
	}
}

// TestEveryFileDamaged: the files themselves, cut and turned, end with an error or
// with packets, and never hang.
func TestEveryFileDamaged(t *testing.T) {
	seed := uint64(time.Now().YearDay())
	for i, path := range anyCaptures(t, 20) {
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 || len(b) > 2<<20 {
			continue
		}
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for range 4 {
			damaged := bytes.Clone(b[:1+r.IntN(len(b))])
			for range r.IntN(20) {
				damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
			}
			in, err := capfile.NewReader("damaged", bytes.NewReader(damaged))
			if err != nil {
				continue
			}
			p := New(Config{Site: site, MaxFlows: 1 << 12, Emit: func(proto.Item) {}})
			var pkt capfile.Packet
			begun, n := time.Now(), 0
			for in.Next(&pkt) == nil {
				n++
				p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
			}
			p.End()
			if panics := panicsOf(p); panics > 0 || time.Since(begun) > slowest {
				t.Errorf("%s: %d panics in %d packets, %v", path, panics, n, time.Since(begun))
			}
		}
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// perIdleFlow is the bound on what a flow of one packet costs, in bytes.
const perIdleFlow = 300

// TestSynFlood: a SYN from every one of ten million sources (a tenth of them without
// WARDFLOW_ROBUST) costs no more than the table may hold.
func TestSynFlood(t *testing.T) {
	sources, most := 1_000_000, 1<<16
	if everything() {
		sources, most = 10_000_000, 1<<20
	}
	f := talk()
	f.flags, f.payload = packet.SYN, ""
	raw := f.bytes()
	before := heap()
	flows := uint64(0)
	p := New(Config{Site: site, MaxFlows: most, Reuse: true, Emit: func(it proto.Item) {
		if it.Flow != nil && !it.Mirror {
			flows++
		}
	}})
	begun := time.Now()
	peak := uint64(0)
	for i := range sources {
		binary.BigEndian.PutUint32(raw[26:], 0x0a000000+uint32(i))
		p.Packet(packet.LinkEthernet, at(float64(i)/1e6), raw, len(raw))
		if i%(sources/4) == sources/4-1 {
			peak = max(peak, heap())
		}
	}
	took := time.Since(begun)
	p.End()
	s := p.Summary()
	t.Logf("%d sources in %v, %.0f ns each; %d MiB in use, %d flows ended early", sources, took, float64(took)/float64(sources), (peak-before)>>20, s.Drops["flow_table_full"])
	if s.Flows != uint64(sources) || flows != uint64(sources) {
		t.Errorf("%d flows, %d told", s.Flows, flows)
	}
	const beside = 24 << 20 // what is known of the segment, of repeats, of sleepers: bounded on its own
	if bound := before + uint64(most)*perIdleFlow + beside; peak > bound {
		t.Errorf("%d MiB in use, at most %d MiB are stated", peak>>20, bound>>20)
	}
	if took > time.Duration(sources)*200*time.Microsecond {
		t.Errorf("it took %v", took)
	}
	runtime.KeepAlive(p)
}

// TestSegmentsOutOfOrder: a connection whose first segment never comes, and a
// million others in the worst order, stays within the memory of streams.
func TestSegmentsOutOfOrder(t *testing.T) {
	segments := 1_000_000
	if !everything() {
		segments = 200_000
	}
	const limit = 16 << 20
	f := talk()
	f.flags, f.payload = packet.ACK|packet.PSH, strings.Repeat("x", 1000)
	raw := f.bytes()
	syn := talk()
	syn.flags, syn.payload = packet.SYN, ""
	opening := syn.bytes()
	for name, order := range map[string]func(i int) uint32{
		"backwards":    func(i int) uint32 { return uint32(segments-i) * 1000 },
		"every second": func(i int) uint32 { return uint32(i)*2000 + 5000 },
		"random":       func(i int) uint32 { return uint32(rand.New(rand.NewPCG(7, uint64(i))).IntN(1<<20)) * 1000 },
		"overlapping":  func(i int) uint32 { return 2000 + uint32(i%4000)*7 },
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			p := New(Config{Site: site, MaxMemory: limit, Reuse: true, Emit: func(proto.Item) {}})
			p.Packet(packet.LinkEthernet, at(0), opening, len(opening))
			first := binary.BigEndian.Uint32(opening[38:])
			peak, begun := uint64(0), time.Now()
			for i := range segments {
				binary.BigEndian.PutUint32(raw[38:], first+1+order(i)+1000)
				p.Packet(packet.LinkEthernet, at(float64(i)/1e5), raw, len(raw))
				if i%(segments/8) == segments/8-1 {
					peak = max(peak, heap())
				}
			}
			took := time.Since(begun)
			t.Logf("%d segments in %v; %d KiB in use", segments, took, (peak-before)>>10)
			if peak > before+limit+(8<<20) {
				t.Errorf("%d MiB in use, the streams' limit is %d MiB", (peak-before)>>20, limit>>20)
			}
			if took > time.Duration(segments)*500*time.Microsecond {
				t.Errorf("it took %v", took)
			}
			p.End()
			if n := panicsOf(p); n > 0 {
				t.Errorf("%d panics", n)
			}
			runtime.KeepAlive(p)
		})
	}
}
