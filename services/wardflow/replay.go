package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/wardflow/internal/check"
	"github.com/wardflow/wardflow/services/wardflow/internal/replay"
)

type replayCmd struct {
	Files         []string `arg:"" optional:"" help:"Capture files: pcap, pcapng, compressed or not; several are merged by time."`
	Site          string   `placeholder:"SITE" help:"Name of the site; it is part of every id. Default: site of the configuration."`
	Out           string   `placeholder:"DIR" help:"Folder for the output; it is made where needed."`
	Home          []string `placeholder:"CIDR" help:"What is inside; may be repeated. Default: RFC 1918, 100.64/10, 169.254/16, fc00::/7, fe80::/10."`
	Sensor        []string `placeholder:"NAME=FILE" sep:"none" help:"A file as another sensor saw it; may be repeated. NAME alone names the sensor of the others, else replay."`
	Baseline      []string `placeholder:"FILE" sep:"none" help:"Learn from this file first; nothing in it is a detection. May be repeated."`
	BaselineUntil string   `placeholder:"TIME" help:"Learn from everything before this time."`
	Advisories    string   `placeholder:"DIR" help:"CSAF, KEV, EPSS, CVE and NVD files, told apart by content. They are read and counted; no service uses them yet."`
	Context       string   `placeholder:"FILE" help:"YAML: sites and their places, networks, roster, ends of support, policy by site; business, controls and framework are accepted, and not used yet."`
	Edits         string   `placeholder:"FILE" help:"What people have decided about devices: JSON lines as on wardflow.edits; each applies when event time has come to its time, later ones at the end."`
	Signatures    string   `placeholder:"DIR" help:"A signature pack, or a folder of them, beside the program's."`
	Until         string   `placeholder:"TIME" help:"Let event time go on to here; without it, it ends at the last packet."`
	Key           string   `placeholder:"FILE" help:"Key of the HMACs that stand for identities; derived from the site by default."`
	Check         string   `placeholder:"DIR" help:"Validate an output folder against the JSON Schema, and do nothing else."`
}

// Help is shown by --help.
func (replayCmd) Help() string {
	return `Reads captures through the very same capture code and folds as the running system, in memory, in event time, and
writes JSON lines: flows, observations, devices, usage, detections, findings, risk, and summary.json. The same input
gives the same bytes. It needs no privileges and no network.

Of the configuration, site, sensor, capture and policy apply, as they do to the running system; flags and the context
file go over it.

Exit status: 0 done; 1 no input file could be read; 2 wrong usage. A damaged file among others is told on standard
error, and the rest goes on.

Examples:

    wardflow replay monday.pcapng --site st-alban --out monday/
    wardflow replay incident.pcap --baseline day.pcapng --site ward-a --out incident/
    wardflow replay a.pcap --sensor core=b.pcap --site ward-a --out both/
    wardflow replay monday.pcapng --site st-alban --edits monday-edits.jsonl --out monday/
    wardflow replay --check monday/

The context file (all of it: docs/how-to/describe-the-hospital.md):

    sites: [{site: ward-a, home: [10.41.8.0/24], buildings: [{building: Main, floors: [{floor: "3", rooms: ["3.01"]}]}]}]
    subnets: [{cidr: 10.41.9.0/24, site: ward-a, vlan: 9, name: Radiology, building: Main}]
    roster: [{asset: A-1001, serial: "62341", owner: Radiology, maintenance_due: 2027-03-01}]
    policy: {ward-a: {learning_period_s: 86400, trusted_externals: [192.0.2.0/24]}}

Where to look next: jq on the files; wardflow up --read FILE to browse the same in ClickHouse.`
}

// Run replays or checks.
func (c *replayCmd) Run(ctx context.Context, g *globals, io *streams) error {
	if c.Check != "" {
		if len(c.Files) > 0 || c.Out != "" {
			return usagef("--check validates a folder and replays nothing: give it alone")
		}
		return checkFolder(c.Check, io)
	}
	l, err := g.load(io)
	if err != nil {
		return err
	}
	o, err := c.options(&l.Config, io)
	if err != nil {
		return err
	}
	tuneCollector(io)
	say := newSteps(io)
	defer say.drop()
	say.step("reading %s", counted(len(o.Baseline)+len(o.Files), "capture file"))
	writing := false
	o.Note = say.note
	o.Progress = func(p replay.Progress) {
		if p.Writing && !writing {
			writing = true
			say.step("writing %s", c.Out)
		}
		if p.Writing {
			say.progress("%d packets", p.Packets)
			return
		}
		say.share(p.Read, p.Size, "%d packets, event time %s", p.Packets, showTime(p.Clock.String()))
	}
	packs, err := configuredPacks(cmp.Or(c.Signatures, l.Fingerprint.Packs))
	if err != nil {
		return usageError{err}
	}
	o.Folds = folds(packs...)
	res, err := replay.Run(ctx, *o)
	if err != nil {
		return err
	}
	say.end()
	s := &res.Summary
	io.note("%d packets, %s, %s of event time: %d flows, %d devices, %d detections in %s, after %.1f s",
		s.Packets, size(s.Bytes), time.Duration(s.Seconds*float64(time.Second)).Round(time.Second), s.Flows, s.Devices, s.Detections, c.Out, time.Since(say.begun).Seconds())
	return nil
}

// options turns the configuration, and the flags over it, into options; every
// error is wrong usage.
func (c *replayCmd) options(cfg *config.Config, io *streams) (*replay.Options, error) {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	o := &replay.Options{Site: c.Site, Out: c.Out}
	if o.Site == "" && cfg.Site != config.Default().Site {
		o.Site = cfg.Site
	}
	if o.Site == "" {
		bad("--site is missing: name the site of the capture")
	} else if p := config.ValidateSite("--site", o.Site); len(p) > 0 {
		bad("%w", p)
	}
	if c.Out == "" {
		bad("--out is missing: name a folder for the output")
	}
	c.files(o, cfg.Sensor, bad)
	if len(o.Files) == 0 {
		bad("no capture file is named")
	}
	var err error
	if o.Capture, err = captureConfig(cfg); err != nil {
		bad("%w", err)
	}
	for _, s := range c.Home {
		x, err := netip.ParsePrefix(s)
		if err != nil {
			bad("--home %s is no CIDR such as 10.0.0.0/8", s)
			continue
		}
		o.Home = append(o.Home, x.Masked())
	}
	if o.Learn, err = eventTime(c.BaselineUntil); err != nil {
		bad("--baseline-until %w", err)
	}
	if o.Until, err = eventTime(c.Until); err != nil {
		bad("--until %w", err)
	}
	if c.Edits != "" {
		if o.Edits, err = readEdits(c.Edits); err != nil {
			bad("--edits: %w", err)
		}
	}
	if c.Key != "" {
		if o.Key, err = readKey(c.Key); err != nil {
			bad("--key: %w", err)
		}
	}
	if err := c.surroundings(o, cfg, io); err != nil {
		bad("%w", err)
	}
	if len(problems) > 0 {
		return nil, usageError{errors.Join(problems...)}
	}
	return o, nil
}

// files gives each file its sensor. --sensor may name a file that is listed
// already, or one more.
func (c *replayCmd) files(o *replay.Options, sensor string, bad func(string, ...any)) {
	sensors, others := map[string]string{}, ""
	if sensor != config.Default().Sensor {
		others = sensor
	}
	var named []string
	for _, s := range c.Sensor {
		name, file, of := strings.Cut(s, "=")
		if p := config.ValidateSite("--sensor", name); len(p) > 0 {
			bad("%w", p)
		}
		switch {
		case !of:
			others = name
		case file == "":
			bad("--sensor %s: want NAME=FILE, or NAME alone", s)
		default:
			sensors[filepath.Clean(file)] = name
			named = append(named, file)
		}
	}
	listed := map[string]bool{}
	add := func(list *[]replay.File, file string) {
		at := filepath.Clean(file)
		listed[at] = true
		*list = append(*list, replay.File{Path: file, Sensor: cmp.Or(sensors[at], others)})
	}
	for _, f := range c.Baseline {
		add(&o.Baseline, f)
	}
	for _, f := range c.Files {
		add(&o.Files, f)
	}
	for _, f := range named {
		if !listed[filepath.Clean(f)] {
			add(&o.Files, f)
		}
	}
}

// surroundings reads what else is known of the site.
func (c *replayCmd) surroundings(o *replay.Options, cfg *config.Config, io *streams) error {
	if c.Advisories != "" {
		a, err := replay.LoadAdvisories(c.Advisories)
		if err != nil {
			return err
		}
		for _, err := range a.Unknown {
			io.note("advisories: %v", err)
		}
		io.note("advisories: %s; no service uses advisories yet", a)
	}
	x := new(replay.Context)
	if c.Context != "" {
		var err error
		if x, err = replay.LoadContext(c.Context); err != nil {
			return err
		}
		if err := x.Warned(); err != nil {
			io.note("%v", err)
		}
		if o.Controls, err = fingerprint.ContextEvents(filepath.Base(c.Context), x.Text); err != nil {
			return err
		}
	}
	for site, p := range cfg.Policy {
		if _, ok := x.Policy[site]; !ok {
			x.SetPolicy(site, p)
		}
	}
	if home := x.Home(o.Site); len(home) > 0 {
		if len(o.Home) == 0 {
			o.Home = o.Capture.Home
		}
		o.Home = append(o.Home, home...)
	}
	if unused := x.Unused(); len(unused) > 0 {
		io.note("context: no service uses %s yet", strings.Join(unused, ", "))
	}
	var err error
	o.Policies, err = x.Protos()
	return err
}

func eventTime(s string) (proto.Time, error) {
	if s == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time such as 2026-11-18T06:00:00Z", s)
	}
	if y := t.UTC().Year(); y < 1970 || y >= 2200 { // what capture files can say
		return 0, fmt.Errorf("%q is not between 1970 and 2200", s)
	}
	return proto.TimeOf(t), nil
}

func checkFolder(dir string, io *streams) error {
	n := 0
	lines, err := check.Dir(dir, func(p check.Problem) {
		n++
		io.note("%s", p)
	})
	if err != nil {
		return err
	}
	if n > 0 {
		io.note("%s: %d problems in %d lines", dir, n, lines)
		return errReported
	}
	_, err = fmt.Fprintf(io.out, "%s: good, %d lines\n", dir, lines)
	return err
}
