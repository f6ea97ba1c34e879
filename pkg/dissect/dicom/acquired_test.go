package dicom_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// TestAcquired: whether an image was acquired within a day, and never when. Conversations of
// tests take place at the begin of 1970.
func TestAcquired(t *testing.T) {
	el := expl.el
	for _, c := range []struct {
		name string
		data [][]byte
		want string
	}{
		{"date and time in one", [][]byte{el(0x0008002a, "DT", "19691231220000.123456")}, "recently"},
		{"with its zone", [][]byte{el(0x0008002a, "DT", "19700101010000+0200")}, "recently"},
		{"in the zone of the data set", [][]byte{el(0x00080022, "DA", "19691231"), el(0x00080032, "TM", "200000.5"), el(0x00080201, "SH", "-0300")}, "recently"},
		{"date and time apart", [][]byte{el(0x00080022, "DA", "19691231"), el(0x00080032, "TM", "2000")}, "recently"},
		{"before any other date", [][]byte{el(0x00080021, "DA", "19690101"), el(0x00080022, "DA", "19691231"), el(0x00080023, "DA", "19690101"), el(0x00080032, "TM", "21")}, "recently"},
		{"content", [][]byte{el(0x00080021, "DA", "19690101"), el(0x00080023, "DA", "19691231"), el(0x00080033, "TM", "180000")}, "recently"},
		{"series", [][]byte{el(0x00080021, "DA", "19691231"), el(0x00080031, "TM", "180000")}, "recently"},
		{"a day alone", [][]byte{el(0x00080022, "DA", "19691231")}, "recently"},
		{"by a clock before UTC", [][]byte{el(0x00080022, "DA", "19700101"), el(0x00080032, "TM", "140000")}, "recently"},
		{"original", [][]byte{el(0x00080008, "CS", `ORIGINAL\PRIMARY\AXIAL`), el(0x0008002a, "DT", "19691231220000")}, "recently"},
		{"derived", [][]byte{el(0x00080008, "CS", `DERIVED\PRIMARY\MPR`), el(0x0008002a, "DT", "19691231220000")}, ""},
		{"of others", [][]byte{el(0x00080008, "CS", `ORIGINAL\SECONDARY`), el(0x0008002a, "DT", "19691231220000")}, ""},
		{"of the day before", [][]byte{el(0x00080022, "DA", "19691231"), el(0x00080032, "TM", "003000")}, "recently"},
		{"old", [][]byte{el(0x00080022, "DA", "19691230"), el(0x00080032, "TM", "235900")}, ""},
		{"older", [][]byte{el(0x00080022, "DA", "19620314")}, ""},
		{"in the future", [][]byte{el(0x00080022, "DA", "19700102")}, ""},
		{"no day", [][]byte{el(0x00080022, "DA", "19691331"), el(0x0008002a, "DT", "1969")}, ""},
		{"none", nil, ""},
	} {
		slices.SortStableFunc(c.data, func(a, b []byte) int {
			return int(binary.LittleEndian.Uint16(a[2:])) - int(binary.LittleEndian.Uint16(b[2:]))
		})
		data := slices.Concat(append(c.data, el(0x00080070, "LO", "ACME"), el(0x0020000d, "UI", study))...)
		r := play(t, request([]proposal{{ctStorage, []string{explicitLE}}}), accept(explicitLE, ""), store(data, 4000))
		got, found := "", false
		for _, f := range r.Facts {
			if f.Kind == "c_store" {
				got, found = f.Attributes.Get("acquired"), true
			}
		}
		if !found || got != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.name, got, c.want, found)
		}
		if text := r.Text(); strings.Contains(text, "1969") || strings.Contains(text, "1970") || strings.Contains(text, "1962") {
			t.Errorf("%s: a date leaves: %s", c.name, text)
		}
	}
}
