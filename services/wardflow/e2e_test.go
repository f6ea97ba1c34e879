package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/kafkatest"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/services/sink"
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
	if path, err := binary(); err == nil && strings.Contains(path, "wardflow-e2e-") && builtBinary {
		_ = os.RemoveAll(filepath.Dir(path))
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
	house   *embedded.Process
	kafka   *kafkatest.Cluster

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
	if realKafka {
		w.kafka = kafkatest.Start(t, kafkatest.Options{})
		conf += fmt.Sprintf("kafka:\n  brokers: [%s]\n  partitions: 8\n  replicas: 1\n", strings.Join(w.kafka.Brokers(), ", "))
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
		_ = s.cmd.Process.Signal(os.Interrupt)
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
		w.t.Logf("%s said:\n%s", name, tail(s.log.String(), 3000))
	}
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

// table is rows by id, each as canonical JSON of the columns that are compared.
type table map[string]string

// compared says which columns of which file and view must be equal.
var compared = []struct {
	file, view, key string
	columns         string
}{
	{"flows.jsonl", "v_flows", "flow_id part", "flow_id part final start end transport src_ip src_port src_mac src_packets src_bytes src_payload_bytes dst_ip dst_port dst_mac dst_packets dst_bytes dst_payload_bytes vlan state protocol protocol_by protocol_inner community_id src_device dst_device duplicate_of_sensor"},
	{"observations.jsonl", "v_observations", "observation_id", "time observation_id flow_id device protocol kind attributes"},
	{"devices.jsonl", "v_devices", "device_id", "record"},
	{"detections.jsonl", "v_detections", "detection_id", "time detection_id rule title severity device_id targets attack evidence count first last"},
	{"risk.jsonl", "v_risk_history", "device_id version", "time device_id score tier likelihood impact factors framework version cause"},
}

// replay gives what the same files come to without broker and database.
func (w *world) replay(site string, files ...string) map[string]table {
	w.t.Helper()
	key := site + strings.Join(files, ",")
	if r := w.replays[key]; r != nil {
		return r
	}
	out := filepath.Join(w.t.TempDir(), "replay")
	context := filepath.Join(w.t.TempDir(), "context.yaml")
	if err := os.WriteFile(context, []byte("policy:\n  "+site+": {"+policyOfDay+"}\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	args := append([]string{"replay"}, files...)
	args = append(args, "--site", site, "--out", out, "--sensor", "local", "--context", context)
	cmd := exec.Command(w.bin, args...)
	if b, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("replay: %v\n%s", err, b)
	}
	r := map[string]table{}
	for _, c := range compared {
		r[c.file] = w.readLines(filepath.Join(out, c.file), c.key, c.columns)
	}
	w.replays[key] = r
	return r
}

func (w *world) readLines(path, key, columns string) table {
	w.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	t := table{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var row map[string]any
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			w.t.Fatal(err)
		}
		if columns == "record" {
			row["record"] = cloned(row)
		}
		t.add(w.t, row, key, columns)
	}
	if err := sc.Err(); err != nil {
		w.t.Fatal(err)
	}
	return t
}

func cloned(row map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range row {
		out[k] = v
	}
	return out
}

func (t table) add(tb testing.TB, row map[string]any, key, columns string) {
	tb.Helper()
	var id []string
	for k := range strings.FieldsSeq(key) {
		id = append(id, fmt.Sprint(row[k]))
	}
	pick := map[string]any{}
	for c := range strings.FieldsSeq(columns) {
		pick[c] = canonical(row[c])
	}
	b, err := json.Marshal(pick)
	if err != nil {
		tb.Fatal(err)
	}
	k := strings.Join(id, "/")
	for n := 2; t[k] != ""; n++ { // a second row of the same id is a difference of its own
		k = fmt.Sprintf("%s #%d", strings.Join(id, "/"), n)
	}
	t[k] = string(b)
}

// canonical makes values of JSON lines and of ClickHouse alike: times without T
// and Z, fractions to nine digits, JSON in text unpacked.
func canonical(v any) any {
	switch v := v.(type) {
	case float64:
		return math.Round(v*1e9) / 1e9
	case string:
		if strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
			var in any
			if json.Unmarshal([]byte(v), &in) == nil {
				return canonical(in)
			}
		}
		if ts, err := time.Parse(time.RFC3339Nano, v); err == nil && strings.HasSuffix(v, "Z") {
			return ts.UTC().Format("2006-01-02 15:04:05.000000000")
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = canonical(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if k == "version" || k == "endpoints" {
				continue // of a device's record: counts updates, which depend on batching
			}
			out[k] = canonical(x)
		}
		return out
	}
	return v
}

// stored gives what ClickHouse has of a site.
func (w *world) stored(ctx context.Context, site, view, key, columns string) (table, error) {
	var list []string
	seen := map[string]bool{}
	for c := range strings.FieldsSeq(key + " " + columns) {
		if !seen[c] {
			seen[c] = true
			list = append(list, c)
		}
	}
	sql := fmt.Sprintf("SELECT formatRowNoNewline('JSONEachRow', %s) FROM %s WHERE site = ? SETTINGS output_format_json_quote_64bit_integers = 0", strings.Join(list, ", "), view)
	rows, err := w.store.Query(ctx, sql, site)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	t := table{}
	for rows.Next() {
		vals, err := rows.Values()
		if err != nil {
			return nil, err
		}
		var row map[string]any
		if err := json.Unmarshal([]byte(fmt.Sprint(vals[0])), &row); err != nil {
			return nil, err
		}
		t.add(w.t, row, key, columns)
	}
	return t, rows.Err()
}

// differences compares a site's rows with what replay says.
func (w *world) differences(ctx context.Context, site string, want map[string]table) ([]string, error) {
	var diff []string
	for _, c := range compared {
		got, err := w.stored(ctx, site, c.view, c.key, c.columns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.view, err)
		}
		diff = append(diff, compare(c.view, got, want[c.file])...)
	}
	more, err := w.rollupDifferences(ctx, site)
	return append(diff, more...), err
}

func compare(name string, got, want table) []string {
	var diff []string
	for _, k := range sortedKeys(want) {
		switch g, ok := got[k]; {
		case !ok:
			diff = append(diff, fmt.Sprintf("%s: lacks %s", name, k))
		case g != want[k]:
			diff = append(diff, fmt.Sprintf("%s: %s differs\n  got  %s\n  want %s", name, k, g, want[k]))
		}
	}
	for _, k := range sortedKeys(got) {
		if _, ok := want[k]; !ok {
			diff = append(diff, fmt.Sprintf("%s: has %s too", name, k))
		}
	}
	return diff
}

// rollupDifferences holds the hourly rows against the raw ones.
func (w *world) rollupDifferences(ctx context.Context, site string) ([]string, error) {
	q := func(sql string) (string, error) {
		rows, err := w.store.Query(ctx, sql, site)
		if err != nil {
			return "", err
		}
		defer rows.Close()
		if !rows.Next() {
			return "", rows.Err()
		}
		v, err := rows.Values()
		return fmt.Sprint(v...), err
	}
	// Hours follow a part's end, as folds apply a part when it ends.
	raw, err := q("SELECT toString((countIf(part = 0), sum(src_packets), sum(src_bytes), sum(dst_packets), sum(dst_bytes))) FROM v_flows WHERE site = ? AND (src_endpoint IS NOT NULL OR dst_endpoint IS NOT NULL)")
	if err != nil {
		return nil, err
	}
	pairs, err := q("SELECT toString((sum(flows), sum(src_packets), sum(src_bytes), sum(dst_packets), sum(dst_bytes))) FROM v_pairs WHERE site = ?")
	if err != nil {
		return nil, err
	}
	if raw != pairs {
		return []string{fmt.Sprintf("v_pairs adds up to %s, the flows to %s", pairs, raw)}, nil
	}
	return nil, nil
}

// settle waits until a site's rows are what replay says, and fails when they do
// not become so.
func (w *world) settle(site string, within time.Duration, files ...string) {
	w.t.Helper()
	want := w.replay(site, files...)
	if len(want["flows.jsonl"]) == 0 || len(want["devices.jsonl"]) == 0 {
		w.t.Fatal("the replay found nothing: this test would pass on nothing")
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	var diff []string
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 20*time.Second) // a query that a killed server never answers must not use up the test
		d, err := w.differences(try, site, want)
		cancel()
		if err == nil && len(d) == 0 {
			return
		}
		if err == nil {
			diff = d
		} else if ctx.Err() == nil {
			diff = []string{err.Error()}
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	w.t.Errorf("site %s: %d differences to replay after %s", site, len(diff), within)
	for _, d := range diff[:min(len(diff), 12)] {
		w.t.Log(d)
	}
	w.explain()
}

// explain says how far each group is, which tells where missing rows got stuck.
func (w *world) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	groups := map[string][]string{sink.Group: sink.Topics()}
	for _, f := range folds() {
		for _, in := range f.Inputs() {
			groups[stream.Group(f.Name())] = append(groups[stream.Group(f.Name())], in.Topic)
		}
	}
	lags, err := bus.Lags(ctx, w.engines.Kafka, groups)
	w.t.Logf("lags: %v %v", lags, err)
}

// wardFiles are the ward's day and the next day's incidents.
func wardFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../testdata/ward-a/*.pcap*")
	if err != nil || len(files) < 2 {
		t.Fatalf("testdata/ward-a is not there: %v", err)
	}
	slices.Sort(files)
	return files
}

// onKafkaOnly skips what a run for real Kafka has no need to repeat.
func onKafkaOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("WARDFLOW_TEST_KAFKA") == "require" {
		t.Skip("on the embedded broker; this run is for real Kafka")
	}
}

func bothBrokers(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("embedded", func(t *testing.T) {
		onKafkaOnly(t)
		f(t, newWorld(t, false))
	})
	t.Run("kafka", func(t *testing.T) { f(t, newWorld(t, true)) })
}

// The running system stores what replay writes, also when every service is killed
// while it works.
func TestRunningSystemEqualsReplay(t *testing.T) {
	bothBrokers(t, func(t *testing.T, w *world) {
		files := wardFiles(t)
		w.allServices(nil)
		w.capture(sites[0], files...)
		w.settle(sites[0], 2*time.Minute, files...)
		w.capture(sites[1], files...)
		for _, s := range []string{"fingerprint", "anomaly", "score", "sink"} {
			w.kill(s)
		}
		w.settle(sites[1], 4*time.Minute, files...)
	})
}

// The same with three instances of each service, of which some are killed. It
// still gets stuck in about one run of five, on both sides of a rebalance after a
// kill, so it runs with the chaos test only, until that is mended.
func TestThreeInstancesEqualReplay(t *testing.T) {
	if os.Getenv("WARDFLOW_CHAOS") == "" {
		t.Skip("run it with WARDFLOW_CHAOS=1: it is known to get stuck at times")
	}
	bothBrokers(t, func(t *testing.T, w *world) {
		files := wardFiles(t)
		w.allServices(nil)
		for _, instance := range []string{"1", "2"} {
			for _, s := range []string{"fingerprint", "anomaly", "score"} {
				w.start(s+instance, "", s, "--instance", instance)
			}
		}
		w.capture(sites[0], files...)
		for _, s := range []string{"fingerprint1", "anomaly2", "score", "sink"} {
			w.kill(s)
		}
		w.settle(sites[0], 2*time.Minute, files...)
	})
}
