package snmp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// addrOf is the address of four or sixteen bytes.
func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// snmpTraps is the branch of the generic traps in version 2 (RFC 3418).
var snmpTraps = encoded(1, 3, 6, 1, 6, 3, 1, 1, 5)

// makers is the branch of the enterprises (RFC 1155).
var makers = encoded(1, 3, 6, 1, 4, 1)

// body takes the PDU:
//
//	id, error status, error index, SEQUENCE OF SEQUENCE { object, value }
//	version 1's trap: enterprise, address, generic, specific, ticks, and the same sequence
func (e *event) body(m *message) {
	r := m.pdu
	if m.tag == tagTrapV1 {
		enterprise, from := r.want(tagOID), r.want(tagIPAddress)
		generic, specific := r.integer(), r.integer()
		since := r.want(tagTicks)
		if r.bad {
			e.malformed(m)
			return
		}
		e.trap1(enterprise.b, addrOf(from.b), generic, specific)
		e.volatile.Set("uptime_s", ticks(tagTicks, since.b))
	} else {
		r.integer()
		status := r.integer()
		r.integer()
		if e.kind == "response" && status > 0 && status < int64(len(e.s.errors)) {
			e.s.errors[status]++
		}
	}
	list := r.want(tagSequence)
	if r.bad {
		e.malformed(m)
		return
	}
	cut := list.missing > 0
	for n := 0; !list.empty() && n < maxVariables; n++ {
		one := list.want(tagSequence)
		oid := one.want(tagOID)
		tag, value := one.next()
		if list.bad || oid.missing > 0 || value.missing > 0 || one.bad && cut {
			if cut {
				e.c.Count("snmp_cut")
			} else {
				e.malformed(m)
			}
			return
		}
		if one.bad { // the others are where their own lengths say
			e.malformed(m)
			continue
		}
		e.variable(oid.b, tag, value.b)
	}
}

func (e *event) malformed(m *message) {
	if !m.malformed {
		m.malformed = true
		e.c.Count("snmp_pdu_malformed")
	}
}

// trap1 tells the head of a trap of version 1.
func (e *event) trap1(enterprise []byte, from netip.Addr, generic, specific int64) {
	e.a.Set("object_id", objectID(enterprise))
	e.maker(enterprise)
	if generic >= 0 && generic < int64(len(trapNames)) {
		e.a.Set("trap", trapNames[generic])
	}
	if generic == 6 {
		e.a.Set("specific_trap", strconv.FormatInt(specific, 10))
	}
	e.relayed(from)
}

// relayed notes that a trap is another's, where that one is of the site.
func (e *event) relayed(from netip.Addr) {
	if from = from.Unmap(); from.IsValid() && !from.IsUnspecified() && from != e.from && e.c.Inside(from) {
		e.from = from
	}
}

// maker tells the number of the maker whose branch the object is in.
func (e *event) maker(oid []byte) {
	if rest, ok := strings.CutPrefix(string(oid), makers); ok {
		if n, _, ok := subidentifier([]byte(rest)); ok && n > 0 {
			e.a.Set("enterprise", strconv.FormatUint(n, 10))
		}
	}
}

// variable takes one object and its value. What a manager writes or asks for is
// not what the device says; of a write the maker's branch is told.
func (e *event) variable(oid []byte, tag byte, value []byte) {
	if e.kind == "set" {
		e.maker(oid)
	}
	if e.role != "server" {
		return
	}
	o, index, ok := find(oid)
	if !ok || tag == tagNull || tag >= 0x80 { // exceptions of RFC 3416
		return
	}
	switch {
	case o.form == nil:
		e.special(o.attribute, index, tag, value)
		return
	case len(value) == 0:
		return
	}
	v := o.form(tag, value)
	if v == "" {
		if tag == tagOctets && o.attribute != "macs" && strings.Trim(string(value), " \x00") != "" {
			e.c.Count("snmp_value_withheld")
		}
		return
	}
	switch name, isPart := strings.CutPrefix(o.attribute, entity); {
	case isPart:
		if row, ok := rowOf(index); ok && len(e.parts) < maxParts {
			e.parts = append(e.parts, part{name, v, row})
		}
	case o.volatile:
		e.volatile.Set(o.attribute, v)
	case o.list:
		if list := e.identity.List(o.attribute); len(list) < maxList && !slices.Contains(list, v) {
			e.identity.SetList(o.attribute, append(slices.Clone(list), v))
		}
	case o.attribute == "object_id":
		e.identity.Set(o.attribute, v)
		e.maker(value)
	case e.identity.Get(o.attribute) == "":
		e.identity.Set(o.attribute, v)
	}
}

// rowOf is an index of one number.
func rowOf(index []byte) (uint64, bool) {
	n, rest, ok := subidentifier(index)
	return n, ok && len(rest) == 0
}

// special takes the objects that stand for more than an attribute.
func (e *event) special(what string, index []byte, tag byte, value []byte) {
	if strings.HasPrefix(what, tables) {
		e.table(what, index, tag, value)
		return
	}
	switch what {
	case entityClass: // 3 is a chassis
		if n, ok := integer(value); ok && n == 3 && tag == tagInteger && !e.s.sure {
			e.s.chassis, e.s.sure = rowOf(index)
		}
	case deviceID:
		if tag == tagOctets {
			e.device(value)
		}
	case engineID:
		if tag == tagOctets {
			e.engine(value)
		}
	case agentAddress:
		if tag == tagIPAddress {
			e.relayed(addrOf(value))
		}
	case trapEnterprise:
		if tag == tagOID && e.a.Get("enterprise") == "" {
			e.maker(value)
		}
	case trapID:
		if tag != tagOID {
			return
		}
		e.a.Set("trap_id", objectID(value))
		e.maker(value)
		if rest, ok := strings.CutPrefix(string(value), snmpTraps); ok && len(rest) == 1 && rest[0] >= 1 && int(rest[0]) < len(trapNames) {
			e.a.Set("trap", trapNames[rest[0]-1])
		} else {
			e.a.Set("trap", "enterprise_specific")
		}
	}
}

// device reads "MFG:maker;MDL:model;SN:number;" (IEEE 1284.2). What the printer
// can do, and all other keys, are left.
func (e *event) device(b []byte) {
	var a proto.Attributes
	for _, field := range strings.SplitN(string(b), ";", 32) {
		k, v, _ := strings.Cut(field, ":")
		switch strings.ToUpper(strings.TrimSpace(k)) {
		case "MFG", "MANUFACTURER":
			a.Set("manufacturer", maker(tagOctets, []byte(v)))
		case "MDL", "MODEL":
			a.Set("model", maker(tagOctets, []byte(v)))
		case "SN", "SERN", "SERIALNUMBER":
			a.Set("serial", serial(tagOctets, []byte(v)))
		}
	}
	for _, x := range a {
		if e.identity.Get(x.Name) == "" {
			e.identity.Set(x.Name, x.Value)
		}
	}
}

// whole takes, of the parts that ENTITY-MIB lists, the device itself: the first
// chassis, or while no class was seen the first row.
func (e *event) whole() {
	if len(e.parts) == 0 {
		return
	}
	if !e.s.sure {
		first := e.parts[0].row
		for _, p := range e.parts {
			first = min(first, p.row)
		}
		if e.s.chassis == 0 || first < e.s.chassis {
			e.s.chassis = first
		}
	}
	for _, p := range e.parts {
		if p.row == e.s.chassis && e.identity.Get(p.attribute) == "" {
			e.identity.Set(p.attribute, p.value)
		}
	}
}
