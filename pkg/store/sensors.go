package store

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/wardflow/wardflow/proto"
)

// sensorsTable and sensorEventsTable are of the live sensors.
var (
	sensorsTable = Table{
		Name: Sensors, Version: "row_version", OrderBy: "site, sensor",
		Comment: "What each live sensor said of itself last; the highest row_version of a sensor stands. Read v_sensors.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			wordCol("site", "site"), wordCol("sensor", "name within the site"),
			timeCol("time", "the sensor's own clock when it said so"),
			timeCol("arrived", "the broker's clock when it came"),
			ratioCol("clock_offset_s", "seconds that the sensor's clock is ahead of the broker's; negative: behind"),
			idCol("run", "changes with every start of the process"),
			timeCol("started", "of this run"),
			wordCol("said", "what it calls its state: up, stopping"),
			wordCol("version", "of the program"),
			listCol("interfaces", "capture interfaces"), listCol("interfaces_down", "those of them that are down"),
			countCol("packets", "of this run"), countCol("bytes", "of this run"), countCol("flows", "of this run"), countCol("observations", "of this run"),
			ratioCol("packets_per_s", "between the last two statuses"), ratioCol("bytes_per_s", "between the last two statuses"), ratioCol("flows_per_s", "between the last two statuses"),
			countCol("kernel_drops", "packets that the kernel had no room for, of this run"),
			countCol("other_drops", "packets, flows and records lost behind the kernel, of this run"),
			col("drops", "Map(String, UInt64)", "ZSTD(1)", "other_drops by reason"),
			countCol("spool_records", "records that wait on its disk"), countCol("spool_bytes", "bytes of them"),
			ratioCol("spool_age_s", "age of the oldest of them, in seconds"),
			countCol("config_version", "of the configuration in force; 0: only the sensor's own file"),
			textCol("config_error", "why the latest configuration could not be used"),
			textCol("record", "the whole status as JSON"),
			versionCol,
		),
	}
	sensorEventsTable = Table{
		Name: SensorEvents, keep: keepRollup, PartitionBy: byDay, OrderBy: "site, sensor, time",
		Comment: "What was concluded about live sensors: away, back, clock_suspect, drops, ... Read v_sensor_events.",
		Indexes: []Index{byOffset},
		Columns: fromKafka(
			wordCol("site", "site"), wordCol("sensor", "name within the site"),
			timeCol("time", "when it was concluded"),
			idCol("event_id", "follows from site, sensor, what and since"),
			wordCol("what", "away, back, new_run, ..."),
			timeCol("since", "arrival at the broker of what it follows from"),
			wordCol("state", "of the sensor after it: expected, up, stopping, away, suspect"),
			timeCol("state_since", "when that state began"),
			boolCol("enrolled", "after it"),
			idCol("closes", "the event whose matter it ends; zero for none"),
			wordCol("severity", "info, low, medium, high"),
			textCol("title", "one line for people"),
			textCol("evidence", "JSON object"),
		),
	}
)

// sensorNow is the latest event of each sensor: they say its state.
const sensorNow = `(SELECT site, sensor, argMax((state, state_since, enrolled), (topic_generation, kafka_offset)) AS x FROM $db.sensor_events GROUP BY site, sensor)`

// A sensor may have been enrolled and never heard, or heard and not yet judged.
var sensorsSelect = `SELECT n.site AS site, n.sensor AS sensor, if(e.sensor = '', toString(s.said), toString(e.x.1)) AS state,
    if(e.sensor = '', s.arrived, e.x.2) AS state_since, e.x.3 AS enrolled,
    if(s.sensor = '', NULL, s.arrived) AS last_seen, if(s.sensor = '', NULL, s.clock_offset_s) AS clock_offset_s, s.version AS version, if(s.sensor = '', NULL, s.started) AS started,
    s.interfaces AS interfaces, s.interfaces_down AS interfaces_down, s.packets AS packets, s.bytes AS bytes, s.flows AS flows, s.observations AS observations,
    s.packets_per_s AS packets_per_s, s.bytes_per_s AS bytes_per_s, s.flows_per_s AS flows_per_s, s.kernel_drops AS kernel_drops, s.other_drops AS other_drops,
    if(s.kernel_drops = 0, 0, s.kernel_drops / (s.packets + s.kernel_drops)) AS kernel_drop_share, if(s.other_drops = 0, 0, s.other_drops / (s.packets + s.other_drops)) AS other_drop_share,
    s.drops AS drops, s.spool_records AS spool_records, s.spool_bytes AS spool_bytes, s.spool_age_s AS spool_age_s,
    s.config_version AS config_version, s.config_error AS config_error, ` + hexID("s.run") + ` AS run, s.record AS record
FROM (SELECT site, sensor FROM $db.sensors GROUP BY site, sensor UNION DISTINCT SELECT site, sensor FROM $db.sensor_events GROUP BY site, sensor) AS n
$global LEFT ANY JOIN (SELECT * FROM $db.sensors FINAL) AS s ON (s.site = n.site) AND (s.sensor = n.sensor)
$global LEFT ANY JOIN ` + sensorNow + ` AS e ON (e.site = n.site) AND (e.sensor = n.sensor)`

var sensorEventsSelect = `SELECT time AS time, ` + hexID("event_id") + ` AS event_id, site AS site, sensor AS sensor, what AS what, severity AS severity, title AS title,
    since AS since, state AS state, state_since AS state_since, enrolled AS enrolled, ` + hexID("closes") + ` AS closes, evidence AS evidence
FROM (SELECT * FROM $db.sensor_events ORDER BY topic_generation DESC, kafka_offset DESC LIMIT 1 BY event_id)`

var sensorsView = View{
	Name: "v_sensors", SQL: sensorsSelect, Comment: "Live sensors as they stand: those heard, and those enrolled and not heard yet.",
	Columns: doc(`site: site
sensor: name within the site
state: up, stopping, away, suspect (clock), expected (enrolled, never heard)
state_since: since when
enrolled: in the register of sensors
last_seen: arrival of its latest status, by the broker's clock
clock_offset_s: seconds that its clock is ahead of the broker's; negative: behind
version: of the program
started: of this run, by its own clock
interfaces: capture interfaces
interfaces_down: those of them that are down
packets: of this run
bytes: of this run
flows: of this run
observations: of this run
packets_per_s: between its last two statuses
bytes_per_s: between its last two statuses
flows_per_s: between its last two statuses
kernel_drops: packets that the kernel had no room for, of this run
other_drops: packets, flows and records lost behind the kernel, of this run
kernel_drop_share: of all packets that came, 0 to 1
other_drop_share: other_drops to packets and other_drops, 0 to 1
drops: other_drops by reason
spool_records: records that wait on its disk
spool_bytes: bytes of them
spool_age_s: age of the oldest of them, in seconds
config_version: of the configuration in force; 0: only its own file
config_error: why the latest configuration could not be used
run: changes with every start of the process
record: the whole status as JSON`),
}

var sensorEventsView = View{
	Name: "v_sensor_events", SQL: sensorEventsSelect, Comment: "What was concluded about live sensors, each thing once.",
	Columns: doc(`time: when it was concluded
event_id: follows from site, sensor, what and since
site: site
sensor: name within the site
what: new_run, version, stopping, away, back, clock_suspect, clock_right, drops, drops_over, spooling, spool_drained, contested, contested_over, config_error, config_applied, unknown, enrolled, revoked
severity: info, low, medium, high
title: one line for people
since: arrival at the broker of what it follows from
state: of the sensor after it
state_since: when that state began
enrolled: in the register after it
closes: the event whose matter it ends, NULL for none
evidence: JSON object`),
}

func readSensor(o *row, r *Record) error {
	if len(r.Value) > proto.MaxSensorRecord {
		return errors.New("too long a status")
	}
	var s proto.SensorStatus
	if err := decode(r.Value, &s); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	offset, age := 0.0, 0.0
	if r.Sent != 0 {
		offset = r.Sent.Sub(r.At.Time).Seconds()
	}
	if s.SpoolRecords > 0 && s.SpoolOldest != 0 {
		age = max(0, s.Time.Sub(s.SpoolOldest).Seconds())
	}
	names, down := []string{}, []string{}
	for _, i := range s.Interfaces {
		if names = append(names, i.Name); !i.Up {
			down = append(down, i.Name)
		}
	}
	if s.Drops == nil {
		s.Drops = map[string]uint64{}
	}
	o.add(s.Site, s.Sensor)
	o.time(s.Time)
	o.time(r.At.Time)
	o.add(offset, uuid.UUID(s.Run))
	o.time(s.Started)
	o.add(s.State, s.Version, names, down, s.Packets, s.Bytes, s.Flows, s.Observations, s.PacketsPerS, s.BytesPerS, s.FlowsPerS, s.KernelDrops(), s.OtherDrops(), s.Drops,
		s.SpoolRecords, s.SpoolBytes, age, s.ConfigVersion, s.ConfigError, string(r.Value), r.At.version())
	return nil
}

func readSensorEvent(o *row, r *Record) error {
	var v proto.SensorEvent
	if err := decode(r.Value, &v); err != nil {
		return err
	}
	if v.EventID.IsZero() {
		return errors.New("sensor event without event_id")
	}
	o.add(v.Site, v.Sensor)
	o.time(v.Time)
	o.add(uuid.UUID(v.EventID), v.What)
	o.time(v.Since)
	o.add(v.State)
	o.time(v.StateSince)
	o.add(v.Enrolled, uuid.UUID(v.Closes), v.Severity, v.Title, encode(v.Evidence))
	return nil
}

// SensorFilter selects sensors; empty fields select all.
type SensorFilter struct {
	Site, Sensor, State string
	Limit               int
}

// Sensors lists v_sensors: those that need somebody first.
func (s *Store) Sensors(ctx context.Context, f SensorFilter) (*Rows, error) {
	var w where
	w.equal("site", f.Site)
	w.equal("sensor", f.Sensor)
	w.equal("state", f.State)
	sql := "SELECT * FROM v_sensors" + w.sql() + " ORDER BY indexOf(['away', 'suspect', 'expected', 'stopping', 'up'], state), site, sensor" + w.limit(f.Limit)
	return s.list(ctx, sql, w.args)
}
