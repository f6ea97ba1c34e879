package sensors

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/telemetry/telemetrytest"
	"github.com/wardflow/wardflow/proto"
)

// Sensors are counted as they stand, and a revoked one that is away no more.
func TestSensorsAreCounted(t *testing.T) {
	tel := telemetrytest.Start(t)
	s := New(Config{})
	defer s.Tell(tel)()
	p := newTap(t, Config{})
	s.parts[0] = &partition{book: p.b}
	counted := func() map[string]float64 {
		s.stand()
		got := map[string]float64{}
		for _, state := range []string{proto.SensorUp, proto.SensorAway} {
			if n := telemetrytest.Read(t, tel)[`wardflow_sensor_count{site="north",state="`+state+`"}`]; n != 0 {
				got[state] = n
			}
		}
		return got
	}
	check := func(up, away float64) {
		t.Helper()
		if got := counted(); got[proto.SensorUp] != up || got[proto.SensorAway] != away {
			t.Errorf("counted %v, want %v up and %v away", got, up, away)
		}
	}
	check(0, 0)
	p.says().want("new_run info up")
	check(1, 0)
	p.s.Sensor = "tap-2"
	p.says().want("new_run info up")
	check(2, 0)
	p.lives(time.Minute)
	check(1, 1)
	p.b.enrol(&proto.SensorEnrolment{Time: p.at(), Site: "north", Sensor: "tap-1", Revoked: true})
	check(1, 0)
}
