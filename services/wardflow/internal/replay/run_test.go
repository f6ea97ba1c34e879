package replay

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/proto/schema"
	"github.com/wardflow/wardflow/services/anomaly"
	"github.com/wardflow/wardflow/services/fingerprint"
)

func realFolds() []stream.Fold {
	return append(fingerprint.Folds(fingerprint.Config{}), anomaly.New(anomaly.Config{}))
}

func replayed(t *testing.T, o Options) *Result {
	t.Helper()
	o.Site = "ward"
	res, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func files(paths ...string) (list []File) {
	for _, p := range paths {
		list = append(list, File{Path: p})
	}
	return list
}

func TestFilesAreMergedByTime(t *testing.T) {
	a := pcap(t, datagram{0, "10.0.0.1", "10.0.0.9", 53}, datagram{20 * time.Second, "10.0.0.1", "10.0.0.9", 53})
	b := pcap(t, datagram{10 * time.Second, "10.0.0.1", "10.0.0.9", 53})
	res := replayed(t, Options{Files: files(a, b), Folds: []stream.Fold{&probe{}}})
	s := res.Summary
	if len(res.Flows) != 1 || res.Flows[0].SrcPackets != 3 || !res.Flows[0].Final || res.Flows[0].Sensor != DefaultSensor || res.Flows[0].Site != "ward" {
		t.Errorf("flows %+v", res.Flows)
	}
	if s.Packets != 3 || s.Bytes != 3*46 || s.Flows != 1 || s.Seconds != 20 || s.FlowParts != 1 || len(s.Drops) < 10 {
		t.Errorf("summary %+v", s)
	}
}

func TestSensors(t *testing.T) {
	a := pcap(t, datagram{0, "10.0.0.1", "10.0.0.9", 53}, datagram{time.Second, "10.0.0.1", "10.0.0.9", 53})
	b := pcap(t, datagram{0, "10.0.0.1", "10.0.0.9", 53}, datagram{3 * time.Hour, "10.0.0.2", "10.0.0.9", 53})
	p := &probe{}
	res := replayed(t, Options{Files: []File{{Path: a}, {Path: b, Sensor: "core"}}, Folds: []stream.Fold{p}})
	var got []string
	for _, f := range res.Flows {
		got = append(got, f.Sensor+" "+f.SrcIP.String())
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"core 10.0.0.1", "core 10.0.0.2", "replay 10.0.0.1"}) {
		t.Errorf("flows %q", got)
	}
	// The sensor whose file ends early must not hold event time back.
	if len(res.Detections) != 1 || res.Detections[0].Time != day.Add(time.Hour) && res.Detections[0].Time != day.Add(time.Hour+time.Second) {
		t.Errorf("detections %+v", res.Detections)
	}
	if !slices.Equal(p.beats, []proto.Time{day.Add(3 * time.Hour), day.Add(3 * time.Hour)}) {
		t.Errorf("ends at %v", p.beats)
	}
}

func TestUntil(t *testing.T) {
	f := pcap(t, datagram{0, "10.0.0.1", "10.0.0.9", 53})
	for _, tt := range []struct {
		until proto.Time
		want  int
	}{{0, 0}, {day.Add(59 * time.Minute), 0}, {day.Add(time.Hour), 1}, {day.Add(-time.Hour), 0}} {
		var notes []string
		res := replayed(t, Options{Files: files(f), Until: tt.until, Folds: []stream.Fold{&probe{}}, Note: func(s string, _ ...any) { notes = append(notes, s) }})
		if len(res.Detections) != tt.want || res.Flows[0].End != day {
			t.Errorf("until %v: %d detections, flow ends %v", tt.until, len(res.Detections), res.Flows[0].End)
		}
		if early := tt.until != 0 && tt.until < day; early != (len(notes) == 1) {
			t.Errorf("until %v: notes %q", tt.until, notes)
		}
	}
}

func TestLearning(t *testing.T) {
	first := pcap(t, datagram{0, "10.0.0.1", "10.0.0.9", 53}, datagram{2 * time.Hour, "10.0.0.2", "10.0.0.9", 53})
	second := pcap(t, datagram{24 * time.Hour, "10.0.0.3", "10.0.0.9", 53}, datagram{26 * time.Hour, "10.0.0.4", "10.0.0.9", 53})
	end := day.Add(24 * time.Hour)
	tests := map[string]struct {
		o    Options
		want []time.Duration // of detections, after day
		last proto.Policy    // in force at the end
		all  int             // policies sent
		also func(*probe) bool
	}{
		"nothing": {o: Options{Files: files(first, second)}, want: []time.Duration{time.Hour, 3 * time.Hour, 25 * time.Hour}},
		"baseline file": {
			o:    Options{Baseline: files(first), Files: files(second)},
			want: []time.Duration{25 * time.Hour}, last: proto.Policy{Site: "ward", LearningUntil: end - 1}, all: 2,
			also: func(p *probe) bool { return p.policies[0].LearningUntil == math.MaxInt64-1 },
		},
		"baseline later than the files": {
			o:    Options{Baseline: files(second), Files: files(first)},
			want: []time.Duration{time.Hour, 3 * time.Hour}, last: proto.Policy{Site: "ward", LearningUntil: day - 1}, all: 2,
		},
		"until a time": {
			o:    Options{Files: files(first, second), Learn: day.Add(90 * time.Minute)},
			want: []time.Duration{3 * time.Hour, 25 * time.Hour}, last: proto.Policy{Site: "ward", LearningUntil: day.Add(90*time.Minute) - 1}, all: 1,
		},
		"policy": {
			o:    Options{Files: files(first, second), Policies: []proto.Policy{{Site: "ward", PortScanPorts: 7}, {Site: "other"}}},
			want: []time.Duration{time.Hour, 3 * time.Hour, 25 * time.Hour}, last: proto.Policy{Site: "ward", PortScanPorts: 7}, all: 2,
		},
		"policy and baseline": {
			o:    Options{Baseline: files(first), Files: files(second), Policies: []proto.Policy{{Site: "ward", PortScanPorts: 7}}},
			want: []time.Duration{25 * time.Hour}, last: proto.Policy{Site: "ward", PortScanPorts: 7, LearningUntil: end - 1}, all: 2,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &probe{}
			tt.o.Folds = []stream.Fold{p}
			res := replayed(t, tt.o)
			var got []time.Duration
			for _, d := range res.Detections {
				got = append(got, d.Time.Sub(day))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("detections at %v, want %v", got, tt.want)
			}
			if len(p.policies) != tt.all || (tt.all > 0 && !samePolicy(p.policies[len(p.policies)-1], tt.last)) || (tt.also != nil && !tt.also(p)) {
				t.Errorf("policies %+v", p.policies)
			}
			if len(res.Flows) != 4 || res.Summary.Packets != 4 {
				t.Errorf("%d flows", len(res.Flows))
			}
		})
	}
}

func samePolicy(a, b proto.Policy) bool {
	return a.Site == b.Site && a.LearningUntil == b.LearningUntil && a.PortScanPorts == b.PortScanPorts
}

// TestBaselineWithTheRealFolds: an outside peer that the baseline has is no news,
// another one is.
func TestBaselineWithTheRealFolds(t *testing.T) {
	var usual, today []datagram
	for h := range 48 {
		usual = append(usual, datagram{time.Duration(h) * time.Hour, "10.0.0.1", "192.0.2.7", 123})
	}
	for h := 48; h < 52; h++ {
		today = append(today, datagram{time.Duration(h) * time.Hour, "10.0.0.1", "192.0.2.7", 123}, datagram{time.Duration(h)*time.Hour + time.Minute, "10.0.0.1", "198.51.100.9", 4444})
	}
	learn, main := pcap(t, usual...), pcap(t, today...)
	res := replayed(t, Options{Baseline: files(learn), Files: files(main), Folds: realFolds()})
	if len(res.Detections) != 1 || res.Detections[0].Rule != "new_external_peer" || !slices.Contains(res.Detections[0].Targets, "198.51.100.9") {
		t.Fatalf("detections %+v", res.Detections)
	}
	if res := replayed(t, Options{Files: files(learn, main), Folds: realFolds()}); len(res.Detections) != 0 {
		t.Errorf("without a baseline: %+v", res.Detections)
	}
	device := res.Detections[0].DeviceID
	for _, f := range res.Flows {
		if f.SrcDevice != device || !f.DstDevice.IsZero() {
			t.Errorf("flow of %s is of device %s, to %q", f.SrcIP, f.SrcDevice, f.DstDevice)
		}
	}
	if len(res.Devices) != 1 || res.Devices[0].DeviceID != device || res.Devices[0].FirstSeen != day {
		t.Errorf("devices %+v", res.Devices)
	}
}

func TestDamagedFiles(t *testing.T) {
	good := pcap(t, datagram{0, "10.0.0.1", "10.0.0.9", 53}, datagram{time.Second, "10.0.0.1", "10.0.0.9", 53})
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	cut, text, none := write(t, "cut.pcap", b[:len(b)-3]), write(t, "notes.txt", []byte("not a capture")), filepath.Join(t.TempDir(), "none.pcap")
	var notes int
	res := replayed(t, Options{Files: files(none, good, text, cut), Folds: []stream.Fold{&probe{}}, Note: func(string, ...any) { notes++ }})
	if len(res.Damaged) != 3 || notes != 3 || res.Summary.Packets != 3 || res.Summary.Drops["damaged_file"] != 3 {
		t.Errorf("damaged %v, %d notes, summary %+v", res.Damaged, notes, res.Summary)
	}
	_, err = Run(t.Context(), Options{Site: "ward", Files: files(none, text), Baseline: files(good), Folds: []stream.Fold{&probe{}}})
	if !errors.Is(err, ErrNoInput) || !strings.Contains(err.Error(), "none.pcap") || !strings.Contains(err.Error(), "not a capture file") {
		t.Errorf("error %v", err)
	}
	if _, err := Run(t.Context(), Options{Site: "ward"}); !errors.Is(err, ErrNoInput) {
		t.Errorf("error %v", err)
	}
}

func TestEmptyCapture(t *testing.T) {
	out := t.TempDir()
	res := replayed(t, Options{Files: files(pcap(t)), Out: out, Until: day, Folds: realFolds()})
	if res.Summary.Packets != 0 || res.Summary.Seconds != 0 {
		t.Errorf("summary %+v", res.Summary)
	}
	for _, f := range schema.Files() {
		if b := readFile(t, out, f.Name); f.Lines && len(b) > 0 {
			t.Errorf("%s has %q", f.Name, b)
		}
	}
}

// many is a capture with more flows than fit a small memory.
func many(t *testing.T) string {
	t.Helper()
	var list []datagram
	for i := range 2000 {
		list = append(list, datagram{time.Duration(i*37%2000) * 10 * time.Millisecond, "10.0." + string(rune('0'+i%7)) + ".1", "10.1.0." + string(rune('1'+i%9)), uint16(1000 + i)})
	}
	return pcap(t, list...)
}

// TestMemoryChangesNothing: whether everything is sorted in memory or in many
// files, the bytes are the same, and nothing is left behind.
func TestMemoryChangesNothing(t *testing.T) {
	f := many(t)
	large, small := t.TempDir(), t.TempDir()
	replayed(t, Options{Files: files(f), Out: large, Folds: realFolds()})
	res := replayed(t, Options{Files: files(f), Out: small, Folds: realFolds(), Memory: 32 << 10})
	if res.Summary.FlowParts < 2000 {
		t.Fatalf("summary %+v", res.Summary)
	}
	for _, s := range schema.Files() {
		if string(readFile(t, large, s.Name)) != string(readFile(t, small, s.Name)) {
			t.Errorf("%s differs", s.Name)
		}
	}
	left, err := os.ReadDir(small)
	if err != nil || len(left) != len(schema.Files()) {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// TestMemoryAndFolderAgree: what callers get is what is written.
func TestMemoryAndFolderAgree(t *testing.T) {
	f, out := many(t), t.TempDir()
	replayed(t, Options{Files: files(f), Out: out, Folds: realFolds()})
	res := replayed(t, Options{Files: files(f), Folds: realFolds()})
	compare := func(name string, list []any) {
		t.Helper()
		want := lines(readFile(t, out, name))
		if len(want) != len(list) {
			t.Fatalf("%s: %d lines, %d in memory", name, len(want), len(list))
		}
		for i, v := range list {
			b, err := json.Marshal(v)
			if err != nil || string(b) != string(want[i]) {
				t.Fatalf("%s:%d:\n%s\n%s", name, i+1, b, want[i])
			}
		}
	}
	var flows, devices []any
	for _, x := range res.Flows {
		flows = append(flows, x)
	}
	for _, x := range res.Devices {
		devices = append(devices, x)
	}
	compare("flows.jsonl", flows)
	compare("devices.jsonl", devices)
}

func TestInterrupted(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "flows.jsonl"), []byte("of the run before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Run(ctx, Options{Site: "ward", Files: files(many(t)), Out: out, Folds: realFolds(), Memory: 32 << 10})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(out)
	if err != nil || len(left) != 1 || string(readFile(t, out, "flows.jsonl")) != "of the run before\n" {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	f := pcap(t, datagram{0, "10.0.0.1", "10.0.0.9", 53})
	_, err := Run(t.Context(), Options{Site: "ward", Files: files(f), Out: filepath.Join(f, "below"), Folds: realFolds()})
	if err == nil || !strings.Contains(err.Error(), "make output folder") {
		t.Errorf("error %v", err)
	}
}
