package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/services/capture"
)

// serviceCommands are `up`, and the services by themselves, as a cluster runs
// them. `up` runs the very same units in one process.
type serviceCommands struct {
	Up upCmd `cmd:"" group:"run" help:"Start everything on this machine, feed capture files, and show the devices found."`

	Capture     captureCmd     `cmd:"" group:"services" help:"Capture: packets to flows and observations on Kafka."`
	Fingerprint fingerprintCmd `cmd:"" group:"services" help:"Fingerprint: what every device is."`
	Anomaly     anomalyCmd     `cmd:"" group:"services" help:"Anomaly: what is out of the ordinary."`
	Score       scoreCmd       `cmd:"" group:"services" help:"Risk service: how much risk every device carries, and why."`
	Sink        sinkCmd        `cmd:"" group:"services" help:"Sink: Kafka to ClickHouse, exactly once."`
	Prepare     prepareCmd     `cmd:"" group:"services" help:"Create topics and tables and publish the policies; nothing the second time."`
	Bench       benchCmd       `cmd:"" group:"rest" help:"Measure this machine: flows/s from capture to rows in ClickHouse, freshness, memory, disk."`
	Broker      childCmd       `cmd:"" hidden:"" help:"The embedded broker, as a child of up."`
	Clickhouse  childCmd       `cmd:"" hidden:"" help:"The embedded ClickHouse, as a child of up."`
}

// session is what a service command works with.
type session struct {
	cfg *config.Config
	io  *streams
	log *slog.Logger
}

func (g *globals) session(io *streams) (*session, error) {
	l, err := g.load(io)
	if err != nil {
		return nil, err
	}
	return &session{cfg: &l.Config, io: io, log: logger(&l.Config, io)}, nil
}

// attach is a session with engines that run already.
func (g *globals) attach(io *streams) (*session, *engines, error) {
	s, err := g.session(io)
	if err != nil {
		return nil, nil, err
	}
	e, err := findEngines(s.cfg)
	if err == nil && len(e.Kafka.Brokers) == 0 {
		err = errors.New("no Kafka: name kafka.brokers, or start the embedded one with `wardflow up`")
	}
	return s, e, err
}

type captureCmd struct {
	Read  []string `required:"" help:"Capture files (pcap, pcapng, gzip of either), merged by time." type:"existingfile" placeholder:"FILE"`
	Speed float64  `help:"Event time per wall time; 0 is as fast as possible." default:"0"`
}

// Help is shown by --help.
func (captureCmd) Help() string {
	return `Reads capture files and writes flows, observations and heartbeats to the topic wardflow.traffic. A file
that is read again, also after a crash, changes nothing: what is known is dropped by its number.

Examples:
  wardflow capture --read monday.pcapng --set site=st-alban
  wardflow capture --read monday.pcap.gz --speed 60      an hour in a minute`
}

// Run implements the command.
func (c *captureCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, e, err := g.attach(io)
	if err != nil {
		return err
	}
	pc, err := captureConfig(s.cfg)
	if err != nil {
		return err
	}
	return capture.ReadFiles(ctx, capture.FilesConfig{Paths: c.Read, Processor: pc, Speed: c.Speed, Bus: e.Kafka, Log: s.log})
}

type foldFlags struct {
	Instance string `help:"Stable name of this instance among those of the service." default:"0"`
}

func (f *foldFlags) run(ctx context.Context, g *globals, io *streams, service string) error {
	s, e, err := g.attach(io)
	if err != nil {
		return err
	}
	specs, _ := foldUnits(s.cfg, e, s.log, service, f.Instance)
	return app.New(s.log, specs...).Run(ctx)
}

type fingerprintCmd struct{ foldFlags }

// Run implements the command.
func (c *fingerprintCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return c.run(ctx, g, io, "fingerprint")
}

type anomalyCmd struct{ foldFlags }

// Run implements the command.
func (c *anomalyCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return c.run(ctx, g, io, "anomaly")
}

type scoreCmd struct{ foldFlags }

// Run implements the command.
func (c *scoreCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return c.run(ctx, g, io, "risk")
}

type sinkCmd struct {
	Instance string `help:"Stable name of this instance among those of the service." default:"0"`
}

// Run implements the command.
func (c *sinkCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, e, err := g.attach(io)
	if err != nil {
		return err
	}
	return app.New(s.log, sinkUnit(s.cfg, e, s.log, c.Instance)).Run(ctx)
}

type prepareCmd struct{}

// Run implements the command.
func (c *prepareCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, e, err := g.attach(io)
	if err != nil {
		return err
	}
	if err := e.prepare(ctx, version); err != nil {
		return err
	}
	return publishPolicies(ctx, s.cfg, e.Kafka)
}

type childCmd struct{}

// Run implements the command: broker or ClickHouse, as the parent says.
func (childCmd) Run(ctx context.Context, io *streams) error { return embedded.ServeChild(ctx, io.in) }
