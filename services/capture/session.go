package capture

import (
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/slab"
	"github.com/wardflow/wardflow/proto"
)

// sessions are what the Processor keeps of flows. A flow has nothing here until
// its dissectors have something to keep, or until a part of it has been sent
// while it goes on: a scan, or a host that nobody answers, costs the table's
// entry and no more. The entry's App says what there is:
//
//	0           nothing
//	ends | ref  of a flow without session, who its ends are
//	ref         a session, which may name the ends in turn
//
// and its Light is the dissectors' of a flow without session.
type sessions struct {
	flows slab.Slab[session]
	ends  slab.Slab[[2]end]
}

// session is what the dissectors keep of a flow.
type session struct {
	dissect.Flow
	ends slab.Ref // as the first part was sent: later ones stay on its lanes
}

// endsOnly marks an App that names no session.
const endsOnly uint32 = 1 << 31

// of gives a flow's session, nil for none.
func (s *sessions) of(e *flow.Entry) *session {
	if e.App == 0 || e.App&endsOnly != 0 {
		return nil
	}
	return s.flows.At(slab.Ref(e.App))
}

// open makes the session of a flow that has none.
func (p *Processor) open(e *flow.Entry) *session {
	s := &p.kept
	r, v := s.flows.Alloc()
	p.engine.Resume(&v.Flow, dissect.Light(e.Light))
	if isn, known := e.ISN(); known {
		v.Opened(dissect.Src, isn)
	}
	if e.App != 0 {
		v.ends = slab.Ref(e.App &^ endsOnly)
	}
	e.App, e.Light = uint32(r), 0
	return v
}

// settle gives a session back where the flow's Light can hold what it holds.
func (p *Processor) settle(e *flow.Entry, v *session) {
	light, ok := p.engine.Light(&v.Flow)
	if !ok {
		return
	}
	r := slab.Ref(e.App)
	e.App, e.Light = 0, uint16(light)
	if v.ends != 0 {
		e.App = endsOnly | uint32(v.ends)
	}
	p.kept.flows.Release(r)
}

// muted reports that the dissectors get no more of a flow.
func muted(e *flow.Entry) bool { return dissect.Light(e.Light)&dissect.LightMark != 0 }

// endsOf gives who the ends of a flow are by the parts of it that were sent; nil
// before there are any.
func (s *sessions) endsOf(e *flow.Entry) *[2]end {
	r := slab.Ref(e.App &^ endsOnly)
	if v := s.of(e); v != nil {
		r = v.ends
	}
	if r == 0 {
		return nil
	}
	return s.ends.At(r)
}

// keepEnds remembers who the ends of a flow are.
func (s *sessions) keepEnds(e *flow.Entry, ends [2]end) {
	r, v := s.ends.Alloc()
	*v = ends
	if of := s.of(e); of != nil {
		of.ends = r
	} else {
		e.App = endsOnly | uint32(r)
	}
}

// release gives back what a flow that has ended had.
func (s *sessions) release(e *flow.Entry) {
	r := slab.Ref(e.App &^ endsOnly)
	if v := s.of(e); v != nil {
		ends := v.ends
		s.flows.Release(r)
		r = ends
	}
	if r != 0 {
		s.ends.Release(r)
	}
	e.App = 0
}

// carries reports that a packet of a flow without session has something for the
// dissectors: payload, or the number of a SYN that the table's entry does not
// have.
func carries(e *flow.Entry, h *packet.Headers, fromSrc bool) bool {
	switch h.Transport {
	case proto.TCP:
		syn := h.TCPFlags & (packet.SYN | packet.ACK)
		return h.PayloadLen > 0 || syn == packet.SYN|packet.ACK || (syn == packet.SYN && !fromSrc)
	case proto.UDP:
		return len(h.Payload) > 0
	}
	return true
}
