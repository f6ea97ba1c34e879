package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/packet/ring"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// intake is where packets come from: flags say it, or else the configuration.
type intake struct {
	read  []string
	live  bool
	watch bool
}

// intakeFlags are those of the commands that capture.
type intakeFlags struct {
	Read      []string `help:"Capture files to read (pcap, pcapng, gzip of either), merged by time; the same file twice changes nothing." type:"existingfile" placeholder:"FILE"`
	Interface []string `short:"i" help:"Capture live from this interface; may be repeated. Needs the right CAP_NET_RAW and gives up all others." placeholder:"IF"`
	Watch     string   `help:"Read the capture files that appear in this folder, as tcpdump -G or dumpcap -b rotate them." type:"existingdir" placeholder:"DIR"`
	Workers   int      `help:"Workers that share the packets of the interfaces; 0 suits the processors." default:"0"`
	Filter    string   `help:"Take only the packets that this expression is true of, as tcpdump's: 'net 10.20.0.0/16 and not port 514'." placeholder:"EXPR"`
	Speed     float64  `help:"With --read: event time per wall time; 0 is as fast as possible." default:"0"`
}

// choose puts the flags over the configuration and says what is captured.
func (f *intakeFlags) choose(cfg *config.Config) (intake, error) {
	c := &cfg.Capture
	flags := 0
	for _, given := range []bool{len(f.Read) > 0, len(f.Interface) > 0, f.Watch != ""} {
		if given {
			flags++
		}
	}
	switch {
	case flags > 1:
		return intake{}, usagef("--read, --interface and --watch are three ways to get packets: give one of them")
	case len(f.Interface) == 0 && len(c.Interfaces) == 0 && (f.Workers != 0 || f.Filter != ""):
		return intake{}, usagef("--workers and --filter go with --interface")
	case len(f.Read) == 0 && f.Speed != 0:
		return intake{}, usagef("--speed goes with --read")
	}
	if f.Workers != 0 {
		c.Workers = f.Workers
	}
	if f.Filter != "" {
		c.Filter = f.Filter
	}
	switch {
	case len(f.Read) > 0:
		return intake{read: f.Read}, nil
	case len(f.Interface) > 0:
		c.Interfaces = f.Interface
	case f.Watch != "":
		c.WatchDir, c.Interfaces = f.Watch, nil
	case len(c.Interfaces) > 0 && c.WatchDir != "":
		return intake{}, usagef("the configuration names capture.interfaces and capture.watch_dir: say by --interface or --watch which is meant")
	}
	if p := cfg.Validate(); len(p) > 0 {
		return intake{}, usageError{p}
	}
	return intake{live: len(c.Interfaces) > 0, watch: c.WatchDir != "" && len(c.Interfaces) == 0}, nil
}

// units make what is captured beside the services; live is nil where nothing is
// captured live.
func (in intake) units(cfg *config.Config, kafka bus.Config, log *slog.Logger) (live *liveSensor, specs []app.Spec, err error) {
	switch {
	case in.live:
		if live, err = newLiveSensor(cfg, kafka, log); err != nil {
			return nil, nil, err
		}
		specs = live.units()
		return live, specs, nil
	case in.watch:
		f, err := newFolder(cfg, kafka, log)
		if err != nil {
			return nil, nil, err
		}
		return nil, []app.Spec{{Unit: app.Func("capture/folder", f.Run)}}, nil
	}
	return nil, nil, nil
}

// confine gives up all rights but the one that capturing needs, and sees whether
// the interfaces can be opened before anything else is started. A process with
// more rights starts itself again here, so nothing may have been begun.
func (s *session) confine(children bool) error {
	err := ring.Confine(children)
	if errors.Is(err, ring.ErrNotConfined) {
		s.log.Warn("more rights than capturing needs", "error", err)
	} else if err != nil {
		return err
	}
	lc, err := liveConfig(s.cfg, s.log)
	if err != nil {
		return err
	}
	return capture.CheckLive(lc)
}

// liveSensor is a live sensor with all that belongs to it.
type liveSensor struct {
	live     *capture.Live
	sender   *capture.Sender
	remote   *capture.Remote
	reporter *capture.Reporter
	untell   []func()
}

// newLiveSensor makes a live sensor: the capture, the sender with its spool, what
// tells of them, and what brings their configuration from the centre.
func newLiveSensor(cfg *config.Config, kafka bus.Config, log *slog.Logger) (*liveSensor, error) {
	log = log.With("service", "capture")
	lc, err := liveConfig(cfg, log)
	if err != nil {
		return nil, err
	}
	l := &liveSensor{sender: capture.NewSender(senderConfig(cfg, kafka, log))}
	own := ownSensorConfig(cfg)
	l.remote = capture.NewRemote(capture.RemoteConfig{
		Site: cfg.Site, Sensor: cfg.Sensor, Own: own, File: filepath.Join(cfg.DataDir, "sensor.json"), Log: log,
		Apply:   func(c proto.SensorConfig) error { return l.live.Reconfigure(c) },
		Connect: func() (capture.ControlReader, error) { return bus.NewReader(kafka) },
	})
	stored, ok, err := l.remote.Stored()
	if err == nil && ok {
		if lc, err = lc.With(stored.Over(own)); err == nil {
			l.remote.Holds(stored)
		}
	}
	if err != nil {
		log.Warn("the stored configuration cannot be used", "error", err)
	}
	if l.live, err = capture.NewLive(lc, l.sender, kafka.Partitions); err != nil {
		return nil, err
	}
	l.reporter, err = capture.NewReporter(capture.ReporterConfig{
		Site: cfg.Site, Sensor: cfg.Sensor, Version: version, Run: l.live.Stats().Run, Partitions: kafka.Partitions, Log: log,
		Parts:   []func(*proto.SensorStatus){l.live.Report, l.sender.Report, l.remote.Report},
		Connect: func(maxBuffered int) (capture.Link, error) { return bus.NewProducer(kafka, maxBuffered) },
	})
	if err != nil {
		return nil, err
	}
	l.untell = []func(){
		capture.Tell(kafka.Telemetry, func() capture.Totals { st := l.live.Stats(); return st.Totals() }),
		capture.TellSender(kafka.Telemetry, l.sender.Stats, cfg.Spool.MaxBytes),
	}
	return l, nil
}

// The ends of the parts of a live sensor.
const (
	stopCaptureWithin = 10 * time.Second
	stopSenderWithin  = 15 * time.Second
)

// units are a live sensor's, in start order: when they stop, the capture hands
// over what it has, then the sender sends or stores it.
func (l *liveSensor) units() []app.Spec {
	return []app.Spec{
		{Unit: app.Func("capture/sender", l.sender.Run), StopWithin: stopSenderWithin},
		{Unit: app.Func("capture/status", l.reporter.Run)},
		{Unit: app.Func("capture/live", l.run), StopWithin: stopCaptureWithin},
		{Unit: app.Func("capture/config", l.remote.Run)},
	}
}

func (l *liveSensor) run(ctx context.Context) error {
	defer func() {
		for _, stop := range l.untell {
			stop()
		}
	}()
	return l.live.Run(ctx)
}

// showEvery is how often a person is told the rates.
const showEvery = time.Second

// wait waits for the end of ctx, or, which it reports, of the units. Meanwhile it
// tells the rates of a live sensor, if there is one.
func (l *liveSensor) wait(ctx context.Context, done <-chan error, say *steps) (ended bool, err error) {
	var tick <-chan time.Time
	var before capture.LiveStats
	since := time.Now()
	if l != nil {
		say.step("capturing")
		before = l.live.Stats()
		every := showEvery
		if say.width == 0 { // lines, not one that is written over
			every = tellEvery + time.Second
		}
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case err := <-done:
			say.drop()
			return true, err
		case now := <-tick:
			after := l.live.Stats()
			say.progress("%s", l.rates(&before, &after, now.Sub(since).Seconds()))
			before, since = after, now
		}
	}
}

// rates are what is captured a second, and what is wrong.
func (l *liveSensor) rates(before, now *capture.LiveStats, seconds float64) string {
	rate := func(a, b uint64) float64 { return float64(a-b) / seconds }
	text := fmt.Sprintf("%.0f packets/s, %.1f Mbit/s, %.0f flows/s", rate(now.Packets, before.Packets), rate(now.Bytes, before.Bytes)*8/1e6, rate(now.Flows, before.Flows))
	if n := now.Drops[capture.DropRingFull]; n > 0 {
		text += fmt.Sprintf(", %s LOST by the kernel", counted(int(n), "packet"))
	}
	for _, i := range now.Interfaces {
		if !i.Up {
			text += fmt.Sprintf(", %s is away", i.Name)
		}
	}
	if st := l.sender.Stats(); st.State != capture.SendsDirect {
		text += fmt.Sprintf(", Kafka is away: %s in the spool", counted(int(st.Spool.Pending), "record"))
	}
	return text
}
