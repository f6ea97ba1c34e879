package heads

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	m, rest, ok := Parse([]byte("OPTIONS x Y/1\r\nA: 1 \r\n  folded: not a field\r\nContent-Length: 3\nb:\r\n\r\nabcdef"))
	if !ok || string(m.Start) != "OPTIONS x Y/1" || string(rest) != "abcdef" || m.Length() != 3 || string(m.Get("a")) != "1" || m.Get("folded") != nil || m.Get("none") != nil {
		t.Errorf("%+v %q %v", m, rest, ok)
	}
	if _, _, ok := Parse([]byte("OPTIONS x Y/1\r\nA: 1\r\n")); ok {
		t.Error("a head without its end is one")
	}
	for _, n := range []string{"", "x", "-1", "99999999999999"} {
		m, _, _ := Parse([]byte("a\nContent-Length: " + n + "\n\n"))
		if m.Length() != 0 {
			t.Errorf("length %q is %d", n, m.Length())
		}
	}
}

// Messages come out the same, however their bytes are cut.
func TestReader(t *testing.T) {
	text := "A\r\n\r\n" + "\r\n\r\nB\r\nContent-Length: 5\r\n\r\nhello" + fmt.Sprintf("C\r\nContent-Length: %d\r\n\r\n%s", MaxBody+9, strings.Repeat("x", MaxBody+9)) + "D\nl: 2\n\nhiE\r\n\r\n"
	read := func(cuts ...int) string {
		var r Reader
		out := ""
		at := 0
		for _, c := range append(cuts, len(text)) {
			b := []byte(text[at:c])
			at = c
			for len(b) > 0 {
				m, rest, ok, long := r.Next(b)
				if long || r.Size() > 2*(MaxHead+MaxBody) {
					t.Fatalf("long %v, size %d", long, r.Size())
				}
				if !ok {
					break
				}
				body := string(m.Body)
				if string(m.Start) == "C" && strings.Trim(body, "x") == "" {
					body = "cut" // of a body that is not kept whole, what the segment has
				}
				out += string(m.Start) + "(" + body + ") "
				b = rest
			}
		}
		return out
	}
	const want = "A() B(hello) C(cut) D(hi) E() "
	for i := range len(text) {
		if got := read(i); got != want {
			t.Fatalf("cut at %d: %s", i, got)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		a := rnd.IntN(60)
		b := a + rnd.IntN(20)
		if got := read(a, b); got != want {
			t.Fatalf("cut at %d and %d: %s", a, b, got)
		}
	}
}

func TestLongHead(t *testing.T) {
	var r Reader
	line := []byte("x: " + strings.Repeat("y", 1000) + "\r\n")
	for i := range 20 {
		_, _, ok, long := r.Next(line)
		if ok || long != (i == 8 || i == 17) || r.Size() > 2*MaxHead {
			t.Fatalf("line %d: %v %v, %d bytes", i, ok, long, r.Size())
		}
	}
}

func TestCredential(t *testing.T) {
	for value, want := range map[string]string{
		"": " ", "Basic YWRtaW46cHc=": "basic administrator", "basic dTpw": "basic other", "Basic !!": "basic empty", `Digest username="x"`: "digest ", "Secret x": "other ",
	} {
		a, b := Credential([]byte(value))
		if a+" "+b != want {
			t.Errorf("%q: %s %s", value, a, b)
		}
	}
}
