package slab_test

import (
	"fmt"
	"os"
	"runtime"
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

// TestOutside: what has no pointers is not on the collector's heap, what has some is.
func TestOutside(t *testing.T) {
	type big struct {
		number int
		_      [1 << 10]byte
	}
	type holder struct {
		text *string
		_    big
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	plain, pointed := new(slab.Slab[big]), new(slab.Slab[holder])
	for range 4096 {
		_, v := plain.Alloc()
		v.number = 7
	}
	if grown := heap() - before; runtime.GOOS == "linux" && grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	text := "what is pointed to"
	r, v := pointed.Alloc()
	v.text = &text
	runtime.GC()
	if *pointed.At(r).text != text || plain.At(4096).number != 7 {
		t.Error("a value is lost")
	}
	if grown := heap() - before; grown < 512*1<<10 {
		t.Errorf("values with pointers are not on the heap: it has grown by %d bytes", grown)
	}
	runtime.KeepAlive(plain)
	runtime.KeepAlive(pointed)
}

// TestMemoryComesBack: when nobody has a slab.
func TestMemoryComesBack(t *testing.T) {
	size := func() (pages int64) {
		text, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip("no /proc here")
		}
		if _, err := fmt.Sscan(string(text), &pages); err != nil {
			t.Fatal(err)
		}
		return pages * int64(os.Getpagesize())
	}
	before := size()
	for range 300 { // 2 MiB each
		s := new(slab.Slab[[512]uint64])
		_, v := s.Alloc()
		v[0] = 1
		runtime.KeepAlive(s)
	}
	for range 10_000 {
		runtime.GC()
		if size()-before < 100<<20 {
			return
		}
	}
	t.Errorf("the process has grown by %d bytes", size()-before)
}
