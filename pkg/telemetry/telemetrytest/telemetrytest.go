// Package telemetrytest lets tests of other packages read what their code tells:
// a *telemetry.Telemetry that exports nowhere, and the values of its metrics.
//
// Only tests import it. What the list of metrics itself must be is tested in
// pkg/telemetry.
package telemetrytest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/wardflow/wardflow/pkg/telemetry"
)

// Start gives telemetry that ends with the test, and fails the test when a metric
// was given what the list does not allow.
func Start(t testing.TB) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Default(), telemetry.Process{Service: "test", Instance: "0", Version: "test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := tel.Misuses(); n != 0 {
			t.Errorf("metrics were given %d values that their list does not allow", n)
		}
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel
}

// Values are the values by series, as name{label="value",...} with labels in
// order of their names; of a histogram its count, and its sum under name_sum.
type Values map[string]float64

// Read gives the values as of now.
func Read(t testing.TB, tel *telemetry.Telemetry) Values {
	t.Helper()
	list, err := tel.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := Values{}
	for _, f := range list {
		for _, s := range f.GetMetric() {
			labels := labelsOf(s)
			switch {
			case s.GetHistogram() != nil:
				out[f.GetName()+labels] = float64(s.GetHistogram().GetSampleCount())
				out[f.GetName()+"_sum"+labels] = s.GetHistogram().GetSampleSum()
			case s.GetCounter() != nil:
				out[f.GetName()+labels] = s.GetCounter().GetValue()
			default:
				out[f.GetName()+labels] = s.GetGauge().GetValue()
			}
		}
	}
	return out
}

func labelsOf(s *dto.Metric) string {
	by := map[string]string{}
	for _, l := range s.GetLabel() {
		by[l.GetName()] = l.GetValue()
	}
	if len(by) == 0 {
		return ""
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list = append(list, fmt.Sprintf("%s=%q", name, by[name]))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// Of is the value of a metric's series with these values of its labels, in the
// order of the list; it fails the test when there is none.
func (v Values) Of(t testing.TB, m *telemetry.Metric, labels ...string) float64 {
	t.Helper()
	by := map[string]string{}
	for i, k := range m.Labels {
		if labels[i] != "" {
			by[k.Prometheus()] = labels[i]
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list = append(list, fmt.Sprintf("%s=%q", name, by[name]))
	}
	name := m.Prometheus()
	if len(list) > 0 {
		name += "{" + strings.Join(list, ",") + "}"
	}
	value, ok := v[name]
	if !ok {
		t.Errorf("there is no %s; there is:\n%s", name, strings.Join(v.like(m), "\n"))
	}
	return value
}

// Has tells whether any series of the metric is there.
func (v Values) Has(m *telemetry.Metric) bool { return len(v.like(m)) > 0 }

func (v Values) like(m *telemetry.Metric) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if base, _, _ := strings.Cut(name, "{"); base == m.Prometheus() {
			out = append(out, name)
		}
	}
	return out
}
