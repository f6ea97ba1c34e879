package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
)

// A plan names what Migrate would do and does none of it; after Migrate it is empty.
func TestPlanChangesNothing(t *testing.T) {
	s := open(t, testConfig(t))
	plan, err := s.Plan(t.Context())
	if err != nil || len(plan.Statements) < len(store.Tables())+len(store.Views()) {
		t.Fatalf("%d statements, %v", len(plan.Statements), err)
	}
	if again, err := s.Plan(t.Context()); err != nil || len(again.Statements) != len(plan.Statements) {
		t.Errorf("planning changed something: %d statements, then %d, %v", len(plan.Statements), len(again.Statements), err)
	}
	migrate(t, s)
	if plan, err = s.Plan(t.Context()); err != nil || len(plan.Statements) != 0 {
		t.Errorf("after the migration: %q, %v", plan.Statements, err)
	}
	exec(t, s, "ALTER TABLE flows DROP COLUMN vlan_inner")
	plan, err = s.Plan(t.Context())
	if err != nil || len(plan.Statements) != 1 || !strings.Contains(plan.Statements[0], "vlan_inner") {
		t.Errorf("a column is missing: %q, %v", plan.Statements, err)
	}
}

func TestInspectTellsOfTheServer(t *testing.T) {
	s := migrated(t)
	i, err := s.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i.Version == "" || i.User == "" || time.Since(i.Now).Abs() > time.Minute || !i.Granted["INSERT"] || len(i.Disks) == 0 || len(i.ReadOnly) > 0 {
		t.Errorf("%+v", i)
	}
	if i.Analyst == nil || !*i.Analyst {
		t.Errorf("the analyst: %v", i.Analyst)
	}
}

func TestTermsOfTables(t *testing.T) {
	kept := map[string]string{store.Flows: "clickhouse.retention.days", store.Detections: "clickhouse.retention.rollup_days", store.Devices: ""}
	for _, table := range store.Tables() {
		if want, ok := kept[table.Name]; ok && table.Kept() != want {
			t.Errorf("%s is kept for %q, want %q", table.Name, table.Kept(), want)
		}
	}
}
