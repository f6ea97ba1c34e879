package main

import (
	"context"
	"fmt"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/services/capture"
)

type captureCmd struct {
	intakeFlags
}

// Help is shown by --help.
func (captureCmd) Help() string {
	return `Captures from interfaces, a folder of capture files, or capture files, and writes flows, observations and
heartbeats to the topic wardflow.traffic. Give one of --interface, --watch and --read, or name capture.interfaces or
capture.watch_dir in the configuration.

Live, it only receives. It needs the right CAP_NET_RAW and gives up every other that it was started with. While
Kafka is away it stores on disk (spool.*) and sends later, in order. What the kernel has no room for is lost, counted
and told. A file that is read again, also after a crash, changes nothing: what is known is dropped by its number.

Filter expressions:
` + filterLanguage + `

Exit status: 0 done; 1 no interface could be opened, a file could not be read to its end (what came before the damage
is sent, and the other files as a whole), or Kafka is away; 2 wrong usage.

Examples:
  wardflow capture --interface eth1 --set site=st-alban --set sensor=core-tap
  wardflow capture --interface eth1 --interface eth2 --workers 4       the two directions of a tap, together
  wardflow capture --interface eth1 --filter 'not net 10.99.0.0/16'    all but the backup network
  wardflow capture --watch /var/pcap --set capture.watch_done=delete
  wardflow capture --read monday.pcapng --set site=st-alban
  wardflow capture --read monday.pcap.gz --speed 60      an hour in a minute`
}

// Run implements the command.
func (c *captureCmd) Run(ctx context.Context, g *globals, io *streams) error {
	s, err := g.session(io)
	if err != nil {
		return err
	}
	in, err := c.choose(s.cfg)
	if err != nil {
		return err
	}
	switch {
	case in.live:
		if err := s.confine(false); err != nil {
			return err
		}
	case !in.watch && len(in.read) == 0:
		return usagef("say where packets come from: --interface IF, --watch DIR or --read FILE")
	}
	e, err := findEngines(s.cfg, needsKafka)
	if err != nil {
		return err
	}
	if in.live || in.watch {
		return in.run(ctx, s, e)
	}
	pc, err := captureConfig(s.cfg)
	if err != nil {
		return err
	}
	return capture.ReadFiles(ctx, capture.FilesConfig{Paths: in.read, Processor: pc, Speed: c.Speed, Bus: e.Kafka, Log: s.log})
}

// run captures until ctx ends.
func (in intake) run(ctx context.Context, s *session, e *engines) error {
	var failed error
	err := s.runService(ctx, e, "capture", s.cfg.Site+"-"+s.cfg.Sensor, watched{}, func() (specs []app.Spec) {
		var live *liveSensor
		if live, specs, failed = in.units(s.cfg, e.Kafka, s.log); live != nil {
			specs = append(specs, canaryUnit(s.cfg, e, s.log, live.sender, nil)...)
		}
		return specs
	})
	if failed != nil {
		return fmt.Errorf("start the sensor: %w", failed)
	}
	return err
}
