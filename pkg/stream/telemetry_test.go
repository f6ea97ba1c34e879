package stream

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/pkg/telemetry"
	"github.com/wardflow/wardflow/pkg/telemetry/telemetrytest"
	"github.com/wardflow/wardflow/proto"
)

// silent is a fold that does nothing.
type silent struct{}

func (silent) Name() string              { return "silent" }
func (silent) Inputs() []Input           { return []Input{{Topic: proto.TopicTraffic}} }
func (silent) Progress() []ProgressTo    { return nil }
func (silent) Apply(*Tx, *Event)         {}
func (silent) Fire(*Tx, Timer)           {}
func (silent) Sweep(*Tx, string, []byte) {}

// What is seen of partitions: how long the oldest record waits, how far each site's
// clock is behind in the worst of them, and its sensors by state, each once.
func TestSight(t *testing.T) {
	tel := telemetrytest.Start(t)
	r := NewRunner(silent{}, RunnerConfig{Telemetry: tel})
	if r.Check() == nil {
		t.Error("a runner that has no partitions is ready")
	}
	now := time.Now()
	ago := func(d time.Duration) proto.Time { return proto.TimeOf(now.Add(-d)) }
	var stats Stats
	s := &sight{sites: map[string]siteSight{}}
	for i, behind := range []time.Duration{5 * time.Second, 40 * time.Second} {
		p, err := OpenPartition(silent{}, int32(i), Options{Stats: &stats})
		if err != nil {
			t.Fatal(err)
		}
		c := p.clockOf("north", proto.LiveDomain)
		c.watermark = ago(behind)
		c.sensors.List = []dedup.Sensor{
			{Name: "tap1", Arrival: ago(time.Second)},
			{Name: "tap2", Arrival: ago(time.Minute)},
			{Name: "tap3", Arrival: ago(time.Second), Suspect: i == 1},
		}
		p.clockOf("file", "file:x").watermark = 1 // a capture file's time is its own
		p.inputs[0].records = []Record{{Time: ago(behind / 2)}, {Time: ago(0)}}
		p.blocked = now.Add(-behind)
		s.take(p)
	}
	r.watch.seen.Store(s)
	v := telemetrytest.Read(t, tel)
	near := func(m *telemetry.Metric, want float64, labels ...string) {
		t.Helper()
		if got := v.Of(t, m, labels...); got < want || got > want+5 {
			t.Errorf("%s %v is %v, want %v", m.Name, labels, got, want)
		}
	}
	near(telemetry.FoldBehind, 20, "silent")
	near(telemetry.FoldBlocked, 40, "silent")
	near(telemetry.FoldWatermark, 40, "silent", "north")
	for state, want := range map[string]float64{"up": 1, "away": 1, "suspect": 1} {
		if got := v.Of(t, telemetry.FoldSensors, "silent", "north", state); got != want {
			t.Errorf("%v sensors are %s, want %v", got, state, want)
		}
	}
	if got := v.Of(t, telemetry.FoldWaiting, "silent"); got != 4 {
		t.Errorf("%v records wait, want 4", got)
	}
	for name := range v {
		if name == telemetry.FoldWatermark.Prometheus()+`{fold="silent",site="file"}` {
			t.Error("a capture file has a watermark")
		}
	}
}
