package brokerlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// partition is one folder of segments.
type partition struct {
	topic string
	id    int32
	dir   string
}

// partitions lists the partitions that have a folder, in the order of their names.
func partitions(dir string) ([]partition, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []partition
	for _, e := range entries {
		at := strings.LastIndexByte(e.Name(), '-')
		if !e.IsDir() || at < 0 {
			continue
		}
		id, err := strconv.ParseInt(e.Name()[at+1:], 10, 32)
		if err != nil {
			continue
		}
		topic, err := url.PathUnescape(e.Name()[:at])
		if err != nil {
			continue
		}
		out = append(out, partition{topic, int32(id), filepath.Join(dir, "partitions", e.Name())})
	}
	return out, nil
}

// segments lists the base offsets of the segment files, in order.
func (p partition) segments() ([]int64, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".dat")
		if !ok {
			continue
		}
		if base, err := strconv.ParseInt(name, 10, 64); err == nil {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

func segmentName(base int64) string { return strconv.FormatInt(base, 10) + ".dat" }
func indexName(base int64) string   { return strconv.FormatInt(base, 10) + ".idx" }

// indexEntry is what the broker keeps beside each batch:
//
//	version u8 = 1 | low byte of crc32c of the rest | epoch u32 | max earlier timestamp u64 | flags u8, bit 0: transactional
//
// The integers are little endian. The broker takes data without the flag for committed.
func indexEntry(b batch, maxTimestamp int64) []byte {
	e := []byte{1, 0}
	e = binary.LittleEndian.AppendUint32(e, uint32(b.leaderEpoch()))
	e = binary.LittleEndian.AppendUint64(e, uint64(maxTimestamp))
	flags := byte(0)
	if b.transactional() && !b.control() {
		flags = 1
	}
	e = append(e, flags)
	e[1] = byte(checksum(e[2:]))
	return e
}

// snapshot is the broker's summary of a partition (kfake persistPartSnapshot), with which it need not replay.
type snapshot struct {
	Version          int           `json:"version"`
	HighWatermark    int64         `json:"high_watermark"`
	LastStableOffset int64         `json:"last_stable_offset"`
	LogStartOffset   int64         `json:"log_start_offset"`
	Epoch            int32         `json:"epoch"`
	LeaderNode       int32         `json:"leader_node,omitempty"`
	MaxTimestamp     int64         `json:"max_timestamp"`
	CreatedAt        time.Time     `json:"created_at"`
	AbortedTxns      []abortedTxn  `json:"aborted_txns,omitempty"`
	Segments         []segmentInfo `json:"segments"`
}

type abortedTxn struct {
	ProducerID  int64 `json:"producer_id"`
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"` // of the marker
}

type segmentInfo struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
	MinEpoch   int32 `json:"min_epoch,omitempty"`
	MaxEpoch   int32 `json:"max_epoch,omitempty"`
}

func (p partition) readSnapshot() (snapshot, error) {
	var s snapshot
	err := readJSON(filepath.Join(p.dir, "snapshot.json"), &s)
	return s, err
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeFile replaces a file, all or nothing, synced. The broker removes a left-over .tmp.
func writeFile(path string, raw []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(raw); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func writeJSON(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, raw)
}
