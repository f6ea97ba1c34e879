package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/kafkatest"
	"github.com/wardflow/wardflow/pkg/store"
)

// binary builds the program with failpoints, once per test run.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "wardflow-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "wardflow")
	cmd := exec.Command("go", "build", "-tags", "failpoints", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build wardflow: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtBinary {
		if path, err := binary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

// builtBinary is set by the first test that needs the program.
var builtBinary bool

// world is a whole Wardflow as separate processes: broker, ClickHouse, services.
type world struct {
	t       *testing.T
	bin     string
	dir     string
	conf    string
	engines *engines
	run     *embedded.RunFile
	store   *store.Store
	brokers *embedded.Process // nil on real Kafka

	lookalikes bool // which device a row was of is not compared: see whose
	house      *embedded.Process
	kafka      *kafkatest.Cluster

	mu       sync.Mutex
	services map[string]*service
	replays  map[string]map[string]table
}

// service is one process that is started again whenever it ends, as systemd would.
type service struct {
	args    []string
	cmd     *exec.Cmd
	starts  int
	stopped bool
	done    chan struct{}
	log     bytes.Buffer
}

// policyOfDay makes the first day the one to learn from, as the demonstration does.
const policyOfDay = "learning_period_s: 86400"

func newWorld(t *testing.T, realKafka bool) *world {
	t.Helper()
	if !realKafka {
		return newWorldOn(t, 0)
	}
	return newWorldOn(t, 1)
}

// newWorldOn makes one with so many nodes of real Kafka; 0: the embedded broker.
func newWorldOn(t *testing.T, nodes int) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("whole-program test")
	}
	builtBinary = true
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, bin: bin, dir: t.TempDir(), services: map[string]*service{}, replays: map[string]map[string]table{}}
	w.conf = filepath.Join(w.dir, "wardflow.yaml")
	conf := fmt.Sprintf("data_dir: %s\nfold:\n  interval: 50ms\nsink:\n  interval: 100ms\n", w.dir)
	if nodes > 0 {
		w.kafka = kafkatest.Start(t, kafkatest.Options{Nodes: nodes})
		conf += fmt.Sprintf("kafka:\n  brokers: [%s]\n  partitions: 8\n  replicas: %d\n", strings.Join(w.kafka.Brokers(), ", "), nodes)
	}
	conf += "policy:\n"
	for _, site := range sites {
		conf += fmt.Sprintf("  %s: {%s}\n", site, policyOfDay)
	}
	if err := os.WriteFile(w.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	w.startEngines()
	// Killed in the middle of the migration, the next one completes it.
	cut := w.command("prepare")
	cut.Env = append(os.Environ(), "WARDFLOW_FAILPOINTS=migration.step=kill@9")
	if out, err := cut.CombinedOutput(); err == nil {
		t.Fatalf("prepare was not killed at its failpoint\n%s", out)
	}
	if out, err := w.command("prepare").CombinedOutput(); err != nil {
		t.Fatalf("prepare: %v\n%s", err, out)
	}
	w.store, err = store.Open(t.Context(), w.engines.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

// sites are the names under which tests feed the same ward: each is a world of
// its own to fold and sink, so that one set of servers serves many tests.
var sites = func() (s []string) {
	for i := range 64 {
		s = append(s, fmt.Sprintf("ward-%02d", i))
	}
	return s
}()

func (w *world) startEngines() {
	w.t.Helper()
	l, err := config.Load(config.Source{File: w.conf})
	if err != nil {
		w.t.Fatal(err)
	}
	run, err := embedded.EnsureRunFile(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.run = run
	if w.kafka == nil {
		w.brokers, err = embedded.StartBroker(w.t.Context(), run.BrokerConfig(filepath.Join(w.dir, "broker")), w.child("broker"))
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = w.brokers.Stop() })
	}
	w.house, err = embedded.StartClickHouse(w.t.Context(), run.ClickHouseConfig(filepath.Join(w.dir, "clickhouse")), w.child("clickhouse"))
	if errors.Is(err, embedded.ErrNoClickHouse) && os.Getenv("CI") == "" {
		w.t.Skip("no ClickHouse: run `go tool task deps`")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.house.Stop() })
	w.engines, err = newEngines(&l.Config, run)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) child(name string) embedded.Child {
	return embedded.Child{Command: embedded.Command{Path: w.bin, Args: []string{name}}, LogFile: filepath.Join(w.dir, "log", name+".log")}
}

func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.bin, append(args, "--config", w.conf, "--log-level", "warn")...)
	cmd.Env = append(os.Environ(), "WARDFLOW_FAILPOINTS=")
	return cmd
}

// start runs a service until the test ends; failpoints apply to its first life only.
func (w *world) start(name, failpoints string, args ...string) *service {
	w.t.Helper()
	s := &service{args: args, done: make(chan struct{})}
	w.mu.Lock()
	w.services[name] = s
	w.mu.Unlock()
	ready := make(chan error, 1)
	go func() {
		defer close(s.done)
		for {
			w.mu.Lock()
			if s.stopped {
				w.mu.Unlock()
				return
			}
			s.cmd = w.command(s.args...)
			if s.starts == 0 && failpoints != "" {
				s.cmd.Env = append(os.Environ(), "WARDFLOW_FAILPOINTS="+failpoints)
			}
			s.cmd.Stderr = &s.log
			err := s.cmd.Start()
			s.starts++
			first := s.starts == 1
			w.mu.Unlock()
			if first {
				ready <- err
			}
			if err != nil {
				return
			}
			_ = s.cmd.Wait()
		}
	}()
	if err := <-ready; err != nil {
		w.t.Fatalf("start %s: %v", name, err)
	}
	w.t.Cleanup(func() { w.stop(name) })
	return s
}

// stop ends a service for good.
func (w *world) stop(name string) {
	w.mu.Lock()
	s := w.services[name]
	if s == nil {
		w.mu.Unlock()
		return
	}
	s.stopped = true
	if s.cmd != nil && s.cmd.Process != nil {
		end := os.Interrupt
		if w.t.Failed() { // it may hang: then its goroutines tell where
			end = syscall.SIGQUIT
		}
		_ = s.cmd.Process.Signal(end)
	}
	delete(w.services, name)
	w.mu.Unlock()
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	if w.t.Failed() && s.log.Len() > 0 {
		said, dump, _ := strings.Cut(s.log.String(), "SIGQUIT: quit")
		w.t.Logf("%s said:\n%s", name, tail(said, 3000)+ours(dump))
	}
}

// ours are the goroutines of a dump that are in our code.
func ours(dump string) string {
	var out []string
	for _, g := range strings.Split(dump, "\n\n") {
		if strings.HasPrefix(g, "goroutine ") && strings.Contains(g, "wardflow/wardflow/") {
			out = append(out, g)
		}
	}
	return tail(strings.Join(out, "\n\n"), 30000)
}

func tail(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// kill ends a service as kill -9 does; it is started again.
func (w *world) kill(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.services[name]; s != nil && s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
	}
}

// allServices starts one instance of every service.
func (w *world) allServices(failpoints map[string]string) {
	for _, name := range []string{"fingerprint", "anomaly", "score", "sink"} {
		w.start(name, failpoints[name], name)
	}
}

// capture feeds files as a site; it is run again when it dies.
func (w *world) capture(site string, files ...string) {
	w.t.Helper()
	args := []string{"capture", "--set", "site=" + site}
	for _, f := range files {
		args = append(args, "--read", f)
	}
	if out, err := w.command(args...).CombinedOutput(); err != nil {
		w.t.Fatalf("capture %s: %v\n%s", site, err, out)
	}
}
