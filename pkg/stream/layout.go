package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// How keys lie in the local state. All begin with the partition. Then, of rows that lie
// together (see Gatherer), entityMark, the 16 bytes that they are about, table and rest
// of the key: one block has all of them, and the filters of the files know entities, not
// rows. Of the others, the state key as it is.

const partitionLen = 2

// layoutFile says, in the folder of a state, how it lies there. A folder without one is
// of an earlier release.
const layoutFile = "LAYOUT"

// layout is what a state with these tables together has in its layoutFile.
func layout(together tableSet) string {
	b := []byte("2 ")
	for id, in := range together {
		if in {
			b = append(b, byte(id))
		}
	}
	return string(append(b, '\n'))
}

// useLayout makes a folder ready for a state of this layout. One of another layout is
// emptied, which it reports: all that was in it is in the changelog.
func useLayout(dir string, together tableSet) (emptied bool, err error) {
	file, want := filepath.Join(dir, layoutFile), layout(together)
	b, err := os.ReadFile(file)
	if err == nil && string(b) == want {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	if emptied, err = emptyFolder(dir); err != nil {
		return false, err
	}
	return emptied, os.WriteFile(file, []byte(want), 0o600)
}

// lockFile is Pebble's, by which a folder belongs to one process.
const lockFile = "LOCK"

// emptyFolder takes all out of a folder that no other process uses, and reports whether
// there was anything.
func emptyFolder(dir string) (emptied bool, err error) {
	list, err := os.ReadDir(dir)
	if err != nil || len(list) == 0 {
		return false, err
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return false, err
	}
	var errs []error
	for _, f := range list {
		if f.Name() != lockFile {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
	}
	return true, errors.Join(append(errs, lock.Close())...)
}

// comparer orders by bytes, as Pebble's own does; what it adds is where a key's entity
// ends.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "wardflow.entities.1"
	c.Split = func(key []byte) int {
		if len(key) > partitionLen && key[partitionLen] == entityMark {
			return min(len(key), partitionLen+1+entityLen)
		}
		return len(key)
	}
	c.ImmediateSuccessor = nil // for range keys, which there are none of
	return &c
}()

// appendKey adds a state key as it lies in the database.
func (d *DB) appendKey(b []byte, partition int32, key []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(partition))
	if !d.together.has(key) {
		return append(b, key...)
	}
	b = append(append(b, entityMark), key[1:1+entityLen]...)
	return append(append(b, key[0]), key[1+entityLen:]...)
}

// stateKey gives a state key of one of the database, in memory of its own where it
// must be another.
func stateKey(full []byte) []byte {
	key := full[partitionLen:]
	if len(key) == 0 || key[0] != entityMark {
		return key
	}
	return slices.Concat(key[1+entityLen:][:1], key[1:1+entityLen], key[2+entityLen:])
}

// Each implements Store. What lies together comes entity by entity, after the rest.
func (d *DB) Each(partition int32, prefix []byte, f func(key, val []byte) bool) error {
	from := binary.BigEndian.AppendUint16(nil, uint16(partition))
	switch table := append(slices.Clone(prefix), 0)[0]; {
	case len(prefix) == 0 || table >= entityMark || !d.together[table]:
		_, err := d.walk(append(from, prefix...), 0, f)
		return err
	case len(prefix) > entityLen:
		_, err := d.walk(d.appendKey(nil, partition, prefix), 0, f)
		return err
	default: // all entities, or those that begin so
		more, err := d.walk(append(slices.Clone(from), prefix...), 0, f)
		if err == nil && more {
			_, err = d.walk(append(append(from, entityMark), prefix[1:]...), table, f)
		}
		return err
	}
}

// walk calls f for what begins with some bytes, of one table where it is not 0; it
// reports whether f wants more.
func (d *DB) walk(lower []byte, table byte, f func(key, val []byte) bool) (more bool, err error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return false, err
	}
	more = true
	for ok := it.First(); ok && more; ok = it.Next() {
		key := it.Key()
		if table != 0 && key[partitionLen+1+entityLen] != table {
			continue
		}
		more = f(stateKey(key), it.Value())
	}
	return more, it.Close()
}

// Entity implements entityStore.
func (d *DB) Entity(partition int32, id []byte, f func(table byte, rest, val []byte)) error {
	r, err := d.reader(partition)
	if err != nil {
		return err
	}
	r.key = append(binary.BigEndian.AppendUint16(r.key[:0], uint16(partition)), entityMark)
	r.key = append(r.key, id...)
	for ok := r.it.SeekPrefixGE(r.key); ok; ok = r.it.Next() {
		row := r.it.Key()[partitionLen+1+entityLen:]
		f(row[0], row[1:], r.it.Value())
	}
	return r.it.Error()
}

// reader looks entities up as a partition's last commit left them.
type reader struct {
	it  *pebble.Iterator
	key []byte
}

// reader gives a partition's reader, which is made once between two commits.
func (d *DB) reader(partition int32) (*reader, error) {
	d.mu.Lock()
	r := d.readers[partition]
	d.mu.Unlock()
	if r != nil {
		return r, nil
	}
	it, err := d.db.NewIter(nil)
	if err != nil {
		return nil, fmt.Errorf("read fold state: %w", err)
	}
	r = &reader{it: it}
	d.mu.Lock()
	d.readers[partition] = r
	d.mu.Unlock()
	return r, nil
}

// Release lets a partition's reader go; it holds on to files that may be gone else.
func (d *DB) Release(partition int32) error {
	d.mu.Lock()
	r := d.readers[partition]
	delete(d.readers, partition)
	d.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.it.Close()
}
