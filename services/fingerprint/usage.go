package fingerprint

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// The bounds of what is kept of a device's use, and the times that decide.
const (
	maxSpans    = 32 // silences between them; the oldest are joined first
	maxSessions = 32

	// shortSilence is the pause that ends a span of presence; what is shorter is no
	// silence at all.
	shortSilence = 5 * time.Minute

	// offlineAfter is the silence after which a device counts as offline, while its
	// own habits are not known. An hourly poll is the slowest habit that is common.
	offlineAfter = 65 * time.Minute

	// A day of watching is enough to know its habits: then it is offline after twice
	// its longest ordinary silence, within these.
	habitsAfter       = 24 * time.Hour
	offlineAfterLeast = 20 * time.Minute
	offlineAfterMost  = 26 * time.Hour

	// recentUse is how long what is over is still told again, so that a summary
	// that was compacted away takes nothing with it.
	recentUse = 3 * time.Hour

	// settleUse is how late news of a device's use may come; what is older is final.
	settleUse = 15 * time.Minute

	// tellUse is how far a line that goes on may lag behind.
	tellUse = 15 * time.Minute

	shortestUse = time.Second // what a single message shows
)

// How long after its last sign a use that nobody ended is over, by how it is known.
var useGaps = [...]time.Duration{
	proto.UseStep:       12 * time.Hour,   // a procedure step that was begun: somebody forgot to end it
	proto.UseStudy:      30 * time.Minute, // images of one study
	proto.UseInfusion:   offlineAfter,     // a pump's reports
	proto.UseMonitoring: 35 * time.Minute, // measured values; parsers tell them each ten minutes
	proto.UseTest:       time.Minute,      // results of one batch
}

// useKinds are the words of usage.jsonl.
var useKinds = [...]string{
	proto.UseStep: "exam", proto.UseStudy: "exam", proto.UseInfusion: "infusion", proto.UseMonitoring: "monitoring", proto.UseTest: "test",
}

// useConfidence is how sure each way of knowing is.
var useConfidence = [...]float64{
	proto.UseStep: 0.95, proto.UseStudy: 0.85, proto.UseInfusion: 0.95, proto.UseMonitoring: 0.9, proto.UseTest: 0.9,
}

// presenceConfidence is how sure idle and offline are: a device in use may announce
// nothing of it.
const (
	idleConfidence    = 0.7
	idleDecoded       = 0.9 // where the device does say when it is in use
	offlineConfidence = 0.8
)

// timeline is what is known of a device's presence and use from some moment on.
type timeline struct {
	from    proto.Time    // what was before is told for good; 0: nothing is yet
	spans   []proto.Span  // of presence, sorted, apart by more than shortSilence
	uses    []proto.Use   // sorted by start
	offline time.Duration // the silence that counts as offline
	decoded bool          // it has said when it is in use
}

// see adds a span of presence.
func (t *timeline) see(s proto.Span) {
	if s.End < s.Start || s.End <= t.from {
		return
	}
	i, _ := slices.BinarySearchFunc(t.spans, s.Start, func(x proto.Span, at proto.Time) int { return cmp.Compare(x.Start, at) })
	t.spans = slices.Insert(t.spans, i, s)
	kept := t.spans[:1]
	for _, x := range t.spans[1:] {
		if last := &kept[len(kept)-1]; x.Start.Sub(last.End) <= shortSilence {
			last.End = max(last.End, x.End)
		} else {
			kept = append(kept, x)
		}
	}
	for len(kept) > maxSpans { // join over the shortest silence: it is the least likely to count
		best := 1
		for j := 2; j < len(kept); j++ {
			if kept[j].Start.Sub(kept[j-1].End) < kept[best].Start.Sub(kept[best-1].End) {
				best = j
			}
		}
		kept[best-1].End = kept[best].End
		kept = slices.Delete(kept, best, best+1)
	}
	t.spans = kept
}

// use adds or renews a use.
func (t *timeline) use(u proto.Use) {
	t.decoded = true
	if i := slices.IndexFunc(t.uses, func(x proto.Use) bool { return x.How == u.How && x.Key == u.Key && x.Start == u.Start }); i >= 0 {
		t.uses[i] = u
		return
	}
	if u.End <= t.from && !u.Open {
		return
	}
	i, _ := slices.BinarySearchFunc(t.uses, u.Start, func(x proto.Use, at proto.Time) int { return cmp.Compare(x.Start, at) })
	t.uses = slices.Insert(t.uses, i, u)
	if len(t.uses) > maxSessions {
		t.uses = slices.Delete(t.uses, 0, 1)
	}
}

// over reports whether a use has ended by now.
func over(u *proto.Use, now proto.Time) bool {
	return !u.Open || now.Sub(u.End) > useGaps[u.How]
}

// first and last are the ends of all that is known.
func (t *timeline) first() proto.Time {
	first := t.from
	if first == 0 && len(t.spans) > 0 {
		first = t.spans[0].Start
	}
	return first
}

func (t *timeline) last() proto.Time {
	last := t.from
	if n := len(t.spans); n > 0 {
		last = max(last, t.spans[n-1].End)
	}
	return last
}

// lines cuts the time from first to last into intervals of one state each: uses as
// they are, what is left of presence idle, and silences that are long enough offline.
func (t *timeline) lines() []proto.Usage {
	from, to := t.first(), t.last()
	var out []proto.Usage
	at := from
	for _, u := range t.apart(from, to) {
		out = t.presence(out, at, u.Start)
		out = append(out, u)
		at = u.End
	}
	return t.presence(out, at, to)
}

// apart gives the uses as lines that do not overlap: where one begins before another
// ended, the later takes over, and ends when both have.
func (t *timeline) apart(from, to proto.Time) []proto.Usage {
	var out []proto.Usage
	for i := range t.uses {
		u := &t.uses[i]
		end := u.End
		if u.Open && !over(u, to) && u.How != proto.UseStudy && u.How != proto.UseTest {
			end = max(end, to) // it goes on
		}
		end = max(end, u.Start.Add(shortestUse))
		start := max(u.Start, from)
		if start >= to && len(out) > 0 || start >= end {
			continue
		}
		line := proto.Usage{
			Start: start, End: min(end, max(to, start)), State: "in_use", Kind: useKinds[u.How], Outcome: u.Outcome,
			How: "decoded", Confidence: useConfidence[u.How],
		}
		if u.Guessed {
			line.Confidence /= 2
		}
		if n := len(out); n > 0 && out[n-1].End > line.Start {
			if out[n-1].Start == line.Start {
				out[n-1].End = max(out[n-1].End, line.End)
				continue
			}
			line.End = max(line.End, out[n-1].End)
			out[n-1].End = line.Start
		}
		if line.End > line.Start {
			out = append(out, line)
		}
	}
	return out
}

// presence adds idle and offline lines over [from, to).
func (t *timeline) presence(out []proto.Usage, from, to proto.Time) []proto.Usage {
	idle := idleConfidence
	if t.decoded {
		idle = idleDecoded
	}
	add := func(state string, from, to proto.Time, confidence float64) {
		if to <= from {
			return
		}
		if n := len(out); n > 0 && out[n-1].State == state && out[n-1].End == from {
			out[n-1].End = to
			return
		}
		out = append(out, proto.Usage{Start: from, End: to, State: state, How: "inferred", Confidence: confidence})
	}
	for i := 1; i < len(t.spans); i++ {
		a, b := t.spans[i-1].End, t.spans[i].Start
		if b.Sub(a) <= t.offline || b <= from || a >= to {
			continue
		}
		add("idle", from, min(a, to), idle)
		add("offline", max(a, from), min(b, to), offlineConfidence)
		from = max(from, min(b, to))
	}
	add("idle", from, to, idle)
	return out
}

// state is the state at a moment after all that is known.
func (t *timeline) state(now proto.Time) string {
	for i := range t.uses {
		if u := &t.uses[i]; u.Open && !over(u, now) {
			return "in_use"
		}
	}
	if len(t.spans) == 0 {
		return ""
	}
	if now.Sub(t.last()) > t.offline {
		return "offline"
	}
	return "idle"
}

// horizon is up to when nothing can change any more: news comes at most settleUse
// late, and a use that goes on will end as a whole.
func (t *timeline) horizon(now proto.Time) proto.Time {
	h := min(now.Add(-settleUse), t.last())
	for i := range t.uses {
		if u := &t.uses[i]; !over(u, now) {
			h = min(h, u.Start)
		}
	}
	return h
}

// settle forgets what lies before a moment.
func (t *timeline) settle(at proto.Time) {
	t.from = at
	for len(t.spans) > 1 && t.spans[0].End < at && t.spans[1].Start <= at {
		t.spans = t.spans[1:]
	}
	t.uses = slices.DeleteFunc(t.uses, func(u proto.Use) bool { return !u.Open && max(u.End, u.Start.Add(shortestUse)) <= at })
}

// habit is how an endpoint keeps silent.
type habit struct {
	longest time.Duration // of its ordinary silences; it fades
	since   proto.Time
}

// silence takes a pause in.
func (h *habit) silence(d time.Duration, now proto.Time) {
	if d <= h.offlineAfter(now) {
		h.longest = max(d, h.longest-h.longest/64)
	}
}

// offlineAfter is the silence that counts as offline.
func (h *habit) offlineAfter(now proto.Time) time.Duration {
	if h.since == 0 || now.Sub(h.since) < habitsAfter {
		return offlineAfter
	}
	return min(max(2*h.longest, offlineAfterLeast), offlineAfterMost)
}

// hoursOf gives the hours of lines in a state; "" means online, that is in use or idle.
func hoursOf(lines []proto.Usage, state string) float64 {
	var sum time.Duration
	for i := range lines {
		if l := &lines[i]; l.State == state || (state == "" && l.State != "offline") {
			sum += l.End.Sub(l.Start)
		}
	}
	return math.Round(sum.Hours()*1e6) / 1e6
}
