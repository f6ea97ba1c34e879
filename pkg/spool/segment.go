package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	headerLen    = 36
	frameLen     = 28
	version      = 1
	segmentMagic = "wfsp"
	suffix       = ".spool"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian

	// errDamaged is what was read and is not what was written.
	errDamaged = errors.New("damaged")
	// errTorn is damage as a write that did not end leaves it: the file is too short.
	errTorn = fmt.Errorf("torn: %w", errDamaged)
)

// segment is a file of records with numbers first..next-1. Those from upto on
// are lost and counted; a file that cannot be read at all has no records.
type segment struct {
	seq     uint64
	first   uint64
	next    uint64
	upto    uint64
	created int64 // Unix ns, of its first record
	size    int64 // up to the last whole record
	whole   bool  // its header is
}

// count is how many readable records with numbers in [from, to) it has.
func (g *segment) count(from, to uint64) uint64 {
	from, to = max(from, g.first), min(to, g.upto)
	if from >= to {
		return 0
	}
	return to - from
}

func segmentName(seq uint64) string { return fmt.Sprintf("%020d%s", seq, suffix) }

// sequenceOf is the sequence in a segment's name; other files are none of ours.
func sequenceOf(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil
}

func (g *segment) header() []byte {
	b := make([]byte, 0, headerLen)
	b = append(b, segmentMagic...)
	b = le.AppendUint16(b, version)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, g.seq)
	b = le.AppendUint64(b, g.first)
	b = le.AppendUint64(b, uint64(g.created))
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readHeader fills first and created; g.seq is that of the file's name.
func (g *segment) readHeader(f io.ReaderAt) error {
	b := make([]byte, headerLen)
	if err := readFull(f, b, 0); err != nil {
		return err
	}
	if string(b[:4]) != segmentMagic || le.Uint32(b[32:]) != crc32.Checksum(b[:32], castagnoli) || le.Uint64(b[8:]) != g.seq {
		return errDamaged
	}
	if v := le.Uint16(b[4:]); v != version {
		return &versionError{v}
	}
	g.first, g.created = le.Uint64(b[16:]), int64(le.Uint64(b[24:]))
	return nil
}

// versionError is a whole file of another version of this program.
type versionError struct{ version uint16 }

func (e *versionError) Error() string {
	return fmt.Sprintf("has format version %d and this program reads version %d; let the program that wrote it drain it, or move the file away",
		e.version, version)
}

// Record is what was appended.
type Record struct {
	Number    uint64 // its place in the spool, for Ack
	Partition int32
	Appended  time.Time
	Payload   []byte // the caller's to keep
}

// appendFrame appends the record's bytes as they lie in a segment.
func appendFrame(b []byte, r *Record) []byte {
	start := len(b)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, uint32(len(r.Payload)))
	b = le.AppendUint64(b, r.Number)
	b = le.AppendUint64(b, uint64(r.Appended.UnixNano()))
	b = le.AppendUint32(b, uint32(r.Partition))
	b = append(b, r.Payload...)
	le.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

// readFrame reads the record with the number at off of a segment that is size
// bytes long, and how many bytes it takes. The error is errDamaged, or the file's.
func readFrame(f io.ReaderAt, off, size int64, number uint64) (r Record, n int64, err error) {
	var head [frameLen]byte
	if size-off < frameLen {
		return r, 0, errTorn
	}
	if err := readFull(f, head[:], off); err != nil {
		return r, 0, err
	}
	length := int64(le.Uint32(head[4:]))
	if length > longestPayload || le.Uint64(head[8:]) != number {
		return r, 0, errDamaged
	}
	if size-off-frameLen < length {
		return r, 0, errTorn
	}
	payload := make([]byte, length)
	if err := readFull(f, payload, off+frameLen); err != nil {
		return r, 0, err
	}
	if crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, payload) != le.Uint32(head[:]) {
		return r, 0, errDamaged
	}
	return Record{
		Number:    number,
		Partition: int32(le.Uint32(head[24:])),
		Appended:  time.Unix(0, int64(le.Uint64(head[16:]))),
		Payload:   payload,
	}, frameLen + length, nil
}

// readFull fills b from off; a file that ends before is torn.
func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errTorn
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// writeFull writes b at off; a file that takes less without an error has not taken it.
func writeFull(f io.WriterAt, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) {
		return io.ErrShortWrite
	}
	return err
}
