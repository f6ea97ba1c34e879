package dissector

import (
	"fmt"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for _, tc := range []struct {
		in    string
		limit int
		want  string
	}{
		{" SIEMENS \x00", 64, "SIEMENS"},
		{"Dräger", 64, "Dräger"},
		{"a\x00b\nc", 64, "a?b?c"},
		{"bad \xff\xfe utf-8", 64, "bad ? utf-8"},
		{"\x1b[31mred", 64, "?[31mred"},
		{"12345", 4, ""},
		{"\x00 \r\n", 64, ""},
	} {
		if got := Text([]byte(tc.in), tc.limit); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestPseudonym(t *testing.T) {
	a, b := Pseudonym([]byte("site a"), []byte("1.2.3")), Pseudonym([]byte("site b"), []byte("1.2.3"))
	if len(a) != 32 || a == b || a != Pseudonym([]byte("site a"), []byte("1.2.3")) {
		t.Errorf("%s %s", a, b)
	}
	// RFC 4231 test case 2, cut to 16 bytes.
	if got := Pseudonym([]byte("Jefe"), []byte("what do ya want for nothing?")); got != "5bdcc146bf60754e6a042426089575c7" {
		t.Error(got)
	}
}

func TestGuard(t *testing.T) {
	var g Guard
	if g.Holds("anything") {
		t.Error("an empty guard holds something")
	}
	g.Add([]byte("CANARY^ALFA^XY"))
	g.Add([]byte("PHI-0001"))
	g.Add([]byte("Müller"))
	for s, want := range map[string]bool{
		"canary": true, "Alfa's pump": true, "phi0001": true, "PHI 0001": true, "0001": true, "M\u00fcller 3": true,
		"XY": false, "PHI": false, "canaries": false, "pump 0002": false, "": false,
	} {
		if g.Holds(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
	g.Reset()
	if g.Holds("canary") {
		t.Error("Reset forgets nothing")
	}
	for i := range maxGuarded + 1 {
		g.Add(fmt.Appendf(nil, "id%d", i+1000))
	}
	if !g.Holds("whatever") || g.Size() > 16*maxGuarded {
		t.Errorf("beyond its bound everything is withheld; %d bytes", g.Size())
	}
	g.Reset()
	g.Fill()
	if !g.Holds(strings.Repeat("x", 9)) {
		t.Error("a filled guard holds everything")
	}
}
