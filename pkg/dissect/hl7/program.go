package hl7

import (
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// order is what a message asks a device to do (IHE PCD-03): an order's control code,
// and the names of what it sets. Amounts, rates and drugs are never kept.
type order struct {
	control  string
	settings []string
}

// gives are the fields of RXG that are amounts, and what they are called.
var gives = map[int]string{5: "amount", 6: "amount", 15: "rate", 17: "strength", 23: "volume"}

// program takes a field of ORC or RXG.
func (m *message) program(v []byte) {
	if m.field == 1 {
		if s := m.text(v, 1, 2); len(s) == 2 && strings.Trim(s, upperDigits) == "" {
			m.order.control = s
		}
		return
	}
	m.order.set(gives[m.field])
}

func (o *order) set(name string) {
	if name != "" && len(o.settings) < maxSettings && !slices.Contains(o.settings, name) {
		o.settings = append(o.settings, name)
	}
}

// sets holds for what somebody sets: what is called a setting, what OBX-17 says to be
// one, the known ones, and every metric of an order.
func (m *message) sets(o *observation) bool {
	if o.code == "" || strings.HasPrefix(o.code, "MDC_DEV_") || strings.Contains(o.code, "_ATTR_PT_") {
		return false
	}
	return o.setting || strings.HasSuffix(o.code, "_SETTING") || programmed[o.code] || m.orders() && o.quantity < pumpMode && o.contained && o.path[3] > 0
}

// orders holds for messages that give a medication: to a pump, or to a person.
func (m *message) orders() bool { return strings.HasPrefix(m.messageType, "RGV^") }

// programs tells what pumps a message programs, and that is about them and about
// who does it. The receiver is their gateway. Without a pump and without a profile of
// patient care devices it is a nurse's order.
func (m *message) programs(c *dissector.Context) {
	if len(m.equipment) == 0 && !m.pcd {
		return
	}
	emit := func(e *equipment) {
		f := dissector.Fact{Kind: "program", Subject: dissector.Subject{Side: c.Side.Peer()}}
		a := &f.Attributes
		settings := slices.Clone(m.order.settings)
		if e != nil {
			if m.holds(c, e) {
				return
			}
			f.Subject = e.subject(c.Side.Peer())
			a.Set("equipment_id", e.id)
			m.set(c, a, "equipment_name", e.name)
			m.set(c, a, "equipment_namespace", e.namespace)
			a.Set("equipment_type", e.kind)
			settings = append(settings, e.settings...)
		}
		m.set(c, a, "programmer", m.sendingApp)
		a.Set("order_control", m.order.control)
		a.SetList("settings", m.free(c, settings))
		c.Emit(&f)
	}
	if len(m.equipment) == 0 {
		emit(nil)
	}
	for i := range m.equipment {
		emit(&m.equipment[i])
	}
}
