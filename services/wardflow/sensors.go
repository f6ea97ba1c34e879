package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/services/sensors"
)

type sensorsCmd struct {
	List      sensorsListCmd      `cmd:"" default:"withargs" help:"List the sensors, those that need somebody first."`
	Show      sensorsShowCmd      `cmd:"" help:"Show all that is known of one sensor, and what has happened to it."`
	Enrol     sensorsEnrolCmd     `cmd:"" help:"Enter a sensor in the register, and let it in at the brokers."`
	Revoke    sensorsRevokeCmd    `cmd:"" help:"Take a sensor out of the register, and its rights at the brokers."`
	Configure sensorsConfigureCmd `cmd:"" help:"Change what sensors capture, from here."`
}

// Help is shown by --help.
func (sensorsCmd) Help() string {
	return `The live sensors: whether they are heard, how much they see, what they lose, whether their clocks are right, which
configuration they have. A sensor says so every ten seconds; one that has not been heard for sensors.away_after (30 s)
is away, and that is an alert.

States: up; stopping (it said so); away; suspect (its clock is more than 60 s off the broker's); expected (enrolled,
and not heard yet).

Examples:

    wardflow sensors
    wardflow sensors --state away --output json | jq -r .sensor
    wardflow sensors show tap-1
    wardflow sensors enrol tap-1 --site st-alban --user tap-1 --out tap-1
    wardflow sensors enrol tap-2 --site st-alban --certificate 'CN=tap-2,O=St Alban'
    wardflow sensors configure tap-1 --site st-alban interfaces=eth1,eth2 filter='not port 22'
    wardflow sensors revoke tap-1 --site st-alban

Each of them explains itself: wardflow sensors enrol --help.`
}

type sensorsListCmd struct {
	outputFlag
	Site  string `placeholder:"SITE" help:"Only of this site."`
	State string `placeholder:"STATE" enum:",up,stopping,away,suspect,expected" default:"" help:"Only in this state: up, stopping, away, suspect, expected."`
	Limit int    `placeholder:"N" default:"0" help:"At most so many; 0 for all."`
}

var liveSensorColumns = []column{
	{name: "site", title: "site", least: 8, spare: 8},
	{name: "sensor", title: "sensor", least: 10},
	{name: "state", title: "state", style: sensorState, least: len("stopping")},
	{name: "enrolled", title: "enrolled", show: showEnrolled, spare: 4},
	{name: "packets_per_s", title: "packets/s", show: showRate, right: true},
	{name: "flows_per_s", title: "flows/s", show: showRate, right: true, spare: 6},
	{name: "kernel_drop_share", title: "kernel drops", show: showDrops, style: drops, right: true},
	{name: "other_drop_share", title: "other drops", show: showDrops, style: drops, right: true, spare: 5},
	{name: "clock_offset_s", title: "clock", show: showOffset, right: true},
	{name: "spool_records", title: "spool", right: true, spare: 7},
	{name: "last_seen", title: "last seen (UTC)", show: showTime, least: timeWidth},
	{name: "version", title: "version", spare: 3},
	{name: "config_version", title: "config", right: true, spare: 2},
	{name: "config_error", title: "config error", spare: 1, least: 12},
}

const noSensors = "No live sensors. Start one with `wardflow capture --interface IF`, or widen the filters."

// Run lists sensors.
func (c *sensorsListCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		r, err := s.Sensors(ctx, store.SensorFilter{Site: c.Site, State: c.State, Limit: c.Limit})
		return io.result(c.Output, r, err, liveSensorColumns, noSensors)
	})
}

func sensorState(v any) style {
	switch v {
	case "up":
		return green
	case "away":
		return red
	case "suspect":
		return yellow
	}
	return faint
}

func showEnrolled(v any) string {
	if v == true {
		return "yes"
	}
	return "unknown"
}

// showRate is a number of things a second.
func showRate(v any) string {
	f, ok := v.(float64)
	switch {
	case !ok:
		return "-"
	case f > 0 && f < 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// showDrops is a share in percent: none is said in a word, and little is not nothing.
func showDrops(v any) string {
	f, ok := v.(float64)
	switch {
	case !ok:
		return "-"
	case f == 0:
		return "none"
	case f < 0.0001:
		return "<0.01%"
	}
	return strconv.FormatFloat(f*100, 'f', 2, 64) + "%"
}

func drops(v any) style {
	if f, ok := v.(float64); ok && f > 0 {
		return red
	}
	return plain
}

// showOffset is how far a clock is ahead (+) or behind (-).
func showOffset(v any) string {
	f, ok := v.(float64)
	if !ok {
		return "-"
	}
	if math.Abs(f) < 0.05 { // and the way to the broker takes some of it
		return "0.0s"
	}
	return fmt.Sprintf("%+.1fs", f)
}

type sensorsShowCmd struct {
	Name   string `arg:"" help:"The sensor."`
	Site   string `placeholder:"SITE" help:"The sensor of this site, where several sites have one of that name."`
	Output format `short:"o" enum:"table,json" default:"table" help:"table; or json, everything in one object."`
}

// Help is shown by --help.
func (sensorsShowCmd) Help() string {
	return `One sensor: what it said last, what it loses and why, and the latest that has happened to it.

Examples:

    wardflow sensors show tap-1
    wardflow sensors show tap-1 --site st-alban --output json | jq .record.interfaces`
}

// Run shows the sensor.
func (c *sensorsShowCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		r, err := s.Sensors(ctx, store.SensorFilter{Site: c.Site, Sensor: c.Name})
		if err != nil {
			return err
		}
		names := r.Columns
		found, err := all(r, nil)
		if err != nil {
			return err
		}
		sensor, err := oneSensor(c.Name, names, found)
		if err != nil {
			return err
		}
		if c.Output == formatJSON {
			_, err := io.screen().write(formatJSON, names, nil, &fixedRows{list: [][]any{found[0]}})
			return err
		}
		return showSensor(ctx, io.screen(), s, names, sensor)
	})
}

// oneSensor gives the one row by its columns.
func oneSensor(name string, names []string, found [][]any) (map[string]any, error) {
	var sites []string
	sensor := map[string]any{}
	for _, row := range found {
		for i, n := range names {
			sensor[n] = row[i]
		}
		sites = append(sites, "  "+printable(showAny(sensor["site"])))
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no sensor %q: `wardflow sensors` lists all", name)
	case 1:
		return sensor, nil
	}
	return nil, fmt.Errorf("several sites have a sensor %q, say which by --site:\n%s", name, strings.Join(sites, "\n"))
}

// sensorLines are what is shown of a sensor, besides its tables.
var sensorLines = []column{
	{name: "sensor"},
	{name: "site"},
	{name: "state"},
	{name: "state_since", title: "since (UTC)", show: showTime},
	{name: "enrolled", show: showEnrolled},
	{name: "last_seen", title: "last seen (UTC)", show: showTime},
	{name: "started", title: "started (UTC)", show: showTime},
	{name: "version"},
	{name: "run"},
	{name: "clock_offset_s", title: "clock", show: showOffset},
	{name: "packets"},
	{name: "packets_per_s", title: "packets/s", show: showRate},
	{name: "bytes"},
	{name: "bytes_per_s", title: "bytes/s", show: showRate},
	{name: "flows"},
	{name: "flows_per_s", title: "flows/s", show: showRate},
	{name: "observations"},
	{name: "spool_records", title: "spool records"},
	{name: "spool_bytes", title: "spool bytes"},
	{name: "spool_age_s", title: "spool age, s"},
	{name: "config_version", title: "config"},
	{name: "config_error", title: "config error"},
}

func showSensor(ctx context.Context, out *screen, s *store.Store, names []string, sensor map[string]any) error {
	for _, l := range sensorLines {
		show, title := l.show, l.title
		if show == nil {
			show = showAny
		}
		if title == "" {
			title = l.name
		}
		if _, err := fmt.Fprintf(out.w, "%s  %s\n", out.paint(fmt.Sprintf("%-15s", title), faint), printable(show(sensor[l.name]))); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	at := []any{store.Named("site", sensor["site"]), store.Named("sensor", sensor["sensor"])}
	for _, q := range []struct {
		title, sql string
		columns    []column
	}{
		{"Interfaces", `SELECT JSONExtractString(i, 'name') AS interface, if(JSONExtractBool(i, 'up'), 'up', 'DOWN') AS is, JSONExtractUInt(i, 'packets') AS packets, JSONExtractUInt(i, 'kernel_drops') AS kernel_drops
FROM (SELECT arrayJoin(JSONExtractArrayRaw(record, 'interfaces')) AS i FROM v_sensors WHERE site = {site:String} AND sensor = {sensor:String})`, nil},
		{"Drops behind the kernel", `SELECT reason, count FROM (SELECT drops FROM v_sensors WHERE site = {site:String} AND sensor = {sensor:String}) ARRAY JOIN mapKeys(drops) AS reason, mapValues(drops) AS count ORDER BY count DESC, reason`, nil},
		{"Latest events", `SELECT time, severity, what, title, evidence FROM v_sensor_events WHERE site = {site:String} AND sensor = {sensor:String} ORDER BY time DESC, what LIMIT 20`, []column{
			{name: "time", title: "time (UTC)", show: showTime, least: timeWidth},
			{name: "severity", title: "severity", style: severity, least: len("critical")},
			{name: "what", title: "what", least: 14},
			{name: "evidence", title: "evidence", least: 30},
		}},
	} {
		r, err := s.Query(ctx, q.sql, at...)
		if err != nil {
			return err
		}
		if err := section(out, q.title, r, r.Columns, q.columns); err != nil {
			return err
		}
	}
	return nil
}

type rollcallCmd struct {
	Instance string `help:"Stable name of this instance among those of the service." default:"0"`
}

// Run implements the command.
func (c *rollcallCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, e, err := g.attach(io, needsKafka)
	if err != nil {
		return err
	}
	w := watched{groups: map[string][]string{sensors.Group: sensors.Topics()}}
	return s.runService(ctx, e, "rollcall", c.Instance, w, func() []app.Spec { return []app.Spec{sensorsUnit(s.cfg, e, s.log, c.Instance)} })
}

// sensorsUnit makes the unit that keeps book of the live sensors.
func sensorsUnit(cfg *config.Config, e *engines, log *slog.Logger, instance string) app.Spec {
	s := sensors.New(sensors.Config{
		RequireEnrolment: cfg.Sensors.RequireEnrolment, AwayAfter: cfg.Sensors.AwayAfter, StoppedAfter: cfg.Sensors.StoppedAfter,
		Instance: instance, Bus: e.Kafka, Log: log.With("service", "sensors"),
	})
	s.Tell(e.Kafka.Telemetry) // until the process ends
	return app.Spec{Unit: app.Func("sensors", s.Run), Restart: app.DefaultBackoff(), Check: s.Check}
}

var errNotEnrolled = errors.New("is not in the register: `wardflow sensors` lists who is")
