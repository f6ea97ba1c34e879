package hl7

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// maxEquipment bounds the devices of one message.
const maxEquipment = 64

// identifier is an EI, as in OBX-18, PRT-10 and EQU-1: entity, namespace,
// universal id and its type.
type identifier struct {
	id              string // unique: the EUI-64, else all components
	name, namespace string
	eui64           string
}

// observation is the OBX in hand (or a PRT, EQU with its equipment only).
type observation struct {
	quantity  quantity
	code      string // reference id of OBX-3, where it is of 11073
	value     string // a device fact or a word of a list
	path      [4]int // OBX-4, containment: MDS, VMD, channel, metric
	contained bool   // OBX-4 is such a path
	equipment identifier
}

// equipment is one device of the message.
type equipment struct {
	identifier
	kind     string // reference id of the MDS-level OBX-3
	mds      int    // first number of the containment, 0 for none
	location string
	modules  []string
	values   [len(attributes)]string
}

// observe takes a field of OBX.
func (m *message) observe(v []byte) {
	o := &m.obx
	switch m.field {
	case 3:
		code, ref, system := m.text(v, 1, 16), m.text(v, 2, 64), m.text(v, 3, 16)
		mdc := strings.HasPrefix(ref, "MDC_") && strings.Trim(ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
		if mdc {
			o.code = ref
		}
		if mdc || system == "MDC" {
			if o.quantity = quantities[code]; o.quantity == none {
				o.quantity = quantities[ref]
			}
		}
	case 4:
		o.contained = o.contain(m.text(v, 1, 24))
	case 5:
		o.value = m.measure(o.quantity, v)
	case 18:
		m.each(v, func(v []byte) {
			if o.equipment.id == "" {
				o.equipment = m.identify(v)
			}
		})
	}
}

// contain reads a containment path, a.b.c.d.
func (o *observation) contain(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != len(o.path) {
		return false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return false
		}
		o.path[i] = int(n)
	}
	return o.path[0] > 0
}

// measure reduces OBX-5 to what may leave: text of identification, words of a
// list for status and mode, and of a rate only whether there is one.
func (m *message) measure(q quantity, v []byte) string {
	switch q {
	case pumpMode:
		return m.word(v, modePrefix, modeWords)
	case pumpStatus:
		return m.word(v, statusPrefix, statusWords)
	case pumpRate:
		x, err := strconv.ParseFloat(m.text(v, 1, 32), 64)
		if err != nil {
			return ""
		}
		return strconv.FormatBool(x > 0)
	}
	return m.text(v, 1, 64)
}

// word finds the coded word in any component of a CWE, with or without an MDC
// reference id's prefix.
func (m *message) word(v []byte, prefix string, list map[string]bool) string {
	for i := 1; i <= 6; i++ {
		s := strings.ToLower(m.text(v, i, 64))
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			if list[rest] {
				return rest
			}
			return "other"
		}
	}
	return ""
}

// identify reads an EI.
func (m *message) identify(v []byte) identifier {
	var e identifier
	e.name, e.namespace = m.text(v, 1, 64), m.text(v, 2, 64)
	universal, kind := m.text(v, 3, 64), m.text(v, 4, 16)
	if kind == "EUI-64" {
		e.eui64 = eui64(universal)
	}
	e.id = e.eui64
	if e.id == "" && (e.name != "" || universal != "") {
		e.id = strings.TrimRight(strings.Join([]string{e.name, e.namespace, universal, kind}, "^"), "^")
	}
	return e
}

// eui64 normalises an EUI-64 to 16 upper-case hex digits, "" for anything else.
func eui64(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '-' || r == ':' || r == '.' {
			return -1
		}
		return r
	}, s)
	if len(s) != 16 || strings.Trim(s, "0123456789abcdefABCDEF") != "" {
		return ""
	}
	return strings.ToUpper(s)
}

// mac is the MAC that an EUI-64 was made of, zero for one of another kind (IEEE,
// Guidelines for EUI: xx xx xx FF FE xx xx xx).
func mac(eui string) proto.MAC {
	b, err := hex.DecodeString(eui)
	if err != nil || len(b) != 8 || b[3] != 0xff || b[4] != 0xfe || b[0]&1 != 0 {
		return proto.MAC{}
	}
	return proto.MAC{b[0], b[1], b[2], b[5], b[6], b[7]}
}

// settle ends an OBX, PRT or EQU: finds or makes the device that it is about and
// adds what it says.
func (m *message) settle() {
	o := &m.obx
	var e *equipment
	owner := m.owner(o)
	switch {
	case o.equipment.id == "":
		e = owner
	case o.contained && o.path[1] > 0 && owner != nil && (o.path[2] == 0 && o.path[3] == 0):
		// A module of the device: a pump's channel has no life of its own.
		if name := o.equipment.name; name != "" && !slices.Contains(owner.modules, name) && len(owner.modules) < 16 {
			owner.modules = append(owner.modules, name)
		}
		e = owner
	case o.contained && o.path[1] > 0 && owner != nil && o.equipment.eui64 == "":
		e = owner
	default:
		e = m.device(o)
	}
	if e == nil || o.value == "" {
		return
	}
	part := o.contained && o.path[1] > 0
	switch {
	case o.quantity == none, o.quantity < pumpMode && part: // a module's own serial number
	case o.quantity == pumpStatus && e.values[pumpStatus] == "infusing":
	case o.quantity == pumpRate && e.values[pumpRate] == "true":
	case o.quantity >= pumpMode || e.values[o.quantity] == "":
		e.values[o.quantity] = o.value
	}
}

// owner is the device that contains the OBX: the last of the same MDS, or the
// last at all without containment.
func (m *message) owner(o *observation) *equipment {
	for i := len(m.equipment) - 1; i >= 0; i-- {
		if e := &m.equipment[i]; !o.contained || e.mds == o.path[0] {
			return e
		}
	}
	return nil
}

// device is the device with the OBX's own identifier, new or known.
func (m *message) device(o *observation) *equipment {
	var e *equipment
	for i := range m.equipment {
		if m.equipment[i].id == o.equipment.id {
			e = &m.equipment[i]
		}
	}
	if e == nil {
		if len(m.equipment) == maxEquipment {
			m.more++
			return nil
		}
		m.equipment = append(m.equipment, equipment{identifier: o.equipment, location: m.location})
		e = &m.equipment[len(m.equipment)-1]
	}
	if o.contained {
		e.mds = o.path[0]
		if [3]int(o.path[1:]) == [3]int{} && e.kind == "" {
			e.kind = o.code
		}
	}
	return e
}

// place reads PV1-3 as ward^room^bed, where it is a location and nothing else:
// senders are known to put people there. Room and bed carry a digit or are one
// letter or two; a ward alone does, or is an abbreviation.
func (m *message) place(v []byte) string {
	var parts []string
	for i := 1; i <= 3; i++ {
		s := m.text(v, i, 20)
		if len(m.part(v, i)) > 20 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-./#") != "" {
			return ""
		}
		parts = append(parts, s)
	}
	if parts[2] != "" && (parts[2] == m.sendingFac || parts[2] == m.receivingFac) {
		parts[2] = "" // a facility in the bed's place
	}
	digit := func(s string) bool { return strings.ContainsAny(s, "0123456789") }
	for _, s := range parts[1:] {
		if len(s) > 2 && !digit(s) {
			return ""
		}
	}
	if parts[1] == "" && parts[2] == "" && !digit(parts[0]) && len(parts[0]) > 4 {
		return ""
	}
	return strings.TrimRight(strings.Join(parts, "^"), "^")
}

// fact makes the fact about a device, nil where its identity is a patient's.
func (m *message) fact(c *dissector.Context, e *equipment) *dissector.Fact {
	if m.guard.Holds(e.id) || m.guard.Holds(e.name) {
		c.Count("hl7_identity_withheld")
		return nil
	}
	f := &dissector.Fact{Kind: "equipment", Subject: dissector.Subject{
		Side: dissector.Other, MAC: mac(e.eui64), Equipment: e.id, Gateway: c.Side,
	}}
	a := &f.Attributes
	a.Set("equipment_id", e.id)
	m.set(c, a, "equipment_name", e.name)
	m.set(c, a, "equipment_namespace", e.namespace)
	a.Set("equipment_type", e.kind)
	a.Set("eui64", e.eui64)
	m.set(c, a, "location", e.location)
	for q, s := range e.values {
		if s != "" {
			m.set(c, a, attributes[q], s)
		}
	}
	for _, s := range e.modules {
		if m.guard.Holds(s) {
			c.Count("hl7_identity_withheld")
			return f
		}
	}
	a.SetList("modules", e.modules)
	return f
}

// set adds an attribute unless it repeats a patient's identity.
func (m *message) set(c *dissector.Context, a *proto.Attributes, name, value string) {
	if m.guard.Holds(value) {
		c.Count("hl7_identity_withheld")
		return
	}
	a.Set(name, value)
}
