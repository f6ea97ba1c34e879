package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
)

type devicesCmd struct {
	outputFlag
	Site     string `placeholder:"SITE" help:"Only of this site."`
	Category string `placeholder:"NAME" help:"Only medical, ot, iot, it, network or unknown ones."`
	Type     string `placeholder:"NAME" help:"Only of this type, for example infusion_pump."`
	Tier     string `placeholder:"TIER" enum:",low,medium,high,critical" default:"" help:"Only of this risk tier: low, medium, high, critical."`
	Limit    int    `placeholder:"N" default:"0" help:"At most so many; 0 for all."`
}

// Help is shown by --help.
func (devicesCmd) Help() string {
	return `Devices as they stand now, those of most risk first. The table shows the beginning of each id, which every
command takes for the whole.

Examples:

    wardflow devices
    wardflow devices --category medical --tier high
    wardflow devices --output json | jq -r 'select(.type=="infusion_pump") | .ips[0]'

Where to look next: wardflow device ID shows the evidence for each value.`
}

// What is not cut of a time and of an IPv4 address.
const (
	timeWidth    = len(time.DateTime)
	addressWidth = len("255.255.255.255")
)

var deviceColumns = []column{
	{name: "device_id", title: "device", show: showID, least: idShown},
	{name: "type", title: "type", least: 15},
	{name: "manufacturer", title: "manufacturer", least: 10, spare: 4},
	{name: "model", title: "model", least: 10, spare: 5},
	{name: "hostnames", title: "host name", least: 10, spare: 3},
	{name: "ips", title: "ip", least: addressWidth},
	{name: "macs", title: "mac", least: len("00:00:00:00:00:00"), spare: 1},
	{name: "score", title: "risk", show: showScore, right: true},
	{name: "tier", title: "tier", style: severity, least: len("critical")},
	{name: "last_seen", title: "last seen (UTC)", show: showTime, least: timeWidth, spare: 2},
}

// Run lists devices.
func (c *devicesCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		r, err := s.Devices(ctx, store.DeviceFilter{Site: c.Site, Category: c.Category, Type: c.Type, Tier: c.Tier, Limit: c.Limit})
		return io.result(c.Output, r, err, deviceColumns, "No devices. Feed a capture (`wardflow up --read FILE`), or widen the filters.")
	})
}

// showDevices prints the table of devices of engines that run.
func showDevices(ctx context.Context, in *session, e *engines) error {
	s, err := openReader(ctx, e.Store, in.cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	r, err := s.Devices(ctx, store.DeviceFilter{})
	return in.io.result(formatTable, r, err, deviceColumns, "No devices yet.")
}

type flowsCmd struct {
	outputFlag
	Site     string    `placeholder:"SITE" help:"Only of this site."`
	Device   string    `placeholder:"DEVICE" help:"Only of this device, at either end. ${device}"`
	Peer     string    `placeholder:"PEER" help:"Only with this at the other end: a device, an address or a network such as 10.1.0.0/16."`
	Protocol string    `placeholder:"NAME" help:"Only of this application protocol, for example dicom."`
	Since    sinceFlag `placeholder:"TIME" help:"Only begun since: 90m, 24h, 7d, 2026-11-17, 2026-11-17T08:00:00Z."`
	Copies   bool      `help:"Also the copies that further sensors told of the same traffic; no total counts them."`
	Limit    int       `placeholder:"N" default:"50" help:"At most so many (${default}); 0 for all."`
}

// Help is shown by --help.
func (flowsCmd) Help() string {
	return `Parts of flows, the latest first, with the devices of both ends as they were bound at that time.

Examples:

    wardflow flows --device 10.41.8.31 --since 2026-11-18
    wardflow flows --protocol hl7 --peer 10.41.8.21
    wardflow flows --device WS-RAD-07 --peer 0.0.0.0/0 --output csv --limit 0 > flows.csv

Where to look next: wardflow sql asks v_flows and v_pairs anything else.`
}

var flowColumns = []column{
	{name: "start", title: "start (UTC)", show: showTime, least: timeWidth},
	{name: "transport", title: "proto", spare: 2},
	{name: "src_ip", title: "source", least: addressWidth},
	{name: "src_port", title: "port", spare: 3},
	{name: "src_type", title: "is", least: 10},
	{name: "dst_ip", title: "destination", least: addressWidth},
	{name: "dst_port", title: "port"},
	{name: "dst_type", title: "is", least: 10},
	{name: "protocol", title: "protocol", least: 8},
	{name: "state", title: "state", spare: 1},
	{name: "src_bytes", title: "bytes out", least: 9, spare: 5},
	{name: "dst_bytes", title: "bytes in", least: 9, spare: 4},
}

// sensorColumns are shown with copies.
var sensorColumns = []column{
	{name: "sensor", title: "sensor", least: 6},
	{name: "duplicate_of_sensor", title: "copy of", least: 7},
}

// Run lists flows.
func (c *flowsCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		id, err := deviceOf(ctx, s, c.Site, c.Device)
		if err != nil {
			return err
		}
		peer, err := findPeer(ctx, s, c.Site, c.Peer)
		if err != nil {
			return err
		}
		r, err := s.Flows(ctx, store.FlowFilter{Site: c.Site, Device: id, Peer: peer, Protocol: c.Protocol, Since: c.Since.Time, Copies: c.Copies, Limit: c.Limit})
		columns := flowColumns
		if c.Copies {
			columns = append(slices.Clip(columns), sensorColumns...)
		}
		return io.result(c.Output, r, err, columns, "No flows match.")
	})
}

type detectionsCmd struct {
	outputFlag
	Site     string    `placeholder:"SITE" help:"Only of this site."`
	Device   string    `placeholder:"DEVICE" help:"Only by this device. ${device}"`
	Rule     string    `placeholder:"NAME" help:"Only of this rule, for example new_external_peer."`
	Severity string    `placeholder:"NAME" enum:",info,low,medium,high,critical" default:"" help:"Only of this severity: info, low, medium, high, critical."`
	Since    sinceFlag `placeholder:"TIME" help:"Only since: 90m, 24h, 7d, 2026-11-17, 2026-11-17T08:00:00Z."`
	Limit    int       `placeholder:"N" default:"50" help:"At most so many (${default}); 0 for all."`
}

// Help is shown by --help.
func (detectionsCmd) Help() string {
	return `What was out of the ordinary, the latest first. A device learns its peers first; what it does during its learning
period is not reported.

Examples:

    wardflow detections --severity high --since 7d
    wardflow detections --device 10.41.8.62 --output json | jq .evidence

Where to look next: wardflow device ID, and wardflow flows --device ID for what it did.`
}

var detectionColumns = []column{
	{name: "time", title: "time (UTC)", show: showTime, least: timeWidth},
	{name: "severity", title: "severity", style: severity, least: len("critical")},
	{name: "rule", title: "rule", least: 17},
	{name: "device_id", title: "device", show: showID, least: idShown},
	{name: "type", title: "type", least: 15, spare: 2},
	{name: "title", title: "what", least: 30},
	{name: "count", title: "count", spare: 1},
}

// Run lists detections.
func (c *detectionsCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		id, err := deviceOf(ctx, s, c.Site, c.Device)
		if err != nil {
			return err
		}
		r, err := s.Detections(ctx, store.DetectionFilter{Site: c.Site, Rule: c.Rule, Severity: c.Severity, Device: id, Since: c.Since.Time, Limit: c.Limit})
		return io.result(c.Output, r, err, detectionColumns, "No detections match.")
	})
}

type riskCmd struct {
	outputFlag
	Site    string    `placeholder:"SITE" help:"Only of this site."`
	Device  string    `placeholder:"DEVICE" help:"Only of this device. ${device}"`
	Tier    string    `placeholder:"TIER" enum:",low,medium,high,critical" default:"" help:"Only of this tier: low, medium, high, critical."`
	Since   sinceFlag `placeholder:"TIME" help:"Only scores since: 90m, 24h, 7d, 2026-11-17, 2026-11-17T08:00:00Z."`
	History bool      `help:"Every change of a score, the latest first, instead of the scores as they stand."`
	Limit   int       `placeholder:"N" default:"50" help:"At most so many (${default}); 0 for all."`
}

// Help is shown by --help.
func (riskCmd) Help() string {
	return `The risk of each device and what makes it up, the highest first. Likelihood and impact are 0 to 1, the score 0 to
100; a factor's share is its part of the likelihood.

Examples:

    wardflow risk --tier high
    wardflow risk --device 10.41.8.62 --history
    wardflow risk --output json | jq '.factors[] | select(.share > 0.5)'`
}

var riskColumns = []column{
	{name: "device_id", title: "device", show: showID, least: idShown},
	{name: "type", title: "type", least: 15},
	{name: "manufacturer", title: "manufacturer", least: 10, spare: 1},
	{name: "score", title: "risk", show: showScore, right: true},
	{name: "tier", title: "tier", style: severity, least: len("critical")},
	{name: "likelihood", title: "likelihood", show: showShare, least: 10, spare: 3},
	{name: "impact", title: "impact", show: showShare, spare: 4},
	{name: "factors", title: "because of", show: showFactors, least: 30},
	{name: "time", title: "since (UTC)", show: showTime, least: timeWidth, spare: 2},
}

// Run lists scores.
func (c *riskCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		id, err := deviceOf(ctx, s, c.Site, c.Device)
		if err != nil {
			return err
		}
		r, err := s.Risk(ctx, store.RiskFilter{Site: c.Site, Tier: c.Tier, Device: id, Since: c.Since.Time, History: c.History, Limit: c.Limit})
		return io.result(c.Output, r, err, riskColumns, "No scores match.")
	})
}

// showFactors names the factors that count, the largest share first.
func showFactors(v any) string {
	list, _ := v.([]any)
	var parts []string
	for _, x := range list {
		f, ok := factorOf(x)
		if ok && f.share >= 0.01 {
			parts = append(parts, fmt.Sprintf("%s %.0f%%", f.name, f.share*100))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

type factor struct {
	name  string
	share float64
	why   string
}

// factorOf reads a tuple of v_risk.factors, which comes with names or without.
func factorOf(v any) (f factor, ok bool) {
	switch x := v.(type) {
	case map[string]any:
		f.name, ok = x["name"].(string)
		f.share, _ = x["share"].(float64)
		f.why, _ = x["why"].(string)
	case []any:
		if len(x) >= 4 {
			f.name, ok = x[0].(string)
			f.share, _ = x[2].(float64)
			f.why, _ = x[3].(string)
		}
	}
	return f, ok
}
