package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	promexport "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Process is who tells.
type Process struct {
	Service  string // capture, sink, ...; up for all in one
	Instance string // stable name among those of the service
	Version  string
}

// scope is the name of our meter and tracer.
const scope = "github.com/wardflow/wardflow"

// seriesLimit is the most series of one metric that the exporters keep: the last
// guard behind the bounds of the labels.
const seriesLimit = 2000

// Telemetry is everything that a process tells. A nil one tells nothing.
type Telemetry struct {
	cfg     Config
	process Process
	log     *slog.Logger
	guard   *guard
	begun   time.Time
	misused atomic.Uint64

	registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider
	traces   *sdktrace.TracerProvider // nil: no traces
	tracer   trace.Tracer

	histograms  []metric.Float64Histogram  // by index of the metric; nil where it is none
	observables []metric.Float64Observable // likewise

	mu         sync.Mutex // of what follows
	counters   map[handleKey]*Counter
	gauges     map[handleKey]*Gauge
	sources    map[int]Source
	nextSource int
}

// New makes the exporters that cfg asks for. It gives nil, which is good for all
// methods, when it asks for none. log hears of what cannot be exported.
func New(ctx context.Context, cfg Config, p Process, log *slog.Logger) (*Telemetry, error) {
	if !cfg.On() {
		return nil, nil //nolint:nilnil // nil is telemetry that is off
	}
	t := &Telemetry{
		cfg: cfg, process: p, log: log, guard: newGuard(), begun: time.Now(),
		registry: prometheus.NewRegistry(),
		counters: map[handleKey]*Counter{}, gauges: map[handleKey]*Gauge{}, sources: map[int]Source{},
	}
	res := resource.NewSchemaless(
		semconv.ServiceNamespace("wardflow"), semconv.ServiceName("wardflow-"+p.Service),
		semconv.ServiceInstanceID(p.Instance), semconv.ServiceVersion(p.Version),
	)
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithCardinalityLimit(seriesLimit), sdkmetric.WithView(buckets)}
	// The Prometheus side is always there: it is read on demand, and tests read it.
	exporter, err := promexport.New(promexport.WithRegisterer(t.registry), promexport.WithoutScopeInfo(), promexport.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("make Prometheus exporter: %w", err)
	}
	opts = append(opts, sdkmetric.WithReader(exporter))
	if cfg.OTLP.Endpoint != "" {
		reader, err := cfg.OTLP.metrics(ctx)
		if err != nil {
			return nil, err
		}
		opts = append(opts, sdkmetric.WithReader(reader))
		if t.traces, err = cfg.OTLP.traces(ctx, res, cfg.TraceRatio); err != nil {
			return nil, err
		}
	}
	if t.traces != nil {
		t.tracer = t.traces.Tracer(scope)
	}
	t.meters = sdkmetric.NewMeterProvider(opts...)
	if err := t.instruments(t.meters.Meter(scope)); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	t.Observe(t.self)
	t.Observe(observeRuntime)
	return t, nil
}

// buckets gives every histogram of the list its own bounds.
func buckets(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	for _, m := range all {
		if m.Name == i.Name && m.Kind == KindHistogram && i.Scope == (instrumentation.Scope{Name: scope}) {
			return sdkmetric.Stream{
				Name: i.Name, Description: i.Description, Unit: i.Unit,
				Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: m.Bounds, NoMinMax: true},
			}, true
		}
	}
	return sdkmetric.Stream{}, false
}

// instruments makes one instrument for each metric of the list.
func (t *Telemetry) instruments(meter metric.Meter) error {
	t.histograms, t.observables = make([]metric.Float64Histogram, len(all)), make([]metric.Float64Observable, len(all))
	var observed []metric.Observable
	for i, m := range all {
		var err error
		switch m.Kind {
		case KindHistogram:
			t.histograms[i], err = meter.Float64Histogram(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help))
		case KindCounter:
			t.observables[i], err = meter.Float64ObservableCounter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help))
		case KindUpDown:
			t.observables[i], err = meter.Float64ObservableUpDownCounter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help))
		default:
			t.observables[i], err = meter.Float64ObservableGauge(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Help))
		}
		if err != nil {
			return fmt.Errorf("make metric %s: %w", m.Name, err)
		}
		if t.observables[i] != nil {
			observed = append(observed, t.observables[i])
		}
	}
	if _, err := meter.RegisterCallback(t.observe, observed...); err != nil {
		return fmt.Errorf("make metrics: %w", err)
	}
	return nil
}

// self tells of telemetry, and of the program.
func (t *Telemetry) self(o *Observer) {
	o.Set(BuildInfo, 1, t.process.Version, runtime.Version())
	o.Set(Misused, float64(t.misused.Load()))
}

// Shutdown sends what has not been sent and ends the exporters.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	var errs []error
	if t.traces != nil {
		errs = append(errs, t.traces.Shutdown(ctx))
	}
	if t.meters != nil {
		errs = append(errs, t.meters.Shutdown(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("end telemetry: %w", err)
	}
	return nil
}

// Misuses is how often our own code gave a metric something that the list does not
// allow.
func (t *Telemetry) Misuses() uint64 {
	if t == nil {
		return 0
	}
	return t.misused.Load()
}

// kv is a label of a span.
func kv(name string, value any) attribute.KeyValue {
	switch v := value.(type) {
	case string:
		return attribute.String(name, v)
	case int:
		return attribute.Int(name, v)
	case int32:
		return attribute.Int(name, int(v))
	case int64:
		return attribute.Int64(name, v)
	case uint64:
		return attribute.Int64(name, int64(v)) //nolint:gosec // counts
	case float64:
		return attribute.Float64(name, v)
	case bool:
		return attribute.Bool(name, v)
	}
	return attribute.String(name, fmt.Sprint(value))
}

// Gather gives what /metrics would; nothing where telemetry is off.
func (t *Telemetry) Gather() ([]*dto.MetricFamily, error) {
	if t == nil {
		return nil, nil
	}
	list, err := t.registry.Gather()
	if err != nil {
		return list, fmt.Errorf("gather metrics: %w", err)
	}
	return list, nil
}
