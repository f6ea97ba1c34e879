package proto

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
	Drops         map[string]uint64 `json:"drops"`          // packets, flows and records that were lost, by reason
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
	SensorAway     = "away"    // nothing heard for longer than the bound
	SensorSuspect  = "suspect" // its clock is more than 60 s off the broker's
)

// SensorConfig is what the centre decides about a sensor. It reaches sensors
// through wardflow.control. What is not set (nil, "", 0) stays as the sensor's own file says.
type SensorConfig struct {
	Site          string   `json:"site"`
	Sensor        string   `json:"sensor"`  // "" for all sensors of the site
	Version       uint64   `json:"version"` // counts up; a sensor keeps the highest
	Interfaces    []string `json:"interfaces,omitempty"`
	Filter        *string  `json:"filter,omitempty"` // packet filter expression; "" takes everything
	Home          []string `json:"home,omitempty"`   // CIDRs that are inside
	Workers       int      `json:"workers,omitempty"`
	ActiveTimeout int64    `json:"active_timeout_s,omitempty"`
}
