package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

func sensorRow(t *testing.T, s *store.Store, table string, offset int64, sent proto.Time, v any) {
	t.Helper()
	b, err := store.NewRecordBlock(table)
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add(&store.Record{Value: value, Sent: sent, Envelope: proto.Envelope{Time: noon}, At: *at(1, offset, 0)}); err != nil {
		t.Fatal(err)
	}
	insert(t, s, &b.Block, fmt.Sprint(table, offset))
}

// The latest status and the latest event of each sensor make its row, whichever of them there is.
func TestSensors(t *testing.T) {
	s := migrated(t)
	arrived := at(1, 0, 0).Time
	st := proto.SensorStatus{
		Time: arrived.Add(time.Hour), Site: "north", Sensor: "tap-1", Run: proto.ID{1}, Started: noon, State: proto.SensorUp, Version: "1.0",
		Interfaces: []proto.SensorInterface{{Name: "eth0", Up: true, KernelDrops: 5}, {Name: "eth1", KernelDrops: 5}}, Packets: 90, Flows: 3,
		PacketsPerS: 12.5, FlowsPerS: 0.5, Drops: map[string]uint64{"memory": 10}, SpoolRecords: 2, SpoolBytes: 99, SpoolOldest: arrived.Add(time.Hour - 90*time.Second), ConfigVersion: 4,
	}
	old := st
	old.Packets, old.Version = 1, "0.9"
	sensorRow(t, s, store.Sensors, 1, 0, &old)
	sensorRow(t, s, store.Sensors, 2, arrived.Add(3*time.Second), &st)
	heard := proto.SensorStatus{Site: "north", Sensor: "tap-2", Run: proto.ID{2}, State: proto.SensorStopping}
	sensorRow(t, s, store.Sensors, 3, 0, &heard)
	event := proto.SensorEvent{Time: noon, EventID: proto.ID{7}, Site: "north", Sensor: "tap-1", What: "away", State: proto.SensorAway, StateSince: noon, Since: noon, Severity: "high", Title: "away", Evidence: proto.Object{"a": 1}}
	sensorRow(t, s, store.SensorEvents, 4, 0, &event)
	event.EventID, event.What, event.Closes, event.State, event.Enrolled = proto.ID{8}, "back", proto.ID{7}, proto.SensorUp, true
	sensorRow(t, s, store.SensorEvents, 5, 0, &event)
	sensorRow(t, s, store.SensorEvents, 6, 0, &event) // told again: one event all the same
	event.EventID, event.Sensor, event.What, event.State, event.Closes = proto.ID{9}, "tap-3", "enrolled", proto.SensorExpected, proto.ID{}
	sensorRow(t, s, store.SensorEvents, 7, 0, &event)

	r, err := s.Sensors(t.Context(), store.SensorFilter{})
	if got := fmt.Sprint(column(t, r, err, "sensor")); got != "[tap-3 tap-2 tap-1]" {
		t.Errorf("sensors %s", got)
	}
	for sensor, want := range map[string]map[string]any{
		"tap-1": {
			"state": "up", "enrolled": true, "version": "1.0", "clock_offset_s": 3.0, "packets": uint64(90), "packets_per_s": 12.5, "kernel_drops": uint64(10), "kernel_drop_share": 0.1,
			"other_drop_share": 0.1, "interfaces": []any{"eth0", "eth1"}, "interfaces_down": []any{"eth1"}, "spool_age_s": 90.0, "config_version": uint64(4), "run": proto.ID{1}.String(),
			"last_seen": arrived.String(), "drops": map[string]any{"memory": uint64(10)},
		},
		"tap-2": {"state": "stopping", "enrolled": false},
		"tap-3": {"state": "expected", "enrolled": true, "last_seen": nil, "clock_offset_s": nil, "run": nil, "interfaces": []any{}},
	} {
		got := first(t, s, "SELECT * FROM v_sensors WHERE sensor = ?", sensor)
		for k, v := range want {
			if fmt.Sprintf("%T %v", got[k], got[k]) != fmt.Sprintf("%T %v", v, v) {
				t.Errorf("%s: %s is %T %v, want %T %v", sensor, k, got[k], got[k], v, v)
			}
		}
	}
	events := rows(t, s, "SELECT sensor, what, closes FROM v_sensor_events ORDER BY event_id")
	want := "[[tap-1 away <nil>] [tap-1 back " + proto.ID{7}.String() + "] [tap-3 enrolled <nil>]]"
	if got := fmt.Sprint(events); got != want {
		t.Errorf("events %s, want %s", got, want)
	}
}

// What stands in the field writes statuses: what is none is refused.
func TestStatusThatIsNone(t *testing.T) {
	b, err := store.NewRecordBlock(store.Sensors)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{}`, `{"site":"a","sensor":"b/c","run":"01000000000000000000000000000000","state":"up"}`, `{"site":"a","sensor":"b","run":"01000000000000000000000000000000","state":"away"}`} {
		if err := b.Add(&store.Record{Value: []byte(bad), At: *at(0, 0, 0)}); err == nil || b.Len() != 0 {
			t.Errorf("%s is taken", bad)
		}
	}
}
