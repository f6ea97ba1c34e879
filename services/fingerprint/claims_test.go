package fingerprint

import "testing"

func TestSameName(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"lap-a17", "lap-a17", true},
		{"lap-a1", "lap-a17", false},
		{"cam", "cam-2", true},
		{"cam-12", "cam", true},
		{"cam", "cam-x2", false},
		{"cam", "cam-", false},
		{"desktop-4f6g7h8", "desktop-4f6g7h8-ward", true},
		{"lap-a17", "lap-b18", false},
	} {
		if got := sameName(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
