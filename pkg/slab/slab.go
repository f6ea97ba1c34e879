// Package slab holds many values of one type in chunks that never move, and names
// them by a number: half a pointer, and for values without pointers nothing that
// the garbage collector has to follow.
//
// Values without pointers lie outside of the collector's heap where the system has
// a way to do that. Inside, they would count as live memory, and the collector lets
// as much garbage pile up as there is live memory: a table of flows would cost the
// process twice its size.
//
// The package knows nothing of what it holds, and imports nothing of this project.
// It is for one goroutine.
package slab

import (
	"reflect"
	"runtime"
	"unsafe"
)

// Ref names a value; 0 is none.
type Ref uint32

// A chunk of a size that is a multiple of 16 bytes fills pages of 8 KiB, the unit
// in which memory is had.
const (
	chunkBits = 9
	chunkSize = 1 << chunkBits
)

// Slab holds values of T. The zero Slab is ready to use. The values are gone with
// it: who has a pointer to one must hold on to the Slab, too.
type Slab[T any] struct {
	chunks []*[chunkSize]T
	free   []Ref
	used   Ref // the highest that was ever handed out
	owner  *owner
}

// owner stands for the Slab with the collector, which takes the memory back when
// nobody has it any more. It has a pointer, because what has none and is this small
// shares its fate with others.
type owner struct {
	of      reflect.Type
	outside bool
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
		s.chunks = append(s.chunks, s.chunk())
	}
	s.used++
	return s.used, s.At(s.used)
}

func (s *Slab[T]) chunk() *[chunkSize]T {
	if s.owner == nil {
		of := reflect.TypeFor[T]()
		s.owner = &owner{of: of, outside: plain(of)}
	}
	if s.owner.outside {
		if b := outside(int(unsafe.Sizeof([chunkSize]T{}))); b != nil {
			runtime.AddCleanup(s.owner, giveBack, b)
			return (*[chunkSize]T)(unsafe.Pointer(unsafe.SliceData(b))) //nolint:gosec // memory of that size, with nothing in it for the collector
		}
	}
	return new([chunkSize]T)
}

// plain reports that a type has no pointers.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() == 0 || plain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !plain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return t.Kind() >= reflect.Bool && t.Kind() <= reflect.Complex128
}

// Release takes a value back.
func (s *Slab[T]) Release(r Ref) {
	var zero T
	*s.At(r) = zero
	s.free = append(s.free, r)
}

// Len is how many values are in use.
func (s *Slab[T]) Len() int { return int(s.used) - len(s.free) }
