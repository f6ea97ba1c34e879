package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/wardflow/internal/facts"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
	"github.com/wardflow/wardflow/services/wardflow/internal/why"
)

type deviceWhyCmd struct {
	ID        string `arg:"" name:"device" help:"${device}"`
	Attribute string `arg:"" help:"Whose value: type, model, software_version, ...; attachment for switch and port or access point, place for where that is."`
	Site      string `placeholder:"SITE" help:"The device of this site, where several sites have one of that address or name."`
	From      string `placeholder:"DIR" help:"From a folder that replay wrote, and not from ClickHouse."`
	Output    format `short:"o" aliases:"format" enum:"table,json" default:"table" help:"table; or json, one reason a line."`
}

// Help is shown by --help.
func (deviceWhyCmd) Help() string {
	return `Which packets said so: each piece of evidence that speaks for the value, its weight, and the first observations and
the last in which it was said, with the flow that carried them. What a MAC says is in every frame, and has none. What a
switch's tables say of a device stands in the switch's packets, and is found by the device's MAC.

Examples:

    wardflow device why 10.41.8.62 model
    wardflow device why 10.41.8.62 attachment
    wardflow device why CT-1 software_version --from monday/ --output json | jq -r '.packets[].flow'`
}

// Run shows the reasons.
func (c *deviceWhyCmd) Run(ctx context.Context, g *globals, io *streams) error {
	var dev *proto.Device
	var reasons []*why.Reason
	if c.From != "" {
		list, err := results.Devices(c.From, c.Site)
		if err != nil {
			return err
		}
		ids, _, _, err := facts.Select(list, "", c.ID)
		if err != nil {
			return fmt.Errorf("%s: %w", c.From, err)
		}
		for _, d := range list {
			if d.DeviceID.String() == ids[0] {
				dev = d
			}
		}
		if reasons, err = why.Of(dev, c.Attribute); err != nil {
			return err
		}
		if err := why.Folder(c.From, dev, reasons); err != nil {
			return err
		}
	} else if err := withStore(ctx, g, io, func(s *store.Store) (err error) {
		if dev, err = (&desk{store: s, io: io}).device(ctx, c.Site, c.ID); err != nil {
			return err
		}
		if reasons, err = why.Of(dev, c.Attribute); err != nil {
			return err
		}
		for _, r := range reasons {
			if err := storedPackets(ctx, s, dev, r); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return showWhy(io, c.Output, why.Fact(dev, c.Attribute), c.Attribute, reasons)
}

// mostWhole bounds the observations that are looked at for a value that is put together.
const mostWhole = 500

// storedPackets finds the packets of a reason in ClickHouse: the first ones and the last.
func storedPackets(ctx context.Context, s *store.Store, d *proto.Device, r *why.Reason) error {
	device := d.DeviceID
	if r.OfTables() {
		return storedRows(ctx, s, d, r)
	}
	const columns = "SELECT toString(time) AS at, sensor, kind, attributes, ifNull(flow_id, '') FROM v_observations WHERE "
	const where = "device = {id:String} AND protocol = {protocol:String} AND time BETWEEN fromUnixTimestamp64Nano({from:Int64}) AND fromUnixTimestamp64Nano({to:Int64}) AND duplicate_of_sensor = '' AND positionCaseInsensitiveUTF8(attributes, {said:String}) > 0"
	sql := columns + where + " ORDER BY time LIMIT {n:UInt32}"
	last := columns + where + " ORDER BY time DESC LIMIT 1"
	protocol, server, role := r.Role()
	if role {
		end := "src_device"
		if server {
			end = "dst_device"
		}
		flows := "SELECT toString(start) AS at, sensor, 'flow', toJSONString(map('by', toString(protocol_by))), flow_id FROM v_flows WHERE " + end + " = {id:String} AND protocol = {protocol:String} AND part = 0 AND {said:String} = '' AND start BETWEEN fromUnixTimestamp64Nano({from:Int64}) AND fromUnixTimestamp64Nano({to:Int64})"
		sql, last = flows+" ORDER BY start LIMIT {n:UInt32}", flows+" ORDER BY start DESC LIMIT 1"
	} else {
		protocol = r.Protocol
	}
	seen := map[string]bool{}
	said := inJSON(r, role)
	for _, q := range []struct {
		sql, said string
		n         int
	}{{sql, said, why.Shown}, {last, said, 1}, {sql, "", mostWhole}} {
		if q.said == "" && (role || len(r.Packets) > 0) && q.n == mostWhole {
			continue // the value is put together of several attributes only where none has it whole
		}
		rows, err := all(s.Query(ctx, q.sql, store.Named("id", device.String()), store.Named("protocol", protocol), store.Named("from", int64(r.First)), store.Named("to", int64(r.Last)),
			store.Named("said", q.said), store.Named("n", uint32(q.n))))
		if err != nil {
			return err
		}
		for _, v := range rows {
			said := fmt.Sprint(v[3])
			if !role {
				var ok bool
				if said, ok = why.Says([]byte(said), r.Value); !ok {
					continue
				}
			}
			p := why.Packet{Time: fmt.Sprint(v[0]), Sensor: fmt.Sprint(v[1]), Kind: fmt.Sprint(v[2]), Said: said, FlowID: fmt.Sprint(v[4])}
			if key := p.Time + p.FlowID + p.Said; !seen[key] {
				seen[key] = true
				r.Add(p)
			}
		}
	}
	for i := range r.Packets {
		p := &r.Packets[i]
		if p.FlowID == "" {
			continue
		}
		rows, err := all(s.Query(ctx, "SELECT src_ip, toInt64(src_port), dst_ip, toInt64(dst_port) FROM v_flows WHERE flow_id = {flow:String} LIMIT 1", store.Named("flow", p.FlowID)))
		if err != nil {
			return err
		}
		for _, v := range rows {
			var from, to int
			if _, err := fmt.Sscan(fmt.Sprint(v[1], " ", v[3]), &from, &to); err == nil {
				p.Flow = why.Ends(fmt.Sprint(v[0]), from, fmt.Sprint(v[2]), to)
			}
		}
	}
	return nil
}

// storedRows finds the rows of switches' tables that name a device.
func storedRows(ctx context.Context, s *store.Store, d *proto.Device, r *why.Reason) error {
	const sql = "SELECT toString(time) AS at, sensor, kind, attributes, ifNull(flow_id, '') FROM v_observations WHERE site = {site:String} AND protocol = 'snmp' AND kind = 'ports' AND time BETWEEN fromUnixTimestamp64Nano({from:Int64}) AND fromUnixTimestamp64Nano({to:Int64}) AND duplicate_of_sensor = '' AND arrayExists(m -> position(attributes, m) > 0, splitByChar(',', {macs:String})) ORDER BY time "
	seen := map[string]bool{}
	for _, order := range []struct {
		sql string
		n   int
	}{{"LIMIT {n:UInt32}", why.Shown}, {"DESC LIMIT {n:UInt32}", 1}} {
		rows, err := all(s.Query(ctx, sql+order.sql, store.Named("site", d.Site), store.Named("from", int64(r.First)), store.Named("to", int64(r.Last)),
			store.Named("macs", strings.Join(d.MACs, ",")), store.Named("n", uint32(order.n))))
		if err != nil {
			return err
		}
		for _, v := range rows {
			if said, ok := why.Row([]byte(fmt.Sprint(v[3])), d.MACs); ok && !seen[fmt.Sprint(v[0], v[4])] {
				seen[fmt.Sprint(v[0], v[4])] = true
				r.Add(why.Packet{Time: fmt.Sprint(v[0]), Sensor: fmt.Sprint(v[1]), Kind: fmt.Sprint(v[2]), Said: said, FlowID: fmt.Sprint(v[4])})
			}
		}
	}
	return nil
}

// inJSON is a value as it stands in a JSON text, without its quotes; "" for a role.
func inJSON(r *why.Reason, role bool) string {
	b, err := json.Marshal(r.Value)
	if role || err != nil {
		return ""
	}
	return strings.Trim(string(b), `"`)
}

func showWhy(io *streams, output format, f *proto.Fact, attribute string, reasons []*why.Reason) error {
	if output == formatJSON {
		for _, r := range reasons {
			b, err := json.Marshal(r)
			if err != nil {
				return fmt.Errorf("write reason: %w", err)
			}
			if _, err := fmt.Fprintf(io.out, "%s\n", b); err != nil {
				return err
			}
		}
		return nil
	}
	out := io.screen()
	if _, err := fmt.Fprintf(out.w, "%s is %s, confidence %.2f, by %s\n", attribute, printable(f.Value), f.Confidence, strings.Join(f.Sources, ", ")); err != nil {
		return err
	}
	for _, r := range reasons {
		title := fmt.Sprintf("%s %s, by %s: weighs %.2f, said %s", r.Attribute, printable(r.Value), r.Protocol, r.Votes, counted(int(r.Count), "time"))
		var rows [][]any
		for _, p := range r.Packets {
			rows = append(rows, []any{showTime(p.Time), p.Sensor, p.Kind, p.Said, p.Flow})
		}
		if len(rows) == 0 {
			says := "no observation of it is kept"
			if r.Protocol == "oui" || r.Protocol == "virtual_mac" {
				says = "its MAC, in every frame"
			}
			rows = append(rows, []any{showTime(r.First.String()), "", "", says, ""})
		}
		if err := section(out, title, &fixedRows{list: rows}, []string{"time (UTC)", "sensor", "message", "says", "flow"}, nil); err != nil {
			return err
		}
	}
	return nil
}
