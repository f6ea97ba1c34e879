package fingerprint

import (
	"cmp"
	"slices"
	"strings"
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

	// mostAfterSign bounds what is added to the last sign of a use that nothing ended.
	mostAfterSign = 5 * time.Minute
)

// How long after its last sign a use that nobody ended is over, by how it is known.
var useGaps = [...]time.Duration{
	proto.UseStep:       12 * time.Hour,   // a procedure step that was begun: somebody forgot to end it
	proto.UseStudy:      30 * time.Minute, // images of one study
	proto.UseInfusion:   offlineAfter,     // a pump's reports
	proto.UseMonitoring: 35 * time.Minute, // measured values; parsers tell them each ten minutes
	proto.UseTest:       time.Minute,      // results of one batch
	proto.UseActivity:   aroundImages,     // what lies around images
}

// useKinds are the words of usage.jsonl.
var useKinds = [...]string{
	proto.UseStep: "exam", proto.UseStudy: "exam", proto.UseInfusion: "infusion", proto.UseMonitoring: "monitoring", proto.UseTest: "test",
	proto.UseActivity: "exam",
}

// useConfidence is how sure each way of knowing is.
var useConfidence = [...]float64{
	proto.UseStep: 0.95, proto.UseStudy: 0.85, proto.UseInfusion: 0.95, proto.UseMonitoring: 0.9, proto.UseTest: 0.9,
	proto.UseActivity: 0.6,
}

// How sure idle and offline are: a device in use may announce nothing of it.
const (
	IdleConfidence    = 0.7
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

// takes takes over what an endpoint, named by the tag of its keys, tells of its uses:
// all those that go on, and of the last hours. What is told takes the place of what
// was by kind, key and time, and what is not told any more was none.
func (t *timeline) takes(tag string, uses []proto.Use, now proto.Time) {
	t.uses = slices.DeleteFunc(t.uses, func(x proto.Use) bool {
		_, of, _ := strings.Cut(x.Key, keyTag)
		return of == tag && (now.Sub(x.End) < recentUse/2 || !over(&x, now) || slices.ContainsFunc(uses, func(u proto.Use) bool {
			return u.How == x.How && keyTag+tag == strings.TrimPrefix(x.Key, u.Key) && (x.Start <= u.End && u.Start <= x.End)
		}))
	})
	for _, u := range uses {
		u.Key += keyTag + tag
		if over(&u, now) && useEnd(&u, now) <= t.from {
			continue
		}
		t.decoded = t.decoded || u.How != proto.UseActivity
		i, _ := slices.BinarySearchFunc(t.uses, u, func(x, u proto.Use) int {
			return cmp.Or(cmp.Compare(x.Start, u.Start), cmp.Compare(x.How, u.How), cmp.Compare(x.Key, u.Key))
		})
		t.uses = slices.Insert(t.uses, i, u)
	}
	if n := len(t.uses) - maxSessions; n > 0 {
		t.uses = slices.Delete(t.uses, 0, n)
	}
}

// over reports whether a use has ended by now, and nothing can change that.
func over(u *proto.Use, now proto.Time) bool {
	switch {
	case u.Open:
		return now.Sub(u.End) > useGaps[u.How]
	case forgotten(u):
		return now.Sub(u.End) > besides
	}
	return true
}

// forgotten reports whether a procedure step is over because a later one is.
func forgotten(u *proto.Use) bool {
	return u.How == proto.UseStep && !u.Open && u.Outcome == outcomes[signOn]
}

// useEnd is when a use ended, as far as its signs show: one that goes on has not.
// Reports come at intervals, so one that ends by silence ended on average half an
// interval after the last of them.
func useEnd(u *proto.Use, now proto.Time) proto.Time {
	end := max(u.End, u.Start.Add(shortestUse))
	switch {
	case !u.Open || u.How == proto.UseStudy || u.How == proto.UseTest || u.How == proto.UseStep || u.How == proto.UseActivity:
	case u.Signs > 1 && over(u, now):
		end = max(end, u.End.Add(min(u.End.Sub(u.Start)/time.Duration(u.Signs-1)/2, mostAfterSign)))
	}
	return end
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
// When nothing comes any more (final), a use that begins with the last sign of life has
// its second before it.
func (t *timeline) lines(now proto.Time, final bool) []proto.Usage {
	from, to := t.first(), t.last()
	shortest := time.Duration(0)
	if final {
		shortest = shortestUse
	}
	var out []proto.Usage
	at := from
	for _, u := range t.apart(from, to, now, shortest) {
		out = t.presence(out, at, u.Start)
		out = append(out, u)
		at = u.End
	}
	return t.presence(out, at, to)
}

// apart gives the uses as lines that do not overlap: where one begins before another
// ended, the later takes over, and ends when both have. What two endpoints of the
// device say of one use is one line. One that begins at to begins so much earlier as the
// shortest use lasts.
func (t *timeline) apart(from, to, now proto.Time, shortest time.Duration) []proto.Usage {
	var out []proto.Usage
	var keys []string
	for i := range t.uses {
		u := &t.uses[i]
		line := proto.Usage{
			Start: max(u.Start, from), End: useEnd(u, now), State: "in_use", Kind: useKinds[u.How], Outcome: u.Outcome,
			How: "decoded", Confidence: useConfidence[u.How],
		}
		switch u.How {
		case proto.UseActivity:
			line.How, line.Method = "inferred", methodActivity
		case proto.UseStudy, proto.UseTest:
		default:
			if u.Open && !over(u, now) {
				line.End = max(line.End, to) // it goes on
			}
		}
		line.End = min(line.End, max(to, line.Start))
		if line.Start == to {
			line.Start = max(from, to.Add(-shortest))
		}
		if u.Guessed {
			line.Confidence /= 2
		}
		if line.Start >= line.End {
			continue
		}
		key, _, _ := strings.Cut(u.Key, keyTag)
		if n := len(out); n > 0 && out[n-1].End > line.Start {
			last := &out[n-1]
			if last.Start == line.Start || last.Kind == line.Kind && keys[n-1] == key {
				if line.End >= last.End && line.Kind == last.Kind {
					last.Outcome = line.Outcome
				}
				last.End = max(last.End, line.End)
				continue
			}
			line.End = max(line.End, last.End)
			last.End = line.Start
		}
		out, keys = append(out, line), append(keys, key)
	}
	return out
}

// keyTag sets apart, in the key of a use, which endpoint of a device told of it.
const keyTag = "\x00"

// presence adds idle and offline lines over [from, to).
func (t *timeline) presence(out []proto.Usage, from, to proto.Time) []proto.Usage {
	idle := IdleConfidence
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
// late, and a use that goes on will end as a whole. What reaches up to the last sign
// of life goes on too, until the device counts as offline.
func (t *timeline) horizon(now proto.Time) proto.Time {
	last := t.last()
	h := min(now.Add(-settleUse), last)
	if now.Sub(last) <= t.offline {
		h = min(h, last-1)
	}
	for i := range t.uses {
		if u := &t.uses[i]; !over(u, now) {
			h = min(h, u.Start)
		}
	}
	return h
}

// settle forgets what lies before a moment.
func (t *timeline) settle(at, now proto.Time) {
	t.from = at
	for len(t.spans) > 1 && t.spans[0].End < at && t.spans[1].Start <= at {
		t.spans = t.spans[1:]
	}
	t.uses = slices.DeleteFunc(t.uses, func(u proto.Use) bool { return over(&u, now) && useEnd(&u, now) <= at })
}

// habit is how an endpoint keeps silent.
type habit struct {
	longest time.Duration // of its ordinary silences; it fades
	since   proto.Time
	away    [2]time.Duration // its two longest absences; see missing.go
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
