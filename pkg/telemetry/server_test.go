package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServer(t *testing.T) {
	tel := start(t)
	file := TargetFile(t.TempDir(), tel.process)
	var ready atomic.Bool
	s, err := tel.Listen(file, func() Health {
		u := UnitHealth{Name: "sink", State: "running", Ready: ready.Load(), Restarts: 2}
		if !u.Ready {
			u.Reason = "has no partitions yet"
		}
		return Health{Ready: u.Ready, Alive: true, Units: []UnitHealth{u}}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	base := "http://" + s.Address()
	if code, body := get(t, base+"/healthz"); code != 200 || !strings.Contains(body, `"status": "ok"`) {
		t.Errorf("healthz: %d %s", code, body)
	}
	if code, body := get(t, base+"/readyz"); code != 503 || !strings.Contains(body, "has no partitions yet") {
		t.Errorf("readyz before: %d %s", code, body)
	}
	ready.Store(true)
	code, body := get(t, base+"/readyz")
	var a answerTo
	if err := json.Unmarshal([]byte(body), &a); err != nil || code != 200 || !a.Ready || a.Units[0].Restarts != 2 || a.Service != "test" {
		t.Errorf("readyz after: %d %v %s", code, err, body)
	}
	code, body = get(t, base+"/metrics")
	for _, want := range []string{`wardflow_unit_ready{unit="sink"} 1`, `wardflow_build_info{go_version=`, "go_goroutine_count", "process_cpu_time_seconds_total"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("metrics: %d, %s is missing in\n%s", code, want, body)
		}
	}
	if code, _ := get(t, base+"/debug/pprof/"); code != 404 {
		t.Errorf("something else is served: %d", code)
	}
	if got, err := ReadTarget(file); err != nil || got != s.Address() {
		t.Errorf("the file says %q, %v; want %s", got, err, s.Address())
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Started again it is where it was.
	again, err := tel.Listen(file, nil)
	if err != nil || again.Address() != s.Address() {
		t.Fatalf("started again at %s, was %s: %v", again.Address(), s.Address(), err)
	}
	// And another process under the same name, while it runs, is somewhere else.
	third, err := tel.Listen(file, nil)
	if err != nil || third.Address() == s.Address() {
		t.Fatalf("%v", err)
	}
	_, _ = again.ln.Close(), third.ln.Close()
}

// Two services with one port: the second says what to do.
func TestListenTwice(t *testing.T) {
	tel := start(t)
	first, err := tel.Listen("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.ln.Close() }()
	tel.cfg.Listen = first.Address()
	_, err = tel.Listen("", nil)
	if err == nil || !strings.Contains(err.Error(), "is in use by another process") || !strings.Contains(err.Error(), first.Address()) || !strings.Contains(err.Error(), "port 0") {
		t.Errorf("%v", err)
	}
}

// A collector gets metrics and sampled traces, with the headers of the file; the
// log carries the trace's id.
func TestOTLP(t *testing.T) {
	type request struct{ path, auth string }
	requests := make(chan request, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		requests <- request{r.URL.Path, r.Header.Get("Authorization")}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("# of the collector\nAuthorization: Bearer x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.OTLP.Endpoint, cfg.OTLP.HeadersFile, cfg.TraceRatio = collector.URL+"/otlp", headers, 1
	var text bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&text, nil)))
	tel, err := New(t.Context(), cfg, Process{Service: "test"}, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tel.Start(t.Context(), SpanProducer, "send wardflow.traffic")
	span.Set("messaging.batch.message_count", 7)
	carrier := headerCarrier{}
	Inject(ctx, carrier)
	from := Extract(carrier)
	if from == nil {
		t.Fatal("the trace does not go on")
	}
	log.InfoContext(ctx, "hello")
	_, next := tel.Start(t.Context(), SpanConsumer, "process wardflow.traffic", nil, from)
	if got, want := next.s.SpanContext().TraceID(), span.s.SpanContext().TraceID(); got != want {
		t.Errorf("the trace goes on as %s, was %s", got, want)
	}
	next.End(context.DeadlineExceeded)
	span.End(nil)
	if want := "trace_id=" + span.s.SpanContext().TraceID().String(); !strings.Contains(text.String(), want) {
		t.Errorf("log %q lacks %s", text.String(), want)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(requests)
	paths := map[string]bool{}
	for r := range requests {
		paths[r.path] = true
		if r.auth != "Bearer x" {
			t.Errorf("%s without its header", r.path)
		}
	}
	if !paths["/otlp/v1/metrics"] || !paths["/otlp/v1/traces"] {
		t.Errorf("the collector was sent %v", paths)
	}
}

type headerCarrier map[string]string

func (c headerCarrier) Get(k string) string { return c[k] }
func (c headerCarrier) Set(k, v string)     { c[k] = v }
func (c headerCarrier) Keys() []string      { return nil }

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, tt := range []struct {
		name string
		set  func(*Config)
		want string // "" is good
	}{
		{"default", func(*Config) {}, ""},
		{"off", func(c *Config) { c.Listen = "" }, ""},
		{"no port", func(c *Config) { c.Listen = "localhost" }, "telemetry.listen"},
		{"no scheme", func(c *Config) { c.OTLP.Endpoint = "collector:4318" }, "telemetry.otlp.endpoint"},
		{"good endpoint", func(c *Config) { c.OTLP.Endpoint = "https://collector:4318" }, ""},
		{"no such headers", func(c *Config) { c.OTLP.HeadersFile = filepath.Join(dir, "none") }, "telemetry.otlp.headers_file"},
		{"bad headers", func(c *Config) { c.OTLP.HeadersFile = write("bad", "X: 1\nsecret-value\n") }, "line 2"},
		{"no certificate", func(c *Config) { c.OTLP.CAFile = write("ca", "x") }, "telemetry.otlp.ca_file"},
		{"ratio", func(c *Config) { c.TraceRatio = 1.5 }, "telemetry.trace_ratio"},
		{"interval", func(c *Config) { c.OTLP.Interval = 0 }, "telemetry.otlp.interval"},
		{"canary", func(c *Config) { c.Canary.Interval = 1 }, "telemetry.canary.interval"},
		{"no canary", func(c *Config) { c.Canary.Interval = 0 }, ""},
		{"lost too soon", func(c *Config) { c.Canary.LostAfter = 1 }, "telemetry.canary.lost_after"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Default()
			tt.set(&c)
			err := c.Validate("telemetry")
			if (tt.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret-value") {
				t.Errorf("the error quotes a header: %v", err)
			}
		})
	}
}
