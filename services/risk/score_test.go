package risk

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wardflow/wardflow/proto"
)

var noon = proto.TimeOf(time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC))

const half = 72 * time.Hour

func drawFactor(r *rapid.T) factor {
	return factor{
		name: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(r, "name"), x: rapid.Float64Range(0, 0.99).Draw(r, "x"),
		why: "because", evidence: []string{"id"},
	}
}

func drawFactors(r *rapid.T) []factor {
	return rapid.SliceOfN(rapid.Custom(drawFactor), 0, 12).Draw(r, "factors")
}

// TestScoreProperties holds the score to what clinical practice asks of it: more
// evidence never lowers it, order never matters, its parts add up exactly, and
// undoing a change undoes it.
func TestScoreProperties(t *testing.T) {
	w := embedded()
	rapid.Check(t, func(r *rapid.T) {
		factors := drawFactors(r)
		impact := rapid.Float64Range(0, 1).Draw(r, "impact")
		got := w.assess(factors, impact)
		if got.score < 0 || got.score > 100 || got.likelihood < 0 || got.likelihood > 1 {
			r.Fatalf("score %v, likelihood %v", got.score, got.likelihood)
		}
		if other := w.assess(rapid.Permutation(factors).Draw(r, "order"), impact); other.score != got.score {
			r.Fatalf("order changes %v to %v", got.score, other.score)
		}
		more := append(slices.Clone(factors), drawFactor(r))
		added := w.assess(more, impact)
		if added.score < got.score-1e-9 {
			r.Fatalf("a factor lowers %v to %v", got.score, added.score)
		}
		if back := w.assess(more[:len(factors)], impact); back.score != got.score {
			r.Fatalf("adding and taking away changes %v to %v", got.score, back.score)
		}
		if worse := w.assess(factors, impact+rapid.Float64Range(0, 1-impact).Draw(r, "worse")); worse.score < got.score {
			r.Fatalf("a higher impact lowers %v to %v", got.score, worse.score)
		}
		sum, rounded := 0.0, 0.0
		for _, s := range got.shares {
			sum += s
		}
		list := got.proto()
		for _, f := range list {
			rounded += f.Share
		}
		if len(list) > 0 && (math.Abs(sum-1) > 1e-9 || math.Abs(rounded-1) > 1e-9) {
			r.Fatalf("shares add up to %v, as told to %v", sum, rounded)
		}
		want := 1.0
		for _, f := range factors {
			want *= 1 - f.x
		}
		if math.Abs(got.likelihood-(1-want)) > 1e-9 {
			r.Fatalf("likelihood %v, want %v", got.likelihood, 1-want)
		}
	})
}

func drawSubject(r *rapid.T) *subject {
	s := &subject{
		bound: true, clock: noon, category: rapid.SampledFrom([]string{"medical", "ot", "iot", "it", "network", "unknown"}).Draw(r, "category"),
	}
	for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{traitPeers, traitClients, traitCleartext + "hl7", traitCleartext + "dicom"}), rapid.ID[string]).Draw(r, "posture") {
		s.show(name, &proto.Flow{Start: noon})
	}
	for range rapid.IntRange(0, 20).Draw(r, "detections") {
		d := drawDetection(r)
		s.detect(d, embedded().Detections[d.Severity], half)
	}
	return s
}

func drawDetection(r *rapid.T) *proto.Detection {
	return &proto.Detection{
		DetectionID: proto.HashID("x", []byte(rapid.StringN(1, 8, 8).Draw(r, "id"))), Rule: rapid.SampledFrom([]string{"new_peer", "port_scan", "device_silent"}).Draw(r, "rule"),
		Severity: rapid.SampledFrom([]string{"info", "low", "medium", "high", "critical"}).Draw(r, "severity"),
		Last:     noon.Add(-time.Duration(rapid.IntRange(0, 500).Draw(r, "age")) * time.Hour), Title: "t",
	}
}

func TestSubjectProperties(t *testing.T) {
	w := embedded()
	rapid.Check(t, func(r *rapid.T) {
		s := drawSubject(r)
		before := s.assess(w, noon, half)
		var back subject
		if err := back.Parse(s.AppendTo(nil)); err != nil {
			r.Fatal(err)
		}
		if again := back.assess(w, noon, half); again.score != before.score || again.names() != before.names() {
			r.Fatalf("stored and read again: %v, was %v", again.score, before.score)
		}
		later := noon
		last := before.score
		for range 5 {
			later = later.Add(time.Duration(rapid.IntRange(1, 100).Draw(r, "hours")) * time.Hour)
			now := s.assess(w, later, half).score
			if now > last {
				r.Fatalf("it rises from %v to %v with no event", last, now)
			}
			last = now
		}
		s.detect(drawDetection(r), w.Detections[proto.SeverityMedium], half)
		if after := s.assess(w, noon, half); after.score < before.score-1e-9 {
			r.Fatalf("a detection lowers %v to %v", before.score, after.score)
		}
		known, unknown := *s, *s
		unknown.category, unknown.typ = "unknown", ""
		for _, c := range []string{"medical", "ot", "iot", "it", "network"} {
			known.category = c
			if k, u := known.assess(w, noon, half), unknown.assess(w, noon, half); u.score < k.score {
				r.Fatalf("unknown scores %v, under %v of %s", u.score, k.score, c)
			}
		}
	})
}

// TestIllustratedShapes: the worked examples of the recommendation that the score
// follows, as far as their factors exist; the others are put in by hand.
func TestIllustratedShapes(t *testing.T) {
	w := embedded()
	for _, c := range []struct {
		name   string
		xs     map[string]float64
		impact float64
		score  float64
		shares map[string]float64
	}{
		{"pump, version matched, flat VLAN", map[string]float64{"flat_vlan": 0.15, "cleartext_hl7": w.Cleartext.X, "vulnerability": 0.09}, w.impact("medical", "infusion_pump", 1), 55.1, map[string]float64{"flat_vlan": 0.45, "cleartext_hl7": 0.29, "vulnerability": 0.26}},
		{"monitor sends to a public address", map[string]float64{"new_external_peer": w.Detections["high"], "outside_peers": w.OutsidePeers["medical"], "vulnerability": 0.049}, w.impact("medical", "patient_monitor", 1), 83.1, map[string]float64{"new_external_peer": 0.72, "outside_peers": 0.26, "vulnerability": 0.03}},
		{"idle ultrasound, end-of-life OS only", map[string]float64{"os": 0.30}, w.impact("medical", "ultrasound", 0), 34.6, map[string]float64{"os": 1}},
		{"tube controller", map[string]float64{"vulnerability": 0.41, "flat_vlan": 0.15, "cleartext": 0.123}, w.impact("ot", "pneumatic_tube", 1), 60.6, nil},
		{"CT on an old Windows", map[string]float64{"kev1": 0.485, "kev2": 0.475, "os": 0.30, "smb1": 0.20}, w.impact("medical", "ct", 0.85), 78.0, nil},
	} {
		var factors []factor
		for name, x := range c.xs {
			factors = append(factors, factor{name: name, x: x})
		}
		r := w.assess(factors, c.impact)
		if math.Abs(r.score-c.score) > 0.6 {
			t.Errorf("%s: %.1f, want %.1f", c.name, r.score, c.score)
		}
		for i, f := range r.factors {
			if want := c.shares[f.name]; c.shares != nil && math.Abs(r.shares[i]-want) > 0.011 {
				t.Errorf("%s: share of %s %.3f, want %.2f", c.name, f.name, r.shares[i], want)
			}
		}
	}
}

func TestSafetyIsNotAveraged(t *testing.T) {
	w := embedded()
	if i := w.impact("medical", "infusion_pump", 0); i != 1 {
		t.Errorf("an idle pump's impact is %v", i)
	}
	if i := w.impact("it", "workstation", 1); i >= 0.5 {
		t.Errorf("a workstation's impact is %v", i)
	}
	if i, u := w.impact("nonsense", "", 1), w.impact("unknown", "", 1); i != u {
		t.Errorf("an unlisted category's impact is %v, unknown's %v", i, u)
	}
}

func TestWeightsSayWhatIsWrong(t *testing.T) {
	_, err := ParseWeights([]byte("name: x\nhalf_life_s: -1\ncleartext: {x: 2}\ntiers: {medium: 3, high: 2}\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"cleartext.x is 2", "half_life_s", "impact.categories.medical is missing", "tiers must rise", "detections.high is missing"} {
		if !contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if _, err := ParseWeights([]byte("nonsense: 1\n")); err == nil {
		t.Error("an unknown key is no error")
	}
}
