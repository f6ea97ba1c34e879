package hl7

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// The bounds of a message.
const (
	maxEquipment = 64
	maxModules   = 16
	maxSettings  = 32
	maxChannels  = 32
)

// identifier is an EI, as in OBX-18, PRT-10 and EQU-1: entity, namespace,
// universal id and its type. Senders write an HD or a plain name there as well.
type identifier struct {
	id              string // unique: the EUI-64, else all components
	name, namespace string
	eui64           string
}

// observation is the OBX in hand (or another segment about a device, with its
// equipment and values only).
type observation struct {
	taken     bool // an SFT has its place
	quantity  quantity
	code      string // reference id of OBX-3, where it is of 11073
	value     string // a device fact or a word of a list
	setting   bool   // OBX-17 says that it is one
	flags     flags
	path      [4]uint32 // OBX-4, containment: MDS, VMD, channel, metric
	contained bool      // OBX-4 is such a path
	equipment identifier
	kind      string // type of the device, of a PRT or DEV
	status    string // of the device, of a DEV
	implanted bool
	also      [len(attributes)]string // values of a PRT or DEV
}

// equipment is one device of the message.
type equipment struct {
	identifier
	kind     string // reference id of the MDS-level OBX-3
	status   string
	mds      uint32 // first number of the containment, 0 for none
	location string
	modules  []string
	vmds     []uint32 // those that are modules with a name of their own
	channels [][2]uint32
	settings []string
	values   [len(attributes)]string
	parts    [pumpMode]string // what a VMD says of itself, for want of anything about the whole
}

// wants reports whether a field of the OBX is of use, given those before it.
func (o *observation) wants(field int) bool {
	switch field {
	case 5:
		return o.quantity != none
	case 8:
		return o.quantity >= alarmEvent
	}
	return true
}

// observe takes a field of OBX.
func (m *message) observe(v []byte) {
	o := &m.obx
	switch m.field {
	case 3:
		code, ref, system := m.text(v, 1, 16), m.text(v, 2, 64), m.text(v, 3, 16)
		mdc := reference(ref)
		if mdc {
			o.code = ref
		}
		if mdc || system == "MDC" {
			if o.quantity = quantities[ref]; o.quantity == none {
				o.quantity = quantities[code]
			}
		}
		if o.quantity == none && m.alerts() && (strings.HasPrefix(ref, "MDC_EVT_") || strings.HasPrefix(ref, "MDCX_EVT_")) {
			o.quantity = alarmEvent
		}
	case 4:
		o.contained = o.contain(m.text(v, 1, 40))
	case 5:
		o.value = m.measure(o.quantity, v)
	case 8:
		m.each(v, o.flag)
	case 17:
		m.each(v, func(v []byte) {
			for i := 1; i <= 2; i++ {
				s := m.text(v, i, 16)
				o.setting = o.setting || s == "ASET" || s == "MSET" || s == "RSET"
			}
		})
	case 18:
		m.each(v, func(v []byte) {
			if o.equipment.id == "" {
				o.equipment = m.identify(v)
			}
		})
	}
}

// reference holds for a reference id of ISO/IEEE 11073-10101, or a vendor's own.
func reference(s string) bool {
	return (strings.HasPrefix(s, "MDC_") || strings.HasPrefix(s, "MDCX_")) && strings.Trim(s, upperDigits+"_") == ""
}

// contain reads a containment path, a.b.c.d; the facets of an alarm have a number
// or two more.
func (o *observation) contain(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) < len(o.path) || len(parts) > len(o.path)+2 {
		return false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return false
		}
		if i < len(o.path) {
			o.path[i] = uint32(n)
		}
	}
	return o.path[0] > 0
}

// identify reads an EI.
func (m *message) identify(v []byte) identifier {
	parts := m.components(v)
	name, namespace, universal, kind := parts[0], parts[1], parts[2], parts[3]
	e := identifier{name: name, namespace: namespace}
	switch {
	case isEUI(universal): // an HD
		e.eui64 = eui64(namespace)
	case isEUI(kind), kind == "" && universal != "":
		e.eui64 = eui64(universal)
	case isEUI(namespace):
		e.eui64 = eui64(name)
	case kind == "" && madeOfMAC(eui64(name)):
		e.eui64 = eui64(name)
	}
	switch {
	case e.eui64 != "" && strings.TrimRight(e.eui64[6:], "0") != "":
		e.id = e.eui64
	case name != "" && name == universal:
		e.id = name
	case name != "" || universal != "":
		// An EUI-64 of a vendor's number and nothing else is everybody's.
		e.id = strings.TrimRight(strings.Join(parts[:], "^"), "^")
	}
	return e
}

// components are the first four of a field, or, where there is but one and that
// has several, its subcomponents.
func (m *message) components(v []byte) (parts [4]string) {
	comp := m.comp
	if first := m.part(v, 1); m.part(v, 2) == nil && m.sub != 0 && bytes.Count(first, []byte{m.sub}) > 1 {
		comp = m.sub
	}
	for i := range parts {
		limit := 64
		if i == 3 {
			limit = 16
		}
		parts[i] = m.plain(component(v, m.rep, comp, i+1), limit)
	}
	return parts
}

func isEUI(s string) bool {
	s = strings.ToUpper(s)
	return s == "EUI-64" || s == "EUI64"
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

func madeOfMAC(eui string) bool { return !mac(eui).IsZero() }

// mac is the MAC that an EUI-64 was made of, zero for one of another kind (IEEE,
// Guidelines for EUI: xx xx xx FF FE xx xx xx).
func mac(eui string) proto.MAC {
	b, err := hex.DecodeString(eui)
	if err != nil || len(b) != 8 || b[3] != 0xff || b[4] != 0xfe || b[0]&1 != 0 {
		return proto.MAC{}
	}
	return proto.MAC{b[0], b[1], b[2], b[5], b[6], b[7]}
}

// settle ends a segment about a device: finds or makes the device that it is about
// and adds what it says.
func (m *message) settle() {
	o := &m.obx
	if o.implanted {
		return // part of a patient
	}
	e := m.subject(o)
	if o.quantity >= alarmEvent {
		m.alert(o, e)
		return
	}
	if m.sets(o) {
		if e == nil {
			m.order.set(o.code)
		} else if len(e.settings) < maxSettings && !slices.Contains(e.settings, o.code) {
			e.settings = append(e.settings, o.code)
		}
	}
	if e == nil {
		return
	}
	e.note(o)
	if e.kind == "" {
		e.kind = o.kind
	}
	if e.status == "" {
		e.status = o.status
	}
	for q, s := range o.also {
		if e.values[q] == "" {
			e.values[q] = s
		}
	}
}

// subject is the device of a segment.
func (m *message) subject(o *observation) *equipment {
	owner := m.owner(o)
	part := o.contained && o.path[1] > 0 && owner != nil
	switch {
	case o.equipment.id == "", owner != nil && o.equipment.id == owner.id:
		return owner
	case part && o.path[2] == 0 && o.path[3] == 0 && o.quantity == none:
		// A module of the device: a pump's channel has no life of its own.
		name := o.equipment.name
		if len(owner.modules) < maxModules {
			owner.vmds = append(owner.vmds, o.path[1])
			if name != "" && !slices.Contains(owner.modules, name) {
				owner.modules = append(owner.modules, name)
			}
		}
		return owner
	case part && o.equipment.eui64 == "", o.quantity >= alarmEvent && owner != nil:
		return owner
	}
	return m.device(o)
}

// note adds what an OBX says of the device, or of a part of it.
func (e *equipment) note(o *observation) {
	part := o.contained && o.path[1] > 0
	if part && o.path[2] > 0 && len(e.channels) < maxChannels {
		if at := [2]uint32{o.path[1], o.path[2]}; !slices.Contains(e.channels, at) {
			e.channels = append(e.channels, at)
		}
	}
	if o.value == "" || o.quantity == none {
		return
	}
	v := &e.values[o.quantity]
	switch {
	case part && o.quantity < pumpMode:
		if o.path[2] > 0 && o.quantity <= manufactured || slices.Contains(e.vmds, o.path[1]) {
			return // a module's own serial number
		}
		if p := &e.parts[o.quantity]; *p == "" {
			*p = o.value
		}
	case o.quantity == pumpStatus && *v == "infusing":
	case (o.quantity == pumpRate || o.quantity == currentRate) && *v == "true":
	case o.quantity == deliveryStatus && *v == "delivering":
	case o.quantity >= pumpMode || *v == "":
		*v = o.value
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
		if [3]uint32(o.path[1:]) == [3]uint32{} && e.kind == "" {
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
	digit := func(s string) bool { return strings.ContainsAny(s, digits) }
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
