package main

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/wardflow/wardflow/pkg/config"
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
