package poct1a

import (
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxText    = 64 // bytes of a value that is told
	maxCode    = 32
	maxList    = 32
	maxPending = 8 // messages whose acknowledgement is waited for
)

// stream is one connection: a conversation of a device with its data manager.
type stream struct {
	half    [2]half
	c       *dissector.Context // during a call
	counts  [roots]int
	vendor  int // messages of makers' own kinds
	results [2]int
	refused int
	device  dissector.Side // who of the two is the device; Other while that is not known
	gaps    bool
	ended   [2]bool
}

// half is one direction.
type half struct {
	stream  *stream
	scan    xmlscan.Scanner
	msg     message
	pending [maxPending]pending // what the other side has to acknowledge, a ring
	next    int
	speaker identity // of the device of which this side says something
	several bool     // this side has spoken for one device after another
	acked   bool     // an acknowledgement was told
	status  string   // the last that was told
	request string
}

// identity is what a device is known by. Only its hello names it; what else is said
// on the connection, up to the next hello, is said of it: a dock or a data manager
// speaks for one meter after another.
type identity struct{ manufacturer, model, serial string }

// attributes says whose a device's message is.
func (d *identity) attributes(a *proto.Attributes) {
	if a.Get("role") != roleDevice {
		return
	}
	a.Set("manufacturer", d.manufacturer)
	a.Set("model", d.model)
	a.Set("serial", d.serial)
}

// greets takes a hello in.
func (h *half) greets(m *message) {
	d := identity{m.device[manufacturer], m.device[modelID], m.device[serialID]}
	if h.speaker != d {
		h.several = h.several || h.speaker != identity{}
		h.speaker, h.status = d, ""
	}
}

// pending is a message that tells a device to do something.
type pending struct {
	id            uint64 // hash of its control id
	kind, command string
}

func newStream() *stream {
	s := &stream{device: dissector.Other}
	for i := range s.half {
		s.half[i].stream = s
		s.half[i].scan.Vocabulary = vocabulary
	}
	return s
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.c = c
	h := &s.half[c.Side&1]
	h.scan.Write(h, b)
	s.c = nil
}

// Gap ends the message in hand; the next is found by its first element.
func (s *stream) Gap(c *dissector.Context, _ int64) {
	s.c, s.gaps = c, true
	h := &s.half[c.Side&1]
	h.scan.Lost(h)
	if h.several { // the hello of the next may be in what is lost
		h.speaker = identity{}
	}
	s.c = nil
}

// End sums the conversation up when both directions are over.
func (s *stream) End(c *dissector.Context) {
	s.c = c
	h := &s.half[c.Side&1]
	h.scan.Close(h)
	s.ended[c.Side&1] = true
	if s.ended[1-c.Side&1] {
		s.session(c)
	}
	s.c = nil
}

// Size is the bytes that are kept.
func (s *stream) Size() int { return 4096 + s.half[0].scan.Size() + s.half[1].scan.Size() }

// Start reads the attributes of an element that means something where it stands.
func (h *half) Start(s *xmlscan.Scanner) {
	if s.Depth() == 1 {
		h.msg = message{}
		if isRoot(s.Name(), s.Local()) {
			h.msg.begin(s.Name(), s.Local())
		}
		return
	}
	if h.msg.open {
		h.msg.element(s)
	}
}

// End ends a message with its element.
func (h *half) End(s *xmlscan.Scanner) {
	if s.Depth() == 1 && h.msg.open {
		h.finish(true)
	}
}

// Broken tells what was read of a message without end.
func (h *half) Broken() {
	if h.msg.open {
		h.stream.c.Count("poct1a_incomplete")
		h.finish(false)
	}
}

func (h *half) finish(complete bool) {
	st, c, m := h.stream, h.stream.c, &h.msg
	m.open = false
	if m.kind == other {
		st.vendor++
	} else {
		st.counts[m.kind]++
	}
	st.known(c.Side, m)
	switch m.kind {
	case hel:
		h.greets(m)
	case obs1:
		st.results[0] += m.results
	case obs2:
		st.results[1] += m.results
	case ack:
		h.acknowledge(c, complete)
		return
	}
	if m.directs() && m.control != 0 {
		h.pending[h.next] = pending{m.control, m.name(), m.command}
		h.next = (h.next + 1) % maxPending
	}
	if h.news() {
		f := dissector.Fact{Kind: m.name(), Subject: dissector.Subject{Side: c.Side}}
		m.attributes(&f.Attributes, complete)
		if m.kind != hel {
			h.speaker.attributes(&f.Attributes)
		}
		c.Emit(&f)
	}
}

// news reports whether a message says what was not said before: states and
// requests are repeated all day.
func (h *half) news() bool {
	m := &h.msg
	switch m.kind {
	case eot, kpa:
		return false
	case dst:
		status := m.state + " " + m.newObservations + " " + m.newEvents
		old := h.status
		h.status = status
		return status != old
	case req:
		old := h.request
		h.request = m.request
		return m.request != old
	}
	return true
}

// acknowledge tells of an acknowledgement of what a device was told to do, of one
// that refuses, and of the first: it shows who listens.
func (h *half) acknowledge(c *dissector.Context, complete bool) {
	m := &h.msg
	var of pending
	other := &h.stream.half[1-c.Side&1]
	for i := range other.pending {
		if p := &other.pending[i]; p.id != 0 && p.id == m.acknowledged {
			of, *p = *p, pending{}
		}
	}
	if m.ack != "AA" {
		h.stream.refused++
	}
	if of.id == 0 && m.ack == "AA" && h.acked {
		return
	}
	h.acked = true
	f := dissector.Fact{Kind: kinds[ack], Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", h.stream.roleOf(c.Side))
	a.Set("ack_code", m.ack)
	a.Set("acknowledges", of.kind)
	a.Set("command", of.command)
	h.speaker.attributes(a)
	if !complete {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}

// known finds out who of the two is the device.
func (s *stream) known(side dissector.Side, m *message) {
	switch m.role() {
	case roleDevice:
		s.device = side
	case roleManager:
		s.device = side.Peer()
	}
}

func (s *stream) roleOf(side dissector.Side) string {
	switch s.device {
	case dissector.Other:
		return ""
	case side:
		return roleDevice
	}
	return roleManager
}

// session sums up, where the connection was closed: of one that nobody heard of any
// more it cannot be said what it came to.
func (s *stream) session(c *dissector.Context) {
	if s.device == dissector.Other || c.Headers.TCPFlags&(packet.FIN|packet.RST) == 0 {
		return
	}
	var list []string
	total := s.vendor
	for i, n := range s.counts {
		if n > 0 {
			list = append(list, kinds[i]+":"+strconv.Itoa(n))
			total += n
		}
	}
	if s.vendor > 0 {
		list = append(list, kindVendor+":"+strconv.Itoa(s.vendor))
	}
	if total < 2 {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.device}}
	a := &f.Attributes
	a.Set("role", roleDevice)
	a.SetList("messages", list)
	a.Set("observations", count(s.results[0]))
	a.Set("control_observations", count(s.results[1]))
	a.Set("refused", count(s.refused))
	if h := &s.half[s.device&1]; !h.several { // else it is nobody's in particular
		h.speaker.attributes(a)
	}
	if s.gaps {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}

// count is a number, "" for 0.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func hash(v []byte) uint64 {
	if len(v) == 0 {
		return 0
	}
	return max(1, xxhash.Sum64(v))
}
