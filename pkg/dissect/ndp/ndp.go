// Package ndp dissects Neighbor Discovery for IPv6 (RFC 4861; duplicate address
// detection, RFC 4862; options of RFC 4191, RFC 8106): who says that it has which
// address, and what routers say of the link. Router discovery of IPv4 (RFC 1256)
// is beside it. Judging a claim (spoofing, a router that nobody expects) is no
// business of this package.
package ndp

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is NDP.
var Protocol = dissector.Protocol{Name: "ndp", Transport: proto.ICMP6, Message: message}

// The messages (RFC 4861 4), all with type, code and checksum first:
//
//	133 router solicitation      4 reserved   8 options
//	134 router advertisement     4 hop limit   5 flags   6 lifetime   8 reachable   12 retransmit   16 options
//	135 neighbor solicitation    4 reserved   8 target   24 options
//	136 neighbor advertisement   4 flags   8 target   24 options
//	137 redirect                 4 reserved   8 target   24 destination   40 options
const (
	routerSolicitation = 133 + iota
	routerAdvertisement
	neighborSolicitation
	neighborAdvertisement
	redirect
)

// sizes are the bytes before the options, and kinds the names.
var (
	sizes = [...]int{8, 16, 24, 24, 40}
	kinds = [...]string{"router_solicitation", "router_advertisement", "neighbor_solicitation", "neighbor_advertisement", "redirect"}
)

const (
	hopLimit = 255 // RFC 4861 3.1: no router has been on the way

	flagRouter, flagSolicited, flagOverride = 0x80, 0x40, 0x20 // of a neighbor advertisement

	maxList = 16
)

func message(c *dissector.Context, b []byte) dissector.Verdict {
	h := c.Headers
	if b[0] < routerSolicitation || b[0] > redirect {
		return dissector.No
	}
	i := int(b[0]) - routerSolicitation
	switch {
	case len(b) < sizes[i]:
		c.Count("ndp_short")
		return dissector.Yes
	case h.TTL != hopLimit || b[1] != 0:
		c.Count("ndp_not_of_the_link") // a router would have taken one off: somebody far away, or a trick
		return dissector.Yes
	}
	m := discovery{kind: b[0], b: b, mac: h.SrcMAC}
	if !m.options(b[sizes[i]:]) {
		c.Count("ndp_option_malformed") // RFC 4861 4.6: the whole message is void
		return dissector.Yes
	}
	f := dissector.Fact{Kind: kinds[i], Subject: dissector.Subject{Side: c.Side}}
	m.tell(c, &f)
	c.Emit(&f)
	return dissector.Yes
}

// discovery is one message under the cursor.
type discovery struct {
	kind           byte
	b              []byte
	mac            proto.MAC // of whom it is about
	source, target proto.MAC // of the options
	mtu            uint32
	prefixes       []string
	routes         []string
	servers        []string
	domain         string
}

// tell fills the fact in. Who asks is the source of the packet; an advertisement
// is about its target.
func (m *discovery) tell(c *dissector.Context, f *dissector.Fact) {
	h, a, s := c.Headers, &f.Attributes, &f.Subject
	sender := h.SrcIP
	if !m.source.IsZero() {
		m.mac = m.source
	}
	switch m.kind {
	case neighborSolicitation:
		target := addr(m.b[8:])
		a.Set("target_ip", target.String())
		if sender.IsUnspecified() { // RFC 4862 5.4: is the address free?
			f.Kind = "probe"
		}
	case neighborAdvertisement:
		sender = addr(m.b[8:])
		if !m.target.IsZero() {
			m.mac = m.target
		}
		flags := m.b[4]
		if flags&flagRouter != 0 {
			a.Set("role", "router")
		}
		set(a, "solicited", flags&flagSolicited != 0)
		set(a, "override", flags&flagOverride != 0)
	case routerAdvertisement:
		m.router(a)
	case redirect:
		a.Set("role", "router")
		a.Set("target_ip", addr(m.b[8:]).String())
		a.Set("destination_ip", addr(m.b[24:]).String())
	}
	s.MAC = m.mac
	a.Set("sender_mac", m.mac.String())
	if m.mac != h.SrcMAC && !h.SrcMAC.IsZero() {
		// A proxy, a relay, or a lie: whoever sent the frame is worth knowing.
		a.Set("frame_mac", h.SrcMAC.String())
	}
	if !sender.IsUnspecified() {
		s.IP = sender
		a.Set("sender_ip", sender.String())
	}
}

func set(a *proto.Attributes, name string, yes bool) {
	if yes {
		a.Set(name, "true")
	}
}

// router tells what a router says of the link.
func (m *discovery) router(a *proto.Attributes) {
	flags := m.b[5]
	a.Set("role", "router")
	if m.b[4] > 0 {
		a.Set("hop_limit", strconv.Itoa(int(m.b[4])))
	}
	set(a, "managed", flags&0x80 != 0)
	set(a, "other_config", flags&0x40 != 0)
	set(a, "home_agent", flags&0x20 != 0)
	a.Set("preference", preferences[flags>>3&3])
	a.Set("lifetime_s", strconv.Itoa(int(binary.BigEndian.Uint16(m.b[6:]))))
	if m.mtu > 0 {
		a.Set("mtu", strconv.FormatUint(uint64(m.mtu), 10))
	}
	a.SetList("prefixes", m.prefixes)
	a.SetList("routes", m.routes)
	a.SetList("dns_servers", m.servers)
	a.Set("domain", m.domain)
}

// preferences are those of a default router (RFC 4191 2.1); medium is what all
// have.
var preferences = [...]string{"", "high", "", "low"}

func addr(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])) }
