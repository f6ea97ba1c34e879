package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

type deviceCmd struct {
	Show      deviceShowCmd      `cmd:"" default:"withargs" help:"Show all that is known of one device, and why."`
	Why       deviceWhyCmd       `cmd:"" help:"Show which packets said what a device is."`
	Set       deviceSetCmd       `cmd:"" help:"Say what a device is; it outranks what traffic says."`
	Confirm   deviceConfirmCmd   `cmd:"" help:"Say that the values shown are right."`
	Undo      deviceUndoCmd      `cmd:"" help:"Take back what has been set, confirmed, noted or rated."`
	Note      deviceNoteCmd      `cmd:"" help:"Note something about a device."`
	Rate      deviceRateCmd      `cmd:"" help:"Say how good a device is to work with, 1 to 5."`
	Join      deviceJoinCmd      `cmd:"" help:"Say that two devices are one."`
	Separate  deviceSeparateCmd  `cmd:"" help:"Say that an endpoint is no part of a device."`
	History   deviceHistoryCmd   `cmd:"" help:"List all that people have said of a device."`
	Worksheet deviceWorksheetCmd `cmd:"" help:"What is missing or doubtful, by location, out to CSV and back in."`
}

// Help is shown by --help.
func (deviceCmd) Help() string {
	return `One device: what it is, how sure that is and why; and what the people on site know better. What they set or confirm
outranks what traffic says, is shown as theirs, can be undone, and is kept for ever.

Examples:

    wardflow device 10.41.8.62
    wardflow device set 10.41.8.62 model="SOMATOM go.Top" room=2.114 --by m.keller --note "read from the label"
    wardflow device confirm 10.41.8.62 manufacturer serial --by m.keller
    wardflow device history 10.41.8.62
    wardflow device worksheet --location Radiology --out radiology.csv

Each of them explains itself: wardflow device set --help.`
}

type deviceShowCmd struct {
	ID     string `arg:"" name:"device" help:"${device}"`
	Site   string `placeholder:"SITE" help:"The device of this site, where several sites have one of that address or name."`
	Output format `short:"o" enum:"table,json" default:"table" help:"table; or json, the device as on the topic wardflow.devices."`
}

// Help is shown by --help.
func (deviceShowCmd) Help() string {
	return `One device: what it is, how sure that is and which protocol said so; its risk and the reasons; its latest detections
and its busiest peers.

Examples:

    wardflow device 10.41.8.62
    wardflow device 10.41.8.62 --site ward-a
    wardflow device MR-INGENIA-1 --output json | jq .evidence`
}

// Run shows the device.
func (c *deviceShowCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		id, err := findDevice(ctx, s, c.Site, c.ID)
		if err != nil {
			return err
		}
		record, found, err := s.Device(ctx, id)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("no device %s: `wardflow devices` lists all", id)
		}
		if c.Output == formatJSON {
			_, err := fmt.Fprintf(io.out, "%s\n", record)
			return err
		}
		return showDevice(ctx, io, s, record)
	})
}

// fact is a fused attribute.
type fact struct {
	name string
	*proto.Fact
}

// factsOf gives the attributes in the order of the contract.
func factsOf(d *proto.Device) []fact {
	return []fact{
		{"category", d.Category},
		{"type", d.Type},
		{"manufacturer", d.Manufacturer},
		{"model", d.Model},
		{"os", d.OS},
		{"os_version", d.OSVersion},
		{"hardware_version", d.HardwareVersion},
		{"software_version", d.SoftwareVersion},
		{"serial", d.Serial},
		{"location", d.Location},
	}
}

func showDevice(ctx context.Context, io *streams, s *store.Store, record []byte) error {
	var d proto.Device
	if err := json.Unmarshal(record, &d); err != nil {
		return fmt.Errorf("read device record: %w", err)
	}
	out := io.screen()
	if err := out.device(&d); err != nil {
		return err
	}
	id := store.Named("id", d.DeviceID.String())
	for _, q := range []struct {
		title   string
		sql     string
		columns []column
	}{
		{
			"Risk", "SELECT time, score, tier, likelihood, impact, factors FROM v_risk WHERE device_id = {id:String}",
			slices.DeleteFunc(slices.Clone(riskColumns), func(c column) bool { return c.name == "device_id" || c.name == "type" || c.name == "manufacturer" }),
		},
		{
			"Latest detections", "SELECT time, severity, rule, title FROM v_detections WHERE device_id = {id:String} ORDER BY time DESC, detection_id LIMIT 10",
			slices.DeleteFunc(slices.Clone(detectionColumns), func(c column) bool { return c.name == "device_id" || c.name == "type" || c.name == "count" }),
		},
		{"Busiest peers", busiestPeers, nil},
	} {
		r, err := s.Query(ctx, q.sql, id)
		if err != nil {
			return err
		}
		if err := section(out, q.title, r, r.Columns, q.columns); err != nil {
			return err
		}
	}
	return nil
}

const busiestPeers = `SELECT if(out, server_ip, client_ip) AS peer, if(out, server_type, client_type) AS is, protocol, if(out, 'server', 'client') AS as,
    sum(flows) AS flows, sum(src_bytes + dst_bytes) AS bytes
FROM (SELECT *, ifNull(client_device, '') = {id:String} AS out FROM v_pairs WHERE client_device = {id:String} OR server_device = {id:String})
GROUP BY ALL ORDER BY bytes DESC, peer, protocol LIMIT 10`

// section prints a title and a table, nothing when there are no rows.
func section(out *screen, title string, r rows, names []string, columns []column) error {
	defer func() { _ = r.Close() }()
	return out.titled(title, func(to *screen) (int, error) { return to.write(formatTable, names, columns, r) })
}

// titled prints a title before what print prints, if that is anything.
func (s *screen) titled(title string, print func(*screen) (int, error)) error {
	var b strings.Builder
	n, err := print(&screen{w: &b, width: s.width, colour: s.colour})
	if err != nil || n == 0 {
		return err
	}
	_, err = fmt.Fprintf(s.w, "\n%s\n%s", s.paint(title, bold), b.String())
	return err
}

// device prints what a device is.
func (s *screen) device(d *proto.Device) error {
	lines := [][2]string{{"device", d.DeviceID.String()}, {"site", d.Site}}
	add := func(name string, list []string) {
		if len(list) > 0 {
			lines = append(lines, [2]string{name, strings.Join(list, ", ")})
		}
	}
	add("mac", d.MACs)
	add("ip", d.IPs)
	add("host name", d.Hostnames)
	add("AE title", d.AETitles)
	if !d.Gateway.IsZero() {
		add("behind", []string{d.Gateway.String()})
	}
	var former []string
	for _, id := range d.Aliases {
		former = append(former, id.String())
	}
	add("formerly", former)
	lines = append(lines, [2]string{"seen (UTC)", showTime(d.FirstSeen.String()) + " to " + showTime(d.LastSeen.String())})
	for _, l := range lines {
		if _, err := fmt.Fprintf(s.w, "%s  %s\n", s.paint(fmt.Sprintf("%-10s", l[0]), faint), printable(l[1])); err != nil {
			return err
		}
	}
	var facts [][]any
	for _, f := range factsOf(d) {
		if f.Fact != nil {
			facts = append(facts, []any{f.name, f.Value, f.Confidence, strings.Join(f.Sources, ", ")})
		}
	}
	names := []string{"attribute", "value", "confidence", "says"}
	if err := section(s, "What it is", &fixedRows{list: facts}, names, nil); err != nil {
		return err
	}
	if err := s.surroundings(d); err != nil {
		return err
	}
	if err := s.people(d); err != nil {
		return err
	}
	var evidence [][]any
	for _, e := range d.Evidence {
		evidence = append(evidence, []any{e.Attribute, e.Value, e.Protocol, e.Weight, e.Count, e.Last.String()})
	}
	names = []string{"attribute", "value", "protocol", "weight", "times", "last (UTC)"}
	var columns []column
	for _, n := range names {
		columns = append(columns, column{name: n, title: n})
	}
	columns[5].show = showTime
	return section(s, "Why", &fixedRows{list: evidence}, names, columns)
}

// fixedRows are rows that are in memory.
type fixedRows struct {
	list [][]any
	at   int
}

// Next moves to the next row.
func (r *fixedRows) Next() bool { r.at++; return r.at <= len(r.list) }

// Values gives the row.
func (r *fixedRows) Values() ([]any, error) { return r.list[r.at-1], nil }

// Err is nil.
func (r *fixedRows) Err() error { return nil }

// Close does nothing.
func (r *fixedRows) Close() error { return nil }
