package anomaly

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/ocsf"
	"github.com/wardflow/wardflow/pkg/ocsf/ocsftest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// TestTechniques holds every ATT&CK id and name that we may emit to the release.
func TestTechniques(t *testing.T) {
	b, err := os.ReadFile(repotest.Shared(t, "data/attack-18.1-techniques-compact.json"))
	if err != nil {
		t.Fatal(err)
	}
	var release map[string]json.RawMessage
	if err := json.Unmarshal(b, &release); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, domain := range []string{"enterprise-attack", "ics-attack"} {
		var list []struct{ ID, Name string }
		if err := json.Unmarshal(release[domain], &list); err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			names[x.ID] = x.Name
		}
	}
	used := []string{"T1048.003", "T1071"}
	for _, r := range rules {
		used = append(used, r.attack...)
	}
	used = append(used, slices.Collect(maps.Values(remote))...)
	for _, id := range used {
		if techniques()[id] == "" {
			t.Errorf("%s has no name in attack.json", id)
		}
	}
	for id, name := range techniques() {
		if names[id] != name {
			t.Errorf("%s is %q in attack.json and %q in ATT&CK %s", id, name, names[id], attackVersion)
		}
	}
}

// TestAlertsAreOCSF checks every kind of alert against the schema.
func TestAlertsAreOCSF(t *testing.T) {
	s := ocsftest.Read(t)
	l := newSite(t, proto.Policy{LearningPeriodS: 24 * 3600})
	l.flow(flow(1, 2, 80, noon))
	for i := range 20 {
		l.flow(outside(flow(1, 2, 515, noon.Add(30*time.Hour)), "203.0.113.9"))
		l.flow(flow(1, 3, 22, noon.Add(30*time.Hour)))
		l.flow(probe(1, 4, uint16(i), noon.Add(30*time.Hour)))
	}
	alerts := slices.Concat(l.alerts, monitor(t, proto.Policy{LearningPeriodS: 24 * 3600}, 1, 10*time.Hour, nil).alerts)
	seen := map[string]bool{}
	for _, a := range alerts {
		var v map[string]any
		if err := json.Unmarshal(a, &v); err != nil {
			t.Fatal(err)
		}
		for _, w := range s.Check(v) {
			t.Error(w)
		}
		var f ocsf.Finding
		if err := json.Unmarshal(a, &f); err != nil {
			t.Fatal(err)
		}
		if f.ClassUID != 2004 || f.CategoryUID != 2 || f.TypeUID != 200400+f.ActivityID {
			t.Errorf("class %d, category %d, type %d", f.ClassUID, f.CategoryUID, f.TypeUID)
		}
		seen[f.FindingInfo.Analytic.Name] = true
		if f.FindingInfo.UID == "" || f.FindingInfo.Desc == "" || f.FindingInfo.Title == "" {
			t.Errorf("%s", a)
		}
	}
	for _, r := range rules {
		if !seen[r.name] {
			t.Errorf("no alert of %s was checked", r.name)
		}
	}
}
