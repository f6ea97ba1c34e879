package fingerprint

import (
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The kinds of role: what an endpoint was seen to be in a flow, and how its
// protocol was known.
const (
	serverByContent = iota
	clientByContent
	serverByPort
	clientByPort
	roleKinds
)

// The evidence attributes of roles; the value is a protocol.
const (
	attrServer = "server"
	attrClient = "client"
)

// The weights of roles. A port is only where a protocol is expected.
const (
	weightContent = 0.9
	weightPort    = 0.4
)

// roleSet marks the roles that have been put down in the present window, one bit
// a protocol, so that a flow of a known role costs no more than this look.
type roleSet [roleKinds]uint64

// roleWindow is how often one role is counted at most.
const roleWindow = 5 * 60 * 1e9

// protocolBits numbers the protocols that say something about what an endpoint
// is for; at most 64.
var protocolBits = func() map[string]uint {
	m := map[string]uint{}
	for i, name := range strings.Fields(`dns dhcp ntp smb ssh http tls snmp hl7 dicom bacnet modbus ipp jetdirect lpd ldap
		kerberos rdp vnc syslog mqtt sip rtsp telnet ftp tftp nfs tds mysql postgresql oracle radius smtp intellivue astm poct1a
		sdc carescape opcua enip s7comm dnp3 knx netbios dhcpv6 alaris quic rpc rtp ssdp ws_discovery mdns lldp fox
		iec104 mms hart_ip`) {
		m[name] = uint(i)
	}
	return m
}()

// registered are the ports of medical protocols that no dissector knows by
// content: the name that IANA has for the port.
var registered = map[uint16]string{
	3613: "alaris", // alaris-disc, Alaris Device Discovery
}

// roleOf gives what a flow says about one of its ends.
func roleOf(f *proto.Flow, asServer bool) (protocol string, byContent, ok bool) {
	protocol, byContent = f.Protocol, f.ProtocolBy == proto.ByContent || f.ProtocolBy == proto.ByContext
	if protocol == "" || protocol == "unknown" {
		if protocol = registered[f.DstPort]; protocol == "" {
			protocol = registered[f.SrcPort]
		}
		byContent = false
	}
	switch {
	case protocol == "":
		return "", false, false
	case slices.Contains(f.ProtocolInner, "ipp"): // printing over HTTP, RFC 8010
		protocol = "ipp"
	}
	if !byContent && (f.DstPackets == 0 || f.SrcPackets == 0 || (f.Transport == proto.TCP && f.SrcPayloadBytes+f.DstPayloadBytes == 0)) {
		return "", false, false // nobody answered, or nothing was said
	}
	return protocol, byContent, !asServer || f.DstPackets > 0 || reversed(f)
}

// reversed reports that the capture began inside the flow with a packet of the
// server: then its source is no client. Zeek's OTH says that no handshake was seen.
func reversed(f *proto.Flow) bool {
	if f.Transport == proto.TCP && f.State != "OTH" {
		return false
	}
	if _, known := registered[f.SrcPort]; known || (f.SrcPort == 67 && f.DstPort == 68) {
		return true
	}
	return f.SrcPort < f.DstPort && f.SrcPort != 0 && f.DstPort >= 1024 && (f.SrcPort < 1024 || f.DstPort >= 32768)
}

// role puts down what a flow says about its end's role, once a window, and
// reports whether it is news.
func (h *host) role(tx *stream.Tx, id proto.ID, f *proto.Flow, asServer bool) bool {
	protocol, byContent, ok := roleOf(f, asServer)
	if !ok {
		return false
	}
	bit, ok := protocolBits[protocol]
	if !ok {
		return false
	}
	if reversed(f) {
		asServer = !asServer
	}
	kind, attribute, weight := serverByContent, attrServer, weightContent
	if !asServer {
		kind, attribute = clientByContent, attrClient
	}
	if !byContent {
		kind, weight = kind+serverByPort, weightPort
	}
	if w := int64(f.End) / roleWindow; w > h.window {
		h.window, h.seen = w, roleSet{}
	}
	if h.seen[kind]&(1<<bit) != 0 {
		return false
	}
	h.seen[kind] |= 1 << bit
	return noted(tx, id, proto.Evidence{Attribute: attribute, Value: protocol, Protocol: protocol, First: f.End, Last: f.End, Weight: weight})
}
