package dissector_test

import (
	"fmt"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// last is a Sink that keeps the last fact.
type last struct {
	dissector.Sink
	f *dissector.Fact
}

func (l last) Emit(f *dissector.Fact) { *l.f = *f }

func TestTally(t *testing.T) {
	var f dissector.Fact
	h := &packet.Headers{}
	c := &dissector.Context{Headers: h, Side: dissector.Src, Sink: last{f: &f}}
	var x dissector.Tally
	x.Transactions(c, dissector.Dst, "functions")
	if f.Kind != "" || !x.Empty() {
		t.Errorf("of nothing: %+v", f)
	}
	for _, tc := range []struct {
		second int64
		due    bool
	}{{10, false}, {3609, false}, {3610, true}, {3611, false}, {9000, true}} {
		h.Time = proto.Time(tc.second * 1e9)
		if got := x.Due(c); got != tc.due {
			t.Errorf("at %d s: %v", tc.second, got)
		}
	}
	for range 3 {
		x.Count("write")
		x.Count("read")
	}
	x.Transactions(c, dissector.Dst, "functions")
	if got := fmt.Sprint(f.Kind, f.Subject.Side == dissector.Dst, f.Attributes.Get("role"), f.Attributes.List("functions")); got != "transactions true client [read:3 write:3]" && got != "transactionstrueclient[read:3 write:3]" {
		t.Errorf("%s", got)
	}
	if !x.Empty() {
		t.Error("what was told is counted anew")
	}
	for i := range 100 {
		x.Count(fmt.Sprint(i))
	}
	if x.Size() != 64*64 {
		t.Errorf("%d bytes", x.Size())
	}
}

func TestOnce(t *testing.T) {
	var o dissector.Once
	n := 0
	for range 2 {
		for i := range 100 {
			if o.First(fmt.Sprint(i)) {
				n++
			}
		}
	}
	if n != 64 || o.Size() < 64*64 {
		t.Errorf("%d were told, %d bytes", n, o.Size())
	}
}
