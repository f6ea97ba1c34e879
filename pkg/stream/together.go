package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Gatherer is a fold some of whose tables are asked for together: all that an event of
// a device needs is then found with one look into the store, whatever number of tables
// it lies in, and what a device has not costs no look at all.
type Gatherer interface {
	// Together lists the ids of those tables. Their keys begin with the 16 bytes of what
	// a row is about, and of one such there are few rows: all are read with any.
	Together() string
}

// Foreseer is a Gatherer that can tell beforehand what an event is about, so that what the
// events of a batch need is read in the order in which it lies.
type Foreseer interface {
	Gatherer
	// Foresees gives what the rows that an event will ask for first are about; ok is false
	// where that is not known.
	Foresees(msg any) (id [16]byte, ok bool)
}

// entityLen is the length of what rows that lie together begin with, table id apart.
const entityLen = 16

// entityMark begins the key of what lies together; it is no table's id.
const entityMark = 0x80

// tableSet is a set of table ids.
type tableSet [128]bool

func togetherOf(f Fold) (s tableSet) {
	g, ok := f.(Gatherer)
	if !ok {
		return s
	}
	for _, id := range []byte(g.Together()) {
		if id < 0x20 || id > 0x7e {
			panic(fmt.Sprintf("stream: table id %#x outside 0x20..0x7e", id)) // a programming error, found by any test
		}
		s[id] = true
	}
	return s
}

// has reports whether a key, table id first, is of a row that lies with others.
func (s *tableSet) has(key []byte) bool {
	return len(key) > entityLen && key[0] < 0x80 && s[key[0]]
}

// entityStore is a store that reads all that lies together at once.
type entityStore interface {
	// Entity calls f for the rows of what id is about, of all tables that lie together,
	// in order of table and rest of the key. The slices are valid during the call only.
	Entity(partition int32, id []byte, f func(table byte, rest, val []byte)) error
}

// rows are what lies together of one entity, in order:
//
//	table id | length of the rest of the key | rest | length of the value | value
type rows []byte

func appendRow(b rows, table byte, rest, val []byte) rows {
	return AppendBytes(AppendBytes(append(b, table), rest), val)
}

// next gives the first row, and those after it.
func (r rows) next() (table byte, rest, val []byte, more rows) {
	table, r = r[0], r[1:]
	rest, r = takeBytes(r)
	val, r = takeBytes(r)
	return table, rest, val, r
}

func takeBytes(b rows) (taken []byte, more rows) {
	n, k := binary.Uvarint(b)
	return b[k : k+int(n) : k+int(n)], b[k+int(n):]
}

// find gives the value of a row.
func (r rows) find(table byte, rest []byte) ([]byte, bool) {
	for len(r) > 0 {
		t, k, val, more := r.next()
		if t == table && bytes.Equal(k, rest) {
			return val, true
		}
		r = more
	}
	return nil, false
}

// with adds to b the rows as changes, which are sorted and of the same entity, leave them.
func (r rows) with(b rows, changes []Change) rows {
	put := func(c *Change) {
		if c.Value != nil {
			b = appendRow(b, c.Key[0], c.Key[1+entityLen:], c.Value)
		}
	}
	for len(r) > 0 {
		table, rest, val, more := r.next()
		order := -1
		for len(changes) > 0 {
			c := &changes[0]
			if order = compareRow(c.Key[0], c.Key[1+entityLen:], table, rest); order > 0 {
				break
			}
			put(c)
			changes = changes[1:]
			if order == 0 {
				break
			}
		}
		if order != 0 || len(r) == 0 {
			b = appendRow(b, table, rest, val)
		}
		r = more
	}
	for i := range changes {
		put(&changes[i])
	}
	return b
}

func compareRow(t1 byte, k1 []byte, t2 byte, k2 []byte) int {
	if t1 != t2 {
		return int(t1) - int(t2)
	}
	return bytes.Compare(k1, k2)
}

// entityKey is under which cache and filter know what lies together.
func (p *Partition) entityKey(full []byte) []byte {
	p.entity[0] = entityMark
	copy(p.entity[1:], full[1:])
	return p.entity[:]
}

// gathered gives the rows that lie together with that of a key, which are valid until
// the next call, from memory or with one look into the store.
func (p *Partition) gathered(full []byte) rows {
	key := p.entityKey(full)
	if p.atHand && p.handKey == p.entity {
		return p.hand
	}
	if val, _, known := p.shelf.get(key); known {
		return val
	}
	if !p.filter.has(key) {
		return nil
	}
	p.hand, p.handKey, p.atHand = p.hand[:0], p.entity, true
	err := p.entities.Entity(p.id, full[1:1+entityLen], func(table byte, rest, val []byte) {
		p.hand = appendRow(p.hand, table, rest, val)
	})
	if err != nil {
		p.fail(fmt.Errorf("read state: %w", err))
		return nil
	}
	p.shelf.put(key, p.hand, len(p.hand) > 0)
	return p.hand
}

// foresee reads what lies together of all that a batch is about and is not in memory.
func (p *Partition) foresee(batch []pending) {
	if len(batch) < leastForeseen {
		return
	}
	p.ahead = p.ahead[:0]
	var full [1 + entityLen]byte
	for i := range batch {
		id, ok := p.foreseer.Foresees(batch[i].ev.Msg)
		if !ok {
			continue
		}
		copy(full[1:], id[:])
		key := p.entityKey(full[:])
		if _, _, known := p.shelf.get(key); !known && p.filter.has(key) {
			p.ahead = append(p.ahead, id)
		}
	}
	slices.SortFunc(p.ahead, func(a, b [entityLen]byte) int { return bytes.Compare(a[:], b[:]) })
	for i := range p.ahead {
		copy(full[1:], p.ahead[i][:])
		p.gathered(full[:]) // what is there twice is in memory then
	}
}

// leastForeseen is how many events make it worth the while.
const leastForeseen = 64

// eachOf calls f for the rows of one table of one entity; f asks for no other entity.
func (p *Partition) eachOf(prefix []byte, f func(key, val []byte) bool) {
	key := append(make([]byte, 0, 64), prefix...)
	for r := p.gathered(key); len(r) > 0; {
		table, rest, val, more := r.next()
		if table == prefix[0] && !f(append(key[:len(prefix)], rest...), val) {
			return
		}
		r = more
	}
}

// keep takes committed changes into what is in memory.
func (p *Partition) keep(changes []Change) {
	p.atHand = false
	for len(changes) > 0 {
		c := &changes[0]
		if !p.liesTogether(c.Key) {
			if c.Key[0] != idTimers { // nobody asks for a timer
				p.shelf.put(c.Key, c.Value, c.Value != nil)
			}
			changes = changes[1:]
			continue
		}
		n := 1
		for n < len(changes) && p.liesTogether(changes[n].Key) && bytes.Equal(changes[n].Key[1:1+entityLen], c.Key[1:1+entityLen]) {
			n++
		}
		p.keepEntity(p.entityKey(c.Key), changes[:n])
		changes = changes[n:]
	}
}

func (p *Partition) keepEntity(key []byte, changes []Change) {
	had := p.filter.has(key)
	if !had {
		p.filter.add(key)
	}
	old, _, known := p.shelf.get(key)
	if !known && had {
		return // the rest of it is not at hand, and nobody has asked for it
	}
	p.hand = rows(old).with(p.hand[:0], changes)
	p.shelf.put(key, p.hand, len(p.hand) > 0)
}

// liesTogether reports whether the store keeps a row beside the others of its entity.
func (p *Partition) liesTogether(full []byte) bool { return p.entities != nil && p.together.has(full) }

// sortDirty puts what has changed into the order in which the store keeps it: it is
// written faster, and the changelog has together what is read together.
func (p *Partition) sortDirty() {
	slices.SortFunc(p.dirty, func(a, b *entry) int {
		ga, gb := p.sortsTogether(a.key), p.sortsTogether(b.key)
		switch {
		case ga && gb:
			if c := strings.Compare(a.key[1:1+entityLen], b.key[1:1+entityLen]); c != 0 {
				return c
			}
			if a.key[0] != b.key[0] {
				return int(a.key[0]) - int(b.key[0])
			}
			return strings.Compare(a.key[1+entityLen:], b.key[1+entityLen:])
		case ga:
			return 1
		case gb:
			return -1
		}
		return strings.Compare(a.key, b.key)
	})
}

func (p *Partition) sortsTogether(key string) bool {
	return len(key) > entityLen && key[0] < 0x80 && p.together[key[0]]
}
