package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// What the device fold says of places, lives and the inventory can be asked in SQL.
func TestLivesAndAssets(t *testing.T) {
	w := &ward{t: t, s: open(t, testConfig(t))}
	migrate(t, w.s)
	from := yesterday("07:30")
	placed := &proto.Device{
		DeviceID: pump, Site: "north", Gateway: proto.ID{77}, Category: &proto.Fact{Value: "medical"}, Type: &proto.Fact{Value: "infusion_pump"}, FirstSeen: from, LastSeen: from.Add(9 * time.Hour), Version: 1,
		Place:        &proto.Place{Site: "north", Building: "Main", Floor: "3", Department: "ICU", Room: "3.01", Source: "switch_port", Confidence: 0.95},
		Asset:        &proto.Asset{AssetTag: "A-1", Owner: "ICU", PurchaseCost: "900.00 EUR", MaintenanceDue: "2027-03-01", MatchedBy: "serial", Conflicts: proto.AssetConflicts{{Attribute: "mac", Roster: "a", Seen: "b"}}},
		EndOfSupport: &proto.EndOfSupport{Date: "2020-01-14", What: "Windows 7", Source: "Microsoft"},
		Lifecycle:    proto.Labels{"state": "missing", "since": from.Add(time.Hour).String(), "reason": "no packet for 7 days"},
		LifecycleEvents: proto.LifecycleEvents{
			{Time: from, Event: "online", Reason: "first packet"}, {Time: from.Add(time.Hour), Event: "missing", Reason: "no packet for 7 days"},
		},
	}
	w.record(store.Devices, noon, placed)
	w.record(store.Devices, noon, &proto.Device{DeviceID: pacs, Aliases: proto.IDs{{77}}, Site: "north", FirstSeen: from, LastSeen: from, Version: 2}) // as one that an earlier release wrote
	w.use(pump, from, from.Add(2*time.Hour), "in_use", "infusion")
	for sql, want := range map[string]string{
		"SELECT state, reason, dateDiff('minute', first_seen, since), building, floor, department, room, place_source FROM v_lifecycle WHERE device_id = '" + pump.String() + "'": "[[missing no packet for 7 days 60 Main 3 ICU 3.01 switch_port]]",
		"SELECT state, since, building FROM v_lifecycle WHERE device_id = '" + pacs.String() + "'":                                                                                "[[ <nil> ]]",
		"SELECT event, reason, by, type FROM v_lifecycle_events ORDER BY time":                                                                                                    "[[online first packet  infusion_pump] [missing no packet for 7 days  infusion_pump]]",
		"SELECT asset_tag, owner, purchase_cost, toString(maintenance_due), warranty_end, matched_by, conflicts[1].2, toString(end_of_support), end_of_support_of FROM v_assets":  "[[A-1 ICU 900.00 EUR 2027-03-01 <nil> serial a 2020-01-14 Windows 7]]",
		"SELECT count() FROM v_devices WHERE end_of_support < today() AND life_state = 'missing' AND department = 'ICU'":                                                          "[[1]]",
		"SELECT gateway FROM v_devices ORDER BY device_id = '" + pump.String() + "'":                                                                                              fmt.Sprintf("[[<nil>] [%s]]", pacs), // what its gateway has become
		"SELECT grouped_by, value, devices, in_use_h_day FROM v_utilisation_groups WHERE grouped_by IN ('building', 'department') ORDER BY 1":                                     "[[building Main 1 2] [department ICU 1 2]]",
		"SELECT department, in_use_h_day FROM v_utilisation ORDER BY 1":                                                                                                           "[[ 0] [ICU 2]]",
	} {
		if got := fmt.Sprint(rows(t, w.s, sql)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", sql, got, want)
		}
	}
}
