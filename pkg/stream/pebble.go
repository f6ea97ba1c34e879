package stream

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// DB is a runner's committed state on local disk: a cache of the changelogs. It
// may be behind them, and it may be deleted; it is never ahead of a commit that
// is known to have succeeded.
type DB struct{ db *pebble.DB }

// OpenDB opens or makes the state in a folder.
func OpenDB(dir string) (*DB, error) {
	opts := &pebble.Options{
		// The changelog is the log: after a crash the state is at an earlier commit, and
		// what it lacks is read from there.
		DisableWAL:   true,
		MemTableSize: 64 << 20, // a key that changes often is written once a flush
		// Look-ups seldom come here (see shelf and filter), so more files may lie on
		// top before they are merged.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 24,
		CacheSize:             64 << 20,
		MaxOpenFiles:          128,
		Logger:                quiet{},
	}
	// Most look-ups of a young state are for keys that are not there: a new peer, a
	// new hour. The filter answers those without a read.
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // small, and hot
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open fold state in %s: %w", dir, err)
	}
	return &DB{db: db}, nil
}

// quiet drops Pebble's own chatter; its errors come back from its calls.
type quiet struct{}

// Infof drops a message.
func (quiet) Infof(string, ...any) {}

// Errorf drops a message; the error itself is returned by the call.
func (quiet) Errorf(string, ...any) {}

// Fatalf is called where Pebble cannot go on.
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("fold state: "+format, args...))
}

// Close writes and closes the state.
func (d *DB) Close() error {
	if err := errors.Join(d.db.Flush(), d.db.Close()); err != nil {
		return fmt.Errorf("close fold state: %w", err)
	}
	return nil
}

func dbKey(partition int32, key []byte) []byte {
	b := make([]byte, 0, 2+len(key))
	return append(binary.BigEndian.AppendUint16(b, uint16(partition)), key...)
}

// Get implements Store.
func (d *DB) Get(partition int32, key []byte) ([]byte, bool, error) {
	var scratch [128]byte
	full := append(binary.BigEndian.AppendUint16(scratch[:0], uint16(partition)), key...)
	val, closer, err := d.db.Get(full)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	out := append([]byte(nil), val...)
	return out, true, closer.Close()
}

// Each implements Store.
func (d *DB) Each(partition int32, prefix []byte, f func(key, val []byte) bool) error {
	lower := dbKey(partition, prefix)
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !f(it.Key()[2:], it.Value()) {
			break
		}
	}
	return it.Close()
}

// after gives the first key that does not start with prefix.
func after(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}

// Batch collects changes of several partitions that are stored together.
type Batch struct{ b *pebble.Batch }

// NewBatch starts a batch.
func (d *DB) NewBatch() *Batch { return &Batch{b: d.db.NewBatch()} }

// Put adds a change; a nil value deletes.
func (b *Batch) Put(partition int32, key, val []byte) error {
	if val == nil {
		return b.b.Delete(dbKey(partition, key), nil)
	}
	op := b.b.SetDeferred(2+len(key), len(val))
	binary.BigEndian.PutUint16(op.Key, uint16(partition))
	copy(op.Key[2:], key)
	copy(op.Value, val)
	return op.Finish()
}

// Wipe deletes all of a partition.
func (b *Batch) Wipe(partition int32) error {
	p := dbKey(partition, nil)
	return b.b.DeleteRange(p, after(p), nil)
}

// Store writes the batch to memory: what a crash takes is read from the changelog
// again.
func (b *Batch) Store() error {
	if err := b.b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("store fold state: %w", err)
	}
	return nil
}
