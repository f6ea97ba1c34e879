package main

import (
	"context"
	"log/slog"
	"runtime/debug"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
)

// serviceCommands are the services by themselves, as a cluster runs them. `up`
// runs the very same units in one process.
type serviceCommands struct {
	Capture     captureCmd     `cmd:"" group:"services" help:"Capture: packets to flows and observations on Kafka."`
	Fingerprint fingerprintCmd `cmd:"" group:"services" help:"Fingerprint: what every device is; and what its classification by behaviour is worth."`
	Anomaly     anomalyCmd     `cmd:"" group:"services" help:"Anomaly: what is out of the ordinary."`
	Score       scoreCmd       `cmd:"" group:"services" help:"Risk service: how much risk every device carries, and why."`
	Rollcall    rollcallCmd    `cmd:"" group:"services" help:"Sensor service: which live sensors are heard, which are away, and what has changed."`
	Sink        sinkCmd        `cmd:"" group:"services" help:"Sink: Kafka to ClickHouse, exactly once."`
	Prepare     prepareCmd     `cmd:"" group:"services" help:"Create topics and tables and publish the policies; nothing the second time."`
}

// gcPercent trades memory for processor time: fold state is a large heap of small
// objects, which the collector would otherwise walk through all the time.
const gcPercent = 300

// softMemory is from where on the collector works as hard as it must, in bytes.
const softMemory = 4 << 30

// tuneCollector is for processes that hold fold state. GOGC and GOMEMLIMIT in the
// environment win.
func tuneCollector(io *streams) {
	if io.getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if io.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}

// session is what a service command works with.
type session struct {
	cfg     *config.Config
	dataDir string // as given by flag
	io      *streams
	log     *slog.Logger
}

func (g *globals) session(io *streams) (*session, error) {
	l, err := g.load(io)
	if err != nil {
		return nil, err
	}
	tuneCollector(io)
	return &session{cfg: &l.Config, dataDir: g.DataDir, io: io, log: logger(&l.Config, io)}, nil
}

// attach is a session with engines that run already.
func (g *globals) attach(io *streams, n needs) (*session, *engines, error) {
	s, err := g.session(io)
	if err != nil {
		return nil, nil, err
	}
	e, err := findEngines(s.cfg, n)
	return s, e, err
}

type foldFlags struct {
	Instance string `help:"Stable name of this instance among those of the service." default:"0"`
}

func (f *foldFlags) run(ctx context.Context, g *globals, io *streams, service foldService) error {
	s, e, err := g.attach(io, needsKafka)
	if err != nil {
		return err
	}
	return s.runService(ctx, e, service.name, f.Instance, watched{groups: groupsOf(service.folds...)}, func() []app.Spec {
		specs, _ := foldUnits(s.cfg, e, s.log, service, f.Instance)
		return specs
	})
}

type anomalyCmd struct{ foldFlags }

// Run implements the command.
func (c *anomalyCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return c.run(ctx, g, io, anomalyService)
}

type scoreCmd struct{ foldFlags }

// Run implements the command.
func (c *scoreCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return c.run(ctx, g, io, riskService)
}

type sinkCmd struct {
	Instance string `help:"Stable name of this instance among those of the service." default:"0"`
}

// Run implements the command.
func (c *sinkCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, e, err := g.attach(io, needsKafka|needsClickHouse)
	if err != nil {
		return err
	}
	return s.runService(ctx, e, "sink", c.Instance, watched{groups: groupsOf("sink"), store: true}, func() []app.Spec {
		return []app.Spec{sinkUnit(s.cfg, e, s.log, c.Instance)}
	})
}

type prepareCmd struct{}

// Help is shown by --help.
func (prepareCmd) Help() string {
	return `Run it before the services, and again after an update or a change of the configured policies or
of the context file. All sites' policies
belong into one configuration: a policy that is taken out of it is withdrawn, and the defaults apply to its site.

Examples:
  wardflow prepare --config /etc/wardflow.yaml`
}

// Run implements the command.
func (c *prepareCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, e, err := g.attach(io, needsKafka|needsClickHouse)
	if err != nil {
		return err
	}
	x, err := configuredContext(s.cfg, io)
	if err != nil {
		return err
	}
	if err := e.prepare(ctx, version); err != nil {
		return err
	}
	return publishConfigured(ctx, s.cfg, x, e.Kafka)
}

type childCmd struct{}

// Run implements the command: broker or ClickHouse, as the parent says.
func (childCmd) Run(ctx context.Context, io *streams) error { return embedded.ServeChild(ctx, io.in) }
