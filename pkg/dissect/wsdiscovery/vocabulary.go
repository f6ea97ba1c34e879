package wsdiscovery

import "github.com/wardflow/wardflow/pkg/dissect/xmlscan"

// The elements that are read.
const (
	envelope xmlscan.Name = iota + 1
	header
	body
	action
	sequence
	hello
	bye
	probe
	resolve
	probeMatches
	resolveMatches
	probeMatch
	resolveMatch
	reference
	address
	types
	scopes
	xaddrs
	version
)

// The namespaces. Types of those from named on have a usual prefix.
const (
	soap xmlscan.Space = iota + 1
	addressing
	discovery
	named
)

var vocabulary = &xmlscan.Vocabulary{
	Names: map[string]xmlscan.Name{
		"Envelope": envelope, "Header": header, "Body": body, "Action": action, "AppSequence": sequence,
		"Hello": hello, "Bye": bye, "Probe": probe, "Resolve": resolve, "ProbeMatches": probeMatches, "ResolveMatches": resolveMatches,
		"ProbeMatch": probeMatch, "ResolveMatch": resolveMatch, "EndpointReference": reference, "Address": address,
		"Types": types, "Scopes": scopes, "XAddrs": xaddrs, "MetadataVersion": version,
	},
	Spaces: map[string]xmlscan.Space{
		"http://www.w3.org/2003/05/soap-envelope":                    soap,
		"http://schemas.xmlsoap.org/soap/envelope/":                  soap,
		"http://www.w3.org/2005/08/addressing":                       addressing,
		"http://schemas.xmlsoap.org/ws/2004/08/addressing":           addressing,
		"http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01":      discovery,
		"http://schemas.xmlsoap.org/ws/2005/04/discovery":            discovery,
		"http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01":           named,
		"http://schemas.xmlsoap.org/ws/2006/02/devprof":              named,
		"http://standards.ieee.org/downloads/11073/11073-20702-2016": named + 1,
		"http://schemas.microsoft.com/windows/pub/2005/07":           named + 2,
		"http://schemas.microsoft.com/windows/2006/08/wdp/print":     named + 3,
		"http://schemas.microsoft.com/windows/2006/08/wdp/scan":      named + 4,
		"http://www.onvif.org/ver10/network/wsdl":                    named + 5,
		"http://www.onvif.org/ver10/device/wsdl":                     named + 6,
	},
}

// prefixes are the usual ones of the namespaces from named on.
var prefixes = []string{"dpws", "mdpws", "pub", "wprt", "wscn", "dn", "tds"}

// kinds are the messages, as facts have them.
var kinds = map[xmlscan.Name]string{
	hello:          "hello",
	bye:            "bye",
	probe:          "probe",
	resolve:        "resolve",
	probeMatches:   "probe_matches",
	resolveMatches: "resolve_matches",
}

// actions are the ends of the action URIs.
var actions = map[string]xmlscan.Name{
	"Hello": hello, "Bye": bye, "Probe": probe, "Resolve": resolve, "ProbeMatches": probeMatches, "ResolveMatches": resolveMatches,
}
