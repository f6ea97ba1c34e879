package brokerlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// foreign encodes a batch with the client library's own code.
func foreign(t testing.TB, codec kgo.CompressionCodec, records []kmsg.Record) []byte {
	t.Helper()
	var raw []byte
	for _, r := range records {
		r.Length = int32(len(r.AppendTo(nil)) - 1) // of the length itself, which is one byte while it is zero
		raw = r.AppendTo(raw)
	}
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	kind := kgo.CodecNone
	if c != nil {
		var b bytes.Buffer
		raw, kind = c.Compress(&b, raw)
	}
	b := kmsg.RecordBatch{
		FirstOffset: 100, Magic: 2, Attributes: int16(kind) | attrTransactional, LastOffsetDelta: records[len(records)-1].OffsetDelta,
		FirstTimestamp: 1_700_000_000_000, MaxTimestamp: 1_700_000_000_999, ProducerID: 7, ProducerEpoch: 3, FirstSequence: 11,
		NumRecords: int32(len(records)), Records: raw,
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	return fixCRC(b.AppendTo(nil))
}

func fixCRC(raw []byte) []byte {
	sum := checksum(raw[21:])
	copy(raw[17:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	return raw
}

func sample(t testing.TB, codec kgo.CompressionCodec) []byte {
	t.Helper()
	return foreign(t, codec, []kmsg.Record{
		{Key: []byte("a"), Value: []byte(strings.Repeat("v", 3000))},
		{TimestampDelta64: 5, OffsetDelta: 1, Key: []byte("b")},
		{TimestampDelta64: -5, OffsetDelta: 4, Value: []byte("no key"), Headers: []kmsg.Header{{Key: "h", Value: []byte("x")}}},
		{TimestampDelta64: 999, OffsetDelta: 9, Key: []byte{}, Value: []byte{}},
	})
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func TestBatchAgainstClientLibrary(t *testing.T) {
	const want = "100 1700000000000 a keyed=true tombstone=false\n" +
		"101 1700000000005 b keyed=true tombstone=true\n" +
		"104 1699999999995  keyed=false tombstone=false\n" +
		"109 1700000000999  keyed=true tombstone=false\n"
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			raw := sample(t, codec)
			b, rest, ok := nextBatch(append(raw, 1, 2, 3))
			if !ok || len(rest) != 3 {
				t.Fatalf("ok %v, %d bytes left", ok, len(rest))
			}
			if b.offset() != 100 || b.end() != 110 || b.producer() != 7 || b.epoch() != 3 || b.sequence() != 11 || !b.transactional() || b.control() {
				t.Errorf("header: %d to %d, producer %d epoch %d sequence %d", b.offset(), b.end(), b.producer(), b.epoch(), b.sequence())
			}
			var got strings.Builder
			var w builder
			w.reset(4)
			if err := b.each(func(r record) error {
				fmt.Fprintf(&got, "%d %d %s keyed=%v tombstone=%v\n", r.offset, r.timestamp, r.key, r.keyed, r.tombstone)
				w.add(r)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if got.String() != want {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}
			checkRebuilt(t, w.appendTo(nil))
		})
	}
}

// checkRebuilt reads what builder wrote with the client library's own code.
func checkRebuilt(t *testing.T, raw []byte) {
	t.Helper()
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		t.Fatal(err)
	}
	if int(b.Length) != len(raw)-12 || b.FirstOffset != 100 || b.LastOffsetDelta != 9 || b.NumRecords != 4 || b.ProducerID != -1 ||
		b.PartitionLeaderEpoch != 4 || b.FirstTimestamp != 1_700_000_000_000 || b.MaxTimestamp != 1_700_000_000_999 || b.Attributes != 4 {
		t.Errorf("rebuilt header: %+v", b)
	}
	rest, err := kgo.DefaultDecompressor().Decompress(b.Records, kgo.CodecZstd)
	if err != nil {
		t.Fatal(err)
	}
	var deltas []int32
	for range b.NumRecords {
		var r kmsg.Record
		if err := r.ReadFrom(rest); err != nil {
			t.Fatal(err)
		}
		deltas = append(deltas, r.OffsetDelta)
		if r.OffsetDelta == 4 && (len(r.Headers) != 1 || r.Headers[0].Key != "h") {
			t.Errorf("headers %v", r.Headers)
		}
		rest = rest[len(r.AppendTo(nil)):]
	}
	if fmt.Sprint(deltas) != "[0 1 4 9]" || len(rest) != 0 {
		t.Errorf("offsets %v, %d bytes left", deltas, len(rest))
	}
	if first, rest, ok := nextBatch(raw); !ok || len(rest) != 0 || first.end() != 110 {
		t.Error("rebuilt batch is not read back")
	}
}

func TestMarker(t *testing.T) {
	for _, commit := range []bool{true, false} {
		raw := marker(55, 1_700_000_000_000, 2, 7, 3, commit)
		b, rest, ok := nextBatch(raw)
		if !ok || len(rest) != 0 || !b.control() || !b.transactional() || b.commits() != commit || b.offset() != 55 || b.end() != 56 || b.producer() != 7 || b.epoch() != 3 {
			t.Errorf("commit %v: %x", commit, raw)
		}
		var kb kmsg.RecordBatch
		var r kmsg.Record
		var key kmsg.ControlRecordKey
		var value kmsg.EndTxnMarker
		if err := kb.ReadFrom(raw); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadFrom(kb.Records); err != nil {
			t.Fatal(err)
		}
		if err := key.ReadFrom(r.Key); err != nil {
			t.Fatal(err)
		}
		if err := value.ReadFrom(r.Value); err != nil {
			t.Fatal(err)
		}
		if (key.Type == kmsg.ControlRecordKeyTypeCommit) != commit {
			t.Errorf("commit %v: key %v", commit, key)
		}
	}
}

func TestDamagedBatchIsRefused(t *testing.T) {
	raw := sample(t, kgo.NoCompression())
	for i := 8; i < len(raw); i++ {
		if i >= 12 && i < 16 {
			continue // the leader epoch is not covered: a broker sets it
		}
		bad := bytes.Clone(raw)
		bad[i] ^= 0x40
		if _, _, ok := nextBatch(bad); ok {
			t.Errorf("byte %d damaged and not seen", i)
		}
	}
	for n := range raw {
		if _, _, ok := nextBatch(raw[:n]); ok {
			t.Errorf("%d of %d bytes taken for a batch", n, len(raw))
		}
	}
}

func FuzzBatch(f *testing.F) {
	for _, codec := range codecs {
		f.Add(sample(f, codec))
	}
	f.Add(marker(1, 2, 3, 4, 5, true))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= batchHeader {
			raw = fixCRC(bytes.Clone(raw)) // else the checksum alone is tested
		}
		b, _, ok := nextBatch(raw)
		if !ok {
			return
		}
		n := int32(0)
		if b.each(func(record) error { n++; return nil }) == nil && n != max(b.records(), 0) {
			t.Errorf("%d records, header says %d", n, b.records())
		}
		_ = b.commits()
	})
}
