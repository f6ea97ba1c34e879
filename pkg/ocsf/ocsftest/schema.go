// Package ocsftest holds alerts to the OCSF schema in tests: every attribute is
// known, the required ones are there, and enumerations have the value.
//
// Only tests may import it. The schema is not ours and is read from where
// pkg/repotest finds shared data.
package ocsftest

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// Schema is as much of OCSF's as is needed to check an event: which attributes an
// object has, which it must have, and of which object each is.
type Schema struct {
	files      map[string]map[string]any
	dictionary map[string]any
}

// Read reads the schema; without it the test is skipped.
func Read(t testing.TB) *Schema {
	t.Helper()
	f, err := os.Open(repotest.Shared(t, "data/ocsf-schema-1.8.0.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	s := &Schema{files: map[string]map[string]any{}}
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
func (s *Schema) attributes(file string) (map[string]map[string]any, error) {
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

// Check gives all that is wrong with a Detection Finding, as it was decoded from JSON.
func (s *Schema) Check(alert map[string]any) []string {
	return s.check("alert", "events/findings/detection_finding.json", alert)
}

func (s *Schema) check(path, file string, v map[string]any) (wrong []string) {
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
