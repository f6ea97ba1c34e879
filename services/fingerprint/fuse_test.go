package fingerprint

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wardflow/wardflow/proto"
)

func drawVotes(r *rapid.T) []Vote {
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) Vote {
		v := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "value")
		return Vote{Value: v, Key: v, Protocol: rapid.SampledFrom([]string{"p", "q", "r"}).Draw(r, "protocol"), Weight: rapid.Float64Range(0.01, 0.99).Draw(r, "weight")}
	}), 1, 12).Draw(r, "votes")
}

func TestFuseProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		votes := drawVotes(r)
		f := Fuse(votes)
		shuffled := rapid.Permutation(votes).Draw(r, "order")
		g := Fuse(shuffled)
		if (f == nil) != (g == nil) || (f != nil && (f.Value != g.Value || f.Confidence != g.Confidence)) {
			r.Fatalf("order matters: %+v, %+v", f, g)
		}
		if f == nil {
			return
		}
		if f.Confidence < MinConfidence || f.Confidence > 1 {
			r.Fatalf("confidence %v", f.Confidence)
		}
		agree := Fuse(append(slices.Clone(votes), Vote{Value: f.Value, Key: f.Value, Protocol: "new", Weight: 0.5}))
		if agree == nil || agree.Value != f.Value || agree.Confidence < f.Confidence-1e-4 {
			r.Fatalf("agreement lowers %+v to %+v", f, agree)
		}
		against := Fuse(append(slices.Clone(votes), Vote{Value: "other", Key: "other", Protocol: "new", Weight: 0.1}))
		if against != nil && against.Value == f.Value && against.Confidence > f.Confidence+1e-4 {
			r.Fatalf("contradiction raises %+v to %+v", f, against)
		}
	})
}

func TestFuseFormula(t *testing.T) {
	one := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.5}})
	if one.Confidence != 0.5 {
		t.Errorf("one reason of 0.5 gives %v", one.Confidence)
	}
	same := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.5}, {Value: "x", Key: "x", Protocol: "p", Weight: 0.4}})
	if same.Confidence != 0.5 {
		t.Errorf("one protocol twice gives %v", same.Confidence)
	}
	two := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.5}, {Value: "X", Key: "x", Protocol: "q", Weight: 0.6}})
	if two.Confidence != 0.8 || two.Value != "X" {
		t.Errorf("two protocols give %+v", two)
	}
	split := Fuse([]Vote{{Value: "x", Key: "x", Protocol: "p", Weight: 0.8}, {Value: "y", Key: "y", Protocol: "q", Weight: 0.5}})
	want := 0.8 * 0.5 / (0.8*0.5 + 0.5*0.2 + 0.2*0.5)
	if math.Abs(split.Confidence-want) > 1e-4 || split.Value != "x" {
		t.Errorf("contradiction gives %+v, want %v", split, want)
	}
}

// facts are those of evidence that need not be sorted, for tests of single rules.
func (s *signatures) facts(evidence []proto.Evidence) map[string]*proto.Fact {
	slices.SortStableFunc(evidence, compareEvidence)
	facts, _ := s.judge(evidence)
	return facts
}
