package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/embedded"
	"github.com/wardflow/wardflow/pkg/embedded/embeddedtest"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// testKafka is a broker of the test's own with all topics.
func testKafka(t *testing.T, partitions int32) bus.Config {
	t.Helper()
	kafka := bus.Default()
	addr, user, password := embeddedtest.NewTestBroker(t)
	kafka.Brokers, kafka.SASL = []string{addr}, bus.SASL{Mechanism: "scram-sha-256", User: user, Password: password}
	kafka.Partitions, kafka.Replicas = partitions, 1
	if err := bus.EnsureTopics(t.Context(), kafka, bus.Topics(foldNames()...)); err != nil {
		t.Fatal(err)
	}
	return kafka
}

// brokerOf is a broker with all topics, as the environment of a command and as a client's configuration.
func brokerOf(t *testing.T) (env []string, kafka bus.Config) {
	t.Helper()
	kafka = testKafka(t, 4)
	return []string{
		"WARDFLOW_KAFKA_BROKERS=" + kafka.Brokers[0], "WARDFLOW_KAFKA_PARTITIONS=4", "WARDFLOW_KAFKA_REPLICAS=1",
		"WARDFLOW_KAFKA_SASL_MECHANISM=scram-sha-256", "WARDFLOW_KAFKA_SASL_USER=" + kafka.SASL.User, "WARDFLOW_KAFKA_SASL_PASSWORD=" + kafka.SASL.Password,
	}, kafka
}

// fleet is sensors without interfaces, that say their status for real.
type fleet struct {
	t     *testing.T
	kafka bus.Config
	mute  atomic.Bool // nothing more is said, as when the power fails
	wg    sync.WaitGroup
}

// starts starts a sensor whose clock is off; more is what it says besides.
func (f *fleet) starts(ctx context.Context, name string, off time.Duration, more ...func(*proto.SensorStatus)) {
	f.t.Helper()
	packets := uint64(0)
	connect := func(maxBuffered int) (capture.Link, error) {
		if f.mute.Load() {
			return nil, context.Canceled
		}
		return bus.NewProducer(f.kafka, maxBuffered)
	}
	r, err := capture.NewReporter(capture.ReporterConfig{
		Site: "north", Sensor: name, Version: "1.0", Run: proto.HashID("run", []byte(name)), Partitions: f.kafka.Partitions, Every: 200 * time.Millisecond, Connect: func(n int) (capture.Link, error) {
			l, err := connect(n)
			if err != nil {
				return nil, err
			}
			return &muted{l, &f.mute}, nil
		},
		Now: func() time.Time { return time.Now().Add(off) },
		Parts: append(more, func(s *proto.SensorStatus) {
			packets += 1000
			s.Packets = packets
			s.Interfaces = []proto.SensorInterface{{Name: "eth0", Up: true, Packets: packets, KernelDrops: packets / 100}}
		}),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			f.t.Error(err)
		}
	})
}

// muted says nothing when it is told so.
type muted struct {
	capture.Link
	mute *atomic.Bool
}

// Produce swallows.
func (m *muted) Produce(ctx context.Context, msg bus.Message, done func(error)) {
	if !m.mute.Load() {
		m.Link.Produce(ctx, msg, done)
	}
}

// A fleet's life, as people see it: heard, configured from the centre, out of time, enrolled, away.
func TestSensorsWhole(t *testing.T) {
	kafkaEnv, kafka := brokerOf(t)
	env := append(filled(t), kafkaEnv...)
	l, err := config.Load(config.Source{Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &l.Config
	cfg.DataDir, cfg.Sensors.AwayAfter, cfg.Sink.Interval = t.TempDir(), 2*time.Second, 100*time.Millisecond
	e, err := newEngines(cfg, &embedded.RunFile{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	log := slog.New(slog.DiscardHandler)
	for _, unit := range []interface{ Run(context.Context) error }{sinkUnit(cfg, e, log, "0"), sensorsUnit(cfg, e, log, "0")} {
		wg.Go(func() {
			if err := unit.Run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	defer func() { cancel(); wg.Wait() }()

	f := &fleet{t: t, kafka: kafka}
	fctx, stop := context.WithCancel(t.Context())
	defer func() { stop(); f.wg.Wait() }()
	remote := capture.NewRemote(capture.RemoteConfig{
		Site: "north", Sensor: "tap-1", File: filepath.Join(t.TempDir(), "sensor.json"), Every: 200 * time.Millisecond,
		Apply: func(c proto.SensorConfig) error {
			if slices.Contains(c.Interfaces, "eth9") {
				return fmt.Errorf("no such interface: eth9")
			}
			return nil
		},
		Connect: func() (capture.ControlReader, error) { return bus.NewReader(kafka) },
	})
	f.wg.Go(func() { _ = remote.Run(fctx) })
	f.starts(fctx, "tap-1", 0, remote.Report)
	f.starts(fctx, "tap-2", time.Hour)

	w := &watch{t: t, env: env}
	w.until("both are heard", "tap-1", map[string]any{"state": "up", "enrolled": false, "version": "1.0", "kernel_drop_share": near(0.0099)})
	w.until("a clock is an hour off", "tap-2", map[string]any{"state": "suspect", "clock_offset_s": near(3600)})
	w.run(0, "configure", "tap-1", "--site", "north", "interfaces=eth0", "filter=not port 22")
	w.until("configured", "tap-1", map[string]any{"config_version": 1.0, "config_error": ""})
	w.run(0, "configure", "tap-1", "--site", "north", "interfaces=eth9")
	w.until("a bad configuration", "tap-1", map[string]any{"config_version": 1.0, "config_error": "version 2: no such interface: eth9"})
	w.run(0, "configure", "--all", "--site", "north", "workers=2")
	w.run(0, "configure", "tap-1", "--site", "north", "--forget", "interfaces")
	w.until("and a good one again", "tap-1", map[string]any{"config_version": 4.0, "config_error": ""})
	w.run(0, "enrol", "tap-1", "--site", "north", "--user", "tap-1", "--out", filepath.Join(t.TempDir(), "tap-1"))
	w.until("enrolled", "tap-1", map[string]any{"enrolled": true})
	w.run(0, "enrol", "tap-3", "--site", "north", "--certificate", "CN=tap-3", "--out", filepath.Join(t.TempDir(), "tap-3"))
	w.until("expected", "tap-3", map[string]any{"state": "expected", "last_seen": nil})
	f.mute.Store(true)
	w.until("away", "tap-1", map[string]any{"state": "away"})
	w.until("away", "tap-2", map[string]any{"state": "away"})
	w.run(0, "revoke", "tap-1", "--site", "north")
	w.until("revoked", "tap-1", map[string]any{"state": "away", "enrolled": false})

	table := runCLI(t, env, "", "sensors")
	lines := strings.Split(table.out, "\n")
	if table.code != 0 || len(lines) != 5 || !strings.Contains(lines[0], "KERNEL DROPS") || !strings.Contains(lines[1], "tap-1") || !strings.Contains(lines[1], "0.99%") || !strings.Contains(lines[2], "+3600") || !strings.Contains(lines[3], "expected") {
		t.Errorf("%+v", table)
	}
	show := runCLI(t, env, "", "sensors", "show", "tap-1")
	for _, want := range []string{"away", "Interfaces", "eth0", "Latest events", "config_error", "config_applied", "enrolled", "new_run", "drops", "revoked"} {
		if show.code != 0 || !strings.Contains(show.out, want) {
			t.Errorf("show lacks %q: %+v", want, show)
		}
	}
	if got := runCLI(t, env, "", "sensors", "--state", "expected", "-o", "json"); strings.Count(got.out, "\n") != 1 || !strings.Contains(got.out, `"sensor":"tap-3"`) {
		t.Errorf("%+v", got)
	}
	w.alerts(e.Store)
}

// near is a number that need not be exact.
type near float64

// watch asks the commands.
type watch struct {
	t   *testing.T
	env []string
}

func (w *watch) run(code int, args ...string) ran {
	w.t.Helper()
	got := runCLI(w.t, w.env, "", append([]string{"sensors"}, args...)...)
	if got.code != code {
		w.t.Fatalf("sensors %q: %+v", args, got)
	}
	return got
}

// until waits for a sensor to have these values.
func (w *watch) until(what, sensor string, want map[string]any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	for {
		got := runCLI(w.t, w.env, "", "sensors", "-o", "json")
		missing := "it is not listed"
		for line := range strings.Lines(got.out) {
			row := map[string]any{}
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				w.t.Fatal(err)
			}
			if row["sensor"] == sensor {
				missing = unlike(row, want)
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: %s: %s\n%+v", what, sensor, missing, got)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func unlike(row, want map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		n, about := want[k].(near)
		v, _ := row[k].(float64)
		if about && v > float64(n)*0.9 && v < float64(n)*1.1 {
			continue
		}
		if row[k] != want[k] {
			return fmt.Sprintf("%s is %v, want %v", k, row[k], want[k])
		}
	}
	return ""
}

// alerts checks that each event is one alert, and once.
func (w *watch) alerts(cfg store.Config) {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	const sql = `SELECT (SELECT count() FROM sensor_events) AS rows, (SELECT uniqExact(event_id) FROM sensor_events) AS events,
    (SELECT count() FROM alerts) AS alerts, (SELECT uniqExact(JSONExtractString(record, 'metadata', 'uid')) FROM alerts) AS uids`
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	for {
		got, err := all(s.Query(ctx, sql))
		if err != nil {
			w.t.Fatal(err)
		}
		n := fmt.Sprint(got[0][0])
		if got[0][1] == got[0][0] && got[0][2] == got[0][0] && got[0][3] == got[0][0] && n != "0" {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("events, different ones, alerts, different ones: %v", got[0])
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// What a sensor gets is a configuration that works, a password that nobody else sees, and no second chance to overwrite it.
func TestEnrolWritesWhatASensorNeeds(t *testing.T) {
	env, _ := brokerOf(t)
	dir := filepath.Join(t.TempDir(), "tap-1")
	enrol := func(args ...string) ran {
		return runCLI(t, env, "", append([]string{"sensors", "enrol"}, args...)...)
	}
	got := enrol("tap-1", "--site", "st alban", "--user", "tap-1", "--out", dir, "--at", dir)
	if got.code != 0 || !strings.Contains(got.err, "enrolled as User:tap-1") || !strings.Contains(got.err, "Beware: kafka.tls is not enabled") {
		t.Fatalf("%+v", got)
	}
	secret, err := os.ReadFile(filepath.Join(dir, passwordFile))
	if err != nil || len(secret) < 52 {
		t.Fatalf("password of %d bytes, %v", len(secret), err)
	}
	text, err := os.ReadFile(filepath.Join(dir, defaultConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if password := strings.TrimSpace(string(secret)); strings.Contains(got.out+got.err+string(text), password) {
		t.Error("the password is shown")
	}
	for _, name := range []string{passwordFile, defaultConfigFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	l, err := config.Load(config.Source{File: filepath.Join(dir, defaultConfigFile)})
	if err != nil {
		t.Fatal(err)
	}
	if l.Site != "st alban" || l.Sensor != "tap-1" || l.Kafka.Partitions != 4 || l.Kafka.SASL.User != "tap-1" {
		t.Errorf("%+v", l.Config)
	}
	if err := bus.Ping(t.Context(), l.Kafka); err != nil {
		t.Errorf("the sensor is not let in: %v", err)
	}

	other := filepath.Join(t.TempDir(), "other")
	for what, tt := range map[string]struct {
		args []string
		want ran
	}{
		"files are there":     {[]string{"tap-1", "--site", "st alban", "--user", "tap-1", "--out", dir}, ran{1, "", "is there already"}},
		"another's principal": {[]string{"tap-2", "--site", "st alban", "--user", "tap-1", "--out", other}, ran{1, "", "User:tap-1 is sensor tap-1 of site st alban already"}},
		"another principal":   {[]string{"tap-1", "--site", "st alban", "--user", "new", "--out", other}, ran{1, "", "revoke it first"}},
		"ourselves":           {[]string{"tap-3", "--site", "st alban", "--user", "test", "--out", other}, ran{1, "", "is who we are ourselves"}},
		"nobody":              {[]string{"tap-3", "--site", "st alban"}, ran{2, "", "--user NAME for a SCRAM user, or --certificate SUBJECT"}},
		"both":                {[]string{"tap-3", "--site", "st alban", "--user", "a", "--certificate", "CN=a"}, ran{2, "", "can't be used together"}},
		"no site":             {[]string{"tap-3", "--user", "a"}, ran{2, "", "--site"}},
		"a slash":             {[]string{"tap/3", "--site", "st alban", "--user", "a"}, ran{2, "", "has a slash"}},
		"no folder's name":    {[]string{"tap 3", "--site", "st alban", "--user", "a"}, ran{2, "", "name one with --out"}},
	} {
		if got := enrol(tt.args...); got.code != tt.want.code || !strings.Contains(got.err, tt.want.err) {
			t.Errorf("%s: %+v, want %+v", what, got, tt.want)
		}
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("a failed enrolment leaves %s: %v", other, err)
	}
	again := filepath.Join(t.TempDir(), "again")
	if got := enrol("tap-1", "--site", "st alban", "--user", "tap-1", "--out", again); got.code != 0 {
		t.Errorf("another password: %+v", got)
	}
	if fresh, err := os.ReadFile(filepath.Join(again, passwordFile)); err != nil || string(fresh) == string(secret) {
		t.Errorf("the same password again: %v", err)
	}
	cert := filepath.Join(t.TempDir(), "cert")
	if got := enrol("tap-4", "--site", "st alban", "--certificate", "CN=tap-4,O=St Alban", "--out", cert); got.code != 0 || !strings.Contains(got.err, "sensor-key.pem") {
		t.Errorf("%+v", got)
	}
	if text, err := os.ReadFile(filepath.Join(cert, defaultConfigFile)); err != nil || !strings.Contains(string(text), "cert_file: /etc/wardflow/sensor.pem") || strings.Contains(string(text), "sasl") {
		t.Errorf("%s, %v", text, err)
	}
	for what, tt := range map[string]struct {
		args []string
		want ran
	}{
		"unknown":     {[]string{"tap-9", "--site", "st alban"}, ran{1, "", "is not in the register"}},
		"known":       {[]string{"tap-1", "--site", "st alban"}, ran{0, "", "Sensor tap-1 of site st alban is revoked."}},
		"certificate": {[]string{"tap-4", "--site", "st alban"}, ran{0, "", "is revoked"}},
	} {
		if got := runCLI(t, env, "", append([]string{"sensors", "revoke"}, tt.args...)...); got.code != tt.want.code || !strings.Contains(got.err, tt.want.err) {
			t.Errorf("revoke, %s: %+v, want %+v", what, got, tt.want)
		}
	}
	if got := enrol("tap-2", "--site", "st alban", "--user", "tap-1", "--out", other); got.code != 0 {
		t.Errorf("a revoked sensor's user for another: %+v", got)
	}
}

// The embedded broker has one user: the sensor beside it is entered in the register, and no other.
func TestEnrolBesideTheEmbeddedBroker(t *testing.T) {
	_, kafka := brokerOf(t)
	dir := t.TempDir()
	runFile, err := embedded.EnsureRunFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(kafka.Brokers[0], "127.0.0.1:%d", &runFile.Broker.Port); err != nil {
		t.Fatal(err)
	}
	runFile.Broker.User, runFile.Broker.Password = kafka.SASL.User, kafka.SASL.Password
	if err := runFile.Save(dir); err != nil {
		t.Fatal(err)
	}
	env := []string{"WARDFLOW_DATA_DIR=" + dir, "WARDFLOW_EMBEDDED_PARTITIONS=4"}
	for _, step := range []struct {
		args []string
		code int
		err  string
	}{
		{[]string{"enrol", "tap-1", "--site", "north", "--user", "tap-1"}, 2, "needs a Kafka cluster"},
		{[]string{"enrol", "local", "--site", "north"}, 0, "is in the register"},
		{[]string{"enrol", "second", "--site", "north"}, 0, "is in the register"},
		{[]string{"revoke", "local", "--site", "north"}, 0, "is revoked"},
		{[]string{"revoke", "local", "--site", "north"}, 0, "is revoked"},
	} {
		if got := runCLI(t, env, "", append([]string{"sensors"}, step.args...)...); got.code != step.code || !strings.Contains(got.err, step.err) {
			t.Errorf("%q: %+v", step.args, got)
		}
	}
	reg, err := readRegister(t.Context(), kafka)
	if err != nil {
		t.Fatal(err)
	}
	if !reg.enrolled[sensorID{"north", "local"}].Revoked || reg.enrolled[sensorID{"north", "second"}].Revoked || len(reg.enrolled) != 2 {
		t.Errorf("%+v", reg.enrolled)
	}
}

func TestConfigureChangesWhatIsNamed(t *testing.T) {
	filter := "not port 22"
	before := proto.SensorConfig{Interfaces: []string{"eth1"}, Filter: &filter, Workers: 2}
	show := func(c proto.SensorConfig) string {
		f := "none"
		if c.Filter != nil {
			f = fmt.Sprintf("%q", *c.Filter)
		}
		return fmt.Sprintf("%v %s %v %d %d", c.Interfaces, f, c.Home, c.Workers, c.ActiveTimeout)
	}
	for what, tt := range map[string]struct {
		settings, forget []string
		want             string
	}{
		"one":            {[]string{"workers=4"}, nil, `[eth1] "not port 22" [] 4 0`},
		"all":            {[]string{"interfaces=a, b", "filter=udp", "home=10.0.0.0/8,fd00::/8", "active_timeout=90s"}, nil, `[a b] "udp" [10.0.0.0/8 fd00::/8] 2 90`},
		"everything":     {[]string{"filter="}, nil, `[eth1] "" [] 2 0`},
		"forgotten":      {nil, []string{"filter", "workers"}, `[eth1] none [] 0 0`},
		"its own again":  {[]string{"interfaces=", "workers="}, nil, `[] "not port 22" [] 0 0`},
		"no setting":     {[]string{"speed=9"}, nil, `"speed" is no setting: want interfaces, filter, home, workers or active_timeout`},
		"no value":       {[]string{"workers"}, nil, `"workers": want KEY=VALUE`},
		"no number":      {[]string{"workers=many"}, nil, `workers: "many": want a whole number, 1 or more`},
		"too many":       {[]string{"workers=65"}, nil, "workers: is 65"},
		"no interface":   {[]string{"interfaces=eth0,../x"}, nil, `interfaces: "eth0,../x"`},
		"no CIDR":        {[]string{"home=ten"}, nil, `home[0]: "ten" is no CIDR`},
		"no time":        {[]string{"active_timeout=2h"}, nil, `active_timeout: "2h": want 1s to 1h`},
		"no filter":      {[]string{"filter=not not what"}, nil, "filter"},
		"forget nothing": {nil, []string{"x"}, `--forget: "x" is no setting`},
	} {
		got, err := changed(before, tt.settings, tt.forget)
		text := show(got)
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, tt.want) {
			t.Errorf("%s: %s, want %s", what, text, tt.want)
		}
	}
	for what, tt := range map[string]struct {
		args []string
		err  string
	}{
		"no name":         {[]string{"--site", "north", "workers=2"}, "which sensor?"},
		"a name too many": {[]string{"tap-1", "--all", "--site", "north", "workers=2"}, "tap-1 and --all"},
		"nothing":         {[]string{"tap-1", "--site", "north"}, "nothing is to change"},
		"no site":         {[]string{"tap-1", "workers=2"}, "--site"},
	} {
		if got := runCLI(t, nil, "", append([]string{"sensors", "configure"}, tt.args...)...); got.code != 2 || !strings.Contains(got.err, tt.err) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestShowsOfSensors(t *testing.T) {
	for got, want := range map[string]string{
		showOffset(0.01): "0.0s", showOffset(3600.04): "+3600.0s", showOffset(-61.26): "-61.3s", showOffset(nil): "-",
		showDrops(0.0): "none", showDrops(0.00001): "<0.01%", showDrops(0.5): "50.00%", showDrops(nil): "-",
		showRate(0.25): "0.2", showRate(1234.5): "1234", showRate(0.0): "0", showRate(nil): "-",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
