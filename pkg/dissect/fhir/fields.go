package fhir

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

// field is what a value is for.
type field uint8

const (
	nothing field = iota
	resourceType
	manufacturer
	model
	name
	serial
	lot
	partNumber
	version
	udi
	udiText
	typeCode
	typeText
	status
	identifier
	manufactured
	softwareName
	softwareVersion
	fhirVersion
	observing // an observation's device
	category
	ofPatient // a device's patient
	person    // of whoever: to compare with
	fieldCount
)

// paths are the fields by their path within a resource; what is not here is not read.
var paths = map[string]field{
	"resourceType":                resourceType,
	"manufacturer":                manufacturer,
	"modelNumber":                 model,
	"model":                       model,
	"deviceName.name":             name,
	"displayName":                 name,
	"udi.name":                    name,
	"serialNumber":                serial,
	"lotNumber":                   lot,
	"partNumber":                  partNumber,
	"version":                     version,
	"version.value":               version,
	"udiCarrier.deviceIdentifier": udi,
	"udi.deviceIdentifier":        udi,
	"udiCarrier.carrierHRF":       udiText,
	"udi.carrierHRF":              udiText,
	"type.coding.code":            typeCode,
	"type.coding.display":         typeText,
	"status":                      status,
	"operationalStatus":           status,
	"manufactureDate":             manufactured,
	"software.name":               softwareName,
	"software.version":            softwareVersion,
	"fhirVersion":                 fhirVersion,
	"device.reference":            observing,
	"device.display":              observing,
	"device.identifier.value":     observing,
	"category":                    category,
	"patient.reference":           ofPatient,
	"subject.reference":           ofPatient,
}

// In R5 a device's name is name.value, and identifier.value may be its serial; a person
// has the same fields.
func fieldOf(path []byte, kind int) field {
	if f := paths[string(path)]; f != nothing {
		return f
	}
	switch string(path) {
	case "name.value":
		if kind == deviceType {
			return name
		}
	case "identifier.value":
		if kind == deviceType {
			return identifier
		}
	}
	first, rest, _ := strings.Cut(string(path), ".")
	switch {
	case persons[kind] && (first == "name" || first == "identifier" || first == "telecom" || first == "address" || first == "contact"):
		return person
	case people[first] && (rest == "display" || rest == "identifier.value"):
		return person
	}
	return nothing
}

// The types that are treated apart.
var (
	deviceType      = types["Device"]
	metricType      = types["DeviceMetric"]
	capabilityType  = types["CapabilityStatement"]
	conformanceType = types["Conformance"]
	observationType = types["Observation"]

	// persons are the types whose names and numbers are to be compared with; a resource
	// that has not said its type yet may be one.
	persons = map[int]bool{0: true, types["Patient"]: true, types["Practitioner"]: true, types["RelatedPerson"]: true, types["Person"]: true}
)

// people are the elements that refer to somebody.
var people = func() map[string]bool {
	m := map[string]bool{}
	for _, s := range strings.Fields("patient subject performer author practitioner requester recorder asserter informant who actor individual participant recipient sender source owner beneficiary") {
		m[s] = true
	}
	return m
}()

// vocabulary is what is known of XML: the elements of the paths, those of persons, and the
// types.
var vocabulary, elementNames = func() (*xmlscan.Vocabulary, []string) {
	names := []string{""}
	v := &xmlscan.Vocabulary{Names: map[string]xmlscan.Name{}, Spaces: map[string]xmlscan.Space{"http://hl7.org/fhir": 1}}
	add := func(s string) {
		if v.Names[s] == 0 {
			v.Names[s] = xmlscan.Name(len(names))
			names = append(names, s)
		}
	}
	for p := range paths {
		for s := range strings.SplitSeq(p, ".") {
			add(s)
		}
	}
	for s := range people {
		add(s)
	}
	for _, s := range strings.Fields("name contact family given prefix suffix text value identifier telecom address line city postalCode display reference entry resource contained parameter coding code") {
		add(s)
	}
	for _, s := range typeNames[1:] {
		add(s)
	}
	return v, names
}()
