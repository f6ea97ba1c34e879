package fingerprint

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// exams are a device's uses: when they began and how long they took,
// after noon, and how they ended.
func (w *ward) usesOf(who proto.ID) (list []string) {
	for _, u := range w.usage[who] {
		if u.State == "in_use" {
			list = append(list, u.Start.Sub(noon).String()+" for "+u.End.Sub(u.Start).String()+" "+u.Kind+" "+u.Outcome)
		}
	}
	slices.Sort(list)
	return list
}

// TestFirstStationOfABroker: what the first of two stations has begun when the second
// is named is its own, whenever that is, and is not its broker's too.
func TestFirstStationOfABroker(t *testing.T) {
	for _, c := range []struct {
		name         string
		second, ends int // minutes: the second station's step begins, the first's ends
		broker, ct1  []string
	}{
		{"soon", 5, 15, nil, []string{"0s for 15m0s exam completed", "40m0s for 10m0s exam completed"}},
		{"after an hour and three quarters", 105, 110, nil, []string{"0s for 1h50m0s exam completed", "2h15m0s for 10m0s exam completed"}},
		{"after it is over", 20, 15, []string{"0s for 15m0s exam completed"}, []string{"0s for 15m0s exam completed", "45m0s for 10m0s exam completed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWard(t)
			for m := range c.second + 100 {
				step := func(name, station string) {
					kind, status := "n_create", "in_progress"
					if station == "" {
						kind, status = "n_set", "completed"
					}
					o := seen("dicom", kind, 1, noon.Add(time.Duration(m)*time.Minute), "role", "scu", "calling_ae", "BROKER", "mpps", name, "mpps_status", status, "station_ae", station, "station_name", station)
					if station != "" {
						o.Attributes.Set("modality", "CT")
					}
					w.observe(o)
				}
				switch m {
				case 0:
					step("a", "CT1")
				case c.second:
					step("b", "CT2")
				case c.second + 3:
					step("b", "")
				case max(c.second, c.ends) + 25:
					step("c", "CT1")
				case max(c.second, c.ends) + 35:
					step("c", "")
				}
				if m == c.ends {
					step("a", "")
				}
				w.beat(noon.Add(time.Duration(m)*time.Minute+30*time.Second), false)
			}
			w.beat(noon.Add(4*time.Hour), true)
			if got := w.usesOf(id(1)); !slices.Equal(got, c.broker) {
				t.Errorf("broker: %q, want %q", got, c.broker)
			}
			if got := w.usesOf(proto.EquipmentEndpoint("st-alban", "dicom:CT1")); !slices.Equal(got, c.ct1) {
				t.Errorf("first station: %q, want %q", got, c.ct1)
			}
			broker := w.devices[id(1)]
			if !slices.Equal(broker.AETitles, []string{"BROKER"}) || slices.ContainsFunc(broker.Evidence, func(e proto.Evidence) bool { return e.Attribute == "station_name" || e.Attribute == "dicom_modality" }) {
				t.Errorf("of the broker stays %v, %+v", broker.AETitles, broker.Evidence)
			}
		})
	}
}

// TestForgottenStepOfABroker: a step that nobody ended and that is taken to be over is
// not told a second time, of its station.
func TestForgottenStepOfABroker(t *testing.T) {
	w := newWard(t)
	for m := range 400 {
		at := noon.Add(time.Duration(m) * time.Minute)
		say := func(kind, name, station string) {
			w.observe(seen("dicom", kind, 1, at, "role", "scu", "calling_ae", "BROKER", "mpps", name, "mpps_status", "completed", "station_ae", station))
		}
		switch m {
		case 0:
			say("n_create", "forgotten", "CT1")
		case 60:
			say("n_create", "b", "CT1")
		case 70:
			say("n_set", "b", "")
		case 300:
			say("n_create", "c", "CT2")
		case 310:
			say("n_set", "c", "")
		case 350:
			say("n_set", "forgotten", "")
		}
		w.beat(at, false)
	}
	w.beat(noon.Add(8*time.Hour), true)
	if got := w.usesOf(id(1)); !slices.Equal(got, []string{"0s for 30m0s exam unknown", "1h0m0s for 10m0s exam completed"}) {
		t.Errorf("broker: %q", got)
	}
	ct1 := proto.EquipmentEndpoint("st-alban", "dicom:CT1")
	if got := w.usesOf(ct1); w.devices[ct1] == nil || len(got) > 0 {
		t.Errorf("first station: %v, %q", w.devices[ct1] != nil, got)
	}
}

// TestDockKeepsNoMetersName: a dock with two meters is neither of them, and the tests
// that name their meter are that meter's.
func TestDockKeepsNoMetersName(t *testing.T) {
	w := newWard(t)
	serials := []string{"UU11223344", "UU11223399"}
	at := noon
	say := func(kind, serial string, more ...string) {
		at = at.Add(time.Minute)
		w.observe(seen("poct1a", kind, 1, at, append([]string{"role", "device", "manufacturer", "Roche", "model", "Inform II", "serial", serial}, more...)...))
	}
	for range 3 {
		for _, serial := range serials {
			say("hel_r01", serial, "software_version", "4.1")
			w.beat(at, false)
		}
		for _, serial := range serials {
			say("obs_r01", serial, "observations", "1")
			at = at.Add(10 * time.Minute)
			w.beat(at, false)
		}
	}
	for _, serial := range serials {
		say("dst_r01", serial, "state", "ready")
	}
	w.beat(at.Add(time.Hour), true)
	if dock := w.devices[id(1)]; dock.Serial != nil || dock.Model != nil || len(w.usesOf(id(1))) > 0 {
		t.Errorf("the dock has serial %v, model %v, uses %q", dock.Serial, dock.Model, w.usesOf(id(1)))
	}
	for _, serial := range serials {
		meter := proto.EquipmentEndpoint("st-alban", strings.ToLower("poct1a:Roche:Inform II:"+serialKey(serial)))
		d := w.devices[meter]
		if d == nil || d.Serial == nil || d.Serial.Value != serial || d.Gateway != id(1) || len(w.usesOf(meter)) != 3 {
			t.Errorf("meter %s: %v, tests %q", serial, d != nil, w.usesOf(meter))
		}
	}
}

// TestStepsAreLetGo: of a scanner that never ends its procedure steps few are held,
// and those of an earlier day take no room.
func TestStepsAreLetGo(t *testing.T) {
	w := newWard(t)
	who := proto.EquipmentEndpoint("st-alban", "dicom:CT1")
	say := func(at time.Duration, kind, name, station string) {
		o := seen("dicom", kind, 1, noon.Add(at), "role", "scu", "calling_ae", "BROKER", "mpps", name, "mpps_status", "completed", "station_ae", station)
		w.observe(o)
		w.beat(noon.Add(at), false)
	}
	for i := range 2 * maxSteps {
		say(time.Duration(i)*time.Minute, "n_create", fmt.Sprint("forgotten", i), "CT1")
	}
	say(24*time.Hour, "n_create", "a", "CT1")
	say(24*time.Hour+time.Minute, "n_create", "b", "CT2")
	say(24*time.Hour+10*time.Minute, "n_set", "a", "")
	w.beat(noon.Add(25*time.Hour), true)
	if got := w.usesOf(who); !slices.Equal(got, []string{"24h0m0s for 10m0s exam completed"}) {
		t.Errorf("first station: %q", got)
	}
}

func TestNestedStateIsKept(t *testing.T) {
	of := proto.EquipmentEndpoint("st-alban", "dicom:CT1")
	for _, c := range []struct {
		stored []byte
		want   nestedState
	}{
		{(&nestedState{device: of, step: true, at: noon, held: []byte("message")}).AppendTo(nil), nestedState{device: of, step: true, at: noon, held: []byte("message")}},
		{(&nestedState{device: of, held: []byte("message")}).AppendTo(nil), nestedState{device: of, held: []byte("message")}},
		{append(slices.Clone(of[:]), 1, 0), nestedState{device: of, step: true}}, // of the first release
	} {
		var got nestedState
		if err := got.Parse(c.stored); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%x: %+v, %v, want %+v", c.stored, got, err, c.want)
		}
	}
}
