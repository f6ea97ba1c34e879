// Package why finds the packets that said what a device is: for each piece of evidence
// the observations in which a protocol said so, and the flow that carried them.
//
// Which evidence speaks for a value is fingerprint's to say; observations and flows come
// from a folder that replay wrote, read here, or from ClickHouse, read by the command.
package why

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

// Shown is how many of the first packets are shown for each reason; the last one is
// shown besides.
const Shown = 3

// Reason is evidence, and the packets that said so.
type Reason struct {
	Attribute string     `json:"attribute"`
	Value     string     `json:"value"`
	Protocol  string     `json:"protocol"`
	Votes     float64    `json:"votes"` // weight for the value that is shown, 0..1
	Count     uint64     `json:"count"`
	First     proto.Time `json:"first"`
	Last      proto.Time `json:"last"`
	Packets   []Packet   `json:"packets"`
}

// Packet is an observation, or a flow where a role is the reason.
type Packet struct {
	Time   string `json:"time"`
	Sensor string `json:"sensor"`
	Kind   string `json:"kind"`
	Said   string `json:"said"` // attribute=value of the observation
	FlowID string `json:"flow_id"`
	Flow   string `json:"flow"` // from > to, where the flow is known
}

// Of makes the list of reasons for a value that a device shows.
func Of(d *proto.Device, attribute string) ([]*Reason, error) {
	if attribute == attachment || attribute == place {
		return whereabouts(d, attribute)
	}
	if names := append(fingerprint.FactNames(), attachment, place); !slices.Contains(names, attribute) {
		return nil, fmt.Errorf("%s: no such attribute; want one of %s", attribute, strings.Join(names, ", "))
	}
	if d.Fact(attribute) == nil {
		return nil, fmt.Errorf("%s of device %s is not known: nothing that was seen says it", attribute, d.DeviceID)
	}
	var out []*Reason
	for _, r := range fingerprint.Reasons(d, attribute) {
		out = append(out, &Reason{
			Attribute: r.Attribute, Value: r.Value, Protocol: r.Protocol, Votes: r.Votes, Count: r.Count, First: r.First, Last: r.Last, Packets: []Packet{},
		})
	}
	return out, nil
}

// Role says that flows are the reason, of which protocol, and whether the device is the
// server's end.
func (r *Reason) Role() (protocol string, server, is bool) {
	return r.Value, r.Attribute == "server", r.Attribute == "server" || r.Attribute == "client"
}

// Says finds the attribute of an observation, given as JSON, that says a value.
func Says(attributes []byte, value string) (said string, ok bool) {
	var all map[string]any
	if json.Unmarshal(attributes, &all) != nil {
		return "", false
	}
	const least = 4 // bytes that are not alike by chance
	value = strings.ToLower(value)
	best, within := "", 0 // the one that shares most
	try := func(name, text string) {
		low := strings.ToLower(text)
		switch {
		case low == value:
			said, ok = name+"="+text, true
		case len(value) >= least && strings.Contains(low, value) && len(value) > within:
			best, within = name+"="+text, len(value)
		case len(low) >= least && strings.Contains(value, low) && len(low) > within: // one of the attributes that it was put together of
			best, within = name+"="+text, len(low)
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch x := all[name].(type) {
		case string:
			try(name, x)
		case []any:
			for _, e := range x {
				if s, is := e.(string); is {
					try(name, s)
				}
			}
		}
	}
	if !ok && best != "" {
		return best, true
	}
	return said, ok
}

// Add keeps a packet, if it is among the first, or is the last.
func (r *Reason) Add(p Packet) {
	if len(r.Packets) <= Shown {
		r.Packets = append(r.Packets, p)
		return
	}
	r.Packets[Shown] = p
}

// Folder finds the packets in a folder that replay wrote.
func Folder(dir string, d *proto.Device, reasons []*Reason) error {
	id := d.DeviceID.String()
	err := results.Lines(filepath.Join(dir, "observations.jsonl"), func(_ int, text []byte) error {
		var o struct {
			Time       proto.Time
			Sensor     string
			Flow       *string `json:"flow_id"`
			Device     *string
			Protocol   string
			Kind       string
			Attributes json.RawMessage
		}
		if err := json.Unmarshal(text, &o); err != nil {
			return err
		}
		own, ofTables := o.Device != nil && *o.Device == id, o.Protocol == "snmp" && o.Kind == kindPorts
		for _, r := range reasons {
			if o.Time < r.First || o.Time > r.Last {
				continue
			}
			said, ok := "", false
			switch {
			case ofTables && r.OfTables():
				said, ok = Row(o.Attributes, d.MACs)
			case own && r.Protocol == o.Protocol && !ofTables:
				said, ok = Says(o.Attributes, r.Value)
			}
			if ok {
				p := Packet{Time: o.Time.String(), Sensor: o.Sensor, Kind: o.Kind, Said: said}
				if o.Flow != nil {
					p.FlowID = *o.Flow
				}
				r.Add(p)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return folderFlows(dir, id, reasons)
}

// folderFlows names the flows of the packets, and finds those that are reasons.
func folderFlows(dir, id string, reasons []*Reason) error {
	wanted := map[string][]*Packet{}
	for _, r := range reasons {
		for i := range r.Packets {
			p := &r.Packets[i]
			wanted[p.FlowID] = append(wanted[p.FlowID], p)
		}
	}
	return results.Lines(filepath.Join(dir, "flows.jsonl"), func(_ int, text []byte) error {
		var f struct {
			FlowID     string     `json:"flow_id"`
			Part       int        `json:"part"`
			Start      proto.Time `json:"start"`
			Sensor     string     `json:"sensor"`
			SrcPort    int        `json:"src_port"`
			DstPort    int        `json:"dst_port"`
			SrcDevice  *string    `json:"src_device"`
			DstDevice  *string    `json:"dst_device"`
			Protocol   string     `json:"protocol"`
			ProtocolBy string     `json:"protocol_by"`
			Src        string     `json:"src_ip"`
			Dst        string     `json:"dst_ip"`
		}
		if err := json.Unmarshal(text, &f); err != nil || f.Part != 0 {
			return err
		}
		ends := Ends(f.Src, f.SrcPort, f.Dst, f.DstPort)
		for _, p := range wanted[f.FlowID] {
			p.Flow = ends
		}
		for _, r := range reasons {
			protocol, server, is := r.Role()
			end := f.SrcDevice
			if server {
				end = f.DstDevice
			}
			if is && protocol == f.Protocol && end != nil && *end == id {
				r.Add(Packet{Time: f.Start.String(), Sensor: f.Sensor, Kind: "flow", Said: "protocol by " + f.ProtocolBy, FlowID: f.FlowID, Flow: ends})
			}
		}
		return nil
	})
}

// Ends is a flow in words.
func Ends(src string, srcPort int, dst string, dstPort int) string {
	end := func(ip string, port int) string {
		if strings.Contains(ip, ":") {
			ip = "[" + ip + "]"
		}
		return ip + ":" + strconv.Itoa(port)
	}
	return end(src, srcPort) + " > " + end(dst, dstPort)
}
