package store

import (
	"net/netip"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/wardflow/wardflow/proto"
)

// vector is one column of a block that is being built.
type vector interface {
	flush(to driver.BatchColumn) error
	keep(rows []int) // only these, in ascending order
	reset()
}

// vec holds values in the form that the client library takes as a whole.
type vec[T any] struct{ v []T }

func (c *vec[T]) add(x T)                           { c.v = append(c.v, x) }
func (c *vec[T]) flush(to driver.BatchColumn) error { return to.Append(c.v) }
func (c *vec[T]) reset()                            { c.v = c.v[:0] }
func (c *vec[T]) keep(rows []int) {
	for to, from := range rows {
		c.v[to] = c.v[from]
	}
	c.v = c.v[:len(rows)]
}

type ids struct{ vec[uuid.UUID] }

func (c *ids) add(id proto.ID) { c.v = append(c.v, uuid.UUID(id)) }

type addrs struct{ vec[[16]byte] }

// add stores IPv4 mapped, and no address as ::.
func (c *addrs) add(a netip.Addr) {
	if !a.IsValid() {
		c.v = append(c.v, [16]byte{})
		return
	}
	c.v = append(c.v, a.As16())
}

type macs struct{ vec[uint64] }

func (c *macs) add(m proto.MAC) {
	c.v = append(c.v, uint64(m[0])<<40|uint64(m[1])<<32|uint64(m[2])<<24|uint64(m[3])<<16|uint64(m[4])<<8|uint64(m[5]))
}

type times struct{ vec[time.Time] }

// The event times that are believed: later than this, and not more than a day
// after the record's own time.
var earliest = proto.TimeOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))

// add stores t, clamped into what is believed, and says whether it had to be.
func (c *times) add(t proto.Time, at *Coordinates) (clamped bool) {
	if latest := at.Time.Add(24 * time.Hour); t > latest {
		t, clamped = latest, true
	}
	if t < earliest {
		t, clamped = earliest, true
	}
	c.v = append(c.v, t.Std())
	return clamped
}

// addOrNone stores a time that there may not be: 1970 then.
func (c *times) addOrNone(t proto.Time, at *Coordinates) {
	if t == 0 {
		c.v = append(c.v, time.Unix(0, 0).UTC())
		return
	}
	c.add(t, at)
}

// words is a LowCardinality column. The library takes its values one by one and
// boxed: each distinct word is boxed once.
type words struct {
	vec[any]
	boxed map[string]any
	last  string
	box   any
}

func (c *words) add(s string) {
	if c.box == nil || s != c.last {
		if c.boxed == nil {
			c.boxed = map[string]any{}
		}
		b, ok := c.boxed[s]
		if !ok {
			b = s
			c.boxed[s] = b
		}
		c.last, c.box = s, b
	}
	c.v = append(c.v, c.box)
}

// reset forgets the words once they are many: they came from the network.
func (c *words) reset() {
	c.v = c.v[:0]
	if len(c.boxed) > 4096 {
		c.boxed, c.box = nil, nil
	}
}

func (c *words) flush(to driver.BatchColumn) error {
	for _, x := range c.v {
		if err := to.AppendRow(x); err != nil {
			return err
		}
	}
	return nil
}

type communities struct{ vec[proto.CommunityID] }

func (c *communities) flush(to driver.BatchColumn) error {
	b := make([][]byte, len(c.v))
	for i := range c.v {
		b[i] = c.v[i][:]
	}
	return to.Append(b)
}

// anything is a column of a table that sees few rows.
type anything struct{ vec[any] }

func (c *anything) flush(to driver.BatchColumn) error {
	for _, x := range c.v {
		if err := to.AppendRow(x); err != nil {
			return err
		}
	}
	return nil
}

// histograms is a column of maps, most of which are empty.
type histograms struct{ anything }

func (c *histograms) add(h proto.Histogram) {
	if len(h) == 0 {
		c.v = append(c.v, nil)
		return
	}
	c.v = append(c.v, bars(h))
}

// bars are a histogram as the library takes a map whose keys have an order.
type bars proto.Histogram

// Put implements column.IterableOrderedMap; nothing is read into bars.
func (bars) Put(any, any) {}

// Iterator implements column.IterableOrderedMap.
func (b bars) Iterator() column.MapIterator { return &bar{bars: b, at: -1} }

type bar struct {
	bars bars
	at   int
}

func (b *bar) Next() bool {
	b.at++
	return b.at < len(b.bars)
}

func (b *bar) Key() any   { return b.bars[b.at].Low }
func (b *bar) Value() any { return b.bars[b.at].Count }
