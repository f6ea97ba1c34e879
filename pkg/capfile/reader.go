package capfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// ErrNotCapture is wrapped by the error of a file that is no capture at all.
var ErrNotCapture = errors.New("not a capture file: pcap or pcapng, plain or compressed with gzip or zstd, is needed")

// ErrTruncated is wrapped by the error of a file that ends inside a record.
var ErrTruncated = errors.New("file ends early")

// ErrMalformed is wrapped by the error of a file whose records contradict themselves.
var ErrMalformed = errors.New("malformed capture file")

// Packet is one captured frame. Data is valid until the next call of Next on the
// same Reader or Merge.
type Packet struct {
	Time     proto.Time // 1970 to 2200; a time stamp beyond is set to the limit
	LinkType packet.LinkType
	WireLen  int // bytes on the wire, at least len(Data)
	Data     []byte
}

// maxTime keeps event times far enough from overflow that a timeout can be added.
const maxTime = proto.Time(7_258_118_400_000_000_000) // 2200-01-01

const (
	bufferSize = 128 << 10 // two of the largest IP packets
	// maxRecord bounds one packet or block: 16 MiB, as in Wireshark.
	maxRecord = 16 << 20
)

// Reader reads the packets of one capture.
type Reader struct {
	name    string
	file    io.Closer
	count   *counter // of the file; nil without one
	size    int64    // of the file; 0 when it has none
	zstd    *zstd.Decoder
	in      io.Reader
	buf     []byte // of in: from the last view on, from from to to
	from    int
	to      int
	next    func(*Packet) error
	offset  int64 // of the uncompressed stream
	packets uint64
	big     []byte // a record that does not fit the buffer
	skip    int    // bytes of the buffer that the last record occupied
	err     error
}

// Open opens a capture file. The error wraps ErrNotCapture where the file has
// another content, or ErrTruncated where it ends inside its file header.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	c := &counter{in: f}
	r, err := NewReader(path, c)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	r.file, r.count = f, c
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		r.size = st.Size()
	}
	return r, nil
}

// NewReader reads a capture from in; name is what errors call it.
func NewReader(name string, in io.Reader) (*Reader, error) {
	r := &Reader{name: name, in: in, buf: make([]byte, bufferSize)}
	if err := r.decompress(); err != nil {
		return nil, err
	}
	if err := r.header(); err != nil {
		r.closeZstd()
		return nil, fmt.Errorf("read capture %s: %w", name, err)
	}
	return r, nil
}

// decompress puts a decompressor before the buffer where the content asks for one.
func (r *Reader) decompress() error {
	head, err := r.peek(4)
	if err != nil {
		return fmt.Errorf("read capture %s: %w: it has %d bytes%s", r.name, ErrNotCapture, len(head), because(err))
	}
	switch {
	case head[0] == 0x1f && head[1] == 0x8b:
		z, err := gzip.NewReader(r.compressed())
		if err != nil {
			return fmt.Errorf("read capture %s: gzip header: %w", r.name, err)
		}
		r.through(z)
	case binary.LittleEndian.Uint32(head) == 0xfd2fb528:
		z, err := zstd.NewReader(r.compressed(), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return fmt.Errorf("read capture %s: zstd header: %w", r.name, err)
		}
		r.zstd = z
		r.through(z)
	}
	return nil
}

// compressed is the stream with what has been peeked of it.
func (r *Reader) compressed() io.Reader {
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(r.buf[r.from:r.to]), r.in), bufferSize)
}

// through reads on through a decompressor.
func (r *Reader) through(in io.Reader) {
	r.in, r.buf, r.from, r.to = in, make([]byte, bufferSize), 0, 0
}

// because adds a reading error that is more than the end of the file.
func because(err error) string {
	if errors.Is(err, io.EOF) {
		return ""
	}
	return " (" + err.Error() + ")"
}

// header reads the file header and so decides the format.
func (r *Reader) header() error {
	head, err := r.peek(4)
	if err != nil {
		return fmt.Errorf("%w: it has %d bytes%s", ErrNotCapture, len(head), because(err))
	}
	if binary.BigEndian.Uint32(head) == blockSection {
		ng := &ngReader{Reader: r}
		r.next = ng.next
		return ng.begin()
	}
	p, ok := newPcap(r, head)
	if !ok {
		return fmt.Errorf("%w; this one begins with % x", ErrNotCapture, head)
	}
	r.next = p.next
	return p.begin()
}

// Next reads the next packet into p. At the end it returns io.EOF, and where the
// file is damaged an error that says what and where, after every packet before
// it; the error stays.
func (r *Reader) Next(p *Packet) error {
	if r.err != nil {
		return r.err
	}
	err := r.next(p)
	if err == nil {
		r.packets++
		return nil
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, ErrTruncated) {
		r.err = io.EOF
	} else {
		r.err = fmt.Errorf("read capture %s: after packet %d, at byte %d: %w", r.name, r.packets, r.offset, err)
	}
	return r.err
}

// Packets is how many packets have been read.
func (r *Reader) Packets() uint64 { return r.packets }

// Name is what errors call the capture.
func (r *Reader) Name() string { return r.name }

// Close closes the file.
func (r *Reader) Close() error {
	r.closeZstd()
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("close capture: %w", err)
	}
	return nil
}

func (r *Reader) closeZstd() {
	if r.zstd != nil {
		r.zstd.Close()
	}
}

// take returns the next n bytes: a view of the buffer where they fit it. The
// view lives until the next take or discard. what names them in errors; io.EOF
// comes back alone where the stream ends right before them.
func (r *Reader) take(n int, what string) ([]byte, error) {
	from := r.from + r.skip
	if n > r.to-from {
		return r.takeMore(n, what)
	}
	r.offset += int64(r.skip)
	r.from, r.skip = from, n
	return r.buf[from : from+n : from+n], nil
}

// takeMore reads on, for a record that is not all in the buffer.
func (r *Reader) takeMore(n int, what string) ([]byte, error) {
	r.release()
	if n > bufferSize {
		return r.takeBig(n, what)
	}
	if have, err := r.fill(n); have < n {
		return nil, r.short(have, n, what, err)
	}
	r.skip = n
	return r.buf[r.from : r.from+n : r.from+n], nil
}

// release gives the last view back to the buffer.
func (r *Reader) release() {
	r.from += r.skip
	r.offset += int64(r.skip)
	r.skip = 0
}

// fill reads until the buffer has n bytes, at most bufferSize, or there are no more;
// it gives how many there are.
func (r *Reader) fill(n int) (int, error) {
	if r.to-r.from < n && r.from > 0 {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	for empty := 0; r.to-r.from < n; {
		m, err := r.in.Read(r.buf[r.to:])
		r.to += m
		if err != nil && r.to-r.from < n {
			return r.to - r.from, err
		}
		if m > 0 {
			empty = 0
		} else if empty++; empty > 100 {
			return r.to - r.from, io.ErrNoProgress
		}
	}
	return n, nil
}

// peek is take without taking.
func (r *Reader) peek(n int) ([]byte, error) {
	r.release()
	have, err := r.fill(n)
	return r.buf[r.from : r.from+have], err
}

// takeBig copies a record that is larger than the buffer, growing with what
// really comes.
func (r *Reader) takeBig(n int, what string) ([]byte, error) {
	r.big = r.big[:0]
	for len(r.big) < n {
		m := min(n-len(r.big), bufferSize)
		if have, err := r.fill(m); have < m {
			return nil, r.short(len(r.big)+have, n, what, err)
		}
		r.big = append(r.big, r.buf[r.from:r.from+m]...)
		r.skip = m
		r.release()
	}
	return r.big, nil
}

// discard skips n bytes without keeping them.
func (r *Reader) discard(n int, what string) error {
	r.release()
	for left := n; left > 0; {
		m := min(left, bufferSize)
		have, err := r.fill(m)
		r.skip = have
		r.release()
		left -= have
		if have < m {
			return r.short(n-left, n, what, err)
		}
	}
	return nil
}

// short says that only have of the n bytes of what are there.
func (r *Reader) short(have, n int, what string, err error) error {
	switch {
	case have == 0 && errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s needs %d bytes, %d are left", ErrTruncated, what, n, have)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// inside turns the end of the stream between the parts of one record into a truncation.
func inside(err error, what string) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s is missing", ErrTruncated, what)
	}
	return err
}
