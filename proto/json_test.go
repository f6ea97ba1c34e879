package proto_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"testing/quick"

	"github.com/wardflow/wardflow/proto"
)

// What AppendJSON writes is what json.Marshal writes, for any content.
func TestAppendJSON(t *testing.T) {
	same := func(what any, got []byte) bool {
		want, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
			return false
		}
		return true
	}
	cfg := &quick.Config{MaxCount: 500}
	if err := quick.Check(func(d proto.Device) bool { return same(&d, d.AppendJSON(nil)) }, cfg); err != nil {
		t.Error(err)
	}
	if err := quick.Check(func(r proto.Risk) bool { return same(&r, r.AppendJSON(nil)) }, cfg); err != nil {
		t.Error(err)
	}
	same(&proto.Device{}, (&proto.Device{}).AppendJSON(nil))
	same(&proto.Risk{}, (&proto.Risk{}).AppendJSON(nil))
	for _, s := range []string{"plain", `a"b\c`, "<&>", "tab\t", "ward Süd", "\xff", "\u2028", "\x7f"} {
		r := proto.Risk{Cause: s}
		same(&r, r.AppendJSON(nil))
	}
	for _, f := range []float64{0, 1, 0.1, 87.4, 1e-7, 1e21, -3, 1e20, 5e-324, rand.Float64()} {
		r := proto.Risk{Score: f}
		same(&r, r.AppendJSON(nil))
	}
}
