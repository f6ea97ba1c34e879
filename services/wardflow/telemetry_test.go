package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/app"
	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// told is a whole Wardflow in this process, whose telemetry a test reads as Prometheus does.
type told struct {
	t    *testing.T
	w    *world
	s    *session
	tell *telling
	base string
}

func newTold(t *testing.T) *told {
	t.Helper()
	w := newWorld(t, false)
	l, err := config.Load(config.Source{File: w.conf, Set: []string{"telemetry.canary.interval=1s", "telemetry.canary.lost_after=10m"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &session{cfg: &l.Config, log: slog.New(slog.DiscardHandler)}
	w.engines.processes = []engine{{"broker", w.brokers}, {"clickhouse", w.house}}
	tell, err := s.tell(t.Context(), w.engines, "up", "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tell.end)
	tell.watch(t.Context(), watched{groups: consumerGroups(), store: true})
	x := &told{t: t, w: w, s: s, tell: tell}
	file := telemetry.TargetFile(w.dir, telemetry.Process{Service: "up", Instance: "0"})
	x.await("the address of the metrics", 10*time.Second, func() error {
		at, err := telemetry.ReadTarget(file)
		x.base = "http://" + at
		return err
	})
	return x
}

// await waits until check gives nil.
func (x *told) await(what string, most time.Duration, check func() error) {
	x.t.Helper()
	begun, tick := time.Now(), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Since(begun) > most {
			x.t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

func (x *told) get(path string) (int, string) {
	x.t.Helper()
	r, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, x.base+path, http.NoBody)
	if err != nil {
		x.t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// run runs units until stop is called, or the test ends.
func (x *told) run(run func(ctx context.Context, specs ...app.Spec) error, specs ...app.Spec) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, specs...) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			x.t.Error(err)
		}
	}
	x.t.Cleanup(stop)
	return stop
}

func alone(ctx context.Context, specs ...app.Spec) error {
	return app.New(slog.New(slog.DiscardHandler), specs...).Run(ctx)
}

// beats are the heartbeats of a live sensor, once a second.
func (x *told) beats(ctx context.Context) error {
	p, err := bus.NewProducer(x.w.engines.Kafka, 1<<20)
	if err != nil {
		return err
	}
	defer p.Close()
	out := capture.NewOutput(p, x.w.engines.Kafka.Partitions, capture.Naming{Site: "north", Sensor: "tap1", Producer: "live:north/tap1/test", Domain: proto.LiveDomain})
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := out.Emit(ctx, &proto.Item{Heartbeat: &proto.Heartbeat{Clock: proto.TimeOf(time.Now())}}); err != nil {
			return err
		}
		if err := out.Flush(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

var sampleLine = regexp.MustCompile(`^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$`)

// scraped is one reading of /metrics: values by series, and families by name.
type scraped struct {
	values   map[string]string
	families map[string]bool
	labels   map[string]map[string]bool
}

func (x *told) scrape() scraped {
	x.t.Helper()
	code, body := x.get("/metrics")
	if code != http.StatusOK {
		x.t.Fatalf("/metrics: %d %s", code, body)
	}
	s := scraped{values: map[string]string{}, families: map[string]bool{}, labels: map[string]map[string]bool{}}
	pair := regexp.MustCompile(`([a-z_0-9]+)="((?:[^"\\]|\\.)*)"`)
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			s.families[name] = true
		}
		m := sampleLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		s.values[m[1]+"{"+m[2]+"}"] = m[3]
		for _, l := range pair.FindAllStringSubmatch(m[2], -1) {
			if s.labels[l[1]] == nil {
				s.labels[l[1]] = map[string]bool{}
			}
			s.labels[l[1]][l[2]] = true
		}
	}
	return s
}

// late is wardflow.canary.last.
func (x *told) late() float64 {
	var v float64
	_, _ = fmt.Sscan(x.scrape().values[telemetry.CanaryLast.Prometheus()+"{}"], &v)
	return v
}

// notHere are metrics of a live sensor, which needs an interface, and of what went
// wrong; pkg/telemetry and services/capture test those.
func notHere(m *telemetry.Metric) bool {
	return m.Only == "on a live sensor" || m.Only == "where a live sensor has told its status"
}

// Everything that docs/reference/metrics.md promises is on the /metrics of a
// running system, and nothing else; a fed capture's addresses are in no label.
func TestTelemetryOfARunningSystem(t *testing.T) {
	x := newTold(t)
	if code, body := x.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, `"ready": false`) {
		t.Errorf("ready before anything runs: %d %s", code, body)
	}
	files := wardFiles(t)
	pc, err := captureConfig(x.s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	begin := make(chan struct{})
	specs := allUnits(x.s.cfg, x.w.engines, x.s.log, "0")
	specs = append(specs, canaryUnit(x.s.cfg, x.w.engines, x.s.log, nil, begin)...)
	specs = append(specs, app.Spec{Unit: app.Func("sensor", x.beats)})
	x.run(x.tell.run, specs...)
	x.await("readiness", time.Minute, func() error {
		if code, body := x.get("/readyz"); code != http.StatusOK {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	progress, _ := capture.TellFiles(x.tell.Telemetry)
	if err := capture.ReadFiles(t.Context(), capture.FilesConfig{Paths: files, Processor: pc, Bus: x.w.engines.Kafka, Log: x.s.log, Progress: progress}); err != nil {
		t.Fatal(err)
	}
	close(begin)
	documented := map[string]*telemetry.Metric{}
	for _, m := range telemetry.Metrics() {
		documented[m.Prometheus()] = m
	}
	x.await("all documented metrics", 2*time.Minute, func() error {
		var missing []string
		s := x.scrape()
		for name, m := range documented {
			if !s.families[name] && !notHere(m) {
				missing = append(missing, name)
			}
		}
		if missing != nil {
			return fmt.Errorf("%v are missing", missing)
		}
		if v := s.values[telemetry.CanarySeen.Prometheus()+"{}"]; v == "0" || v == "1" {
			return fmt.Errorf("%s canary flows were seen", v)
		}
		return nil
	})
	s := x.scrape()
	for name := range s.families {
		if documented[name] == nil {
			t.Errorf("%s is on /metrics and not in the list", name)
		}
	}
	checkLabels(t, s)
	if n := x.tell.Misuses(); n != 0 {
		t.Errorf("%d values were rejected", n)
	}
	x.checkCanaryIsNobody()
}

func checkLabels(t *testing.T, s scraped) {
	t.Helper()
	bounds := map[string]int{"le": 64}
	for _, k := range telemetry.Keys() {
		bounds[k.Prometheus()] = k.Bound + 1
	}
	address := regexp.MustCompile(`(?i)([0-9a-f]{2}[:-]){5}[0-9a-f]{2}|\d+\.\d+\.\d+\.\d+|[0-9a-f]{12}|::`)
	for key, values := range s.labels {
		if len(values) > bounds[key] {
			t.Errorf("label %s has %d values, its bound is %d: %v", key, len(values), bounds[key], values)
		}
		for v := range values {
			if address.MatchString(v) {
				t.Errorf("label %s=%q is an address or an id", key, v)
			}
		}
	}
}

// checkCanaryIsNobody looks for canary flows where people look.
func (x *told) checkCanaryIsNobody() {
	x.t.Helper()
	ask := func(sql string) (out []string) {
		r, err := x.w.store.Query(x.t.Context(), sql)
		if err != nil {
			x.t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		for r.Next() {
			v, err := r.Values()
			if err != nil {
				x.t.Fatal(err)
			}
			out = append(out, fmt.Sprint(v[0]))
		}
		if err := r.Err(); err != nil {
			x.t.Fatal(err)
		}
		return out
	}
	of := func(table string) string {
		return ask("SELECT count() FROM " + table + " WHERE site = '" + proto.CanarySite + "'")[0]
	}
	if of("flows") == "0" {
		x.t.Error("no canary flow is a row")
	}
	others := ask("SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'site' AND table != 'flows' ORDER BY table")
	if len(others) < 10 {
		x.t.Errorf("only %v were looked at", others)
	}
	for _, table := range others {
		if n := of(table); n != "0" {
			x.t.Errorf("%s has %s rows of the canary", table, n)
		}
	}
}

// The canary's gauge grows while the sink is stopped, and comes back when it runs
// again; nothing was lost.
func TestCanaryMeasuresTheSink(t *testing.T) {
	x := newTold(t)
	begin := make(chan struct{})
	close(begin)
	sink := func() func() { return x.run(alone, sinkUnit(x.s.cfg, x.w.engines, x.s.log, "0")) }
	x.run(x.tell.run, canaryUnit(x.s.cfg, x.w.engines, x.s.log, nil, begin)...)
	stop := sink()
	below := func(bound float64) func() error {
		return func() error {
			s := x.scrape()
			if v := x.late(); v == 0 || v > bound || s.values[telemetry.CanarySeen.Prometheus()+"{}"] == "0" {
				return fmt.Errorf("canary flows take %v s", v)
			}
			return nil
		}
	}
	x.await("canary flows with the sink", time.Minute, below(5))
	stop()
	x.await("canary flows without the sink", time.Minute, func() error {
		if v := x.late(); v < 8 {
			return fmt.Errorf("they take %v s only", v)
		}
		return nil
	})
	sink()
	x.await("canary flows with the sink again", time.Minute, below(5))
	if v := x.scrape().values[telemetry.CanaryLost.Prometheus()+"{}"]; v != "0" {
		t.Errorf("%s are lost", v)
	}
}

// A second process on the same port ends at once, and says what to do.
func TestTwoServicesOnOnePort(t *testing.T) {
	dir := t.TempDir()
	s := &session{cfg: &config.Config{DataDir: dir}, log: slog.New(slog.DiscardHandler)}
	s.cfg.Telemetry = telemetry.Default()
	first, err := s.tell(t.Context(), &engines{}, "sink", "0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.end()
	var at string
	x := &told{t: t}
	x.await("the address", 10*time.Second, func() (err error) {
		at, err = telemetry.ReadTarget(telemetry.TargetFile(dir, telemetry.Process{Service: "sink", Instance: "0"}))
		return err
	})
	s.cfg.Telemetry.Listen = at
	_, err = s.tell(t.Context(), &engines{}, "risk", "0")
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
