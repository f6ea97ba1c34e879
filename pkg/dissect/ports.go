package dissect

import (
	"slices"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// ports are the last-resort labels of flows whose content told nothing: the
// well-known port of the protocols that outputs.md names (IANA, or the vendor's
// documentation). Ports of the registered protocols come from themselves.
var ports = map[proto.Transport]map[uint16]string{
	proto.TCP: {
		20: "ftp_data", 102: "s7comm", 111: "rpc", 139: "netbios",
		502: "modbus", 514: "syslog", 631: "ipp", 1433: "tds",
		1521: "oracle", 2049: "nfs", 3306: "mysql", 4840: "opcua", 5432: "postgresql",
		20000: "dnp3", 44818: "enip",
	},
	proto.UDP: {
		69: "tftp", 111: "rpc", 123: "ntp", 137: "netbios", 138: "netbios", 161: "snmp", 162: "snmp",
		443: "quic", 514: "syslog", 546: "dhcpv6", 547: "dhcpv6",
		2222: "enip", 3671: "knx", 3702: "ws_discovery", 20000: "dnp3", 24005: "intellivue", 24105: "intellivue",
		44818: "enip", 47808: "bacnet",
	},
}

// PortName is the protocol that is at home on a port, "" for none: a guess and
// nothing more.
func PortName(t proto.Transport, port uint16) string { return portName(protocols, t, port) }

func portName(own []*dissector.Protocol, t proto.Transport, port uint16) string {
	for _, p := range own {
		if (t == proto.UDP && p.Datagram != nil || t == proto.TCP && p.NewStream != nil) && slices.Contains(p.Ports, port) {
			return p.Name
		}
	}
	return ports[t][port]
}

// guess labels a flow by its port, the opened side's first.
func (e *Engine) guess(p *Packet) {
	f, h := p.Flow, p.Headers
	if f.Protocol != "" {
		return
	}
	server, client := h.DstPort, h.SrcPort
	if !p.FromSrc {
		server, client = client, server
	}
	own := e.streams.list
	if h.Transport == proto.UDP {
		own = e.datagrams.list
	}
	name := portName(own, h.Transport, server)
	if name == "" {
		name = portName(own, h.Transport, client)
	}
	if name != "" {
		f.Protocol, f.By = name, proto.ByPort
	}
}

// withdraw takes a guess back that the content has refuted: the whole beginning
// was seen, and the protocol that the port stands for did not know it.
func (e *Engine) withdraw(f *Flow, midstream bool) {
	if midstream || f.By != proto.ByPort {
		return
	}
	for _, p := range e.streams.list {
		if p.Name == f.Protocol {
			f.Protocol, f.By = "", ""
		}
	}
}
