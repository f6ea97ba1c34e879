package dhcpv6

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is DHCPv6.
var Protocol = dissector.Protocol{Name: "dhcpv6", Ports: []uint16{portClient, portServer}, Datagram: datagram}

const (
	portClient = 546
	portServer = 547

	relayForward = 12
	relayReply   = 13

	maxHops   = 8 // RFC 8415 7.6: HOP_COUNT_LIMIT
	maxText   = 255
	maxAddrs  = 16
	maxMakers = 8
)

// kinds are the messages (RFC 8415 7.3, RFC 5007, RFC 5460, RFC 7341).
var kinds = [...]string{
	"", "solicit", "advertise", "request", "confirm", "renew", "rebind", "reply", "release", "decline", "reconfigure", "information_request",
	"relay_forward", "relay_reply", "lease_query", "lease_query_reply", "lease_query_done", "lease_query_data",
	"reconfigure_request", "reconfigure_reply", "dhcpv4_query", "dhcpv4_response",
}

// servers are the messages that servers send.
var servers = map[byte]bool{2: true, 7: true, 10: true, relayReply: true, 15: true, 16: true, 17: true, 19: true, 21: true}

func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	h := c.Headers
	if !h.SrcIP.Is6() || len(b) < 4 || len(b) < h.PayloadLen && !home(h.SrcPort, h.DstPort) {
		return dissector.No
	}
	var m message
	m.from = h.SrcIP
	if !m.read(b, 0) || m.kind == 0 {
		return dissector.No
	}
	if identified := m.clientID != nil || m.serverID != nil; m.damaged && !identified || !home(h.SrcPort, h.DstPort) && (m.damaged || !identified) {
		return dissector.No
	}
	if m.damaged {
		c.Count("dhcpv6_option_malformed")
	}
	kind := kinds[m.kind]
	m.client(c, kind)
	if servers[m.kind] {
		m.server(c, kind)
	}
	return dissector.Yes
}

func home(a, b uint16) bool {
	return a == portClient || a == portServer || b == portClient || b == portServer
}

// message is what one datagram says, of a relayed one the innermost message and
// what the relays have added.
type message struct {
	kind               byte
	from               netip.Addr // who sent the datagram
	damaged            bool
	clientID, serverID []byte
	option             map[uint16][]byte // first of each
	addresses          []string
	prefixes           []string
	first              netip.Addr // address that is given
	lease              uint32
	makers             []string
	// of the relays, the one next to the client going first
	relayed           bool
	link, peer        netip.Addr
	linkLayer         proto.MAC
	interfaceID, line []byte
}

// The message (RFC 8415 8, 9):
//
//	type | transaction (3) | options
//	type 12, 13 | hops | link address (16) | peer address (16) | options
func (m *message) read(b []byte, depth int) bool {
	kind := b[0]
	if kind == 0 || int(kind) >= len(kinds) || depth > maxHops {
		return false
	}
	m.option = map[uint16][]byte{}
	if kind != relayForward && kind != relayReply {
		m.kind = kind
		m.damaged = m.damaged || !m.options(b[4:])
		return true
	}
	if len(b) < 34 {
		return false
	}
	link, peer := netip.AddrFrom16([16]byte(b[2:18])), netip.AddrFrom16([16]byte(b[18:34]))
	sound := m.options(b[34:])
	inner := m.option[optRelayed]
	if len(inner) < 4 {
		return false
	}
	m.relayed = true
	m.damaged = m.damaged || !sound
	m.peer = peer
	if !link.IsUnspecified() {
		m.link = link
	}
	if v := m.option[optInterfaceID]; v != nil {
		m.interfaceID = v
	}
	if v := m.option[optRemoteID]; len(v) > 4 {
		m.line = v[4:] // after the enterprise's number
	}
	if v := m.option[optLinkLayer]; len(v) == 8 && binary.BigEndian.Uint16(v) == 1 {
		m.linkLayer = proto.MAC(v[2:])
	}
	return m.read(inner, depth+1)
}

// client says what the message, of either end, tells about the client.
func (m *message) client(c *dissector.Context, kind string) {
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	served := servers[m.kind]
	switch {
	case m.relayed:
		f.Subject.Side, f.Subject.MAC = dissector.Other, m.linkLayer
		if f.Subject.MAC.IsZero() {
			f.Subject.MAC = fromEUI(m.peer)
		}
		if f.Subject.MAC.IsZero() {
			f.Subject.MAC = duidMAC(m.clientID)
		}
	case served && c.Headers.DstIP.IsMulticast():
		f.Subject.Side, f.Subject.MAC = dissector.Other, duidMAC(m.clientID)
	case served:
		f.Subject.Side = c.Side.Peer()
	}
	// An address is the client's once a server has said so.
	if kind == "reply" && m.lease > 0 && m.status() == "" {
		f.Subject.IP = m.first
	}
	a := &f.Attributes
	m.identity(c, a)
	a.SetList("ips", m.addresses)
	a.SetList("prefixes", m.prefixes)
	if m.lease > 0 {
		a.Set("lease_s", strconv.FormatUint(uint64(m.lease), 10))
	}
	a.Set("status", m.status())
	a.Set("server_id", duid(c, m.serverID))
	if m.interfaceID != nil || m.line != nil {
		m.place(c, a)
	}
	c.Emit(&f)
}

// server says who served: whoever sent the packet, which behind a relay is the
// relay.
func (m *message) server(c *dissector.Context, kind string) {
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("server_id", duid(c, m.serverID))
	a.Set("server_mac", text(duidMAC(m.serverID)))
	a.SetList("dns_servers", addrs(m.option[optNameServers]))
	a.SetList("ntp_servers", append(addrs(m.option[optSNTPServers]), timeServers(m.option[optNTP])...))
	if list := names(m.option[optDomains]); len(list) > 0 {
		a.Set("domain", list[0])
	}
	if m.link.IsValid() {
		a.Set("relay", m.link.String())
	}
	c.Emit(&f)
}

func text(m proto.MAC) string {
	if m.IsZero() {
		return ""
	}
	return m.String()
}

// fromEUI is the MAC that an address was made of (RFC 4291 appendix A).
func fromEUI(a netip.Addr) (m proto.MAC) {
	if !a.Is6() {
		return m
	}
	b := a.As16()
	if b[11] != 0xff || b[12] != 0xfe {
		return m
	}
	return proto.MAC{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}
}
