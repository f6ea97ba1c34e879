package bacnet

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// The network layer's header (clause 6.2):
//
//	0 version 1   1 control
//	  destination: network (2), length of address (1), address; where control has it
//	  source: the same
//	  hops (1), with a destination
//	  kind of message (1), and its maker (2) from 0x80 on; where it is the network layer's own
const (
	version = 1

	controlMessage     = 0x80
	controlDestination = 0x20
	controlSource      = 0x08
	controlReserved    = 0x50

	maxAddress = 18 // bytes of a data link address; IPv6 and a port
	everywhere = 0xffff
)

// isNPDU judges the beginning of a network layer's message.
func isNPDU(b []byte) bool {
	if len(b) < 2 || b[0] != version || b[1]&controlReserved != 0 {
		return false
	}
	return len(b) > 2
}

// npdu reads the network layer.
func (m *message) npdu(b []byte) {
	control := b[1]
	b = b[2:]
	var ok bool
	if control&controlDestination != 0 {
		var to []byte
		if m.targetNetwork, to, b, ok = end(b); !ok || m.targetNetwork == 0 {
			m.c.Count("bacnet_npdu_malformed")
			return
		}
		m.targetAddress = station(to)
	}
	if control&controlSource != 0 {
		var from []byte
		if m.network, from, b, ok = end(b); !ok || len(from) == 0 || m.network == 0 || m.network == everywhere {
			m.network = 0
			m.c.Count("bacnet_npdu_malformed")
			return
		}
		m.routed(from)
	}
	if control&controlDestination != 0 {
		if len(b) == 0 {
			m.c.Count("bacnet_npdu_malformed")
			return
		}
		b = b[1:]
	}
	if len(b) == 0 {
		m.c.Count("bacnet_npdu_malformed")
		return
	}
	if control&controlMessage != 0 {
		m.networkMessage(b)
		return
	}
	m.apdu(b)
}

// end reads a network's number and an address in it.
func end(b []byte) (network uint16, address, rest []byte, ok bool) {
	if len(b) < 3 || int(b[2]) > maxAddress || len(b) < 3+int(b[2]) {
		return 0, nil, nil, false
	}
	n := 3 + int(b[2])
	return binary.BigEndian.Uint16(b), b[3:n], b[n:], true
}

// routed makes the message one of a device behind the router that sent it. Where
// its address is one of IP, it is that device; else it is known by the number of
// its network and its address there.
func (m *message) routed(from []byte) {
	m.address = station(from)
	if len(from) == 6 && isPort(binary.BigEndian.Uint16(from[4:])) {
		if ip := netip.AddrFrom4([4]byte(from)); m.c.Inside != nil && m.c.Inside(ip) {
			m.who = dissector.Subject{Side: dissector.Other, IP: ip}
			return
		}
	}
	m.who = dissector.Subject{Side: dissector.Other, Equipment: "bacnet:" + strconv.Itoa(int(m.network)) + ":" + m.address, Gateway: m.c.Side}
	if m.bbmd.IsValid() {
		m.who.Gateway = dissector.Other // the router is not who sent the packet
	}
}

// The messages of the network layer (clause 6.4).
var networkMessages = map[uint8]string{
	0x00: "who_is_router",
	0x01: "router",
	0x02: "could_be_router",
	0x03: "network_reject",
	0x04: "router_busy",
	0x05: "router_available",
	0x06: "initialize_routing_table",
	0x07: "routing_table",
	0x08: "establish_connection",
	0x09: "disconnect_connection",
	0x12: "what_is_network_number",
	0x13: "network_number",
}

const maxNetworks = 64 // that are told of one router

// networkMessage reads what routers say.
func (m *message) networkMessage(b []byte) {
	kind := networkMessages[b[0]]
	if kind == "" {
		m.c.Count("bacnet_network_message_other")
		return
	}
	b = b[1:]
	role := ""
	var networks []string
	add := func(n uint16) {
		if len(networks) < maxNetworks {
			networks = append(networks, strconv.Itoa(int(n)))
		}
	}
	reason := ""
	switch kind {
	case "router", "router_busy", "router_available", "who_is_router", "could_be_router", "establish_connection", "disconnect_connection":
		if kind == "router" {
			role = "router"
		}
		for ; len(b) >= 2; b = b[2:] {
			add(binary.BigEndian.Uint16(b))
			if kind != "router" && kind != "router_busy" && kind != "router_available" {
				break
			}
		}
	case "network_reject":
		if len(b) < 3 {
			m.c.Count("bacnet_npdu_malformed")
			return
		}
		reason = name(rejectNetwork, b[0])
		add(binary.BigEndian.Uint16(b[1:]))
	case "initialize_routing_table", "routing_table":
		if kind == "routing_table" {
			role = "router"
		}
		networks = routes(b)
	case "network_number":
		if len(b) >= 2 {
			add(binary.BigEndian.Uint16(b))
		}
	}
	f := m.fact(kind, role)
	f.Attributes.SetList("networks", networks)
	f.Attributes.Set("reason", reason)
	m.emit(&f)
}

// routes reads a routing table (6.4.7): number of ports, and of each the network,
// the port's id, and the length of what is said of it.
func routes(b []byte) []string {
	var list []string
	if len(b) == 0 {
		return nil
	}
	for b = b[1:]; len(b) >= 4 && len(list) < maxNetworks; {
		list = append(list, strconv.Itoa(int(binary.BigEndian.Uint16(b))))
		n := 4 + int(b[3])
		if len(b) < n {
			break
		}
		b = b[n:]
	}
	return list
}

// rejectNetwork are the reasons of Reject-Message-To-Network (6.4.4).
var rejectNetwork = map[uint8]string{
	0: "other",
	1: "not_reachable",
	2: "busy",
	3: "unknown_message",
	4: "too_long",
	5: "security",
	6: "addressing",
}
