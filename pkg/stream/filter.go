package stream

import "hash/maphash"

// filter tells of most keys that are not in the store, without a look into it: new
// peers and new hours are what a fold asks for most. It is a Bloom filter (Bloom,
// 1970) in blocks of a cache line (Putze et al., 2007), in layers, each twice the
// size of the one before, so that it need not know how many keys will come. Keys that
// are deleted stay in it and cost a look.
type filter struct {
	seed   maphash.Seed
	layers []layer
}

type layer struct {
	blocks [][8]uint64
	room   int // keys that it still takes
}

const (
	filterFirst = 1 << 14 // keys of the first layer
	keysInBlock = 32      // 16 bits a key
)

func newFilter() *filter { return &filter{seed: maphash.MakeSeed()} }

// add takes a key in.
func (f *filter) add(key []byte) {
	if f == nil { // no store
		return
	}
	h := maphash.Bytes(f.seed, key)
	if n := len(f.layers); n == 0 || f.layers[n-1].room == 0 {
		keys := filterFirst << n
		f.layers = append(f.layers, layer{blocks: make([][8]uint64, keys/keysInBlock), room: keys})
	}
	l := &f.layers[len(f.layers)-1]
	l.room--
	b, h := l.block(h)
	for i := range b {
		b[i] |= 1 << (h & 63)
		h >>= 6
	}
}

// has reports whether the key may have been added; false is certain.
func (f *filter) has(key []byte) bool {
	hash := maphash.Bytes(f.seed, key)
layers:
	for i := range f.layers {
		b, h := f.layers[i].block(hash)
		for i := range b {
			if b[i]&(1<<(h&63)) == 0 {
				continue layers
			}
			h >>= 6
		}
		return true
	}
	return false
}

// block gives a hash's block, and 48 bits for the eight bits in it.
func (l *layer) block(h uint64) (*[8]uint64, uint64) {
	return &l.blocks[h%uint64(len(l.blocks))], h * 0x9e3779b97f4a7c15 >> 16
}
