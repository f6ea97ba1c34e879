package fingerprint

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// attrAttachment is the evidence of where a device is plugged in or radioed in: its
// parts belong together, so they are one value.
const attrAttachment = "attachment"

// noteAttachment reads the switch and port, or the access point and network, that a
// device's login (RFC 2865 5.5, 5.30 to 5.32; RFC 3580) or a relay of its DHCP messages
// (RFC 3046) names.
func noteAttachment(o *proto.Observation, put func(string, string, float64)) {
	a := &o.Attributes
	switch {
	case o.Kind == kindAttached:
		put(attrAttachment, joined("switch", a.Get("switch"), "port", a.Get("port"), "access_point", a.Get("access_point"), "ssid", a.Get("ssid"),
			"controller", a.Get("controller"), "vlan", a.Get("vlan")), attachedWeight(o))
	case o.Protocol == "radius" && o.Kind == "station":
		sw := cmp.Or(a.Get("nas_identifier"), a.Get("nas_ip"))
		if a.Get("ssid") != "" || strings.HasPrefix(a.Get("port_type"), "wireless") {
			put(attrAttachment, joined("access_point", a.Get("access_point"), "ssid", a.Get("ssid"), "controller", sw, "vlan", a.Get("vlan")), 0.9)
			return
		}
		if a.Get("switch_port") != "" {
			put(attrAttachment, joined("switch", sw, "port", a.Get("switch_port"), "vlan", a.Get("vlan")), 0.9)
		}
	case o.Protocol == "dhcp" && a.Get("role") != "server" && a.Get("circuit_id") != "":
		put(attrAttachment, joined("switch", a.Get("remote_id"), "port", a.Get("circuit_id")), 0.8)
	}
}

// attachedWeight is how surely a table or a log says where a device is.
func attachedWeight(o *proto.Observation) float64 {
	switch n, err := strconv.Atoi(o.Attributes.Get("together")); {
	case o.Protocol == "lldp" || o.Protocol == "cdp":
		return weightNeighbour
	case err == nil && n > aloneOnPort:
		return weightSeveral
	}
	return weightAlone
}

// joined writes pairs of name and value, "switch=sw-3; port=Gi1/0/7", without empty ones.
func joined(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := strings.NewReplacer(";", ",", "=", ":").Replace(pairs[i+1]); v != "" {
			parts = append(parts, pairs[i]+"="+v)
		}
	}
	return strings.Join(parts, "; ")
}

// attachments are where a device was attached, the latest last. What a switch says of a
// port with several on it is taken for an hour older than it is: a switch nearer to the
// device, on whose port it is alone, is asked in the same round.
func attachments(evidence []proto.Evidence) proto.Attachments {
	var list proto.Attachments
	for i := range evidence {
		v := &evidence[i]
		if v.Attribute != attrAttachment {
			continue
		}
		x := proto.Attachment{Source: v.Protocol, First: v.First, Last: v.Last, Confidence: v.Weight}
		for part := range strings.SplitSeq(v.Value, "; ") {
			name, value, _ := strings.Cut(part, "=")
			switch name {
			case "switch":
				x.Switch = value
			case "port":
				x.Port = value
			case "access_point":
				x.AccessPoint = value
			case "ssid":
				x.SSID = value
			case "controller":
				x.Controller = value
			case "vlan":
				x.VLAN = value
			}
		}
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b proto.Attachment) int {
		return cmp.Or(cmp.Compare(counted(&a), counted(&b)), cmp.Compare(a.First, b.First))
	})
	return list
}

func counted(a *proto.Attachment) proto.Time {
	if a.Source == "snmp" && a.Confidence <= weightSeveral {
		return a.Last.Add(-togetherFor)
	}
	return a.Last
}
