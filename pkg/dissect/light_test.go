package dissect

import (
	"net/netip"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// TestLight: a flow that is put away between its packets is dissected as one that
// is kept.
func TestLight(t *testing.T) {
	known := &dissector.Protocol{Name: "known", Ports: []uint16{5000}, Datagram: func(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
		if b[0] != 'k' {
			return dissector.No
		}
		c.Emit(&Fact{Kind: "fact"})
		return dissector.Yes
	}}
	mail := &dissector.Protocol{Name: "control", Transport: 89, Message: func(c *dissector.Context, b []byte) dissector.Verdict {
		c.Emit(&Fact{Kind: "fact"})
		return dissector.Yes
	}}
	play := func(light bool, transport proto.Transport, payloads ...string) (facts int, f Flow) {
		e := newEngine(Config{Key: []byte("k"), Emit: func(*Packet, *Fact) { facts++ }}, []*dissector.Protocol{known, mail})
		var l Light
		for _, p := range payloads {
			if light {
				if l.Done() {
					continue
				}
				f = Flow{}
				e.Resume(&f, l)
			}
			h := &packet.Headers{
				SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.2"), SrcPort: 4000, DstPort: 5000,
				Transport: transport, Header: []byte(p), Payload: []byte(p), PayloadLen: len(p),
			}
			if transport != proto.UDP {
				h.Header, h.Payload = h.Payload, h.Payload[:0]
			}
			e.Packet(&Packet{Headers: h, Flow: &f, FromSrc: true})
			var ok bool
			if l, ok = e.Light(&f); !ok {
				t.Fatalf("%q is not light", payloads)
			}
		}
		if light {
			if name := e.Protocol(l); name != "" && (f.Protocol != name || f.By != proto.ByContent) || l.Guessed() != (f.By == proto.ByPort) {
				t.Errorf("%q: protocol %q, guessed %v, of a flow of %q by %q", payloads, name, l.Guessed(), f.Protocol, f.By)
			}
		}
		return facts, f
	}
	for _, tt := range []struct {
		transport proto.Transport
		payloads  []string
	}{
		{proto.UDP, []string{"k", "k", "k"}},
		{proto.UDP, []string{"x", "x", "k", "k"}},
		{proto.UDP, []string{"x", "x", "x", "x", "k"}},
		{proto.UDP, []string{"k", "x", "k"}},
		{89, []string{"k", "x"}},
		{47, []string{"k", "x"}},
	} {
		facts, f := play(false, tt.transport, tt.payloads...)
		lightFacts, lf := play(true, tt.transport, tt.payloads...)
		if facts != lightFacts || f.Protocol != lf.Protocol || f.By != lf.By {
			t.Errorf("%v %q: %d facts, %q by %q; put away %d facts, %q by %q", tt.transport, tt.payloads, facts, f.Protocol, f.By, lightFacts, lf.Protocol, lf.By)
		}
	}
}

// TestNotLight: what cannot be put away.
func TestNotLight(t *testing.T) {
	e := New(Config{Key: []byte("k"), Emit: func(*Packet, *Fact) {}})
	for name, f := range map[string]*Flow{
		"something inside":      {Protocol: "http", By: proto.ByContent, Inner: []string{"fhir"}},
		"announced":             {Protocol: "rtp", By: proto.ByContext},
		"the number of a SYN":   {syn: [2]bool{Dst: true}},
		"a connection":          {conn: &conn{}},
		"a protocol of nowhere": {Protocol: "nowhere", By: proto.ByContent, proto: &dissector.Protocol{Name: "nowhere"}},
	} {
		e.packet = &Packet{Headers: &packet.Headers{}}
		if l, ok := e.Light(f); ok {
			t.Errorf("%s: put away as %x", name, l)
		}
	}
	var f Flow
	f.Opened(Src, 7)
	if l, ok := e.Light(&f); !ok || l != 0 {
		t.Errorf("a flow of which the SYN is known: %x, %v", l, ok)
	}
}
