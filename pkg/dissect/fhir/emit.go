package fhir

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// attributes are what a device's fields are called.
var attributes = map[field]string{
	manufacturer: "manufacturer", model: "model", name: "product", serial: "serial", lot: "lot", partNumber: "part_number", version: "software_version", udi: "udi",
}

// fact is what a resource says, nil where that is nothing.
func (d *document) fact(c *dissector.Context, x *resource) *dissector.Fact {
	switch x.kind {
	case deviceType:
		return d.device(c, x)
	case metricType:
		f := &dissector.Fact{Protocol: "fhir", Kind: "device_metric", Subject: dissector.Subject{Side: c.Side}}
		a := &f.Attributes
		a.Set("type_code", code(x.values[typeCode]))
		a.Set("status", word(x.values[status]))
		a.Set("category", word(x.values[category]))
		if len(*a) == 0 {
			return nil
		}
		return f
	}
	f := &dissector.Fact{Protocol: "fhir", Kind: "capabilities", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	d.set(c, f, "product", x.values[softwareName])
	d.set(c, f, "software_version", x.values[softwareVersion])
	a.Set("fhir_version", word(x.values[fhirVersion]))
	return f
}

// device is what a Device says: nothing, where it is a patient's, or names nothing that
// would tell it from another.
func (d *document) device(c *dissector.Context, x *resource) *dissector.Fact {
	v := &x.values
	if v[ofPatient] != "" {
		c.Count("fhir_device_of_patient")
		return nil
	}
	if v[udi] == "" {
		v[udi] = v[udiText]
	}
	id := ""
	switch {
	case v[serial] != "":
		id = strings.Trim(v[manufacturer]+"^"+v[model]+"^"+v[serial], "^")
	case v[udi] != "":
		id = v[udi]
	case strings.ContainsAny(v[identifier], "0123456789"):
		id = v[identifier]
	case v[manufacturer] == "" && v[model] == "" && v[name] == "":
		return nil
	default:
		id = strings.Trim(v[manufacturer]+"^"+v[model]+"^"+v[name], "^")
	}
	if d.guard.Holds(id) {
		c.Count("fhir_identity_withheld")
		return nil
	}
	f := &dissector.Fact{Protocol: "fhir", Kind: "device", Subject: dissector.Subject{Side: dissector.Other, Equipment: id, Gateway: c.Side}}
	a := &f.Attributes
	a.Set("equipment_id", id)
	for k, name := range attributes {
		d.set(c, f, name, v[k])
	}
	a.Set("status", word(v[status]))
	a.Set("type_code", code(v[typeCode]))
	d.set(c, f, "device_type", v[typeText])
	if len(v[manufactured]) >= 10 && strings.Trim(v[manufactured][:10], "0123456789-") == "" {
		a.Set("manufactured", v[manufactured][:10])
	}
	return f
}

// set adds an attribute unless it repeats a person's identity.
func (d *document) set(c *dissector.Context, f *dissector.Fact, name, value string) {
	if d.guard.Holds(value) {
		c.Count("fhir_identity_withheld")
		return
	}
	f.Attributes.Set(name, value)
}

// word is a code of one word.
func word(s string) string {
	if len(s) > 32 || strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}) {
		return ""
	}
	return s
}

// code is a code with a digit, or one in capitals: SNOMED CT, ISO/IEEE 11073, GMDN.
func code(s string) string {
	if s = word(s); strings.ContainsAny(s, "0123456789") || s == strings.ToUpper(s) {
		return s
	}
	return ""
}
