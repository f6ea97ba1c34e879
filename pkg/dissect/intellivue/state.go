package intellivue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	roleMonitor = "monitor"
	roleClient  = "client"

	repeatAfter = 10 * 60 * 1e9 // nanoseconds; how long a state that goes on is not told again
	maxTold     = 64            // association messages and settings of a flow that are told
)

// state is what is kept of a flow.
type state struct {
	monitor  dissector.Side // Other while not known
	told     map[string]string
	toldAt   map[string]proto.Time
	messages int
	polls    int // requests
	results  int
	errors   int
	first    proto.Time // of the results
	last     proto.Time
	exports  []string
}

func newState() *state {
	return &state{monitor: dissector.Other, told: map[string]string{}, toldAt: map[string]proto.Time{}}
}

// Size is about how many bytes are kept.
func (s *state) Size() int { return 1536 }

// news reports whether what a kind of fact says was not said last, or long ago where
// it is said again.
func (s *state) news(c *dissector.Context, kind string, a proto.Attributes, again bool) bool {
	var b strings.Builder
	for _, x := range a {
		_, _ = fmt.Fprintf(&b, "%s=%s%v|", x.Name, x.Value, x.List)
	}
	text, now := b.String(), c.Headers.Time
	if s.told[kind] == text && (!again || now-s.toldAt[kind] < repeatAfter) {
		return false
	}
	s.told[kind], s.toldAt[kind] = text, now
	return true
}

// association tells of a message of association control, and from whom it is.
func (s *state) association(c *dissector.Context, m *message) {
	switch m.session {
	case spduConnect:
		s.monitor = c.Side.Peer()
	case spduAccept, spduRefuse:
		s.monitor = c.Side
	}
	if s.messages++; s.messages > maxTold {
		c.Count("intellivue_messages_skipped")
		return
	}
	f := dissector.Fact{Kind: associations[m.session], Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", s.roleOf(c))
	if m.session == spduConnect || m.session == spduAccept {
		userInformation(a, m.body)
	}
	c.Emit(&f)
}

// roleOf is the sender's, as far as it is known; at the monitor's port sits the
// monitor.
func (s *state) roleOf(c *dissector.Context) string {
	h := c.Headers
	switch {
	case s.monitor == c.Side, s.monitor == dissector.Other && h.SrcPort == 24105 && h.DstPort != 24105:
		return roleMonitor
	case s.monitor == c.Side.Peer(), s.monitor == dissector.Other && h.DstPort == 24105:
		return roleClient
	}
	return ""
}

// userData begins the user's information in the presentation layer, of a connect and
// of an accept: two forms of the end of the same header.
var userData = [][]byte{{0x28, 0x80, 0x06, 0x0c}, {0x28, 0x80, 0x02, 0x01, 0x02, 0x81}, {0x28, 0x80, 0x81}}

// userInformation reads the versions, and how the client starts: protocol version,
// nomenclature version, functional units, system type and start-up mode.
func userInformation(a *proto.Attributes, b []byte) {
	for i, mark := range userData {
		at := bytes.Index(b, mark)
		if at < 0 {
			continue
		}
		b := b[at+len(mark):]
		if i == 0 { // an object id of 12 bytes, then the context, then the data
			if len(b) < 17 {
				return
			}
			b = b[16:]
		}
		if len(b) > 3 && b[0] == 0xff {
			b = b[2:]
		}
		if len(b) < 21 {
			return
		}
		b = b[1:] // the length
		if binary.BigEndian.Uint32(b) == 0x80000000 {
			a.Set("protocol_version", "1")
		}
		a.Set("start_mode", starts[binary.BigEndian.Uint32(b[16:])])
		return
	}
}

// data takes a remote operation.
func (s *state) data(c *dissector.Context, m *message) {
	switch {
	case m.connect:
		s.connectIndication(c, m.body)
	case m.op == opError:
		s.errors++
	case m.op == opInvoke:
		s.invoked(c, m)
	case m.command == cmdAction:
		s.monitor = c.Side
		s.result(c, m)
	}
}

// invoked takes what one side asks of the other.
func (s *state) invoked(c *dissector.Context, m *message) {
	b := m.body
	switch m.command {
	case cmdEvent, cmdConfirmedEvent: // object class and id, time, event, length
		if len(b) < 14 || binary.BigEndian.Uint16(b[10:]) != eventMDS {
			return
		}
		s.monitor = c.Side
		if b = b[14:]; len(b) > 6 {
			s.system(c, "mds_create", b[6:], false)
		}
	case cmdAction:
		s.monitor = c.Side.Peer()
		s.polls++
	case cmdSet, cmdConfirmedSet:
		s.monitor = c.Side.Peer()
		if s.messages++; s.messages > maxTold {
			c.Count("intellivue_messages_skipped")
			return
		}
		f := dissector.Fact{Kind: "set", Subject: dissector.Subject{Side: c.Side}}
		f.Attributes.Set("role", roleClient)
		c.Emit(&f)
	case cmdGet:
		s.monitor = c.Side.Peer()
	}
}

// connectIndication tells who broadcasts.
func (s *state) connectIndication(c *dissector.Context, b []byte) {
	s.monitor = c.Side
	s.system(c, "connect_indication", b[14:], false)
}

// system tells of the attributes of a monitor.
func (s *state) system(c *dissector.Context, kind string, b []byte, again bool) {
	var x system
	if !list(b, x.attribute) {
		c.Count("intellivue_attributes_cut")
	}
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	if x.ip == c.Headers.SrcIP.Unmap() && x.ip.IsValid() && x.mac[0]&3 == 0 {
		f.Subject.MAC = x.mac // also behind a router
	}
	a := &f.Attributes
	a.Set("role", roleMonitor)
	x.attributes(c, a)
	if s.news(c, kind, *a, again) {
		c.Emit(&f)
	}
}

// number is a count as text.
func number(n int) string { return strconv.Itoa(n) }

// End sums a flow up.
func (s *state) End(c *dissector.Context) {
	if s.monitor == dissector.Other || s.polls+s.results+s.errors == 0 {
		return
	}
	f := dissector.Fact{Kind: "session", Subject: dissector.Subject{Side: s.monitor}}
	a := &f.Attributes
	a.Set("role", roleMonitor)
	a.Set("polls", number(s.polls))
	a.Set("results", number(s.results))
	if s.errors > 0 {
		a.Set("errors", number(s.errors))
	}
	if s.results > 1 {
		a.Set("interval_s", number(int(s.last-s.first)/(s.results-1)/1e9))
	}
	slices.Sort(s.exports)
	a.SetList("exports", s.exports)
	c.Emit(&f)
}
