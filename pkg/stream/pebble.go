package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// DB is a runner's committed state on local disk: a cache of the changelogs. It
// may be behind them, and it may be deleted; it is never ahead of a commit that
// is known to have succeeded.
type DB struct {
	db       *pebble.DB
	together tableSet
	renewed  bool // it was of another layout, and is empty

	mu      sync.Mutex
	readers map[int32]*reader
}

// Cache is memory for blocks of the databases of a process, shared by them: those that
// are read most have most of it. What folds ask for is kept elsewhere (see shelf); here
// are the indexes and filters of the files, and blocks that are asked for by a sweep.
type Cache struct{ cache *pebble.Cache }

// NewCache makes a cache of so many bytes for as many databases. Pebble counts what these
// have not yet written to files against it, which comes on top.
func NewCache(bytes int64, databases int) *Cache {
	return &Cache{cache: pebble.NewCache(bytes + int64(databases)*2*memTable)}
}

// DefaultBlockCache is the size of a database's own cache, where none is shared.
const DefaultBlockCache = 64 << 20

const (
	memTable  = 32 << 20 // a key that changes often is written once a flush
	tableFile = 32 << 20
	indexSize = 1 << 20 // one level: a file's index has less
	openFiles = 512
	lastLevel = 6
)

// OpenDB opens or makes the state of a fold in a folder. f may be nil: then nothing
// lies together. So may cache: then the state has one of its own.
func OpenDB(dir string, f Fold, cache *Cache) (*DB, error) {
	d := &DB{readers: map[int32]*reader{}}
	if f != nil {
		d.together = togetherOf(f)
	}
	var err error
	if d.renewed, err = useLayout(dir, d.together); err != nil {
		return nil, fmt.Errorf("open fold state in %s: %w", dir, err)
	}
	opts := &pebble.Options{
		// The changelog is the log: after a crash the state is at an earlier commit, and
		// what it lacks is read from there.
		DisableWAL:            true,
		Comparer:              comparer,
		MemTableSize:          memTable,
		L0CompactionThreshold: 4,
		L0StopWritesThreshold: 24,
		CacheSize:             DefaultBlockCache + 2*memTable,
		MaxOpenFiles:          openFiles,
		Logger:                quiet{},
	}
	if cache != nil {
		opts.Cache = cache.cache
	}
	for i := range opts.Levels {
		opts.Levels[i].IndexBlockSize = indexSize
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // small, and hot
		// Whether a key is anywhere is known without a look (see filter); these tell which
		// of the files that lie on top have it. Below them it is in any case.
		if i < lastLevel {
			opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		}
	}
	for i := range opts.TargetFileSizes {
		opts.TargetFileSizes[i] = tableFile
	}
	if d.db, err = pebble.Open(dir, opts); err != nil {
		return nil, fmt.Errorf("open fold state in %s: %w", dir, err)
	}
	return d, nil
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
	var errs []error
	for partition := range d.readers {
		errs = append(errs, d.Release(partition))
	}
	if err := errors.Join(append(errs, d.db.Flush(), d.db.Close())...); err != nil {
		return fmt.Errorf("close fold state: %w", err)
	}
	return nil
}

// Get implements Store.
func (d *DB) Get(partition int32, key []byte) ([]byte, bool, error) {
	var scratch [128]byte
	full := d.appendKey(scratch[:0], partition, key)
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
type Batch struct {
	d       *DB
	b       *pebble.Batch
	touched []int32 // partitions
	key     []byte
}

// NewBatch starts a batch.
func (d *DB) NewBatch() *Batch { return &Batch{d: d, b: d.db.NewBatch()} }

func (b *Batch) touch(partition int32) {
	if n := len(b.touched); n == 0 || b.touched[n-1] != partition {
		b.touched = append(b.touched, partition)
	}
}

// Put adds a change; a nil value deletes.
func (b *Batch) Put(partition int32, key, val []byte) error {
	b.touch(partition)
	b.key = b.d.appendKey(b.key[:0], partition, key)
	if val == nil {
		return b.b.Delete(b.key, nil)
	}
	return b.b.Set(b.key, val, nil)
}

// Size is how many bytes the batch has.
func (b *Batch) Size() int { return b.b.Len() }

// Wipe deletes all of a partition.
func (b *Batch) Wipe(partition int32) error {
	b.touch(partition)
	p := binary.BigEndian.AppendUint16(nil, uint16(partition))
	return b.b.DeleteRange(p, after(p), nil)
}

// Store writes the batch to memory: what a crash takes is read from the changelog
// again.
func (b *Batch) Store() error {
	if err := b.b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("store fold state: %w", err)
	}
	for _, partition := range b.touched {
		if err := b.d.Release(partition); err != nil {
			return fmt.Errorf("store fold state: %w", err)
		}
	}
	return nil
}
