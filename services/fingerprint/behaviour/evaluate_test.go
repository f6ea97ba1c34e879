package behaviour

import (
	"math"
	"slices"
	"testing"
)

func TestCalibration(t *testing.T) {
	// Below 0.5 one of four is right, from there on all.
	var votes []float32
	var right []bool
	for i := range 400 {
		v := float32(i) / 400
		votes, right = append(votes, v), append(right, v >= 0.5 || i%4 == 0)
	}
	steps := calibrate(votes, right)
	for vote, want := range map[float32]float64{0.1: 0.25, 0.3: 0.25, 0.7: 0.995, 1: 0.995} {
		if got := float64(confidence(steps, vote)); math.Abs(got-want) > 0.06 {
			t.Errorf("votes %.1f: confidence %.3f, want %.3f", vote, got, want)
		}
	}
	if !slices.IsSortedFunc(steps, func(a, b step) int { return int(1e6 * (a.confidence - b.confidence)) }) {
		t.Errorf("confidence falls with more votes: %v", steps)
	}
	for _, s := range steps {
		if s.confidence >= 1 {
			t.Errorf("certainty of %d decisions", len(votes))
		}
	}
	if c := confidence(calibrate([]float32{0.9}, []bool{true}), 0.9); c > 0.7 {
		t.Errorf("one right decision gives confidence %.2f", c)
	}
}

// TestReport counts by hand.
func TestReport(t *testing.T) {
	out := func(label, decided string, rejected bool) outcome {
		return outcome{label: label, learned: label != "new", Decision: Decision{Label: decided, Rejected: rejected, Confidence: 0.9}}
	}
	r := report([]outcome{
		out("a", "a", false), out("a", "a", false), out("a", "a", true), out("a", "b", false), // 3 of 4
		out("b", "b", false), out("b", "a", true), // 1 of 2
		out("new", "a", true), out("new", "b", false),
	})
	if r.Samples != 6 || r.Types != 2 || r.Rejected != 2 || r.Unlearned != 2 {
		t.Errorf("counts %+v", r)
	}
	for name, c := range map[string][2]float64{
		"accuracy": {r.Accuracy, 0.6667}, "macro": {r.Macro, 0.625}, "kept": {r.MacroKept, 0.5}, "right of kept": {r.RightKept, 0.75}, "unlearned": {r.UnlearnedOK, 0.5},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %v, want %v", name, c[0], c[1])
		}
	}
	i := slices.IndexFunc(r.Calibration, func(b Bin) bool { return b.N > 0 })
	if b := r.Calibration[i]; b.From != 0.9 || b.N != 4 || b.Right != 0.75 {
		t.Errorf("bin %+v", b)
	}
	if got := r.FindFamilies(); len(got) != 1 || !slices.Equal(got[0], []string{"a", "b"}) {
		t.Errorf("families %v", got)
	}
}

// TestDealing: every fold gets of every type as many as any other, give or take
// one, and each sample is tested once a repetition.
func TestDealing(t *testing.T) {
	samples := households(11, 1)
	dealt := deal(samples, 5, 3)
	count := map[string][5]int{}
	for i, x := range samples {
		c := count[x.Label]
		c[dealt[i]]++
		count[x.Label] = c
	}
	for label, c := range count {
		if slices.Max(c[:])-slices.Min(c[:]) > 1 {
			t.Errorf("%s is dealt %v", label, c)
		}
	}
	r, err := Folds(samples, 5, 2, Options{Trees: 20, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Samples != 2*len(samples) || r.Macro < 0.95 {
		t.Errorf("%d samples, macro accuracy %.2f", r.Samples, r.Macro)
	}
}

func TestLeaveOut(t *testing.T) {
	r, per, err := LeaveOut(households(8, 1), Options{Trees: 30, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Unlearned != 8*len(kinds) || len(per) != len(kinds) {
		t.Fatalf("%d samples of %d types", r.Unlearned, len(per))
	}
	for _, p := range per {
		if sibling := p.Label == "kettle" || p.Label == "coffee"; !sibling && p.Rejected < p.Samples {
			t.Errorf("%s, never learned: %d of %d rejected", p.Label, p.Rejected, p.Samples)
		}
	}
}
