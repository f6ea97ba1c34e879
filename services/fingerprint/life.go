package fingerprint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// A device's life: online, silent for longer than is ordinary, missing, returned,
// retired. It follows from when the device was seen, not from when that was told, so
// that it comes to the same in whatever order evidence is heard.

const tableLives = 'L'

var lives = stream.NewTable[lifeState](tableLives, 0) // group -> its absences

const (
	maxAbsences = 8 // of those that are kept the oldest in which it was not missing goes first

	// returnedFor is how long a device that was missing is called returned.
	returnedFor = 7 * 24 * time.Hour

	// retiredGrace is how long a device may stay on the network after somebody has
	// written down that it is retired.
	retiredGrace = 24 * time.Hour

	// seenConfidence is that of a device having been seen, against a person who has
	// retired it: its packets were there, but another may have its address.
	seenConfidence = 0.95
)

// lifeState is a device's absences.
type lifeState struct {
	absences []absence // in order
	dropped  uint64
}

// absence is a silence that was longer than is ordinary.
type absence struct {
	from, until proto.Time    // last packet, and the first again; until 0 while it goes on
	silent      time.Duration // after which it counted
	missing     time.Duration // after which the device was missing; 0 when it was not
}

// AppendTo encodes the state.
func (l *lifeState) AppendTo(b []byte) []byte {
	b = stream.AppendUint(stream.AppendUint(b, l.dropped), uint64(len(l.absences)))
	last := proto.Time(0)
	for _, a := range l.absences {
		b = stream.AppendInt(b, int64(a.from-last))
		b = stream.AppendInt(b, int64(max(a.until-a.from, 0)))
		b = stream.AppendUint(stream.AppendUint(b, uint64(a.silent/time.Second)), uint64(a.missing/time.Second))
		last = a.from
	}
	return b
}

// Parse decodes the state.
func (l *lifeState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*l = lifeState{dropped: d.Uint()}
	last := proto.Time(0)
	for n := d.Uint(); n > 0 && d.More(); n-- {
		a := absence{from: last + proto.Time(d.Int())}
		if lasted := proto.Time(d.Int()); lasted > 0 {
			a.until = a.from + lasted
		}
		a.silent, a.missing = time.Duration(d.Uint())*time.Second, time.Duration(d.Uint())*time.Second
		l.absences = append(l.absences, a)
		last = a.from
	}
	return d.Err()
}

// life takes in what the timeline says of the device's absences.
func (d *Device) life(tx *stream.Tx, dev *proto.Device, all []*proto.Summary) {
	t := timelines.Get(tx, dev.DeviceID[:])
	if t == nil || len(t.spans) == 0 {
		return
	}
	now, missing := tx.Now(), missingOf(all)
	var gaps []absence
	for i := 1; i < len(t.spans); i++ {
		if a, b := t.spans[i-1].End, t.spans[i].Start; b.Sub(a) > t.offline {
			gaps = append(gaps, absence{from: a, until: b, silent: t.offline, missing: reached(b.Sub(a), missing)})
		}
	}
	if last := t.last(); now.Sub(last) > t.offline {
		gaps = append(gaps, absence{from: last, silent: t.offline, missing: reached(now.Sub(last), missing)})
	}
	var had []absence
	l := lives.Get(tx, dev.DeviceID[:])
	if l != nil {
		had = l.absences
	}
	list := merged(had, gaps, t.spans[0].Start)
	if slices.Equal(list, had) {
		return
	}
	l = lives.Edit(tx, dev.DeviceID[:])
	l.absences = list
	for len(l.absences) > maxAbsences {
		i := max(0, slices.IndexFunc(l.absences[:len(l.absences)-1], func(a absence) bool { return a.missing == 0 }))
		l.absences = slices.Delete(l.absences, i, i+1)
		l.dropped++
	}
}

// missingOf is after how long the device is missing: what the endpoint says that was
// heard last.
func missingOf(all []*proto.Summary) time.Duration {
	latest := slices.MaxFunc(all, func(a, b *proto.Summary) int {
		return cmp.Or(cmp.Compare(a.LastSeen, b.LastSeen), slices.Compare(a.Endpoint[:], b.Endpoint[:]))
	})
	return time.Duration(latest.Missing) * time.Second
}

func reached(silence, missing time.Duration) time.Duration {
	if missing > 0 && silence >= missing {
		return missing
	}
	return 0
}

// merged takes gaps in among absences that are known. From covered on, gaps are all
// there is: what was told late has closed the others.
func merged(had, gaps []absence, covered proto.Time) []absence {
	var list []absence
	for _, a := range had {
		i := slices.IndexFunc(gaps, func(g absence) bool {
			return (g.until == 0 || a.from < g.until) && (a.until == 0 || g.from < a.until)
		})
		switch {
		case i >= 0: // the same; what it counted as when it began stays
			gaps[i].silent = a.silent
			gaps[i].missing = cmp.Or(a.missing, gaps[i].missing)
			if u := gaps[i].until; u != 0 && u.Sub(gaps[i].from) < gaps[i].missing {
				gaps[i].missing = 0 // it was over earlier than was known
			}
		case a.from < covered:
			if a.until == 0 { // forgotten by the timeline with its end
				a.until = covered
			}
			list = append(list, a)
		}
	}
	list = append(list, gaps...)
	slices.SortFunc(list, func(a, b absence) int { return cmp.Compare(a.from, b.from) })
	return list
}

// live shows a device's life: its state, since when and why, and what has happened.
func (d *Device) live(tx *stream.Tx, dev *proto.Device, now proto.Time) {
	var l lifeState
	if kept := lives.Get(tx, dev.DeviceID[:]); kept != nil {
		l = *kept
	}
	list := l.events(dev)
	state, since, reason := list[len(list)-1].Event, list[len(list)-1].Time, list[len(list)-1].Reason
	if state == proto.LifeReturned && now.Sub(since) > returnedFor {
		state = proto.LifeOnline
	}
	if state == proto.LifeSilent && len(l.absences) > 0 {
		since = l.absences[len(l.absences)-1].from
	}
	for _, v := range dev.Human {
		switch {
		case v.Attribute == "onboarding":
			list = append(list, proto.LifecycleEvent{Time: v.Time, Event: v.Attribute, Reason: withNote(v.Value, v.Note), By: v.By})
			if back, again := l.seenAfter(dev, v.Time); again && v.Value == "rejected" {
				dev.Conflicts = append(dev.Conflicts, conflictOf(v, back))
			}
		case v.Attribute == "retired" && v.Value == "true":
			list = append(list, proto.LifecycleEvent{Time: v.Time, Event: proto.LifeRetired, Reason: withNote("retired", v.Note), By: v.By})
			state, since, reason = proto.LifeRetired, v.Time, withNote("retired", v.Note)
			if back, again := l.seenAfter(dev, v.Time); again {
				state, since, reason = proto.LifeReturned, back, "seen again, though "+v.By+" has retired it"
				list = append(list, proto.LifecycleEvent{Time: back, Event: proto.LifeReturned, Reason: reason})
				dev.Conflicts = append(dev.Conflicts, conflictOf(v, back))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b proto.LifecycleEvent) int { return cmp.Compare(a.Time, b.Time) })
	dev.LifecycleEvents = list
	if dev.Lifecycle == nil {
		dev.Lifecycle = proto.Labels{}
	}
	dev.Lifecycle["state"], dev.Lifecycle["since"], dev.Lifecycle["reason"] = state, since.String(), reason
}

func conflictOf(v proto.HumanValue, back proto.Time) proto.Conflict {
	return proto.Conflict{Attribute: v.Attribute, Human: v.Value, Traffic: "seen on the network", Confidence: seenConfidence, Since: back}
}

func withNote(what, note string) string {
	if note == "" {
		return what
	}
	return what + ": " + note
}

// seenAfter says whether and when the device was seen after a person has written it
// off: it came back from a silence, or did not leave.
func (l *lifeState) seenAfter(dev *proto.Device, t proto.Time) (proto.Time, bool) {
	for _, a := range l.absences {
		if a.until > t {
			return a.until, true
		}
	}
	if over := t.Add(retiredGrace); dev.LastSeen > over || dev.FirstSeen > t {
		return max(over, dev.FirstSeen), true
	}
	return 0, false
}

// events are what has happened, as traffic says it, in order.
func (l *lifeState) events(dev *proto.Device) proto.LifecycleEvents {
	first := "first packet"
	if l.dropped > 0 {
		first += fmt.Sprintf("; %d silences after it are not kept", l.dropped)
	}
	list := proto.LifecycleEvents{{Time: dev.FirstSeen, Event: proto.LifeOnline, Reason: first}}
	for _, a := range l.absences {
		list = append(list, proto.LifecycleEvent{Time: a.from.Add(a.silent), Event: proto.LifeSilent, Reason: "no packet for " + span(a.silent) + ", which is longer than is ordinary"})
		if a.missing > 0 {
			list = append(list, proto.LifecycleEvent{Time: a.from.Add(a.missing), Event: proto.LifeMissing, Reason: "no packet for " + span(a.missing)})
		}
		if a.until == 0 {
			continue
		}
		event := proto.LifeOnline
		if a.missing > 0 {
			event = proto.LifeReturned
		}
		list = append(list, proto.LifecycleEvent{Time: a.until, Event: event, Reason: "seen again after " + span(a.until.Sub(a.from))})
	}
	return list
}

// span is a duration as people say it.
func span(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	s := d.Round(time.Minute).String()
	return strings.TrimSuffix(s, "0s")
}
