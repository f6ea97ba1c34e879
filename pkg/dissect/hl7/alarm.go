package hl7

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// maxAlarms bounds the alarms of one message.
const maxAlarms = 16

// flags are what OBX-8 says of an alarm.
type flags struct {
	priority, kind string
}

// alarm is one alarm of a message (IHE PCD-04): its facets come in several OBX.
type alarm struct {
	device int // index of the equipment, -1 for none
	event  string
	flags
	phase, state, inactivation string
	open                       bool // more facets may follow
}

// The words for priorities and types of alarms (OBX-8 in PCD-04).
var (
	priorities = map[string]string{"PH": "high", "PM": "medium", "PL": "low", "PN": "none"}
	alarmTypes = map[string]string{"SP": "physiological", "ST": "technical", "SA": "advisory"}
)

// flag takes one repetition of OBX-8.
func (o *observation) flag(v []byte) {
	if w := priorities[string(v)]; w != "" {
		o.flags.priority = w
	}
	if w := alarmTypes[string(v)]; w != "" {
		o.flags.kind = w
	}
}

// alerts holds for messages that report alarms.
func (m *message) alerts() bool { return strings.HasPrefix(m.messageType, "ORU^R40") }

// alert takes one facet of an alarm. Another event, or another order (OBR), begins
// another alarm.
func (m *message) alert(o *observation, e *equipment) {
	n := len(m.alarms)
	if n == 0 || !m.alarms[n-1].open || o.quantity == alarmEvent && m.alarms[n-1].event != "" {
		if n == maxAlarms {
			return
		}
		m.alarms = append(m.alarms, alarm{device: -1, open: true})
		n++
	}
	a := &m.alarms[n-1]
	for i := range m.equipment {
		if &m.equipment[i] == e {
			a.device = i
		}
	}
	if a.priority == "" {
		a.priority = o.flags.priority
	}
	if a.kind == "" {
		a.kind = o.flags.kind
	}
	switch o.quantity {
	case alarmEvent:
		if a.event = o.value; a.event == "" && o.code != "MDC_EVT_ALARM" && strings.Contains(o.code, "_EVT_") {
			a.event = o.code
		}
	case alarmPhase:
		a.phase = o.value
	case alarmState:
		a.state = o.value
	case alarmInactivation:
		a.inactivation = o.value
	case alarmPriority:
		if w := priorities[o.value]; w != "" {
			a.priority = w
		}
	case alarmType:
		if w := alarmTypes[o.value]; w != "" {
			a.kind = w
		}
	}
}

// tell gives the alarms' facts away. What is physiological has no name: it would
// say what somebody in a known bed suffers from.
func (m *message) tell(c *dissector.Context) {
	for i := range m.alarms {
		a := &m.alarms[i]
		f := dissector.Fact{Kind: "alarm", Subject: dissector.Subject{Side: c.Side}}
		to := &f.Attributes
		if a.device >= 0 {
			e := &m.equipment[a.device]
			if m.holds(c, e) {
				continue
			}
			f.Subject = e.subject(c.Side)
			to.Set("equipment_id", e.id)
			to.Set("equipment_type", e.kind)
		}
		if a.kind == "technical" || a.kind != "physiological" && mechanical(a.event) {
			m.set(c, to, "alarm", a.event)
		}
		to.Set("alarm_type", a.kind)
		to.Set("alarm_priority", a.priority)
		to.Set("alarm_state", a.state)
		to.Set("alarm_phase", a.phase)
		to.Set("alarm_inactivation", a.inactivation)
		c.Emit(&f)
	}
}
