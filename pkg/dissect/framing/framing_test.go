package framing_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// The messages of these tests: '<', how many letters follow as a digit, letters.
var format = framing.Format{Keep: 5, Length: func(b []byte, lost bool) int {
	switch {
	case b[0] != '<':
		return -1
	case len(b) < 2:
		return 0
	case b[1] < '0' || b[1] > '9' || lost && b[1] == '0':
		return -1
	}
	return 2 + int(b[1]-'0')
}}

func read(s string, cuts ...int) string {
	var r framing.Reader
	var out []string
	at := 0
	for _, c := range append(cuts, len(s)) {
		if c < at {
			continue
		}
		r.Feed([]byte(s[at:c]))
		at = c
		for {
			m, n, ok := r.Next(&format)
			if !ok {
				break
			}
			out = append(out, fmt.Sprintf("%s/%d", m, n))
		}
	}
	return strings.Join(out, " ")
}

func TestReader(t *testing.T) {
	for s, want := range map[string]string{
		"<1a<2bc<0":      "<1a/3 <2bc/4 <0/2",
		"<5abcde<1f":     "<5abc/7 <1f/3",
		"xx<1a":          "<1a/3",
		"<1axx<<0<1b":    "<1a/3 <1b/3",
		"<9abcdefghi<1z": "<9abc/11 <1z/3",
		"<9abc":          "<9abc/11",
		"<3ab":           "",
	} {
		if got := read(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
		for i := range len(s) {
			for j := i; j < len(s); j++ {
				if got := read(s, i, j); got != want {
					t.Errorf("%q cut at %d and %d: %s, want %s", s, i, j, got, want)
				}
			}
		}
	}
}

func TestGap(t *testing.T) {
	var r framing.Reader
	r.Feed([]byte("<3a"))
	if _, _, ok := r.Next(&format); ok {
		t.Error("half a message")
	}
	r.Gap()
	r.Feed([]byte("c<0<1b"))
	if m, _, _ := r.Next(&format); string(m) != "<1b" || r.Lost() || r.Size() > 64 {
		t.Errorf("%q %v", m, r.Lost())
	}
}

func TestRest(t *testing.T) {
	for _, tc := range []struct {
		pieces []string
		want   string
	}{
		{[]string{"<1a<1bcd"}, "<1bcd"},
		{[]string{"<1", "a<1bcd"}, "<1bcd"},
		{[]string{"<1a", ""}, ""},
	} {
		var r framing.Reader
		for i, piece := range tc.pieces {
			if r.Feed([]byte(piece)); i == len(tc.pieces)-1 {
				r.Next(&format)
				break
			}
			for ok := true; ok; {
				_, _, ok = r.Next(&format)
			}
		}
		if got := string(r.Rest()); got != tc.want || r.Lost() {
			t.Errorf("%q: %q, want %q", tc.pieces, got, tc.want)
		}
		r.Feed([]byte("<9abc"))
		r.Next(&format)
		if r.Feed([]byte("defghixyz")); string(r.Rest()) != "xyz" {
			t.Error("the rest of a message that is not kept is given")
		}
		r.Feed([]byte("xx"))
		if got := string(r.Rest()); got != "xx" {
			t.Errorf("then %q", got)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add("<1a<5abcde", 3, 7)
	f.Fuzz(func(t *testing.T, s string, i, j int) {
		if i < 0 || i > len(s) || j < i || j > len(s) {
			return
		}
		if got, want := read(s, i, j), read(s); got != want {
			t.Errorf("%q cut at %d and %d: %s, want %s", s, i, j, got, want)
		}
	})
}
