// Package tunnel reads what a proxy passes on, once it has granted a connection:
// behind HTTP's CONNECT and behind SOCKS.
//
// Here live the recognition of the protocol inside and the one rule of whom its
// facts are about. What comes from the proxy's side was said by somebody beyond it,
// who has no address in this capture. Told of that side of the flow it would make
// the proxy a web server, with the names and certificates of all that is reached
// through it; so such a fact is about nobody (dissector.Other, without an address),
// and only the flow leads to it. What comes from the client's side is the client's
// own, as without a proxy. Facts of both have the attribute `via`.
package tunnel

import (
	"net/netip"
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxTries  = 4        // pieces of a direction that are tried after a gap
	maxSilent = 32 << 10 // bytes of an unknown direction after which the other one is not waited for
)

// Stream is what goes through one connection's proxy.
type Stream struct {
	via    string
	proxy  dissector.Side
	inside []*dissector.Protocol
	half   [2]half
	inner  dissector.Stream // nil while not recognised
	name   string           // of its protocol
	over   bool

	outer dissector.Sink // during a call
	ctx   dissector.Context
}

// half is one direction before the protocol is known.
type half struct {
	prefix    []byte // kept while somebody wants more
	bytes     int    // that went by
	tries     int
	refused   bool
	midstream bool
}

// New makes the dissector of what goes through a proxy. proxy is its side of the
// flow, inside are the protocols that are looked for, and via is how it was asked.
// Without a proxy (dissector.Other, and "") both ends speak for themselves: what one
// protocol carries of another, and may go on behind it.
func New(via string, proxy dissector.Side, inside ...*dissector.Protocol) *Stream {
	return &Stream{via: via, proxy: proxy, inside: inside}
}

// Over reports that the rest of the connection has nothing of interest.
func (s *Stream) Over() bool { return s.over }

// Data recognises or dissects the next bytes of a direction.
func (s *Stream) Data(c *dissector.Context, b []byte) {
	switch {
	case s.over || len(b) == 0:
	case s.inner != nil:
		s.feed(c, c.Side, b)
	default:
		s.try(c, b)
	}
}

// try looks for a protocol that knows the first bytes of a direction.
func (s *Stream) try(c *dissector.Context, b []byte) {
	h := &s.half[c.Side&1]
	h.bytes = min(h.bytes+len(b), maxSilent)
	if !h.refused {
		prefix := b[:min(len(b), dissector.MaxPrefix)]
		if len(h.prefix) > 0 {
			prefix = slices.Concat(h.prefix, b[:min(len(b), dissector.MaxPrefix-len(h.prefix))])
		}
		more := false
		for _, p := range s.inside {
			switch p.Recognise(prefix, h.midstream) {
			case dissector.Yes:
				s.begin(c, p, b)
				return
			case dissector.More:
				more = true
			}
		}
		if more && len(prefix) < dissector.MaxPrefix {
			h.prefix = slices.Clone(prefix)
			return
		}
		h.prefix = nil
		h.tries++
		h.refused = !h.midstream || h.tries >= maxTries
	}
	s.over = h.refused && (h.bytes == maxSilent || s.half[1-c.Side&1].refused)
}

// begin starts the dissector with the bytes that were kept. Before them it learns
// which directions it joins at an unknown place.
func (s *Stream) begin(c *dissector.Context, p *dissector.Protocol, b []byte) {
	s.inner, s.name = p.NewStream(), p.Name
	c.Sink.Inner(p.Name)
	for side := range dissector.Other {
		h := &s.half[side]
		if own := side == c.Side&1; own && h.midstream || !own && (h.refused || h.midstream) {
			s.gap(c, side, -1)
		}
	}
	for side := range dissector.Other {
		s.feed(c, side, s.half[side].prefix)
		s.half[side].prefix = nil
		if side == c.Side&1 {
			s.feed(c, side, b)
		}
	}
}

// enter makes the context that the protocol inside is called with.
func (s *Stream) enter(c *dissector.Context, side dissector.Side) *dissector.Context {
	s.outer, s.ctx = c.Sink, *c
	s.ctx.Side, s.ctx.Sink = side, (*sink)(s)
	return &s.ctx
}

// leave forgets it: a context is not kept.
func (s *Stream) leave() { s.outer, s.ctx = nil, dissector.Context{} }

func (s *Stream) feed(c *dissector.Context, side dissector.Side, b []byte) {
	if len(b) > 0 && !s.over {
		s.inner.Data(s.enter(c, side), b)
		s.leave()
	}
}

func (s *Stream) gap(c *dissector.Context, side dissector.Side, n int64) {
	s.inner.Gap(s.enter(c, side), n)
	s.leave()
}

// Gap tells the protocol inside, or starts the recognition anew in what follows.
func (s *Stream) Gap(c *dissector.Context, n int64) {
	switch {
	case s.over:
	case s.inner != nil:
		s.gap(c, c.Side, n)
	default:
		h := &s.half[c.Side&1]
		h.prefix, h.midstream, h.refused = nil, true, h.tries >= maxTries
	}
}

// End tells the protocol inside.
func (s *Stream) End(c *dissector.Context) {
	if s.inner != nil && !s.over {
		s.inner.End(s.enter(c, c.Side))
		s.leave()
	}
}

// Size is about the bytes that are kept.
func (s *Stream) Size() int {
	n := 256 + cap(s.half[0].prefix) + cap(s.half[1].prefix)
	if s.inner != nil {
		n += s.inner.Size()
	}
	return n
}

// sink is the stream as the protocol inside sees it.
type sink Stream

// Emit says of a fact of the far side that it is about nobody here. An address that
// the protocol names is one of the network beyond the proxy, and goes too; MACs and
// ids of equipment are the same everywhere.
func (s *sink) Emit(f *dissector.Fact) {
	if f.Protocol == "" {
		f.Protocol = s.name
	}
	if s.proxy == dissector.Other {
		s.outer.Emit(f)
		return
	}
	who := &f.Subject
	if who.Side == s.proxy {
		who.Side = dissector.Other
	}
	if who.Side == dissector.Other {
		who.IP = netip.Addr{}
	}
	if who.Equipment != "" && who.Gateway == s.proxy {
		who.Gateway = dissector.Other
	}
	f.Attributes.Set("via", s.via)
	s.outer.Emit(f)
}

func (s *sink) Count(name string) { s.outer.Count(name) }

func (s *sink) Inner(name string) { s.outer.Inner(name) }

// Expect forgets an announced flow: it would begin beyond the proxy.
func (s *sink) Expect(proto.Transport, netip.AddrPort, string) {}

// Done is for whoever has the connection, who may have something to tell yet.
func (s *sink) Done() { s.over = true }
