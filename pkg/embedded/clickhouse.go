package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ClickHouseConfig describes one ClickHouse server on loopback.
type ClickHouseConfig struct {
	Dir      string // everything it stores: data/, config/, log/
	HTTPPort int
	TCPPort  int

	User            string // service user: may do anything
	Password        string
	AnalystUser     string // read-only user; "" makes none
	AnalystPassword string
	Database        string // made if missing; the analyst may read it and databases whose name it begins

	Address string // host:port of a server that runs elsewhere: nothing is started
	Server  string // path of a clickhouse binary; "" looks on the PATH
	Library string // path of libchdb.so; "" looks in node_modules

	MemoryBytes int64              // most the server may take; default 2 GiB
	Cluster     *ClickHouseCluster // nil: a single server
}

// ClickHouseCluster makes the server one shard of a cluster: remote_servers and macros, enough for Distributed tables.
// Replicated tables need a Keeper, which the library does not have.
type ClickHouseCluster struct {
	Name   string
	Shard  string            // the macro {shard} of this server
	Shards []ClickHouseShard // all of them, this server included, in shard order
}

// ClickHouseShard is how the servers of a cluster reach one of them.
type ClickHouseShard struct {
	Host     string
	TCPPort  int
	User     string
	Password string
}

// ClickHouseEngine is what a ClickHouseConfig resolves to.
type ClickHouseEngine struct {
	Kind ClickHouseKind
	Path string // of the binary or library; the address when configured
}

// ClickHouseKind tells where ClickHouse comes from.
type ClickHouseKind string

// The places ClickHouse may come from, in the order in which they are tried.
const (
	ClickHouseConfigured ClickHouseKind = "configured" // somebody else runs it
	ClickHouseServer     ClickHouseKind = "server"     // a clickhouse binary
	ClickHouseLibrary    ClickHouseKind = "library"    // libchdb.so
)

// ErrNoClickHouse is returned when there is no address, no binary and no library.
var ErrNoClickHouse = errors.New("no ClickHouse found")

// FindClickHouse chooses: a configured address, else a clickhouse binary, else libchdb.so from node_modules in the
// working directory or above it, or beside our binary or above it. It fails with ErrNoClickHouse.
func FindClickHouse(c ClickHouseConfig) (ClickHouseEngine, error) {
	if c.Address != "" {
		return ClickHouseEngine{ClickHouseConfigured, c.Address}, nil
	}
	if c.Server != "" || c.Library != "" {
		e := ClickHouseEngine{ClickHouseServer, c.Server}
		if c.Server == "" {
			e = ClickHouseEngine{ClickHouseLibrary, c.Library}
		}
		if _, err := os.Stat(e.Path); err != nil {
			return ClickHouseEngine{}, fmt.Errorf("find ClickHouse where the configuration says: %w", err)
		}
		return e, nil
	}
	if path, err := exec.LookPath("clickhouse"); err == nil {
		return ClickHouseEngine{ClickHouseServer, path}, nil
	}
	if path := findLibrary(); path != "" {
		return ClickHouseEngine{ClickHouseLibrary, path}, nil
	}
	return ClickHouseEngine{}, fmt.Errorf("%w: there is no clickhouse on the PATH and no node_modules/@chdb/%s; run `go tool task deps`, or configure the address of a server",
		ErrNoClickHouse, libraryPackage())
}

// libraryPackage is the npm package that carries the library for this platform.
func libraryPackage() string {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if runtime.GOOS == "linux" {
		return "lib-linux-" + arch + "-gnu"
	}
	return "lib-" + runtime.GOOS + "-" + arch
}

func findLibrary() string {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if self, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(self))
	}
	for _, dir := range starts {
		for {
			path := filepath.Join(dir, "node_modules", "@chdb", libraryPackage(), "libchdb.so")
			if _, err := os.Stat(path); err == nil {
				return path
			}
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return ""
}

// Child is what StartBroker and StartClickHouse need besides the server's own configuration.
type Child struct {
	Command Command     // must call ServeChild; zero: our own binary with the server's name as only argument
	LogFile string      // default: <Dir>/log/<name>.log
	OnExit  func(error) // called when the child ended unasked; may be nil

	// EndItself lets the child end in its own time when we die, instead of being killed by the kernel.
	EndItself bool
}

func (c Child) process(name, dir string) ProcessConfig {
	if c.Command.Path == "" && c.Command.Args == nil && c.Command.Env == nil {
		c.Command.Args = []string{name}
	}
	if c.LogFile == "" {
		c.LogFile = filepath.Join(dir, "log", name+".log")
	}
	return ProcessConfig{Name: name, Command: c.Command, LogFile: c.LogFile, OnExit: c.OnExit, EndItself: c.EndItself}
}

// StartClickHouse starts the server that FindClickHouse chooses as a child process and returns when it answers the
// service user and c.Database exists. It must not be called with a configured address.
func StartClickHouse(ctx context.Context, c ClickHouseConfig, child Child) (*Process, error) {
	engine, err := FindClickHouse(c)
	if err != nil {
		return nil, err
	}
	switch engine.Kind {
	case ClickHouseServer:
		c.Server = engine.Path
	case ClickHouseLibrary:
		c.Library = engine.Path
	default:
		return nil, fmt.Errorf("start ClickHouse: it is configured to run at %s, there is nothing to start", c.Address)
	}
	p := child.process("clickhouse", c.Dir)
	if p.Handshake, err = json.Marshal(handshake{ClickHouse: &c}); err != nil {
		return nil, fmt.Errorf("encode ClickHouse configuration: %w", err)
	}
	p.Ready = c.ping
	return StartProcess(ctx, p)
}

// ServeClickHouse runs the server in this process (library) or as its child (binary) until ctx ends or it fails. It
// may be called once in a process, since the library cannot be started twice.
func ServeClickHouse(ctx context.Context, c ClickHouseConfig) error {
	engine, err := FindClickHouse(c)
	if err != nil {
		return err
	}
	if err := writeClickHouseFiles(c, engine.Kind); err != nil {
		return fmt.Errorf("write ClickHouse configuration: %w", err)
	}
	switch engine.Kind {
	case ClickHouseServer:
		return serveServer(ctx, c, engine.Path)
	case ClickHouseLibrary:
		return serveLibrary(ctx, c, engine.Path)
	default:
		return fmt.Errorf("serve ClickHouse: it is configured to run at %s", engine.Path)
	}
}

func serveServer(ctx context.Context, c ClickHouseConfig, path string) error {
	cmd := exec.CommandContext(ctx, path, "server", "--config-file="+c.configPath("config.xml"))
	cmd.Env = append(os.Environ(), "CLICKHOUSE_WATCHDOG_ENABLE=0") // the watchdog would outlive a kill of its child, and of us
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = childAttr(false)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 8 * time.Second
	runtime.LockOSThread() // see Process.supervise: the kernel ties the child to this thread
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("run %s server: %w", path, err)
	}
	return nil
}

func (c ClickHouseConfig) configPath(name string) string { return filepath.Join(c.Dir, "config", name) }

// ping succeeds once the service user is let in and the database exists.
func (c ClickHouseConfig) ping(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.TCPPort)))
	if err != nil {
		return err
	}
	_ = conn.Close()
	sql := "SELECT 1"
	if c.Database != "" {
		sql = "CREATE DATABASE IF NOT EXISTS `" + strings.ReplaceAll(c.Database, "`", "") + "` ENGINE = Atomic"
	}
	return c.Exec(ctx, sql)
}

// Exec runs one statement as the service user over HTTP, which needs no client library, and drops its result.
func (c ClickHouseConfig) Exec(ctx context.Context, sql string) error {
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.HTTPPort)) + "/"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(sql))
	if err != nil {
		return err
	}
	req.Close = true // the server waits 5 s for connections that are open when it stops
	req.Header.Set("X-ClickHouse-User", c.User)
	req.Header.Set("X-ClickHouse-Key", c.Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("clickhouse answers %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
