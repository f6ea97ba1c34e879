package httpbody_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
)

func TestTarget(t *testing.T) {
	for _, tc := range []struct{ target, path, query string }{
		{"/a/b?c=d#e", "/a/b", "c=d#e"},
		{"http://host:80/a?b", "/a", "b"},
		{"http://host", "", ""},
		{"/go?to=http://x/y", "/go", "to=http://x/y"},
		{"/a?u=h://x", "/a", "u=h://x"},
		{"*", "*", ""},
		{"", "", ""},
	} {
		m := httpbody.Message{Target: []byte(tc.target)}
		if p, q := string(m.Path()), string(m.Query()); p != tc.path || q != tc.query {
			t.Errorf("%q: %q and %q", tc.target, p, q)
		}
	}
}

// Both directions are collected apart, and no more than the limit.
func TestWhole(t *testing.T) {
	var got []string
	r := httpbody.Whole(5, func(c *dissector.Context, m *httpbody.Message, b []byte) {
		got = append(got, string(rune('0'+c.Side))+string(b)+map[bool]string{true: "!", false: ""}[m.Incomplete])
	})
	a, b := &dissector.Context{Side: dissector.Src}, &dissector.Context{Side: dissector.Dst}
	var m [2]httpbody.Message
	for _, s := range []string{"a", "bc"} {
		if !r.Body(a, &m[0], []byte(s)) || !r.Body(b, &m[1], []byte(strings.ToUpper(s))) {
			t.Fatal("not taken")
		}
	}
	if r.Size() < 6 {
		t.Errorf("%d bytes", r.Size())
	}
	r.End(b, &m[1])
	if r.Body(a, &m[0], []byte("defg")) || m[0].Incomplete {
		t.Error("beyond the limit")
	}
	r.End(b, &m[1]) // without a body
	r.Close(a)
	if s := strings.Join(got, " "); s != "1ABC 0abcde!" {
		t.Error(s)
	}
}
