package slab_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/slab"
)

func TestSlab(t *testing.T) {
	const n = 2000
	var s slab.Slab[uint64]
	refs := map[slab.Ref]*uint64{}
	for i := range uint64(n) {
		r, v := s.Alloc()
		if r == 0 || *v != 0 || refs[r] != nil {
			t.Fatalf("value %d has the name %d and is %d", i, r, *v)
		}
		*v, refs[r] = i+1, v
	}
	for r, v := range refs {
		if s.At(r) != v || *v == 0 {
			t.Fatalf("%d has moved or changed", r)
		}
	}
	if s.Len() != n {
		t.Errorf("Len = %d", s.Len())
	}
	for r := range refs {
		s.Release(r)
	}
	if s.Len() != 0 {
		t.Errorf("Len = %d after all were released", s.Len())
	}
	for range n {
		if r, v := s.Alloc(); refs[r] == nil || *v != 0 {
			t.Fatalf("%d is new, or not empty: %d", r, *v)
		}
	}
	if n := testing.AllocsPerRun(100, func() { r, _ := s.Alloc(); s.Release(r) }); n > 1 {
		t.Errorf("%v allocations for a value that is used again", n)
	}
}
