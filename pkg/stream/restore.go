package stream

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// placeKey is a local key beside a partition's state (no table has id 0): the
// changelog offset from which the state lacks what follows.
var placeKey = []byte{0}

// restorePiece bounds what is written at once, in bytes.
const restorePiece = 8 << 20

// restored is where a partition stands after restore.
type restored struct {
	commits   uint64 // the commit that the state is of
	minNumber uint64 // the next commit must have at least this number
	positions map[string]proto.Position
	heal      map[string]bool // keys that a torn transaction left in the changelog
	records   int             // changelog records read
}

// restore brings the local state of a partition to the last commit that both the
// changelog and the group know.
//
// The group's stable offset carries the number of the last commit (its
// metadata). The local state may be at it (the usual case), behind it (this
// instance was away: the changelog is read from where the state ends), or, when
// a broker lost what it had acknowledged, ahead of it (then it is thrown away
// and read anew).
//
// A broker that is killed while it ends a transaction can commit the changelog's
// part and not the offsets: the changelog then holds a commit with a higher
// number. What it wrote is not applied; the commit is done again from the same
// inputs, with the same output numbers, so nobody downstream sees it twice. Its
// keys are written again by the first commit that follows (heal), because a later
// reader of the changelog could not tell them from good ones.
func restore(ctx context.Context, db *DB, reader changelogReader, topic string, partition int32, stable uint64) (restored, error) {
	r := restored{heal: map[string]bool{}}
	local, place, err := localMark(db, partition)
	if err != nil {
		return r, err
	}
	if local > stable {
		b := db.NewBatch()
		if err := b.Wipe(partition); err != nil {
			return r, err
		}
		if err := b.Store(); err != nil {
			return r, err
		}
		local, place = 0, 0
	}
	r.minNumber = max(stable, local) + 1
	batch := db.NewBatch()
	var buffer []Change
	end, err := reader.Read(ctx, topic, partition, place, func(rec bus.Record) error {
		if rec.Control {
			return nil
		}
		r.records++
		key, val := stateKeyOf(rec.Key), rec.Value
		if key == nil {
			return nil // not ours; garbage on the topic costs nothing
		}
		if len(val) == 0 {
			val = nil
		}
		buffer = append(buffer, Change{Key: key, Value: val})
		if string(key) != string(MarkKey) {
			return nil
		}
		n, _, err := MarkNumber(val)
		if err != nil {
			return fmt.Errorf("mark at offset %d: %w", rec.Offset, err)
		}
		r.minNumber = max(r.minNumber, n+1)
		if n > stable {
			for _, c := range buffer {
				r.heal[string(c.Key)] = true
			}
			buffer = buffer[:0]
			return nil
		}
		for _, c := range buffer {
			if err := batch.Put(partition, c.Key, c.Value); err != nil {
				return err
			}
			// The mark is the last of them: until it is stored, all is read again.
			if batch.Size() > restorePiece {
				if err := batch.Store(); err != nil {
					return err
				}
				batch = db.NewBatch()
			}
		}
		buffer = buffer[:0]
		place = rec.Offset + 1
		return batch.Put(partition, placeKey, []byte(strconv.FormatInt(place, 10)))
	})
	if err != nil {
		return r, fmt.Errorf("read changelog %s/%d: %w", topic, partition, err)
	}
	_ = end
	for _, c := range buffer { // compaction took the mark that followed them, or a torn transaction its own
		r.heal[string(c.Key)] = true
	}
	delete(r.heal, string(MarkKey))
	if err := batch.Store(); err != nil {
		return r, err
	}
	val, ok, err := db.Get(partition, MarkKey)
	if err != nil || !ok {
		return r, err
	}
	r.commits, r.positions, err = MarkNumber(val)
	return r, err
}

// changelogReader is bus.Reader.
type changelogReader interface {
	Read(ctx context.Context, topic string, partition int32, offset int64, f func(bus.Record) error) (int64, error)
}

func localMark(db *DB, partition int32) (number uint64, place int64, err error) {
	val, ok, err := db.Get(partition, MarkKey)
	if err != nil || !ok {
		return 0, 0, err
	}
	if number, _, err = MarkNumber(val); err != nil {
		return 0, 0, fmt.Errorf("read local mark of partition %d: %w", partition, err)
	}
	at, ok, err := db.Get(partition, placeKey)
	if err != nil || !ok {
		return number, 0, err
	}
	place, err = strconv.ParseInt(string(at), 10, 64)
	return number, place, err
}

// Changelog record keys are a version byte and the state key.
const changelogVersion = 1

func changelogKey(key []byte) []byte { return append([]byte{changelogVersion}, key...) }

func stateKeyOf(key []byte) []byte {
	if len(key) < 2 || key[0] != changelogVersion {
		return nil
	}
	return key[1:]
}

// commitMeta and parseMeta are the commit number as offset metadata.
func commitMeta(n uint64) string { return "n=" + strconv.FormatUint(n, 10) }

func parseMeta(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "n="), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
