package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/services/wardflow/internal/doctor"
)

// engines are the Kafka and the ClickHouse that a configuration means: those it
// names, or the embedded ones, whose addresses and passwords are in the run file
// of the data folder. No service knows which it talks to.
type engines struct {
	Kafka     bus.Config
	Store     store.Config
	processes []engine // in start order

	blocks *stream.Cache // see blockCache
}

// The bounds of the block cache, where nobody says how large it is to be.
const (
	blockCacheShare = 16 // one part in so many of the memory
	blockCacheLeast = 128 << 20
	blockCacheMost  = 4 << 30
)

// blockCache gives the one cache that the folds of this process share.
func (e *engines) blockCache(bytes int64) *stream.Cache {
	if e.blocks == nil {
		if bytes == 0 {
			bytes = min(max(int64(doctor.Memory()/blockCacheShare), blockCacheLeast), blockCacheMost)
		}
		e.blocks = stream.NewCache(bytes, len(folds()))
	}
	return e.blocks
}

// brokerFolder is where the embedded broker stores, below the data folder.
const brokerFolder = "broker"

type engine struct {
	name string
	*embedded.Process
}

// embeddedBroker and embeddedClickHouse tell what the configuration leaves to us;
// each may be somebody else's server while the other is embedded.
func embeddedBroker(cfg *config.Config) bool     { return len(cfg.Kafka.Brokers) == 0 }
func embeddedClickHouse(cfg *config.Config) bool { return len(cfg.ClickHouse.Addresses) == 0 }

// needs are the engines that a command works with.
type needs int

const (
	needsKafka needs = 1 << iota
	needsClickHouse
)

// findEngines gives the engines that run already, those that are needed. What is
// not needed may be neither named nor started.
func findEngines(cfg *config.Config, n needs) (*engines, error) {
	var missing []string
	if n&needsKafka != 0 && embeddedBroker(cfg) {
		missing = append(missing, "kafka.brokers")
	}
	if n&needsClickHouse != 0 && embeddedClickHouse(cfg) {
		missing = append(missing, "clickhouse.addresses")
	}
	run := new(embedded.RunFile)
	if len(missing) > 0 {
		var err error
		run, err = embedded.LoadRunFile(cfg.DataDir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("nothing has been started in %s: start it with `wardflow up`, or name %s", cfg.DataDir, strings.Join(missing, " and "))
		}
		if err != nil {
			return nil, err
		}
	}
	return newEngines(cfg, run)
}

// newEngines takes from the run file what the configuration does not name, if it is there.
func newEngines(cfg *config.Config, run *embedded.RunFile) (*engines, error) {
	st, err := cfg.ClickHouse.Store()
	if err != nil {
		return nil, err
	}
	e := &engines{Kafka: cfg.Kafka, Store: st}
	if embeddedBroker(cfg) && run.Broker.Port != 0 {
		e.Kafka.Brokers = []string{run.Broker.Address()}
		e.Kafka.SASL = bus.SASL{Mechanism: "scram-sha-256", User: run.Broker.User, Password: run.Broker.Password}
		e.Kafka.Partitions, e.Kafka.Replicas, e.Kafka.MaxTopicBytes = cfg.Embedded.Partitions, 1, cfg.Embedded.MaxTopicBytes
	}
	if embeddedClickHouse(cfg) && run.ClickHouse.TCPPort != 0 {
		c := run.ClickHouse
		e.Store.Addresses, e.Store.Database = []string{c.Address()}, c.Database
		e.Store.User, e.Store.Password = c.User, c.Password
		e.Store.Analyst.User, e.Store.Analyst.Password = c.AnalystUser, c.AnalystPassword
		e.Store.Fsync = cfg.Embedded.Fsync
	}
	return e, nil
}

// startEngines starts what is embedded and waits until everything answers.
func startEngines(ctx context.Context, cfg *config.Config, log *slog.Logger) (*engines, error) {
	run, err := embedded.EnsureRunFile(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if p := cfg.Embedded.BrokerPort; p != 0 {
		run.Broker.Port = p
	}
	if p := cfg.Embedded.ClickHouseTCPPort; p != 0 {
		run.ClickHouse.TCPPort = p
	}
	if p := cfg.Embedded.ClickHouseHTTPPort; p != 0 {
		run.ClickHouse.HTTPPort = p
	}
	e, err := newEngines(cfg, run)
	if err != nil {
		return nil, err
	}
	if err := e.startChildren(ctx, cfg, run, log); err != nil {
		e.stop(log)
		return nil, err
	}
	if err := run.Save(cfg.DataDir); err != nil {
		e.stop(log)
		return nil, err
	}
	return e, nil
}

func (e *engines) startChildren(ctx context.Context, cfg *config.Config, run *embedded.RunFile, log *slog.Logger) error {
	var g errgroup.Group
	var broker, clickhouse *embedded.Process
	died := func(name string) func(error) {
		return func(err error) { log.Warn("engine ended and is started again", "engine", name, "error", err) }
	}
	if embeddedBroker(cfg) {
		g.Go(func() (err error) {
			c := run.BrokerConfig(filepath.Join(cfg.DataDir, brokerFolder))
			c.SyncWrites, c.MaxBytes = cfg.Embedded.Fsync, cfg.Embedded.MaxTopicBytes
			broker, err = embedded.StartBroker(ctx, c, embedded.Child{LogFile: filepath.Join(cfg.DataDir, "log", "broker.log"), OnExit: died("broker")})
			return err
		})
	}
	if embeddedClickHouse(cfg) {
		g.Go(func() (err error) {
			c := run.ClickHouseConfig(filepath.Join(cfg.DataDir, "clickhouse"))
			c.Server, c.Library, c.MemoryBytes = cfg.Embedded.ClickHouseServer, cfg.Embedded.ClickHouseLibrary, cfg.Embedded.ClickHouseMaxMemory
			clickhouse, err = embedded.StartClickHouse(ctx, c, embedded.Child{LogFile: filepath.Join(cfg.DataDir, "log", "clickhouse.log"), OnExit: died("clickhouse")})
			return err
		})
	}
	err := g.Wait()
	for _, p := range []engine{{"broker", broker}, {"clickhouse", clickhouse}} {
		if p.Process != nil {
			e.processes = append(e.processes, p)
		}
	}
	return err
}

// stop ends the embedded engines, ClickHouse first.
func (e *engines) stop(log *slog.Logger) {
	for i := len(e.processes) - 1; i >= 0; i-- {
		if err := e.processes[i].Stop(); err != nil {
			log.Warn("stop engine", "engine", e.processes[i].name, "error", err)
		}
	}
	e.processes = nil
}

// prepare makes topics and tables, which is nothing when they are there.
func (e *engines) prepare(ctx context.Context, version string) error {
	var g errgroup.Group
	g.Go(func() error { return bus.EnsureTopics(ctx, e.Kafka, bus.Topics(foldNames()...)) })
	g.Go(func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		s, err := store.Open(ctx, e.Store)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		_, err = s.Migrate(ctx, version)
		return err
	})
	return g.Wait()
}
