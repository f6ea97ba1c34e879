package lldp

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Organisations, by their OUI (IEEE).
const (
	oui8021     = 0x0080c2
	oui8023     = 0x00120f
	ouiMED      = 0x0012bb
	ouiProfinet = 0x000ecf
	ouiIANA     = 0x00005e
)

const (
	maxInventory = 32 // bytes of an inventory text, TIA-1057 10.2.6
	maxVLANs     = 64
	maxPolicies  = 16
)

// organisation reads a TLV of an organisation: its OUI, a subtype, its value.
func (n *announcement) organisation(v []byte) bool {
	if len(v) < 4 {
		return false
	}
	oui, subtype, v := int(v[0])<<16|int(v[1])<<8|int(v[2]), v[3], v[4:]
	switch oui {
	case oui8021:
		return n.ieee8021(subtype, v)
	case oui8023:
		return n.ieee8023(subtype, v)
	case ouiMED:
		return n.med(subtype, v)
	case ouiProfinet:
		if subtype == 5 { // IEC 61158-6-10: the chassis MAC where the chassis id is a name
			if len(v) != 6 {
				return false
			}
			n.interfaceMAC = proto.MAC(v)
			n.a.Set("chassis_mac", n.interfaceMAC.String())
		}
	case ouiIANA:
		if subtype == 1 {
			n.mudURL(v)
		}
	}
	return true
}

// ieee8021 reads the port's VLAN, and the names of VLANs (802.1Q D.2.1, D.2.3).
func (n *announcement) ieee8021(subtype byte, v []byte) bool {
	switch subtype {
	case 1:
		if len(v) < 2 {
			return false
		}
		n.a.Set("port_vlan", strconv.Itoa(int(binary.BigEndian.Uint16(v))))
	case 3:
		if len(v) < 3 || len(v) < 3+int(v[2]) {
			return false
		}
		s := strconv.Itoa(int(binary.BigEndian.Uint16(v))) + ":" + dissector.Text(v[3:3+int(v[2])], 32)
		if len(n.vlans) == maxVLANs {
			n.c.Count("lldp_lists_cut")
		} else if !slices.Contains(n.vlans, s) {
			n.vlans = append(n.vlans, s)
		}
	}
	return true
}

// mauTypes are the operational types of an interface (IANA-MAU-MIB, dot3MauType)
// that are named; others are told by their number.
var mauTypes = map[int]string{
	10: "10BASE-T half", 11: "10BASE-T full", 15: "100BASE-TX half", 16: "100BASE-TX full", 17: "100BASE-FX half", 18: "100BASE-FX full",
	21: "1000BASE-X half", 22: "1000BASE-X full", 23: "1000BASE-LX half", 24: "1000BASE-LX full", 25: "1000BASE-SX half", 26: "1000BASE-SX full",
	27: "1000BASE-CX half", 28: "1000BASE-CX full", 29: "1000BASE-T half", 30: "1000BASE-T full", 31: "10GBASE-X", 32: "10GBASE-LX4",
	33: "10GBASE-R", 34: "10GBASE-ER", 35: "10GBASE-LR", 36: "10GBASE-SR", 54: "10GBASE-T",
}

// ieee8023 reads the interface's state and power (802.3 79.3.1, 79.3.2, 79.3.4).
func (n *announcement) ieee8023(subtype byte, v []byte) bool {
	switch subtype {
	case 1: // autonegotiation, capabilities, MAU type
		if len(v) < 5 {
			return false
		}
		n.a.Set("autonegotiation", [...]string{"unsupported", "disabled", "unsupported", "enabled"}[v[0]&3])
		mau := int(binary.BigEndian.Uint16(v[3:]))
		name := mauTypes[mau]
		if name == "" {
			name = strconv.Itoa(mau)
		}
		n.a.Set("mau_type", name)
	case 2: // support, pair, class; since 802.3at type and priority, watts asked for and given in tenths
		if len(v) < 3 {
			return false
		}
		n.a.Set("power_role", [...]string{"powered", "source"}[v[0]&1])
		if class := int(v[2]); class >= 1 && class <= 5 {
			n.a.Set("power_class", strconv.Itoa(class-1))
		}
		if len(v) >= 8 {
			n.power(binary.BigEndian.Uint16(v[6:]))
		}
	case 4:
		if len(v) < 2 {
			return false
		}
		n.a.Set("max_frame_bytes", strconv.Itoa(int(binary.BigEndian.Uint16(v))))
	}
	return true
}

func (n *announcement) power(tenths uint16) {
	n.a.Set("power_w", strconv.FormatFloat(float64(tenths)/10, 'f', 1, 64))
}

// The device classes of LLDP-MED (TIA-1057 table 11) and the applications of
// its network policies (table 12).
var (
	medClasses   = [...]string{"", "endpoint_1", "endpoint_2", "endpoint_3", "network_connectivity"}
	applications = [...]string{"", "voice", "voice_signaling", "guest_voice", "guest_voice_signaling", "softphone_voice", "video_conferencing", "streaming_video", "video_signaling"}
)

// The inventory texts, subtypes 5 to 11 (TIA-1057 10.2.6).
const firstInventory = 5

var inventory = [...]string{"hardware_version", "firmware_version", "software_version", "serial", "manufacturer", "model", "asset_id"}

// med reads LLDP-MED.
func (n *announcement) med(subtype byte, v []byte) bool {
	switch subtype {
	case 1: // capabilities, class
		if len(v) < 3 {
			return false
		}
		if class := int(v[2]); class < len(medClasses) {
			n.a.Set("med_class", medClasses[class])
		}
	case 2:
		return n.policy(v)
	case 3:
		return n.location(v)
	case 4: // type, source and priority; watts in tenths
		if len(v) < 3 {
			return false
		}
		n.a.Set("power_role", [...]string{"source", "powered", "", ""}[v[0]>>6])
		n.power(binary.BigEndian.Uint16(v[1:]))
	default:
		if i := int(subtype) - firstInventory; i >= 0 && i < len(inventory) {
			n.a.Set(inventory[i], dissector.Text(v, maxInventory))
		}
	}
	return true
}

// policy reads a network policy (TIA-1057 10.2.3): application, then bits
// U T X, 12 of VLAN, 3 of priority, 6 of DSCP.
func (n *announcement) policy(v []byte) bool {
	if len(v) < 4 {
		return false
	}
	app := ""
	if int(v[0]) < len(applications) {
		app = applications[v[0]]
	}
	word := int(v[1])<<16 | int(v[2])<<8 | int(v[3])
	switch {
	case app == "" || word>>23 == 1: // reserved, or not known to the sender either
	case len(n.policies) == maxPolicies:
		n.c.Count("lldp_lists_cut")
	default:
		vlan := "untagged"
		if word>>22&1 == 1 {
			vlan = strconv.Itoa(word >> 9 & 0xfff)
		}
		n.policies = append(n.policies, app+" vlan="+vlan+" priority="+strconv.Itoa(word>>6&7)+" dscp="+strconv.Itoa(word&63))
	}
	return true
}

// mudURL reads where the maker describes this kind of device (RFC 8520 11): https,
// and no more of it than names the description.
func (n *announcement) mudURL(v []byte) {
	s := dissector.Text(v, maxText)
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	if strings.HasPrefix(s, "https://") && !strings.Contains(s, "@") {
		n.a.Set("mud_url", s)
	}
}
