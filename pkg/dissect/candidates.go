package dissect

import (
	"net/netip"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// candidates are the protocols that may know a flow. Those at home on one of its
// ports are asked first, so that the common case is the quick one; the ports decide
// nothing else.
type candidates struct {
	list     []*dissector.Protocol
	anywhere []*dissector.Protocol // those that are asked whatever the ports
	byPort   map[uint16]*home
}

// home is a port: its protocols, then all others that are asked anywhere.
type home struct {
	own   []*dissector.Protocol
	order []*dissector.Protocol
}

func newCandidates(list []*dissector.Protocol) candidates {
	c := candidates{list: list, byPort: map[uint16]*home{}}
	for _, p := range list {
		if !p.AtHome {
			c.anywhere = append(c.anywhere, p)
		}
		for _, port := range p.Ports {
			if c.byPort[port] == nil {
				c.byPort[port] = &home{}
			}
			c.byPort[port].own = append(c.byPort[port].own, p)
		}
	}
	for _, h := range c.byPort {
		h.order = h.then(nil, c.anywhere)
	}
	return c
}

// then appends the port's own protocols, and of a list those that are not among them.
func (h *home) then(b, list []*dissector.Protocol) []*dissector.Protocol {
	b = append(b, h.own...)
	for _, p := range list {
		if !among(h.own, p) {
			b = append(b, p)
		}
	}
	return b
}

// of gives every candidate once, those of the packet's ports first. The list may lie in
// room, and is then valid until the next call.
func (c *candidates) of(h *packet.Headers, room *[]*dissector.Protocol) []*dissector.Protocol {
	dst, src := c.byPort[h.DstPort], c.byPort[h.SrcPort]
	switch {
	case dst == nil && src == nil:
		return c.anywhere
	case src == nil || src == dst:
		return dst.order
	case dst == nil:
		return src.order
	}
	*room = dst.then((*room)[:0], src.order)
	return *room
}

func among(list []*dissector.Protocol, p *dissector.Protocol) bool {
	for _, q := range list {
		if q == p {
			return true
		}
	}
	return false
}

// The bounds of what is expected.
const (
	maxExpected = 1 << 14
	expectFor   = 5 * 60 * 1e9 // nanoseconds of event time
)

// expectations are the ends of flows that other flows have announced.
type expectations struct {
	ends  map[expectedEnd]expectedFlow
	order []expectedEnd // oldest first from next on
	next  int
}

type expectedEnd struct {
	end       netip.AddrPort
	transport proto.Transport
}

type expectedFlow struct {
	name  string
	until proto.Time
}

func (x *expectations) add(k expectedEnd, v expectedFlow) {
	if x.ends == nil {
		x.ends = map[expectedEnd]expectedFlow{}
	}
	if _, known := x.ends[k]; !known {
		if len(x.order) < maxExpected {
			x.order = append(x.order, k)
		} else {
			delete(x.ends, x.order[x.next])
			x.order[x.next] = k
			x.next = (x.next + 1) % maxExpected
		}
	}
	x.ends[k] = v
}

// Expect remembers an announced flow.
func (s *sink) Expect(t proto.Transport, end netip.AddrPort, name string) {
	if !end.IsValid() || end.Port() == 0 {
		return
	}
	end = netip.AddrPortFrom(end.Addr().Unmap(), end.Port())
	s.expected.add(expectedEnd{end: end, transport: t}, expectedFlow{name: name, until: s.packet.Headers.Time + expectFor})
}

// foresee labels a flow at its first payload when another flow has announced it.
func (e *Engine) foresee(p *Packet) {
	if len(e.expected.ends) == 0 || p.Flow.Protocol != "" {
		return
	}
	h := p.Headers
	for _, end := range [...]netip.AddrPort{netip.AddrPortFrom(h.DstIP, h.DstPort), netip.AddrPortFrom(h.SrcIP, h.SrcPort)} {
		x, known := e.expected.ends[expectedEnd{end: end, transport: h.Transport}]
		if !known || h.Time > x.until {
			continue
		}
		p.Flow.Protocol, p.Flow.By = x.name, proto.ByContext
		if h.Transport != proto.UDP {
			return
		}
		for _, own := range e.datagrams.list {
			if own.Name == x.name {
				p.Flow.proto = own
			}
		}
		return
	}
}
