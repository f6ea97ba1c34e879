package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// upCmd runs everything on one machine.
type upCmd struct {
	Demo bool `help:"Feed the day of a simulated ward that comes with Wardflow, once, as site ward-a."`
	intakeFlags
	Once bool `help:"Stop when everything fed has been stored, instead of keeping on running."`
}

// Help is shown by --help.
func (upCmd) Help() string {
	return `Starts the embedded broker and ClickHouse (or uses those that the configuration names) and every
service, captures live or feeds the capture files, shows the devices found with their risk, and keeps running until
Ctrl-C. Started again, it finds its data.

Live, it only receives. It needs the right CAP_NET_RAW (start it with sudo, or give the program the one right by
setcap cap_net_raw+ep) and gives up every other that it was started with.

Examples:
  wardflow up --demo                                          the ward's day that comes with Wardflow
  wardflow up --read monday.pcapng --set site=st-alban        your own capture
  sudo wardflow up --interface eth1 --set site=st-alban       what a mirror port on eth1 shows
  wardflow up --watch /var/pcap --set site=st-alban           what tcpdump -G writes there
  wardflow devices                                            in another terminal, while it runs`
}

// demoDir holds the demonstration's captures, below the working directory or the binary's.
const demoDir = "testdata/ward-a"

const demoSite = "ward-a"

// Run implements the command.
func (u *upCmd) Run(ctx context.Context, g *globals, io *streams) error {
	if u.Demo && (len(u.Interface) > 0 || u.Watch != "") {
		return usagef("--demo feeds a simulated ward: capture yours without it, in a data folder of its own")
	}
	if u.Demo && len(u.Read) > 0 {
		return usagef("--demo is the traffic of site %s and --read that of yours: feed one after the other, `wardflow up --demo --once`, then `wardflow up --read FILE --set site=NAME`", demoSite)
	}
	s, err := g.session(io)
	if err != nil {
		return err
	}
	cfg := s.cfg
	in := intake{}
	if !u.Demo {
		if in, err = u.choose(cfg); err != nil {
			return err
		}
	}
	if u.Once && (in.live || in.watch) {
		return usagef("--once ends when files have been read, and a live capture has no end")
	}
	if in.live { // first of all: it may start this program again
		if err := s.confine(true); err != nil {
			return err
		}
	}
	if u.Demo {
		if in.read, err = demoFiles(); err != nil {
			return err
		}
		cfg.Site = demoSite
		if _, ok := cfg.Policy[demoSite]; !ok { // the day is learned from, the incidents of the next day are news
			cfg.Policy = maps.Clone(cfg.Policy)
			if cfg.Policy == nil {
				cfg.Policy = map[string]config.Policy{}
			}
			cfg.Policy[demoSite] = config.Policy{LearningPeriodS: 24 * 3600}
		}
	}
	x, err := configuredContext(cfg, io)
	if err != nil {
		return err
	}
	say := newSteps(io)
	defer say.drop()
	say.step("starting broker and ClickHouse")
	e, err := startEngines(ctx, cfg, s.log)
	if err != nil {
		return err
	}
	defer e.stop(s.log)
	say.step("checking topics and tables")
	if err := e.prepare(ctx, version); err != nil {
		return err
	}
	if err := publishConfigured(ctx, cfg, x, e.Kafka); err != nil {
		return err
	}
	return u.services(ctx, s, e, in, say)
}

func (u *upCmd) services(ctx context.Context, s *session, e *engines, in intake, say *steps) error {
	say.step("starting services")
	t, err := s.tell(ctx, e, "up", "0")
	if err != nil {
		return err
	}
	defer t.end()
	t.watch(ctx, watched{groups: consumerGroups(), store: true})
	stored := make(chan struct{}) // closed when what was fed is: canary flows would measure the feed
	live, more, err := in.units(s.cfg, e.Kafka, s.log)
	if err != nil {
		return err
	}
	var way capture.Writer // of canary flows: that of all flows
	if live != nil {
		way = live.sender
	}
	specs := append(allUnits(s.cfg, e, s.log, "0"), more...)
	specs = append(specs, canaryUnit(s.cfg, e, s.log, way, stored)...)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- t.run(ctx, specs...) }()
	if in.live || in.watch {
		u.tellCapture(s, in, say)
	} else {
		err = u.feed(ctx, s, e, in.read, say)
	}
	if err == nil && !u.Once {
		close(stored)
		if ended, err := live.wait(ctx, done, say); ended {
			return err
		}
	}
	say.step("stopping")
	cancel()
	err = errors.Join(err, <-done)
	say.end()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// feed reads the files, waits until all of it is stored and shows what was found.
func (u *upCmd) feed(ctx context.Context, s *session, e *engines, paths []string, say *steps) error {
	if len(paths) > 0 {
		var damaged capture.DamagedFiles
		if err := u.read(ctx, s, e, paths, say); errors.As(err, &damaged) {
			say.note("%v", damaged)
		} else if err != nil {
			return err
		}
	}
	say.step("storing")
	if err := drained(ctx, e.Kafka, 3*s.cfg.Sink.Interval); err != nil {
		return err
	}
	say.end()
	if err := showDevices(ctx, s, e); err != nil {
		return err
	}
	tellWhere(s, time.Since(say.begun))
	if !u.Once {
		fmt.Fprintln(s.io.err, "Running. Ctrl-C stops; started again, it finds its data.")
	}
	return nil
}

// tellCapture tells what is captured, which the units do.
func (u *upCmd) tellCapture(s *session, in intake, say *steps) {
	say.end()
	from := "interface " + strings.Join(s.cfg.Capture.Interfaces, ", ")
	if in.watch {
		from = "the capture files that appear in " + s.cfg.Capture.WatchDir
	}
	tellWhere(s, time.Since(say.begun))
	fmt.Fprintf(s.io.err, "Capturing %s as site %s, sensor %s. Ctrl-C stops; started again, it finds its data.\n", from, s.cfg.Site, s.cfg.Sensor)
}

// tellWhere tells where to look next.
func tellWhere(s *session, took time.Duration) {
	where := "in another terminal"
	if s.dataDir != "" {
		where += ", each with --data-dir " + s.dataDir
	}
	fmt.Fprintf(s.io.err, "\nReady after %.1f s. Where to look next, %s:\n", took.Seconds(), where)
	for _, c := range [][2]string{
		{"wardflow devices", "every device, with its risk"},
		{"wardflow device ID", "one device, with the evidence for each value"},
		{"wardflow detections", "what was abnormal"},
		{"wardflow risk", "who carries risk now, and why"},
		{"wardflow flows --device ID", "whom it talked to"},
		{"wardflow examples", "ten queries to start from, for `wardflow sql`"},
	} {
		fmt.Fprintf(s.io.err, "  %-28s %s\n", c[0], c[1])
	}
}

// read feeds capture files. What has been fed to its end before is not read again.
func (u *upCmd) read(ctx context.Context, s *session, e *engines, paths []string, say *steps) error {
	marker, err := feedMarker(s.cfg, paths)
	if err != nil {
		return err
	}
	if fed(marker) {
		say.note("captures were fed before: nothing to read")
		return nil
	}
	total := int64(0)
	for _, p := range paths {
		if st, err := os.Stat(p); err == nil {
			total += st.Size()
		}
	}
	say.step("feeding %s, %s", counted(len(paths), "capture file"), size(uint64(total)))
	pc, err := captureConfig(s.cfg)
	if err != nil {
		return err
	}
	tell, _ := capture.TellFiles(e.Kafka.Telemetry) // the totals stay until the end
	err = capture.ReadFiles(ctx, capture.FilesConfig{
		Paths: paths, Processor: pc, Speed: u.Speed, Bus: e.Kafka, Log: s.log,
		Progress: func(p capture.Progress) {
			tell(p)
			say.share(p.Read, p.Size, "%d packets, %d events, event time %s", p.Packets, p.Items, showTime(p.Clock.String()))
		},
	})
	var damaged capture.DamagedFiles
	if err != nil && !errors.As(err, &damaged) {
		return err
	}
	if werr := remember(marker); werr != nil {
		return fmt.Errorf("remember what was fed: %w", werr)
	}
	return err
}

// demoFiles finds the demonstration's captures.
func demoFiles() ([]string, error) {
	dirs := []string{demoDir}
	if exe, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Join(filepath.Dir(exe), demoDir), filepath.Join(filepath.Dir(filepath.Dir(exe)), demoDir))
	}
	for _, dir := range dirs {
		if files, err := filepath.Glob(filepath.Join(dir, "*.pcap*")); err == nil && len(files) > 0 {
			return files, nil
		}
	}
	return nil, fmt.Errorf("no demonstration captures in %s: run it from the project's folder, or name your own with --read", demoDir)
}

// allUnits makes every service of the one-machine mode.
func allUnits(cfg *config.Config, e *engines, log *slog.Logger, instance string) []app.Spec {
	specs := []app.Spec{sinkUnit(cfg, e, log, instance), sensorsUnit(cfg, e, log, instance)}
	for _, service := range foldServices {
		units, _ := foldUnits(cfg, e, log, service, instance)
		specs = append(specs, units...)
	}
	return specs
}

// drained waits until every service has taken in all of wardflow.traffic and
// nothing has changed for so long that the sink has inserted the rest: what little
// it has of the other topics goes in two of its intervals after the last arrival.
func drained(ctx context.Context, kafka bus.Config, quiet time.Duration) error {
	groups := consumerGroups()
	last, since := int64(-1), time.Now()
	for {
		lags, err := bus.Lags(ctx, kafka, groups)
		if err != nil {
			return err
		}
		behind, total := int64(0), int64(0)
		for _, topics := range lags {
			behind += topics[proto.TopicTraffic]
			for _, n := range topics {
				total += n
			}
		}
		// Transaction markers count as lag and never go away, so "nothing to do" is
		// "nothing of traffic, and no change of the rest": traffic has no markers, and
		// who has passed it has heard of everything upstream.
		if total != last || behind > 0 {
			last, since = total, time.Now()
		} else if time.Since(since) > quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// feedMarker is the file that remembers that these captures were fed to the end.
// It lies in the embedded broker's folder, so that it goes with what was fed. For
// a broker of somebody else there is none (""): what that has lost is not known
// here, and reading again changes nothing.
func feedMarker(cfg *config.Config, paths []string) (string, error) {
	if !embeddedBroker(cfg) {
		return "", nil
	}
	producer, err := capfile.Producer(paths...)
	if err != nil {
		return "", err
	}
	id := proto.HashID("fed", []byte(cfg.Site), []byte(cfg.Sensor), []byte(producer))
	return filepath.Join(cfg.DataDir, brokerFolder, "fed", id.String()), nil
}

func fed(marker string) bool {
	if marker == "" {
		return false
	}
	_, err := os.Stat(marker)
	return err == nil
}

func remember(marker string) error {
	if marker == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(marker), 0o700); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o600)
}
