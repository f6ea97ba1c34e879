package fingerprint

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// modality makes the transfers of an imaging device that nobody can read.
type modality struct {
	list []transfer
	r    *rand.Rand
}

// send adds a request of about so many bytes: signatures vary by a few.
func (m *modality) send(at float64, bytes uint64) {
	m.list = append(m.list, transfer{minute(at), minute(at).Add(time.Second), bytes + m.r.Uint64N(3)})
}

// polls adds the routine from one minute to another.
func (m *modality) polls(from, to float64) {
	for at := from; at < to; at += 15 {
		m.send(at+m.r.Float64()/4, 2513)
		m.send(at+4+m.r.Float64()/4, 2661)
	}
}

// exam adds one of so many minutes: with steps (MPPS) or without, images as they come
// or all at its end.
func (m *modality) exam(at, minutes float64, steps, atEnd bool) {
	if steps {
		m.send(at, 2948+m.r.Uint64N(30)) // names differ in length
		m.send(at+minutes, 2740+m.r.Uint64N(16))
	}
	if atEnd {
		m.send(at+minutes-0.1, 60e6)
		return
	}
	for i := range 4 {
		x := at + minutes*float64(i)/3
		if steps {
			x = at + minutes*float64(i+1)/5
		}
		m.send(x, 15e6)
	}
}

// TestActivityOfModalities: what is found of ways of working other than the ward's, and
// what is not.
func TestActivityOfModalities(t *testing.T) {
	const day, first = 24 * 60.0, 8 * 60.0
	for _, c := range []struct {
		name         string
		make         func(m *modality)
		exams        int
		hours, slack float64 // slack: share of the hours
		guessed      int
	}{
		{"steps, images as they come", func(m *modality) {
			m.polls(0, day)
			for i := range 10 {
				m.exam(first+60*float64(i), 25, true, false)
			}
		}, 10, 10 * 25. / 60, 0.02, 0},
		{"steps, patients one after the other", func(m *modality) {
			m.polls(0, day)
			for i := range 40 {
				m.exam(first+12*float64(i), 10, true, false)
			}
		}, 40, 40 * 10. / 60, 0.02, 0},
		{"steps, images at the end", func(m *modality) {
			m.polls(0, day)
			for i := range 10 {
				m.exam(first+60*float64(i), 25, true, true)
			}
		}, 10, 10 * 25. / 60, 0.02, 0},
		{"steps, images after their end", func(m *modality) {
			m.polls(0, day)
			for i := range 10 {
				at := first + 40*float64(i)
				m.exam(at, 25, true, false)
				m.list = m.list[:len(m.list)-4]
				m.send(at+27, 60e6)
			}
		}, 10, 10 * 27. / 60, 0.01, 0}, // two minutes each too many
		{"no steps, images as they come", func(m *modality) {
			m.polls(0, day)
			for i := range 10 {
				m.exam(first+60*float64(i), 25, false, false)
			}
		}, 10, 10 * 25. / 60, 0.02, 0},
		{"no steps, images at the end: the number alone", func(m *modality) {
			m.polls(0, day)
			for i := range 10 {
				m.exam(first+60*float64(i), 25, false, true)
			}
		}, 10, 0, 0, 10},
		{"an association for each image", func(m *modality) {
			m.polls(0, day)
			for i := range 300 {
				m.send(first+float64(i)/30, 530e3)
			}
		}, 1, 10. / 60, 0.02, 1},
		{"images of one size: never routine", func(m *modality) {
			for i := range 5 {
				m.send(float64(i), 9000)
			}
			m.polls(10, day)
			for i := range 6 {
				m.send(first+40*float64(i), 18e6)
			}
		}, 6, 0, 0, 6},
		{"no routine", func(m *modality) {
			for i := range 10 {
				m.exam(first+60*float64(i), 25, false, false)
			}
		}, 0, 0, 0, 0},
		{"routine alone", func(m *modality) { m.polls(0, day) }, 0, 0, 0, 0},
		{"one unusual request a night, no images", func(m *modality) { m.polls(0, day); m.send(200, 4100) }, 0, 0, 0, 0},
	} {
		m := &modality{r: rand.New(rand.NewPCG(1, 2))}
		c.make(m)
		w := m.ward(t, "ct", 0)
		uses, hours, guessed := 0, 0., 0
		for _, u := range w.used(1) {
			if u.State != "in_use" {
				continue
			}
			if u.How != "inferred" || u.Method != methodActivity || u.Kind != "exam" {
				t.Errorf("%s: %+v", c.name, u)
			}
			uses++
			hours += u.End.Sub(u.Start).Hours()
			if u.Confidence < 0.5 {
				guessed++
			}
		}
		if uses != c.exams || hours < c.hours*(1-c.slack)-0.01 || hours > c.hours*(1+c.slack)+0.01 || guessed != c.guessed {
			t.Errorf("%s: %d examinations, %.3f hours, %d of unknown length; want %d, %.3f, %d", c.name, uses, hours, guessed, c.exams, c.hours, c.guessed)
		}
		if got, want := text(m.ward(t, "ct", 8*time.Minute).used(1)), text(w.used(1)); got != want {
			t.Errorf("%s, in another order:\n%s\nwant\n%s", c.name, got, want)
		}
		if got := text(m.ward(t, "workstation", 0).used(1)); strings.Contains(got, "in_use") {
			t.Errorf("%s, of a workstation: %s", c.name, got)
		}
	}
}

// ward tells the transfers to the folds, up to so late, as of a device that a person
// says is of a type.
func (m *modality) ward(t *testing.T, is string, late time.Duration) *ward {
	w := newWard(t)
	list := slices.Clone(m.list)
	slices.SortFunc(list, compareTransfers)
	w.flow(tcp(1, 2, 53, list[0].start.Add(-time.Minute)))
	if err := w.local.Edit(&proto.Edit{EditID: id(9), DeviceID: id(1), Time: noon, By: "m.keller", Action: proto.EditSet, Attribute: "type", Value: is}); err != nil {
		t.Fatal(err)
	}
	if late > 0 {
		due := map[transfer]proto.Time{}
		for _, x := range list {
			due[x] = x.start.Add(time.Duration(m.r.Int64N(int64(late))))
		}
		slices.SortStableFunc(list, func(a, b transfer) int { return int(due[a] - due[b]) })
	}
	now := proto.Time(0)
	for _, x := range list {
		if x.start > now {
			now = x.start
			w.beat(now, false)
		}
		f := tcp(1, 2, 11112, x.start)
		f.End, f.Protocol, f.ProtocolBy, f.SrcPayloadBytes = x.end, "tls", proto.ByContent, x.bytes
		w.flow(f)
	}
	w.beat(minute(26*60), true)
	return w
}

// TestActivityGivesWay: what a device says itself takes the place of estimates, and
// nothing is kept of who is read, or speaks to no DICOM service.
func TestActivityGivesWay(t *testing.T) {
	m := &modality{r: rand.New(rand.NewPCG(1, 2))}
	m.polls(0, 300)
	m.exam(120, 25, true, false)
	w := m.ward(t, "ct", 0)
	if got := text(w.used(1)); !strings.Contains(got, "120-145.02 in_use exam") {
		t.Fatalf("%s", got)
	}
	w.observe(seen("dicom", "n_create", 1, minute(27*60), "role", "scu", "mpps", "a", "mpps_status", "in_progress"))
	w.observe(seen("dicom", "n_set", 1, minute(27*60+9), "role", "scu", "mpps", "a", "mpps_status", "completed"))
	for i, x := range m.list {
		f := tcp(1, 2, 104, x.start.Add(28*time.Hour))
		f.Protocol, f.SrcPayloadBytes = "tls", x.bytes+uint64(i%2)
		w.flow(f)
	}
	w.beat(minute(60*60), true)
	for _, u := range w.used(1) {
		if u.Start > minute(26*60) && u.State == "in_use" && u.Method != "" {
			t.Errorf("%+v beside what the device says itself", u)
		}
	}
	for _, c := range []func(f *proto.Flow){
		func(f *proto.Flow) { f.Protocol, f.ProtocolBy = "dicom", proto.ByContent },
		func(f *proto.Flow) { f.DstPort = 443 },
		func(f *proto.Flow) { f.DstInside = false },
		func(f *proto.Flow) { f.SrcPayloadBytes = 0 },
		func(f *proto.Flow) { f.Transport = proto.UDP },
	} {
		f := tcp(1, 2, 104, noon)
		f.Protocol = "tls"
		if !unreadDICOM(f, false) || unreadDICOM(f, true) {
			t.Fatal("TLS to a DICOM service is not taken for DICOM that is not read")
		}
		if c(f); unreadDICOM(f, false) {
			t.Errorf("%+v is taken for DICOM that is not read", f)
		}
	}
}

// TestActivityIsBounded: a day of images one by one, and of sizes that never come
// again, leaves little, and comes to the same after each restart.
func TestActivityIsBounded(t *testing.T) {
	s, r, most := useState{activity: &activityState{}}, rand.New(rand.NewPCG(3, 4)), 0
	for i := range 4000 {
		x := transfer{start: noon.Add(time.Duration(i) * 5 * time.Second), bytes: 1000 + r.Uint64N(7000)}
		if r.IntN(2) == 0 {
			x.bytes = r.Uint64N(1 << 30)
		}
		x.end = x.start.Add(time.Second)
		s.activity.hear(x)
		s.settle(x.end)
		b := s.AppendTo(nil)
		most = max(most, len(b))
		var back useState
		if err := back.Parse(b); err != nil || !reflect.DeepEqual(s.told(), back.told()) {
			t.Fatalf("%v: %+v, want %+v", err, back.told(), s.told())
		}
		s = back
	}
	t.Logf("%d bytes at most", most)
	if most > 1600 {
		t.Errorf("%d bytes of state", most)
	}
}
