package jsonwalk_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/jsonwalk"
)

// record writes down what it is told.
type record struct {
	out   []string
	limit int
}

func (r *record) Want(*jsonwalk.Scanner) int { return r.limit }

func (r *record) Value(s *jsonwalk.Scanner, v []byte) {
	r.out = append(r.out, fmt.Sprintf("%s=%s", s.Name(), v))
}

func (r *record) Open(s *jsonwalk.Scanner, array bool) {
	r.out = append(r.out, fmt.Sprintf("%s%s", s.Name(), map[bool]string{true: "[", false: "{"}[array]))
}

func (r *record) Close(s *jsonwalk.Scanner, array bool) {
	r.out = append(r.out, fmt.Sprintf("%s%s", s.Name(), map[bool]string{true: "]", false: "}"}[array]))
}

func walk(text string, step, limit int) (*record, *jsonwalk.Scanner) {
	r := &record{limit: limit}
	s := jsonwalk.New(r)
	for part := range slices.Chunk([]byte(text), step) {
		if !s.Read(part) {
			break
		}
	}
	return r, s
}

func TestScanner(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{`{}`, "{ }"},
		{`[]`, "[ ]"},
		{` { "a" : 1 , "b":[ "x", {"c":null} , -1.5e+3], "d":{} } `, "{ a=1 b[ b=x b{ c=null b} b=-1.5e+3 b] d{ d} }"},
		{"\xef\xbb\xbf" + `{"a":"\"\\\/\b\f\n\r\tä\u00e4\ud83d\udc89"}`, "{ a=\"\\/\b\f\n\r\tää\U0001f489 }"},
		{`"x"`, "=x"},
		{`{"a":{"b":[[1],[2]]}}`, "{ a{ b[ b[ b=1 b] b[ b=2 b] b] a} }"},
	} {
		for step := 1; step <= len(tc.text); step++ {
			r, s := walk(tc.text, step, 100)
			if got := strings.Join(r.out, " "); got != tc.want || !s.Whole() {
				t.Fatalf("%s in steps of %d: %q, want %q", tc.text, step, got, tc.want)
			}
		}
	}
	for _, bad := range []string{"x", "{1}", `{"a"}`, `{"a" 1}`, `{"a":1 "b"}`, `[1,,2]`, `{"a":"\x"}`, `{"a":"\u00g0"}`, `[}`, `{]`, `{,}`, "}", strings.Repeat("[", 100)} {
		if _, s := walk(bad, 1, 100); !s.Damaged() {
			t.Errorf("%s is taken", bad)
		}
	}
}

// Long names and values cost nothing.
func TestBounds(t *testing.T) {
	r, s := walk(`{"`+strings.Repeat("k", 5000)+`":"`+strings.Repeat("v", 100000)+`","a":"1234","b":"123"}`, 1000, 3)
	if got := strings.Join(r.out, " "); got != "{ b=123 }" || s.Size() > 8<<10 {
		t.Errorf("%q, %d bytes", got, s.Size())
	}
}

// FuzzScanner holds any input to the rule that cuts change nothing, and valid JSON to
// the end.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u00e4\ud83d\udc89",{"b":null}]}`), 3)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		want, s := walk(string(b), max(len(b), 1), 50)
		got, _ := walk(string(b), 1+max(step, 0)%10, 50)
		if !slices.Equal(got.out, want.out) {
			t.Fatalf("%q and %q", got.out, want.out)
		}
		if json.Valid(b) && s.Damaged() && strings.Count(string(b), "[")+strings.Count(string(b), "{") < 40 {
			t.Fatal("valid JSON is not taken")
		}
	})
}
