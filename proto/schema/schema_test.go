package schema_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/proto/schema"
)

// keys gives the keys of a JSON object in order.
func keys(t *testing.T, b []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for d.More() {
		k, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		name, ok := k.(string)
		if !ok {
			t.Fatalf("key %v", k)
		}
		out = append(out, name)
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestMessagesHaveTheSchemasKeys: the structs that services exchange print the
// keys that the schemas require, in their order, and none that is not listed.
func TestMessagesHaveTheSchemasKeys(t *testing.T) {
	for name, v := range map[string]any{
		"flows": proto.Flow{}, "observations": proto.Observation{}, "devices": proto.Device{}, "detections": proto.Detection{}, "risk": proto.Risk{},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := schema.Text(name + ".schema.json")
			if err != nil {
				t.Fatal(err)
			}
			var s struct {
				Required   []string
				Properties map[string]any
				Sort       []string `json:"x-sort"`
			}
			if err := json.Unmarshal(text, &s); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			got := keys(t, b)
			if len(got) < len(s.Required) || !slices.Equal(got[:len(s.Required)], s.Required) {
				t.Errorf("keys\n%q\nthe schema requires\n%q", got, s.Required)
			}
			for _, k := range got {
				if s.Properties[k] == nil {
					t.Errorf("key %s is not in the schema", k)
				}
			}
			for _, k := range append(s.Sort, s.Required...) {
				if s.Properties[k] == nil {
					t.Errorf("the schema requires or sorts by %s, which it does not describe", k)
				}
			}
			if len(s.Sort) < 2 {
				t.Errorf("sorted by %q", s.Sort)
			}
		})
	}
}

func TestFilesListsEverySchema(t *testing.T) {
	var listed []string
	for _, f := range schema.Files() {
		listed = append(listed, f.Schema)
		if _, err := schema.Text(f.Schema); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"flows", "observations", "devices", "usage", "detections", "findings", "risk", "summary"} {
		if !slices.Contains(listed, name+".schema.json") {
			t.Errorf("%s is missing", name)
		}
	}
	if _, err := schema.Text("none.schema.json"); err == nil {
		t.Error("no error for a schema that is not there")
	}
}
