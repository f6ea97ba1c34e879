package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/packet/filter"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// leastKey is the shortest key of HMACs that is taken, in bytes.
const leastKey = 16

// captureConfig is the capture part of the configuration.
func captureConfig(cfg *config.Config) (capture.Config, error) {
	c := &cfg.Capture
	out := capture.Config{
		Site: cfg.Site, Sensor: cfg.Sensor, ActiveTimeout: c.ActiveTimeout, TCPIdle: c.TCPIdle, UDPIdle: c.UDPIdle,
		OtherIdle: c.OtherIdle, ClosedIdle: c.ClosedIdle, MaxFlows: c.MaxFlows, MaxMemory: c.MaxMemory,
	}
	for _, s := range c.Home {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return out, fmt.Errorf("capture.home: %w", err)
		}
		out.Home = append(out.Home, p)
	}
	if c.KeyFile == "" {
		return out, nil
	}
	var err error
	if out.Key, err = readKey(c.KeyFile); err != nil {
		return out, fmt.Errorf("capture.key_file: %w", err)
	}
	return out, nil
}

// liveConfig is what the configuration says of live capture.
func liveConfig(cfg *config.Config, log *slog.Logger) (capture.LiveConfig, error) {
	pc, err := captureConfig(cfg)
	if err != nil {
		return capture.LiveConfig{}, err
	}
	c := &cfg.Capture
	return capture.LiveConfig{
		Interfaces: c.Interfaces, Workers: c.Workers, Filter: c.Filter, Promiscuous: c.Promiscuous, Outgoing: c.Outgoing,
		RingBytes: c.RingBytes, Processor: pc, Log: log,
	}, nil
}

// ownSensorConfig is what the configuration says of that which the centre may say, too.
func ownSensorConfig(cfg *config.Config) proto.SensorConfig {
	c := &cfg.Capture
	return proto.SensorConfig{
		Site: cfg.Site, Sensor: cfg.Sensor, Interfaces: c.Interfaces, Filter: &c.Filter, Home: c.Home, Workers: c.Workers,
		ActiveTimeout: int64(c.ActiveTimeout.Seconds()),
	}
}

// newFolder watches the folder that the configuration names. What has been read is
// remembered beside the broker that has it, so that both go together; of a broker
// of somebody else, in the data folder.
func newFolder(cfg *config.Config, kafka bus.Config, log *slog.Logger) (*capture.Folder, error) {
	pc, err := captureConfig(cfg)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Capture.WatchDir)
	if err != nil {
		return nil, fmt.Errorf("capture.watch_dir: %w", err)
	}
	state := cfg.DataDir
	if embeddedBroker(cfg) {
		state = filepath.Join(state, brokerFolder)
	}
	id := proto.HashID("watched", []byte(cfg.Site), []byte(cfg.Sensor), []byte(dir))
	log = log.With("service", "capture")
	return capture.NewFolder(capture.FolderConfig{
		Dir: dir, Settle: cfg.Capture.WatchSettle, Done: cfg.Capture.WatchDone, State: filepath.Join(state, "watched", id.String()+".json"), Log: log,
		Read: func(ctx context.Context, path string) error {
			return capture.ReadFiles(ctx, capture.FilesConfig{Paths: []string{path}, Processor: pc, Bus: kafka, Log: log})
		},
	}), nil
}

// filterLanguage is what --help tells of filter expressions.
const filterLanguage = filter.Language

// readKey reads a key of HMACs: all bytes of a file.
func readKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if len(key) < leastKey {
		return nil, fmt.Errorf("read key: %s holds %d bytes; want at least %d random ones", path, len(key), leastKey)
	}
	return key, nil
}
