// Package cdp dissects the Cisco Discovery Protocol, with which switches, access points
// and telephones say to their neighbour on the link who they are. Its layout is that of
// Cisco's documentation and of Wireshark's list of types.
//
// A port's name is told, what an administrator typed (the location's text) is not.
package cdp

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is CDP in 802.3 frames with SNAP.
var Protocol = dissector.Protocol{Name: "cdp", Frame: frame}

// The types that are read.
const (
	deviceID       = 0x0001
	addresses      = 0x0002
	portID         = 0x0003
	capability     = 0x0004
	version        = 0x0005
	platform       = 0x0006
	vtpDomain      = 0x0009
	nativeVLAN     = 0x000a
	duplex         = 0x000b
	voiceVLAN      = 0x000e
	powerDrawn     = 0x0010
	systemName     = 0x0014
	management     = 0x0016
	maxText        = 128
	maxVersion     = 256
	maxAddresses   = 8
	header         = 4 // version, time to live, checksum
	snapLength     = 8
	capabilityBits = 12
)

// snap is LLC with SNAP of Cisco's, and CDP's number.
const snap = "\xaa\xaa\x03\x00\x00\x0c\x20\x00"

var capabilities = [capabilityBits]string{"router", "bridge", "source_route_bridge", "switch", "station", "igmp", "repeater", "telephone", "remote", "cast", "two_port_relay", ""}

// frame reads a packet:
//
//	LLC, SNAP (8) | version (1) | time to live (1) | checksum (2) | type (2) length (2) value | ...
func frame(c *dissector.Context, b []byte) {
	if len(b) < snapLength+header || string(b[:snapLength]) != snap {
		return
	}
	b = b[snapLength:]
	if b[0] < 1 || b[0] > 2 {
		c.Count("cdp_version")
		return
	}
	f := dissector.Fact{Subject: dissector.Subject{Side: dissector.Src}, Kind: "announcement"}
	a := &f.Attributes
	a.Set("ttl_s", strconv.Itoa(int(b[1])))
	for b = b[header:]; len(b) > 0; {
		if len(b) < 4 {
			c.Count("cdp_cut")
			break
		}
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			c.Count("cdp_tlv_malformed")
			break
		}
		value(c, &f, kind, b[4:n])
		b = b[n:]
	}
	if len(*a) > 1 {
		c.Emit(&f)
	}
}

func value(c *dissector.Context, f *dissector.Fact, kind uint16, v []byte) {
	a := &f.Attributes
	switch kind {
	case deviceID:
		a.Set("chassis_id", dissector.Text(v, maxText))
	case systemName:
		a.Set("system_name", dissector.Text(v, maxText))
	case portID:
		a.Set("port_id", port(c, dissector.Text(v, maxText)))
	case version:
		line, _, _ := strings.Cut(string(v), "\n")
		a.Set("software_version", dissector.Text([]byte(line), maxVersion))
	case platform:
		a.Set("model", dissector.Text(v, maxText))
	case capability:
		if len(v) == 4 {
			a.SetList("capabilities", names(binary.BigEndian.Uint32(v)))
		}
	case addresses, management:
		list := readAddresses(c, v)
		a.SetList(map[bool]string{true: "management_ips", false: "ips"}[kind == management], list)
	case nativeVLAN:
		if len(v) == 2 {
			a.Set("port_vlan", strconv.Itoa(int(binary.BigEndian.Uint16(v))))
		}
	case voiceVLAN:
		if len(v) == 3 {
			a.Set("voice_vlan", strconv.Itoa(int(binary.BigEndian.Uint16(v[1:]))))
		}
	case duplex:
		if len(v) == 1 {
			a.Set("duplex", map[bool]string{true: "full", false: "half"}[v[0] != 0])
		}
	case vtpDomain:
		a.Set("vtp_domain", dissector.Text(v, 32))
	case powerDrawn:
		if len(v) >= 2 {
			a.Set("power_mw", strconv.Itoa(int(binary.BigEndian.Uint16(v))))
		}
	}
}

// port is an interface's name: words and digits as switches write them. Anything with
// spaces is what somebody typed.
func port(c *dissector.Context, s string) string {
	if rest, found := strings.CutPrefix(s, "Port "); found {
		s = rest
	}
	if strings.ContainsAny(s, " \t") || !strings.ContainsAny(s, "0123456789") {
		if s != "" {
			c.Count("cdp_port_withheld")
		}
		return ""
	}
	return s
}

func names(bits uint32) (list []string) {
	for i, name := range capabilities {
		if bits&(1<<i) != 0 && name != "" {
			list = append(list, name)
		}
	}
	return list
}

// readAddresses reads a number of addresses:
//
//	number (4) | protocol type (1) | length (1) | protocol | length (2) | address | ...
//
// IP is NLPID 0xcc; IPv6 is SNAP with EtherType 0x86dd.
func readAddresses(c *dissector.Context, v []byte) (list []string) {
	if len(v) < 4 {
		return nil
	}
	n := binary.BigEndian.Uint32(v)
	for v = v[4:]; n > 0 && len(v) >= 2; n-- {
		size := int(v[1])
		if len(v) < 2+size+2 {
			c.Count("cdp_tlv_malformed")
			return list
		}
		length := int(binary.BigEndian.Uint16(v[2+size:]))
		if len(v) < 2+size+2+length {
			c.Count("cdp_tlv_malformed")
			return list
		}
		if ip, ok := netip.AddrFromSlice(v[2+size+2 : 2+size+2+length]); ok && len(list) < maxAddresses && !ip.IsUnspecified() {
			list = append(list, ip.String())
		}
		v = v[2+size+2+length:]
	}
	return list
}
