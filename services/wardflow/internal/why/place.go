package why

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// Where a device is has reasons, too: what says at which port or access point it is
// (attachment), and what its place follows from (place).
const (
	attachment = "attachment"
	place      = "place"
)

// kindPorts are the observations of a switch's tables: what they say of a device is found
// by its MAC.
const kindPorts = "ports"

// Fact is the value of an attribute, with where a device is among the attributes; nil when
// it is not known.
func Fact(d *proto.Device, attribute string) *proto.Fact {
	switch n := len(d.Attachments); {
	case attribute == attachment && n > 0:
		a := &d.Attachments[n-1]
		var parts []string
		for _, p := range [...][2]string{{"switch", a.Switch}, {"port", a.Port}, {"access point", a.AccessPoint}, {"network", a.SSID}, {"controller", a.Controller}, {"VLAN", a.VLAN}} {
			if p[1] != "" {
				parts = append(parts, p[0]+" "+p[1])
			}
		}
		return &proto.Fact{Value: strings.Join(parts, ", "), Confidence: a.Confidence, Sources: proto.Strings{a.Source}}
	case attribute == place && d.Place != nil:
		return &proto.Fact{Value: d.Place.Path(), Confidence: d.Place.Confidence, Sources: proto.Strings{d.Place.Source}}
	}
	return d.Fact(attribute)
}

// whereabouts are the reasons for where a device is, the latest first; of its place those
// that its source stands for. A person and the inventory have no packets.
func whereabouts(d *proto.Device, attribute string) ([]*Reason, error) {
	if Fact(d, attribute) == nil {
		return nil, fmt.Errorf("%s of device %s is not known: nothing that was seen says it", attribute, d.DeviceID)
	}
	speaks := func(v *proto.Evidence) bool { return v.Attribute == attachment }
	if attribute == place {
		switch source := d.Place.Source; source {
		case "switch_port", "access_point":
		case "subnet":
			speaks = func(v *proto.Evidence) bool { return v.Attribute == "ip" }
		case "vlan":
			speaks = func(v *proto.Evidence) bool { return v.Attribute == "vlan" || v.Attribute == attachment }
		default:
			speaks = func(v *proto.Evidence) bool {
				return v.Protocol == source && slices.Contains([]string{"location", "department", "institution", attachment}, v.Attribute)
			}
		}
	}
	var out []*Reason
	for i := range d.Evidence {
		if v := &d.Evidence[i]; speaks(v) {
			out = append(out, &Reason{Attribute: v.Attribute, Value: v.Value, Protocol: v.Protocol, Votes: v.Weight, Count: v.Count, First: v.First, Last: v.Last, Packets: []Packet{}})
		}
	}
	slices.SortStableFunc(out, func(a, b *Reason) int { return int(max(-1, min(1, b.Last-a.Last))) })
	return out, nil
}

// OfTables reports that a switch's tables are the reason: then the packets are the
// switch's, and not the device's.
func (r *Reason) OfTables() bool {
	return r.Attribute == attachment && slices.Contains([]string{"snmp", "lldp", "cdp"}, r.Protocol)
}

// Row finds the row of a switch's tables, given as JSON, that names one of some MACs.
func Row(attributes []byte, macs []string) (row string, ok bool) {
	var all map[string]any
	if json.Unmarshal(attributes, &all) != nil {
		return "", false
	}
	for _, name := range []string{"forwarding", "neighbours"} {
		list, _ := all[name].([]any)
		for _, x := range list {
			s, _ := x.(string)
			if slices.ContainsFunc(macs, func(m string) bool { return m != "" && strings.Contains(s, m) }) {
				return name + "=" + s, true
			}
		}
	}
	return "", false
}
