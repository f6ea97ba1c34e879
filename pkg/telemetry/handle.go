package telemetry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Counter counts one series. It is made once per source and is then an atomic
// addition; a nil one does nothing.
type Counter struct{ series }

// Gauge is a value of one series as it is now. A nil one does nothing.
type Gauge struct{ series }

// Histogram is a distribution of one series. A nil one does nothing.
type Histogram struct {
	h    metric.Float64Histogram
	with []metric.RecordOption
}

// series is a metric with the values of its labels, and a number.
type series struct {
	m    *Metric
	set  metric.ObserveOption
	bits atomic.Uint64 // of a float64; of a counter the count itself
}

func (s *series) init(m *Metric, set attribute.Set) { s.m, s.set = m, metric.WithAttributeSet(set) }

// Add counts n more.
func (c *Counter) Add(n uint64) {
	if c != nil {
		c.bits.Add(n)
	}
}

// Value is what has been counted.
func (c *Counter) Value() uint64 {
	if c == nil {
		return 0
	}
	return c.bits.Load()
}

// Set takes the value as of now.
func (g *Gauge) Set(v float64) {
	if g != nil {
		g.bits.Store(math.Float64bits(v))
	}
}

// Record takes one value into the distribution. It costs a fraction of a
// microsecond: for batches, not for events.
func (h *Histogram) Record(v float64) {
	if h != nil {
		h.h.Record(context.Background(), v, h.with...)
	}
}

// attributes are the labels of m with these values, in the order of m's list. A
// value that is "" leaves its label out.
func (t *Telemetry) attributes(m *Metric, values []string) attribute.Set {
	if len(values) != len(m.Labels) {
		t.misuse("metric %s has %d labels and was given %d values", m.Name, len(m.Labels), len(values))
		return attribute.NewSet()
	}
	var list []attribute.KeyValue
	for i, k := range m.Labels {
		if v := t.guard.admit(k, values[i]); v != "" {
			list = append(list, attribute.String(k.Name, v))
		}
	}
	return attribute.NewSet(list...)
}

// misuse counts a mistake in our code that a metric has been lost by; tests and
// the metric itself tell.
func (t *Telemetry) misuse(format string, args ...any) {
	t.misused.Add(1)
	t.log.Error("telemetry: " + fmt.Sprintf(format, args...))
}

// Counter gives the handle of a series; asked again it gives the same one.
func (t *Telemetry) Counter(m *Metric, labels ...string) *Counter {
	if t == nil {
		return nil
	}
	if m.Kind != KindCounter {
		t.misuse("metric %s is no counter", m.Name)
		return nil
	}
	return kept[Counter](t, t.counters, m, t.attributes(m, labels))
}

// Gauge gives the handle of a series; asked again it gives the same one.
func (t *Telemetry) Gauge(m *Metric, labels ...string) *Gauge {
	if t == nil {
		return nil
	}
	if m.Kind != KindGauge && m.Kind != KindUpDown {
		t.misuse("metric %s is no gauge", m.Name)
		return nil
	}
	return kept[Gauge](t, t.gauges, m, t.attributes(m, labels))
}

// Histogram gives the handle of a series.
func (t *Telemetry) Histogram(m *Metric, labels ...string) *Histogram {
	if t == nil {
		return nil
	}
	if m.Kind != KindHistogram {
		t.misuse("metric %s is no histogram", m.Name)
		return nil
	}
	return &Histogram{h: t.histograms[m.index], with: []metric.RecordOption{metric.WithAttributeSet(t.attributes(m, labels))}}
}

// handleKey is a metric with the values of its labels.
type handleKey struct {
	m   *Metric
	set attribute.Distinct
}

// kept gives the handle of a series from the map of its kind, or makes it.
func kept[H any, P interface {
	*H
	init(m *Metric, set attribute.Set)
}](t *Telemetry, all map[handleKey]P, m *Metric, set attribute.Set) P {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := handleKey{m, set.Equivalent()}
	if h, ok := all[at]; ok {
		return h
	}
	h := P(new(H))
	h.init(m, set)
	all[at] = h
	return h
}

// Observer takes the values of a source when they are read.
type Observer struct {
	t   *Telemetry
	sum map[handleKey]observed
}

type observed struct {
	v   float64
	set attribute.Set
}

// Set takes the value of a series as of now: the total of a counter, or the value
// of a gauge. Values of one counter under the same labels are added up, as they
// are where several labels' values meet in Other.
func (o *Observer) Set(m *Metric, v float64, labels ...string) {
	if m.Kind == KindHistogram {
		o.t.misuse("metric %s is a histogram: it is recorded, not observed", m.Name)
		return
	}
	set := o.t.attributes(m, labels)
	at := handleKey{m, set.Equivalent()}
	if before, ok := o.sum[at]; ok {
		if m.Kind != KindGauge {
			v += before.v
		} else {
			v = max(v, before.v)
		}
	}
	o.sum[at] = observed{v, set}
}

// Source tells the values of its metrics when asked. It must only look at what is
// in memory: whoever reads /metrics waits for it.
type Source func(*Observer)

// Observe adds a source until stop is called.
func (t *Telemetry) Observe(f Source) (stop func()) {
	if t == nil {
		return func() {}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id := t.nextSource
	t.nextSource++
	t.sources[id] = f
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.sources, id)
	}
}

// observe is called by each reader.
func (t *Telemetry) observe(_ context.Context, mo metric.Observer) error {
	o := &Observer{t: t, sum: map[handleKey]observed{}}
	t.mu.Lock()
	for _, c := range t.counters {
		mo.ObserveFloat64(t.observables[c.m.index], float64(c.bits.Load()), c.set)
	}
	for _, g := range t.gauges {
		mo.ObserveFloat64(t.observables[g.m.index], math.Float64frombits(g.bits.Load()), g.set)
	}
	sources := slices.Collect(maps.Values(t.sources))
	t.mu.Unlock()
	for _, f := range sources {
		f(o)
	}
	for at, v := range o.sum {
		mo.ObserveFloat64(t.observables[at.m.index], v.v, metric.WithAttributeSet(v.set))
	}
	return nil
}

// ErrorType is a word for an error, short enough for a label: never the error's own text.
func ErrorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return "_OTHER" // of the semantic conventions
}
