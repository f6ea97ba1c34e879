package proto

import "encoding/json"

// Detection is one detection; the keys are those of detections.jsonl, and of the
// record value on wardflow.detections.
type Detection struct {
	Time        Time    `json:"time"`
	DetectionID ID      `json:"detection_id"`
	Rule        string  `json:"rule"`
	Title       string  `json:"title"`
	Severity    string  `json:"severity"` // info, low, medium, high, critical
	DeviceID    ID      `json:"device_id"`
	Targets     Strings `json:"targets"` // ids or addresses acted upon
	Attack      Strings `json:"attack"`  // ATT&CK technique ids
	Evidence    Object  `json:"evidence"`
	Count       uint64  `json:"count"`
	First       Time    `json:"first"`
	Last        Time    `json:"last"`
	Site        string  `json:"site"`
	Endpoint    ID      `json:"endpoint"`
}

// The severities.
const (
	SeverityInfo     = "info"
	SeverityLow      = "low"
	SeverityMedium   = "medium"
	SeverityHigh     = "high"
	SeverityCritical = "critical"
)

// Object is a small JSON object; nil is {}. Keys are written sorted.
type Object map[string]any

// MarshalJSON writes {} for nil.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]any(o))
}

// Factor is one term of a risk score.
type Factor struct {
	Name     string  `json:"name"`
	Value    float64 `json:"value"` // 0..1
	Share    float64 `json:"share"` // of the likelihood, 0..1; the shares sum to 1
	Why      string  `json:"why"`
	Evidence Strings `json:"evidence"`
}

// Risk is a device's score at a moment; the keys are those of risk.jsonl, and of
// the record value on wardflow.risk.
type Risk struct {
	Time       Time    `json:"time"`
	DeviceID   ID      `json:"device_id"`
	Score      float64 `json:"score"` // 0..100
	Tier       string  `json:"tier"`  // low, medium, high, critical
	Likelihood float64 `json:"likelihood"`
	Impact     float64 `json:"impact"`
	Factors    Factors `json:"factors"`
	Framework  string  `json:"framework"`
	Version    uint64  `json:"version"` // counts up per device
	Cause      string  `json:"cause"`   // what changed it: a detection's id, binding, exposure, decay
	Site       string  `json:"site"`
	Endpoint   ID      `json:"endpoint"`
}

// Factors is a list that is [] and never null in JSON.
type Factors []Factor

// MarshalJSON writes [] for an empty list.
func (s Factors) MarshalJSON() ([]byte, error) { return marshalList([]Factor(s)) }

// Deadletter says what could not be used, and where it lies; never its payload.
type Deadletter struct {
	Time      Time   `json:"time"` // of the record's arrival
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Index     int32  `json:"index"` // of the event in its batch; -1 for the whole record
	Consumer  string `json:"consumer"`
	Reason    string `json:"reason"`
	Size      int    `json:"size"` // bytes
}

// Policy is what a site has decided about its monitoring. It reaches every fold
// through wardflow.control.
type Policy struct {
	Site             string  `json:"site"`
	LearningPeriodS  int64   `json:"learning_period_s"` // from an endpoint's first sight; 0 means the default
	LearningUntil    Time    `json:"learning_until"`    // when set: learning of the whole site ends here, whatever the period
	SilenceMinS      int64   `json:"silence_min_s"`     // device_silent never sooner than this; 0 means the default
	MissingAfterS    int64   `json:"missing_after_s"`   // a silent device is missing then, never sooner than is ordinary for it; 0 means the default
	PortScanPorts    int     `json:"port_scan_ports"`   // distinct unanswered ports of one target; 0 means the default
	RiskHalfLifeS    int64   `json:"risk_half_life_s"`  // of a live detection; 0 means the default
	TrustedExternals Strings `json:"trusted_externals"` // CIDRs outside that are no news
}

// Control is a change for every fold. It is sent to every partition in one
// transaction, so it has a definite place in each lane.
type Control struct {
	Kind   string        `json:"kind"` // policy, sensor, enrolment, signatures, context
	Policy *Policy       `json:"policy,omitempty"`
	Sensor *SensorConfig `json:"sensor,omitempty"` // for sensors; folds have no use for it

	Enrolment *SensorEnrolment `json:"enrolment,omitempty"` // for the book of sensors

	Signatures *SignaturePack `json:"signatures,omitempty"` // for the device fold

	Context *HospitalContext `json:"context,omitempty"` // for the device fold
}

// The values of Control.Kind.
const (
	ControlPolicy    = "policy"
	ControlSensor    = "sensor"
	ControlEnrolment = "enrolment"

	ControlSignatures = "signatures"
	ControlContext    = "context"
)
