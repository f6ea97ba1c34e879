package proto

// The topics. Append topics carry one batch a record and are kept by time and
// size; compacted topics carry one event a record under its own key.
const (
	TopicTraffic    = "wardflow.traffic"    // append: flows, observations, heartbeats (Batch)
	TopicRollups    = "wardflow.rollups"    // append: cumulative hourly rows (RollupBatch)
	TopicSummaries  = "wardflow.summaries"  // compacted: endpoint fold -> device fold (Summary, Progress)
	TopicClaims     = "wardflow.claims"     // compacted: endpoint fold -> identity fold, all on one lane: by what an endpoint may be known again (Claim)
	TopicGroupings  = "wardflow.groupings"  // compacted: identity fold -> endpoint fold: which endpoints are one device (Grouping)
	TopicNested     = "wardflow.nested"     // append of single events: endpoint fold -> itself: observations of devices that are heard of through another (Nested)
	TopicBindings   = "wardflow.bindings"   // compacted: endpoint -> device (Binding, Progress)
	TopicDevices    = "wardflow.devices"    // compacted: Device, JSON
	TopicDetections = "wardflow.detections" // append of single events: Detection, JSON (and Progress)
	TopicAlerts     = "wardflow.alerts"     // OCSF 1.8 Detection Finding, JSON
	TopicRisk       = "wardflow.risk"       // compacted: Risk, JSON
	TopicUsage      = "wardflow.usage"      // usage intervals (Usage, JSON)
	TopicFindings   = "wardflow.findings"   // compacted: device x vulnerability, JSON; no service fills it yet
	TopicAdvisories = "wardflow.advisories" // compacted; no service fills it yet
	TopicEdits      = "wardflow.edits"      // append of single events, kept for ever: what people decide about devices (Edit, JSON)
	TopicControl    = "wardflow.control"    // every change of policy, to every partition (Control, JSON)
	TopicSensors    = "wardflow.sensors"    // compacted: what each live sensor says of itself (SensorStatus, JSON)
	// TopicSensorEvents is apart from TopicSensors because sensors may write to that one.
	TopicSensorEvents = "wardflow.sensor-events" // compacted: what is concluded about sensors (SensorEvent, JSON)
	TopicDeadletter   = "wardflow.deadletter"    // coordinates and reason of what could not be used (Deadletter, JSON)
)

// IdentityLane is the lane of all claims: whether two endpoints are one device is
// decided in one place, because it depends on all others.
var IdentityLane = HashID("identity").Lane()

// ChangelogTopic is the compacted topic of a fold's state.
func ChangelogTopic(fold string) string { return "wardflow.changelog." + fold }

// The schema versions that this build writes. A reader accepts any version and
// skips trailing fields that it does not know.
const (
	SchemaTraffic uint8 = 1
	SchemaDerived uint8 = 1
)

// Position is a place in a partition of wardflow.traffic: a record and an item
// of its batch. Derived events name the position that caused them.
type Position struct {
	Offset int64
	Index  int32
}

// Less orders positions of one partition.
func (p Position) Less(q Position) bool {
	return p.Offset < q.Offset || (p.Offset == q.Offset && p.Index < q.Index)
}

// Cause says which item of wardflow.traffic an event follows from.
type Cause struct {
	Partition int32
	Position
}

// Progress says that a fold has applied everything of traffic partition
// Partition before Next. Via is the partition of the fold that says so (a
// re-keyed fold has many that speak of one traffic partition).
type Progress struct {
	Fold      string
	Partition int32
	Via       int32
	Next      Position
}
