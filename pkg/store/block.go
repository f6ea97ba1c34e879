package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// Coordinates say where on Kafka a row came from.
type Coordinates struct {
	Generation uint32 // of the topics
	Partition  int32
	Offset     int64
	Index      int32 // of the event in its record
	Time       proto.Time
	Producer   string
	Seq        uint64

	// ClockOffset is what was added to the times of a flow or an observation, in whole
	// milliseconds, because its sensor's clock is off.
	ClockOffset time.Duration
}

// version makes one number of generation, offset and index, so that the latest
// row of a key is the highest: 8 bits, 40 bits (at 10,000 records a second three
// years of one partition) and 16 bits (a record holds at most 512 KiB, thus
// fewer rows).
func (c *Coordinates) version() uint64 {
	return uint64(c.Generation)<<56 | uint64(c.Offset)&(1<<40-1)<<16 | uint64(c.Index)&(1<<16-1)
}

// Block is rows of one table that are inserted as one. It is built by its
// table's own type, and is not safe for concurrent use.
type Block struct {
	table   string
	names   []string
	columns []vector

	clamped    vec[bool]
	generation vec[uint32]
	partition  vec[uint16]
	offset     vec[uint64]
	index      vec[uint32]
	kafkaTime  vec[time.Time]
	producer   words
	seq        vec[uint64]
}

// init takes the table's own columns; they are those of the table's description
// in its order, which insert checks by name.
func (b *Block) init(table string, columns ...vector) {
	b.table = table
	b.columns = slices.Concat(columns, []vector{&b.clamped, &b.generation, &b.partition, &b.offset, &b.index, &b.kafkaTime, &b.producer, &b.seq})
	own := len(columns)
	t := tableNamed(table)
	for i := range t.Columns {
		b.names = append(b.names, t.Columns[i].Name)
	}
	if len(b.names) != own+len(coordinates) {
		panic(fmt.Sprintf("block of %s has %d columns, its table %d", table, own+len(coordinates), len(b.names)))
	}
}

func (b *Block) at(c *Coordinates, clamped bool) {
	b.clamped.add(clamped)
	b.generation.add(c.Generation)
	b.partition.add(uint16(c.Partition))
	b.offset.add(uint64(c.Offset))
	b.index.add(uint32(c.Index))
	b.kafkaTime.add(kafkaTime(c.Time))
	b.producer.add(c.Producer)
	b.seq.add(c.Seq)
}

// kafkaTime cuts a record's timestamp to what the column holds.
func kafkaTime(t proto.Time) time.Time {
	const last = proto.Time(4102444800 * int64(time.Second)) // 2100
	return min(max(t, earliest), last).Std().Truncate(time.Second)
}

// Table is the name of the table.
func (b *Block) Table() string { return b.table }

// Len is the number of rows.
func (b *Block) Len() int { return len(b.offset.v) }

// Reset empties the block and keeps its memory.
func (b *Block) Reset() {
	for _, c := range b.columns {
		c.reset()
	}
}

// ID tells which row i is.
func (b *Block) ID(i int) RowID {
	return RowID{Offset: int64(b.offset.v[i]), Index: int32(b.index.v[i]), Seq: b.seq.v[i]}
}

// Without drops the rows that are in have.
func (b *Block) Without(have map[RowID]struct{}) {
	var rows []int
	for i := range b.offset.v {
		if _, ok := have[b.ID(i)]; !ok {
			rows = append(rows, i)
		}
	}
	for _, c := range b.columns {
		c.keep(rows)
	}
}
