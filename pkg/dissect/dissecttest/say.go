package dissecttest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Hex reads bytes written in hex, with spaces anywhere.
func Hex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil { // a test's own mistake
		panic(err)
	}
	return b
}

// Talk is a conversation: of each pair, what the opener says and what it is
// answered; nil is silence.
func Talk(pairs ...[2][]byte) Conversation {
	var c Conversation
	for _, p := range pairs {
		for side, b := range p {
			if b != nil {
				c = append(c, Chunk{side, b})
			}
		}
	}
	return c
}

// Said is every fact of a result, a line each: kind, side, equipment, attributes.
func Said(r *Result) string {
	var out []string
	for _, f := range r.Facts {
		a, err := json.Marshal(f.Attributes)
		if err != nil { // strings always marshal
			panic(err)
		}
		s := fmt.Sprintf("%s %d", f.Kind, f.Subject.Side)
		if f.Subject.Equipment != "" {
			s += " " + f.Subject.Equipment
		}
		out = append(out, s+" "+string(a))
	}
	return strings.Join(out, "\n")
}

// SaysWhateverTheCut plays a conversation cut at every byte, and wants the same
// label and the same facts each time.
func SaysWhateverTheCut(t *testing.T, c Conversation, protocol, want string) {
	t.Helper()
	sizes := c.Sizes()
	for cut := range sizes[0] + sizes[1] {
		r := Play(dissect.Config{}, c.Cut(cut).Segments(true))
		if got := Said(r); got != want || len(r.Panics) > 0 {
			t.Fatalf("cut at %d: %v got\n%s\nwant\n%s", cut, r.Panics, got, want)
		}
		if f := r.Flows[0]; f.Protocol != protocol || f.By != proto.ByContent {
			t.Fatalf("cut at %d: label %q %q", cut, f.Protocol, f.By)
		}
	}
}

// KeepsToItself plays a conversation with secrets in it, whole and cut, from its
// beginning and from the middle on, and looks for them in all that comes out.
func KeepsToItself(t *testing.T, secrets []string, c Conversation) {
	t.Helper()
	s := canary.New(secrets)
	sizes := c.Sizes()
	n := sizes[0] + sizes[1]
	step := max(1, n/500)
	for cut := 0; cut < n; cut += step {
		for _, list := range [][]packet.Headers{c.Cut(cut, cut+7).Segments(cut%2 == 0), c.Cut(cut)[min(1, len(c)-1):].Segments(false)} {
			r := Play(dissect.Config{}, list)
			if hits := s.Search(r.Everything()); len(hits) > 0 || len(r.Panics) > 0 {
				t.Fatalf("cut at %d: %v %v in\n%s", cut, hits, r.Panics, r.Text())
			}
		}
	}
}

// Fuzz plays a conversation and the same cut at other places: neither may panic,
// and both must tell the same where both have the protocol's label.
func Fuzz(t *testing.T, protocol string, c Conversation, cuts ...int) {
	t.Helper()
	want := Play(dissect.Config{}, c.Segments(true))
	got := Play(dissect.Config{}, c.Cut(cuts...).Segments(true))
	if len(got.Panics) > 0 || len(want.Panics) > 0 {
		t.Fatalf("%v %v", got.Panics, want.Panics)
	}
	if want.Flows[0].Protocol == protocol && got.Flows[0].Protocol == protocol && got.Text() != want.Text() {
		t.Fatalf("got\n%swant\n%s", got.Text(), want.Text())
	}
}

// PlayDatagrams plays what two sides send over UDP; a test may have a name of its own
// for a Chunk.
func PlayDatagrams[C ~struct {
	Side int
	Data []byte
}](ports [2]uint16, list ...C) *Result {
	var packets []packet.Headers
	for _, c := range list {
		x := Chunk(c)
		packets = append(packets, Datagram(x.Side, ports, x.Data))
	}
	return Play(dissect.Config{}, packets)
}

// Says fails where what came out is not that, or the first flow is not known as the
// protocol's by its content.
func Says(tb testing.TB, r *Result, protocol, want string) {
	tb.Helper()
	if r.Brief() != want {
		tb.Errorf("got\n%swant\n%s", r.Brief(), want)
	}
	if f := r.Flows[0]; f.Protocol != protocol || f.By != proto.ByContent {
		tb.Errorf("%+v", f)
	}
}
