package stream

import (
	"fmt"
	"testing"
)

func TestFilter(t *testing.T) {
	f := newFilter()
	if f.has([]byte("key")) {
		t.Error("an empty filter knows a key")
	}
	const n = 200_000
	for i := range n {
		f.add(fmt.Appendf(nil, "key %d", i))
	}
	wrong := 0
	for i := range n {
		if !f.has(fmt.Appendf(nil, "key %d", i)) {
			t.Fatalf("key %d is not in the filter", i)
		}
		if f.has(fmt.Appendf(nil, "other %d", i)) {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("%d of %d keys that were never added may be there", wrong, n)
	}
	t.Logf("%.2f %% false positives", 100*float64(wrong)/n)
}
