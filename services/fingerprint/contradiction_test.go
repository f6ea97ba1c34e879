package fingerprint

import (
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// TestNewerVersion: what a device says now, after it was updated, against two values
// that it says in turn.
func TestNewerVersion(t *testing.T) {
	at := func(h int) proto.Time { return noon.Add(time.Duration(h) * time.Hour) }
	say := func(attribute, value, protocol string, first, last int, count uint64) proto.Evidence {
		return proto.Evidence{Attribute: attribute, Value: value, Protocol: protocol, First: at(first), Last: at(last), Count: count, Weight: 0.95}
	}
	for name, c := range map[string]struct {
		evidence  []proto.Evidence
		attribute string
		value     string
		atLeast   float64
		below     float64
		against   int
	}{
		"updated":               {[]proto.Evidence{say("software_version", "5.7.1", "dicom", 0, 20, 11), say("software_version", "5.7.2", "dicom", 30, 50, 11)}, "software_version", "5.7.2", 0.95, 1, 0},
		"put back":              {[]proto.Evidence{say("software_version", "5.7.1", "dicom", 30, 50, 11), say("software_version", "5.7.2", "dicom", 0, 20, 11)}, "software_version", "5.7.1", 0.95, 1, 0},
		"in turn":               {[]proto.Evidence{say("software_version", "1", "dicom", 0, 20, 11), say("software_version", "2", "dicom", 1, 21, 11)}, "software_version", "1", 0.4, 0.6, 1},
		"perhaps in turn":       {[]proto.Evidence{say("software_version", "1", "dicom", 0, 20, 3), say("software_version", "2", "dicom", 21, 25, 2)}, "software_version", "1", 0.4, 0.6, 1},
		"of two sources":        {[]proto.Evidence{say("software_version", "1", "dicom", 0, 20, 11), say("software_version", "2", "hl7", 30, 50, 11)}, "software_version", "1", 0.4, 0.6, 1},
		"moved":                 {[]proto.Evidence{say("location", "W3^B01", "hl7", 0, 20, 99), say("location", "W4^B07", "hl7", 22, 40, 99)}, "location", "W4^B07", 0.9, 1, 0},
		"another serial number": {[]proto.Evidence{say("serial", "A1", "hl7", 0, 20, 11), say("serial", "B2", "hl7", 30, 50, 11)}, "serial", "A1", 0.4, 0.6, 1},
		"agreement":             {[]proto.Evidence{say("model", "X1", "hl7", 0, 20, 11), say("model", "x1", "sdc", 0, 20, 11)}, "model", "X1", 0.99, 1, 0},
	} {
		slices.SortStableFunc(c.evidence, compareEvidence)
		facts, against := embedded().judge(c.evidence)
		f := facts[c.attribute]
		if f == nil || f.Value != c.value || f.Confidence < c.atLeast || f.Confidence > c.below {
			t.Errorf("%s: %+v, want %s", name, f, c.value)
		}
		if len(against) != c.against {
			t.Errorf("%s: %+v speak against it", name, against)
		}
	}
}
