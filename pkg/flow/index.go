package flow

import (
	"hash/maphash"

	"github.com/wardflow/wardflow/pkg/slab"
)

// ref names an entry; 0 is none.
type ref = slab.Ref

// index finds entries by key: open addressing with linear probing, 8 bytes a
// slot, at most three quarters full. The hash is seeded anew in every process, so
// that nobody can choose addresses that collide; nothing follows from its order.
type index struct {
	seed  maphash.Seed
	slots []slot
	count int
}

type slot struct {
	hash uint32
	ref  ref
}

const minSlots = 1 << 10

func newIndex() index {
	return index{seed: maphash.MakeSeed(), slots: make([]slot, minSlots)}
}

func (x *index) hash(k *key) uint32 {
	h := maphash.Bytes(x.seed, k[:])
	return uint32(h ^ h>>32)
}

// find gives the entry with the key, 0 for none.
func (x *index) find(hash uint32, k *key, s *slab.Slab[Entry]) ref {
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		v := x.slots[i]
		if v.ref == 0 || (v.hash == hash && s.At(v.ref).key == *k) {
			return v.ref
		}
	}
}

func (x *index) insert(hash uint32, r ref) {
	if (x.count+1)*4 > len(x.slots)*3 {
		x.grow()
	}
	x.put(slot{hash: hash, ref: r})
	x.count++
}

func (x *index) put(v slot) {
	mask := uint32(len(x.slots) - 1)
	i := v.hash & mask
	for x.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = v
}

func (x *index) grow() {
	old := x.slots
	x.slots = make([]slot, 2*len(old))
	for _, v := range old {
		if v.ref != 0 {
			x.put(v)
		}
	}
}

// remove takes the entry out and moves up what probing had pushed behind it, so
// that no gravestones pile up.
func (x *index) remove(hash uint32, r ref) {
	mask := uint32(len(x.slots) - 1)
	i := hash & mask
	for x.slots[i].ref != r {
		i = (i + 1) & mask
	}
	for j := (i + 1) & mask; x.slots[j].ref != 0; j = (j + 1) & mask {
		// The slot at j may move to i unless its home lies between them.
		if home := x.slots[j].hash & mask; (j-home)&mask >= (j-i)&mask {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = slot{}
	x.count--
}
