package telemetry

// The service that keeps book of live sensors.
var (
	SensorCount = define(Metric{
		Name: "wardflow.sensor.count", Unit: "{sensor}", Kind: KindUpDown, Labels: []*Key{BySite, ByState}, Only: onlyHeard,
		Help: "Live sensors of a site that are up, stopping, away, suspect (their clock) or expected (enrolled and never heard), as concluded from their statuses; of the partitions that this instance has.",
	})
	SensorStatuses = define(Metric{
		Name: "wardflow.sensor.statuses", Unit: "{record}", Kind: KindCounter, Only: onlySensors,
		Help: "Statuses of sensors taken in.",
	})
	SensorEvents = define(Metric{
		Name: "wardflow.sensor.events", Unit: "{event}", Kind: KindCounter, Only: onlySensors,
		Help: "Events of sensors said, such as away and back.",
	})
	SensorDrops = define(Metric{
		Name: "wardflow.sensor.drops", Unit: "{record}", Kind: KindCounter, Labels: []*Key{ByReason}, Only: onlySensors,
		Help: "Statuses not taken in: malformed (no status, or not where it belongs), stranger (more sensors that are not enrolled than book is kept of).",
	})
)
