package hl7_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// FuzzStream also holds any input to the rule that cuts change nothing.
func FuzzStream(f *testing.F) {
	f.Add([]byte(block(pump)), 40)
	f.Add([]byte(block(misused())+"\x0b"+canaries()), 300)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		c := say(block(msh), string(b))
		want := dissecttest.Play(dissect.Config{}, c.Segments(true))
		got := dissecttest.Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(got.Panics) > 0 || got.Text() != want.Text() {
			t.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
		}
	})
}
