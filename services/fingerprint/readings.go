package fingerprint

import (
	"maps"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// What the rest of the protocols tell of a device: management, directories, remote
// hands, mail, telephones, cameras and printers.

// allReadings are the readings of every protocol.
var allReadings = func() map[string][]reading {
	all := map[string][]reading{}
	for _, m := range []map[string][]reading{readings, controlReadings, databaseReadings, managementReadings, officeReadings} {
		maps.Copy(all, m)
	}
	return all
}()

// neighbourReadings: what Cisco's and Foundry's discovery tell of the sender.
var neighbourReadings = []reading{
	{"system_name", "hostname", 0.9},
	{"platform", "platform", 0.9},
	{"manufacturer", "manufacturer", 0.9},
	{"model", "model", 0.95},
	{"serial", "serial", 0.95},
	{"system_description", "system_description", 0.95},
}

// managementReadings are those of protocols by which devices are run.
var managementReadings = map[string][]reading{
	"cdp": neighbourReadings,
	"fdp": neighbourReadings,
	"snmp": { // RFC 3418, 6933, 3805, and the makers' own objects that hold the like
		{"system_description", "system_description", 0.95},
		{"object_id", "snmp_object_id", 0.9},
		{"enterprise", "snmp_enterprise", 0.9},
		{"engine_enterprise", "snmp_enterprise", 0.6}, // of the agent's program, often Net-SNMP
		{"engine_id", "snmp_engine", 0.8},
		{"system_name", "hostname", 0.85},
		{"location", "location", 0.75}, // somebody typed it in
		{"manufacturer", "manufacturer", 0.9},
		{"model", "model", 0.95},
		{"serial", "serial", 0.95},
		{"hardware_version", "hardware_version", 0.95},
		{"software_version", "software_version", 0.95},
		{"firmware_version", "firmware_version", 0.9},
		{"device_description", "device_description", 0.7},
	},
	"ntp": { // RFC 9327: the variables of a server
		{"software", "server_software", 0.7},
		{"os", "ntp_system", 0.8},
		{"cpu", "cpu", 0.7},
	},
	"syslog": { // RFC 3164, 5424; a relay hands on what others said
		{"hostname", "hostname", 0.6},
		{"syslog_version", "syslog_form", 0.6},
		{"software", "server_software", 0.6},
	},
	"dhcpv6": { // RFC 8415: options 6, 16, 39
		{"fqdn", "hostname", 0.8},
		{"vendor_class", "dhcp_vendor_class", 0.8},
		{"parameter_list", "dhcpv6_parameter_list", 0.6},
		{"client_id", "dhcp_duid", 0.8},
	},
	"radius": { // RFC 2865: of the station that logs in
		{"hostname", "hostname", 0.7},
		{"vendor_class", "dhcp_vendor_class", 0.8},
		{"port_type", "access", 0.8},
	},
	"netbios": { // RFC 1002, MS-BRWS
		{"computer_name", "hostname", 0.85},
		{"netbios_domain", "domain", 0.7},
	},
	"kerberos": {
		{"computer_name", "hostname", 0.8},
		{"realm", "domain", 0.7},
	},
	"ldap": append([]reading{ // RFC 4512 5.1, MS-ADTS 3.1.1.3.2
		{"manufacturer", "software_vendor", 0.6},
		{"software_version", "directory_version", 0.7},
	}, ntlmReadings[:len(ntlmReadings)-1]...), // its os_version is a level, not a build
	"dcerpc": ntlmReadings,
	"rdp": {
		{"computer_name", "hostname", 0.8},
	},
	"vnc": {
		{"vnc_version", "vnc_version", 0.6},
	},
	"x11": {
		{"manufacturer", "server_software", 0.5},
	},
	"tcp": {
		{"stack", "tcp_stack", 0.6},
		{"stack_server", "tcp_stack_server", 0.6},
	},
}

// bannerReadings: what a greeting says of the machine behind it. Its software is the
// service's, of which a device may have many.
func bannerReadings(banner string) []reading {
	return []reading{
		{"banner", banner, 0.7},
		{"hostname", "hostname", 0.7},
		{"manufacturer", "manufacturer", 0.75},
		{"model", "model", 0.75},
		{"os", "os", 0.75},
		{"os_version", "os_version", 0.75},
	}
}

var officeReadings = map[string][]reading{
	"ftp":    bannerReadings("ftp_banner"),
	"telnet": bannerReadings("telnet_banner"),
	"smtp":   append(bannerReadings("smtp_banner"), ntlmReadings[:2]...),
	"pop3":   append(bannerReadings("pop3_banner"), ntlmReadings[:2]...),
	"imap":   append(bannerReadings("imap_banner"), ntlmReadings[:2]...),
	"sip": {
		{"user_agent", "sip_agent", 0.8},
		{"server", "sip_agent", 0.8},
	},
	"rtsp": {
		{"server", "rtsp_server", 0.8},
		{"realm", "rtsp_realm", 0.6},
	},
	"quic": append([]reading{{"user_agent", "user_agent", 0.6}}, tlsReadings...),
	"amqp": {
		{"software", "server_software", 0.6},
		{"platform", "ntp_system", 0.5},
	},
	"upnp": { // UPnP Device Architecture 2.0, 2.3
		{"manufacturer", "manufacturer", 0.85},
		{"model", "model", 0.85},
		{"model_number", "model_number", 0.85},
		{"serial", "serial", 0.85},
		{"device_uid", "device_uid", 0.7},
	},
	"ipp": { // RFC 8011; IEEE 1284 identification
		{"manufacturer", "manufacturer", 0.95},
		{"model", "model", 0.95},
		{"serial", "serial", 0.9},
		{"firmware_version", "software_version", 0.9},
		{"device_uid", "device_uid", 0.8},
	},
	"fhir": { // HL7 FHIR: Device; of a server, what it is
		{"manufacturer", "manufacturer", 0.9},
		{"model", "model", 0.9},
		{"serial", "serial", 0.9},
		{"software_version", "software_version", 0.85},
		{"part_number", "part_number", 0.9},
		{"equipment_id", "equipment_id", 0.9},
		{"udi", "udi", 0.9},
		{"device_type", "equipment_type", 0.8},
	},
	"dicomweb": readings["dicom"],
}

// ofItself reports that an observation's attributes are about its subject, and not
// about somebody that it talks of.
func ofItself(o *proto.Observation) bool {
	role := o.Attributes.Get("role")
	if o.Kind == kindAttached {
		return true
	}
	switch o.Protocol {
	case "snmp":
		return role == "server" // a manager has nothing to say of itself
	case "kerberos":
		return role == "client" // the answer names the client
	case "radius":
		return o.Kind == "station"
	case "netbios":
		return role != "client"
	case "fhir": // a server's product is a program
		return o.Kind == "device"
	case "sip":
		return o.Attributes.Get("relayed") == ""
	}
	return true
}

// noteMore reads the lists, and what is put together of several attributes.
func noteMore(o *proto.Observation, put func(string, string, float64)) {
	a := &o.Attributes
	switch o.Protocol {
	case "cdp", "fdp":
		noteManagement(o, put)
		for _, s := range a.List("capabilities") {
			put("cdp_capability", s, 0.9)
		}
		if a.Get("system_name") == "" {
			put("hostname", a.Get("device_id"), 0.8)
		}
	case "netbios":
		for _, s := range a.List("roles") {
			put("netbios_role", s, 0.8)
		}
	case "ldap":
		put("directory_level", a.Get("os_version"), 0.7)
		if o.Kind == "root_dse" || o.Kind == "netlogon" {
			put("netbios_role", "domain_controller", 0.7)
		}
	case "upnp":
		for _, s := range a.List("device_types") {
			put("upnp_device", s, 0.85)
		}
	case "opcua":
		if role := a.Get("role"); role == "server" {
			put("opcua_application", a.Get("application_type"), 0.7)
		}
	case "dicomweb":
		if o.Kind == "request" {
			put("dicom_service", "dicomweb_scu", 0.9)
		}
	}
	if banner := a.Get("software"); banner != "" && slices.Contains([]string{"ftp", "telnet", "smtp", "pop3", "imap"}, o.Protocol) {
		put("server_software", strings.TrimSpace(banner+" "+a.Get("software_version")), 0.7)
	}
}

// noteManagement reads where a network device is managed, the same on each of its ports,
// and which MAC the port has that it speaks from.
func noteManagement(o *proto.Observation, put func(string, string, float64)) {
	put("port_mac", o.Attributes.Get("frame_mac"), 0.9)
	for _, ip := range o.Attributes.List("management_ips") {
		put("management_ip", ip, 0.8)
	}
}
