// Package config is Wardflow's configuration: one YAML file, the environment
// and flags over it, as typed structs with defaults, validation that tells every
// problem at once, and a printed form in which secrets are redacted.
//
// Every setting of the product is named here once. What a setting does belongs
// to the package that it is for; that package checks its own part (pkg/bus,
// pkg/store). Nothing here connects to anything.
package config

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
)

// Config is everything that can be set.
type Config struct {
	Site       string            `yaml:"site"`     // of this sensor; a deployment may have many
	Sensor     string            `yaml:"sensor"`   // name of this sensor within its site
	DataDir    string            `yaml:"data_dir"` // embedded engines, local state, run file
	Context    string            `yaml:"context"`  // the context file, which up and prepare put in force
	Log        Log               `yaml:"log"`
	Kafka      bus.Config        `yaml:"kafka"`      // no brokers: the embedded one
	ClickHouse ClickHouse        `yaml:"clickhouse"` // no addresses: the embedded one
	Embedded   Embedded          `yaml:"embedded"`
	Capture    Capture           `yaml:"capture"`
	Spool      Spool             `yaml:"spool"`
	Sensors    Sensors           `yaml:"sensors"` // the book of live sensors
	Fold       Fold              `yaml:"fold"`
	Sink       Sink              `yaml:"sink"`
	Telemetry  telemetry.Config  `yaml:"telemetry"`
	Policy     map[string]Policy `yaml:"policy"` // by site

	Fingerprint Fingerprint `yaml:"fingerprint"`
	Geo         Geo         `yaml:"geo"`
}

// Geo is where addresses on the Internet are.
type Geo struct {
	Table string `yaml:"table"` // countries and networks (AS numbers) of addresses, in IPtoASN's format; "": the program's, of countries alone
}

// Fingerprint is how devices are known.
type Fingerprint struct {
	Packs string `yaml:"packs"` // a signature pack, or a folder of them, beside the program's and those that were added
}

// Log says what is written to stderr.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text or json
}

// ClickHouse is store.Config with its secrets in files.
type ClickHouse struct {
	store.Config        `yaml:",inline"`
	PasswordFile        string `yaml:"password_file"`
	AnalystPasswordFile string `yaml:"analyst_password_file"`
}

// Embedded is the one-machine mode: broker and ClickHouse beside the services.
type Embedded struct {
	BrokerPort          int    `yaml:"broker_port"`           // 0: a free one, kept in the run file
	ClickHouseTCPPort   int    `yaml:"clickhouse_tcp_port"`   // native protocol; 0 as above
	ClickHouseHTTPPort  int    `yaml:"clickhouse_http_port"`  // 0 as above
	ClickHouseServer    string `yaml:"clickhouse_server"`     // path of a clickhouse binary; "" looks on the PATH
	ClickHouseLibrary   string `yaml:"clickhouse_library"`    // path of libchdb.so; "" looks in node_modules
	ClickHouseMaxMemory int64  `yaml:"clickhouse_max_memory"` // bytes
	Partitions          int32  `yaml:"partitions"`            // of lane-keyed topics, set once
	MaxTopicBytes       int64  `yaml:"max_topic_bytes"`       // all topics together
	Fsync               bool   `yaml:"fsync"`                 // survive a power cut, not only a killed process
}

// Fold is how folds run against Kafka.
type Fold struct {
	Interval   time.Duration `yaml:"interval"`          // of transactions
	GateWait   time.Duration `yaml:"gate_wait"`         // bound on waiting for an upstream fold
	MaxEntries int           `yaml:"max_entries"`       // state entries that stay decoded in memory, per partition
	CacheBytes int           `yaml:"cache_bytes"`       // encoded state in memory, of each fold's partitions together
	BlockCache int64         `yaml:"block_cache_bytes"` // bytes of the state files' blocks in memory, of all folds of a process together; 0: a share of the memory
}

// Sink is how rows go into ClickHouse.
type Sink struct {
	BatchRows int           `yaml:"batch_rows"` // at most, per insert
	Interval  time.Duration `yaml:"interval"`   // at most, between inserts
}

// Policy is proto.Policy of one site; zero means the default of the fold.
type Policy struct {
	LearningPeriodS  int64    `yaml:"learning_period_s"`
	LearningUntil    string   `yaml:"learning_until"` // RFC 3339; "" means by period
	SilenceMinS      int64    `yaml:"silence_min_s"`
	MissingAfterS    int64    `yaml:"missing_after_s"`
	PortScanPorts    int      `yaml:"port_scan_ports"`
	RiskHalfLifeS    int64    `yaml:"risk_half_life_s"`
	TrustedExternals []string `yaml:"trusted_externals"`
}

// DefaultHome is what counts as inside unless said otherwise: RFC 1918,
// RFC 6598, RFC 3927, RFC 4193 and RFC 4291 link-local.
func DefaultHome() []string {
	return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"}
}

// Default is a machine that runs everything itself: no brokers and no addresses
// of ClickHouse are named, so both are embedded.
func Default() Config {
	kafka, clickhouse := bus.Default(), store.Default()
	kafka.Brokers, clickhouse.Addresses = nil, nil
	return Config{
		Site: "default", Sensor: "local", DataDir: ".wardflow",
		Log:        Log{Level: "info", Format: "text"},
		Kafka:      kafka,
		ClickHouse: ClickHouse{Config: clickhouse},
		Embedded:   Embedded{Partitions: 8, MaxTopicBytes: 2 << 30, ClickHouseMaxMemory: 2 << 30},
		Capture:    defaultCapture(),
		Spool:      defaultSpool(),
		Sensors:    defaultSensors(),
		Fold:       Fold{Interval: 150 * time.Millisecond, GateWait: 10 * time.Minute, MaxEntries: 20_000, CacheBytes: 512 << 20},
		Sink:       Sink{BatchRows: 100_000, Interval: time.Second}, Telemetry: telemetry.Default(),
	}
}

// Store is the ClickHouse part with the passwords read from their files.
func (c *ClickHouse) Store() (store.Config, error) {
	out := c.Config
	for _, s := range []struct {
		file string
		into *string
		what string
	}{
		{c.PasswordFile, &out.Password, "ClickHouse password"},
		{c.AnalystPasswordFile, &out.Analyst.Password, "ClickHouse analyst password"},
	} {
		if s.file == "" {
			continue
		}
		b, err := os.ReadFile(s.file)
		if err != nil {
			return out, fmt.Errorf("read %s: %w", s.what, err)
		}
		*s.into = strings.TrimRight(string(b), "\r\n")
	}
	return out, nil
}

// Proto is the policy as it goes on wardflow.control.
func (p *Policy) Proto(site string) (proto.Policy, error) {
	out := proto.Policy{
		Site: site, LearningPeriodS: p.LearningPeriodS, SilenceMinS: p.SilenceMinS, MissingAfterS: p.MissingAfterS, PortScanPorts: p.PortScanPorts,
		RiskHalfLifeS: p.RiskHalfLifeS, TrustedExternals: p.TrustedExternals,
	}
	if p.LearningUntil != "" {
		if err := out.LearningUntil.UnmarshalText([]byte(p.LearningUntil)); err != nil {
			return out, fmt.Errorf("learning_until: %q is no time such as 2026-11-18T00:00:00Z", p.LearningUntil)
		}
	}
	return out, nil
}
