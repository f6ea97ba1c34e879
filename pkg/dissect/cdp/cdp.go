// Package cdp dissects the Cisco Discovery Protocol, versions 1 and 2, and the
// Foundry Discovery Protocol, which is made after it: what a switch, a router, an
// access point or a telephone says of itself and of the port that it sends from.
//
// Cisco has published neither; the layout is as in its own documentation of show
// cdp neighbors, and as Wireshark and tcpdump read it. Names of ports and places
// that an administrator typed are held back as in pkg/dissect/lldp.
package cdp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lldp"
	"github.com/wardflow/wardflow/pkg/dissect/snmp"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is CDP and FDP.
var Protocol = dissector.Protocol{Name: "cdp", Frame: frame}

// The frame (IEEE 802.2 SNAP):
//
//	aa aa 03 | organisation (3) | 20 00 | version | time to live | checksum (2) | elements
//
// and an element is its type (2), its length with these four bytes (2), a value.
const (
	snapSize = 8
	headSize = 4

	snap     = "\xaa\xaa\x03"
	cisco    = "\x00\x00\x0c\x20\x00"
	foundry  = "\x00\xe0\x52\x20\x00"
	maxText  = 255
	maxAddrs = 8
)

// Types of elements.
const (
	tlvDevice       = 0x01
	tlvAddresses    = 0x02
	tlvPort         = 0x03
	tlvCapabilities = 0x04
	tlvVersion      = 0x05
	tlvPlatform     = 0x06
	tlvHello        = 0x08
	tlvNativeVLAN   = 0x0a
	tlvDuplex       = 0x0b
	tlvVoiceVLAN    = 0x0e
	tlvPower        = 0x10
	tlvMTU          = 0x11
	tlvName         = 0x14
	tlvManagement   = 0x16
	tlvLocation     = 0x17
)

// capabilityNames are the bits of the capabilities, from the lowest.
var capabilityNames = [...]string{
	"router", "bridge", "source_route_bridge", "switch", "host", "igmp", "repeater", "telephone", "remotely_managed", "camera", "two_port_relay",
}

// The capabilities of a node that forwards for others, with a MAC of its own on
// each of its ports.
const forwards = 1<<0 | 1<<1 | 1<<2 | 1<<3

func frame(c *dissector.Context, b []byte) {
	if len(b) < snapSize+headSize || string(b[:3]) != snap {
		return
	}
	name := ""
	switch string(b[3:snapSize]) {
	case cisco:
		name = "cdp"
	case foundry:
		name = "fdp"
	default:
		return
	}
	b = b[snapSize:]
	if b[0] != 1 && b[0] != 2 {
		c.Count("cdp_version")
		return
	}
	n := announcement{c: c}
	n.a.Set("ttl_s", strconv.Itoa(int(b[1])))
	n.elements(b[headSize:])
	f := dissector.Fact{Protocol: name, Kind: "announcement", Subject: dissector.Subject{Side: dissector.Src}}
	if own := c.Headers.SrcMAC; n.forwards && !n.chassis.IsZero() && !n.chassis.IsGroup() && n.chassis != own {
		f.Subject.MAC = n.chassis
		n.a.Set("chassis_mac", n.chassis.String())
		if !own.IsZero() {
			n.a.Set("frame_mac", own.String())
		}
	}
	f.Attributes = n.a
	c.Emit(&f)
}

// announcement is a frame under the cursor.
type announcement struct {
	c        *dissector.Context
	a        proto.Attributes
	chassis  proto.MAC
	forwards bool
}

// elements reads all elements. What was read before a broken one counts.
func (n *announcement) elements(b []byte) {
	for len(b) >= 4 {
		kind, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if size < 4 || size > len(b) {
			if kind != 0 { // else padding
				n.c.Count("cdp_cut")
				n.a.Set("incomplete", "true")
			}
			return
		}
		if !n.element(kind, b[4:size]) {
			n.c.Count("cdp_element_malformed")
		}
		b = b[size:]
	}
}

// element reads one, and reports whether it made sense; one that is not known
// does.
func (n *announcement) element(kind uint16, v []byte) bool {
	switch kind {
	case tlvDevice:
		n.device(v)
	case tlvName:
		n.a.Set("system_name", dissector.Text(v, maxText))
	case tlvPort:
		n.port(v)
	case tlvPlatform:
		n.platform(dissector.Text(v, maxText))
	case tlvVersion:
		n.a.Set("system_description", snmp.Description(v))
	case tlvAddresses:
		return n.addresses("ips", v)
	case tlvManagement:
		return n.addresses("management_ips", v)
	case tlvCapabilities:
		if len(v) != 4 {
			return false
		}
		bits := binary.BigEndian.Uint32(v)
		n.forwards = bits&forwards != 0
		var list []string
		for i, name := range capabilityNames {
			if bits&(1<<i) != 0 {
				list = append(list, name)
			}
		}
		n.a.SetList("capabilities", list)
	case tlvHello:
		n.hello(v)
	case tlvLocation: // a format, then a text
		if len(v) > 1 {
			n.location(v[1:])
		}
	default:
		return n.number(kind, v)
	}
	return true
}

// device is "SW-W3-01.hosp.example", of NX-OS with the serial number behind it in
// parentheses, of a telephone SEP and its MAC.
func (n *announcement) device(v []byte) {
	s := dissector.Text(v, maxText)
	n.a.Set("device_id", s)
	if n.a.Get("system_name") == "" {
		name, _, _ := strings.Cut(s, "(")
		n.a.Set("system_name", strings.TrimSpace(name))
	}
	if i := strings.IndexByte(s, '('); i > 0 && strings.HasSuffix(s, ")") {
		if serial := s[i+1 : len(s)-1]; strings.ContainsAny(serial, "0123456789") && !strings.Contains(serial, " ") {
			n.a.Set("serial", serial)
		}
	}
}

func (n *announcement) port(v []byte) {
	s := dissector.Text(v, maxText)
	if s != "" && !lldp.PortName(s) {
		n.c.Count("cdp_text_withheld")
		s = dissector.Pseudonym(n.c.Key, v)
	}
	n.a.Set("port_id", s)
}

// platform is "cisco WS-C3560-24TS", of others their maker and model, too.
func (n *announcement) platform(s string) {
	n.a.Set("platform", s)
	maker, model, ok := strings.Cut(s, " ")
	if ok && strings.EqualFold(maker, "cisco") {
		n.a.Set("manufacturer", "Cisco")
		n.a.Set("model", strings.TrimSpace(model))
	}
}

// hello reads the MAC of the chassis from what a switch says of its cluster:
//
//	organisation (3) | 01 12 | addresses, versions and status (12) | commander's MAC (6) | own MAC (6) | ...
func (n *announcement) hello(v []byte) {
	const at = 23
	if len(v) >= at+6 && string(v[:5]) == "\x00\x00\x0c\x01\x12" {
		n.chassis = proto.MAC(v[at:])
	}
}

// location keeps a place where each of its words may be said of a port or a place;
// else it is what an administrator typed.
func (n *announcement) location(v []byte) {
	s := dissector.Text(v, maxText)
	if s != "" && !lldp.PortName(s) {
		n.c.Count("cdp_text_withheld")
		return
	}
	n.a.Set("location", s)
}

// number reads the elements that are numbers.
func (n *announcement) number(kind uint16, v []byte) bool {
	word := func(at int) (int, bool) {
		if len(v) < at+2 {
			return 0, false
		}
		return int(binary.BigEndian.Uint16(v[at:])), true
	}
	x, ok := 0, true
	switch kind {
	case tlvNativeVLAN:
		if x, ok = word(0); ok {
			n.a.Set("port_vlan", strconv.Itoa(x))
		}
	case tlvVoiceVLAN: // behind a byte that is 1
		if x, ok = word(1); ok {
			n.a.Set("voice_vlan", strconv.Itoa(x))
		}
	case tlvDuplex:
		if ok = len(v) == 1 && v[0] <= 1; ok {
			n.a.Set("duplex", [...]string{"half", "full"}[v[0]])
		}
	case tlvPower: // milliwatts that the sender takes
		if x, ok = word(0); ok && x > 0 {
			n.a.Set("power_w", strconv.FormatFloat(float64(x)/1000, 'f', 1, 64))
		}
	case tlvMTU:
		if ok = len(v) == 4; ok {
			n.a.Set("mtu", strconv.FormatUint(uint64(binary.BigEndian.Uint32(v)), 10))
		}
	}
	return ok
}

// addresses reads a number of addresses, each
//
//	protocol type | its length | protocol | length (2) | address
//
// IP is the one byte cc (NLPID), IPv6 eight bytes of SNAP ending in its EtherType.
func (n *announcement) addresses(name string, v []byte) bool {
	if len(v) < 4 {
		return false
	}
	var list []string
	count := binary.BigEndian.Uint32(v)
	v = v[4:]
	for range min(count, 4*maxAddrs) {
		if len(v) < 2 || len(v) < 2+int(v[1])+2 {
			return false
		}
		protocol := v[2 : 2+int(v[1])]
		v = v[2+len(protocol):]
		size := 2 + int(binary.BigEndian.Uint16(v))
		if size > len(v) {
			return false
		}
		value := v[2:size]
		v = v[size:]
		if string(protocol) != "\xcc" && !strings.HasSuffix(string(protocol), "\x86\xdd") {
			continue
		}
		if ip, ok := netip.AddrFromSlice(value); ok && !ip.IsUnspecified() && len(list) < maxAddrs && !slices.Contains(list, ip.String()) {
			list = append(list, ip.String())
		}
	}
	n.a.SetList(name, list)
	return true
}
