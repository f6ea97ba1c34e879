package dissect

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// tally counts the datagrams of a flow; "!" makes it panic, "." ends it.
type tally struct{ n int }

func (t *tally) End(c *dissector.Context) { c.Emit(&dissector.Fact{Kind: strconv.Itoa(t.n)}) }
func (t *tally) Size() int                { return 100 }

var tallyProtocol = dissector.Protocol{
	Name: "tally",
	Datagram: func(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
		t, _ := c.State.(*tally)
		switch string(b) {
		case "one":
		case "!":
			panic("in the middle of it")
		case ".":
			c.Sink.Done()
		default:
			return dissector.No
		}
		if t == nil {
			t = new(tally)
			c.State = t
		}
		t.n++
		return dissector.Yes
	},
}

func tell(b *bench, f *Flow, text string) {
	h := packet.Headers{
		SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.2"), Transport: proto.UDP, SrcPort: 4000, DstPort: 7,
		Payload: []byte(text), PayloadLen: len(text),
	}
	b.e.Packet(&Packet{Headers: &h, Flow: f, FromSrc: true})
}

// What a protocol keeps of a flow of datagrams is there at the next one and at
// the end, each flow on its own.
func TestState(t *testing.T) {
	b := newBench(Config{})
	b.e = newEngine(b.e.cfg, []*dissector.Protocol{&tallyProtocol})
	var f, g, panicked, done Flow
	for range 3 {
		tell(b, &f, "one")
	}
	tell(b, &f, "something else")
	tell(b, &g, "one")
	for _, s := range []string{"one", "one", "!", "one"} {
		tell(b, &panicked, s)
	}
	for _, s := range []string{"one", ".", "one"} {
		tell(b, &done, s)
	}
	if done.conn != nil || !done.done || b.e.used == 0 {
		t.Errorf("after Done %+v, %d bytes used", done, b.e.used)
	}
	for _, x := range []*Flow{&f, &g, &panicked, &done} {
		b.e.Close(x)
	}
	want := []string{"3", "1", "1"}
	if len(b.facts) != len(want) {
		t.Fatalf("facts %v", b.facts)
	}
	for i, w := range want {
		if b.facts[i].Kind != w || b.facts[i].Protocol != "tally" {
			t.Errorf("fact %d is %s of %s, want %s", i, b.facts[i].Kind, b.facts[i].Protocol, w)
		}
	}
	if b.e.used != 0 || b.e.Counters()["tally_malformed"] != 2 || b.e.Counters()["tally_panic"] != 1 {
		t.Errorf("%d bytes used, %v", b.e.used, b.e.Counters())
	}
}

// Under the limit the flows that were silent longest lose what was kept of them,
// and go on without it.
func TestStateLimit(t *testing.T) {
	b := newBench(Config{MemoryLimit: 20 << 10})
	b.e = newEngine(b.e.cfg, []*dissector.Protocol{&tallyProtocol})
	flows := make([]Flow, 100)
	for i := range flows {
		tell(b, &flows[i], "one")
		if b.e.used > 20<<10 {
			t.Fatalf("%d bytes are used", b.e.used)
		}
	}
	if flows[0].conn != nil || flows[0].done {
		t.Errorf("%+v", flows[0])
	}
	tell(b, &flows[0], "one")
	if flows[0].conn == nil {
		t.Error("a flow that lost its state begins anew")
	}
}
