package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

func start(t *testing.T) *Telemetry {
	t.Helper()
	cfg := Default()
	tel, err := New(t.Context(), cfg, Process{Service: "test", Instance: "0", Version: "v0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel
}

// gather gives what /metrics would: families by name.
func gather(t *testing.T, tel *Telemetry) map[string]*dto.MetricFamily {
	t.Helper()
	list, err := tel.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range list {
		out[f.GetName()] = f
	}
	return out
}

// value is that of the series with these labels, in the order name, value, name, value.
func value(t *testing.T, f *dto.MetricFamily, labels ...string) float64 {
	t.Helper()
series:
	for _, s := range f.GetMetric() {
		if len(s.GetLabel()) != len(labels)/2 {
			continue
		}
		for i := 0; i < len(labels); i += 2 {
			found := false
			for _, l := range s.GetLabel() {
				found = found || (l.GetName() == labels[i] && l.GetValue() == labels[i+1])
			}
			if !found {
				continue series
			}
		}
		switch {
		case s.GetCounter() != nil:
			return s.GetCounter().GetValue()
		case s.GetGauge() != nil:
			return s.GetGauge().GetValue()
		}
		return float64(s.GetHistogram().GetSampleCount())
	}
	t.Errorf("%s has no series %v: %v", f.GetName(), labels, f.GetMetric())
	return -1
}

// Every metric of the list comes out under the name that the list says, as the
// kind that it says.
func TestNamesOnMetrics(t *testing.T) {
	tel := start(t)
	for _, m := range all {
		if m.Hop() == "go" || m.Hop() == "process" || m == BuildInfo || m == Misused {
			continue
		}
		labels := make([]string, len(m.Labels))
		for i := range labels {
			labels[i] = "x"
		}
		switch m.Kind {
		case KindCounter:
			tel.Counter(m, labels...).Add(3)
		case KindHistogram:
			tel.Histogram(m, labels...).Record(3)
		default:
			tel.Gauge(m, labels...).Set(3)
		}
	}
	have := gather(t, tel)
	kinds := map[Kind]dto.MetricType{KindCounter: dto.MetricType_COUNTER, KindGauge: dto.MetricType_GAUGE, KindUpDown: dto.MetricType_GAUGE, KindHistogram: dto.MetricType_HISTOGRAM}
	for _, m := range all {
		f := have[m.Prometheus()]
		if f == nil {
			t.Errorf("%s is not on /metrics as %s", m.Name, m.Prometheus())
			continue
		}
		delete(have, m.Prometheus())
		if f.GetType() != kinds[m.Kind] || f.GetHelp() != m.Help {
			t.Errorf("%s: %v %q", m.Prometheus(), f.GetType(), f.GetHelp())
		}
		for _, s := range f.GetMetric() {
			if len(s.GetLabel()) != len(m.Labels) {
				t.Errorf("%s: labels %v", m.Prometheus(), s.GetLabel())
			}
			if m.Kind == KindHistogram && len(s.GetHistogram().GetBucket()) < len(m.Bounds) {
				t.Errorf("%s: buckets %v, want %v", m.Prometheus(), s.GetHistogram().GetBucket(), m.Bounds)
			}
		}
	}
	for name := range have {
		t.Errorf("%s is on /metrics and not in the list", name)
	}
	if n := tel.Misuses(); n != 0 {
		t.Errorf("%d misuses", n)
	}
}

// However many devices, addresses and runs are told of, a label has no more
// values than its bound, and none of them is an address or an id.
func TestLabelsAreBounded(t *testing.T) {
	tel := start(t)
	sources := []func(i int) string{
		func(i int) string { return fmt.Sprintf("00:1b:54:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255) },
		func(i int) string { return fmt.Sprintf("001b54%06X", i) },
		func(i int) string { return fmt.Sprintf("enx001b54%06x", i) },
		func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) },
		func(i int) string { return fmt.Sprintf("device 10.%d.%d.%d:443", i>>16&255, i>>8&255, i&255) },
		func(i int) string { return fmt.Sprintf("2001:db8::%x", i) },
		func(i int) string { return fmt.Sprintf("10.%d.%d.0/24", i>>8&255, i&255) },
		func(i int) string { return fmt.Sprintf("%032x", i) },
		func(i int) string { return strings.Repeat("long ", 40) + fmt.Sprint(i) },
		func(i int) string { return fmt.Sprintf("name-%d", i) },
	}
	stop := tel.Observe(func(o *Observer) {
		for i := range 3000 {
			for _, name := range sources {
				o.Set(FoldWatermark, float64(i), "endpoint", name(i))
				o.Set(CaptureKernelDrops, 1, name(i))
			}
		}
	})
	for i := range 3000 {
		for _, name := range sources {
			tel.Counter(FoldDrops, name(i), name(i+1)).Add(1)
			tel.Counter(MessagesSent, "kafka", name(i), name(i), name(i), name(i), name(i)).Add(1)
			tel.Histogram(SinkInsert, name(i)).Record(1)
		}
	}
	values := map[string]map[string]bool{}
	for name, f := range gather(t, tel) {
		if len(f.GetMetric()) > seriesLimit {
			t.Errorf("%s has %d series", name, len(f.GetMetric()))
		}
		for _, s := range f.GetMetric() {
			for _, l := range s.GetLabel() {
				if values[l.GetName()] == nil {
					values[l.GetName()] = map[string]bool{}
				}
				values[l.GetName()][l.GetValue()] = true
				if tells(l.GetValue()) && l.GetName() != "otel_metric_overflow" {
					t.Errorf("%s{%s=%q} tells of somebody", name, l.GetName(), l.GetValue())
				}
			}
		}
	}
	for _, k := range keys {
		if n := len(values[k.Prometheus()]); n > k.Bound+1 {
			t.Errorf("label %s has %d values, its bound is %d", k.Name, n, k.Bound)
		}
		delete(values, k.Prometheus())
	}
	delete(values, "otel_metric_overflow") // of the exporter's own limit
	for name := range values {
		t.Errorf("label %s is not in the list", name)
	}
	if len(tel.guard.admitted[BySite]) != BySite.Bound {
		t.Errorf("%d sites were admitted, want %d", len(tel.guard.admitted[BySite]), BySite.Bound)
	}
	drops := gather(t, tel)[CaptureKernelDrops.Prometheus()]
	if got, want := value(t, drops, "interface", Other), float64(3000*len(sources)-ByInterface.Bound); got != want {
		t.Errorf("drops of other interfaces: %v, want all %v: nothing is uncounted", got, want)
	}
	stop()
	if gather(t, tel)[FoldWatermark.Prometheus()] != nil {
		t.Error("a source that was stopped is still asked")
	}
}

func TestTells(t *testing.T) {
	for v, want := range map[string]bool{
		"wardflow.traffic": false, "eth0": false, "ens1f0np0.100": false, "st-alban": false, "ward 7, north": false, "dicom_malformed": false,
		"v1.2.3": false, "go1.26.0": false, "UNKNOWN_TOPIC_OR_PARTITION": false, "v0.4.0-12-gabcdef0-dirty": false, "2026-11-22": false,
		"00:1b:54:00:00:01": true, "00-1B-54-00-00-01": true, "001b.5400.0001": true, "enx001b54000001": true, "192.0.2.1": true, "at 192.0.2.1:80": true,
		"::1": true, "fe80::1": true, "2001:db8::/32": true, "0123456789abcdef0123456789abcdef": true,
	} {
		if got := tells(v); got != want {
			t.Errorf("tells(%q) = %v", v, got)
		}
	}
}

// What the list does not allow is not counted, and that is.
func TestMisuse(t *testing.T) {
	tel := start(t)
	tel.Counter(FoldBehind, "endpoint").Add(1)
	tel.Gauge(FoldEvents, "endpoint").Set(1)
	tel.Histogram(FoldEvents, "endpoint").Record(1)
	tel.Counter(FoldEvents).Add(1)
	tel.Observe(func(o *Observer) { o.Set(SinkInsert, 1, "flows") })
	_ = gather(t, tel)
	have := gather(t, tel)
	if got := value(t, have[Misused.Prometheus()]); got < 5 {
		t.Errorf("%v misuses were told, want 5 or more", got)
	}
}

func TestOffCostsNothing(t *testing.T) {
	var tel *Telemetry
	c, g, h := tel.Counter(FoldEvents, "x"), tel.Gauge(FoldBehind, "x"), tel.Histogram(SinkInsert, "x")
	tel.Observe(func(*Observer) { t.Error("asked") })()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		c.Add(1)
		g.Set(1)
		h.Record(1)
		_, span := tel.Start(ctx, SpanInternal, "x")
		span.Set("rows", 1)
		span.End(nil)
	}); n != 0 {
		t.Errorf("telemetry that is off allocates %v times", n)
	}
	if s, err := tel.Listen("", nil); s != nil || err != nil {
		t.Errorf("Listen: %v, %v", s, err)
	}
	if err := tel.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	off := Config{}
	if got, err := New(ctx, off, Process{}, slog.New(slog.DiscardHandler)); got != nil || err != nil {
		t.Errorf("New: %v, %v", got, err)
	}
}

// A handle's value is one atomic; what is counted per event must not allocate.
func TestHandlesDoNotAllocate(t *testing.T) {
	tel := start(t)
	c, g, h := tel.Counter(FoldEvents, "x"), tel.Gauge(FoldBehind, "x"), tel.Histogram(SinkInsert, "x")
	if tel.Counter(FoldEvents, "x") != c {
		t.Error("a series has two handles, of which one would be forgotten")
	}
	if n := testing.AllocsPerRun(100, func() {
		c.Add(1)
		g.Set(1)
		h.Record(1)
	}); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
}

func TestErrorType(t *testing.T) {
	for want, err := range map[string]error{
		"": nil, "timeout": fmt.Errorf("ask: %w", context.DeadlineExceeded), "canceled": context.Canceled,
		"_OTHER": errors.New("patient 4711 at 10.0.0.1"),
	} {
		if got := ErrorType(err); got != want {
			t.Errorf("ErrorType(%v) = %q, want %q", err, got, want)
		}
	}
}
