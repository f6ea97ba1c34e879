package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/telemetry"
)

// cli is every command. A command is a struct with a method
// Run(ctx context.Context, g *globals, io *streams) error, of which it takes what
// it needs, and a method Help() that teaches with examples.
type cli struct {
	globals

	Up     upCmd     `cmd:"" group:"run" help:"Start everything on this machine, feed capture files, and show the devices found."`
	Doctor doctorCmd `cmd:"" group:"run" help:"Check machine, interfaces, disks, Kafka, ClickHouse and configuration, and say what to do."`

	Top        topCmd        `cmd:"" group:"look" help:"Watch it live: sensors, services, what is stored, risk, detections, new devices."`
	Devices    devicesCmd    `cmd:"" group:"look" help:"List the devices, those of most risk first."`
	Device     deviceCmd     `cmd:"" group:"look" help:"One device: all that is known of it and why; and what people know better: set, confirm, undo, note, rate."`
	Flows      flowsCmd      `cmd:"" group:"look" help:"List flows, the latest first."`
	Detections detectionsCmd `cmd:"" group:"look" help:"List detections, the latest first."`
	Risk       riskCmd       `cmd:"" group:"look" help:"List risk scores with what makes them up."`
	Coverage   coverageCmd   `cmd:"" group:"look" help:"What is not known of devices, networks and the roster, and what to do about it."`
	Facts      factsCmd      `cmd:"" group:"look" help:"What a device or a model needs to work, as observed: peers, ports, hours, kinds of login."`
	Sensors    sensorsCmd    `cmd:"" group:"look" help:"The live sensors: list, show, enrol, revoke, configure."`
	SQL        sqlCmd        `cmd:"" name:"sql" group:"look" help:"Ask ClickHouse in SQL, read-only."`
	Examples   examplesCmd   `cmd:"" group:"look" help:"Show example queries, or run one."`

	Replay  replayCmd  `cmd:"" group:"files" help:"Turn capture files into devices, detections and risk, as JSON lines, without broker and database."`
	Dissect dissectCmd `cmd:"" group:"files" help:"Turn capture files into flows and observations alone, as JSON lines, as fast as one core goes."`
	Script  scriptCmd  `cmd:"" group:"files" help:"Run test scripts of rules and policies."`

	Signatures signaturesCmd `cmd:"" group:"files" help:"Signature packs, by which devices are known: list, test, add, remove."`

	Context contextCmd `cmd:"" group:"files" help:"What the hospital says of itself: places, networks, inventory; check, set, show."`

	serviceCommands

	Config     configCmd     `cmd:"" group:"rest" help:"Check or print the configuration."`
	Bench      benchCmd      `cmd:"" group:"rest" help:"Measure this machine: flows/s from capture to rows in ClickHouse, freshness, memory, disk."`
	Ready      readyCmd      `cmd:"" group:"rest" help:"Ask a service whether it is ready, for health checks."`
	Completion completionCmd `cmd:"" group:"rest" help:"Print a completion script for bash, zsh or fish."`
	Version    versionCmd    `cmd:"" group:"rest" help:"Print the version."`

	Broker     childCmd `cmd:"" hidden:"" group:"rest" help:"The embedded broker, as a child of up."`
	Clickhouse childCmd `cmd:"" hidden:"" group:"rest" help:"The embedded ClickHouse, as a child of up."`
}

// globals are the flags of every command.
type globals struct {
	ConfigFile string   `name:"config" short:"c" placeholder:"FILE" env:"WARDFLOW_CONFIG" help:"Configuration file; without it ./wardflow.yaml, if there is one."`
	Set        []string `placeholder:"PATH=VALUE" sep:"none" help:"Set one setting, over file and environment; may be repeated. For example --set kafka.partitions=16."`
	DataDir    string   `placeholder:"DIR" help:"Data folder: broker, ClickHouse, fold state, logs, connection file; the same as --set data_dir=DIR."`
	LogLevel   string   `placeholder:"LEVEL" help:"debug, info, warn or error; the same as --set log.level=LEVEL."`
}

// streams are what a command reads and writes.
type streams struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	environ []string
}

func (s *streams) getenv(name string) string {
	for _, kv := range s.environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// note tells a person something beside the output.
func (s *streams) note(format string, args ...any) { fmt.Fprintf(s.err, format+"\n", args...) }

func (s *streams) screen() *screen { return newScreen(s.out, s.getenv) }

// The exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is wrong usage: the command was not begun.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends a command with status 1 when everything has been said.
var errReported = errors.New("reported")

const defaultConfigFile = "wardflow.yaml"

// load reads the configuration.
func (g *globals) load(io *streams) (*config.Loaded, error) {
	return config.Load(g.source(g.ConfigFile, io))
}

func (g *globals) source(file string, io *streams) config.Source {
	src := config.Source{File: file, Environ: io.environ, Set: g.Set}
	if src.File == "" {
		if _, err := os.Stat(defaultConfigFile); err == nil {
			src.File = defaultConfigFile
		}
	}
	if g.DataDir != "" {
		src.Set = append(src.Set, "data_dir="+g.DataDir)
	}
	if g.LogLevel != "" {
		src.Set = append(src.Set, "log.level="+g.LogLevel)
	}
	return src
}

// isTerminal tells whether a person looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// logger writes to stderr as the configuration says.
func logger(c *config.Config, io *streams) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil { // validated before
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(telemetry.LogHandler(slog.NewJSONHandler(io.err, opts)))
	}
	return slog.New(telemetry.LogHandler(slog.NewTextHandler(io.err, opts)))
}

const description = `Wardflow watches a health network's traffic without touching it, and tells what every connected device is, what it does, and how much risk it carries.

Begin with:

    wardflow up                     start everything on this machine
    wardflow devices                what is connected
    wardflow device ID              why it is taken for what it is
    wardflow detections             what is out of the ordinary
    wardflow replay FILE --site S --out DIR   a capture file, without starting anything

Each command explains itself: wardflow COMMAND --help.`

// groups are the groups of commands; --help lists them as the commands of cli stand.
var groups = []kong.Group{
	{Key: "run", Title: "Run:"},
	{Key: "look", Title: "Look:"},
	{Key: "files", Title: "Work on files:"},
	{Key: "services", Title: "Services, one at a time, as a cluster runs them:"},
	{Key: "rest", Title: "Everything else:"},
}

// without are the flags of all commands that a command has no use for: it refuses
// them, and its help does not show them.
var without = map[string][]string{
	"replay":     {"data-dir", "log-level"},
	"dissect":    {"data-dir", "log-level"},
	"script":     {"config", "set", "data-dir", "log-level"},
	"evaluate":   {"config", "set", "data-dir", "log-level"},
	"train":      {"config", "set", "data-dir", "log-level"},
	"version":    {"config", "set", "data-dir", "log-level"},
	"completion": {"config", "set", "data-dir", "log-level"},
}

// refused is a usage error when a flag was given that would be ignored.
func refused(k *kong.Context) error {
	name := k.Selected().Name
	for _, p := range k.Path {
		if p.Flag != nil && slices.Contains(without[name], p.Flag.Name) {
			return usagef("%s does nothing with --%s: leave it out", name, p.Flag.Name)
		}
	}
	return nil
}

// printHelp leaves out what the command would refuse.
func printHelp(o kong.HelpOptions, k *kong.Context) error {
	if n := k.Selected(); n != nil {
		for _, f := range k.Model.Flags {
			f.Hidden = f.Hidden || slices.Contains(without[n.Name], f.Name)
		}
	}
	return kong.DefaultHelpPrinter(o, k)
}

// exit is how kong's --help leaves the parser.
type exit int

func newParser(c *cli, io *streams, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append([]kong.Option{
		kong.Name("wardflow"), kong.Description(description), kong.Writers(io.out, io.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 110}),
		kong.Help(printHelp),
		kong.ExplicitGroups(groups),
		kong.Vars{"device": deviceHelp},
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.Bind(&c.globals, io),
	}, more...)...)
}

// run is the program: it gives the exit status.
func run(ctx context.Context, args []string, io *streams) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			code = int(r)
		default:
			panic(r)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var c cli
	parser, err := newParser(&c, io, kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil { // a mistake in our structs, found by every test
		io.note("wardflow: %v", err)
		return exitUsage
	}
	k, err := parser.Parse(args)
	if err != nil {
		io.note("wardflow: %v", err)
		var bad *kong.ParseError
		if at := "wardflow"; errors.As(err, &bad) {
			if n := bad.Context.Selected(); n != nil {
				at = "wardflow " + n.Path()
			}
			io.note("See: %s --help", at)
		}
		return exitUsage
	}
	err = refused(k)
	if err == nil {
		err = k.Run()
	}
	var usage usageError
	var problems config.Problems
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &usage):
		io.note("wardflow: %v", err)
		io.note("See: wardflow %s --help", k.Selected().Path())
		return exitUsage
	case errors.As(err, &problems):
		io.note("wardflow: the configuration cannot be used:\n%v", err)
		return exitFailed
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		io.note("wardflow: interrupted")
		return exitFailed
	}
	io.note("wardflow: %v", err)
	return exitFailed
}
