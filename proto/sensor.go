package proto

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// SensorStatus is what a live sensor says of itself: JSON on wardflow.sensors,
// under the key "site/sensor", when it starts, every ten seconds, and when it
// stops. Counters are totals of the run.
type SensorStatus struct {
	Time          Time              `json:"time"`    // the sensor's own clock when it said so
	Site          string            `json:"site"`    //
	Sensor        string            `json:"sensor"`  // name within its site
	Run           ID                `json:"run"`     // changes with every start of the process
	Started       Time              `json:"started"` // of this run
	State         string            `json:"state"`   // one of the Sensor... states that a sensor can say: up, stopping
	Version       string            `json:"version"` // of the program
	Interfaces    []SensorInterface `json:"interfaces"`
	Packets       uint64            `json:"packets"`
	Bytes         uint64            `json:"bytes"`
	Flows         uint64            `json:"flows"`
	Observations  uint64            `json:"observations"`
	PacketsPerS   float64           `json:"packets_per_s"`  // since the status before
	BytesPerS     float64           `json:"bytes_per_s"`    // likewise
	FlowsPerS     float64           `json:"flows_per_s"`    // likewise
	Drops         map[string]uint64 `json:"drops"`          // packets, flows and records that were lost, by reason; the kernel's are with the interfaces
	SpoolRecords  uint64            `json:"spool_records"`  // waiting on disk now
	SpoolBytes    uint64            `json:"spool_bytes"`    // of them
	SpoolOldest   Time              `json:"spool_oldest"`   // when the oldest of them was written; zero: none
	ConfigVersion uint64            `json:"config_version"` // of the SensorConfig in force; 0: only its own file
	ConfigError   string            `json:"config_error"`   // why the latest SensorConfig could not be used; "" when it is in force
}

// SensorInterface is one capture interface of a sensor.
type SensorInterface struct {
	Name        string `json:"name"`
	Up          bool   `json:"up"`
	Packets     uint64 `json:"packets"`
	KernelDrops uint64 `json:"kernel_drops"` // packets that the kernel had no room for
}

// The states of a sensor. A sensor says up and stopping itself; the others are
// concluded from what is heard of it.
const (
	SensorUp       = "up"
	SensorStopping = "stopping"
	SensorAway     = "away"     // nothing heard for longer than the bound
	SensorSuspect  = "suspect"  // its clock is more than 60 s off the broker's
	SensorExpected = "expected" // enrolled, and not heard yet
)

// The bounds of what a status may hold: it is written by machines that stand in
// the field, and read by everybody.
const (
	maxSensorName   = 64
	maxSensorText   = 512
	maxSensorParts  = 64
	maxSensorBytes  = 64 << 10
	maxSensorReason = 64
)

// CheckSensorName tells what is wrong with a name of a site or sensor: 1 to 64
// bytes that print, and no slash, because keys join the two by one.
func CheckSensorName(name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > maxSensorName:
		return fmt.Errorf("has %d bytes; want at most %d", len(name), maxSensorName)
	case strings.Contains(name, "/"):
		return errors.New("has a slash")
	case strings.TrimSpace(name) != name, strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return errors.New("begins or ends with a space or has characters that do not print")
	}
	return nil
}

// Check tells why a status is none; the error quotes nothing of it.
func (s *SensorStatus) Check() error {
	switch {
	case CheckSensorName(s.Site) != nil:
		return errors.New("status with a bad site")
	case CheckSensorName(s.Sensor) != nil:
		return errors.New("status with a bad sensor name")
	case s.Run.IsZero():
		return errors.New("status without run")
	case s.State != SensorUp && s.State != SensorStopping:
		return errors.New("status with a state that no sensor says")
	case len(s.Version) > maxSensorName, len(s.ConfigError) > maxSensorText:
		return errors.New("status with too long a text")
	case len(s.Interfaces) > maxSensorParts, len(s.Drops) > maxSensorParts:
		return errors.New("status with too many interfaces or drop reasons")
	case slices.ContainsFunc(s.Interfaces, func(i SensorInterface) bool { return i.Name == "" || len(i.Name) > maxSensorName }):
		return errors.New("status with a bad interface name")
	}
	for reason := range s.Drops {
		if reason == "" || len(reason) > maxSensorReason {
			return errors.New("status with a bad drop reason")
		}
	}
	return nil
}

// MaxSensorRecord is the longest value of wardflow.sensors that is looked at.
const MaxSensorRecord = maxSensorBytes

// KernelDrops is the packets that the kernel had no room for, all interfaces together.
func (s *SensorStatus) KernelDrops() (n uint64) {
	for _, i := range s.Interfaces {
		n += i.KernelDrops
	}
	return n
}

// OtherDrops is what was lost behind the kernel, all reasons together.
func (s *SensorStatus) OtherDrops() (n uint64) {
	for _, v := range s.Drops {
		n += v
	}
	return n
}

// SensorKey is the record key of what a sensor says, and of what is concluded about it.
func SensorKey(site, sensor string) string { return site + "/" + sensor }

// SensorLane is the lane of all that is said by and about a sensor.
func SensorLane(site, sensor string) Lane {
	return HashID("sensor", []byte(site), []byte(sensor)).Lane()
}

// SensorConfig is what the centre decides about a sensor. It reaches sensors
// through wardflow.control. What is not set (nil, "", 0) stays as the sensor's own file says.
type SensorConfig struct {
	Site          string   `json:"site"`
	Sensor        string   `json:"sensor"`  // "" for all sensors of the site
	Version       uint64   `json:"version"` // counts up within the site; a sensor keeps the highest
	Interfaces    []string `json:"interfaces,omitempty"`
	Filter        *string  `json:"filter,omitempty"` // packet filter expression; "" takes everything
	Home          []string `json:"home,omitempty"`   // CIDRs that are inside
	Workers       int      `json:"workers,omitempty"`
	ActiveTimeout int64    `json:"active_timeout_s,omitempty"`
}

// Over lays the sensor's own configuration over its site's.
func (c SensorConfig) Over(site SensorConfig) SensorConfig {
	out := site
	out.Site, out.Sensor, out.Version = c.Site, c.Sensor, max(c.Version, site.Version)
	if len(c.Interfaces) > 0 {
		out.Interfaces = c.Interfaces
	}
	if c.Filter != nil {
		out.Filter = c.Filter
	}
	if len(c.Home) > 0 {
		out.Home = c.Home
	}
	if c.Workers != 0 {
		out.Workers = c.Workers
	}
	if c.ActiveTimeout != 0 {
		out.ActiveTimeout = c.ActiveTimeout
	}
	return out
}

// SensorEnrolment is a line of the register of sensors on wardflow.control, key
// "enrolment/site/sensor": the latest of a sensor stands.
type SensorEnrolment struct {
	Time      Time   `json:"time"` // of the decision
	Site      string `json:"site"`
	Sensor    string `json:"sensor"`
	Principal string `json:"principal"` // as whom it logs in at the brokers, "User:..."; "" where they are on its own machine
	Revoked   bool   `json:"revoked"`
}

// SensorEvent is what is concluded about a sensor: JSON on wardflow.sensor-events,
// under the key "site/sensor/what". Its id follows from site, sensor, what and since.
type SensorEvent struct {
	Time       Time   `json:"time"` // when it was concluded
	EventID    ID     `json:"event_id"`
	Site       string `json:"site"`
	Sensor     string `json:"sensor"`
	What       string `json:"what"`        // away, back, ...
	Since      Time   `json:"since"`       // arrival at the broker of what it follows from
	State      string `json:"state"`       // of the sensor after it
	StateSince Time   `json:"state_since"` // when that state began
	Enrolled   bool   `json:"enrolled"`    // after it
	Closes     ID     `json:"closes"`      // the event whose matter this one ends: a back ends an away; none: null
	Severity   string `json:"severity"`
	Title      string `json:"title"`
	Evidence   Object `json:"evidence"`
}
