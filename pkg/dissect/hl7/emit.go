package hl7

import (
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// emit gives the message's facts away: one about the sender, then one about each
// device. Of an incomplete message the counts of segments would mislead.
func (m *message) emit(c *dissector.Context, complete bool) {
	if !m.whole {
		c.Count("hl7_header_cut")
		return
	}
	f := dissector.Fact{Kind: m.kind, Subject: dissector.Subject{Side: c.Side}}
	if f.Kind == "" {
		f.Kind = "unknown"
	}
	a := &f.Attributes
	m.set(c, a, "sending_application", m.sendingApp)
	m.set(c, a, "sending_facility", m.sendingFac)
	m.set(c, a, "receiving_application", m.receivingApp)
	m.set(c, a, "receiving_facility", m.receivingFac)
	a.Set("eui64", m.eui64)
	a.Set("version", m.version)
	a.Set("message_type", m.messageType)
	m.set(c, a, "profile", strings.Join(m.profiles, ","))
	a.Set("ack_code", m.ack)
	m.set(c, a, "vendor", m.vendor)
	m.set(c, a, "product", m.product)
	m.set(c, a, "software_version", m.software)
	if complete {
		a.Set("segments", m.tallies())
	} else {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
	for _, p := range m.profiles {
		if strings.HasPrefix(p, "IHE_PCD") {
			c.Sink.Inner("pcd")
		}
	}
	for i := range m.equipment {
		if f := m.fact(c, &m.equipment[i]); f != nil {
			c.Emit(f)
		}
	}
	if m.more > 0 {
		c.Count("hl7_equipment_skipped")
	}
}

// tallies prints the segments and how many there were of each: "MSH:1,PID:1,OBX:12".
func (m *message) tallies() string {
	var s []byte
	for i, x := range m.counts {
		if i > 0 {
			s = append(s, ',')
		}
		s = append(s, x.id[:]...)
		s = append(s, ':')
		s = strconv.AppendInt(s, int64(x.n), 10)
	}
	return string(s)
}
