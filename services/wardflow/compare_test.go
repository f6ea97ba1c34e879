package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
)

// table is rows by id, each as canonical JSON of the columns that are compared.
type table map[string]string

// compared says which columns of which file and view must be equal.
var compared = []struct {
	file, view, key string
	columns         string
}{
	{"flows.jsonl", "v_flows", "flow_id part", "flow_id part final start end transport src_ip src_port src_mac src_packets src_bytes src_payload_bytes dst_ip dst_port dst_mac dst_packets dst_bytes dst_payload_bytes vlan state protocol protocol_by protocol_inner community_id src_device dst_device duplicate_of_sensor"},
	{"observations.jsonl", "v_observations", "observation_id", "time observation_id flow_id device protocol kind attributes"},
	{"devices.jsonl", "v_devices", "device_id", "record"},
	{"detections.jsonl", "v_detections", "detection_id", "time detection_id rule title severity device_id targets attack evidence count first last"},
	{"risk.jsonl", "v_risk_history", "device_id version", "time device_id score tier likelihood impact factors framework version cause"},
}

// whose are the columns that say which device a row was of. Of devices that say the same
// of themselves in the same second that depends, while they are told apart, on what is
// heard first (DESIGN.md, Which endpoints are one); so do the scores of then.
var whose = map[string]bool{"src_device": true, "dst_device": true, "device": true, "device_id": true}

// alike blanks whose a row was.
func (t table) alike(tb testing.TB) table {
	tb.Helper()
	out := table{}
	for k, text := range t {
		var row map[string]any
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			tb.Fatal(err)
		}
		for c := range whose {
			delete(row, c)
		}
		b, err := json.Marshal(row)
		if err != nil {
			tb.Fatal(err)
		}
		out[k] = string(b)
	}
	return out
}

// replay gives what the same files come to without broker and database.
func (w *world) replay(site string, files ...string) map[string]table {
	w.t.Helper()
	key := site + strings.Join(files, ",")
	if r := w.replays[key]; r != nil {
		return r
	}
	out := filepath.Join(w.t.TempDir(), "replay")
	context := filepath.Join(w.t.TempDir(), "context.yaml")
	if err := os.WriteFile(context, []byte("policy:\n  "+site+": {"+policyOfDay+"}\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	args := append([]string{"replay"}, files...)
	args = append(args, "--site", site, "--out", out, "--sensor", "local", "--context", context)
	cmd := exec.Command(w.bin, args...)
	if b, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("replay: %v\n%s", err, b)
	}
	r := map[string]table{}
	for _, c := range compared {
		r[c.file] = w.readLines(filepath.Join(out, c.file), c.key, c.columns)
	}
	w.replays[key] = r
	return r
}

func (w *world) readLines(path, key, columns string) table {
	w.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	t := table{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var row map[string]any
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			w.t.Fatal(err)
		}
		if columns == "record" {
			row["record"] = cloned(row)
		}
		t.add(w.t, row, key, columns)
	}
	if err := sc.Err(); err != nil {
		w.t.Fatal(err)
	}
	return t
}

func cloned(row map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range row {
		out[k] = v
	}
	return out
}

func (t table) add(tb testing.TB, row map[string]any, key, columns string) {
	tb.Helper()
	var id []string
	for k := range strings.FieldsSeq(key) {
		id = append(id, fmt.Sprint(row[k]))
	}
	pick := map[string]any{}
	for c := range strings.FieldsSeq(columns) {
		pick[c] = canonical(row[c])
	}
	b, err := json.Marshal(pick)
	if err != nil {
		tb.Fatal(err)
	}
	k := strings.Join(id, "/")
	for n := 2; t[k] != ""; n++ { // a second row of the same id is a difference of its own
		k = fmt.Sprintf("%s #%d", strings.Join(id, "/"), n)
	}
	t[k] = string(b)
}

// canonical makes values of JSON lines and of ClickHouse alike: times without T
// and Z, fractions to nine digits, JSON in text unpacked.
func canonical(v any) any {
	switch v := v.(type) {
	case float64:
		return math.Round(v*1e9) / 1e9
	case string:
		if strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
			var in any
			if json.Unmarshal([]byte(v), &in) == nil {
				return canonical(in)
			}
		}
		if ts, err := time.Parse(time.RFC3339Nano, v); err == nil && strings.HasSuffix(v, "Z") {
			return ts.UTC().Format("2006-01-02 15:04:05.000000000")
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = canonical(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if k == "version" || k == "endpoints" {
				continue // of a device's record: counts updates, which depend on batching
			}
			out[k] = canonical(x)
		}
		return out
	}
	return v
}

// stored gives what ClickHouse has of a site.
func (w *world) stored(ctx context.Context, site, view, key, columns string) (table, error) {
	var list []string
	seen := map[string]bool{}
	for c := range strings.FieldsSeq(key + " " + columns) {
		if !seen[c] {
			seen[c] = true
			list = append(list, c)
		}
	}
	sql := fmt.Sprintf("SELECT formatRowNoNewline('JSONEachRow', %s) FROM %s WHERE site = ? SETTINGS output_format_json_quote_64bit_integers = 0", strings.Join(list, ", "), view)
	rows, err := w.store.Query(ctx, sql, site)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	t := table{}
	for rows.Next() {
		vals, err := rows.Values()
		if err != nil {
			return nil, err
		}
		var row map[string]any
		if err := json.Unmarshal([]byte(fmt.Sprint(vals[0])), &row); err != nil {
			return nil, err
		}
		t.add(w.t, row, key, columns)
	}
	return t, rows.Err()
}

// differences compares a site's rows with what replay says.
func (w *world) differences(ctx context.Context, site string, want map[string]table) ([]string, error) {
	var diff []string
	for _, c := range compared {
		got, err := w.stored(ctx, site, c.view, c.key, c.columns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.view, err)
		}
		there := want[c.file]
		if w.lookalikes {
			switch c.file {
			case "risk.jsonl":
				continue
			case "devices.jsonl": // as they stand in the end they are the same
			default:
				got, there = got.alike(w.t), there.alike(w.t)
			}
		}
		diff = append(diff, compare(c.view, got, there)...)
	}
	more, err := w.rollupDifferences(ctx, site)
	return append(diff, more...), err
}

func compare(name string, got, want table) []string {
	var diff []string
	for _, k := range sortedKeys(want) {
		switch g, ok := got[k]; {
		case !ok:
			diff = append(diff, fmt.Sprintf("%s: lacks %s", name, k))
		case g != want[k]:
			diff = append(diff, fmt.Sprintf("%s: %s differs\n  got  %s\n  want %s", name, k, g, want[k]))
		}
	}
	for _, k := range sortedKeys(got) {
		if _, ok := want[k]; !ok {
			diff = append(diff, fmt.Sprintf("%s: has %s too", name, k))
		}
	}
	return diff
}

// rollupDifferences holds the hourly rows against the raw ones.
func (w *world) rollupDifferences(ctx context.Context, site string) ([]string, error) {
	q := func(sql string) (string, error) {
		rows, err := w.store.Query(ctx, sql, site)
		if err != nil {
			return "", err
		}
		defer rows.Close()
		if !rows.Next() {
			return "", rows.Err()
		}
		v, err := rows.Values()
		return fmt.Sprint(v...), err
	}
	// Hours follow a part's end, as folds apply a part when it ends.
	raw, err := q("SELECT toString((countIf(part = 0), sum(src_packets), sum(src_bytes), sum(dst_packets), sum(dst_bytes))) FROM v_flows WHERE site = ? AND (src_endpoint IS NOT NULL OR dst_endpoint IS NOT NULL)")
	if err != nil {
		return nil, err
	}
	pairs, err := q("SELECT toString((sum(flows), sum(src_packets), sum(src_bytes), sum(dst_packets), sum(dst_bytes))) FROM v_pairs WHERE site = ?")
	if err != nil {
		return nil, err
	}
	if raw != pairs {
		return []string{fmt.Sprintf("v_pairs adds up to %s, the flows to %s", pairs, raw)}, nil
	}
	return nil, nil
}

// settle waits until a site's rows are what replay says, and fails when they do
// not become so.
func (w *world) settle(site string, within time.Duration, files ...string) {
	w.t.Helper()
	want := w.replay(site, files...)
	if len(want["flows.jsonl"]) == 0 || len(want["devices.jsonl"]) == 0 {
		w.t.Fatal("the replay found nothing: this test would pass on nothing")
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	var diff []string
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 20*time.Second) // a query that a killed server never answers must not use up the test
		d, err := w.differences(try, site, want)
		cancel()
		if err == nil && len(d) == 0 {
			return
		}
		if err == nil {
			diff = d
		} else if ctx.Err() == nil {
			diff = []string{err.Error()}
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	w.t.Errorf("site %s: %d differences to replay after %s", site, len(diff), within)
	for _, d := range diff[:min(len(diff), 12)] {
		w.t.Log(d)
	}
	w.explain()
}

// explain says how far each group is, which tells where missing rows got stuck.
func (w *world) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	lags, err := bus.Lags(ctx, w.engines.Kafka, consumerGroups())
	w.t.Logf("lags: %v %v", lags, err)
}
