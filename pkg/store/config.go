package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Config says where ClickHouse is and how to speak to it.
type Config struct {
	// Addresses has one entry per shard, "host:port" of the native protocol; the
	// replicas of a shard are separated by commas. More than one shard needs
	// Cluster.
	Addresses []string `yaml:"addresses"`
	Database  string   `yaml:"database"`
	User      string   `yaml:"user"`
	Password  string   `yaml:"password"`
	TLS       TLS      `yaml:"tls"`
	// Settings are sent with every query, and win over ours.
	Settings map[string]any `yaml:"settings"`
	// Cluster is a name from the servers' remote_servers: replicated engines and
	// Distributed tables are generated for it. Empty means a single server.
	Cluster string `yaml:"cluster"`
	// Unreplicated makes a cluster of single servers: plain engines under the
	// Distributed tables, and no Keeper.
	Unreplicated bool          `yaml:"unreplicated"`
	Compression  string        `yaml:"compression"` // lz4, zstd or none
	DialTimeout  time.Duration `yaml:"dial_timeout"`
	ReadTimeout  time.Duration `yaml:"read_timeout"` // the longest silence of a server during a query
	MaxConns     int           `yaml:"max_conns"`    // per shard
	Retention    Retention     `yaml:"retention"`
	// Fsync makes the server sync each part to disk before it answers an insert:
	// rows survive a power cut and not only a killed server.
	Fsync   bool    `yaml:"fsync"`
	Analyst Analyst `yaml:"analyst"`
	// OperatingHours are patterns that utilisation is measured against, by type,
	// site/type, or site/ for a whole site: "mon-fri 08:00-18:00".
	OperatingHours map[string]string `yaml:"operating_hours"`
	TimeZone       string            `yaml:"time_zone"` // of the days and hours of utilisation
}

// TLS of the connection. Files are PEM.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CA         string `yaml:"ca"`   // file; the system's authorities when empty
	Cert       string `yaml:"cert"` // file, with Key: client certificate
	Key        string `yaml:"key"`
	ServerName string `yaml:"server_name"`
	SkipVerify bool   `yaml:"skip_verify"`
}

// Retention is how long rows are kept after the time of their Kafka record.
type Retention struct {
	Days       int            `yaml:"days"`        // flows, observations
	RollupDays int            `yaml:"rollup_days"` // hourly rows, detections, alerts, risk, dead letters
	SiteDays   map[string]int `yaml:"site_days"`   // of flows and observations, by site, where it differs
}

// Analyst is the read-only account that Migrate makes. Without a password only
// the role and its limits are made, to be granted to accounts of one's own.
type Analyst struct {
	User         string `yaml:"user"`
	Password     string `yaml:"password"`
	MaxMemory    int64  `yaml:"max_memory"`      // bytes per query
	MaxSeconds   int    `yaml:"max_seconds"`     // per query
	QueriesPerH  int    `yaml:"queries_per_h"`   // quota
	ReadRowsPerH int64  `yaml:"read_rows_per_h"` // quota; 0 means no limit
}

// Default gives the settings of a single local server.
func Default() Config {
	return Config{
		Addresses: []string{"127.0.0.1:9000"}, Database: "wardflow", User: "default", Compression: "lz4",
		DialTimeout: 5 * time.Second, ReadTimeout: time.Minute, MaxConns: 8,
		Retention: Retention{Days: 30, RollupDays: 400},
		Analyst:   Analyst{User: "analyst", MaxMemory: 2 << 30, MaxSeconds: 60, QueriesPerH: 3600},
		TimeZone:  "UTC",
	}
}

var nameRE = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Validate reports every problem at once, each with its key; nil when there is none.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Addresses) == 0 {
		bad("addresses: none given; name at least one host:port of ClickHouse's native protocol")
	}
	if len(c.Addresses) > 1 && c.Cluster == "" {
		bad("addresses: %d shards need cluster, the name of the cluster in the servers' remote_servers", len(c.Addresses))
	}
	if c.Unreplicated && c.Cluster == "" {
		bad("unreplicated: is about a cluster, and cluster is empty; set that or remove this")
	}
	for i, shard := range c.Addresses {
		if c.Unreplicated && strings.Contains(shard, ",") {
			bad("addresses[%d]: %q has replicas, and unreplicated is set", i, shard)
		}
		for _, a := range strings.Split(shard, ",") {
			if err := checkAddress(strings.TrimSpace(a)); err != nil {
				bad("addresses[%d]: %w", i, err)
			}
		}
	}
	if !nameRE.MatchString(c.Database) {
		bad("database: %q is no plain name; use lower-case letters, digits and _", c.Database)
	}
	if c.Database == "default" || c.Database == "system" || c.Database == "information_schema" {
		bad("database: %q belongs to the server; choose one of Wardflow's own", c.Database)
	}
	if c.Cluster != "" && strings.ContainsAny(c.Cluster, "'`\\ {}") {
		bad("cluster: %q has characters that no cluster name has", c.Cluster)
	}
	if _, ok := compressions[c.Compression]; !ok {
		bad("compression: %q is not one of lz4, zstd, none", c.Compression)
	}
	if c.DialTimeout <= 0 {
		bad("dial_timeout: %v must be more than zero", c.DialTimeout)
	}
	if c.ReadTimeout <= 0 {
		bad("read_timeout: %v must be more than zero", c.ReadTimeout)
	}
	if c.MaxConns < 1 {
		bad("max_conns: %d must be at least 1", c.MaxConns)
	}
	errs = append(errs, c.Retention.validate()...)
	for _, key := range sortedKeys(c.OperatingHours) {
		if key == "" || key == "/" {
			bad("operating_hours: %q names nothing; use a type (ct), a site and a type (north/ct), or a site (north/)", key)
		}
		if _, err := parseHours(c.OperatingHours[key]); err != nil {
			bad("operating_hours.%s: %w", key, err)
		}
	}
	if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "" || c.TimeZone == "Local" {
		bad("time_zone: %q is not the name of a time zone, such as Europe/Berlin or UTC", c.TimeZone)
	}
	errs = append(errs, c.TLS.validate()...)
	if c.Analyst.User != "" && !nameRE.MatchString(c.Analyst.User) {
		bad("analyst.user: %q is no plain name; use lower-case letters, digits and _", c.Analyst.User)
	}
	return errors.Join(errs...)
}

func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Errorf("%q: want host:port", a)
	}
	if host == "" {
		return fmt.Errorf("%q: the host is missing", a)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q: port %q is not 1 to 65535", a, port)
	}
	return nil
}

func (r *Retention) validate() []error {
	var errs []error
	if r.Days < 1 {
		errs = append(errs, fmt.Errorf("retention.days: %d must be at least 1", r.Days))
	}
	if r.RollupDays < 1 {
		errs = append(errs, fmt.Errorf("retention.rollup_days: %d must be at least 1", r.RollupDays))
	}
	for site, days := range r.SiteDays {
		if days < 1 {
			errs = append(errs, fmt.Errorf("retention.site_days.%s: %d must be at least 1", site, days))
		}
	}
	return errs
}

func (t *TLS) validate() []error {
	var errs []error
	if !t.Enabled {
		if t.CA != "" || t.Cert != "" || t.Key != "" || t.ServerName != "" || t.SkipVerify {
			errs = append(errs, errors.New("tls.enabled: is false, yet other tls keys are set; set it or remove them"))
		}
		return errs
	}
	if (t.Cert == "") != (t.Key == "") {
		errs = append(errs, errors.New("tls.cert, tls.key: a client certificate needs both"))
	}
	for key, file := range map[string]string{"ca": t.CA, "cert": t.Cert, "key": t.Key} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			errs = append(errs, fmt.Errorf("tls.%s: %w", key, err))
		}
	}
	return errs
}

// config builds the TLS settings, nil when TLS is off.
func (t *TLS) config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read tls.ca: %s holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read tls.cert and tls.key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

var compressions = map[string]clickhouse.CompressionMethod{
	"lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD, "none": clickhouse.CompressionNone,
}

// options of one shard's connections; replicas are tried in order.
func (c *Config) options(shard int, database string) (*clickhouse.Options, error) {
	tc, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	var replicas []string
	for _, a := range strings.Split(c.Addresses[shard], ",") {
		replicas = append(replicas, strings.TrimSpace(a))
	}
	settings := clickhouse.Settings{}
	for k, v := range c.Settings {
		settings[k] = v
	}
	return &clickhouse.Options{
		Addr: replicas, Auth: clickhouse.Auth{Database: database, Username: c.User, Password: c.Password},
		TLS: tc, Settings: settings, Compression: &clickhouse.Compression{Method: compressions[c.Compression]},
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, MaxOpenConns: c.MaxConns, MaxIdleConns: c.MaxConns,
		ConnMaxLifetime: time.Hour, ConnOpenStrategy: clickhouse.ConnOpenInOrder, BlockBufferSize: 2,
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{Name: "wardflow"}}},
	}, nil
}
