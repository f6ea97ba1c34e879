package tunnel_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/tunnel"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// taker writes down what reaches the sink.
type taker struct {
	facts []dissector.Fact
	seen  []string
}

func (x *taker) Emit(f *dissector.Fact) { x.facts = append(x.facts, *f) }
func (x *taker) Count(name string)      { x.seen = append(x.seen, "count "+name) }

func (x *taker) Inner(name string) { x.seen = append(x.seen, "inner "+name) }

func (x *taker) Expect(proto.Transport, netip.AddrPort, string) { x.seen = append(x.seen, "expect") }
func (x *taker) Done()                                          { x.seen = append(x.seen, "done") }

// talker is a protocol of which every message begins with '!': it says what it gets.
type talker struct{ log *[]string }

func (s talker) say(c *dissector.Context, what string) {
	*s.log = append(*s.log, what+" "+string("><"[c.Side]))
}

func (s talker) Data(c *dissector.Context, b []byte) {
	s.say(c, string(b))
	c.Count("x")
	c.Sink.Expect(proto.TCP, netip.AddrPort{}, "x")
	c.Emit(&dissector.Fact{Kind: "own", Subject: dissector.Subject{Side: c.Side, IP: netip.MustParseAddr("10.0.0.1")}})
	c.Emit(&dissector.Fact{Protocol: "z", Kind: "behind", Subject: dissector.Subject{Side: dissector.Other, Equipment: "e", Gateway: c.Side}})
	if strings.HasSuffix(string(b), ".") {
		c.Sink.Done()
	}
}
func (s talker) Gap(c *dissector.Context, _ int64) { s.say(c, "gap") }
func (s talker) End(c *dissector.Context)          { s.say(c, "end") }
func (s talker) Size() int                         { return 7 }

func start(log *[]string) (*tunnel.Stream, *taker, [2]*dissector.Context) {
	p := &dissector.Protocol{
		Name: "loud", NewStream: func() dissector.Stream { return talker{log} },
		Recognise: func(b []byte, midstream bool) dissector.Verdict {
			switch {
			case b[0] != '!':
				return dissector.No
			case len(b) < 3 && !midstream:
				return dissector.More
			}
			return dissector.Yes
		},
	}
	x := new(taker)
	var c [2]*dissector.Context
	for side := range c {
		c[side] = &dissector.Context{Headers: new(packet.Headers), Side: dissector.Side(side), Sink: x}
	}
	return tunnel.New("socks", dissector.Dst, p), x, c
}

func TestWhoseFactsTheyAre(t *testing.T) {
	var log []string
	s, x, c := start(&log)
	s.Data(c[1], []byte("!"))
	s.Data(c[0], []byte("!a"))
	s.Data(c[0], []byte("b"))
	s.Data(c[1], []byte("cd"))
	s.Gap(c[1], 4)
	s.End(c[1])
	if got := strings.Join(log, ","); got != "!a >,b >,! <,cd <,gap <,end <" {
		t.Error(got)
	}
	if got := strings.Join(x.seen, ","); !strings.HasPrefix(got, "inner loud,count x") || strings.Contains(got, "expect") {
		t.Error(got)
	}
	for _, f := range x.facts {
		who, a := f.Subject, f.Attributes.Get("via")
		switch {
		case a != "socks" || who.Side == dissector.Dst || who.Equipment != "" && who.Gateway == dissector.Dst:
			t.Errorf("%+v", f)
		case f.Kind == "own" && (f.Protocol != "loud" || who.IP.IsValid() != (who.Side == dissector.Src)):
			t.Errorf("%+v", f)
		case f.Kind == "behind" && f.Protocol != "z":
			t.Errorf("%+v", f)
		}
	}
	if len(x.facts) != 8 || s.Over() || s.Size() < 7 {
		t.Error(len(x.facts), s.Over(), s.Size())
	}
	s.Data(c[0], []byte("."))
	if !s.Over() {
		t.Error("goes on")
	}
	for _, w := range x.seen {
		if w == "done" {
			t.Error("the connection is not the inner protocol's to end")
		}
	}
}

func TestUnknown(t *testing.T) {
	var log []string
	s, _, c := start(&log)
	s.Data(c[0], []byte("what"))
	if s.Data(c[1], nil); s.Over() {
		t.Error("one direction may be known yet")
	}
	s.Data(c[1], []byte("ever"))
	if s.Data(c[1], []byte("!ab")); !s.Over() || len(log) > 0 {
		t.Error(log)
	}
	s, _, c = start(&log)
	s.Data(c[0], []byte("what"))
	if s.Data(c[0], make([]byte, 32<<10)); !s.Over() {
		t.Error("waits for a silent side")
	}
}

func TestJoined(t *testing.T) {
	var log []string
	s, _, c := start(&log)
	s.Data(c[0], []byte("what"))
	s.Gap(c[1], 9)
	s.Data(c[1], []byte("?"))
	s.Data(c[1], []byte("!"))
	if got := strings.Join(log, ","); got != "gap >,gap <,! <" {
		t.Error(got)
	}
}
