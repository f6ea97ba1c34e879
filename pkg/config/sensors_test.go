package config

import (
	"testing"
	"time"
)

func TestSensors(t *testing.T) {
	l, err := Load(Source{Set: []string{"sensors.require_enrolment=true", "sensors.away_after=1m"}})
	if err != nil || !l.Sensors.RequireEnrolment || l.Sensors.AwayAfter != time.Minute || l.Sensors.StoppedAfter != 10*time.Minute {
		t.Errorf("%+v, %v", l.Sensors, err)
	}
	for _, set := range []string{"sensors.away_after=10s", "sensors.stopped_after=0s"} {
		if _, err := Load(Source{Set: []string{set}}); err == nil {
			t.Errorf("%s is taken", set)
		}
	}
}
