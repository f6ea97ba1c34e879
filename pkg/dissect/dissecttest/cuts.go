package dissecttest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// SameWhenCut plays a conversation as it is and cut at two places: the same must come
// out.
func SameWhenCut(tb testing.TB, c Conversation, cuts ...int) {
	tb.Helper()
	want, got := Play(dissect.Config{}, c.Segments(true)), Play(dissect.Config{}, c.Cut(cuts...).Segments(true))
	if len(got.Panics) > 0 || got.Text() != want.Text() {
		tb.Fatalf("%v got\n%swant\n%s", got.Panics, got.Text(), want.Text())
	}
}

// EveryCut plays a conversation as it is, cut at every byte, with neighbouring
// chunks joined, and byte by byte: the same must come out. It gives what came out.
func EveryCut(tb testing.TB, c Conversation) *Result {
	tb.Helper()
	return EveryCutOn(tb, someEnds.Port[1], c)
}

// EveryCutOn is EveryCut for a server on a port.
func EveryCutOn(tb testing.TB, port uint16, c Conversation) *Result {
	tb.Helper()
	want := Play(dissect.Config{}, OnPort(port, c.Segments(true)))
	sizes := c.Sizes()
	var all []int
	ways := []Conversation{c.Join()}
	for i := range sizes[0] + sizes[1] {
		all = append(all, i)
		ways = append(ways, c.Cut(i))
	}
	for i, way := range append(ways, c.Cut(all...)) {
		got := Play(dissect.Config{}, OnPort(port, way.Segments(true)))
		if got.Text() != want.Text() || len(got.Panics) > 0 {
			tb.Fatalf("cut %d of %d: panics %v, got\n%swant\n%s", i, len(ways), got.Panics, got.Text(), want.Text())
		}
	}
	return want
}

// NoLeak plays a conversation whole, cut, without its beginning and with a segment
// lost, and fails where a secret leaves the engine. The secrets must be in it.
func NoLeak(tb testing.TB, secrets []string, c Conversation) {
	tb.Helper()
	NoLeakOn(tb, someEnds.Port[1], secrets, c)
}

// NoLeakOn is NoLeak for a server on a port.
func NoLeakOn(tb testing.TB, port uint16, secrets []string, c Conversation) {
	tb.Helper()
	s := canary.New(secrets)
	said := c.Sides()
	if len(s.Search(slices.Concat(said[0], []byte{0}, said[1]))) == 0 {
		tb.Fatal("no secret is in the conversation")
	}
	check := func(at int, list []packet.Headers) {
		tb.Helper()
		r := Play(dissect.Config{}, OnPort(port, list))
		if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
			tb.Fatalf("at %d: %v %v in\n%s", at, hits, r.Panics, r.Text())
		}
	}
	rnd := rand.New(rand.NewPCG(3, 5))
	sizes := c.Sizes()
	for i := 0; i < sizes[0]+sizes[1]; i += 1 + rnd.IntN(3) {
		cut := c.Cut(i, i+1+rnd.IntN(60))
		list := cut.Segments(true)
		j := 2 + rnd.IntN(len(list)-4)
		check(i, slices.Clone(list))
		check(i, cut.Segments(false))
		check(i, slices.Delete(list, j, j+1))
		check(i, cut.Segments(false)[min(len(cut)-1, rnd.IntN(4)):])
	}
}

// NoLeakCut plays a conversation whole, and that many times cut at random and with a
// segment lost; with damage, also with a wrong bit and without its end. It fails where a
// secret leaves the engine.
func NoLeakCut(tb testing.TB, secrets []string, c Conversation, times int, damage bool) {
	tb.Helper()
	s := canary.New(secrets)
	sizes := c.Sizes()
	rnd := rand.New(rand.NewPCG(1, uint64(sizes[0])))
	search := func(how string, c Conversation, lose bool) {
		tb.Helper()
		list := c.Segments(true)
		if lose {
			j := 2 + rnd.IntN(len(list)-4)
			list = slices.Delete(list, j, j+1)
		}
		r := Play(dissect.Config{}, list)
		if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
			tb.Fatalf("%s: %v %v in\n%s", how, hits, r.Panics, r.Text())
		}
	}
	search("whole", c, false)
	for range times {
		at := rnd.IntN(sizes[0] + sizes[1])
		search(fmt.Sprint("cut at ", at), c.Cut(at, at+rnd.IntN(300)), false)
		search(fmt.Sprint("lossy at ", at), c.Cut(at, at+rnd.IntN(300)), true)
		if !damage {
			continue
		}
		damaged := slices.Clone(c)
		k := rnd.IntN(len(damaged))
		damaged[k].Data = slices.Clone(damaged[k].Data)
		at = rnd.IntN(len(damaged[k].Data))
		damaged[k].Data[at] ^= 1 << rnd.IntN(8)
		search(fmt.Sprint("a bit is wrong at ", at), damaged, false)
		damaged[k].Data = damaged[k].Data[:1+at]
		search(fmt.Sprint("ends at ", at), damaged, false)
	}
}

// OnPort moves the packets of an invented conversation to a server's port.
func OnPort(port uint16, list []packet.Headers) []packet.Headers {
	for i := range list {
		for _, p := range []*uint16{&list[i].SrcPort, &list[i].DstPort} {
			if *p == someEnds.Port[1] {
				*p = port
			}
		}
	}
	return list
}

// Lines makes a conversation of text: each line begins with "C: " or "S: " and ends
// in CRLF on the wire.
func Lines(text ...string) Conversation {
	var c Conversation
	for _, l := range text {
		side := 0
		if l[0] == 'S' {
			side = 1
		}
		c = append(c, Chunk{side, []byte(l[3:] + "\r\n")})
	}
	return c
}

// FuzzCut plays what both sides say, each of them alone and together, whole and cut:
// nothing may panic, and of one side alone the same must come out. Of both it need
// not: answers that stand before their questions are met in another order.
func FuzzCut(t *testing.T, a, b []byte, cut int) {
	t.Helper()
	if len(a) == 0 || len(b) == 0 {
		return
	}
	for i, c := range []Conversation{{{0, a}}, {{1, b}}, {{1, b}, {0, a}, {1, b}}} {
		want := Play(dissect.Config{}, c.Segments(true))
		got := Play(dissect.Config{}, c.Cut(cut, cut/2).Segments(true))
		if len(want.Panics)+len(got.Panics) > 0 || i < 2 && got.Text() != want.Text() {
			t.Fatalf("%v %v got\n%swant\n%s", want.Panics, got.Panics, got.Text(), want.Text())
		}
	}
}

// Brief is every fact on a line of its own: protocol, kind, > of who opened the flow
// or < of the other, what the subject has of its own, and the attributes.
func (r *Result) Brief() string {
	var b strings.Builder
	for _, f := range r.Facts {
		fmt.Fprintf(&b, "%s %s %c", f.Protocol, f.Kind, "><-"[f.Subject.Side])
		if f.Subject.MAC != (proto.MAC{}) {
			fmt.Fprintf(&b, " mac=%s", f.Subject.MAC)
		}
		if f.Subject.IP.IsValid() {
			fmt.Fprintf(&b, " ip=%s", f.Subject.IP)
		}
		for _, a := range f.Attributes {
			if a.List != nil {
				fmt.Fprintf(&b, " %s=%s", a.Name, strings.Join(a.List, "|"))
			} else if a.Name != "role" {
				fmt.Fprintf(&b, " %s=%s", a.Name, a.Value)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
