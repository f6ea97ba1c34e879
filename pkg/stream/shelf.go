package stream

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

// shelf holds encoded state that was read or committed lately, so that most
// look-ups need not ask the store. It has no pointers in it: the collector does not
// walk through millions of keys, as it would through decoded values.
//
// Two arenas take turns. What is put goes to the young one; when that is full it
// becomes the old one, and what is still in the old one then is forgotten. What is
// found in the old one moves to the young one.
//
//	key length u16 | value length u16, or absent | room for a value u16 | key | value
type shelf struct {
	seed       maphash.Seed
	young, old arena
	limit      int // bytes of one arena
}

// An arena grows by pieces, so that nothing of it is ever copied to make room; no entry
// lies in two of them.
type arena struct {
	at     map[uint64]uint32 // by hash of the key
	pieces [][]byte
	used   int // bytes, with what is left over at the end of pieces
	piece  int // bytes of one
}

// largestPiece is more than any entry has.
const largestPiece = 1 << 20

func newArena(limit int) arena {
	return arena{at: map[uint64]uint32{}, piece: max(1, min(limit, largestPiece))}
}

// fits reports whether an entry of so many bytes has room within a limit.
func (a *arena) fits(size, limit int) bool {
	if left := a.left(); size > left {
		size += left
	}
	return a.used+size <= limit
}

// left is what the last piece has room for.
func (a *arena) left() int { return (a.piece - a.used%a.piece) % a.piece }

// room gives place for an entry, and where it is.
func (a *arena) room(size int) ([]byte, uint32) {
	if left := a.left(); size > left {
		a.used += left
	}
	n := a.used / a.piece
	if n == len(a.pieces) {
		a.pieces = append(a.pieces, make([]byte, a.piece))
	}
	from := a.used % a.piece
	at := uint32(a.used)
	a.used += size
	return a.pieces[n][from : from+size], at
}

// clear forgets all, and keeps the memory.
func (a *arena) clear() {
	a.used = 0
	clear(a.at)
}

const (
	shelfHead = 6
	absent    = 0xffff // that a key is not in the store is worth knowing as well
)

// newShelf makes one of at most size bytes and what its index takes.
func newShelf(size int) *shelf {
	limit := min(size/2, 1<<30)
	return &shelf{seed: maphash.MakeSeed(), limit: limit, young: newArena(limit), old: newArena(limit)}
}

// get gives the value of a key, which is valid until the next put, and whether the
// store has one; known is false where the store must be asked.
func (s *shelf) get(key []byte) (val []byte, ok, known bool) {
	if s == nil {
		return nil, false, false
	}
	h := maphash.Bytes(s.seed, key)
	if val, ok, known = s.young.find(h, key); known {
		return val, ok, true
	}
	if val, ok, known = s.old.find(h, key); known && s.young.fits(shelfHead+len(key)+roomFor(val), s.limit) {
		s.young.add(h, key, val, ok)
	}
	return val, ok, known
}

// put takes what the store has, or has not, of a key.
func (s *shelf) put(key, val []byte, ok bool) {
	if s == nil {
		return
	}
	h, size := maphash.Bytes(s.seed, key), shelfHead+len(key)+roomFor(val)
	if len(key) > 1<<15 || len(val) > 1<<15 || size > min(s.limit, s.young.piece) {
		delete(s.young.at, h) // too large: the store keeps it alone
		delete(s.old.at, h)
		return
	}
	if s.young.replace(h, key, val, ok) {
		return
	}
	if !s.young.fits(size, s.limit) {
		s.young, s.old = s.old, s.young
		s.young.clear()
	}
	s.young.add(h, key, val, ok)
}

// roomFor leaves a value room to grow in place: counters do.
func roomFor(val []byte) int { return (len(val) + len(val)/16 + 15) &^ 7 }

// entry gives a key with its value and the room behind it.
func (a *arena) entry(h uint64, key []byte) []byte {
	at, ok := a.at[h]
	if !ok {
		return nil
	}
	b := a.pieces[int(at)/a.piece][int(at)%a.piece:]
	k := int(binary.LittleEndian.Uint16(b))
	if !bytes.Equal(b[shelfHead:shelfHead+k], key) { // another key of the same hash
		return nil
	}
	return b[:shelfHead+k+int(binary.LittleEndian.Uint16(b[4:]))]
}

func (a *arena) find(h uint64, key []byte) (val []byte, ok, known bool) {
	b := a.entry(h, key)
	if b == nil {
		return nil, false, false
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n == absent {
		return nil, false, true
	}
	at := shelfHead + len(key)
	return b[at : at+n : at+n], true, true
}

// replace writes over the value of a key that is there, where it has room.
func (a *arena) replace(h uint64, key, val []byte, ok bool) bool {
	b := a.entry(h, key)
	if b == nil || len(b)-shelfHead-len(key) < len(val) {
		return false
	}
	binary.LittleEndian.PutUint16(b[2:], lengthOf(val, ok))
	copy(b[shelfHead+len(key):], val)
	return true
}

func lengthOf(val []byte, ok bool) uint16 {
	if !ok {
		return absent
	}
	return uint16(len(val))
}

func (a *arena) add(h uint64, key, val []byte, ok bool) {
	room := roomFor(val)
	b, at := a.room(shelfHead + len(key) + room)
	binary.LittleEndian.PutUint16(b, uint16(len(key)))
	binary.LittleEndian.PutUint16(b[2:], lengthOf(val, ok))
	binary.LittleEndian.PutUint16(b[4:], uint16(room))
	copy(b[shelfHead+copy(b[shelfHead:], key):], val)
	a.at[h] = at
}
