package sink

import (
	"strings"
	"testing"
)

func TestPlanSurvivesMetadata(t *testing.T) {
	p := plan{To: 1<<62 + 7, Attempt: 12}
	if got, ok := parsePlan(p.String(), 5); !ok || got != p {
		t.Errorf("%q: %+v, %v", p, got, ok)
	}
	if n := len(p.String()); n > 4096 {
		t.Errorf("%d bytes of metadata", n)
	}
	for _, bad := range []string{"", "wf1", "wf1 7", "wf1 x 1", "wf1 7 x", "wf1 5 1", "wf1 4 1", "wf1 7 0", "wf1 7 1 1", "wf2 7 1", strings.Repeat("x", 5000), plan{}.String()} {
		if got, ok := parsePlan(bad, 5); ok {
			t.Errorf("%.20q is read as %+v", bad, got)
		}
	}
}

func TestTokensDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, generation := range []uint32{1, 2} {
		for _, topic := range []string{"a", "b"} {
			for _, partition := range []int32{1, 11} {
				for _, r := range [][2]int64{{1, 2}, {1, 3}, {0, 3}} {
					for _, attempt := range []int{1, 2} {
						seen[token(generation, topic, partition, r[0], r[1], attempt)] = true
					}
				}
			}
		}
	}
	if len(seen) != 2*2*2*3*2 {
		t.Errorf("%d tokens", len(seen))
	}
}
