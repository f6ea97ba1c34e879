package sdc

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// repeatAfter is how long a state that goes on is not told again.
const repeatAfter = 10 * 60 * 1e9 // nanoseconds

// tell says what a message says.
func (r *reader) tell(c *dissector.Context, m *soapMessage) {
	if m.kind != fault && m.kind != metadata && m.kind != subscribe && m.kind != subscriptionEnd || slices.Contains(m.types, "mdpws:MedicalDevice") {
		r.sdc = true
		c.Sink.Inner("sdc")
	}
	if m.broken {
		c.Count("sdc_incomplete")
	}
	switch m.kind {
	case fault:
		r.faults++
	case metadata:
		r.describe(c, m)
	case subscribe:
		r.subscribed(c, m)
	case subscriptionEnd:
		if !r.sdc {
			return // printers have it too
		}
		r.provider = c.Side
		r.emit(c, "subscription_end", roleProvider, nil)
	case operation:
		r.provider = c.Side.Peer()
		r.emit(c, "operation", roleConsumer, func(a *proto.Attributes) { a.Set("operation", operations[m.name]) })
	case operationResponse:
		r.provider = c.Side
		r.emit(c, "operation_response", roleProvider, func(a *proto.Attributes) {
			a.Set("operation", operations[strings.TrimSuffix(m.name, "Response")])
			a.Set("outcome", m.outcome)
		})
	case invoked:
		r.provider = c.Side
		r.counts[m.name]++
	case report:
		r.provider = c.Side
		r.counts[m.name]++
		r.states(c, m)
	case message:
		r.message(c, m)
	}
}

func (r *reader) message(c *dissector.Context, m *soapMessage) {
	if requests[m.name] {
		r.provider = c.Side.Peer()
		if !r.greeted {
			r.greeted = true
			r.emit(c, "request", roleConsumer, nil)
		}
		return
	}
	r.provider = c.Side
	if m.mds > 0 {
		r.mdib(c, m)
		return
	}
	r.states(c, m)
}

// emit gives a fact of SDC away.
func (r *reader) emit(c *dissector.Context, kind, role string, fill func(*proto.Attributes)) {
	f := dissector.Fact{Protocol: "sdc", Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", role)
	if fill != nil {
		fill(&f.Attributes)
	}
	c.Emit(&f)
}

// describe tells of a device's metadata: of SDC, or, as printers and Windows hosts
// have it too, of WS-Discovery's device.
func (r *reader) describe(c *dissector.Context, m *soapMessage) {
	medical := slices.Contains(m.types, "mdpws:MedicalDevice") || slices.ContainsFunc(m.hosted, func(s string) bool { return strings.HasPrefix(s, "sdc:") })
	d := &m.device
	if medical {
		r.provider = c.Side
	}
	if *d == (device{}) && m.computer == "" {
		return // of one service
	}
	f := dissector.Fact{Protocol: "ws_discovery", Kind: "metadata", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	if medical {
		f.Protocol = "sdc"
		a.Set("role", roleProvider)
	}
	if slices.Contains(m.types, "pub:Computer") {
		a.Set("os", "Windows") // what it says of its maker and model is of the service
	} else {
		m.identity(c, a)
	}
	a.Set("device_uid", uuid(m.uid))
	a.SetList("types", m.types)
	a.SetList("hosted_types", m.hosted)
	name, domain, _ := strings.Cut(m.computer, "/") // "PC-7/Workgroup:WORKGROUP"
	a.Set("computer_name", host15(name))
	if _, domain, ok := strings.Cut(domain, ":"); ok {
		a.Set("netbios_domain", host15(domain))
	}
	m.incomplete(a)
	c.Emit(&f)
}

func (m *soapMessage) incomplete(a *proto.Attributes) {
	if m.broken {
		a.Set("incomplete", "true")
	}
}

// uuid is an id of the usual form.
func uuid(s string) string {
	if s = strings.ToLower(s); len(s) != 36 || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}

// host15 is a name of a computer or a domain.
func host15(s string) string {
	if len(s) > 63 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return ""
	}
	return s
}

// identity says who a device is, unless that repeats a person's identity.
func (m *soapMessage) identity(c *dissector.Context, a *proto.Attributes) {
	d := &m.device
	for _, x := range [...]struct{ name, value string }{
		{"udi", d.udi},
		{"manufacturer", d.manufacturer},
		{"model", d.model},
		{"model_number", d.number},
		{"serial", d.serial},
		{"hardware_version", d.hardware},
		{"software_version", d.software},
		{"firmware_version", d.firmware},
	} {
		m.set(c, a, x.name, x.value)
	}
	a.Set("equipment_type", d.kind)
}

func (m *soapMessage) set(c *dissector.Context, a *proto.Attributes, name, value string) {
	if value != "" && m.guard.Holds(value) {
		c.Count("sdc_identity_withheld")
		return
	}
	a.Set(name, value)
}

// mdib tells of a whole description with its states. Where its end, and with it
// perhaps the patient, was not read, free text stays.
func (r *reader) mdib(c *dissector.Context, m *soapMessage) {
	if m.broken {
		m.guard.Fill()
	}
	r.emit(c, "mdib", roleProvider, func(a *proto.Attributes) {
		m.identity(c, a)
		if m.mds > 1 {
			a.Set("mds", strconv.Itoa(m.mds))
		}
		m.situation(c, a)
		m.incomplete(a)
	})
	r.toldAt, r.told = int64(c.Headers.Time), ""
}

// situation says in which state a device is, and where.
func (m *soapMessage) situation(c *dissector.Context, a *proto.Attributes) {
	a.Set("state", m.state)
	a.Set("mode", m.mode)
	a.Set("battery", m.battery)
	a.Set("patient_context", m.patient)
	if !m.placed {
		return
	}
	var where proto.Attributes
	m.place.attributes(&where)
	for _, x := range where {
		m.set(c, a, x.Name, x.Value)
	}
}

// states tells of a report's states that are news, and whether values are measured:
// at a change, and now and then while that goes on.
func (r *reader) states(c *dissector.Context, m *soapMessage) {
	if m.broken {
		return
	}
	if strings.HasSuffix(m.name, "MetricReport") || m.name == "WaveformStream" || m.name == "GetMdStateResponse" {
		r.measuring(m.values > 0)
	}
	f := dissector.Fact{Protocol: "sdc", Kind: "state", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", roleProvider)
	m.situation(c, a)
	own := len(*a) > 1
	text := r.measures
	if own {
		for _, x := range *a {
			text += "|" + x.Name + "=" + x.Value
		}
	}
	now := int64(c.Headers.Time)
	if !own && r.measures == "" || text == r.told && now-r.toldAt < repeatAfter {
		return
	}
	if !own && strings.HasPrefix(r.told, r.measures+"|") && now-r.toldAt < repeatAfter {
		return // told with another state
	}
	r.told, r.toldAt = text, now
	a.Set("measuring", r.measures)
	c.Emit(&f)
}

// measuring notes whether a report has values. One without may be about a setting.
func (r *reader) measuring(values bool) {
	if values {
		r.measures, r.empty = "true", 0
		return
	}
	if r.empty++; r.measures == "" || r.empty >= 3 {
		r.measures = "false"
	}
}

// subscribed tells which reports a consumer wants, once.
func (r *reader) subscribed(c *dissector.Context, m *soapMessage) {
	if len(m.reports) == 0 {
		return
	}
	r.sdc = true
	c.Sink.Inner("sdc")
	r.provider = c.Side.Peer()
	slices.Sort(m.reports)
	key := strings.Join(m.reports, " ")
	if r.asked[key] || len(r.asked) == maxList {
		return
	}
	r.asked[key] = true
	r.greeted = true
	r.emit(c, "subscribe", roleConsumer, func(a *proto.Attributes) { a.SetList("reports", m.reports) })
}

// Close sums the connection up, where it was closed: of one that nobody heard of any
// more it cannot be said what it came to.
func (r *reader) Close(c *dissector.Context) {
	if c.Headers.TCPFlags&(packet.FIN|packet.RST) == 0 || !r.sdc || r.provider == dissector.Other || len(r.counts) == 0 && r.faults == 0 {
		return
	}
	var counts []string
	for name, n := range r.counts {
		counts = append(counts, name+":"+strconv.Itoa(n))
	}
	slices.Sort(counts)
	f := dissector.Fact{Protocol: "sdc", Kind: "session", Subject: dissector.Subject{Side: r.provider}}
	a := &f.Attributes
	a.Set("role", roleProvider)
	a.SetList("reports", counts)
	if r.faults > 0 {
		a.Set("faults", strconv.Itoa(r.faults))
	}
	c.Emit(&f)
}
