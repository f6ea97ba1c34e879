package lines_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/lines"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// emitted is a Sink that keeps what is told.
type emitted struct {
	dissector.Sink
	list *[]string
}

func (e emitted) Emit(f *dissector.Fact) {
	*e.list = append(*e.list, fmt.Sprint(f.Kind, " ", f.Subject.Side, " ", f.Attributes))
}

func TestSession(t *testing.T) {
	var got []string
	c := &dissector.Context{Headers: &packet.Headers{}, Sink: emitted{list: &got}}
	var s lines.Session
	s.Tell(c)
	if s.Logins() != 0 || len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
	s.Client = dissector.Dst
	for _, outcome := range []string{"failure", "failure", "success"} {
		s.Login(c, "plain ", outcome, func(a *proto.Attributes) { a.Set("mechanism", "plain") })
	}
	if len(got) != 2 || s.Logins() != 3 {
		t.Errorf("a login is told once for each end: %q", got)
	}
	for _, name := range []string{"STAT", "other", "LIST", "STAT"} {
		s.Count(name)
	}
	s.TLS = true
	s.Tell(c)
	var a proto.Attributes
	a.Set("role", "client")
	a.SetList("commands", []string{"LIST:1", "STAT:2", "other:1"})
	a.Set("logins", "3")
	a.Set("logins_failed", "2")
	a.Set("upgraded", "tls")
	if want := fmt.Sprint("session ", dissector.Dst, " ", a); !slices.Contains(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	n := 0
	for i := range 20 {
		if s.News(fmt.Sprint(i)) {
			n++
		}
	}
	if n != 6 || s.News("0") {
		t.Errorf("%d more are told", n)
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]bool{"": true, "a\tb": true, "\xe9": true, "a\x00": false, "\x7f": false, "\n": false} {
		if got := lines.Printable([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
