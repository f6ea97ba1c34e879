// Package geo says of an address on the Internet which country it is in and which
// network (autonomous system) announces it: a table of address ranges, searched by halves.
//
// The embedded table is made by tools/geo and has countries alone (see NOTICE for where
// it comes from and of which day it is). A file in IPtoASN's format has both, is newer,
// and takes its place where the configuration names one. Nothing here asks anybody.
package geo

import (
	"bytes"
	_ "embed"
	"net/netip"
	"sort"
	"sync"
)

// Place is where an address is. The zero value is an address that nobody announces, that
// is nobody's on the Internet, or that the table does not know.
type Place struct {
	Country string // ISO 3166-1 alpha-2 in capitals, "" for unknown
	ASN     uint32 // autonomous system number, 0 for unknown
	Name    string // the autonomous system's name
}

// Table is ranges of addresses. It never changes, and may be asked from everywhere.
type Table struct {
	about  string
	four   []range4
	six    []range6
	places []Place
}

// The ranges are sorted and do not overlap; both ends are inside.
type range4 struct {
	first, last uint32
	place       uint32
}

type range6 struct {
	first, last wide
	place       uint32
}

// wide is an IPv6 address as a number.
type wide struct{ high, low uint64 }

func (w wide) less(v wide) bool { return w.high < v.high || w.high == v.high && w.low < v.low }

//go:embed table.tsv.gz
var packed []byte

var embedded = sync.OnceValue(func() *Table {
	t, err := Read(bytes.NewReader(packed))
	if err != nil {
		panic("geo: " + err.Error()) // the embedded file is part of the program; a test reads it
	}
	return t
})

// Embedded is the table of the program. It is unpacked when it is first asked for.
func Embedded() *Table { return embedded() }

// About is the table's first comment, which says of which day it is; "" for none.
func (t *Table) About() string { return t.about }

// Len is how many ranges the table has.
func (t *Table) Len() int { return len(t.four) + len(t.six) }

var shared = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// Lookup tells where an address is. It allocates nothing.
func (t *Table) Lookup(a netip.Addr) Place {
	if a = a.Unmap(); !a.IsGlobalUnicast() || a.IsPrivate() || shared.Contains(a) {
		return Place{}
	}
	if a.Is4() {
		n := number4(a)
		i := sort.Search(len(t.four), func(i int) bool { return t.four[i].last >= n })
		if i < len(t.four) && t.four[i].first <= n {
			return t.places[t.four[i].place]
		}
		return Place{}
	}
	n := number6(a)
	i := sort.Search(len(t.six), func(i int) bool { return !t.six[i].last.less(n) })
	if i < len(t.six) && !n.less(t.six[i].first) {
		return t.places[t.six[i].place]
	}
	return Place{}
}
