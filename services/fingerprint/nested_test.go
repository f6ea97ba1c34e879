package fingerprint

import (
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// TestStationsBehindABroker: who reports the procedure steps of two stations is their
// gateway, and the exams are theirs; who names one only may be named otherwise in its
// own configuration.
func TestStationsBehindABroker(t *testing.T) {
	for _, both := range []bool{true, false} {
		w := newWard(t)
		at := func(m int) proto.Time { return noon.Add(time.Duration(m) * time.Minute) }
		step := func(m int, name, station string) {
			kind, status := "n_create", "in_progress"
			if station == "" {
				kind, status = "n_set", "completed"
			}
			w.observe(seen("dicom", kind, 1, at(m), "role", "scu", "calling_ae", "BROKER", "mpps", name, "mpps_status", status, "station_ae", station, "modality", "CT", "station_name", station))
			w.beat(at(m+1), false)
		}
		second := "CT2"
		if !both {
			second = "CT1"
		}
		step(0, "a", "CT1")
		step(5, "b", second)
		step(20, "b", "")
		step(30, "c", "CT1")
		step(40, "c", "")
		w.beat(at(60), true)
		ct1, ct2 := w.devices[proto.EquipmentEndpoint("st-alban", "dicom:CT1")], w.devices[proto.EquipmentEndpoint("st-alban", "dicom:CT2")]
		if !both {
			if ct1 != nil || len(w.devices) != 1 {
				t.Errorf("one station: %d devices", len(w.devices))
			}
			continue
		}
		if ct1 == nil || ct2 == nil || ct1.Gateway != id(1) || ct2.Gateway != id(1) || len(w.devices) != 3 {
			t.Fatalf("%d devices, %+v, %+v", len(w.devices), ct1, ct2)
		}
		if !slices.Equal(ct2.AETitles, []string{"CT2"}) || ct2.Type == nil || ct2.Type.Value != "ct" {
			t.Errorf("second station: %v, %+v", ct2.AETitles, ct2.Type)
		}
		for _, c := range []struct {
			who  proto.ID
			want string
		}{{ct2.DeviceID, "exam 15m0s"}, {ct1.DeviceID, "exam 10m0s"}, {id(1), ""}} {
			got := ""
			for _, u := range w.usage[c.who] {
				if u.State == "in_use" && u.Outcome == "completed" {
					got += u.Kind + " " + u.End.Sub(u.Start).String()
				}
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q", c.who, got, c.want)
			}
		}
	}
}

// TestMetersBehindADataManager: the second serial number shows that both are behind it.
func TestMetersBehindADataManager(t *testing.T) {
	w := newWard(t)
	for i, serial := range []string{"UU11223344", "UU11223399", "UU11223344"} {
		w.observe(seen("poct1a", "hel_r01", 1, noon.Add(time.Duration(i)*time.Minute), "role", "device", "manufacturer", "Roche", "model", "Inform II", "serial", serial))
	}
	w.beat(noon.Add(time.Hour), true)
	found := 0
	for id, d := range w.devices {
		if d.Gateway == (proto.ID{}) {
			continue
		}
		found++
		if d.Serial == nil || d.Model == nil || d.Manufacturer == nil {
			t.Errorf("%s: %+v", id, d)
		}
	}
	if found != 2 {
		t.Errorf("%d meters behind the data manager, want 2", found)
	}
}
