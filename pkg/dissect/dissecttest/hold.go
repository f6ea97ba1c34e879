package dissecttest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/packet"
)

// maxPlaces is at how many places a conversation is cut.
const maxPlaces = 1500

// HoldsCut fails unless a conversation says the same in whatever pieces it comes:
// cut at every byte (of a long one, at maxPlaces), joined, byte by byte. It gives
// what was said.
func HoldsCut(tb testing.TB, c Conversation) *Result {
	tb.Helper()
	whole := Play(dissect.Config{}, c.Segments(true))
	want := whole.Text()
	same := func(how string, at int, c Conversation) {
		tb.Helper()
		r := Play(dissect.Config{}, c.Segments(true))
		if got := r.Text(); got != want || len(r.Panics) > 0 {
			tb.Fatalf("%s %d: panics %v, got\n%swant\n%s", how, at, r.Panics, got, want)
		}
	}
	sizes := c.Sizes()
	total := sizes[0] + sizes[1]
	var all []int
	for i := range total {
		if all = append(all, i); i%(1+total/maxPlaces) == 0 {
			same("cut at", i, c.Cut(i))
		}
	}
	same("byte by byte", 0, c.Cut(all...))
	same("joined", 0, c.Join())
	return whole
}

// HoldsBack fails if one of the secrets leaves: of the conversation as it is, cut,
// ending early, joined late, with bytes lost and with bytes damaged. Damage that
// makes a device's field of a patient's is for the caller to leave out: damage
// lists the bytes that are written over others, none for no damage.
func HoldsBack(tb testing.TB, secrets []string, c Conversation, damage string) {
	tb.Helper()
	s := canary.New(secrets)
	check := func(how string, at int, list []packet.Headers) {
		tb.Helper()
		r := Play(dissect.Config{}, list)
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			tb.Fatalf("%s %d: %v in\n%s", how, at, hits, r.Text())
		}
		if len(r.Panics) > 0 {
			tb.Fatalf("%s %d: %v", how, at, r.Panics)
		}
	}
	var all []byte
	for _, x := range c {
		all = append(all, x.Data...)
	}
	if len(s.Search(all)) == 0 {
		tb.Fatal("the secrets are not in the conversation")
	}
	check("whole", 0, c.Segments(true))
	rnd := rand.New(rand.NewPCG(3, 4))
	stride := 1 + 2*len(all)/maxPlaces
	for i := 0; i < len(all); i += stride {
		cut := c.Cut(i, i+1+rnd.IntN(200))
		list := cut.Segments(true)
		check("cut at", i, list)
		at := 2 // the segment that the cut begins
		for n := 0; at-2 < len(cut) && n < i; at++ {
			n += len(cut[at-2].Data)
		}
		check("ends at", i, list[:at])
		if i%7 < stride {
			check("begins at", i, list[at:])
			check("lost at", i, append(slices.Clone(list[:at]), list[min(len(list), at+1):]...))
		}
	}
	for i := 0; i < 300 && damage != ""; i++ {
		hurt := slices.Clone(c)
		for range 1 + rnd.IntN(3) {
			x := &hurt[rnd.IntN(len(hurt))]
			x.Data = bytes.Clone(x.Data)
			x.Data[rnd.IntN(len(x.Data))] = damage[rnd.IntN(len(damage))]
		}
		check("damaged", i, hurt.Segments(true))
	}
}

// HoldsBackDatagrams is HoldsBack for datagrams between two ports: each as it is,
// ending at every byte, and with bytes damaged.
func HoldsBackDatagrams(tb testing.TB, secrets []string, ports [2]uint16, list ...[]byte) {
	tb.Helper()
	s := canary.New(secrets)
	check := func(how string, at int, b []byte) {
		tb.Helper()
		r := Play(dissect.Config{}, []packet.Headers{Datagram(0, ports, b), Datagram(0, ports, b)})
		if hits := s.Search(r.Everything()); len(hits) > 0 {
			tb.Fatalf("%s %d: %v in\n%s", how, at, hits, r.Text())
		}
		if len(r.Panics) > 0 {
			tb.Fatalf("%s %d: %v", how, at, r.Panics)
		}
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, b := range list {
		if len(s.Search(b)) == 0 {
			tb.Fatal("the secrets are not in the datagram")
		}
		for i := range len(b) {
			check("ends at", i, b[:i])
			check("begins at", i, b[i:])
		}
		check("whole", 0, b)
		for i := range 500 {
			hurt := bytes.Clone(b)
			for range 1 + rnd.IntN(4) {
				hurt[rnd.IntN(len(hurt))] = byte(rnd.IntN(256))
			}
			check("damaged", i, hurt)
		}
	}
}
