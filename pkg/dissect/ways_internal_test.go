package dissect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// herald announces flows ("expect 10.0.0.9:5000 carried"); carried knows datagrams
// that begin with its name, and any once a flow is known to be its own.
func heralds(asked *[]string) []*dissector.Protocol {
	knows := func(name string, lenient bool) *dissector.Protocol {
		return &dissector.Protocol{Name: name, Datagram: func(c *dissector.Context, b []byte, known bool) dissector.Verdict {
			*asked = append(*asked, name)
			words := strings.Fields(string(b))
			switch {
			case strings.HasPrefix(string(b), name):
			case known && lenient && words[0] != "garbage" && words[0] != "herald":
			default:
				return dissector.No
			}
			if len(words) == 3 && words[1] != "" && name == "herald" {
				c.Sink.Expect(proto.UDP, netip.MustParseAddrPort(words[1]), words[2])
				c.Sink.Expect(proto.TCP, netip.MustParseAddrPort(words[1]), words[2])
			}
			c.Emit(&dissector.Fact{Kind: "message"})
			return dissector.Yes
		}}
	}
	herald, carried := knows("herald", false), knows("carried", true)
	carried.Ports = []uint16{77}
	return []*dissector.Protocol{herald, carried}
}

type datagrams struct {
	e     *Engine
	facts []Fact
	now   proto.Time
}

func (d *datagrams) send(f *Flow, srcPort, dstPort uint16, data string) {
	h := packet.Headers{
		Time: d.now, SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.9"), Transport: proto.UDP,
		SrcPort: srcPort, DstPort: dstPort, Payload: []byte(data), PayloadLen: len(data),
	}
	d.e.Packet(&Packet{Headers: &h, Flow: f, FromSrc: true})
}

func TestExpected(t *testing.T) {
	for _, tc := range []struct {
		name  string
		port  uint16
		later proto.Time
		parts []string
		label string
		facts int
	}{
		{"announced, and read as its own", 5000, 0, []string{"anything", "more"}, "carried context", 2},
		{"announced, and something else", 5000, 0, []string{"herald"}, "herald content", 1},
		{"announced, and nothing known", 5000, 0, []string{"garbage", "anything"}, "carried context", 0},
		{"another port", 5001, 0, []string{"anything"}, " ", 0},
		{"too late", 5000, expectFor + 1, []string{"anything"}, " ", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &datagrams{now: 1}
			var asked []string
			d.e = newEngine(Config{Emit: func(_ *Packet, f *Fact) { d.facts = append(d.facts, *f) }}, heralds(&asked))
			var first, f Flow
			d.send(&first, 1, 2, "herald 10.0.0.9:5000 carried")
			d.facts, d.now = nil, d.now+tc.later
			for _, p := range tc.parts {
				d.send(&f, 40000, tc.port, p)
			}
			if got := f.Protocol + " " + f.By; got != tc.label || len(d.facts) != tc.facts {
				t.Errorf("%q with %d facts, want %q with %d", got, len(d.facts), tc.label, tc.facts)
			}
		})
	}
}

// What is expected is bounded, and the oldest goes.
func TestExpectedIsBounded(t *testing.T) {
	var x expectations
	end := func(i int) expectedEnd {
		return expectedEnd{end: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)}
	}
	for i := range 3 * maxExpected {
		x.add(end(i), expectedFlow{name: "x"})
		x.add(end(i), expectedFlow{name: "y"})
	}
	if len(x.ends) != maxExpected || len(x.order) != maxExpected {
		t.Errorf("%d ends, %d in order", len(x.ends), len(x.order))
	}
	if _, known := x.ends[end(2*maxExpected-1)]; known {
		t.Error("an old one is still there")
	}
	if v := x.ends[end(3*maxExpected-1)]; v.name != "y" {
		t.Error("the latest is not")
	}
}

// The protocol of the port is asked first, every protocol once.
func TestCandidates(t *testing.T) {
	for ports, want := range map[[2]uint16]string{{1, 2}: "herald carried", {1, 77}: "carried herald", {77, 77}: "carried herald"} {
		d := &datagrams{}
		var asked []string
		d.e = newEngine(Config{Emit: func(*Packet, *Fact) {}}, heralds(&asked))
		d.send(new(Flow), ports[0], ports[1], "?")
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("ports %v: %s, want %s", ports, got, want)
		}
	}
}

// Frames with LLC go to all that share it; a transport that is a protocol of its own
// gets header and payload in one piece.
func TestOtherWaysIn(t *testing.T) {
	var got []string
	frame := func(name string) *dissector.Protocol {
		return &dissector.Protocol{Name: name, Frame: func(_ *dissector.Context, b []byte) { got = append(got, name+" "+string(b)) }}
	}
	message := &dissector.Protocol{Name: "nd", Transport: proto.ICMP6, Message: func(c *dissector.Context, b []byte) dissector.Verdict {
		got = append(got, "nd "+string(b))
		if b[0] == '!' {
			panic("no")
		}
		c.Emit(&dissector.Fact{Kind: "x"})
		return dissector.Yes
	}}
	facts, panics := 0, 0
	e := newEngine(Config{Emit: func(*Packet, *Fact) { facts++ }, OnPanic: func(string, string) { panics++ }}, []*dissector.Protocol{frame("a"), frame("b"), message})
	e.Packet(&Packet{Headers: &packet.Headers{LinkPayload: []byte("llc")}, FromSrc: true})
	send := func(data string) string {
		b := []byte(data)
		var f Flow
		h := packet.Headers{SrcIP: netip.IPv6LinkLocalAllNodes(), DstIP: netip.IPv6LinkLocalAllNodes(), Transport: proto.ICMP6, Header: b[:8], Payload: b[8:]}
		e.Packet(&Packet{Headers: &h, Flow: &f, FromSrc: true})
		return f.Protocol
	}
	if name := send("headload the rest"); name != "nd" || facts != 1 {
		t.Errorf("labelled %q with %d facts", name, facts)
	}
	if name := send("!eadload"); name != "" || panics != 1 || e.Counters()["nd_panic"] != 1 {
		t.Errorf("labelled %q, %d panics", name, panics)
	}
	if want := "a llc|b llc|nd headload the rest|nd !eadload"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

// pair is known by two datagrams in order.
type pair struct{ last byte }

func (*pair) End(c *dissector.Context) { c.Emit(&dissector.Fact{Kind: "end"}) }
func (*pair) Size() int                { return 1 }

// A protocol that cannot tell yet is asked again, with what it kept, until it can.
func TestTrial(t *testing.T) {
	for _, tc := range []struct {
		parts []string
		label string
		facts int
	}{
		{[]string{"a", "b"}, "pair content", 1},
		{[]string{"a"}, " ", 0},
		{[]string{"a", "x", "c", "d"}, "pair content", 1},
		{[]string{"a", "herald"}, "herald content", 1},
		{[]string{"a", "x", "x", "x", "a", "b"}, " ", 0},
		{[]string{"a", "c", "e", "g", "i", "k", "l"}, " ", 0},
	} {
		d := &datagrams{now: 1}
		var asked []string
		list := append([]*dissector.Protocol{{Name: "pair", Datagram: func(c *dissector.Context, b []byte, known bool) dissector.Verdict {
			s, _ := c.State.(*pair)
			switch {
			case len(b) > 1 || b[0] == 'x':
				return dissector.No
			case known || s != nil && b[0] == s.last+1:
				return dissector.Yes
			}
			c.State = &pair{last: b[0]}
			return dissector.More
		}}}, heralds(&asked)...)
		d.e = newEngine(Config{Emit: func(_ *Packet, f *Fact) { d.facts = append(d.facts, *f) }}, list)
		var f Flow
		for _, p := range tc.parts {
			d.send(&f, 40000, 5, p)
		}
		d.e.Close(&f)
		if got := f.Protocol + " " + f.By; got != tc.label || len(d.facts) != tc.facts || d.e.used != 0 {
			t.Errorf("%v: %q with %d facts and %d bytes, want %q with %d", tc.parts, got, len(d.facts), d.e.used, tc.label, tc.facts)
		}
	}
}
