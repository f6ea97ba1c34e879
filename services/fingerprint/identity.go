package fingerprint

import (
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// What the protocols of a first look tell: discovery on the link (mDNS, SSDP,
// LLDP), and what clients and servers call themselves (TLS, HTTP, SSH, SMB).

// mdnsReadings: RFC 6763 attributes, as their makers document them.
var mdnsReadings = []reading{
	{"hostname", "hostname", 0.7},
	{"manufacturer", "manufacturer", 0.8},
	{"model", "model", 0.8},
	{"product", "mdns_product", 0.8},
	{"serial", "serial", 0.85},
	{"firmware_version", "software_version", 0.8},
	{"hardware_version", "hardware_version", 0.8},
	{"os_version", "os_version", 0.7},
	{"darwin_version", "darwin_version", 0.8},
	{"os", "host_os", 0.7},
	{"device_uid", "device_uid", 0.8},
	{"hap_category", "hap_category", 0.9},
}

// ssdpReadings: UPnP Device Architecture 2.0.
var ssdpReadings = []reading{
	{"server", "upnp_server", 0.8},
	{"device_uid", "device_uid", 0.7},
	{"manufacturer", "manufacturer", 0.85},
	{"model", "model", 0.85},
	{"user_agent", "user_agent", 0.5},
	{"bridge_id", "hue_bridge", 0.9},
}

// lldpReadings: IEEE 802.1AB, and the inventory of ANSI/TIA-1057, which the maker
// writes into the device.
var lldpReadings = []reading{
	{"system_name", "hostname", 0.9},
	{"system_description", "system_description", 0.95},
	{"med_class", "lldp_class", 0.9},
	{"manufacturer", "manufacturer", 0.95},
	{"model", "model", 0.95},
	{"serial", "serial", 0.95},
	{"hardware_version", "hardware_version", 0.95},
	{"software_version", "software_version", 0.95},
	{"firmware_version", "firmware_version", 0.95},
	{"asset_id", "asset_id", 0.8},
	{"mud_url", "mud_url", 0.9},
}

// tlsReadings: fingerprints of a client are kept for those who compare them; what
// they mean changes with each release of a library, and no signature says it.
var tlsReadings = []reading{
	{"ja3", "ja3", 0.5},
	{"ja4", "ja4", 0.5},
	{"sni", "tls_sni", 0.4},
	{"certificate_subject", "certificate_subject", 0.6},
	{"certificate_organization", "certificate_organization", 0.6},
	{"certificate_issuer_organization", "certificate_issuer", 0.5},
}

// httpReadings: RFC 9110 10.1.5 and 10.2.4.
var httpReadings = []reading{
	{"user_agent", "user_agent", 0.6},
	{"server", "http_server", 0.8},
	{"powered_by", "http_powered_by", 0.6},
	{"realm", "http_realm", 0.6},
}

var smbReadings = []reading{
	{"native_os", "native_os", 0.8},
}

// ntlmReadings: MS-NLMP 2.2.1.2 and 2.2.2.10.
var ntlmReadings = []reading{
	{"computer_name", "hostname", 0.8},
	{"dns_computer_name", "hostname", 0.8},
	{"dns_domain", "domain", 0.8},
	{"netbios_domain", "domain", 0.7},
	{"os_version", "ntlm_version", 0.8},
}

// noteMDNS reads the types of services that a host has. What it asks for is more
// often its user's wish than its nature.
func noteMDNS(o *proto.Observation, put func(string, string, float64)) {
	switch o.Kind {
	case "service":
		put("mdns_service", o.Attributes.Get("service_type"), 0.9)
	case "response":
		for _, s := range o.Attributes.List("service_types") {
			put("mdns_service", s, 0.8)
		}
	}
}

// noteSSDP reads what a device announces that it is. A search names what somebody
// looks for: a camera asks for its router.
func noteSSDP(o *proto.Observation, put func(string, string, float64)) {
	if o.Kind != "search" {
		put("upnp_device", o.Attributes.Get("device_type"), 0.8)
	}
}

// noteLLDP reads what a node does, and, of one that is at the end of a wire, where
// the wire ends. What a switch says of places is about the other end.
func noteLLDP(o *proto.Observation, put func(string, string, float64)) {
	for _, s := range o.Attributes.List("capabilities_enabled") {
		put("lldp_capability", s, 0.9)
	}
	if strings.HasPrefix(o.Attributes.Get("med_class"), "endpoint") {
		put("location", o.Attributes.Get("location"), 0.8)
	}
}

// noteSSH reads the banner as it was sent, software and comment. A client's says
// less: it may run in a guest of the host.
func noteSSH(o *proto.Observation, put func(string, string, float64)) {
	if o.Kind != "banner" {
		return
	}
	weight := 0.8
	if o.Attributes.Get("role") == "client" {
		weight = 0.4
	}
	put("ssh_software", strings.TrimSpace(o.Attributes.Get("software")+" "+o.Attributes.Get("comment")), weight)
}
