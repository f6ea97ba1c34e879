// Package dhcp dissects DHCP for IPv4 (RFC 2131, options RFC 2132): what a client
// says of itself, which address it got, and who served it. DHCPv6 is another
// protocol and not here.
package dhcp

import (
	"encoding/binary"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is DHCP.
var Protocol = dissector.Protocol{Name: "dhcp", Ports: []uint16{67, 68}, Datagram: datagram}

// The message (RFC 2131 2):
//
//	0 op   1 htype   2 hlen   3 hops   4 xid   8 secs   10 flags   12 ciaddr
//	16 yiaddr   20 siaddr   24 giaddr   28 chaddr (16)   44 sname (64)
//	108 file (128)   236 cookie 63 82 53 63   240 options
const (
	snameAt, fileAt, cookieAt, optionsAt = 44, 108, 236, 240

	magic       = 0x63825363
	bootRequest = 1
	bootReply   = 2
)

// kinds are the message types of option 53.
var kinds = [...]string{
	"", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform",
	"force_renew", "lease_query", "lease_unassigned", "lease_unknown", "lease_active", // RFC 3203, RFC 4388
}

// maxText is the longest text that is kept of an option.
const maxText = 255

func datagram(c *dissector.Context, b []byte, _ bool) dissector.Verdict {
	if len(b) < optionsAt || binary.BigEndian.Uint32(b[cookieAt:]) != magic || (b[0] != bootRequest && b[0] != bootReply) {
		return dissector.No
	}
	var o options
	o.read(b)
	if o.damaged {
		c.Count("dhcp_options_malformed")
	}
	kind := ""
	if t := o.value[optMessageType]; len(t) == 1 && int(t[0]) < len(kinds) {
		kind = kinds[t[0]]
	}
	if kind == "" {
		c.Count("dhcp_no_message_type") // BOOTP, or a type of a later RFC
		return dissector.Yes
	}
	emitClient(c, b, &o, kind)
	if b[0] == bootReply {
		emitServer(c, b, &o, kind)
	}
	return dissector.Yes
}

// emitClient says what the message, of either end, tells about the client.
func emitClient(c *dissector.Context, b []byte, o *options, kind string) {
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: dissector.Other}}
	ethernet := b[1] == 1 && b[2] == 6
	if ethernet {
		f.Subject.MAC = proto.MAC(b[28:34])
	}
	h := c.Headers
	switch fromClient := b[0] == bootRequest; {
	case fromClient && (f.Subject.MAC.IsZero() || f.Subject.MAC == h.SrcMAC):
		f.Subject.Side = c.Side
	case !fromClient && !f.Subject.MAC.IsZero() && f.Subject.MAC == h.DstMAC:
		f.Subject.Side = c.Side.Peer()
	}
	ciaddr, yiaddr := addr4(b[12:16]), addr4(b[16:20])
	ip := yiaddr
	if !ip.IsValid() {
		ip = ciaddr
	}
	if ip.IsValid() {
		f.Attributes.Set("ip", ip.String())
	}
	// The address is the client's once the server said so, or while it says so
	// itself from that very address (renewing, informing, releasing).
	switch {
	case kind == "ack":
		f.Subject.IP = ip
	case b[0] == bootRequest && ciaddr.IsValid() && ciaddr == h.SrcIP:
		f.Subject.IP = ciaddr
	}
	a := &f.Attributes
	a.Set("hostname", o.text(optHostname))
	a.Set("fqdn", o.fqdn())
	a.Set("vendor_class", o.text(optVendorClass))
	a.Set("parameter_list", o.numbers(optParameterList))
	a.Set("requested_ip", o.addr(optRequestedIP))
	a.Set("server_id", o.addr(optServerID))
	a.Set("client_id", o.hardwareID())
	a.Set("lease_s", o.seconds(optLease))
	a.Set("router", o.addr(optRouter))
	a.Set("domain", o.text(optDomain))
	a.Set("message", o.text(optMessage))
	if b[0] == bootRequest {
		o.boot(a)
	}
	o.agent(c, a)
	c.Emit(&f)
}

// emitServer says who served: whoever sent the packet, which behind a relay is
// the relay.
func emitServer(c *dissector.Context, b []byte, o *options, kind string) {
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("role", "server")
	a.Set("server_id", o.addr(optServerID))
	a.Set("router", o.addr(optRouter))
	a.Set("subnet_mask", o.addr(optMask))
	a.SetList("dns_servers", o.addrs(optNameServers))
	a.SetList("ntp_servers", o.addrs(optTimeServers))
	a.SetList("tftp_servers", o.addrs(optTFTPServers))
	a.Set("boot_server", host(o.value[optBootServer]))
	if next := addr4(b[20:24]); next.IsValid() {
		a.Set("next_server", next.String())
	}
	a.Set("domain", o.text(optDomain))
	if relay := addr4(b[24:28]); relay.IsValid() {
		a.Set("relay", relay.String())
	}
	c.Emit(&f)
}

// addr4 is the address in b; 0.0.0.0 is none.
func addr4(b []byte) netip.Addr {
	a := netip.AddrFrom4([4]byte(b))
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
