package fingerprint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wardflow/wardflow/proto"
)

// use keeps the line that holds, as every reader of wardflow.usage does.
func (w *ward) use(u proto.Usage) {
	w.lines++
	if w.usage[u.DeviceID] == nil {
		w.usage[u.DeviceID] = map[proto.Time]proto.Usage{}
	}
	if u.End <= u.Start {
		delete(w.usage[u.DeviceID], u.Start)
		return
	}
	w.usage[u.DeviceID][u.Start] = u
}

// used gives the lines of a device in order.
func (w *ward) used(who byte) []proto.Usage {
	var list []proto.Usage
	for _, u := range w.usage[id(who)] {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b proto.Usage) int { return int(a.Start - b.Start) })
	return list
}

func minute(m float64) proto.Time { return noon.Add(time.Duration(m * float64(time.Minute))) }

// text prints lines in minutes since noon.
func text(list []proto.Usage) string {
	var out []string
	for _, u := range list {
		m := func(t proto.Time) string {
			s := fmt.Sprintf("%.2f", t.Sub(noon).Minutes())
			return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
		}
		what := strings.TrimSuffix(strings.TrimSpace(u.Kind+" "+u.Outcome), " unknown")
		out = append(out, strings.Join(strings.Fields(m(u.Start)+"-"+m(u.End)+" "+u.State+" "+what), " "))
	}
	return strings.Join(out, ", ")
}

func TestTimeline(t *testing.T) {
	span := func(from, to float64) proto.Span { return proto.Span{Start: minute(from), End: minute(to)} }
	use := func(how uint8, key string, from, to float64, outcome string) proto.Use {
		return proto.Use{How: how, Key: key, Start: minute(from), End: minute(to), Outcome: outcome, Open: outcome == "unknown", Signs: 1}
	}
	step, study, infusion, monitor := proto.UseStep, proto.UseStudy, proto.UseInfusion, proto.UseMonitoring
	for _, c := range []struct {
		name  string
		spans []proto.Span
		uses  []proto.Use
		now   float64
		want  string
	}{
		{"presence alone", []proto.Span{span(0, 10)}, nil, 10, "0-10 idle"},
		{"a short pause is none", []proto.Span{span(0, 10), span(14, 20)}, nil, 20, "0-20 idle"},
		{"a pause that is not long enough", []proto.Span{span(0, 10), span(60, 70)}, nil, 70, "0-70 idle"},
		{"offline between", []proto.Span{span(0, 10), span(100, 120)}, nil, 120, "0-10 idle, 10-100 offline, 100-120 idle"},
		{"spans in any order", []proto.Span{span(100, 120), span(0, 10), span(8, 12)}, nil, 120, "0-12 idle, 12-100 offline, 100-120 idle"},
		{"an exam", []proto.Span{span(0, 60)}, []proto.Use{use(step, "a", 10, 30, "completed")}, 60, "0-10 idle, 10-30 in_use exam completed, 30-60 idle"},
		{"an exam that goes on", []proto.Span{span(0, 60)}, []proto.Use{use(step, "a", 10, 10, "unknown")}, 60, "0-10 idle, 10-60 in_use exam"},
		{"one nobody ended", []proto.Span{span(0, 800)}, []proto.Use{use(step, "a", 10, 20, "unknown")}, 800, "0-10 idle, 10-20 in_use exam, 20-800 idle"},
		{"two at a time", []proto.Span{span(0, 60)}, []proto.Use{use(study, "a", 10, 30, "unknown"), use(study, "b", 20, 25, "unknown")}, 60, "0-10 idle, 10-20 in_use exam, 20-30 in_use exam, 30-60 idle"},
		{"at the same moment", []proto.Span{span(0, 60)}, []proto.Use{use(study, "a", 10, 30, "unknown"), use(study, "b", 10, 25, "unknown")}, 60, "0-10 idle, 10-30 in_use exam, 30-60 idle"},
		{"told by two endpoints", []proto.Span{span(0, 60)}, []proto.Use{use(infusion, "", 10, 30, "completed"), use(infusion, "nic2", 12, 31, "completed")}, 60, "0-10 idle, 10-31 in_use infusion completed, 31-60 idle"},
		{"in use over a silence", []proto.Span{span(0, 10), span(100, 120)}, []proto.Use{use(infusion, "", 5, 110, "completed")}, 120, "0-5 idle, 5-110 in_use infusion completed, 110-120 idle"},
		{"ended in a silence", []proto.Span{span(0, 10), span(200, 220)}, []proto.Use{use(infusion, "", 5, 12, "completed")}, 220, "0-5 idle, 5-12 in_use infusion completed, 12-200 offline, 200-220 idle"},
		{"one message", []proto.Span{span(0, 60)}, []proto.Use{use(study, "a", 10, 10, "unknown")}, 60, "0-10 idle, 10-10.02 in_use exam, 10.02-60 idle"},
		{"by silence, half an interval on", []proto.Span{span(0, 120)}, []proto.Use{{How: monitor, Start: minute(10), End: minute(40), Open: true, Signs: 4, Outcome: "unknown"}}, 120, "0-10 idle, 10-45 in_use monitoring, 45-120 idle"},
		{"an interval of its own length", []proto.Span{span(0, 120)}, []proto.Use{{How: monitor, Start: minute(10), End: minute(14), Open: true, Signs: 3, Outcome: "unknown"}}, 120, "0-10 idle, 10-15 in_use monitoring, 15-120 idle"},
		{"of the reports of an hour, no more than five minutes", []proto.Span{span(0, 300)}, []proto.Use{{How: infusion, Start: minute(10), End: minute(110), Open: true, Signs: 3, Outcome: "unknown"}}, 300, "0-10 idle, 10-115 in_use infusion, 115-300 idle"},
	} {
		tl := timeline{offline: offlineAfter}
		for _, s := range c.spans {
			tl.see(s)
		}
		for _, u := range c.uses {
			tag := ""
			if strings.HasSuffix(u.Key, "nic2") {
				u.Key, tag = "", "nic2"
			}
			tl.takes(tag, append(of(tl.uses, tag), u), minute(c.now))
		}
		if got := text(tl.lines(minute(c.now), false)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// of gives the uses that were told under a tag.
func of(list []proto.Use, tag string) (out []proto.Use) {
	for _, u := range list {
		if key, is, _ := strings.Cut(u.Key, keyTag); is == tag {
			u.Key = key
			out = append(out, u)
		}
	}
	return out
}

func TestTimelineSettles(t *testing.T) {
	tl := timeline{offline: offlineAfter}
	tl.see(proto.Span{Start: minute(0), End: minute(100)})
	tl.takes("", []proto.Use{{How: proto.UseStep, Key: "a", Start: minute(10), End: minute(20), Outcome: "completed"}}, minute(100))
	tl.settle(minute(20), minute(100))
	if got, want := text(tl.lines(minute(100), false)), "20-100 idle"; got != want || len(tl.uses) != 0 {
		t.Errorf("%s and %d uses, want %s", got, len(tl.uses), want)
	}
	tl.takes("", []proto.Use{{How: proto.UseStep, Key: "a", Start: minute(10), End: minute(20), Outcome: "completed"}}, minute(100))
	tl.see(proto.Span{Start: minute(3), End: minute(12)})
	if got, want := text(tl.lines(minute(100), false)), "20-100 idle"; got != want {
		t.Errorf("told again: %s, want %s", got, want)
	}
	for i := range 200 {
		at := float64(1000 + 10*i)
		tl.see(proto.Span{Start: minute(at), End: minute(at + 1)})
		tl.takes("", []proto.Use{{How: proto.UseStudy, Key: fmt.Sprint(i), Start: minute(at), End: minute(at + 1)}}, minute(at+1))
	}
	if len(tl.spans) > maxSpans || len(tl.uses) > maxSessions {
		t.Errorf("%d spans, %d uses", len(tl.spans), len(tl.uses))
	}
}

func TestHabits(t *testing.T) {
	h := habit{since: minute(0)}
	day := 24 * 60.0
	if got := h.offlineAfter(minute(60)); got != offlineAfter {
		t.Errorf("on the first day %v", got)
	}
	h.silence(20*time.Minute, minute(60))
	if got := h.offlineAfter(minute(day)); got != 40*time.Minute {
		t.Errorf("of a device that is silent for 20 minutes at most: %v", got)
	}
	h.silence(12*time.Hour, minute(day)) // a night away is no habit of keeping silent
	if got := h.offlineAfter(minute(day)); got != 40*time.Minute {
		t.Errorf("after a night away: %v", got)
	}
	if h = (habit{since: minute(0)}); h.offlineAfter(minute(day)) != offlineAfterLeast {
		t.Errorf("never silent: %v", h.offlineAfter(minute(day)))
	}
}

// said is an observation of a minute, as "protocol kind key=value ...".
func said(at float64, what string) *proto.Observation {
	f := strings.Fields(what)
	var attributes []string
	for _, kv := range f[2:] {
		k, v, _ := strings.Cut(kv, "=")
		attributes = append(attributes, k, v)
	}
	o := seen(f[0], f[1], 1, minute(at), attributes...)
	if v := o.Attributes.Get("abstract_syntaxes"); v != "" {
		o.Attributes.SetList("abstract_syntaxes", []string{v})
	}
	return o
}

type utterance struct {
	at   float64
	what string
}

const (
	create       = "dicom n_create mpps=m1 study=s1"
	completed    = "dicom n_set mpps=m1 mpps_status=completed"
	create2      = "dicom n_create mpps=m2 study=s2"
	completed2   = "dicom n_set mpps=m2 mpps_status=completed"
	discontinued = "dicom n_set mpps=m1 mpps_status=discontinued"
	image        = "dicom c_store role=scu study=s1 modality=CT"
	image2       = "dicom c_store role=scu study=s2 modality=CT"
	echo         = "dicom c_echo role=scu"
	infusing     = "hl7 equipment delivering=true"
	standby      = "hl7 equipment delivering=false"
	measures     = "intellivue state measuring=true"
	measuresNot  = "intellivue state measuring=false"
)

func every(step, from, to float64, what string) (list []utterance) {
	for at := from; at <= to; at += step {
		list = append(list, utterance{at, what})
	}
	return list
}

// foldCases are what a device says, in minutes, and the lines that it makes.
var foldCases = []struct {
	name string
	says []utterance
	want string
}{
	{"exam completed", []utterance{{10, create}, {12, image}, {30, completed}}, "0-10 idle, 10-30 in_use exam completed, 30-240 idle"},
	{"exam discontinued", []utterance{{10, create}, {15, discontinued}}, "0-10 idle, 10-15 in_use exam discontinued, 15-240 idle"},
	{"begun before anybody looked", []utterance{{30, completed}}, "0-30 idle, 30-30.02 in_use exam completed, 30.02-240 idle"},
	{"ended only once", []utterance{{10, create}, {20, completed}, {25, discontinued}}, "0-10 idle, 10-20 in_use exam completed, 20-240 idle"},
	{"images of the step, before, in and after it", []utterance{{8, image}, {10, create}, {12, image}, {30, completed}, {33, image}}, "0-10 idle, 10-30 in_use exam completed, 30-240 idle"},
	{"images with another study", []utterance{{10, create}, {12, image2}, {30, completed}}, "0-10 idle, 10-30 in_use exam completed, 30-240 idle"},
	{"never ended", []utterance{{10, create}, {12, image}, {25, image}}, "0-10 idle, 10-240 in_use exam"},
	{"never ended, and another one after it", []utterance{{10, create}, {12, image}, {20, image}, {50, create2}, {65, completed2}}, "0-10 idle, 10-20 in_use exam, 20-50 idle, 50-65 in_use exam completed, 65-240 idle"},
	{"never ended, without images", []utterance{{10, create}, {30, create2}, {45, completed2}}, "0-10 idle, 10-30 in_use exam, 30-45 in_use exam completed, 45-240 idle"},
	{"never ended, the next one much later", []utterance{{10, create}, {130, create2}, {145, completed2}}, "0-10 idle, 10-40 in_use exam, 40-130 idle, 130-145 in_use exam completed, 145-240 idle"},
	{"two steps of one patient", []utterance{{10, create}, {12, create2}, {30, completed2}, {31, completed}}, "0-10 idle, 10-12 in_use exam completed, 12-31 in_use exam completed, 31-240 idle"},
	{"ended when the next patient was", []utterance{{10, create}, {12, image}, {20, create2}, {30, completed2}, {200, completed}}, "0-10 idle, 10-12 in_use exam, 12-20 idle, 20-30 in_use exam completed, 30-240 idle"},
	{"images alone", every(1, 10, 17, image), "0-10 idle, 10-17 in_use exam, 17-240 idle"},
	{"a gap within the study", []utterance{{10, image}, {35, image}}, "0-10 idle, 10-35 in_use exam, 35-240 idle"},
	{"too long a gap", []utterance{{10, image}, {20, image}, {51, image}, {60, image}}, "0-10 idle, 10-20 in_use exam, 20-51 idle, 51-60 in_use exam, 60-240 idle"},
	{"two studies interleaved", []utterance{{10, image}, {15, image2}, {20, image}, {25, image2}}, "0-10 idle, 10-15 in_use exam, 15-25 in_use exam, 25-240 idle"},
	{"passed on by an archive", []utterance{{10, image + " move_originator=ws1"}}, "0-240 idle"},
	{"an archive", []utterance{{5, "dicom associate_ac role=scp abstract_syntaxes=1.2.840.10008.5.1.4.1.1.2 called_ae=PACS"}, {10, image}}, "0-240 idle"},
	{"a report", []utterance{{10, "dicom c_store role=scu study=s1 modality=SR"}}, "0-240 idle"},
	{"received", []utterance{{10, "dicom c_store role=scp study=s1 modality=CT"}}, "0-240 idle"},
	{"echoes", every(10, 10, 100, echo), "0-240 idle"},
	{"infusion", append(every(5, 10, 55, infusing), utterance{60, standby}), "0-10 idle, 10-60 in_use infusion completed, 60-240 idle"},
	{"two infusions", []utterance{{10, infusing}, {20, standby}, {30, infusing}, {40, standby}}, "0-10 idle, 10-20 in_use infusion completed, 20-30 idle, 30-40 in_use infusion completed, 40-240 idle"},
	{"infusion, then silence about it", every(4, 10, 50, infusing), "0-10 idle, 10-52 in_use infusion, 52-240 idle"},
	{"infusion begun by the last message", []utterance{{10, standby}, {241, infusing}}, "0-240.98 idle, 240.98-241 in_use infusion"},
	{"stopped, and never begun", []utterance{{10, standby}}, "0-240 idle"},
	{"monitoring", append(every(10, 10, 50, measures), utterance{56, measuresNot}), "0-10 idle, 10-56 in_use monitoring completed, 56-240 idle"},
	{"monitoring, then silence about it", every(10, 10, 50, measures), "0-10 idle, 10-55 in_use monitoring, 55-240 idle"},
	{"a monitor that is reported on", every(5, 10, 60, "hl7 equipment equipment_type=MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS"), "0-10 idle, 10-62.5 in_use monitoring, 62.5-240 idle"},
	{"tests", []utterance{{10, "poct1a obs_r01 role=device"}, {10.2, "poct1a obs_r01 role=device"}, {40, "astm results role=instrument"}}, "0-10 idle, 10-10.2 in_use test completed, 10.2-40 idle, 40-40.02 in_use test completed, 40.02-240 idle"},
	{"the host's side of a test", []utterance{{10, "poct1a obs_r01 role=manager"}, {12, "astm results role=host"}}, "0-240 idle"},
}

// tellWard gives a ward what a device says, over a presence from minute 0 to 240,
// in the order of the list, the clock following the latest of them.
func tellWard(t *testing.T, says []utterance, presence func(m float64) bool) *ward {
	w := newWard(t)
	var clock proto.Time
	for _, u := range presenceAnd(says, presence) {
		if u.what == "" {
			w.flow(tcp(1, 9, 443, minute(u.at).Add(-time.Second)))
		} else {
			w.item(proto.Item{Observation: said(u.at, u.what)})
		}
		if at := minute(u.at); at > clock {
			clock = at
			w.beat(clock, false)
		}
	}
	w.beat(max(clock, minute(240)), true)
	return w
}

func presenceAnd(says []utterance, presence func(m float64) bool) []utterance {
	var all []utterance
	for m := 0.0; m <= 240; m += 3 {
		if presence == nil || presence(m) {
			all = append(all, utterance{m, ""})
		}
	}
	all = append(all, says...)
	slices.SortStableFunc(all, func(a, b utterance) int { return int((a.at - b.at) * 1e6) })
	return all
}

// whole leaves out the second by which the flows of tellWard begin before their minute.
func whole(s string) string { return strings.Replace(s, "-0.02-", "0-", 1) }

func TestUseOfDevices(t *testing.T) {
	for _, c := range foldCases {
		w := tellWard(t, c.says, nil)
		if got := whole(text(w.used(1))); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
		covered(t, c.name, w, 1)
	}
}

// covered checks that the lines of a device follow each other from its first sign
// of life to its last.
func covered(t testing.TB, name string, w *ward, who byte) {
	t.Helper()
	list, d := w.used(who), w.devices[id(who)]
	if len(list) == 0 || d == nil {
		t.Fatalf("%s: no lines", name)
	}
	if list[0].Start != d.FirstSeen || list[len(list)-1].End != d.LastSeen {
		t.Errorf("%s: lines from %v to %v, device from %v to %v", name, list[0].Start, list[len(list)-1].End, d.FirstSeen, d.LastSeen)
	}
	for i := 1; i < len(list); i++ {
		if list[i].Start != list[i-1].End {
			t.Errorf("%s: %s is followed by %s", name, text(list[i-1:i]), text(list[i:i+1]))
		}
	}
}

func TestOfflineAndReturn(t *testing.T) {
	w := tellWard(t, nil, func(m float64) bool { return m <= 60 || m >= 180 })
	if got, want := whole(text(w.used(1))), "0-60 idle, 60-179.98 offline, 179.98-240 idle"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	covered(t, "offline", w, 1)
	if s := w.devices[id(1)].LastState; s != "idle" {
		t.Errorf("last state %q", s)
	}
}

// TestStateGoesOffline: that a device is silent is told while it is.
func TestStateGoesOffline(t *testing.T) {
	w := newWard(t)
	w.flow(tcp(1, 9, 443, minute(0)))
	for m := 0.0; m <= 80; m += 3 {
		w.flow(tcp(2, 9, 443, minute(m)))
		w.beat(minute(m), false)
		want := "idle"
		if m > 69 {
			want = "offline"
		}
		if s := w.devices[id(1)].LastState; s != want && (m < 65 || m > 69) {
			t.Errorf("minute %v: %q, want %q", m, s, want)
		}
	}
	w.flow(tcp(1, 9, 443, minute(81)))
	w.beat(minute(82), false)
	w.beat(minute(90), true)
	if s := w.devices[id(1)].LastState; s != "idle" {
		t.Errorf("returned: %q", s)
	}
}

// TestLateNews: what comes within its time changes what was told.
func TestLateNews(t *testing.T) {
	w := newWard(t)
	for m := 0.0; m <= 60; m += 3 {
		w.flow(tcp(1, 9, 443, minute(m)))
		w.beat(minute(m), false)
		switch m {
		case 30:
			w.item(proto.Item{Observation: said(30, create)})
		case 42: // the exam is told by then, and began earlier
			w.item(proto.Item{Observation: said(28, "dicom n_create mpps=m1 study=s1")})
		case 51:
			w.item(proto.Item{Observation: said(50, completed)})
		}
	}
	w.beat(minute(61), true)
	want := "0-28 idle, 28-50 in_use exam completed, 50-60.02 idle"
	if got := text(w.used(1)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	covered(t, "late", w, 1)
}

// TestALongIdleDeviceIsOneLine: it is told as it grows, seldom.
func TestALongIdleDeviceIsOneLine(t *testing.T) {
	w := newWard(t)
	for m := 0.0; m <= 24*60; m += 2 {
		w.flow(tcp(1, 9, 443, minute(m)))
		w.beat(minute(m), false)
	}
	w.beat(minute(24*60+1), true)
	if got, want := text(w.used(1)), "0-1440.02 idle"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if most := 2*24*60/15 + 10; w.lines > most { // of two devices
		t.Errorf("%d lines were told, want at most %d", w.lines, most)
	}
}

// TestOrderOfNewsChangesNothing: what a device says of its use comes to the same in
// whatever order it is heard, within settleUse.
func TestOrderOfNewsChangesNothing(t *testing.T) {
	for _, c := range foldCases {
		want := text(tellWard(t, c.says, nil).used(1))
		for seed := range uint64(6) {
			rng := rand.New(rand.NewPCG(seed, 7))
			all := presenceAnd(c.says, nil)
			heard := make(map[int]float64, len(all))
			order := make([]int, len(all))
			for i := range all {
				order[i] = i
				heard[i] = all[i].at + rng.Float64()*14
				if all[i].what == "" {
					heard[i] = all[i].at + rng.Float64()*4
				}
			}
			slices.SortFunc(order, func(a, b int) int { return int((heard[a] - heard[b]) * 1e6) })
			w := newWard(t)
			for _, i := range order {
				if u := all[i]; u.what == "" {
					w.flow(tcp(1, 9, 443, minute(u.at).Add(-time.Second)))
				} else {
					w.item(proto.Item{Observation: said(u.at, u.what)})
				}
				w.beat(minute(heard[i]), false)
			}
			w.beat(minute(256), true)
			if got := text(w.used(1)); got != want {
				t.Errorf("%s, order %d:\ngot  %s\nwant %s", c.name, seed, got, want)
			}
			covered(t, c.name, w, 1)
		}
	}
}

// TestAnyUse: whatever a device says, its lines cover its life once, and each exam
// that was ended is one line.
func TestAnyUse(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWard(t)
		at, exams := 0.0, map[string]bool{}
		words := rapid.SampledFrom([][]string{{image, image2, ""}, {infusing, standby, ""}, {measures, measuresNot, ""}, {"poct1a obs_r01 role=device", ""}}).Draw(r, "words")
		for i := range rapid.IntRange(1, 25).Draw(r, "events") {
			at += float64(rapid.IntRange(0, 40).Draw(r, "step"))
			if rapid.IntRange(0, 9).Draw(r, "away") == 0 {
				at += 200
			}
			what := rapid.SampledFrom(words).Draw(r, "what")
			if words[0] == image && rapid.IntRange(0, 3).Draw(r, "exam") == 0 {
				at++
				key := fmt.Sprint("e", i)
				exams[key] = true
				w.item(proto.Item{Observation: said(at, "dicom n_create mpps="+key)})
				at += 1 + float64(rapid.IntRange(0, 30).Draw(r, "long"))
				what = "dicom n_set mpps_status=completed mpps=" + key
			}
			if what == "" {
				w.flow(tcp(1, 9, 443, minute(at)))
			} else {
				w.item(proto.Item{Observation: said(at, what)})
			}
			w.beat(minute(at), false)
		}
		w.flow(tcp(1, 9, 443, minute(at+1)))
		w.beat(minute(at+2), true)
		covered(t, "any", w, 1)
		n := 0
		for _, u := range w.used(1) {
			if u.Kind == "exam" && u.Outcome == "completed" {
				n++
			}
			if (u.State == "in_use") != (u.Kind != "") || u.Confidence <= 0 || u.Confidence > 1 {
				r.Fatalf("line %+v", u)
			}
		}
		if n != len(exams) {
			r.Fatalf("%d exams, want %d: %s", n, len(exams), text(w.used(1)))
		}
	})
}

// TestUseStateIsBounded: what is kept of a device's use survives encoding, and stays
// small whatever it says.
func TestUseStateIsBounded(t *testing.T) {
	var s useState
	var tl timelineState
	tl.offline = offlineAfter
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		at := noon.Add(time.Duration(i) * 7 * time.Second)
		how := uint8(rng.IntN(5))
		key := ""
		if how <= proto.UseStudy {
			key = proto.HashID("k", []byte{byte(i), byte(i >> 8)}).String()
		}
		s.add(sign{at: at, until: at, how: how, act: uint8(rng.IntN(4)), key: key, count: 1})
		if i%10 == 0 {
			s.settle(at)
			s.ended(proto.Span{Start: at.Add(-time.Minute), End: at}, at)
		}
		if i%100 == 0 {
			tl.takes("", s.told(), at)
		}
		tl.see(proto.Span{Start: at, End: at})
		if i%500 != 0 {
			continue
		}
		if b := s.AppendTo(nil); len(b) > 4000 {
			t.Fatalf("%d bytes of state after %d signs", len(b), i)
		}
		if b := tl.AppendTo(nil); len(b) > 4000 {
			t.Fatalf("%d bytes of timeline after %d signs", len(b), i)
		}
		same(t, &s, new(useState))
		tl.told = tl.lines(at, false)
		for i := range tl.told {
			tl.told[i].How = ""
		}
		same(t, &tl, new(timelineState))
	}
}

func same[T any, P interface {
	*T
	AppendTo([]byte) []byte
	Parse([]byte) error
}](t *testing.T, have, empty P) {
	t.Helper()
	if err := empty.Parse(have.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if a, b := fmt.Sprintf("%+v", *have), fmt.Sprintf("%+v", *empty); a != b {
		t.Fatalf("decoded\n%s\nwant\n%s", b, a)
	}
}

// TestMessagesOfAPumpAreSmall: a report of a pump in use changes less of the state
// than the changelog may grow by an event.
func TestMessagesOfAPumpAreSmall(t *testing.T) {
	var s useState
	for i := range 2000 {
		at := noon.Add(time.Duration(i) * time.Minute)
		act := uint8(signOn)
		if i%300 > 240 {
			act = signEnd
		}
		s.add(sign{at: at, until: at, how: proto.UseInfusion, act: act, count: 1})
		if s.due(at) {
			s.settle(at)
		}
		if b := s.AppendTo(nil); len(b) > 256 {
			t.Fatalf("%d bytes after %d reports", len(b), i)
		}
	}
}
