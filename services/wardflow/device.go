package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

type deviceCmd struct {
	ID     string `arg:"" name:"device" help:"${device}"`
	Output format `short:"o" enum:"table,json" default:"table" help:"table; or json, the device as on the topic wardflow.devices."`
}

// Help is shown by --help.
func (deviceCmd) Help() string {
	return `One device: what it is, how sure that is and which protocol said so; its risk and the reasons; its latest detections
and its busiest peers.

Examples:

    wardflow device 10.41.8.62
    wardflow device 4fa0c2
    wardflow device ct1 --output json | jq .evidence`
}

// Run shows the device.
func (c *deviceCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		id, err := findDevice(ctx, s, c.ID)
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

// deviceRecord is the JSON of wardflow.devices, as far as it is shown.
type deviceRecord struct {
	DeviceID  string   `json:"device_id"`
	Aliases   []string `json:"aliases"`
	Site      string   `json:"site"`
	MACs      []string `json:"macs"`
	IPs       []string `json:"ips"`
	Hostnames []string `json:"hostnames"`
	AETitles  []string `json:"ae_titles"`
	Gateway   *string  `json:"gateway"`
	FirstSeen string   `json:"first_seen"`
	LastSeen  string   `json:"last_seen"`
	Evidence  []struct {
		Attribute string  `json:"attribute"`
		Value     string  `json:"value"`
		Protocol  string  `json:"protocol"`
		First     string  `json:"first"`
		Last      string  `json:"last"`
		Count     uint64  `json:"count"`
		Weight    float64 `json:"weight"`
	} `json:"evidence"`
	facts map[string]*proto.Fact
}

// factNames are the fused attributes, in the order of the contract.
var factNames = []string{"category", "type", "manufacturer", "model", "os", "os_version", "hardware_version", "software_version", "serial", "location"}

func parseDevice(record []byte) (*deviceRecord, error) {
	var d deviceRecord
	if err := json.Unmarshal(record, &d); err != nil {
		return nil, fmt.Errorf("read device record: %w", err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(record, &all); err != nil {
		return nil, fmt.Errorf("read device record: %w", err)
	}
	d.facts = map[string]*proto.Fact{}
	for _, name := range factNames {
		var f *proto.Fact
		if raw, ok := all[name]; ok {
			if err := json.Unmarshal(raw, &f); err != nil {
				return nil, fmt.Errorf("read device record: %s: %w", name, err)
			}
		}
		if f != nil {
			d.facts[name] = f
		}
	}
	return &d, nil
}

func showDevice(ctx context.Context, io *streams, s *store.Store, record []byte) error {
	d, err := parseDevice(record)
	if err != nil {
		return err
	}
	out := io.screen()
	if err := d.show(out); err != nil {
		return err
	}
	id := store.Named("id", d.DeviceID)
	for _, q := range []struct {
		title   string
		sql     string
		columns []column
	}{
		{
			"Risk", "SELECT time, score, tier, likelihood, impact, factors FROM v_risk WHERE device_id = {id:String}",
			[]column{{name: "score", title: "risk", show: showScore, right: true}, {name: "tier", title: "tier", style: severity}, {name: "likelihood", title: "likelihood"}, {name: "impact", title: "impact"}, {name: "factors", title: "because of", show: showFactors}, {name: "time", title: "since (UTC)", show: showTime}},
		},
		{
			"Latest detections", "SELECT time, severity, rule, title FROM v_detections WHERE device_id = {id:String} ORDER BY time DESC, detection_id LIMIT 10",
			[]column{{name: "time", title: "time (UTC)", show: showTime}, {name: "severity", title: "severity", style: severity}, {name: "rule", title: "rule"}, {name: "title", title: "what"}},
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

// show prints what the device is.
func (d *deviceRecord) show(out *screen) error {
	lines := [][2]string{{"device", d.DeviceID}, {"site", d.Site}}
	add := func(name string, list []string) {
		if len(list) > 0 {
			lines = append(lines, [2]string{name, strings.Join(list, ", ")})
		}
	}
	add("mac", d.MACs)
	add("ip", d.IPs)
	add("host name", d.Hostnames)
	add("AE title", d.AETitles)
	if d.Gateway != nil {
		add("behind", []string{*d.Gateway})
	}
	add("formerly", d.Aliases)
	lines = append(lines, [2]string{"seen (UTC)", showTime(d.FirstSeen) + " to " + showTime(d.LastSeen)})
	for _, l := range lines {
		if _, err := fmt.Fprintf(out.w, "%s  %s\n", out.paint(fmt.Sprintf("%-10s", l[0]), faint), printable(l[1])); err != nil {
			return err
		}
	}
	var facts [][]any
	for _, name := range factNames {
		if f := d.facts[name]; f != nil {
			facts = append(facts, []any{name, f.Value, f.Confidence, strings.Join(f.Sources, ", ")})
		}
	}
	names := []string{"attribute", "value", "confidence", "says"}
	if err := section(out, "What it is", &fixedRows{list: facts}, names, nil); err != nil {
		return err
	}
	var evidence [][]any
	for _, e := range d.Evidence {
		evidence = append(evidence, []any{e.Attribute, e.Value, e.Protocol, e.Weight, e.Count, e.Last})
	}
	names = []string{"attribute", "value", "protocol", "weight", "times", "last (UTC)"}
	var columns []column
	for _, n := range names {
		columns = append(columns, column{name: n, title: n})
	}
	columns[5].show = showTime
	return section(out, "Why", &fixedRows{list: evidence}, names, columns)
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
