package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/wardflow/wardflow/proto"
)

// Insert writes the block as one block of the native protocol, so that the rows
// of one day become visible together or not at all. token names the attempt:
// the server drops a second block of the same token, and refuses it while the
// first is still being written. All rows must be of one partition, whose shard
// gets them; never through a Distributed table.
//
// After an error Code tells whether the server refused the block. Where it did
// not answer, the rows may be there or not: count them.
func (s *Store) Insert(ctx context.Context, b *Block, token string) error {
	if b.Len() == 0 {
		return nil
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithQueryID(s.layout.database+"/"+b.table+"/"+token), clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplication_token": token, "insert_deduplicate": 1, "async_insert": 0,
		// Larger than any block of ours: the server must not cut it.
		"min_insert_block_size_rows": 0, "min_insert_block_size_bytes": 0,
		// Records may carry whatever timestamp their producer liked: a block of a
		// thousand days is slow, refused for ever it would stop the partition.
		"max_partitions_per_insert_block": 0,
		// Rows of a Replacing table are counted by nobody; collapsing them twice is wasted.
		"optimize_on_insert": 0,
	}))
	sql := "INSERT INTO " + s.layout.database + "." + s.layout.local(b.table) + " (`" + strings.Join(b.names, "`, `") + "`)"
	batch, err := s.shard(int32(b.partition.v[0])).PrepareBatch(ctx, sql)
	if err != nil {
		return fmt.Errorf("insert into %s: %w", b.table, err)
	}
	for i, c := range b.columns {
		if err := c.flush(batch.Column(i)); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("insert into %s: column %s: %w", b.table, b.names[i], err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", b.Len(), b.table, err)
	}
	return nil
}

// Idempotent tells whether a table keeps the highest version of a key, so that
// inserting a row again changes nothing. Rows of such a table cannot be counted:
// merges take superseded ones away.
func Idempotent(table string) bool {
	t := tableNamed(table)
	return t != nil && t.Version != ""
}

// Range is a range of offsets of one partition. First and Last bound the
// timestamps of its records; they let the server leave other days unread.
type Range struct {
	Generation  uint32
	Partition   int32
	From, To    int64 // To is the first offset after the range
	First, Last proto.Time
}

func (r *Range) where() (string, []any) {
	return " WHERE topic_generation = ? AND kafka_partition = ? AND kafka_offset >= ? AND kafka_offset < ? AND kafka_time >= ? AND kafka_time <= ?",
		[]any{r.Generation, uint16(r.Partition), uint64(r.From), uint64(r.To), kafkaTime(r.First), kafkaTime(r.Last)}
}

func (s *Store) rowsOf(table string) string {
	return s.layout.database + "." + s.layout.local(table)
}

// counting must see what was inserted a moment ago on whatever replica answers.
func (s *Store) counting(ctx context.Context) context.Context {
	if !s.layout.replicated {
		return ctx
	}
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"select_sequential_consistency": 1}))
}

// Count gives the number of rows of a range that a table has.
func (s *Store) Count(ctx context.Context, table string, r Range) (uint64, error) {
	where, args := r.where()
	var n uint64
	if err := s.shard(r.Partition).QueryRow(s.counting(ctx), "SELECT count() FROM "+s.rowsOf(table)+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count rows of %s: %w", table, err)
	}
	return n, nil
}

// RowID tells a row of a partition from every other: its place, and its number,
// since a broker that lost its tail gives a place out twice.
type RowID struct {
	Offset int64
	Index  int32
	Seq    uint64
}

// Existing gives the rows of a range that a table has.
func (s *Store) Existing(ctx context.Context, table string, r Range) (map[RowID]struct{}, error) {
	where, args := r.where()
	rows, err := s.shard(r.Partition).Query(s.counting(ctx), "SELECT kafka_offset, kafka_index, seq FROM "+s.rowsOf(table)+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list rows of %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	have := map[RowID]struct{}{}
	var offset, seq uint64
	var index uint32
	for rows.Next() {
		if err := rows.Scan(&offset, &index, &seq); err != nil {
			return nil, fmt.Errorf("list rows of %s: %w", table, err)
		}
		have[RowID{Offset: int64(offset), Index: int32(index), Seq: seq}] = struct{}{}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list rows of %s: %w", table, err)
	}
	return have, nil
}

// Producers says up to which number each producer's events of a partition are
// stored; it holds for all events before Offset.
type Producers struct {
	Topic      string
	Generation uint32
	Partition  int32
	Offset     int64
	Time       proto.Time // of the record before Offset
	Seq        map[string]uint64
}

// SaveProducers keeps p, so that MaxSeq has to read only what came later. p.Seq
// need only have the producers that changed since the last call. Call it when
// everything before p.Offset is stored and committed.
func (s *Store) SaveProducers(ctx context.Context, p Producers) error {
	if len(p.Seq) == 0 {
		return nil
	}
	b, err := s.shard(p.Partition).PrepareBatch(ctx, "INSERT INTO "+s.rowsOf(producersTable)+" (topic, topic_generation, kafka_partition, producer, kafka_offset, kafka_time, seq)")
	if err != nil {
		return fmt.Errorf("save producers: %w", err)
	}
	for _, name := range sortedKeys(p.Seq) {
		if err := b.Append(p.Topic, p.Generation, uint16(p.Partition), name, uint64(p.Offset), kafkaTime(p.Time), p.Seq[name]); err != nil {
			_ = b.Abort()
			return fmt.Errorf("save producers: %w", err)
		}
	}
	if err := b.Send(); err != nil {
		return fmt.Errorf("save producers: %w", err)
	}
	return nil
}

// MaxSeq gives the highest number stored of each producer of a partition's
// events before an offset. tables are those that the topic fills.
func (s *Store) MaxSeq(ctx context.Context, topic string, tables []string, generation uint32, partition int32, before int64) (map[string]uint64, error) {
	seq := map[string]uint64{}
	var offset uint64
	var at time.Time
	conn := s.shard(partition)
	rows, err := conn.Query(s.counting(ctx), "SELECT producer, max(seq), max(kafka_offset), max(kafka_time) FROM "+s.rowsOf(producersTable)+
		" WHERE topic = ? AND topic_generation = ? AND kafka_partition = ? GROUP BY producer", topic, generation, uint16(partition))
	if err != nil {
		return nil, fmt.Errorf("read producers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var n, o uint64
		var t time.Time
		if err := rows.Scan(&name, &n, &o, &t); err != nil {
			return nil, fmt.Errorf("read producers: %w", err)
		}
		seq[name] = n
		if o > offset {
			offset, at = o, t
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read producers: %w", err)
	}
	// Timestamps of one partition need not rise; a day is far more than they fall back.
	after := at.Add(-24 * time.Hour)
	if at.IsZero() {
		after = earliest.Std()
	}
	for _, table := range tables {
		if err := s.maxSeqOf(ctx, table, seq, generation, partition, offset, before, after); err != nil {
			return nil, fmt.Errorf("read numbers of %s: %w", table, err)
		}
	}
	return seq, nil
}

func (s *Store) maxSeqOf(ctx context.Context, table string, seq map[string]uint64, generation uint32, partition int32, from uint64, before int64, after time.Time) error {
	rows, err := s.shard(partition).Query(s.counting(ctx), "SELECT toString(producer), max(seq) FROM "+s.rowsOf(table)+
		" WHERE topic_generation = ? AND kafka_partition = ? AND kafka_offset >= ? AND kafka_offset < ? AND kafka_time >= ? GROUP BY 1",
		generation, uint16(partition), from, uint64(max(before, 0)), after)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var n uint64
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		seq[name] = max(seq[name], n)
	}
	return rows.Err()
}

// MaxOffset gives the highest offset, from an offset on, of which any of the
// tables has rows; -1 when there is none.
func (s *Store) MaxOffset(ctx context.Context, tables []string, generation uint32, partition int32, from int64) (int64, error) {
	highest := int64(-1)
	for _, table := range tables {
		var n, offset uint64
		err := s.shard(partition).QueryRow(s.counting(ctx), "SELECT count(), max(kafka_offset) FROM "+s.rowsOf(table)+
			" WHERE topic_generation = ? AND kafka_partition = ? AND kafka_offset >= ?", generation, uint16(partition), uint64(max(from, 0))).Scan(&n, &offset)
		if err != nil {
			return 0, fmt.Errorf("read highest offset of %s: %w", table, err)
		}
		if n > 0 {
			highest = max(highest, int64(offset))
		}
	}
	return highest, nil
}
