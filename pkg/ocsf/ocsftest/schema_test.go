package ocsftest

import (
	"slices"
	"strings"
	"testing"
)

// TestCheckFindsWrongAlerts: the check above can fail.
func TestCheckFindsWrongAlerts(t *testing.T) {
	s := Read(t)
	wrong := s.Check(map[string]any{
		"activity_id": 77.0, "nonsense": 1.0, "finding_info": map[string]any{"title": "no uid", "analytic": map[string]any{"name": "x"}},
	})
	for _, want := range []string{"alert.metadata is required", "alert.nonsense is no attribute", "alert.finding_info.uid is required", "alert.finding_info.analytic.type_id is required"} {
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("%q is not found: %q", want, wrong)
		}
	}
}
