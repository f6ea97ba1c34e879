package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/services/anomaly"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/risk"
	"github.com/wardflow/wardflow/services/sensors"
	"github.com/wardflow/wardflow/services/sink"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// folds makes every fold of the running system and of replay, upstream first, with
// signature packs beside the program's.
func folds(packs ...*fingerprint.Pack) []stream.Fold {
	return append(fingerprint.Folds(fingerprint.Config{Packs: packs}), anomaly.New(anomaly.Config{}), risk.New(risk.Config{}))
}

// foldNames are the folds' names, in the same order; each has a changelog.
func foldNames() []string {
	var names []string
	for _, f := range folds() {
		names = append(names, f.Name())
	}
	return names
}

// consumerGroups are the consumer groups of all services, with the topics of each.
func consumerGroups() map[string][]string {
	groups := map[string][]string{sink.Group: sink.Topics(), sensors.Group: sensors.Topics()}
	for _, f := range folds() {
		group := stream.Group(f.Name())
		for _, in := range f.Inputs() {
			groups[group] = append(groups[group], in.Topic)
		}
	}
	return groups
}

// groupsOf are the consumer groups of some folds, or of the sink.
func groupsOf(names ...string) map[string][]string {
	out := map[string][]string{}
	for group, topics := range consumerGroups() {
		if slices.Contains(names, strings.TrimPrefix(group, "wardflow.")) {
			out[group] = topics
		}
	}
	return out
}

// foldService is a service that is nothing but folds.
type foldService struct {
	name  string
	folds []string
}

var (
	fingerprintService = foldService{"fingerprint", []string{"endpoint", "identity", "device"}}
	anomalyService     = foldService{"anomaly", []string{"anomaly"}}
	riskService        = foldService{"risk", []string{"risk"}}
)

// foldServices are all of them, downstream first: who starts first waits for nothing.
var foldServices = []foldService{riskService, anomalyService, fingerprintService}

// foldUnits makes the units of a service's folds.
func foldUnits(cfg *config.Config, e *engines, log *slog.Logger, service foldService, instance string) ([]app.Spec, []*stream.Runner) {
	var specs []app.Spec
	var runners []*stream.Runner
	packs, err := configuredPacks(cfg.Fingerprint.Packs)
	if err != nil && slices.Contains(service.folds, "device") { // until the packs are as they should be, it does not start
		err = fmt.Errorf("fingerprint.packs: %w", err)
		return []app.Spec{{Unit: app.Func(service.name, func(context.Context) error { return err }), Restart: app.DefaultBackoff()}}, nil
	}
	for _, f := range folds(packs...) {
		if !slices.Contains(service.folds, f.Name()) {
			continue
		}
		r := stream.NewRunner(f, stream.RunnerConfig{
			Bus: e.Kafka, Instance: instance, StateDir: filepath.Join(cfg.DataDir, "state", f.Name()+"-"+instance),
			GateWait: cfg.Fold.GateWait, Interval: cfg.Fold.Interval, MaxEntries: cfg.Fold.MaxEntries, CacheBytes: cfg.Fold.CacheBytes,
			Blocks: e.blockCache(cfg.Fold.BlockCache),
			Log:    log.With("fold", f.Name()), Telemetry: e.Kafka.Telemetry,
		})
		runners = append(runners, r)
		specs = append(specs, app.Spec{
			Unit:    app.Func(service.name+"/"+f.Name(), func(ctx context.Context) error { return r.Run(ctx) }),
			Restart: app.DefaultBackoff(), Check: r.Check,
		})
	}
	return specs, runners
}

// sinkUnit makes the unit of the sink.
func sinkUnit(cfg *config.Config, e *engines, log *slog.Logger, instance string) app.Spec {
	conf := sink.Default()
	conf.BatchRows, conf.Interval = cfg.Sink.BatchRows, cfg.Sink.Interval
	log = log.With("service", "sink")
	meter := sink.NewMeter(e.Kafka.Telemetry)
	return app.Spec{
		Unit: app.Func("sink", func(ctx context.Context) error {
			tables, err := store.Open(ctx, e.Store)
			if err != nil {
				return err
			}
			defer func() { _ = tables.Close() }()
			if conf.Places, err = placesOf(cfg); err != nil {
				return fmt.Errorf("geo.table: %w", err)
			}
			s := sink.New(conf, tables, log)
			meter.Watch(s)
			c, err := bus.NewConsumer(bus.SessionConfig{Config: e.Kafka, Group: sink.Group, Instance: instance, Topics: sink.Topics(), Assigner: s})
			if err != nil {
				return err
			}
			defer c.Close()
			return s.Run(ctx, c, c)
		}),
		Restart:    app.DefaultBackoff(),
		Check:      meter.Check,
		StopWithin: 2 * conf.Drain,
	}
}
