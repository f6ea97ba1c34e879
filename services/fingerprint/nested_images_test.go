package fingerprint

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// stored is an image that host 1 sends: minute, station, serial number, when it was
// acquired, study.
type stored struct {
	minute                       float64
	station, serial, when, study string
}

// TestStationsByTheirImages: who sends fresh images of several stations is their
// gateway, unless it keeps or fetches those of others, or it was renamed.
func TestStationsByTheirImages(t *testing.T) {
	turns := func(when string) (list []stored) { // two stations, two studies each
		for i := range 8 {
			station, serial := "CT-EAST", "SN-40417"
			if i%2 == 1 {
				station, serial = "MR-EAST", "SN-99812"
			}
			list = append(list, stored{float64(15 * i), station, serial, when, string(rune('a' + i/4*2 + i%2))})
		}
		return list
	}
	for _, c := range []struct {
		name    string
		images  []stored
		service string // of host 1, known before
		host    string // its name
		extra   []string
		want    string
	}{
		{"two stations", turns("recently"), "", "", nil, "CT-EAST SN-40417, MR-EAST SN-99812"},
		{"priors", turns(""), "", "", nil, ""},
		{"an archive", turns("recently"), "storage_scp", "", nil, ""},
		{"a workstation that fetches", turns("recently"), "query_retrieve_scu", "", nil, ""},
		{"asked for by another", turns("recently"), "", "", []string{"move_originator", "PACS"}, ""},
		{"reports", turns("recently"), "", "", []string{"modality", "SR"}, ""},
		{"one station", slices.DeleteFunc(turns("recently"), func(i stored) bool { return i.station == "MR-EAST" }), "", "", nil, ""},
		{"one image of another", append(slices.DeleteFunc(turns("recently"), func(i stored) bool { return i.station == "MR-EAST" }), stored{200, "MR-EAST", "SN-99812", "recently", "z"}), "", "", nil, ""},
		{"a new computer", []stored{
			{0, "CT-OLD", "SN-40417", "recently", "a"},
			{30, "CT-OLD", "SN-40417", "recently", "b"},
			{60, "CT-OLD", "SN-40417", "recently", "c"},
			{90, "CT-NEW", "SN-50500", "recently", "d"},
			{120, "CT-NEW", "SN-50500", "recently", "e"},
			{150, "CT-NEW", "SN-50500", "recently", "f"},
		}, "", "", nil, ""},
		{"itself, and another", turns("recently"), "", "ct-east", nil, "MR-EAST SN-99812"},
		{"without serial numbers", func() []stored {
			list := turns("recently")
			for i := range list {
				list[i].serial = ""
			}
			return list
		}(), "", "", nil, "CT-EAST , MR-EAST "},
	} {
		w := newWard(t)
		w.flow(tcp(1, 2, 104, minute(-5)))
		if c.host != "" {
			w.observe(seen("dhcp", "request", 1, minute(-4), "hostname", c.host))
		}
		if c.service != "" {
			o := seen("dicom", "associate_rq", 1, minute(-4), "role", c.service[len(c.service)-3:], "calling_ae", "X", "called_ae", "X")
			o.Attributes.SetList("abstract_syntaxes", []string{map[string]string{"storage_scp": "1.2.840.10008.5.1.4.1.1.2", "query_retrieve_scu": "1.2.840.10008.5.1.4.1.2.2.1"}[c.service]})
			w.observe(o)
		}
		for _, i := range c.images {
			modality, _, _ := strings.Cut(i.station, "-")
			o := seen("dicom", "c_store", 1, minute(i.minute), "role", "scu", "calling_ae", "ROUTER", "modality", modality, "manufacturer", "ACME", "model", "Model "+modality,
				"station_name", i.station, "serial", i.serial, "acquired", i.when, "study", i.study)
			for n := 0; n < len(c.extra); n += 2 {
				o.Attributes.Set(c.extra[n], c.extra[n+1])
			}
			w.observe(o)
			w.beat(minute(i.minute+1), false)
		}
		w.beat(minute(600), true)
		var got []string
		for _, d := range w.devices {
			if d.Gateway.IsZero() {
				continue
			}
			name, serial := "", ""
			for _, v := range d.Evidence {
				if v.Attribute == "station_name" {
					name += v.Value
				}
			}
			if d.Serial != nil {
				serial = d.Serial.Value
			}
			if d.Gateway != id(1) || d.Type == nil || d.Model == nil {
				t.Errorf("%s: %+v", c.name, d)
			}
			got = append(got, name+" "+serial)
		}
		slices.Sort(got)
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
}

// TestStepsAndImagesAreOfOneStation: a station that a broker names in its procedure
// steps and in its images is one device, and its examinations are told once.
func TestStepsAndImagesAreOfOneStation(t *testing.T) {
	for _, imagesFirst := range []bool{true, false} {
		w := newWard(t)
		at := func(m int) proto.Time { return noon.Add(time.Duration(m) * time.Minute) }
		for i := range 8 {
			station, serial := "CT-EAST", "SN-40417"
			if i%2 == 1 {
				station, serial = "MR-EAST", "SN-99812"
			}
			study := string(rune('a' + i))
			images := func(m int) {
				for n := range 3 {
					w.observe(seen("dicom", "c_store", 1, at(40*i+m+n), "role", "scu", "calling_ae", "ROUTER", "modality", station[:2], "manufacturer", "ACME", "model", "X", "station_name", station,
						"serial", serial, "acquired", "recently", "study", study))
				}
			}
			if imagesFirst && i < 2 {
				images(0)
			}
			w.observe(seen("dicom", "n_create", 1, at(40*i+5), "role", "scu", "mpps", study, "mpps_status", "in_progress", "station_ae", station+"1", "station_name", station, "modality", station[:2]))
			images(10)
			w.observe(seen("dicom", "n_set", 1, at(40*i+20), "role", "scu", "mpps", study, "mpps_status", "completed"))
			w.beat(at(40*i+30), false)
		}
		w.beat(at(400), true)
		n := 0
		for _, d := range w.devices {
			if d.Gateway.IsZero() {
				continue
			}
			n++
			exams := 0
			for _, u := range w.usage[d.DeviceID] {
				if u.Outcome == "completed" && u.End.Sub(u.Start) == 15*time.Minute {
					exams++
				}
			}
			if d.Serial == nil || exams < 3 || len(d.AETitles) != 1 {
				t.Errorf("images first %v: serial %v, %d exams, AE titles %v", imagesFirst, d.Serial, exams, d.AETitles)
			}
		}
		if n != 2 {
			t.Errorf("images first %v: %d stations behind the broker, want 2", imagesFirst, n)
		}
	}
}
