package stream

import (
	"fmt"
	"slices"
	"sort"
)

// Value is what a table holds: a pointer type with a codec. AppendTo must give
// the same bytes for the same value, and at least one: a changelog record without a
// value is a deletion. Parse must not keep b.
type Value[V any] interface {
	*V
	AppendTo(b []byte) []byte
	Parse(b []byte) error
}

// Table describes one kind of state of a fold: keys to values, ordered by key
// bytes. It is a descriptor without content and may be a package variable; the
// content belongs to the partition behind the Tx.
type Table[V any, P Value[V]] struct {
	id     byte
	prefix int
}

// NewTable makes a descriptor. The id is unique within the fold, 0x20..0x7e, and
// never changes. scanPrefix is the length of key prefix that Scan takes; 0 when
// the table is never scanned by prefix.
func NewTable[V any, P Value[V]](id byte, scanPrefix int) Table[V, P] {
	if id < 0x20 || id > 0x7e {
		panic(fmt.Sprintf("stream: table id %#x outside 0x20..0x7e", id)) // a programming error, found by any test
	}
	return Table[V, P]{id: id, prefix: scanPrefix}
}

// Get gives the value of key, or nil. It must not be changed: use Edit for that.
func (t Table[V, P]) Get(tx *Tx, key []byte) *V {
	e := t.entry(tx, key)
	if e.obj == nil {
		return nil
	}
	return value[V](e.obj)
}

// Edit gives the value of key for changing, a zero value if there was none.
func (t Table[V, P]) Edit(tx *Tx, key []byte) *V {
	e := t.entry(tx, key)
	if e.obj == nil {
		e.obj = new(V)
	}
	if e.enc == nil {
		e.enc = func(obj any, b []byte) []byte { return P(value[V](obj)).AppendTo(b) }
	}
	t.touch(tx, e)
	return value[V](e.obj)
}

// Delete removes key; it may be absent.
func (t Table[V, P]) Delete(tx *Tx, key []byte) {
	e := t.entry(tx, key)
	if e.obj == nil {
		return
	}
	e.obj = nil
	t.touch(tx, e)
}

func (t Table[V, P]) touch(tx *Tx, e *entry) {
	if e.dirty {
		return
	}
	e.dirty = true
	tx.p.dirty = append(tx.p.dirty, e)
	if t.prefix > 0 && !e.stored {
		k := e.key[1 : 1+t.prefix]
		tx.p.fresh[string(t.id)+k] = append(tx.p.fresh[string(t.id)+k], e)
	}
}

// entry finds key in the overlay, then in the store. What is in neither is kept
// in the overlay as absent: folds ask for many keys that are not there, and ask
// again.
func (t Table[V, P]) entry(tx *Tx, key []byte) *entry {
	full := tx.p.tableKey(t.id, key)
	if e, ok := tx.p.cache[string(full)]; ok {
		return e
	}
	val, ok := tx.p.load(full)
	if !ok {
		e := &entry{key: string(full)}
		tx.p.cache[e.key] = e
		return e
	}
	return t.adopt(tx, full, val)
}

func (t Table[V, P]) adopt(tx *Tx, full, val []byte) *entry {
	v := new(V)
	if err := P(v).Parse(val); err != nil {
		// State that this build cannot read must stop the fold, not be taken for
		// empty: the runner restarts it and says so.
		tx.p.fail(fmt.Errorf("read state of fold %s, table %q: %w", tx.p.fold.Name(), t.id, err))
	}
	e := &entry{key: string(full), obj: v, stored: true}
	tx.p.cache[e.key] = e
	return e
}

// Scan calls f for the keys with the given prefix, whose length is the table's
// scan prefix, in key order, until f returns false. f may edit and delete the
// key that it is given, and no other of the prefix.
func (t Table[V, P]) Scan(tx *Tx, prefix []byte, f func(key []byte, v *V) bool) {
	if len(prefix) != t.prefix || t.prefix == 0 {
		tx.p.fail(fmt.Errorf("scan of table %q by %d bytes, want %d", t.id, len(prefix), t.prefix))
		return
	}
	var keys []string
	tx.p.each(tx.p.tableKey(t.id, prefix), func(full, val []byte) bool {
		if _, ok := tx.p.cache[string(full)]; !ok {
			t.adopt(tx, full, val)
		}
		keys = append(keys, string(full))
		return true
	})
	for _, e := range tx.p.fresh[string(t.id)+string(prefix)] {
		keys = append(keys, e.key)
	}
	sort.Strings(keys)
	for _, k := range slices.Compact(keys) {
		e := tx.p.cache[k]
		if e == nil || e.obj == nil {
			continue
		}
		if !f([]byte(k[1:]), value[V](e.obj)) {
			return
		}
	}
}

// value is an entry's object as its table's type; a table id that two tables of a
// fold share gives nil, and fails at once.
func value[V any](obj any) *V {
	v, _ := obj.(*V)
	return v
}

// entry is one key in the overlay: read from the store, or changed and not yet there.
type entry struct {
	key    string // table id and key
	obj    any    // *V; nil when deleted
	enc    func(any, []byte) []byte
	dirty  bool // differs from the store
	stored bool // is in the store
}

// Uint is a table value of one number.
type Uint struct{ N uint64 }

// AppendTo writes a varint.
func (u *Uint) AppendTo(b []byte) []byte { return appendUvarint(b, u.N) }

// Parse reads a varint.
func (u *Uint) Parse(b []byte) error {
	n, rest, err := readUvarint(b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes after the number", len(rest))
	}
	u.N = n
	return nil
}
