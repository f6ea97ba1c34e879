package fingerprint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

const day = 24 * time.Hour

// pass lets time go on, a minute at a time, as a sensor that listens does.
func (w *ward) pass(from, to proto.Time) {
	for at := from; at <= to; at = at.Add(time.Minute) {
		w.beat(at, false)
	}
}

// talks has a device talk every 20 minutes from one time to another.
func (w *ward) talks(who byte, from, to proto.Time) {
	for at := from; at <= to; at = at.Add(20 * time.Minute) {
		w.item(proto.Item{Observation: seen("hl7", "oru_r01", who, at)})
		w.pass(at, min(at.Add(19*time.Minute), to))
	}
}

// story is a device's life in short: hours after noon, and what happened.
func story(d *proto.Device) string {
	var parts []string
	for _, e := range d.LifecycleEvents {
		parts = append(parts, fmt.Sprintf("%.1f %s", e.Time.Sub(noon).Hours(), e.Event))
	}
	return strings.Join(parts, ", ") + "; " + d.Lifecycle["state"]
}

func TestLife(t *testing.T) {
	for name, c := range map[string]struct {
		missing time.Duration // of the policy
		play    func(w *ward)
		want    string
	}{
		"online": {0, func(w *ward) { w.talks(1, noon, noon.Add(3*time.Hour)) }, "0.0 online; online"},
		"silent": {0, func(w *ward) {
			w.talks(1, noon, noon.Add(2*time.Hour))
			w.pass(noon.Add(2*time.Hour), noon.Add(3*day))
		}, "0.0 online, 3.1 silent; silent"},
		"missing after a week": {0, func(w *ward) {
			w.talks(1, noon, noon.Add(2*time.Hour))
			w.pass(noon.Add(2*time.Hour), noon.Add(7*day+2*time.Hour))
		}, "0.0 online, 3.1 silent, 170.0 missing; missing"},
		"missing after the policy's time": {2 * day, func(w *ward) {
			w.talks(1, noon, noon.Add(2*time.Hour))
			w.pass(noon.Add(2*time.Hour), noon.Add(4*day))
		}, "0.0 online, 3.1 silent, 50.0 missing; missing"},
		"returned": {2 * day, func(w *ward) {
			w.talks(1, noon, noon)
			w.pass(noon, noon.Add(3*day))
			w.talks(1, noon.Add(3*day), noon.Add(3*day+time.Hour))
		}, "0.0 online, 1.1 silent, 48.0 missing, 72.0 returned; returned"},
		"online again": {2 * day, func(w *ward) {
			w.talks(1, noon, noon)
			w.pass(noon, noon.Add(day))
			w.talks(1, noon.Add(day), noon.Add(day+time.Hour))
		}, "0.0 online, 1.1 silent, 24.0 online; online"},
		"no sensor was listening": {2 * day, func(w *ward) {
			w.talks(1, noon, noon)
			w.pass(noon, noon.Add(10*time.Hour))
			w.pass(noon.Add(60*time.Hour), noon.Add(90*time.Hour)) // 50 hours of which nobody knows
		}, "0.0 online, 1.1 silent; silent"},
		"often away for three days": {2 * day, func(w *ward) {
			at := noon
			for range 3 {
				w.talks(1, at, at)
				w.pass(at, at.Add(3*day-time.Minute))
				at = at.Add(3 * day)
			}
			w.talks(1, at, at)
			w.pass(at, at.Add(4*day)) // less than half as long again
		}, "0.0 online, 1.1 silent, 48.0 missing, 72.0 returned, 72.3 silent, 120.0 missing, 144.0 returned, 144.3 silent, 216.0 online, 216.3 silent; silent"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t)
			if c.missing > 0 {
				p := &proto.Control{Kind: proto.ControlPolicy, Policy: &proto.Policy{Site: "st-alban", MissingAfterS: int64(c.missing / time.Second)}}
				if err := w.local.Control(p); err != nil {
					t.Fatal(err)
				}
			}
			c.play(w)
			w.edit((&editor{}).make(id(1), proto.EditNote, func(e *proto.Edit) { e.Note = "told again" }))
			if got := story(w.devices[id(1)]); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A person who retires a device is believed, until it is seen again.
func TestRetired(t *testing.T) {
	w, m := newWard(t), &editor{}
	w.talks(1, noon, noon.Add(time.Hour))
	w.edit(m.set(id(1), "onboarding", "approved"), m.set(id(1), "retired", "true"))
	if got := story(w.devices[id(1)]); got != "0.0 online, 0.0 onboarding, 0.0 retired; retired" {
		t.Errorf("retired: %s", got)
	}
	w.talks(1, noon.Add(2*time.Hour), noon.Add(3*time.Hour)) // it is being unplugged
	if d := w.devices[id(1)]; d.Lifecycle["state"] != proto.LifeRetired || len(d.Conflicts) != 0 {
		t.Errorf("on the same day: %s, %v", story(d), d.Conflicts)
	}
	w.pass(noon.Add(3*time.Hour), noon.Add(5*day))
	w.talks(1, noon.Add(5*day), noon.Add(5*day+time.Hour))
	d := w.devices[id(1)]
	if !strings.HasSuffix(story(d), "120.0 online, 120.0 returned; returned") || len(d.Conflicts) != 1 || d.Conflicts[0].Attribute != "retired" {
		t.Errorf("seen again: %s, %v", story(d), d.Conflicts)
	}
	w.edit(m.set(id(1), "retired", "false"))
	if d := w.devices[id(1)]; d.Lifecycle["state"] != proto.LifeOnline || len(d.Conflicts) != 0 {
		t.Errorf("no longer retired: %s, %v", story(d), d.Conflicts)
	}
}

// A life is bounded: what is dropped first are silences in which nobody missed it.
func TestLifeIsBounded(t *testing.T) {
	w := newWard(t)
	at := noon
	for i := range 30 {
		w.talks(1, at, at)
		next := at.Add(3 * time.Hour)
		if i == 4 {
			next = at.Add(10 * day)
		}
		w.pass(at, next.Add(-time.Minute))
		at = next
	}
	d := w.devices[id(1)]
	missing := slices.ContainsFunc(d.LifecycleEvents, func(e proto.LifecycleEvent) bool { return e.Event == proto.LifeMissing })
	if n := len(d.LifecycleEvents); n > 3*maxAbsences+1 || !missing || !strings.Contains(d.LifecycleEvents[0].Reason, "are not kept") {
		t.Errorf("%d events: %s", n, story(d))
	}
	if d.FirstSeen != noon {
		t.Errorf("first seen %s", d.FirstSeen)
	}
}

// What is heard late comes to the same life as what is heard in time.
func TestLateNewsMakesTheSameLife(t *testing.T) {
	var all []*proto.Observation
	for _, h := range []float64{0, 0.3, 0.6, 3, 3.2, 9, 9.1, 9.4} {
		all = append(all, seen("hl7", "oru_r01", 1, noon.Add(time.Duration(h*float64(time.Hour)))))
	}
	life := func(list []*proto.Observation, late time.Duration) string {
		w := newWard(t)
		at := noon
		for _, o := range list {
			w.pass(at, o.Time.Add(late))
			at = max(at, o.Time.Add(late))
			w.item(proto.Item{Observation: o})
		}
		w.beat(noon.Add(10*time.Hour), true)
		return story(w.devices[id(1)])
	}
	want := life(all, 0)
	if want != "0.0 online, 1.7 silent, 3.0 online, 4.3 silent, 9.0 online; online" {
		t.Errorf("in order: %s", want)
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		mixed := slices.Clone(all)
		for i := 1; i < len(mixed); i++ { // neighbours that are close in time change places
			if mixed[i].Time.Sub(mixed[i-1].Time) < 15*time.Minute && rng.IntN(2) == 0 {
				mixed[i], mixed[i-1] = mixed[i-1], mixed[i]
			}
		}
		if got := life(mixed, 0); got != want {
			t.Errorf("seed %d: %s", seed, got)
		}
	}
}

func TestLifeStateIsReadBack(t *testing.T) {
	l := lifeState{dropped: 3, absences: []absence{{from: noon, until: noon.Add(day), silent: time.Hour, missing: 2 * time.Hour}, {from: noon.Add(2 * day), silent: time.Minute}}}
	var got lifeState
	b := l.AppendTo(nil)
	if err := got.Parse(b); err != nil || got.dropped != 3 || !slices.Equal(got.absences, l.absences) {
		t.Errorf("%+v, %v", got, err)
	}
	if len(b) > 200 {
		t.Errorf("%d bytes", len(b))
	}
	u := useState{unheard: time.Hour, waited: true, habit: habit{away: [2]time.Duration{day, time.Hour}}}
	var back useState
	if err := back.Parse(u.AppendTo(nil)); err != nil || back.unheard != u.unheard || !back.waited || back.habit != u.habit {
		t.Errorf("%+v, %v", back, err)
	}
	h := host{vlan: 12, since: noon, last: noon}
	var host2 host
	if err := host2.Parse(h.AppendTo(nil)); err != nil || host2.vlan != 12 || host2.since != noon {
		t.Errorf("%+v, %v", host2, err)
	}
}
