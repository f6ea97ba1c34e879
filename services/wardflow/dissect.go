package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/services/wardflow/internal/dissect"
)

// dissectGCPercent: what is alive is little, and nearly all else is garbage at once.
const dissectGCPercent = 1000

type dissectCmd struct {
	Files     []string `arg:"" help:"Capture files: pcap, pcapng, compressed or not; several are merged by time."`
	Out       string   `placeholder:"DIR" help:"Folder for the output; it is made where needed."`
	Each      bool     `help:"Make a run of each file, in a folder of its own below the output folder, named as the file is below the folder that all of them are in."`
	Format    string   `placeholder:"FORMAT" enum:"json,msgpack" default:"json" help:"json: JSON lines; msgpack: traffic.msgpack, batches as they go to Kafka, each after its length in 4 bytes."`
	FlowsOnly bool     `help:"Leave the dissectors out: flows, with protocols by port alone, and no observations."`
	Site      string   `placeholder:"SITE" help:"Name of the site; it is part of every id. Default: site of the configuration."`
	Sensor    string   `placeholder:"NAME" help:"Name of the sensor that saw the files. Default: sensor of the configuration, else replay."`
	Home      []string `placeholder:"CIDR" help:"What is inside; may be repeated. Default: RFC 1918, 100.64/10, 169.254/16, fc00::/7, fe80::/10."`
	Key       string   `placeholder:"FILE" help:"Key of the HMACs that stand for identities; derived from the site by default."`
}

// Help is shown by --help.
func (dissectCmd) Help() string {
	return `Takes capture files through capture's code alone, that of the live sensor and of replay, without any of what follows from
it, and writes flows.jsonl and observations.jsonl, with the keys that replay writes, and summary.json. Lines stand in the
order in which capture tells them; devices are null. Memory is bounded whatever the size of the files. It uses one core.

Of the configuration, site, sensor and capture apply; flags go over it.

Exit status: 0 done; 1 no input file could be read; 2 wrong usage. A damaged file among others is told on standard
error, and the rest goes on.

Examples:

    wardflow dissect monday.pcapng --out monday/
    wardflow dissect monday.pcapng --out monday/ --flows-only
    wardflow dissect monday.pcapng --out monday/ --format msgpack
    wardflow dissect captures/*.pcap --each --out out/      out/a.pcap/flows.jsonl, out/b.pcap/flows.jsonl, ...

Where to look next: jq -r '.protocol + " " + .protocol_by' monday/flows.jsonl | sort | uniq -c; wardflow replay for devices,
detections and risk.`
}

// Run dissects.
func (c *dissectCmd) Run(ctx context.Context, g *globals, io *streams) error {
	l, err := g.load(io)
	if err != nil {
		return err
	}
	o, err := c.options(&l.Config)
	if err != nil {
		return err
	}
	tuneCollector(io)
	if io.getenv("GOGC") == "" {
		debug.SetGCPercent(dissectGCPercent)
	}
	say := newSteps(io)
	defer say.drop()
	say.step("dissecting %s", counted(len(o.Files), "capture file"))
	o.Note = say.note
	o.Progress = func(p dissect.Progress) {
		if o.Each {
			say.progress("%d files, %d packets", p.Files, p.Packets)
			return
		}
		say.share(p.Read, p.Size, "%d packets, event time %s", p.Packets, showTime(p.Clock.String()))
	}
	res, err := dissect.Run(ctx, *o)
	if err != nil {
		return err
	}
	say.end()
	took := time.Since(say.begun).Seconds()
	io.note("%d packets, %s: %d flows, %d observations in %s, after %.1f s (%.0f packets/s)",
		res.Packets, size(res.Bytes), res.Flows, res.Facts, c.Out, took, float64(res.Packets)/took)
	return nil
}

// options turns the configuration, and the flags over it, into options; every
// error is wrong usage.
func (c *dissectCmd) options(cfg *config.Config) (*dissect.Options, error) {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Out == "" {
		bad("--out is missing: name a folder for the output")
	}
	x, err := captureConfig(cfg)
	if err != nil {
		bad("%w", err)
	}
	x.FlowsOnly = c.FlowsOnly
	if c.Site != "" {
		x.Site = c.Site
		if p := config.ValidateSite("--site", c.Site); len(p) > 0 {
			bad("%w", p)
		}
	}
	if x.Sensor == config.Default().Sensor {
		x.Sensor = dissect.DefaultSensor
	}
	if x.Sensor = cmp.Or(c.Sensor, x.Sensor); c.Sensor != "" {
		if p := config.ValidateSite("--sensor", c.Sensor); len(p) > 0 {
			bad("%w", p)
		}
	}
	var home []netip.Prefix
	for _, s := range c.Home {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			bad("--home %s is no CIDR such as 10.0.0.0/8", s)
			continue
		}
		home = append(home, p.Masked())
	}
	if len(home) > 0 {
		x.Home = home
	}
	if c.Key != "" {
		if x.Key, err = readKey(c.Key); err != nil {
			bad("--key: %w", err)
		}
	}
	if len(problems) > 0 {
		return nil, usageError{errors.Join(problems...)}
	}
	return &dissect.Options{Files: c.Files, Out: c.Out, Format: c.Format, Each: c.Each, Capture: x}, nil
}
