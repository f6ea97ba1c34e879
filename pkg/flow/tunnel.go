package flow

import (
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// tunnels knows the outer headers of the flows that came in some. It stands beside
// the entries, which are many and mostly without. What they have is shared: a
// tunnel carries many flows, and each is kept while one of them lives.
type tunnels struct {
	of    map[*Entry]*outer
	known map[outerKey]*outer
}

// outerKey is the outer headers of a packet, outermost first.
type outerKey [packet.MaxTunnels]packet.Tunnel

// outer is how flows tell of their outer headers.
type outer struct {
	key   outerKey
	text  proto.Strings
	flows int
}

// begin notes the outer headers of a new flow, those of the packet that began it,
// turned so that they lead from the flow's source to its destination. The numbers
// stay those of that packet: some tunnels have others the other way.
func (t *tunnels) begin(e *Entry, h *packet.Headers, turned bool) {
	if h.NTunnels == 0 {
		return
	}
	var k outerKey
	for i := range k[:h.NTunnels] {
		k[i] = h.Tunnels[i]
		if turned {
			k[i].SrcIP, k[i].DstIP = k[i].DstIP, k[i].SrcIP
		}
	}
	if t.of == nil {
		t.of, t.known = map[*Entry]*outer{}, map[outerKey]*outer{}
	}
	o := t.known[k]
	if o == nil {
		o = &outer{key: k}
		for i := range k[:h.NTunnels] {
			o.text = append(o.text, k[i].String())
		}
		t.known[k] = o
	}
	o.flows++
	t.of[e] = o
}

// text is what the flow's records say; it is shared, and never changed.
func (t *tunnels) text(e *Entry) proto.Strings {
	if o := t.of[e]; o != nil {
		return o.text
	}
	return nil
}

// ended forgets the flow, and with the last one in it the tunnel.
func (t *tunnels) ended(e *Entry) {
	o := t.of[e]
	if o == nil {
		return
	}
	delete(t.of, e)
	if o.flows--; o.flows == 0 {
		delete(t.known, o.key)
	}
}
