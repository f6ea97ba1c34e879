package capture

import (
	"github.com/wardflow/wardflow/pkg/dissect"
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
// port is asked only where the flow has carried nothing, or nothing that they knew;
// of what else it did carry they have made what can be made.
func (p *Processor) label(e *flow.Entry) (name, by string) {
	if t := e.Transport(); t == proto.ICMP6 && e.SrcPort() >= 133 && e.SrcPort() <= 137 { // RFC 4861
		return "ndp", proto.ByContent
	} else if name := transports[t]; name != "" {
		return name, proto.ByContent
	}
	if p.cfg.FlowsOnly || !e.HasPayload() || dissect.Light(e.Light).Guessed() {
		for _, port := range [...]uint16{e.DstPort(), e.SrcPort()} {
			if name := dissect.PortName(e.Transport(), port); name != "" {
				return name, proto.ByPort
			}
		}
	}
	return "unknown", ""
}
