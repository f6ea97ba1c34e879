package tls_test

import (
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// FuzzStream also holds any input to the rule that cuts change nothing.
func FuzzStream(f *testing.F) {
	f.Add(record(22, hello(), 100), record(22, slices.Concat(serverHello(0x0303, 0xc02f, alpn("h2")), message(14)), 30), 40)
	f.Add(record(22, hello(), 1<<14), record(22, append(serverHello(0x0303, 1), message(11, []byte{0, 0, 8, 0, 0, 5, 1, 2, 3, 4, 5})...), 9), 7)
	f.Add(slices.Concat([]byte{0x80, 0x2e, 1, 0, 2, 0, 21, 0, 0, 0, 16}, make([]byte, 37)), []byte{}, 3)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		c := dissecttest.Conversation{{Side: 0, Data: a}, {Side: 1, Data: b}, {Side: 0, Data: b}}
		c = slices.DeleteFunc(c, func(x dissecttest.Chunk) bool { return len(x.Data) == 0 })
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
