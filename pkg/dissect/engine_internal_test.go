package dissect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// brittle is a protocol that panics, quoting its input, at every "!".
type brittle struct{ gaps int }

func (b *brittle) Data(c *dissector.Context, data []byte) {
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if strings.Contains(line, "!") {
			panic("cannot read " + line)
		}
		f := dissector.Fact{Kind: "line"}
		f.Attributes.Set("gaps", strings.Repeat("x", b.gaps))
		c.Emit(&f)
	}
}
func (b *brittle) Gap(*dissector.Context, int64) { b.gaps++ }
func (*brittle) End(*dissector.Context)          {}
func (*brittle) Size() int                       { return 100 }

var brittleProtocol = dissector.Protocol{
	Name:  "brittle",
	Ports: []uint16{7},
	Recognise: func(b []byte, _ bool) dissector.Verdict {
		if strings.HasPrefix(string(b), "?") {
			panic("cannot recognise " + string(b))
		}
		const greeting = "hello"
		n := min(len(b), len(greeting))
		switch {
		case string(b[:n]) != greeting[:n]:
			return dissector.No
		case n < len(greeting):
			return dissector.More
		}
		return dissector.Yes
	},
	NewStream: func() dissector.Stream { return new(brittle) },
}

// bench feeds TCP segments of one or more flows to an engine.
type bench struct {
	e     *Engine
	facts []Fact
	sites []string
}

func newBench(cfg Config) *bench {
	b := new(bench)
	cfg.Emit = func(_ *Packet, f *Fact) { b.facts = append(b.facts, *f) }
	cfg.OnPanic = func(protocol, site string) { b.sites = append(b.sites, protocol+" "+site) }
	b.e = newEngine(cfg, []*dissector.Protocol{&brittleProtocol})
	return b
}

// sated is a protocol that has what it wants after its second line.
type sated struct{ lines int }

func (s *sated) Data(c *dissector.Context, data []byte) {
	for range strings.Count(string(data), "\n") {
		if s.lines++; s.lines == 2 {
			c.Emit(&dissector.Fact{Kind: "second"})
			c.Sink.Done()
		}
	}
}
func (s *sated) Gap(*dissector.Context, int64) { s.lines = -100 }
func (s *sated) End(c *dissector.Context)      { c.Emit(&dissector.Fact{Kind: "end"}) }
func (*sated) Size() int                       { return 100 }

// After Done a connection is neither put together nor read, its memory is given
// back, and its label stays.
func TestDone(t *testing.T) {
	b := newBench(Config{})
	sat := brittleProtocol
	sat.NewStream = func() dissector.Stream { return new(sated) }
	b.e = newEngine(b.e.cfg, []*dissector.Protocol{&sat})
	var f Flow
	b.send(&f, true, 0, packet.SYN, "")
	b.send(&f, true, 1, packet.ACK, "hello\n")
	b.send(&f, true, 16, packet.ACK, "waiting\n")
	b.send(&f, true, 7, packet.ACK, "a second\n")
	if len(b.facts) != 1 || b.facts[0].Kind != "second" || f.conn != nil || !f.done || b.e.used != 0 || b.e.pool.Held() != 0 {
		t.Errorf("facts %v, flow %+v, %d bytes used", b.facts, f, b.e.used)
	}
	before := b.e.Counters()["tcp_segments"]
	b.send(&f, true, 24, packet.ACK, "third\n")
	b.e.Close(&f)
	if n := b.e.Counters()["tcp_segments"]; n != before || len(b.facts) != 1 || f.Protocol != "brittle" {
		t.Errorf("%d segments more, facts %v, flow %+v", n-before, b.facts, f)
	}
}

// A direction that was over before the other one was recognised is over for the
// dissector too; a FIN beside a SYN ends nothing.
func TestEndedBefore(t *testing.T) {
	b := newBench(Config{})
	sat := brittleProtocol
	sat.NewStream = func() dissector.Stream { return new(sated) }
	b.e = newEngine(b.e.cfg, []*dissector.Protocol{&sat})
	var f Flow
	b.send(&f, true, 0, packet.SYN, "")
	b.send(&f, false, 0, packet.SYN|packet.ACK|packet.FIN, "")
	b.send(&f, false, 1, packet.ACK, "what")
	b.send(&f, false, 5, packet.ACK|packet.FIN, "")
	b.send(&f, true, 1, packet.ACK, "hello")
	if len(b.facts) != 1 || b.facts[0].Kind != "end" || f.Protocol != "brittle" {
		t.Errorf("facts %v, flow %+v", b.facts, f)
	}
	if b.send(&f, true, 6, packet.ACK|packet.FIN, ""); len(b.facts) != 2 {
		t.Errorf("facts %v", b.facts)
	}
	if n := b.e.Counters()["tcp_after_end"]; n != 0 {
		t.Errorf("%d segments after the end", n)
	}
}

func (b *bench) send(f *Flow, fromSrc bool, seq uint32, flags uint8, data string) {
	h := packet.Headers{
		SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.2"), Transport: proto.TCP, SrcPort: 4000, DstPort: 7,
		TCPFlags: flags, Seq: seq, Payload: []byte(data), PayloadLen: len(data),
	}
	b.e.Packet(&Packet{Headers: &h, Flow: f, FromSrc: fromSrc})
}

func TestPanicsAreContained(t *testing.T) {
	b := newBench(Config{})
	var f Flow
	b.send(&f, true, 0, packet.SYN, "")
	b.send(&f, true, 1, packet.ACK, "hello\n")
	b.send(&f, true, 7, packet.ACK, "secret!\n")
	b.send(&f, true, 15, packet.ACK, "again\n")
	// The trailing empty line of a chunk is one more fact.
	if len(b.facts) != 4 || b.facts[0].Attributes.Get("gaps") != "" || b.facts[3].Attributes.Get("gaps") != "xx" {
		t.Errorf("facts: %v", b.facts)
	}
	if n := b.e.Counters()["brittle_panic"]; n != 1 {
		t.Errorf("%d panics counted", n)
	}
	if len(b.sites) != 1 || !strings.HasPrefix(b.sites[0], "brittle engine_internal_test.go:") {
		t.Errorf("panicked at %v", b.sites)
	}
	var g Flow
	b.send(&g, true, 1, packet.ACK, "?")
	if n := b.e.Counters()["brittle_panic"]; n != 2 || g.By == proto.ByContent {
		t.Errorf("%d panics counted, flow %+v", n, g)
	}
}

// A panic in whoever takes the facts is not ours to hide.
func TestPanicOfTheReceiver(t *testing.T) {
	b := newBench(Config{})
	b.e.cfg.Emit = func(*Packet, *Fact) { panic("receiver") }
	defer func() {
		if recover() == nil {
			t.Error("the receiver's panic was swallowed")
		}
	}()
	b.send(new(Flow), true, 1, packet.ACK, "hello\n")
}

func TestMemoryLimit(t *testing.T) {
	b := newBench(Config{MemoryLimit: 20 << 10})
	flows := make([]Flow, 100)
	for i := range flows {
		b.send(&flows[i], true, 1, packet.ACK, "hello\n")
		b.send(&flows[0], true, uint32(7+6*i), packet.ACK, "again\n")
		if b.e.used > 20<<10 {
			t.Fatalf("%d bytes are used", b.e.used)
		}
	}
	c := b.e.Counters()
	if c["memory_evicted"] == 0 || flows[0].conn == nil || flows[1].conn != nil || !flows[1].done {
		t.Errorf("%v: the connections silent longest must go, not the busy one", c)
	}
	if flows[1].Protocol != "brittle" {
		t.Errorf("an evicted flow keeps its label, not %q", flows[1].Protocol)
	}
	for i := range flows {
		b.e.Close(&flows[i])
		b.e.Close(&flows[i])
	}
	if b.e.used != 0 || b.e.recent.first != nil || b.e.recent.last != nil || b.e.pool.Held() != 0 {
		t.Errorf("%d bytes are used when all is closed", b.e.used)
	}
}

func TestLabels(t *testing.T) {
	for _, tc := range []struct {
		name  string
		syn   bool
		parts []string // from src; "<" before those from dst
		label string
	}{
		{"content", true, []string{"hello"}, "brittle content"},
		{"content in pieces", true, []string{"h", "el", "lo"}, "brittle content"},
		{"content of the other side", true, []string{"what", "<hello"}, "brittle content"},
		{"no payload", true, nil, " "},
		{"port until the content is known", true, []string{"hel"}, "brittle port"},
		{"refuted", true, []string{"what", "<no"}, " "},
		{"midstream it may still be", false, []string{"what", "is", "<this", "at", "all", "<now", "<or", "<then"}, "brittle port"},
		{"midstream", false, []string{"what", "hello"}, "brittle content"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(Config{})
			var f Flow
			seq := [2]uint32{0, 1000}
			if tc.syn {
				b.send(&f, true, seq[0], packet.SYN, "")
				b.send(&f, false, seq[1], packet.SYN|packet.ACK, "")
				seq[0]++
				seq[1]++
			}
			for _, p := range tc.parts {
				data, back := strings.CutPrefix(p, "<")
				side := 0
				if back {
					side = 1
				}
				b.send(&f, side == 0, seq[side], packet.ACK, data)
				seq[side] += uint32(len(data))
			}
			if got := f.Protocol + " " + f.By; got != tc.label {
				t.Errorf("%q, want %q", got, tc.label)
			}
		})
	}
}

func TestInner(t *testing.T) {
	b := newBench(Config{})
	var f Flow
	b.e.packet = &Packet{Flow: &f}
	for _, n := range []string{"pcd", "fhir", "pcd", "zzz", "dicomweb"} {
		(*sink)(b.e).Inner(n)
	}
	if got := strings.Join(f.Inner, " "); got != "dicomweb fhir pcd zzz" {
		t.Error(got)
	}
}

// A connection whose halves carry two versions of the same bytes is counted.
func TestOverlapIsCounted(t *testing.T) {
	b := newBench(Config{})
	var f Flow
	b.send(&f, true, 1, packet.ACK, "hello\n")
	b.send(&f, true, 1, packet.ACK, "HELLO\nx")
	if c := b.e.Counters(); c["tcp_overlap_conflict"] != 1 {
		t.Error(c)
	}
}
