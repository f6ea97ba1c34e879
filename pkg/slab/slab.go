// Package slab holds many values of one type in chunks that never move, and names
// them by a number: half a pointer, and for values without pointers nothing that
// the garbage collector has to follow.
//
// It knows nothing of what it holds, and imports nothing. It is for one goroutine.
package slab

// Ref names a value; 0 is none.
type Ref uint32

// A chunk of a size that is a multiple of 16 bytes fills pages of 8 KiB, the unit
// in which memory is had.
const (
	chunkBits = 9
	chunkSize = 1 << chunkBits
)

// Slab holds values of T. The zero Slab is ready to use.
type Slab[T any] struct {
	chunks []*[chunkSize]T
	free   []Ref
	used   Ref // the highest that was ever handed out
}

// At gives the value. It stays where it is until it is released.
func (s *Slab[T]) At(r Ref) *T {
	r--
	return &s.chunks[r>>chunkBits][r&(chunkSize-1)]
}

// Alloc gives a zero value and its name.
func (s *Slab[T]) Alloc() (Ref, *T) {
	if n := len(s.free); n > 0 {
		r := s.free[n-1]
		s.free = s.free[:n-1]
		return r, s.At(r)
	}
	if int(s.used) == len(s.chunks)*chunkSize {
		s.chunks = append(s.chunks, new([chunkSize]T))
	}
	s.used++
	return s.used, s.At(s.used)
}

// Release takes a value back.
func (s *Slab[T]) Release(r Ref) {
	var zero T
	*s.At(r) = zero
	s.free = append(s.free, r)
}

// Len is how many values are in use.
func (s *Slab[T]) Len() int { return int(s.used) - len(s.free) }
