package replay

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/risk"
)

// came is what a run came to that must not depend on how many sensors saw it.
func came(t *testing.T, res *Result) []string {
	t.Helper()
	var list []string
	put := func(kind string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, kind+" "+string(b))
	}
	for _, f := range res.Flows {
		if f.DuplicateOfSensor == "" {
			c := *f
			c.Sensor = ""
			put("flow", c)
		}
	}
	for _, o := range res.Observations {
		if o.DuplicateOfSensor == "" {
			c := *o
			c.Sensor = ""
			put("observation", c)
		}
	}
	for _, d := range res.Devices {
		c := *d
		c.Version = 0 // counts updates
		put("device", c)
	}
	for _, d := range res.Detections {
		put("detection", d)
	}
	for _, k := range res.Risk {
		put("risk", k)
	}
	s := res.Summary
	put("summary", []any{s.Flows, s.FlowParts, s.Observations, s.Devices, s.Detections, s.Risk, s.Seconds})
	slices.Sort(list)
	return list
}

// TestTwoSensorsReplayedAreOne: the same files as two sensors saw them come to
// what they come to as one did; the second's copies are there, and marked.
func TestTwoSensorsReplayedAreOne(t *testing.T) {
	base := repotest.Shared(t, "captures/ward-a/day.pcapng")
	file := repotest.Shared(t, "captures/ward-a/incident-10-pump-silent.pcap")
	folds := func() []stream.Fold { return append(realFolds(), risk.New(risk.Config{})) }
	one := replayed(t, Options{Baseline: []File{{Path: base, Sensor: "one"}}, Files: []File{{Path: file, Sensor: "one"}}, Folds: folds()})
	two := replayed(t, Options{Baseline: []File{{Path: base, Sensor: "one"}, {Path: base, Sensor: "two"}}, Files: []File{{Path: file, Sensor: "one"}, {Path: file, Sensor: "two"}}, Folds: folds()})
	want, got := came(t, one), came(t, two)
	if len(want) < 500 || len(one.Detections) == 0 || len(one.Risk) == 0 {
		t.Fatalf("only %d things to compare", len(want))
	}
	if !slices.Equal(got, want) {
		for _, x := range want {
			if _, found := slices.BinarySearch(got, x); !found {
				t.Logf("missing %s", x)
				break
			}
		}
		for _, x := range got {
			if _, found := slices.BinarySearch(want, x); !found {
				t.Logf("too much %s", x)
				break
			}
		}
		t.Errorf("%d things, one sensor has %d", len(got), len(want))
	}
	copies, all := 0, 0
	for _, f := range two.Flows {
		if f.DuplicateOfSensor != "" {
			copies++
		}
		if f.Sensor == "two" {
			all++
		}
	}
	if copies < 100 || copies != all || len(two.Flows) != len(one.Flows)+copies {
		t.Errorf("%d of %d parts are copies, %d are the second sensor's, one sensor has %d", copies, len(two.Flows), all, len(one.Flows))
	}
	s := two.Summary
	if s.DuplicateFlowParts != uint64(copies) || s.DuplicateObservations == 0 || s.Packets <= one.Summary.Packets {
		t.Errorf("summary %+v", s)
	}
	if one.Summary.DuplicateFlowParts+one.Summary.DuplicateObservations != 0 {
		t.Errorf("one sensor has copies: %+v", one.Summary)
	}
	var marked []*proto.Observation
	for _, o := range two.Observations {
		if o.DuplicateOfSensor == o.Sensor {
			marked = append(marked, o)
		}
	}
	if len(marked) > 0 {
		t.Errorf("%d observations are copies of their own sensor's", len(marked))
	}
}
