package capfile_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// The builders below make capture files for the tests.

type record struct {
	seconds, fraction uint32
	wire              int
	data              []byte
}

func u16(o binary.ByteOrder, v int) []byte {
	b := make([]byte, 2)
	o.PutUint16(b, uint16(v))
	return b
}

func u32(o binary.ByteOrder, v uint32) []byte {
	b := make([]byte, 4)
	o.PutUint32(b, v)
	return b
}

func pcapFile(o binary.ByteOrder, magic uint32, records ...record) []byte {
	b := slices.Concat(u32(o, magic), u16(o, 2), u16(o, 4), make([]byte, 8), u32(o, 65535), u32(o, 1))
	for _, r := range records {
		b = append(b, slices.Concat(u32(o, r.seconds), u32(o, r.fraction), u32(o, uint32(len(r.data))), u32(o, uint32(max(r.wire, len(r.data)))))...)
		if magic == 0xa1b2cd34 {
			b = append(b, make([]byte, 8)...)
		}
		b = append(b, r.data...)
	}
	return b
}

func pad(b []byte) []byte { return append(slices.Clone(b), make([]byte, (4-len(b)%4)%4)...) }

func block(o binary.ByteOrder, kind uint32, body ...[]byte) []byte {
	b := pad(slices.Concat(body...))
	n := u32(o, uint32(len(b)+12))
	return slices.Concat(u32(o, kind), n, b, n)
}

func option(o binary.ByteOrder, code int, value []byte) []byte {
	return slices.Concat(u16(o, code), u16(o, len(value)), pad(value))
}

func section(o binary.ByteOrder) []byte {
	return block(o, 0x0a0d0d0a, u32(o, 0x1a2b3c4d), u16(o, 1), u16(o, 0), bytes.Repeat([]byte{0xff}, 8), option(o, 4, []byte("maker")))
}

func iface(o binary.ByteOrder, link int, options ...[]byte) []byte {
	return block(o, 1, u16(o, link), u16(o, 0), u32(o, 0), slices.Concat(options...))
}

func enhanced(o binary.ByteOrder, index int, stamp uint64, wire int, data []byte) []byte {
	return block(o, 6, u32(o, uint32(index)), u32(o, uint32(stamp>>32)), u32(o, uint32(stamp)), u32(o, uint32(len(data))), u32(o, uint32(wire)), data)
}

func gzipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstdded(t testing.TB, b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}
