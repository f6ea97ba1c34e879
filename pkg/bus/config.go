package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/wardflow/wardflow/pkg/telemetry"
)

// Config says how to reach Kafka.
type Config struct {
	Brokers    []string `yaml:"brokers"`    // host:port
	ClientID   string   `yaml:"client_id"`  // shown in the broker's logs
	Partitions int32    `yaml:"partitions"` // of every lane-keyed topic: 8 embedded, 64 on a cluster
	Replicas   int16    `yaml:"replicas"`   // of topics that we create; -1 takes the broker's default
	SASL       SASL     `yaml:"sasl"`
	TLS        TLS      `yaml:"tls"`
	// MaxTopicBytes bounds all topics together where we create them (0: the
	// broker's own retention); each append topic gets its share.
	MaxTopicBytes int64 `yaml:"max_topic_bytes"`
	// RetentionHours is the time bound of append topics that we create.
	RetentionHours int `yaml:"retention_hours"`
	// Telemetry measures what clients do; nil: nobody does. It is no setting.
	Telemetry *telemetry.Telemetry `yaml:"-" json:"-"`
}

// SASL is a user of the broker. The password comes from a file or the
// environment and is never printed.
type SASL struct {
	Mechanism    string `yaml:"mechanism"` // "", plain, scram-sha-256, scram-sha-512
	User         string `yaml:"user"`
	Password     string `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
}

// TLS settings of a client.
type TLS struct {
	Enabled            bool   `yaml:"enabled"`
	CAFile             string `yaml:"ca_file"` // "" uses the system's roots
	CertFile           string `yaml:"cert_file"`
	KeyFile            string `yaml:"key_file"`
	ServerName         string `yaml:"server_name"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// Default is a cluster on this machine without authentication.
func Default() Config {
	return Config{Brokers: []string{"127.0.0.1:9092"}, ClientID: "wardflow", Partitions: 64, Replicas: -1, RetentionHours: 168}
}

// Validate reports every problem at once, each with its path below at.
func (c *Config) Validate(at string) error {
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", at, path, fmt.Sprintf(format, args...)))
	}
	if len(c.Brokers) == 0 {
		bad("brokers", "is empty: give at least one host:port")
	}
	for i, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			bad(fmt.Sprintf("brokers[%d]", i), "%q is not host:port", b)
		}
	}
	if c.Partitions < 1 || c.Partitions > 1024 {
		bad("partitions", "is %d: want 1 to 1024 (the number of lanes)", c.Partitions)
	}
	if c.Replicas == 0 || c.Replicas < -1 {
		bad("replicas", "is %d: want 1 or more, or -1 for the broker's default", c.Replicas)
	}
	if c.MaxTopicBytes < 0 || (c.MaxTopicBytes > 0 && c.MaxTopicBytes < 64<<20) {
		bad("max_topic_bytes", "is %d: want 0 or at least 64 MiB", c.MaxTopicBytes)
	}
	if c.RetentionHours < 1 {
		bad("retention_hours", "is %d: want 1 or more", c.RetentionHours)
	}
	switch strings.ToLower(c.SASL.Mechanism) {
	case "":
		if c.SASL.User != "" {
			bad("sasl.mechanism", "is missing while sasl.user is set: want plain, scram-sha-256 or scram-sha-512")
		}
	case "plain", "scram-sha-256", "scram-sha-512":
		if c.SASL.User == "" {
			bad("sasl.user", "is missing")
		}
		if c.SASL.Password == "" && c.SASL.PasswordFile == "" {
			bad("sasl.password_file", "is missing (or set sasl.password by the environment)")
		}
	default:
		bad("sasl.mechanism", "is %q: want plain, scram-sha-256 or scram-sha-512", c.SASL.Mechanism)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls", "cert_file and key_file go together")
	}
	if !c.TLS.Enabled && (c.TLS.CAFile != "" || c.TLS.CertFile != "") {
		bad("tls.enabled", "is false while files are given")
	}
	return errors.Join(errs...)
}

// options are what every client of ours is made with; h may be nil.
func (c *Config) options(h *hook) ([]kgo.Opt, error) {
	opts := append(h.options(),
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.DialTimeout(5*time.Second),
		kgo.MetadataMinAge(250*time.Millisecond),
		kgo.RetryTimeout(30*time.Second),
		kgo.RequestTimeoutOverhead(10*time.Second),
	)
	if c.TLS.Enabled {
		t, err := c.TLS.Client()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASL.Mechanism == "" {
		return opts, nil
	}
	password := c.SASL.Password
	if password == "" {
		b, err := os.ReadFile(c.SASL.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read Kafka password: %w", err)
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	switch strings.ToLower(c.SASL.Mechanism) {
	case "plain":
		opts = append(opts, kgo.SASL(plain.Auth{User: c.SASL.User, Pass: password}.AsMechanism()))
	case "scram-sha-512":
		opts = append(opts, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: password}.AsSha512Mechanism()))
	default:
		opts = append(opts, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: password}.AsSha256Mechanism()))
	}
	return opts, nil
}

// Client makes the tls.Config of a client.
func (t *TLS) Client() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify} //nolint:gosec // InsecureSkipVerify is the user's explicit setting
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA certificates: no PEM certificate in %s", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
