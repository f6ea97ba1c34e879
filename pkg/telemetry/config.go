package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Config says what a process tells, and to whom.
type Config struct {
	Listen     string  `yaml:"listen"` // host:port of /metrics, /healthz, /readyz; port 0: a free one; "": none
	OTLP       OTLP    `yaml:"otlp"`
	TraceRatio float64 `yaml:"trace_ratio"` // share of the batches that are traced, 0 to 1; traces go by OTLP only
	Canary     Canary  `yaml:"canary"`
}

// OTLP is where metrics and traces are sent, as OTLP over HTTP.
type OTLP struct {
	Endpoint    string        `yaml:"endpoint"`     // http(s)://host:port[/path]; "" sends nothing
	HeadersFile string        `yaml:"headers_file"` // lines "Name: value", for tokens
	CAFile      string        `yaml:"ca_file"`      // "" uses the system's roots
	Interval    time.Duration `yaml:"interval"`     // of metrics
}

// Canary is the synthetic flow that measures freshness from end to end.
type Canary struct {
	Interval  time.Duration `yaml:"interval"`   // 0: none
	LostAfter time.Duration `yaml:"lost_after"` // a flow that is not visible by then counts as lost
}

// Default tells on this machine only, on a free port.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:0", OTLP: OTLP{Interval: 15 * time.Second}, TraceRatio: 0.01,
		Canary: Canary{Interval: 10 * time.Second, LostAfter: 10 * time.Minute},
	}
}

// On tells whether anything is told to anybody.
func (c *Config) On() bool { return c.Listen != "" || c.OTLP.Endpoint != "" }

// Validate reports every problem at once, each with its path below at.
func (c *Config) Validate(at string) error {
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", at, path, fmt.Sprintf(format, args...)))
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			bad("listen", "%q is not host:port, such as 127.0.0.1:9464, or 127.0.0.1:0 for a free port", c.Listen)
		}
	}
	if e := c.OTLP.Endpoint; e != "" {
		if u, err := url.Parse(e); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("otlp.endpoint", "%q is not a URL such as https://collector.example:4318", e)
		}
	}
	if c.OTLP.HeadersFile != "" {
		if _, err := readHeaders(c.OTLP.HeadersFile); err != nil {
			bad("otlp.headers_file", "%v", err)
		}
	}
	if c.OTLP.CAFile != "" {
		if _, err := c.OTLP.client(); err != nil {
			bad("otlp.ca_file", "%v", err)
		}
	}
	if c.OTLP.Interval < time.Second || c.OTLP.Interval > time.Hour {
		bad("otlp.interval", "is %v; want 1s to 1h", c.OTLP.Interval)
	}
	if !(c.TraceRatio >= 0 && c.TraceRatio <= 1) {
		bad("trace_ratio", "is %v; want 0 to 1", c.TraceRatio)
	}
	if i := c.Canary.Interval; i != 0 && (i < time.Second || i > time.Hour) {
		bad("canary.interval", "is %v; want 1s to 1h, or 0 for no canary", i)
	}
	if l := c.Canary.LostAfter; l < max(c.Canary.Interval, 10*time.Second) || l > 24*time.Hour {
		bad("canary.lost_after", "is %v; want 10s to 24h, and not less than canary.interval", l)
	}
	return errors.Join(errs...)
}

// readHeaders reads lines of "Name: value". Its errors quote names and never values.
func readHeaders(file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read OTLP headers: %w", err)
	}
	out := map[string]string{}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" || strings.ContainsAny(strings.TrimSpace(name), " \t") {
			return nil, fmt.Errorf("read OTLP headers: line %d of %s is not \"Name: value\"", n, file)
		}
		out[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return out, nil
}

// client gives the TLS settings, nil for those of the system.
func (c *OTLP) client() (*tls.Config, error) {
	if c.CAFile == "" {
		return nil, nil //nolint:nilnil // nil means the system's
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read OTLP CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read OTLP CA certificates: no PEM certificate in %s", c.CAFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// signal is the URL of one signal: the endpoint's path and the standard's behind it.
func (c *OTLP) signal(name string) string {
	return strings.TrimRight(c.Endpoint, "/") + "/v1/" + name
}

func (c *OTLP) metrics(ctx context.Context) (sdkmetric.Reader, error) {
	headers, err := readHeaders(c.HeadersFile)
	if err != nil {
		return nil, err
	}
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	opts := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpointURL(c.signal("metrics")), otlpmetrichttp.WithHeaders(headers)}
	if client != nil {
		opts = append(opts, otlpmetrichttp.WithTLSClientConfig(client))
	}
	e, err := otlpmetrichttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("make OTLP exporter of metrics: %w", err)
	}
	return sdkmetric.NewPeriodicReader(e, sdkmetric.WithInterval(c.Interval)), nil
}

// traces gives a provider of sampled traces; nil when none are to be made.
func (c *OTLP) traces(ctx context.Context, res *resource.Resource, ratio float64) (*sdktrace.TracerProvider, error) {
	if ratio <= 0 {
		return nil, nil //nolint:nilnil // nil is no traces
	}
	headers, err := readHeaders(c.HeadersFile)
	if err != nil {
		return nil, err
	}
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	opts := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(c.signal("traces")), otlptracehttp.WithHeaders(headers)}
	if client != nil {
		opts = append(opts, otlptracehttp.WithTLSClientConfig(client))
	}
	e, err := otlptracehttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("make OTLP exporter of traces: %w", err)
	}
	return sdktrace.NewTracerProvider(
		sdktrace.WithResource(res), sdktrace.WithBatcher(e),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))),
	), nil
}
