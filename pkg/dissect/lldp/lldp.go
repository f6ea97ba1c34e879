package lldp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is LLDP.
var Protocol = dissector.Protocol{Name: "lldp", EtherType: packet.EtherTypeLLDP, Frame: frame}

// A frame is a row of TLVs (802.1AB 8.4): seven bits of type, nine bits of length,
// then as many bytes. Chassis id, port id and time to live come first, in this
// order; of the others each comes at most once, but for management addresses and
// those of organisations.
const (
	tlvEnd = iota
	tlvChassis
	tlvPort
	tlvTTL
	tlvPortDescription
	tlvSystemName
	tlvSystemDescription
	tlvCapabilities
	tlvManagement

	tlvOrganisation = 127
)

const (
	maxText      = 255 // bytes of a text, 802.1AB 8.5.5 to 8.5.7
	maxAddresses = 8   // management addresses that are told
)

// Subtypes of a chassis id (802.1AB table 8-2) and of a port id (table 8-3).
var (
	chassisTypes = [...]string{"", "chassis_component", "interface_alias", "port_component", "mac", "network_address", "interface_name", "local"}
	portTypes    = [...]string{"", "interface_alias", "port_component", "mac", "network_address", "interface_name", "circuit_id", "local"}
)

// capabilityNames are the bits of the system capabilities, from the lowest
// (802.1AB table 8-4).
var capabilityNames = [...]string{
	"other", "repeater", "bridge", "access_point", "router", "telephone", "docsis", "station", "c_vlan", "s_vlan", "two_port_relay",
}

// The capabilities of a node that forwards for others, with a MAC of its own on
// each of its ports.
const forwards = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<8 | 1<<9 | 1<<10

// announcement is a frame under the cursor.
type announcement struct {
	c            *dissector.Context
	a            proto.Attributes
	chassisMAC   proto.MAC
	interfaceMAC proto.MAC // PROFINET: what the ports have in common
	enabled      uint16
	addresses    []string
	vlans        []string
	policies     []string
	seen         [tlvManagement]bool
}

func frame(c *dissector.Context, b []byte) {
	n := &announcement{c: c}
	ttl, rest, ok := n.mandatory(b)
	if !ok {
		c.Count("lldp_incomplete")
		return
	}
	f := dissector.Fact{Kind: "announcement", Subject: dissector.Subject{Side: dissector.Src}}
	if ttl == 0 { // 802.1AB 9.2.7.3: forget this port
		f.Kind = "shutdown"
	} else {
		n.a.Set("ttl_s", strconv.Itoa(ttl))
		n.optional(rest)
	}
	n.a.SetList("management_ips", n.addresses)
	n.a.SetList("vlans", n.vlans)
	n.a.SetList("policies", n.policies)
	f.Subject.MAC = n.sender()
	if own := c.Headers.SrcMAC; f.Subject.MAC != own && !own.IsZero() {
		n.a.Set("frame_mac", c.Headers.SrcMAC.String())
	}
	f.Attributes = n.a
	c.Emit(&f)
}

// sender is the MAC that stands for who sent the frame. A node that forwards for
// others, and a PROFINET device with several ports, sends from a MAC of each port:
// the chassis is what they have in common. A host's frames come from the interface
// that it is known by.
func (n *announcement) sender() proto.MAC {
	own := n.c.Headers.SrcMAC
	switch {
	case usable(n.interfaceMAC):
		return n.interfaceMAC
	case usable(n.chassisMAC) && (n.enabled&forwards != 0 || own.IsZero()):
		return n.chassisMAC
	}
	return own
}

func usable(m proto.MAC) bool { return !m.IsZero() && !m.IsGroup() }

// next takes one TLV off.
func next(b []byte) (kind int, value, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	head := binary.BigEndian.Uint16(b)
	end := 2 + int(head&0x1ff)
	if end > len(b) {
		return 0, nil, nil, false
	}
	return int(head >> 9), b[2:end], b[end:], true
}

// mandatory reads the three TLVs that every frame begins with.
func (n *announcement) mandatory(b []byte) (ttl int, rest []byte, ok bool) {
	var v [3][]byte
	for i := range v {
		var kind int
		if kind, v[i], b, ok = next(b); !ok || kind != tlvChassis+i {
			return 0, nil, false
		}
	}
	if len(v[0]) < 2 || len(v[1]) < 2 || len(v[2]) < 2 {
		return 0, nil, false
	}
	n.identifier("chassis_id", "chassis_id_type", chassisTypes[:], v[0])
	n.identifier("port_id", "port_id_type", portTypes[:], v[1])
	return int(binary.BigEndian.Uint16(v[2])), b, true
}

// identifier reads a chassis or port id: a subtype, and the id in its form.
func (n *announcement) identifier(name, typeName string, types []string, v []byte) {
	if int(v[0]) >= len(types) || v[0] == 0 {
		n.c.Count("lldp_id_reserved")
		return
	}
	kind, id := types[v[0]], v[1:]
	text := ""
	switch kind {
	case "mac":
		if len(id) == 6 {
			text = proto.MAC(id).String()
			if name == "chassis_id" {
				n.chassisMAC = proto.MAC(id)
			}
		}
	case "network_address":
		if ip := address(id); ip.IsValid() {
			text = ip.String()
		}
	case "circuit_id": // RFC 3046: bytes of any kind
		text = hex.EncodeToString(id[:min(len(id), 32)])
	case "interface_alias":
		// Typed by an administrator; whatever it says, it tells the ports apart.
		if text = dissector.Text(id, maxText); text != "" && !portName(text) {
			n.c.Count("lldp_text_withheld")
			text = dissector.Pseudonym(n.c.Key, id)
		}
	default:
		text = dissector.Text(id, maxText)
	}
	if text == "" {
		n.c.Count("lldp_tlv_malformed")
		return
	}
	n.a.Set(typeName, kind)
	n.a.Set(name, text)
}

// address reads an address with its family before it (IANA address family
// numbers).
func address(b []byte) netip.Addr {
	switch {
	case len(b) == 5 && b[0] == 1:
		return netip.AddrFrom4([4]byte(b[1:]))
	case len(b) == 17 && b[0] == 2:
		return netip.AddrFrom16([16]byte(b[1:])).Unmap()
	}
	return netip.Addr{}
}

// optional reads all other TLVs. What was read before a broken one counts; an end
// is not asked for (802.1AB 8.5.1).
func (n *announcement) optional(b []byte) {
	for len(b) > 0 {
		kind, v, rest, ok := next(b)
		if !ok {
			n.c.Count("lldp_cut")
			n.a.Set("incomplete", "true")
			return
		}
		if kind == tlvEnd {
			return
		}
		if kind < len(n.seen) && n.seen[kind] {
			n.c.Count("lldp_tlv_repeated")
		} else if !n.tlv(kind, v) {
			n.c.Count("lldp_tlv_malformed")
		}
		if kind < len(n.seen) {
			n.seen[kind] = true
		}
		b = rest
	}
}

// tlv reads one TLV, and reports whether it made sense; one of a kind that is not
// known does.
func (n *announcement) tlv(kind int, v []byte) bool {
	switch kind {
	case tlvPortDescription:
		n.portDescription(v)
	case tlvSystemName:
		n.a.Set("system_name", dissector.Text(v, maxText))
	case tlvSystemDescription:
		n.a.Set("system_description", description(v))
	case tlvCapabilities:
		if len(v) < 4 {
			return false
		}
		n.enabled = binary.BigEndian.Uint16(v[2:])
		n.a.SetList("capabilities", bits(binary.BigEndian.Uint16(v), capabilityNames[:]))
		n.a.SetList("capabilities_enabled", bits(n.enabled, capabilityNames[:]))
	case tlvManagement:
		return n.management(v)
	case tlvOrganisation:
		return n.organisation(v)
	case tlvChassis, tlvPort, tlvTTL:
		n.c.Count("lldp_tlv_repeated")
	}
	return true
}

// description is the first line of a system description: maker, model and version
// stand there; the lines after it name who compiled it.
func description(v []byte) string {
	v = bytes.TrimLeft(v, "\r\n\t \x00")
	if i := bytes.IndexAny(v, "\r\n"); i >= 0 {
		v = v[:i]
	}
	return dissector.Text(v, maxText)
}

// management reads a management address (802.1AB 8.5.9): the length of family and
// address, these, and the interface's numbering and number.
func (n *announcement) management(v []byte) bool {
	if len(v) < 1 || len(v) < 1+int(v[0])+5 {
		return false
	}
	ip := address(v[1 : 1+int(v[0])])
	switch {
	case !ip.IsValid() || ip.IsUnspecified(): // a MAC, or one that is not set
	case len(n.addresses) == maxAddresses:
		n.c.Count("lldp_lists_cut")
	case !slices.Contains(n.addresses, ip.String()):
		n.addresses = append(n.addresses, ip.String())
	}
	return true
}

func bits(set uint16, names []string) (list []string) {
	for i, name := range names {
		if set&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}
