package http_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/dissect/http"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
)

// log is what the readers of a test were told.
type log []string

func (l *log) kind(name string, limit int) *httpbody.Kind {
	return &httpbody.Kind{
		Wants: func(m *httpbody.Message) bool { return string(m.Type) == "text/"+name },
		New: func() httpbody.Reader {
			return httpbody.Whole(limit, func(c *dissector.Context, m *httpbody.Message, b []byte) {
				s := fmt.Sprintf("%s %d %s %d %d bytes %x", name, c.Side, m.Method, m.Status, len(b), sum(b))
				if m.Incomplete {
					s += " incomplete"
				}
				*l = append(*l, s)
			})
		},
	}
}

func sum(b []byte) (n uint32) {
	for _, x := range b {
		n = n*31 + uint32(x)
	}
	return n
}

func compress(t *testing.T, how string, b string) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		z := gzip.NewWriter(&out)
		z.Name, z.Comment, z.Extra = "name", "comment", []byte("extra")
		w = z
	case "zlib":
		w = zlib.NewWriter(&out)
	case "flate":
		w, _ = flate.NewWriter(&out, 9)
	}
	if _, err := io.WriteString(w, b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func answer(kind, more, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", kind, more, len(body), body)
}

func chunks(body string, size int) string {
	s := ""
	for part := range slices.Chunk([]byte(body), size) {
		s += fmt.Sprintf("%x;x=y\r\n%s\r\n", len(part), part)
	}
	return s + "0\r\n\r\n"
}

func TestBodies(t *testing.T) {
	text := strings.Repeat("all work and no play ", 100)
	of := func(s string) string { return fmt.Sprintf("%d bytes %x", len(s), sum([]byte(s))) }
	ask := "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tc := range []struct {
		name    string
		parts   []string
		want    []string
		counter string
	}{
		{"a length", []string{ask, answer("TEXT/a; x=y", "", text)}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"of a kind that nobody reads", []string{ask, answer("text/z", "", text)}, nil, ""},
		{"chunks", []string{ask, "HTTP/1.1 200 OK\r\nContent-Type: text/a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(text, 100)}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"until the end", []string{ask, "HTTP/1.1 200 OK\r\nContent-Type: text/a\r\n\r\n" + text}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"of a request", []string{"PUT /x HTTP/1.1\r\nContent-Type: text/a\r\nContent-Length: 3\r\n\r\nabc" + ask}, []string{"a 0 PUT 0 " + of("abc")}, ""},
		{
			"pipelined",
			[]string{ask + "HEAD / HTTP/1.1\r\n\r\n" + ask, answer("text/a", "", "1") + "HTTP/1.1 200 OK\r\nContent-Type: text/a\r\nContent-Length: 9\r\n\r\n" + answer("text/b", "", "2")},
			[]string{"a 1 GET 200 " + of("1"), "b 1 GET 200 " + of("2")},
			"",
		},
		{"gzip", []string{ask, answer("text/a", "Content-Encoding: gzip\r\n", compress(t, "gzip", text))}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"gzip in chunks", []string{ask, "HTTP/1.1 200 OK\r\nContent-Type: text/a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + chunks(compress(t, "gzip", text), 7)}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"deflate", []string{ask, answer("text/a", "Content-Encoding: deflate\r\n", compress(t, "zlib", text))}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"deflate, bare", []string{ask, answer("text/a", "Content-Encoding: deflate\r\n", compress(t, "flate", text))}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"identity", []string{ask, answer("text/a", "Content-Encoding: identity\r\n", text)}, []string{"a 1 GET 200 " + of(text)}, ""},
		{"another coding", []string{ask, answer("text/a", "Content-Encoding: br\r\n", text)}, nil, "http_encoding_unread"},
		{"not gzip", []string{ask, answer("text/a", "Content-Encoding: gzip\r\n", text)}, nil, "http_encoding_malformed"},
		{"cut off", []string{ask, "HTTP/1.1 200 OK\r\nContent-Type: text/a\r\nContent-Length: 99\r\n\r\nabc"}, []string{"a 1 GET 200 " + of("abc") + " incomplete"}, ""},
		{"damaged chunks", []string{ask, "HTTP/1.1 200 OK\r\nContent-Type: text/a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"}, []string{"a 1 GET 200 " + of("abc") + " incomplete"}, "http_chunk_malformed"},
		{"as long as is read", []string{ask, answer("text/b", "", "12345678")}, []string{"b 1 GET 200 " + of("12345678")}, ""},
		{"longer", []string{ask, answer("text/b", "", "123456789")}, []string{"b 1 GET 200 " + of("12345678") + " incomplete"}, ""},
		{
			"a bomb",
			[]string{ask, answer("text/c", "Content-Encoding: gzip\r\n", compress(t, "gzip", strings.Repeat("\x00", 64<<20)))},
			[]string{"c 1 GET 200 " + of(strings.Repeat("\x00", 256<<10)) + " incomplete"},
			"",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l log
			defer http.SetKinds(l.kind("a", 1<<20), l.kind("b", 8), l.kind("c", 1<<20))()
			c := say(tc.parts...)
			sizes := c.Sizes()
			rnd := rand.New(rand.NewPCG(1, 1))
			for i := range 60 {
				cut := c
				if i > 0 {
					cut = c.Cut(rnd.IntN(sizes[0]+sizes[1]), rnd.IntN(sizes[0]+sizes[1]))
				}
				l = nil
				r := dissecttest.Play(dissect.Config{}, cut.Segments(true))
				if !slices.Equal(l, tc.want) || len(r.Panics) > 0 || (tc.counter != "" && r.Counters[tc.counter] == 0) {
					t.Fatalf("got %q, want %q, %v %v", l, tc.want, r.Counters, r.Panics)
				}
			}
		})
	}
}

// A body with missing bytes is read up to there, and the message after it is found.
func TestBodyGap(t *testing.T) {
	var l log
	defer http.SetKinds(l.kind("a", 1<<20))()
	c := say("GET /a HTTP/1.1\r\nHost: a\r\n\r\n", answer("text/a", "", strings.Repeat("1", 3000))+answer("text/a", "", "2"))
	at := len(c[0].Data) + 1000
	list := c.Cut(at, at+500).Segments(true)
	dissecttest.Play(dissect.Config{}, slices.Delete(list, 4, 5))
	if len(l) != 2 || !strings.HasSuffix(l[0], " incomplete") || !strings.Contains(l[1], " 1 bytes ") {
		t.Errorf("%q", l)
	}
}

// A tag that a kind gives to a request comes back with the response, to that kind
// only; what is read does not end the connection early.
func TestTags(t *testing.T) {
	var l log
	tagged := l.kind("a", 1<<20)
	tagged.Request = func(m *httpbody.Message) uint32 {
		if string(m.Path()) == "/tagged" && string(m.Query()) == "q=1" {
			return 7
		}
		return 0
	}
	list := []*httpbody.Kind{tagged, l.kind("b", 1<<20)}
	defer http.SetKinds(list...)()
	for i, k := range list {
		k.Wants = func(m *httpbody.Message) bool {
			l = append(l, fmt.Sprintf("%d %v %s %d", i, m.Response, m.Method, m.Tag))
			return m.Tag != 0
		}
	}
	play("GET http://host/tagged?q=1 HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n", "DELETE /tagged HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n")
	want := []string{
		"0 false GET 7", "1 false GET 0", "0 true GET 7", "1 true GET 0",
		"0 false DELETE 0", "1 false DELETE 0", "0 true DELETE 0", "1 true DELETE 0",
	}
	if !slices.Equal(l, want) {
		t.Errorf("%q", l)
	}
}
