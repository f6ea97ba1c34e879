package brokerlog

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// batch is a record batch of format 2 as it stands in a segment file (Kafka protocol guide, "Record Batch"):
//
//	 0 base_offset i64      21 attributes i16         43 producer_id i64
//	 8 length i32           23 last_offset_delta i32  51 producer_epoch i16
//	12 leader_epoch i32     27 base_timestamp i64     53 base_sequence i32
//	16 magic i8             35 max_timestamp i64      57 records i32
//	17 crc32c u32 of what follows                     61 the records, perhaps compressed
//
// All integers are big endian. length counts what follows it.
type batch []byte

const (
	batchHeader = 61
	maxBatch    = 1 << 30

	attrCodec         = 0x07
	attrTransactional = 0x10
	attrControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// nextBatch splits the first batch off; ok is false where the bytes end or are damaged.
func nextBatch(b []byte) (first batch, rest []byte, ok bool) {
	if len(b) < batchHeader {
		return nil, b, false
	}
	length := int64(int32(binary.BigEndian.Uint32(b[8:])))
	n := 12 + length
	if length < batchHeader-12 || n > maxBatch || n > int64(len(b)) || b[16] != 2 {
		return nil, b, false
	}
	if binary.BigEndian.Uint32(b[17:]) != checksum(b[21:n]) {
		return nil, b, false
	}
	return batch(b[:n]), b[n:], true
}

func (b batch) i64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
func (b batch) i32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
func (b batch) i16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }

func (b batch) offset() int64        { return b.i64(0) }
func (b batch) end() int64           { return b.offset() + int64(b.i32(23)) + 1 }
func (b batch) leaderEpoch() int32   { return b.i32(12) }
func (b batch) transactional() bool  { return b.i16(21)&attrTransactional != 0 }
func (b batch) control() bool        { return b.i16(21)&attrControl != 0 }
func (b batch) baseTimestamp() int64 { return b.i64(27) }
func (b batch) maxTimestamp() int64  { return b.i64(35) }
func (b batch) producer() int64      { return b.i64(43) }
func (b batch) epoch() int16         { return b.i16(51) }
func (b batch) sequence() int32      { return b.i32(53) }
func (b batch) records() int32       { return b.i32(57) }

// commits tells what a control batch does: its one record's key is version i16, type i16; 0 aborts, 1 commits.
func (b batch) commits() bool {
	commit := false
	_ = b.each(func(r record) error {
		commit = len(r.key) >= 4 && binary.BigEndian.Uint16(r.key[2:]) == 1
		return nil
	})
	return commit
}

// record is one record of a batch. Its slices point into the batch.
type record struct {
	offset    int64
	timestamp int64 // ms
	key       []byte
	keyed     bool // false: the key is null
	tombstone bool // the value is null
	body      []byte
}

var errRecord = errors.New("damaged record")

// each calls fn for every record.
//
//	length varint | attributes i8 | timestamp_delta varint | offset_delta varint | body
//	body: key_length varint | key | value_length varint | value | headers
func (b batch) each(fn func(record) error) error {
	raw, err := decompress(b.i16(21)&attrCodec, b[batchHeader:])
	if err != nil {
		return err
	}
	for range b.records() {
		length, n := binary.Varint(raw)
		if n <= 0 || length < 1 || length > int64(len(raw)-n) {
			return errRecord
		}
		r, rest := raw[n+1:n+int(length)], raw[n+int(length):]
		timestamp, n := binary.Varint(r)
		if n <= 0 {
			return errRecord
		}
		offset, m := binary.Varint(r[n:])
		if m <= 0 {
			return errRecord
		}
		rec := record{offset: b.offset() + offset, timestamp: b.baseTimestamp() + timestamp, body: r[n+m:]}
		size, n := binary.Varint(rec.body)
		if n <= 0 || size > int64(len(rec.body)-n) {
			return errRecord
		}
		value := rec.body[n:]
		if size >= 0 {
			rec.key, rec.keyed = value[:size], true
			value = value[size:]
		}
		size, n = binary.Varint(value)
		if n <= 0 {
			return errRecord
		}
		rec.tombstone = size < 0
		if err := fn(rec); err != nil {
			return err
		}
		raw = rest
	}
	return nil
}

// maxDecompressed is far above what a batch of ours holds; a partition with a larger one is not cleaned.
const maxDecompressed = 64 << 20

var zstdReader, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecompressed)) // fails on bad options only

func decompress(codec int16, b []byte) ([]byte, error) {
	var r io.Reader
	switch codec {
	case 0:
		return b, nil
	case 1:
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		r = z
	case 2:
		if bytes.HasPrefix(b, []byte("\x82SNAPPY\x00")) { // the Java client's own framing
			return nil, errors.New("snappy in xerial frames is not read")
		}
		if n, err := s2.DecodedLen(b); err != nil || n > maxDecompressed {
			return nil, errRecord
		}
		return s2.Decode(nil, b)
	case 3:
		r = lz4.NewReader(bytes.NewReader(b))
	case 4:
		return zstdReader.DecodeAll(b, nil)
	default:
		return nil, fmt.Errorf("compression %d is unknown", codec)
	}
	out, err := io.ReadAll(io.LimitReader(r, maxDecompressed))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// builder makes one batch of records whose offsets may have gaps.
type builder struct {
	first, last       int64 // offsets
	base, maxTime     int64 // ms
	leaderEpoch       int32
	count             int32
	records           []byte
	attributes        int16
	producer          int64
	epoch             int16
	compressedRecords []byte
}

func (w *builder) reset(leaderEpoch int32) {
	*w = builder{leaderEpoch: leaderEpoch, producer: -1, epoch: -1, records: w.records[:0], compressedRecords: w.compressedRecords[:0]}
}

func (w *builder) add(r record) {
	if w.count == 0 {
		w.first, w.base, w.maxTime = r.offset, r.timestamp, r.timestamp
	}
	w.last, w.maxTime = r.offset, max(w.maxTime, r.timestamp)
	w.count++
	var head [1 + 2*binary.MaxVarintLen64]byte
	n := 1 + binary.PutVarint(head[1:], r.timestamp-w.base)
	n += binary.PutVarint(head[n:], r.offset-w.first)
	w.records = binary.AppendVarint(w.records, int64(n+len(r.body)))
	w.records = append(append(w.records, head[:n]...), r.body...)
}

var zstdWriter, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)) // fails on bad options only

// appendTo appends the batch.
func (w *builder) appendTo(dst []byte) []byte {
	records, attributes := w.records, w.attributes
	if attributes&attrControl == 0 {
		w.compressedRecords = zstdWriter.EncodeAll(w.records, w.compressedRecords[:0])
		if len(w.compressedRecords) < len(w.records) {
			records, attributes = w.compressedRecords, attributes|4
		}
	}
	at := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.first))
	dst = binary.BigEndian.AppendUint32(dst, uint32(batchHeader-12+len(records)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(w.leaderEpoch))
	dst = append(dst, 2, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(attributes))
	dst = binary.BigEndian.AppendUint32(dst, uint32(w.last-w.first))
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.base))
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.maxTime))
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.producer))
	dst = binary.BigEndian.AppendUint16(dst, uint16(w.epoch))
	dst = binary.BigEndian.AppendUint32(dst, 0xffffffff) // no sequence
	dst = binary.BigEndian.AppendUint32(dst, uint32(w.count))
	dst = append(dst, records...)
	binary.BigEndian.PutUint32(dst[at+17:], checksum(dst[at+21:]))
	return dst
}

// marker is the control batch that ends a transaction (Kafka: EndTransactionMarker, version 0, coordinator epoch 0).
func marker(offset, timestamp int64, leaderEpoch int32, producer int64, epoch int16, commit bool) []byte {
	var w builder
	w.reset(leaderEpoch)
	w.attributes = attrControl | attrTransactional
	w.producer, w.epoch = producer, epoch
	kind := byte(0)
	if commit {
		kind = 1
	}
	body := []byte{4 << 1, 0, 0, 0, kind, 6 << 1, 0, 0, 0, 0, 0, 0, 0} // key, value, no headers
	w.add(record{offset: offset, timestamp: timestamp, body: body})
	return w.appendTo(nil)
}
