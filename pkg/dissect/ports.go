package dissect

import (
	"maps"
	"slices"
	"sync"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// ports are the last-resort labels of flows whose content told nothing: the
// well-known port of the protocols that outputs.md names (IANA, or the vendor's
// documentation). Ports of the registered protocols come from themselves.
var ports = map[proto.Transport]map[uint16]string{
	proto.TCP: {
		20:  "ftp_data",
		631: "ipp",
	},
	proto.UDP: {
		20:   "ftp_data",
		631:  "ipp",
		3702: "ws_discovery",
	},
}

// portNames are the names by port of TCP and of UDP. Those of registered protocols
// go before the table's, and of these the first in the list.
type portNames struct{ tcp, udp map[uint16]string }

func namesOf(own []*dissector.Protocol) portNames {
	n := portNames{maps.Clone(ports[proto.TCP]), maps.Clone(ports[proto.UDP])}
	for _, p := range slices.Backward(own) {
		for _, port := range p.Ports {
			if p.NewStream != nil {
				n.tcp[port] = p.Name
			}
			if p.Datagram != nil {
				n.udp[port] = p.Name
			}
		}
	}
	return n
}

func (n *portNames) of(t proto.Transport, port uint16) string {
	switch t {
	case proto.TCP:
		return n.tcp[port]
	case proto.UDP:
		return n.udp[port]
	}
	return ""
}

var allNames = sync.OnceValue(func() *portNames {
	n := namesOf(protocols)
	return &n
})

// PortName is the protocol that is at home on a port, "" for none: a guess and
// nothing more.
func PortName(t proto.Transport, port uint16) string { return allNames().of(t, port) }

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
	name := e.names.of(h.Transport, server)
	if name == "" {
		name = e.names.of(h.Transport, client)
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
