package stream

import (
	"cmp"
	"maps"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// sweep is work over all keys of a table, done in chunks between transactions.
type sweep struct {
	name         string
	table        byte
	cause        proto.Cause
	time         proto.Time
	site, domain string
	cursor       string // the last key done
	begun        bool
}

func (s *sweep) appendTo(b []byte) []byte {
	b = AppendString(b, s.name)
	b = AppendUint(b, uint64(s.table))
	b = AppendInt(b, int64(s.cause.Partition))
	b = appendPosition(b, s.cause.Position)
	b = AppendInt(b, int64(s.time))
	b = AppendString(AppendString(b, s.site), s.domain)
	return AppendString(b, s.cursor)
}

func readSweep(d *Decoder) sweep {
	s := sweep{name: d.String(), table: byte(d.Uint())}
	s.cause.Partition = int32(d.Int())
	s.cause.Position = readPosition(d)
	s.time = proto.Time(d.Int())
	s.site, s.domain, s.cursor = d.String(), d.String(), d.String()
	return s
}

// sweep goes on with the first sweep, at most *n keys; it reports whether no
// sweep is left.
func (p *Partition) sweep(n *int) bool {
	for len(p.sweeps) > 0 {
		s := &p.sweeps[0]
		if !s.begun {
			p.sweeping, s.begun = p.tableKeys(s.table, s.cursor), true
		}
		for len(p.sweeping) > 0 {
			if *n <= 0 {
				return false
			}
			*n--
			key := p.sweeping[0]
			p.sweeping = p.sweeping[1:]
			s.cursor = key
			p.stats.Swept++
			tx := &Tx{p: p, cause: s.cause, time: s.time, domain: s.domain, site: s.site}
			p.fold.Sweep(tx, s.name, []byte(key))
			s = &p.sweeps[0] // Sweep may have asked for another
		}
		p.sweeps, p.sweeping = p.sweeps[1:], nil
	}
	return true
}

// tableKeys lists the keys of a table after cursor, in order.
func (p *Partition) tableKeys(table byte, cursor string) []string {
	var keys []string
	p.each([]byte{table}, func(full, _ []byte) bool {
		keys = append(keys, string(full[1:]))
		return true
	})
	for _, e := range p.dirty {
		if e.key[0] == table && !e.stored && e.obj != nil {
			keys = append(keys, e.key[1:])
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if cursor != "" {
		i, found := slices.BinarySearch(keys, cursor)
		if found {
			i++
		}
		keys = keys[i:]
	}
	return keys
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
