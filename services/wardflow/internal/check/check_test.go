package check

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto/schema"
)

const (
	id1    = "00000000000000000000000000000001"
	id2    = "00000000000000000000000000000002"
	t1     = "2026-11-17T00:00:01.000000000Z"
	t2     = "2026-11-17T00:00:02.000000000Z"
	usage1 = `{"device_id":"` + id1 + `","start":"` + t1 + `","end":"` + t2 + `","state":"idle","kind":"","outcome":"","how":"inferred","confidence":0.5}`
	usage2 = `{"device_id":"` + id2 + `","start":"` + t1 + `","end":"` + t2 + `","state":"in_use","kind":"exam","outcome":"completed","how":"decoded","confidence":1,"more":[1]}`
	risk   = `{"time":"` + t1 + `","device_id":"` + id1 + `","score":10,"tier":"low","likelihood":0.1,"impact":1,"factors":[{"name":"a","value":0.1,"share":1,"why":"","evidence":[]}],"framework":"x","version":1,"cause":""}`
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range schema.Files() {
		text := ""
		if !f.Lines {
			text = `{"packets":1,"bytes":60,"flows":0,"seconds":0,"drops":{"malformed":1}}`
		}
		if given, ok := files[f.Name]; ok {
			text = given
		}
		if text == "none" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDir(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"empty files": {},
		"good lines":  {files: map[string]string{"usage.jsonl": usage1 + "\n" + usage2 + "\n", "risk.jsonl": risk + "\n"}},
		"missing file": {
			files: map[string]string{"risk.jsonl": "none", "summary.json": "none"},
			want:  []string{"risk.jsonl: is missing; all files always exist", "summary.json: is missing; all files always exist"},
		},
		"not sorted": {
			files: map[string]string{"usage.jsonl": usage2 + "\n" + usage1 + "\n"},
			want:  []string{"usage.jsonl:2: is not sorted by start, device_id: it comes before the line above"},
		},
		"versions sort as numbers": {files: map[string]string{"risk.jsonl": strings.Replace(risk, `"version":1`, `"version":9`, 1) + "\n" + strings.Replace(risk, `"version":1`, `"version":10`, 1) + "\n"}},
		"several problems of a line": {
			files: map[string]string{"usage.jsonl": strings.NewReplacer("idle", "broken", "0.5", "1.5", `"end":"`+t2, `"end":"2026-11-17 00:00`).Replace(usage1) + "\n"},
			want:  []string{"usage.jsonl:1: confidence: maximum:", "usage.jsonl:1: end: '2026-11-17 00:00' does not match pattern", "usage.jsonl:1: state: value must be one of"},
		},
		"missing key": {
			files: map[string]string{"usage.jsonl": strings.Replace(usage1, `"kind":"",`, "", 1) + "\n"},
			want:  []string{"usage.jsonl:1: missing property 'kind'"},
		},
		"order of keys": {
			files: map[string]string{"usage.jsonl": strings.Replace(usage1, `"kind":"","outcome":""`, `"outcome":"","kind":""`, 1) + "\n" + strings.Replace(usage2, `"confidence":1,"more":[1]`, `"more":[1],"confidence":1`, 1) + "\n"},
			want:  []string{"usage.jsonl:1: key kind is number 6, not 5", "usage.jsonl:2: key confidence is number 9, not 8"},
		},
		"order of keys below": {
			files: map[string]string{"risk.jsonl": strings.Replace(risk, `"name":"a","value":0.1`, `"value":0.1,"name":"a"`, 1) + "\n"},
			want:  []string{"risk.jsonl:1: key name of factors[0] is number 2, not 1"},
		},
		"key twice": {
			files: map[string]string{"usage.jsonl": strings.Replace(usage1, `0.5`, `0.5,"state":"idle"`, 1) + "\n"},
			want:  []string{"usage.jsonl:1: key state is there twice", "usage.jsonl:1: key state is number 9, not 4"},
		},
		"no JSON": {
			files: map[string]string{"usage.jsonl": usage1 + "\n\n[1]\n{\n" + usage2 + " {}\n"},
			want:  []string{"usage.jsonl:2: no JSON object:", "usage.jsonl:3: no JSON object: it is another kind of value", "usage.jsonl:4: no JSON object:", "usage.jsonl:5: no JSON object: invalid character '{' after top-level value"},
		},
		"cut file": {
			files: map[string]string{"usage.jsonl": usage1 + "\n" + usage2[:40]},
			want:  []string{"usage.jsonl:2: the last line does not end; the file is cut", "usage.jsonl:2: no JSON object:"},
		},
		"summary": {
			files: map[string]string{"summary.json": `{"bytes":1,"packets":-1,"flows":0,"seconds":0,"drops":{"a":1.5}}`},
			want:  []string{"summary.json:1: key packets is number 2, not 1", "summary.json:1: drops.a: got number, want integer", "summary.json:1: packets: minimum:"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			if _, err := Dir(folder(t, tt.files), func(p Problem) { got = append(got, p.String()) }); err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tt.want) || !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestNoFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dir(filepath.Join(dir, "none"), nil); err == nil {
		t.Error("no error")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(file, nil); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("error %v", err)
	}
}

// FuzzParse: the fast reader and encoding/json see the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{usage1, risk, `{"a":[{"b":null},true,-1.5e3,"x\\\"\\u00e9\\\\"],"":{}}`, "{\"a\": \"\xff\" }", `[]`, `{"a":1}x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		var want map[string]any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		wantErr := d.Decode(&want)
		if err != nil || wantErr != nil || want == nil {
			if err == nil {
				t.Fatalf("%q is an object, encoding/json says %v", b, wantErr)
			}
			return
		}
		if got := v.plain(); !reflect.DeepEqual(got, any(want)) {
			t.Fatalf("%q is %v, encoding/json says %v", b, got, want)
		}
	})
}
