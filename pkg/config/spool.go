package config

import (
	"path/filepath"
	"time"

	"github.com/wardflow/wardflow/pkg/spool"
)

// Spool is where a live sensor keeps records on disk while Kafka is away.
type Spool struct {
	Dir      string `yaml:"dir"`       // folder of this sensor alone; "": spool below data_dir
	MaxBytes int64  `yaml:"max_bytes"` // on disk; beyond it the oldest records go, and are counted
	// Sync says what a power cut may take, a killed process loses nothing whatever
	// it is: each (nothing), interval (what came within sync_interval), never (what
	// the kernel had not written by itself, tens of seconds).
	Sync         string        `yaml:"sync"`
	SyncInterval time.Duration `yaml:"sync_interval"` // of sync: interval
	After        time.Duration `yaml:"after"`         // Kafka may take so long for a record before all goes to the spool
	WindowBytes  int           `yaml:"window_bytes"`  // in memory on the way to Kafka; as much again may wait when the disk takes nothing
}

func defaultSpool() Spool {
	return Spool{MaxBytes: 8 << 30, Sync: "interval", SyncInterval: time.Second, After: 3 * time.Second, WindowBytes: 32 << 20}
}

var syncPolicies = map[string]spool.SyncPolicy{"each": spool.SyncEach, "interval": spool.SyncInterval, "never": spool.SyncNever}

func (c *Spool) validate() Problems {
	var p Problems
	least(&p, "spool.max_bytes", c.MaxBytes, 128<<20)
	oneOf(&p, "spool.sync", c.Sync, "each", "interval", "never")
	between(&p, "spool.sync_interval", c.SyncInterval, 10*time.Millisecond, time.Minute)
	between(&p, "spool.after", c.After, 100*time.Millisecond, 30*time.Second)
	least(&p, "spool.window_bytes", int64(c.WindowBytes), 4<<20)
	return p
}

// SpoolConfig is the spool's part of the configuration.
func (c *Config) SpoolConfig() spool.Config {
	dir := c.Spool.Dir
	if dir == "" {
		dir = filepath.Join(c.DataDir, "spool")
	}
	return spool.Config{Dir: dir, MaxBytes: c.Spool.MaxBytes, Sync: syncPolicies[c.Spool.Sync], SyncEvery: c.Spool.SyncInterval}
}
