package capture

import (
	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/proto"
)

// transports are the protocols that the IP header names by itself (IANA protocol
// numbers).
var transports = map[proto.Transport]string{
	proto.ICMP: "icmp", proto.ICMP6: "icmp6", 2: "igmp", 4: "ipip", 41: "ipv6", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah",
	88: "eigrp", 89: "ospf", 103: "pim", 112: "vrrp", 115: "l2tp",
}

// label names the protocol of a flow of which no dissector has said anything. The
// port is asked only where the flow has carried nothing: of what it did carry the
// dissectors have made what can be made, their own guess included.
func label(e *flow.Entry) (name, by string) {
	if t := e.Transport(); t == proto.ICMP6 && e.SrcPort() >= 133 && e.SrcPort() <= 137 { // RFC 4861
		return "ndp", proto.ByContent
	} else if name := transports[t]; name != "" {
		return name, proto.ByContent
	}
	if !e.HasPayload() {
		list := ports[e.Transport()]
		for _, port := range [...]uint16{e.DstPort(), e.SrcPort()} {
			if name := list[port]; name != "" {
				return name, proto.ByPort
			}
		}
	}
	return "unknown", ""
}

// ports are where the protocols of outputs.md are at home (IANA service names, or
// the vendor's documentation).
var ports = map[proto.Transport]map[uint16]string{
	proto.TCP: {
		21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "dns", 80: "http", 88: "kerberos", 102: "s7comm", 104: "dicom",
		111: "rpc", 139: "netbios", 389: "ldap", 443: "tls", 445: "smb", 502: "modbus", 514: "syslog", 515: "lpd", 554: "rtsp",
		587: "smtp", 631: "ipp", 636: "tls", 853: "tls", 1433: "tds", 1521: "oracle", 1883: "mqtt", 2049: "nfs", 2575: "hl7",
		2762: "tls", 3306: "mysql", 3389: "rdp", 4840: "opcua", 5060: "sip", 5432: "postgresql", 5900: "vnc", 8080: "http",
		8443: "tls", 8883: "tls", 9100: "jetdirect", 11112: "dicom", 20000: "dnp3", 44818: "enip",
	},
	proto.UDP: {
		53: "dns", 67: "dhcp", 68: "dhcp", 69: "tftp", 88: "kerberos", 111: "rpc", 123: "ntp", 137: "netbios", 138: "netbios",
		161: "snmp", 162: "snmp", 389: "ldap", 443: "quic", 514: "syslog", 546: "dhcpv6", 547: "dhcpv6", 1812: "radius",
		1813: "radius", 1900: "ssdp", 2222: "enip", 3671: "knx", 3702: "ws_discovery", 5060: "sip", 5353: "mdns", 5355: "llmnr",
		20000: "dnp3", 24005: "intellivue", 24105: "intellivue", 44818: "enip", 47808: "bacnet",
	},
}
