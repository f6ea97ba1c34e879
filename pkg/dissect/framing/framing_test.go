package framing_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
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

// strict is the same, where only the beginning of a piece may begin a message anew.
var strict = framing.Format{Keep: 5, Odd: "odd", Length: format.Length, Recognise: func(b []byte, _ bool) dissector.Verdict {
	if n := format.Length(b, true); n > 0 {
		return dissector.Yes
	}
	return dissector.No
}}

// counts is a Sink that only counts.
type counts struct {
	dissector.Sink
	n map[string]int
}

func (c counts) Count(name string) { c.n[name]++ }

func read(s string, cuts ...int) string {
	var r framing.Reader
	var out []string
	at := 0
	for _, c := range append(cuts, len(s)) {
		if c < at {
			continue
		}
		r.Each(nil, &format, []byte(s[at:c]), func(m []byte) bool {
			out = append(out, string(m))
			return false
		})
		at = c
	}
	return strings.Join(out, " ")
}

func TestReader(t *testing.T) {
	for s, want := range map[string]string{
		"<1a<2bc<0":      "<1a <2bc <0",
		"<5abcde<1f":     "<5abc <1f",
		"xx<1a":          "<1a",
		"<1axx<<0<1b":    "<1a <1b",
		"<9abcdefghi<1z": "<9abc <1z",
		"<9abc":          "<9abc",
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

// Of messages that are whole or not given, what is missing inside of one is all
// that is lost.
func TestGap(t *testing.T) {
	for _, tc := range []struct {
		before string
		gap    int64
		after  string
		want   string
		lost   bool
		missed int
	}{
		{"<5a", 3, "e<1b", "<1b", false, 0},
		{"<5a", 4, "<1b", "<1b", false, 0},
		{"<5abcd", 1, "<1b", "<5abc <1b", false, 0},
		{"<5a", 5, "<1b<0", "<1b <0", false, 0},
		{"<5a", 5, "x<1b", "", true, 4},
		{"<", 1, "<1b", "<1b", false, 0},
		{"<1a", 1, "<1b", "<1a <1b", false, 0},
		{"<1a", -1, "<0", "<1a", true, 2},
		{"x<1a", 3, "<1b", "<1b", false, 3},
	} {
		var r framing.Reader
		var out []string
		c := dissector.Context{Sink: counts{n: map[string]int{}}}
		feed := func(s string) {
			r.Each(&c, &strict, []byte(s), func(m []byte) bool {
				out = append(out, string(m))
				return false
			})
		}
		feed(tc.before[:1])
		feed(tc.before[1:])
		r.Gap(tc.gap)
		feed(tc.after)
		if got := strings.Join(out, " "); got != tc.want || r.Lost() != tc.lost || r.Missed() != tc.missed {
			t.Errorf("%q, %d missing, %q: %q, lost %v, missed %d", tc.before, tc.gap, tc.after, got, r.Lost(), r.Missed())
		}
	}
}

// Where each byte may begin a message, one is found behind what is none.
func TestGapLoose(t *testing.T) {
	var r framing.Reader
	r.Feed([]byte("<3a"))
	if _, ok := r.Next(nil, &format); ok {
		t.Error("half a message")
	}
	r.Gap(-1)
	r.Feed([]byte("c<0<1b"))
	if m, _ := r.Next(nil, &format); string(m) != "<1b" || r.Lost() || r.Size() > 64 {
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
				r.Next(nil, &format)
				break
			}
			for ok := true; ok; {
				_, ok = r.Next(nil, &format)
			}
		}
		if got := string(r.Rest()); got != tc.want || r.Lost() {
			t.Errorf("%q: %q, want %q", tc.pieces, got, tc.want)
		}
		r.Feed([]byte("<9abc"))
		r.Next(nil, &format)
		if r.Feed([]byte("defghixyz")); string(r.Rest()) != "xyz" {
			t.Error("the rest of a message that is not kept is given")
		}
		r.Feed([]byte("xx"))
		if got := string(r.Rest()); got != "xx" {
			t.Errorf("then %q", got)
		}
	}
}

// What begins no message ends a strict direction, and is counted once.
func TestBroken(t *testing.T) {
	sink := counts{n: map[string]int{}}
	c := dissector.Context{Sink: sink}
	var s framing.Both
	n := 0
	for _, piece := range []string{"<1a<", "0x", "<1b", "<1c"} {
		s.Half(&c).Each(&c, &strict, []byte(piece), func([]byte) bool { n++; return false })
	}
	if r := s.Half(&c); n != 2 || sink.n["odd"] != 1 || !r.Broken() || r.Ahead() != nil || s.Missed() != 6 {
		t.Errorf("%d messages, %v, broken %v, missed %d", n, sink.n, r.Broken(), s.Missed())
	}
	s.End(&c)
	if s.Ended() {
		t.Error("one direction is not both")
	}
	c.Side = dissector.Dst
	if s.End(&c); !s.Ended() {
		t.Error("both directions are over")
	}
}

func TestJudge(t *testing.T) {
	for text, want := range map[string]dissector.Verdict{"": dissector.More, "<": dissector.More, "<3": dissector.Yes, "x": dissector.No} {
		if n, v := framing.Judge([]byte(text), format.Length); v != want || v == dissector.Yes && n != 5 {
			t.Errorf("%q: %d %v", text, n, v)
		}
	}
}

// Ahead is where a message could begin.
func TestAhead(t *testing.T) {
	var r framing.Reader
	for _, tc := range []struct{ piece, before, message, after string }{
		{"<1", "<1", "", ""},
		{"a!", "", "<1a", "!"},
		{"<9abcde", "<9abcde", "<9abc", ""},
		{"fghi<1b<", "<1b<", "<1b", "<"},
	} {
		r.Feed([]byte(tc.piece))
		before := string(r.Ahead())
		m, _ := r.Next(nil, &format)
		if after := r.Ahead(); before != tc.before || string(m) != tc.message || string(after) != tc.after {
			t.Errorf("%q: %q ahead, %q, %q ahead", tc.piece, before, m, after)
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
