package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

const ourHospital = `
sites: [{site: ward-a, home: [10.41.8.0/24], buildings: [{building: Main, floors: [{floor: "3", departments: [{department: ICU}, {department: Lab}]}]}]}]
subnets:
  - {cidr: 10.41.8.0/25, building: Main, name: servers}
  - {cidr: 10.41.8.128/25, department: ICU}
  - {cidr: 10.50.0.0/24, site: ward-a, name: Lab}
roster:
  - {asset: A-1, mac: "00:01:e3:5d:31:01", owner: Radiology}
  - {asset: A-2, serial: gone}
  - {asset: A-2, serial: twice}
`

func TestContextCommand(t *testing.T) {
	good := tempFile(t, "hospital.yaml", ourHospital)
	bad := tempFile(t, "bad.yaml", ourHospital+"vlans: [{vlan: 1, bulding: Main}]\n")
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{"context", "check", good}, 0, "good: 1 site, 3 subnets, 0 VLANs", "hospital.yaml:10: roster: line 9 has the same asset"},
		{[]string{"context", "check", bad}, 1, "", `bad.yaml:11: unknown key "bulding"`},
		{[]string{"context", "check", "nowhere.yaml"}, 1, "", "nowhere.yaml"},
		{[]string{"context", "set", bad, "--by", "x"}, 1, "", "nothing was set"},
		{[]string{"context", "set", good}, 2, "", "--by"},
		{[]string{"context", "set", good, "--by", " "}, 2, "", "--by is empty"},
		{[]string{"replay", good, "--site", "x", "--out", t.TempDir(), "--context", bad}, 2, "", `bad.yaml:11: unknown key "bulding"`},
	} {
		r := runCLI(t, []string{"WARDFLOW_DATA_DIR=" + t.TempDir()}, "", c.args...)
		if r.code != c.code || !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.err) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

// What is set is what is in force, every partition has it, and nothing is said twice.
func TestContextIsPublished(t *testing.T) {
	kafka := testKafka(t, 2)
	var filler strings.Builder
	for i := range 20_000 { // more than one part
		filler.WriteString("# " + proto.HashID("x", []byte{byte(i), byte(i >> 8)}).String() + proto.HashID("y", []byte{byte(i), byte(i >> 8)}).String() + "\n")
	}
	for _, text := range []string{ourHospital, ourHospital, filler.String() + ourHospital, ourHospital} {
		if err := publishContext(t.Context(), kafka, "h.yaml", []byte(text), "a.meyer", "why"); err != nil {
			t.Fatal(err)
		}
		meta, have, err := publishedContext(t.Context(), kafka)
		if err != nil || meta == nil || meta.By != "a.meyer" || meta.Note != "why" || meta.Time == 0 || string(have) != text {
			t.Fatalf("%+v, %d bytes, %v; want %d bytes", meta, len(have), err, len(text))
		}
	}
	r, err := bus.NewReader(kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for partition := range kafka.Partitions {
		n := 0
		if _, err := r.Read(t.Context(), proto.TopicControl, partition, 0, func(rec bus.Record) error {
			if !rec.Control {
				n++
			}
			return nil
		}); err != nil || n < 4 || n > 6 {
			t.Errorf("partition %d has %d events, %v", partition, n, err)
		}
	}
}

// A capture and a context file give, twice, the same folder, which holds to the schema;
// coverage reads it.
func TestReplayWithContext(t *testing.T) {
	file := filepath.Join("..", "..", "testdata", "ward-a", "day.pcapng")
	hospital := tempFile(t, "hospital.yaml", ourHospital)
	var before string
	for range 2 {
		out := t.TempDir()
		if r := runCLI(t, nil, "", "replay", file, "--site", "ward-a", "--context", hospital, "--until", "2026-11-28T00:00:00Z", "--out", out); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		text, err := os.ReadFile(filepath.Join(out, "devices.jsonl"))
		if err != nil || before != "" && before != string(text) {
			t.Errorf("the second time it is another folder, %v", err)
		}
		before = string(text)
		if r := runCLI(t, nil, "", "replay", "--check", out); r.code != 0 {
			t.Errorf("%+v", r)
		}
		devices, err := results.Devices(out, "")
		if err != nil {
			t.Fatal(err)
		}
		placed, missing, asset := 0, 0, 0
		for _, d := range devices {
			if d.Place != nil && d.Place.Building == "Main" {
				placed++
			}
			if d.Lifecycle["state"] == proto.LifeMissing {
				missing++
			}
			if d.Asset != nil && d.Asset.AssetTag == "A-1" && d.Asset.Owner == "Radiology" {
				asset++
			}
		}
		if len(devices) < 10 || placed < len(devices)-2 || missing != len(devices) || asset != 1 {
			t.Errorf("of %d devices %d have a place, %d are missing, %d are the asset", len(devices), placed, missing, asset)
		}
		r := runCLI(t, nil, "", "coverage", "--from", out, "--context", hospital, "--format", "json")
		for _, want := range []string{`"unseen_networks":[{"cidr":"10.50.0.0/24"`, `"matched":1`, `"building":"Main"`, `"never_seen":[{"asset":"A-2"`, `"roster_problems":["`} {
			if !strings.Contains(r.out, want) {
				t.Errorf("coverage lacks %s: %+v", want, r)
			}
		}
	}
}
