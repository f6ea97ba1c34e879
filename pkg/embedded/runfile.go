package embedded

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// RunFileName is the connection file's name inside the data folder.
const RunFileName = "run.yaml"

const runFileVersion = 1

// RunFile says how to reach the embedded broker and ClickHouse of one data folder. It holds passwords: it is written
// with mode 0600 and refused when others may read it.
type RunFile struct {
	Version    int           `yaml:"version"`
	Broker     BrokerRun     `yaml:"broker"`
	ClickHouse ClickHouseRun `yaml:"clickhouse"`
}

// BrokerRun is the broker's part of the connection file. Authentication is SASL SCRAM-SHA-256.
type BrokerRun struct {
	Host     string `yaml:"host"`
	Port     int    `yaml:"port"`
	User     string `yaml:"user"`
	Password string `yaml:"password"`
}

// ClickHouseRun is ClickHouse's part of the connection file: the service user may do anything, the analyst only reads.
type ClickHouseRun struct {
	Host            string `yaml:"host"`
	TCPPort         int    `yaml:"tcp_port"`
	HTTPPort        int    `yaml:"http_port"`
	Database        string `yaml:"database"`
	User            string `yaml:"user"`
	Password        string `yaml:"password"`
	AnalystUser     string `yaml:"analyst_user"`
	AnalystPassword string `yaml:"analyst_password"`
}

// Address is host:port of the Kafka listener.
func (b BrokerRun) Address() string { return net.JoinHostPort(b.Host, strconv.Itoa(b.Port)) }

// Address is host:port of the native protocol.
func (c ClickHouseRun) Address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.TCPPort)) }

// HTTPAddress is host:port of the HTTP interface.
func (c ClickHouseRun) HTTPAddress() string {
	return net.JoinHostPort(c.Host, strconv.Itoa(c.HTTPPort))
}

// BrokerConfig is the configuration of the broker that stores in dir and listens where r says.
func (r *RunFile) BrokerConfig(dir string) BrokerConfig {
	return BrokerConfig{Dir: dir, Port: r.Broker.Port, User: r.Broker.User, Password: r.Broker.Password}
}

// ClickHouseConfig is the configuration of the ClickHouse that stores in dir and listens where r says.
func (r *RunFile) ClickHouseConfig(dir string) ClickHouseConfig {
	c := r.ClickHouse
	return ClickHouseConfig{
		Dir: dir, TCPPort: c.TCPPort, HTTPPort: c.HTTPPort, Database: c.Database,
		User: c.User, Password: c.Password, AnalystUser: c.AnalystUser, AnalystPassword: c.AnalystPassword,
	}
}

// String leaves the passwords out, so that a logged run file gives nothing away.
func (r *RunFile) String() string {
	return fmt.Sprintf("broker %s, clickhouse %s (http %s)", r.Broker.Address(), r.ClickHouse.Address(), r.ClickHouse.HTTPAddress())
}

// LoadRunFile reads <dir>/run.yaml. It fails with fs.ErrNotExist when there is none, and when the file may be read or
// written by anybody but its owner.
func LoadRunFile(dir string) (*RunFile, error) {
	path := filepath.Join(dir, RunFileName)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read connection file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("connection file %s has mode %04o, but it holds passwords and must be readable by its owner only: run `chmod 600 %s`", path, mode, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read connection file: %w", err)
	}
	var r RunFile // other keys are what another version of the program wrote
	if err := yaml.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("parse connection file %s: %w", path, err)
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("connection file %s is incomplete (move it away and start again to get a new one): %w", path, err)
	}
	return &r, nil
}

func (r *RunFile) validate() error {
	var errs []error
	if r.Version != runFileVersion {
		errs = append(errs, fmt.Errorf("version: is %d, this program writes and reads %d", r.Version, runFileVersion))
	}
	for _, s := range []struct{ path, value string }{
		{"broker.host", r.Broker.Host},
		{"broker.user", r.Broker.User},
		{"broker.password", r.Broker.Password},
		{"clickhouse.host", r.ClickHouse.Host},
		{"clickhouse.database", r.ClickHouse.Database},
		{"clickhouse.user", r.ClickHouse.User},
		{"clickhouse.password", r.ClickHouse.Password},
		{"clickhouse.analyst_user", r.ClickHouse.AnalystUser},
		{"clickhouse.analyst_password", r.ClickHouse.AnalystPassword},
	} {
		if s.value == "" {
			errs = append(errs, fmt.Errorf("%s: is empty", s.path))
		}
	}
	for _, p := range []struct {
		path string
		port int
	}{
		{"broker.port", r.Broker.Port},
		{"clickhouse.tcp_port", r.ClickHouse.TCPPort},
		{"clickhouse.http_port", r.ClickHouse.HTTPPort},
	} {
		if p.port < 1 || p.port > 65535 {
			errs = append(errs, fmt.Errorf("%s: %d is not a port", p.path, p.port))
		}
	}
	return errors.Join(errs...)
}

// Save writes <dir>/run.yaml with mode 0600, making dir (0700) when it is missing. Readers see the old file or the new
// one, never a part.
func (r *RunFile) Save(dir string) error {
	raw, err := yaml.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode connection file: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if err := writeFileAtomic(filepath.Join(dir, RunFileName), raw); err != nil {
		return fmt.Errorf("write connection file: %w", err)
	}
	return nil
}

// EnsureRunFile loads <dir>/run.yaml, or writes a new one with random credentials and free loopback ports. Both are
// kept for the life of the data folder, so that clients find a restarted server where it was.
func EnsureRunFile(dir string) (*RunFile, error) {
	r, err := LoadRunFile(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, fmt.Errorf("find free loopback ports: %w", err)
	}
	const host = "127.0.0.1"
	r = &RunFile{
		Version: runFileVersion,
		Broker:  BrokerRun{Host: host, Port: ports[0], User: "wardflow", Password: randomPassword()},
		ClickHouse: ClickHouseRun{
			Host: host, TCPPort: ports[1], HTTPPort: ports[2], Database: "wardflow",
			User: "wardflow", Password: randomPassword(),
			AnalystUser: "analyst", AnalystPassword: randomPassword(),
		},
	}
	if err := r.Save(dir); err != nil {
		return nil, err
	}
	return r, nil
}

// randomPassword has 192 bits and only characters that need no quoting in URLs, YAML, XML or SQL.
func randomPassword() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return hex.EncodeToString(b[:])
}

// freePorts holds all listeners until the last is found, so that no port is given twice.
func freePorts(n int) ([]int, error) {
	var ports []int
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		addr, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, int(addr.Port()))
	}
	return ports, nil
}

// writeFileAtomic writes a 0600 file beside path, syncs it and renames it over path.
func writeFileAtomic(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails after the rename, as it should
	if _, err := f.Write(raw); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
