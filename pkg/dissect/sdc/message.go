package sdc

import (
	"bytes"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

const (
	maxText = 64
	maxList = 32
)

// soapMessage is what is remembered of the message in hand.
type soapMessage struct {
	kind   xmlscan.Name // of the element in its body
	name   string       // the element's, where it is one of the lists
	broken bool

	device   device
	computer string
	uid      string
	types    []string // of the host
	hosted   []string
	reports  []string // that are subscribed
	mds      int
	mdsDepth int    // of the Mds that is open, 0 for none
	personal int    // depth of the state that is a person's, 0 for none
	spec     string // code of the production specification in hand

	state, mode, battery, patient string
	place                         place
	placed                        bool
	located                       int // depth of the location that is in force, 0 for none
	values                        int // measured values
	valued                        bool
	outcome                       string
	guard                         dissector.Guard
}

// device is what a device says of itself.
type device struct {
	kind, udi, manufacturer, model, number, serial, hardware, software, firmware string
}

func (m *soapMessage) reset() {
	g := m.guard
	g.Reset()
	*m = soapMessage{guard: g}
}

// Broken notes that the document has no end.
func (m *soapMessage) Broken() { m.broken = true }

// Start takes an element, and asks for its text where that is read.
func (m *soapMessage) Start(s *xmlscan.Scanner) {
	n := s.Name()
	switch s.Depth() {
	case 1:
		if n != envelope || s.Space() != soap {
			s.Skip()
		}
		return
	case 2:
		if n != body {
			s.Skip()
		}
		return
	case 3:
		m.begin(s)
		return
	}
	switch m.kind {
	case metadata:
		m.metadata(s)
	case subscribe:
		if n == filter && s.Up(1) == subscribe {
			s.Keep()
		}
	case message, report, operation:
		m.participant(s)
	case operationResponse, invoked:
		if n == invocationState && s.Up(1) == invocationInfo {
			s.Keep()
		}
	}
}

// begin takes the element in the body: it says what the message is.
func (m *soapMessage) begin(s *xmlscan.Scanner) {
	known := false
	switch n := s.Name(); n {
	case fault:
		known = s.Space() == soap
	case metadata:
		known = s.Space() == mex
	case subscribe, subscriptionEnd:
		known = s.Space() == eventing
	case message, report, operation, operationResponse, invoked:
		known = s.Space() == messages
	}
	if !known {
		s.Skip()
		return
	}
	m.kind, m.name = s.Name(), string(s.Local())
}

// metadata reads what a device says of itself in DPWS (DPWS 1.1, section 5). Its
// friendly name is what somebody typed.
func (m *soapMessage) metadata(s *xmlscan.Scanner) {
	switch n, up := s.Name(), s.Up(1); n {
	case manufacturer, modelName, modelNumber:
		if up == thisModel {
			s.Keep()
		}
	case firmware, serial:
		if up == thisDevice {
			s.Keep()
		}
	case types:
		if up == host || up == hosted {
			s.Keep()
		}
	case address:
		if up == reference && s.Up(2) == host {
			s.Keep()
		}
	case computer:
		if s.Space() == published {
			s.Keep()
		}
	}
}

// participant reads the descriptors and states of BICEPS (IEEE 11073-10207 annex B).
func (m *soapMessage) participant(s *xmlscan.Scanner) {
	n := s.Name()
	if m.personal > 0 {
		m.guard.Add(s.Attr("Extension"))
		s.Keep() // a name, a number, a birth date: to be known again if it is met elsewhere
		return
	}
	switch up := s.Up(1); n {
	case mds:
		if m.mds++; m.mdsDepth == 0 && m.mds == 1 {
			m.mdsDepth = s.Depth()
		}
	case typeOf:
		if up == mds && s.Depth() == m.mdsDepth+1 && (len(s.Attr("CodingSystem")) == 0 || string(s.Attr("CodingSystem")) == nomenclature) {
			m.device.kind = deviceType(string(s.Attr("Code")))
		}
	case manufacturer, modelName, modelNumber, serial:
		if up == metaData && s.Depth() == m.mdsDepth+2 {
			s.Keep()
		}
	case deviceID:
		if up == udi && s.Depth() == m.mdsDepth+3 {
			s.Keep()
		}
	case specType:
		if up == production && s.Depth() == m.mdsDepth+2 {
			m.spec = specifications[string(s.Attr("Code"))]
		}
	case spec:
		if up == production && s.Depth() == m.mdsDepth+2 && m.spec != "" {
			s.Keep()
		}
	case state:
		m.stateOf(s)
	case locationDetail:
		if m.located > 0 && s.Depth() == m.located+1 {
			m.locate(s)
		}
	case metricValue:
		if m.valued = len(s.Attr("Value")) > 0 || len(s.Attr("Samples")) > 0; m.valued {
			m.values++
		}
	case metricQuality:
		switch string(s.Attr("Validity")) {
		case "Inv", "NA", "Oflw", "Uflw":
			if m.valued && up == metricValue {
				m.values, m.valued = m.values-1, false
			}
		}
	}
}

// stateOf reads a state by its type.
func (m *soapMessage) stateOf(s *xmlscan.Scanner) {
	_, local := s.Resolve(s.Attr("type"))
	association := lookup(associations, s.Attr("ContextAssociation"))
	if association == "" {
		association = "none" // the default
	}
	switch kind := string(local); kind {
	case "MdsState":
		m.state = lookup(activations, s.Attr("ActivationState"))
		m.mode = lookup(modes, s.Attr("OperatingMode"))
	case "BatteryState":
		m.battery = lookup(charges, s.Attr("ChargeStatus"))
	case "LocationContextState":
		if association == "associated" {
			m.located = s.Depth()
		}
	case "PatientContextState":
		if m.patient != "associated" {
			m.patient = association
		}
		m.personal = s.Depth()
	default:
		if strings.HasSuffix(kind, "ContextState") { // of operators, workflows, means, ensembles
			m.personal = s.Depth()
		}
	}
}

func (m *soapMessage) locate(s *xmlscan.Scanner) {
	text := func(name string) string { return dissector.Text(s.Attr(name), 32) }
	m.place = place{text("Facility"), text("Building"), text("Floor"), text("PoC"), text("Room"), text("Bed")}
	m.placed = true
}

// End takes the text of an element that was asked for.
func (m *soapMessage) End(s *xmlscan.Scanner) {
	depth := s.Depth()
	switch {
	case m.personal > 0:
		if depth == m.personal {
			m.personal = 0
		} else if v := s.Text(); v != nil {
			m.guard.Add(v)
		}
		return
	case depth == m.located:
		m.located = 0
	case depth == m.mdsDepth && s.Name() == mds:
		m.mdsDepth = 0
	case s.Name() == production:
		m.spec = ""
	}
	if v := bytes.TrimSpace(s.Text()); len(v) > 0 {
		m.text(s, v)
	}
}

func (m *soapMessage) text(s *xmlscan.Scanner, v []byte) {
	d := &m.device
	switch s.Name() {
	case manufacturer:
		first(&d.manufacturer, v)
	case modelName:
		first(&d.model, v)
	case modelNumber:
		first(&d.number, v)
	case serial:
		first(&d.serial, v)
	case firmware:
		first(&d.firmware, v)
	case deviceID:
		first(&d.udi, v)
	case spec:
		first(map[string]*string{"serial": &d.serial, "hardware_version": &d.hardware, "software_version": &d.software, "firmware_version": &d.firmware}[m.spec], v)
	case types:
		into := &m.types
		if s.Up(1) == hosted {
			into = &m.hosted
		}
		for _, w := range bytes.Fields(v) {
			*into = add(*into, typeName(s, w))
		}
	case address:
		m.uid = strings.TrimPrefix(strings.TrimPrefix(dissector.Text(v, maxText), "urn:"), "uuid:")
	case computer:
		m.computer = dissector.Text(v, maxText)
	case filter:
		for _, w := range bytes.Fields(v) {
			if i := bytes.LastIndexByte(w, '/'); i >= 0 && reports[string(w[i+1:])] {
				m.reports = add(m.reports, string(w[i+1:]))
			}
		}
	case invocationState:
		m.outcome = lookup(outcomes, v)
	}
}

// first keeps the first of several values, as of several languages.
func first(into *string, v []byte) {
	if *into == "" {
		*into = dissector.Text(v, maxText)
	}
}

func typeName(s *xmlscan.Scanner, qualified []byte) string {
	space, local := s.Resolve(qualified)
	if space < named || len(local) == 0 || len(local) > 48 || len(bytes.Trim(local, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")) > 0 {
		return "other"
	}
	return prefixes[space-named] + ":" + string(local)
}

func add(list []string, s string) []string {
	if len(list) == maxList || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
