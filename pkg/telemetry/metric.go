package telemetry

import (
	"slices"
	"strings"

	"github.com/prometheus/otlptranslator"
)

// Kind is how a metric's values are to be read.
type Kind string

// The kinds.
const (
	KindCounter   Kind = "counter"   // a total that only grows while the process runs
	KindGauge     Kind = "gauge"     // a value as it is now
	KindUpDown    Kind = "updown"    // an amount as it is now that can be summed over processes
	KindHistogram Kind = "histogram" // a distribution
)

// Metric is one metric, as the list has it.
type Metric struct {
	Name   string // of OpenTelemetry: wardflow.<hop>.<what>, or that of a semantic convention
	Unit   string // UCUM: s, By, 1, or what is counted in braces
	Kind   Kind
	Labels []*Key
	Help   string
	Bounds []float64 // of a histogram's buckets
	Only   string    // "", or what a process must be doing for the metric to be there
	index  int       // in the list
}

// all is the list, in the order of the source files.
var all []*Metric

func define(m Metric) *Metric {
	m.index = len(all)
	all = append(all, &m)
	return &m
}

// Metrics is the list of every metric, sorted by name.
func Metrics() []*Metric {
	out := slices.Clone(all)
	slices.SortFunc(out, func(a, b *Metric) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Hop is the part of Wardflow that a metric is about.
func (m *Metric) Hop() string {
	name, own := strings.CutPrefix(m.Name, "wardflow.")
	if !own {
		hop, _, _ := strings.Cut(m.Name, ".")
		return hop
	}
	hop, _, _ := strings.Cut(name, ".")
	return hop
}

// namer is how the Prometheus exporter makes names, of which ours must be the same.
var namer = otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)

// Prometheus is the metric's name on /metrics; a histogram has three series,
// with _bucket, _sum and _count behind it.
func (m *Metric) Prometheus() string {
	types := map[Kind]otlptranslator.MetricType{
		KindCounter: otlptranslator.MetricTypeMonotonicCounter, KindGauge: otlptranslator.MetricTypeGauge,
		KindUpDown: otlptranslator.MetricTypeNonMonotonicCounter, KindHistogram: otlptranslator.MetricTypeHistogram,
	}
	name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: types[m.Kind]})
	if err != nil { // no name of the list: a test builds them all
		return m.Name
	}
	return name
}
