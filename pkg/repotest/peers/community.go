package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CommunityIDs are the ids that Zeek's plugin for Community ID gives for captures:
// all of each.
func CommunityIDs(captures string) (map[string][]string, error) {
	outs, err := filepath.Glob(filepath.Join(captures, "zeek-community-id", "tests", "Baseline", "communityid.run-pcaps", "*.out"))
	if err != nil {
		return nil, fmt.Errorf("look for Community IDs: %w", err)
	}
	m := map[string][]string{}
	for _, out := range outs {
		b, err := os.ReadFile(out)
		if err != nil {
			return nil, fmt.Errorf("read Community IDs: %w", err)
		}
		name := strings.TrimSuffix(filepath.Base(out), ".out")
		capture := "zeek/Traces/communityid/" + name
		if _, err := os.Stat(filepath.Join(captures, capture)); err != nil {
			capture = "zeek-community-id/tests/Traces/" + name
		}
		for line := range strings.Lines(string(b)) {
			if _, id, ok := strings.Cut(strings.TrimSpace(line), "-> "); ok && !slices.Contains(m[capture], id) {
				m[capture] = append(m[capture], id)
			}
		}
	}
	return m, nil
}

// CompareCommunityIDs wants the very ids of a capture: none is missing, none is too
// many.
func (r *Report) CompareCommunityIDs(o *Observed, ids []string) {
	var ours []string
	for _, flows := range o.Flows {
		for _, f := range flows {
			ours = append(ours, f.CommunityID)
		}
	}
	slices.Sort(ours)
	ours = slices.Compact(ours)
	for _, id := range ids {
		r.want("Zeek, community-id", "community_id", o, "capture", id, ours)
	}
	for _, id := range ours {
		if len(ids) > 0 {
			r.want("Zeek, community-id", "community_id", o, "of ours", id, ids)
		}
	}
}
