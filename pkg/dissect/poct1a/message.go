package poct1a

import (
	"bytes"
	"net"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
	"github.com/wardflow/wardflow/proto"
)

// The roles.
const (
	roleDevice  = "device"
	roleManager = "data_manager"
)

// The kinds of makers' own messages.
const (
	kindDirective = "dtv_vendor"
	kindVendor    = "vendor"
)

// message is what is remembered of the message in hand.
type message struct {
	open         bool
	kind         xmlscan.Name // other: a maker's own
	directive    bool         // a maker's own that tells a device to do something
	control      uint64       // hash of its id
	acknowledged uint64       // hash of the id that it acknowledges
	ack          string
	device       [update + 1]string // values of DEV
	topics       []string
	directives   []string
	timeout      string
	profile      string

	newObservations, newEvents, state       string
	request, command, reason                string
	roles                                   []string
	results, events, patients, ops, updates int
	secret                                  bool // it carries a password
}

func (m *message) begin(kind xmlscan.Name, local []byte) {
	m.open, m.kind = true, kind
	m.directive = kind == other && bytes.HasPrefix(local, []byte("DTV."))
}

// element takes an element below the message's own. Patients are passed over, and
// so are operators and their rights but for whether a password is there.
func (m *message) element(s *xmlscan.Scanner) {
	v := s.Attr("V")
	switch n := s.Name(); n {
	case patient:
		m.patients++
		if m.kind == obs1 || m.kind == obs2 { // the results are in it
			break
		}
		s.Skip()
	case operator:
		m.ops++
	case password:
		m.secret = true
		s.Skip()
	case observation:
		m.results++
	case event:
		m.events++
	case update:
		m.updates++
	case controlID:
		if s.Up(1) == hdr {
			m.control = hash(v)
		}
	case deviceID, vendorID, modelID, serialID, manufacturer, hardware, software, deviceName:
		if s.Up(1) == dev && m.kind == hel && m.device[n] == "" {
			m.device[n] = dissector.Text(v, maxText)
		}
	case timeout, profile, topic, directive:
		if m.kind == hel {
			m.capability(n, v)
		}
	default:
		m.code(n, v)
	}
}

// capability takes what a device says that it can do.
func (m *message) capability(n xmlscan.Name, v []byte) {
	switch n {
	case timeout:
		m.timeout = number(v)
	case profile:
		m.profile = code(profiles, v)
	case topic:
		m.topics = add(m.topics, code(topics, v))
	case directive:
		m.directives = add(m.directives, directiveName(v))
	}
}

// code takes the numbers and codes of the messages that have them.
func (m *message) code(n xmlscan.Name, v []byte) {
	switch n {
	case newObservations:
		m.newObservations = number(v)
	case newEvents:
		m.newEvents = number(v)
	case condition:
		m.state = translated(conditions, v)
	case role:
		m.roles = add(m.roles, translated(serviced, v))
	case requestCode:
		m.request = code(requests, v)
	case command:
		m.command = directiveName(v)
	case reason, detail:
		m.reason = code(reasons, v)
	case ackCode, typeID:
		m.ack = code(ackCodes, v)
	case ackControlID:
		m.acknowledged = hash(v)
	}
}

// add adds a word to a short list.
func add(list []string, s string) []string {
	if s == "" || len(list) == maxList || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// number is a count, "" for anything else.
func number(v []byte) string {
	s := string(bytes.TrimSpace(v[:min(len(v), 16)]))
	if len(s) > 6 || strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

// name is the message's as a fact has it.
func (m *message) name() string {
	switch {
	case m.kind != other:
		return kinds[m.kind]
	case m.directive:
		return kindDirective
	}
	return kindVendor
}

// directs reports whether the message tells a device to do something.
func (m *message) directs() bool {
	switch m.kind {
	case dtv1, dtv2, opl1, opl2, ptl1, ptl2:
		return true
	}
	return m.directive
}

// role is who sends such messages, "" where both may.
func (m *message) role() string {
	switch m.kind {
	case hel, dst, obs1, obs2, evs:
		return roleDevice
	case req:
		return roleManager
	}
	if m.directs() {
		return roleManager
	}
	return ""
}

// attributes says what the message says.
func (m *message) attributes(a *proto.Attributes, complete bool) {
	a.Set("role", m.role())
	a.Set("device_uid", m.device[deviceID])
	a.Set("mac", address(m.device[deviceID]))
	a.Set("vendor", m.device[vendorID])
	a.Set("manufacturer", m.device[manufacturer])
	a.Set("model", m.device[modelID])
	a.Set("device_name", m.device[deviceName])
	a.Set("serial", m.device[serialID])
	a.Set("hardware_version", m.device[hardware])
	a.Set("software_version", m.device[software])
	a.SetList("topics", m.topics)
	a.SetList("directives", m.directives)
	a.Set("connection_profile", m.profile)
	a.Set("timeout_s", m.timeout)
	a.Set("state", m.state)
	a.Set("new_observations", m.newObservations)
	a.Set("new_events", m.newEvents)
	a.SetList("service_roles", m.roles)
	a.Set("observations", count(m.results))
	a.Set("events", count(m.events))
	a.Set("request", m.request)
	a.Set("command", m.command)
	a.Set("reason", m.reason)
	switch m.kind {
	case opl1, opl2:
		a.Set("entries", count(m.ops))
	case ptl1, ptl2:
		a.Set("entries", count(m.patients))
	}
	if m.secret {
		a.Set("cleartext_credential", "user_pass")
		a.Set("account", "other")
	}
	if !complete {
		a.Set("incomplete", "true")
	}
}

// address is a MAC that stands in the place of a device's id.
func address(id string) string {
	hw, err := net.ParseMAC(id)
	if err != nil || len(hw) != 6 || hw[0]&1 != 0 {
		return ""
	}
	return hw.String()
}
