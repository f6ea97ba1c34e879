package anomaly

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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

// schema is as much of OCSF's as is needed to check an event: which attributes an
// object has, which it must have, and of which object each is.
type schema struct {
	files      map[string]map[string]any
	dictionary map[string]any
}

func readSchema(t *testing.T) *schema {
	f, err := os.Open(repotest.Shared(t, "data/ocsf-schema-1.8.0.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	s := &schema{files: map[string]map[string]any{}}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") {
			continue
		}
		var v map[string]any
		if err := json.NewDecoder(r).Decode(&v); err != nil {
			continue // not all are objects
		}
		name := strings.TrimPrefix(h.Name, "./")
		s.files[name] = v
		if strings.HasSuffix(name, "dictionary.json") && !strings.Contains(name, "extensions") {
			s.dictionary, _ = v["attributes"].(map[string]any)
		}
	}
	return s
}

// attributes gathers an object's attributes with those that it extends or includes.
func (s *schema) attributes(file string) (map[string]map[string]any, error) {
	v := s.files[file]
	if v == nil {
		return nil, fmt.Errorf("%s is not in the schema", file)
	}
	out := map[string]map[string]any{}
	if base, ok := v["extends"].(string); ok {
		top, _, _ := strings.Cut(file, "/")
		for name := range s.files {
			if strings.HasPrefix(name, top+"/") && strings.HasSuffix(name, "/"+base+".json") && !strings.Contains(name, "extensions/") && !strings.Contains(name, "profiles/") {
				inherited, err := s.attributes(name)
				if err != nil {
					return nil, err
				}
				maps.Copy(out, inherited)
			}
		}
	}
	own, _ := v["attributes"].(map[string]any)
	for name, a := range own {
		if name == "$include" {
			list, _ := a.([]any)
			for _, x := range list {
				inc, _ := s.files[fmt.Sprint(x)]["attributes"].(map[string]any)
				for n, b := range inc {
					if m, ok := b.(map[string]any); ok && out[n] == nil {
						m = maps.Clone(m)
						delete(m, "requirement") // of a profile: holds only where the profile is applied
						out[n] = m
					}
				}
			}
			continue
		}
		m, _ := a.(map[string]any)
		merged := map[string]any{}
		maps.Copy(merged, out[name])
		maps.Copy(merged, m)
		out[name] = merged
	}
	return out, nil
}

func (s *schema) check(path, file string, v map[string]any) (wrong []string) {
	attributes, err := s.attributes(file)
	if err != nil {
		return []string{err.Error()}
	}
	for name, a := range attributes {
		if a["requirement"] == "required" && v[name] == nil {
			wrong = append(wrong, path+"."+name+" is required")
		}
	}
	for name, x := range v {
		if attributes[name] == nil {
			wrong = append(wrong, path+"."+name+" is no attribute of "+file)
			continue
		}
		d, _ := s.dictionary[name].(map[string]any)
		kind, _ := d["type"].(string)
		object := "objects/" + strings.TrimSuffix(kind, "_t") + ".json"
		list, ok := x.([]any)
		if !ok {
			list = []any{x}
		}
		for _, e := range list {
			if m, ok := e.(map[string]any); ok && s.files[object] != nil && kind != "object" {
				wrong = append(wrong, s.check(path+"."+name, object, m)...)
			}
		}
		if enum, ok := attributes[name]["enum"].(map[string]any); ok {
			if n, ok := x.(float64); ok && enum[fmt.Sprint(int(n))] == nil && name != "type_uid" && name != "class_uid" && name != "category_uid" {
				wrong = append(wrong, fmt.Sprintf("%s.%s has no value %v", path, name, n))
			}
		}
	}
	return wrong
}

// TestAlertsAreOCSF checks every kind of alert against the schema.
func TestAlertsAreOCSF(t *testing.T) {
	s := readSchema(t)
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
		for _, w := range s.check("alert", "events/findings/detection_finding.json", v) {
			t.Error(w)
		}
		var f ocsfFinding
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

// TestCheckFindsWrongAlerts: the check above can fail.
func TestCheckFindsWrongAlerts(t *testing.T) {
	s := readSchema(t)
	wrong := s.check("alert", "events/findings/detection_finding.json", map[string]any{
		"activity_id": 77.0, "nonsense": 1.0, "finding_info": map[string]any{"title": "no uid", "analytic": map[string]any{"name": "x"}},
	})
	for _, want := range []string{"alert.metadata is required", "alert.nonsense is no attribute", "alert.finding_info.uid is required", "alert.finding_info.analytic.type_id is required"} {
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("%q is not found: %q", want, wrong)
		}
	}
}
