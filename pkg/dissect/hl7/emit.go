package hl7

import (
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// emit gives the message's facts away: one about the sender, then one about each
// device. Of an incomplete message the counts of segments would mislead, and
// names could not be compared with a patient who was not read.
func (m *message) emit(c *dissector.Context, complete bool) {
	if !m.whole {
		c.Count("hl7_header_cut")
		return
	}
	f := dissector.Fact{Kind: m.kind, Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	if m.kind == "" || m.version == "" {
		// Both are required (HL7 v2.9 2.14.9). Without them this may be the
		// header of one message run into the patient of another.
		c.Count("hl7_header_implausible")
		f.Kind = "unknown"
		c.Emit(&f)
		return
	}
	a.Set("eui64", m.eui64)
	a.Set("version", m.version)
	a.Set("message_type", m.messageType)
	a.Set("ack_code", m.ack)
	if complete {
		a.Set("segments", m.tallies())
		m.names(c, a)
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

// names adds what is free text of MSH and SFT.
func (m *message) names(c *dissector.Context, a *proto.Attributes) {
	m.set(c, a, "sending_application", m.sendingApp)
	m.set(c, a, "sending_facility", m.sendingFac)
	m.set(c, a, "receiving_application", m.receivingApp)
	m.set(c, a, "receiving_facility", m.receivingFac)
	m.set(c, a, "profile", strings.Join(m.profiles, ","))
	m.set(c, a, "vendor", m.vendor)
	m.set(c, a, "product", m.product)
	m.set(c, a, "software_version", m.software)
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
