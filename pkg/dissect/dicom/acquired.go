package dicom

import (
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// When an image was acquired (PS3.3 C.7.6.1, C.7.3.1): it tells the work of a device
// that is there from a prior, which may name one that is long gone. The date itself is
// the patient's and does not leave: what does is whether it was within the last day.
// A coarser word than an age is also the same for two sensors whose clocks differ.

// The elements, the surest first; a date is followed by its time.
const (
	tagImageType = 0x0008_0008
	tagTimeZone  = 0x0008_0201
)

var acquiredTags = [...]uint32{
	0x0008_002a,              // acquisition, date and time in one
	0x0008_0022, 0x0008_0032, // acquisition
	0x0008_0023, 0x0008_0033, // content
	0x0008_0021, 0x0008_0031, // series
}

// recently is how long ago an image was acquired at most: a day, as images are sent in
// the night at the latest. A time without a zone is the hospital's, which is between 12
// hours behind and 14 before UTC, so that up to half a day more makes no difference: a
// device that made an image the day before is there.
const (
	recently = 24 * time.Hour
	ahead    = 14*time.Hour + 30*time.Minute
)

// acquired is what an image says of its acquisition.
type acquired struct {
	values [len(acquiredTags)]string
	zone   string
	made   bool // of other images: its equipment and dates may be theirs
}

// wants reports how much of an element is kept, 0 for others.
func (a *acquired) wants(tag uint32) int {
	switch tag {
	case tagImageType:
		return 64
	case tagTimeZone:
		return 16
	}
	for _, t := range acquiredTags {
		if t == tag {
			return 32
		}
	}
	return 0
}

// value takes an element in.
func (a *acquired) value(tag uint32, v []byte) {
	text := dissector.Text(v, 64)
	switch tag {
	case tagImageType:
		kind, rest, _ := strings.Cut(text, `\`)
		source, _, _ := strings.Cut(rest, `\`)
		a.made = strings.TrimSpace(kind) == "DERIVED" || strings.TrimSpace(source) == "SECONDARY"
		return
	case tagTimeZone:
		a.zone = text
		return
	}
	for i, t := range acquiredTags {
		if t == tag {
			a.values[i] = strings.TrimSpace(text)
		}
	}
}

// when is "recently", or "" for older, for unknown, and for what was made of other
// images.
func (a *acquired) when(now proto.Time) string {
	at, ok := a.moment()
	if !ok || a.made {
		return ""
	}
	if ago := now.Sub(proto.TimeOf(at)); ago > recently || ago < -ahead {
		return ""
	}
	return "recently"
}

// moment is the surest time there is.
func (a *acquired) moment() (time.Time, bool) {
	if at, ok := parseMoment(a.values[0], a.zone); ok {
		return at, true
	}
	for i := 1; i < len(a.values); i += 2 {
		if len(a.values[i]) != 8 {
			continue
		}
		if at, ok := parseMoment(a.values[i]+a.values[i+1], a.zone); ok {
			return at, true
		}
	}
	return time.Time{}, false
}

// parseMoment reads a DT (PS3.5 6.2) with a day at least; a day alone is its noon.
// Without a zone of its own it is of the data set's, or else taken for UTC.
func parseMoment(s, zone string) (time.Time, bool) {
	if i := strings.LastIndexAny(s, "+-"); i > 0 {
		s, zone = s[:i], s[i:]
	}
	s, _, _ = strings.Cut(s, ".")
	layout := "20060102150405"
	switch {
	case len(s) == 8:
		s += "120000"
	case len(s) > len(layout) || len(s)%2 != 0 || len(s) < 10:
		return time.Time{}, false
	}
	at, err := time.Parse(layout[:len(s)], s)
	if err != nil {
		return time.Time{}, false
	}
	if z, err := time.Parse("-0700", zone); err == nil {
		_, offset := z.Zone()
		at = at.Add(-time.Duration(offset) * time.Second)
	}
	return at, true
}
