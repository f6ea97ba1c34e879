package fingerprint

import (
	"cmp"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// JoinUsage makes one timeline of those of several ids that have turned out to be one
// device: uses as they are, the earlier one cut where another kind begins, idle where
// any of them was, and offline for the rest. Lines come out sorted, contiguous and
// apart, with the device of the first.
func JoinUsage(lines []*proto.Usage) []*proto.Usage {
	if len(lines) == 0 {
		return nil
	}
	var used, idle []*proto.Usage
	from, to := lines[0].Start, lines[0].End
	exact := slices.ContainsFunc(lines, func(l *proto.Usage) bool { return l.State == "in_use" && l.Method == "" })
	for _, l := range lines {
		from, to = min(from, l.Start), max(to, l.End)
		switch {
		case l.State == "in_use" && (l.Method == "" || !exact): // an estimate is nothing beside what a device says itself
			used = append(used, l)
		case l.State != "offline":
			idle = append(idle, l)
		}
	}
	byStart := func(a, b *proto.Usage) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)) }
	slices.SortStableFunc(used, byStart)
	slices.SortStableFunc(idle, byStart)
	uses := usesApart(used)
	var out []*proto.Usage
	at := from
	for _, u := range uses {
		out = fill(out, idle, lines[0], at, u.Start)
		out = append(out, u)
		at = u.End
	}
	return fill(out, idle, lines[0], at, to)
}

// usesApart takes the overlaps out of uses that are sorted by start.
func usesApart(used []*proto.Usage) []*proto.Usage {
	var out []*proto.Usage
	for _, l := range used {
		u := *l
		if n := len(out); n > 0 && out[n-1].End > u.Start {
			last := out[n-1]
			if last.Kind == u.Kind || last.Start == u.Start {
				if u.End >= last.End {
					last.End, last.Outcome = u.End, u.Outcome
				}
				continue
			}
			u.End, last.End = max(u.End, last.End), u.Start
		}
		out = append(out, &u)
	}
	return out
}

// fill adds idle and offline lines over [from, to).
func fill(out, idle []*proto.Usage, like *proto.Usage, from, to proto.Time) []*proto.Usage {
	add := func(state string, until proto.Time, confidence float64) {
		if until <= from {
			return
		}
		if n := len(out); n > 0 && out[n-1].State == state {
			out[n-1].End = until
		} else {
			l := proto.Usage{DeviceID: like.DeviceID, Site: like.Site, Start: from, End: until, State: state, How: "inferred", Confidence: confidence}
			out = append(out, &l)
		}
		from = until
	}
	for _, l := range idle {
		if l.End <= from || l.Start >= to {
			continue
		}
		add("offline", min(l.Start, to), offlineConfidence)
		add("idle", min(l.End, to), l.Confidence)
	}
	add("offline", to, offlineConfidence)
	return out
}
