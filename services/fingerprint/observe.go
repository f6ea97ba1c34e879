package fingerprint

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// A reading says that an attribute of an observation is a reason for something:
// under which name it is put down, and how far it is to be trusted (1 would mean
// that nobody ever configures it wrong).
type reading struct {
	attribute string // of the observation
	evidence  string
	weight    float64
}

// readings lists, by protocol, what observations tell about the endpoint that
// they are about. What a device says of itself in its own protocol is close to
// certain; a name that somebody once typed in is not.
var readings = map[string][]reading{
	"dhcp": { // RFC 2132: options 12, 55, 60; RFC 4702: option 81
		{"hostname", "hostname", 0.8},
		{"fqdn", "hostname", 0.8},
		{"vendor_class", "dhcp_vendor_class", 0.8},
		{"parameter_list", "dhcp_parameter_list", 0.7},
		{"client_arch", "dhcp_client_arch", 0.7},
		{"serial", "serial", 0.8}, // TR-069 annex G
		{"product", "dhcp_product", 0.8},
	},
	"dns":          {{"hostname", "hostname", 0.6}},
	"llmnr":        {{"hostname", "hostname", 0.7}},
	"mdns":         mdnsReadings,
	"ssdp":         ssdpReadings,
	"lldp":         lldpReadings,
	"tls":          tlsReadings,
	"http":         append(httpReadings, ntlmReadings...), // NTLM signs on over both
	"smb":          append(smbReadings, ntlmReadings...),
	"radius":       nil, // see noteAttachment
	"ssh":          {{"hassh", "hassh", 0.5}, {"hassh_server", "hassh_server", 0.5}},
	"poct1a":       poctReadings,
	"astm":         astmReadings,
	"sdc":          sdcReadings,
	"intellivue":   intellivueReadings,
	"carescape":    carescapeReadings,
	"medibus":      medibusReadings,
	"ws_discovery": wsdReadings,
	"hl7": { // HL7 v2.6: MSH-3, MSH-21, SFT-1..3; IHE PCD TF-2: OBX-18 and the MDC_ID observations
		{"sending_application", "hl7_application", 0.7},
		{"sending_facility", "hl7_facility", 0.5},
		{"profile", "hl7_profile", 0.7},
		{"vendor", "software_vendor", 0.8},
		{"product", "software_product", 0.8},
		{"software_version", "software_version", 0.9},
		{"manufacturer", "manufacturer", 0.9},
		{"model", "model", 0.9},
		{"serial", "serial", 0.9},
		{"hardware_version", "hardware_version", 0.9},
		{"equipment_id", "equipment_id", 0.9},
		{"equipment_type", "equipment_type", 0.9},
		{"device_type", "equipment_type", 0.9},
		{"location", "location", 0.8},
		{"build", "build", 0.8},
		{"part_number", "part_number", 0.9},
		{"udi", "udi", 0.9},
		{"device_uid", "device_uid", 0.9},
		{"eui64", "eui64", 0.9},
	},
	"dicom": { // DICOM PS3.3 C.7.5.1 General Equipment, PS3.7 annex D.3.3.2 implementation identification
		{"implementation_uid", "dicom_implementation_uid", 0.8},
		{"implementation_version", "dicom_implementation_version", 0.8},
		{"modality", "dicom_modality", 0.9},
		{"manufacturer", "manufacturer", 0.95},
		{"model", "model", 0.95},
		{"serial", "serial", 0.95},
		{"software_version", "software_version", 0.95},
		{"station_name", "station_name", 0.8},
		{"institution", "institution", 0.6},
		{"department", "department", 0.6},
		{"location", "location", 0.8},
		{"device_uid", "device_uid", 0.9},
		{"last_calibration", "last_calibration", 0.9},
		{"udi", "udi", 0.9},
	},
}

// The DICOM services that tell what a node is for (PS3.4), by the start of the
// SOP class UID of their abstract syntax.
var dicomServices = []struct{ prefix, service string }{
	{"1.2.840.10008.5.1.4.1.1.", "storage"},
	{"1.2.840.10008.5.1.4.1.2.", "query_retrieve"},
	{"1.2.840.10008.5.1.4.31", "worklist"},
	{"1.2.840.10008.3.1.2.3.3", "mpps"},
	{"1.2.840.10008.3.1.2.3.4", "mpps"},
	{"1.2.840.10008.3.1.2.3.5", "mpps"},
	{"1.2.840.10008.1.20.1", "storage_commitment"},
	{"1.2.840.10008.5.1.1.", "print"},
}

// observation puts down what a protocol said about its endpoint.
func (e *Endpoint) observation(tx *stream.Tx, ev *stream.Event, o *proto.Observation) {
	if o.DuplicateOfSensor != "" || o.Endpoint.IsZero() {
		return
	}
	id := o.Endpoint
	h := hosts.Edit(tx, id[:])
	if h.site == "" {
		h.site = ev.Site
	}
	news := false
	if spoke(o) {
		if o.Protocol != "arp" || o.Kind != "probe" { // RFC 5227: a probe asks whether the address is free
			news = h.address(tx, id, o.IP, o.Protocol, o.Time, o.Time)
		}
		news = h.speaks(tx, id, o.MAC, o.Time, o.Time) || news
		news = owns(tx, id, o) || news
	}
	if !passOn(tx, ev.Site, o) {
		news = note(tx, id, o) || news
		news = noteUse(tx, id, o) || news
	}
	noteTables(tx, o)
	h.sketchObservation(tx, o)
	if o.Kind == kindAttached && h.ended { // judged when the file was over, as its timers are
		e.settle(tx, id, h, true)
		return
	}
	e.changed(tx, id, h, news)
}

// spoke reports whether the observation shows the endpoint itself at work, and
// not only what somebody else answered about it.
func spoke(o *proto.Observation) bool {
	if o.Kind == kindAttached { // a table may hold on to who has gone; a log tells of a moment
		return o.Protocol == "syslog"
	}
	switch o.Protocol {
	case "dns", "llmnr":
		return o.Kind != "name"
	case "snmp":
		return o.Kind != "engine"
	case "netbios":
		return o.Kind != "name"
	case "dhcpv6":
		return o.Kind != "advertise" || o.Attributes.Get("role") == "server"
	case "mdns":
		// The rest may be said for another, and whoever says it has said one of these too.
		return o.Kind == "query" || o.Kind == "response"
	case "dhcp":
		switch o.Kind {
		case "offer", "ack", "nak":
			return o.Attributes.Get("role") == "server" || o.Kind == "ack"
		}
	}
	return true
}

// note adds the evidence of an observation, and reports whether any of it is new.
func note(tx *stream.Tx, id proto.ID, o *proto.Observation) bool {
	if _, known := allReadings[o.Protocol]; !known || !ofItself(o) {
		return false
	}
	news := false
	put := func(attribute, value string, weight float64) {
		if attribute == "tls_sni" {
			if p := profiles.Get(tx, id[:]); p != nil && !p.room(attribute, clean(value), o.Protocol) {
				return // a person's computer asks for ever new ones
			}
		}
		news = noted(tx, id, proto.Evidence{Attribute: attribute, Value: value, Protocol: o.Protocol, First: o.Time, Last: o.Time, Weight: weight}) || news
	}
	read(o, put)
	if !o.Gateway.IsZero() {
		if p := profiles.Get(tx, id[:]); p == nil || p.gateway != o.Gateway {
			writeProfile(tx, id).gateway, news = o.Gateway, true
		}
	}
	return news
}

// read gives the evidence that is in an observation.
func read(o *proto.Observation, put func(attribute, value string, weight float64)) {
	for _, r := range allReadings[o.Protocol] {
		value := o.Attributes.Get(r.attribute)
		if r.evidence == "hostname" {
			value = strings.TrimSuffix(strings.TrimSuffix(value, "."), ".local") // RFC 6762: a link's own suffix is no part of the name
			if strings.HasPrefix(value, "*") {                                   // NetBIOS: whatever your name is
				continue
			}
		}
		put(r.evidence, value, r.weight)
	}
	noteAttachment(o, put)
	switch o.Protocol {
	case "dicom":
		noteDICOM(o, put)
	case "bacnet", "profinet":
		noteControl(o, put)
	case "dhcp":
		if o.Attributes.Get("role") == "server" {
			put(attrServer, "dhcp", weightContent)
		}
		if duid, is := strings.CutPrefix(o.Attributes.Get("client_id"), "ff"); is && len(duid) > iaidDigits {
			put("dhcp_duid", duid[iaidDigits:], 0.8) // RFC 4361: the same for all interfaces of a host
		}
	case "hl7":
		noteHL7(o, put)
	case "mdns":
		noteMDNS(o, put)
	case "ssdp":
		noteSSDP(o, put)
	case "lldp":
		noteLLDP(o, put)
		noteManagement(o, put)
	case "ssh":
		noteSSH(o, put)
	case "poct1a", "astm", "sdc", "intellivue", "carescape", "medibus":
		noteClinical(o, put)
	case "ws_discovery":
		noteWSD(o, put)
	default:
		noteMore(o, put)
	}
}

// iaidDigits are the hex digits of the interface's own part of a DHCP client
// identifier, before the DUID (RFC 4361 6.1).
const iaidDigits = 8

// noteDICOM reads the endpoint's own AE title, and the services that it asks for
// (scu) or gives (scp).
func noteDICOM(o *proto.Observation, put func(string, string, float64)) {
	role, own := o.Attributes.Get("role"), "calling_ae"
	if role == "scp" {
		own = "called_ae"
	}
	if role == "" || o.Kind == "associate_rj" || o.Kind == "abort" {
		return // a title that was refused is none
	}
	put("ae_title", strings.TrimSpace(o.Attributes.Get(own)), 0.9)
	said := map[string]bool{}
	for _, uid := range o.Attributes.List("abstract_syntaxes") {
		for _, s := range dicomServices {
			if strings.HasPrefix(uid, s.prefix) && !said[s.service] {
				said[s.service] = true
				put("dicom_service", s.service+"_"+role, 0.9)
			}
		}
	}
}

// noteHL7 reads who sends device data and who takes messages.
func noteHL7(o *proto.Observation, put func(string, string, float64)) {
	switch {
	case o.Kind == "ack" || strings.HasPrefix(o.Kind, "ack_"):
		put("hl7_role", "receiver", 0.8)
	case o.Kind == "equipment":
		for _, m := range o.Attributes.List("modules") {
			put("module", m, 0.9)
		}
	case o.Kind == "alarm" || o.Kind == "program" || o.Kind == "xml" || o.Kind == "messages":
	default:
		put("hl7_role", "sender_"+o.Kind, 0.8)
	}
}
