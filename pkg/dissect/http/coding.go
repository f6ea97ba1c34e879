package http

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// coding is how a body is compressed (RFC 9110 8.4.1).
type coding uint8

const (
	noCoding coding = iota
	gzipCoding
	deflateCoding // zlib's format, or by mistake the bare one
	otherCoding   // not read: br, zstd, two at once
)

const (
	maxPacked   = 128 << 10 // bytes of a compressed body that are kept until it is read
	maxUnpacked = 1 << 20   // bytes that it may become
)

// codingOf reads a Content-Encoding or Transfer-Encoding; chunked is framing.
func codingOf(value []byte) coding {
	is := noCoding
	for part := range bytes.SplitSeq(value, []byte(",")) {
		part = bytes.TrimSpace(part)
		var next coding
		switch {
		case len(part) == 0, equalFold(part, "identity"), equalFold(part, "chunked"):
			continue
		case equalFold(part, "gzip"), equalFold(part, "x-gzip"):
			next = gzipCoding
		case equalFold(part, "deflate"):
			next = deflateCoding
		default:
			next = otherCoding
		}
		if is != noCoding {
			return otherCoding
		}
		is = next
	}
	return is
}

// inflater is what unpacking takes, kept for the next body.
type inflater struct {
	in  bytes.Reader
	out [4 << 10]byte
	r   io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// unpack gives the readers what a compressed body contains, and reports whether
// that was all of it.
func (s *stream) unpack(c *dissector.Context, h *half) bool {
	in := &h.in
	b := unwrap(in.packed, in.coding)
	if b == nil {
		c.Count("http_encoding_malformed")
		return false
	}
	x, _ := inflaters.Get().(*inflater)
	defer func() {
		clear(x.out[:])
		x.in.Reset(nil)
		inflaters.Put(x)
	}()
	x.in.Reset(b)
	if x.r == nil {
		x.r = flate.NewReader(&x.in)
	} else if z, ok := x.r.(flate.Resetter); !ok || z.Reset(&x.in, nil) != nil {
		return false
	}
	for total := 0; in.on != 0 && total < maxUnpacked; {
		n, err := x.r.Read(x.out[:])
		s.share(c, h, x.out[:n])
		total += n
		switch err {
		case nil:
		case io.EOF:
			return true
		default: // cut off, or damaged
			return false
		}
	}
	return false
}

// unwrap takes the header of gzip (RFC 1952 2.3) or zlib (RFC 1950 2.2) off, nil
// where there is none. Checksums are not of interest.
func unwrap(b []byte, is coding) []byte {
	if is == deflateCoding {
		if len(b) >= 2 && b[0]&0x0f == 8 && (int(b[0])<<8|int(b[1]))%31 == 0 && b[1]&0x20 == 0 {
			return b[2:]
		}
		return b
	}
	if len(b) < 10 || b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 {
		return nil
	}
	flags := b[3]
	b = b[10:]
	if flags&4 != 0 { // extra
		if len(b) < 2 || len(b) < 2+int(b[0])+int(b[1])<<8 {
			return nil
		}
		b = b[2+int(b[0])+int(b[1])<<8:]
	}
	for _, flag := range []byte{8, 16} { // name, comment
		if flags&flag == 0 {
			continue
		}
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return nil
		}
		b = b[i+1:]
	}
	if flags&2 != 0 { // CRC of the header
		if len(b) < 2 {
			return nil
		}
		b = b[2:]
	}
	return b
}
