package stream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A shelf may forget; what it knows is what was put last.
func TestShelf(t *testing.T) {
	for _, size := range []int{0, 100, 4 << 10, 64 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newShelf(size)
			rnd := rand.New(rand.NewPCG(1, uint64(size)))
			last := map[string][]byte{}
			hits := 0
			for range 50_000 {
				key := fmt.Appendf(nil, "key %d", rnd.IntN(400))
				want, put := last[string(key)]
				val, ok, known := s.get(key)
				if known {
					hits++
					if !put || ok != (want != nil) || !bytes.Equal(val, want) {
						t.Fatalf("%s is %q (%v), want %q (%v)", key, val, ok, want, put)
					}
				}
				switch rnd.IntN(4) {
				case 0:
					v := bytes.Repeat([]byte{byte(rnd.Uint32())}, rnd.IntN(120))
					s.put(key, v, true)
					last[string(key)] = v
				case 1:
					s.put(key, nil, false)
					last[string(key)] = nil
				}
			}
			if n := s.young.used + s.old.used; n > size {
				t.Errorf("%d bytes", n)
			}
			if size >= 64<<10 && hits < 40_000 {
				t.Errorf("%d hits, though everything has room", hits)
			}
		})
	}
}

func TestShelfLeavesLargeValues(t *testing.T) {
	s := newShelf(1 << 20)
	key := []byte("key")
	s.put(key, []byte("small"), true)
	s.put(key, make([]byte, 70_000), true)
	if val, ok, known := s.get(key); known {
		t.Errorf("%d bytes, %v", len(val), ok)
	}
	var none *shelf
	none.put(key, key, true)
	if _, _, known := none.get(key); known {
		t.Error("no shelf knows something")
	}
}
