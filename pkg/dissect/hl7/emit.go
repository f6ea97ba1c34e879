package hl7

import (
	"net"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// emit gives the message's facts away: one about the sender, then one about each
// device. Of an incomplete message the counts of segments would mislead, and
// names could not be compared with a patient who was not read.
func (m *message) emit(c *dissector.Context, complete bool) {
	f := dissector.Fact{Kind: m.kind, Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	switch {
	case !m.whole:
		c.Count("hl7_header_cut")
		if complete {
			f.Kind = "unknown"
			c.Emit(&f)
		}
		return
	case m.kind == "" || m.version == "":
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
	a.Set("charset", m.charset)
	a.Set("ack_code", m.ack)
	if m.ack != "" {
		a.Set("error_code", m.errorCode)
	}
	if complete {
		a.Set("segments", m.tallies())
		m.names(c, a)
	} else {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
	if m.pcd {
		c.Sink.Inner("pcd")
	}
	if m.orders() {
		m.programs(c)
		return
	}
	for i := range m.equipment {
		if f := m.fact(c, &m.equipment[i]); f != nil {
			c.Emit(f)
		}
	}
	m.tell(c)
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
	if len(m.software) == 0 {
		return
	}
	s := &m.software[0] // the sender's own; those that follow handled the message
	m.set(c, a, "vendor", s.vendor)
	m.set(c, a, "product", s.product)
	m.set(c, a, "software_version", s.version)
	m.set(c, a, "build", s.build)
	var list []string
	for _, s := range m.software[1:] {
		list = append(list, strings.Join(strings.Fields(s.vendor+" "+s.product+" "+s.version), " "))
	}
	a.SetList("other_software", m.free(c, list))
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

// holds reports whether a device's identity is a patient's.
func (m *message) holds(c *dissector.Context, e *equipment) bool {
	if m.guard.Holds(e.id) || m.guard.Holds(e.name) {
		c.Count("hl7_identity_withheld")
		return true
	}
	return false
}

// value is what is said of the device, or of its parts.
func (e *equipment) value(q quantity) string {
	if s := e.values[q]; s != "" || int(q) >= len(e.parts) {
		return s
	}
	return e.parts[q]
}

// subject is the device behind the side that speaks for it.
func (e *equipment) subject(gateway dissector.Side) dissector.Subject {
	s := dissector.Subject{Side: dissector.Other, MAC: mac(e.eui64), Equipment: e.id, Gateway: gateway}
	if s.MAC.IsZero() {
		if a, err := net.ParseMAC(e.value(wirelessMAC)); err == nil {
			s.MAC = proto.MAC(a)
		}
	}
	return s
}

// fact makes the fact about a device, nil where its identity is a patient's.
func (m *message) fact(c *dissector.Context, e *equipment) *dissector.Fact {
	if m.holds(c, e) {
		return nil
	}
	f := &dissector.Fact{Kind: "equipment", Subject: e.subject(c.Side)}
	a := &f.Attributes
	a.Set("equipment_id", e.id)
	m.set(c, a, "equipment_name", e.name)
	m.set(c, a, "equipment_namespace", e.namespace)
	m.set(c, a, "equipment_type", e.kind)
	m.set(c, a, "equipment_status", e.status)
	a.Set("eui64", e.eui64)
	m.set(c, a, "location", e.location)
	for q, name := range attributes {
		s := e.value(quantity(q))
		switch {
		case s == "" || name == "":
		case (quantity(q) == condition || quantity(q) == event) && !mechanical(s):
		default:
			m.set(c, a, name, s)
		}
	}
	a.Set("delivering", e.delivering())
	if len(e.channels) > 1 {
		a.Set("channels", strconv.Itoa(len(e.channels)))
	}
	a.SetList("settings", m.free(c, e.settings))
	a.SetList("modules", m.free(c, e.modules))
	return f
}

// delivering says whether a pump's flow is above zero: the current one where it is
// told apart from the programmed one.
func (e *equipment) delivering() string {
	switch {
	case e.values[currentRate] != "":
		return e.values[currentRate]
	case e.values[deliveryStatus] == "delivering", e.values[deliveryStatus] == "kvo":
		return "true"
	case e.values[deliveryStatus] == "not-delivering":
		return "false"
	}
	return e.values[pumpRate]
}

// set adds an attribute unless it repeats a patient's identity.
func (m *message) set(c *dissector.Context, a *proto.Attributes, name, value string) {
	if m.guard.Holds(value) {
		c.Count("hl7_identity_withheld")
		return
	}
	a.Set(name, value)
}

// free gives those of a list that repeat no patient's identity.
func (m *message) free(c *dissector.Context, list []string) []string {
	var out []string
	for _, s := range list {
		if m.guard.Holds(s) {
			c.Count("hl7_identity_withheld")
			continue
		}
		out = append(out, s)
	}
	return out
}
