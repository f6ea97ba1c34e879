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

type arena struct {
	at  map[uint64]uint32 // by hash of the key
	buf []byte
}

const (
	shelfHead = 6
	absent    = 0xffff // that a key is not in the store is worth knowing as well
)

// newShelf makes one of at most size bytes and what its index takes.
func newShelf(size int) *shelf {
	return &shelf{seed: maphash.MakeSeed(), limit: min(size/2, 1<<30), young: arena{at: map[uint64]uint32{}}, old: arena{at: map[uint64]uint32{}}}
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
	if val, ok, known = s.old.find(h, key); known && len(s.young.buf)+shelfHead+len(key)+roomFor(val) <= s.limit {
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
	if len(key) > 1<<15 || len(val) > 1<<15 || size > s.limit {
		delete(s.young.at, h) // too large: the store keeps it alone
		delete(s.old.at, h)
		return
	}
	if s.young.replace(h, key, val, ok) {
		return
	}
	if len(s.young.buf)+size > s.limit {
		s.young, s.old = s.old, s.young
		s.young.buf = s.young.buf[:0]
		clear(s.young.at)
	}
	s.young.add(h, key, val, ok)
}

// roomFor leaves a value room to grow in place: counters do.
func roomFor(val []byte) int { return (len(val) + 15) &^ 7 }

// entry gives a key with its value and the room behind it.
func (a *arena) entry(h uint64, key []byte) []byte {
	at, ok := a.at[h]
	if !ok {
		return nil
	}
	b := a.buf[at:]
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
	a.at[h] = uint32(len(a.buf))
	a.buf = binary.LittleEndian.AppendUint16(a.buf, uint16(len(key)))
	a.buf = binary.LittleEndian.AppendUint16(a.buf, lengthOf(val, ok))
	room := roomFor(val)
	a.buf = binary.LittleEndian.AppendUint16(a.buf, uint16(room))
	a.buf = append(append(a.buf, key...), val...)
	a.buf = append(a.buf, make([]byte, room-len(val))...)
}
