package http_test

import (
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// FuzzStream also holds any input to the rule that cuts change nothing.
func FuzzStream(f *testing.F) {
	f.Add([]byte(post+get), []byte(empty+ok), 40)
	f.Add([]byte("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), []byte("HTTP/1.1 200 Yes\r\n\r\n"+hello), 7)
	f.Add([]byte("GET / HTTP/1.1\r\nAuthorization: NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw==\r\n\r\n"), []byte("HTTP/1.1 401 No\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		c := dissecttest.Conversation{{Side: 0, Data: a}, {Side: 1, Data: b}, {Side: 0, Data: a}, {Side: 1, Data: a}}
		c = slices.DeleteFunc(c, func(x dissecttest.Chunk) bool { return len(x.Data) == 0 })
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
