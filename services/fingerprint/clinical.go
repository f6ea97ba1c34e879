package fingerprint

import (
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// What protocols of care tell besides HL7 and DICOM, and WS-Discovery, by which SDC's
// devices announce themselves.

// poctReadings: CLSI POCT1-A2, the DEV object of the hello message.
var poctReadings = []reading{
	{"manufacturer", "manufacturer", 0.95},
	{"model", "model", 0.95},
	{"device_name", "model", 0.6}, // where a model's id is missing, makers put its name here
	{"serial", "serial", 0.95},
	{"hardware_version", "hardware_version", 0.95},
	{"software_version", "software_version", 0.95},
	{"device_uid", "device_uid", 0.8},
}

// astmReadings: CLSI LIS2-A2, H-5, whose components their form tells apart.
var astmReadings = []reading{
	{"manufacturer", "manufacturer", 0.8},
	{"model", "model", 0.8},
	{"serial", "serial", 0.85},
	{"software_version", "software_version", 0.85},
}

// sdcReadings: DPWS 1.1 section 5; IEEE 11073-10207; IEEE 11073-20701 scopes.
var sdcReadings = []reading{
	{"manufacturer", "manufacturer", 0.95},
	{"model", "model", 0.95},
	{"serial", "serial", 0.95},
	{"hardware_version", "hardware_version", 0.95},
	{"software_version", "software_version", 0.95},
	{"firmware_version", "software_version", 0.9},
	{"equipment_type", "equipment_type", 0.9},
	{"location", "location", 0.85},
	{"institution", "institution", 0.6},
	{"udi", "udi", 0.9},
	{"model_number", "model_number", 0.9},
	{"device_uid", "device_uid", 0.9},
}

// intellivueReadings: Philips' Data Export Interface Programming Guide.
var intellivueReadings = []reading{
	{"manufacturer", "manufacturer", 0.95},
	{"model", "model", 0.95},
	{"serial", "serial", 0.95},
	{"hardware_version", "hardware_version", 0.95},
	{"software_version", "software_version", 0.95},
	{"equipment_type", "equipment_type", 0.9},
	{"eui64", "equipment_id", 0.9},
	{"part_number", "part_number", 0.9},
	{"location", "location", 0.8},
}

var carescapeReadings = []reading{
	{"location", "location", 0.8},
}

var medibusReadings = []reading{
	{"model", "model", 0.9},
	{"software_version", "software_version", 0.9},
}

// wsdReadings: ONVIF Core Specification 7.3.2.2; DPWS 1.1 section 5; PnP-X of Windows.
var wsdReadings = []reading{
	{"manufacturer", "manufacturer", 0.8},
	{"model", "model", 0.85},
	{"model_number", "model_number", 0.8},
	{"serial", "serial", 0.85},
	{"firmware_version", "software_version", 0.8},
	{"device_uid", "device_uid", 0.7},
	{"location", "location", 0.5},
	{"computer_name", "hostname", 0.85},
	{"netbios_domain", "domain", 0.7},
	{"os", "os", 0.8},
}

// noteClinical reads which of a protocol's two parts an endpoint plays. Whoever only
// commands need not be what should command: that is for the detections.
func noteClinical(o *proto.Observation, put func(string, string, float64)) {
	role := o.Attributes.Get("role")
	switch {
	case role == "":
	case role == "data_manager" && o.Kind != "req_r01" && o.Kind != "ack_r01":
	case role == "client" && o.Kind != "associate_rq":
	case role == "consumer" && o.Kind == "operation":
	default:
		put("clinical_role", o.Protocol+"_"+role, 0.9)
	}
}

// noteWSD reads what a device announces that it is; a probe says what somebody looks
// for.
func noteWSD(o *proto.Observation, put func(string, string, float64)) {
	if o.Attributes.Get("role") != "server" {
		return
	}
	for _, s := range o.Attributes.List("types") {
		put("wsd_type", s, 0.85)
	}
}

// place is under which spellings of a location count as one: HL7 has W3^B08 where a
// bed's label has W3-B08.
func place(value string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if strings.ContainsRune("^-_/ .", r) {
			return -1
		}
		return r
	}, value))
}
