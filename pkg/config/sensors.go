package config

import "time"

// Sensors is how book is kept of the live sensors.
type Sensors struct {
	RequireEnrolment bool          `yaml:"require_enrolment"` // a sensor that is not in the register raises an event
	AwayAfter        time.Duration `yaml:"away_after"`        // of silence a sensor is away; it speaks every 10 s
	StoppedAfter     time.Duration `yaml:"stopped_after"`     // the same, of one that said that it stops
}

func defaultSensors() Sensors {
	return Sensors{AwayAfter: 30 * time.Second, StoppedAfter: 10 * time.Minute}
}

func (c *Sensors) validate() Problems {
	var p Problems
	// Two statuses may be lost before a third is missed.
	between(&p, "sensors.away_after", c.AwayAfter, 15*time.Second, 24*time.Hour)
	between(&p, "sensors.stopped_after", c.StoppedAfter, 15*time.Second, 30*24*time.Hour)
	return p
}
