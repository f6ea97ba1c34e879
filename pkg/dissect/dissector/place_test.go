package dissector

import "testing"

func TestPlace(t *testing.T) {
	for _, tc := range []struct{ ward, room, bed, want string }{
		{"W3", "", "B07", "W3^B07"},
		{"OR", "2", "A", "OR^2^A"},
		{"Ward 3", "", "", "Ward 3"},
		{"ICU", "", "", "ICU"},
		{"", "", "12", "12"},
		{"Cardiology", "", "", ""},
		{"Cardiology", "4", "", "Cardiology^4"},
		{"W3", "Disney", "", ""},
		{"W3", "1", "Walt", ""},
		{"M\u00fcller 3", "", "", ""},
		{"a very long name of a ward 3", "", "", ""},
		{"W3 (Nobody)", "1", "", ""},
		{"", "", "", ""},
	} {
		if got := Place(tc.ward, tc.room, tc.bed); got != tc.want {
			t.Errorf("%q %q %q: %q, want %q", tc.ward, tc.room, tc.bed, got, tc.want)
		}
	}
}
