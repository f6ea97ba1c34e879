package proto

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// ErrCorrupt is wrapped by every decoding error of a malformed message.
var ErrCorrupt = errors.New("malformed message")

// The messages are msgpack (github.com/msgpack/msgpack, spec.md). Every flow is
// encoded once and decoded by each service, so writer and reader work on byte
// slices directly: about five times as fast as going through an io.Reader field
// by field. EncodeMsgpack and DecodeMsgpack give the same bytes to whoever holds
// a msgpack codec.

// message is what every msgpack message of this package can do.
type message interface {
	encode(w *writer)
	decode(r *reader)
}

// Marshal encodes a message of this package.
func Marshal(m msgpack.CustomEncoder) ([]byte, error) {
	own, ok := m.(message)
	if !ok {
		return nil, fmt.Errorf("encode %T: not a message", m)
	}
	w := writer{b: make([]byte, 0, 256)}
	own.encode(&w)
	return w.b, w.err
}

// Unmarshal decodes a message of this package; trailing bytes are an error.
func Unmarshal(b []byte, m msgpack.CustomDecoder) error {
	own, ok := m.(message)
	if !ok {
		return fmt.Errorf("decode %T: not a message", m)
	}
	r := reader{b: b}
	own.decode(&r)
	if r.err == nil && len(r.b) > 0 {
		return fmt.Errorf("%w: %d bytes after the message", ErrCorrupt, len(r.b))
	}
	return r.err
}

func encodeTo(e *msgpack.Encoder, m message) error {
	w := writer{}
	if m.encode(&w); w.err != nil {
		return w.err
	}
	_, err := e.Writer().Write(w.b)
	return err
}

func decodeFrom(d *msgpack.Decoder, m message) error {
	raw, err := d.DecodeRaw()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	r := reader{b: raw}
	m.decode(&r)
	return r.err
}

// limits on what a decoder believes: a hostile length costs nothing.
const (
	maxList  = 4096
	maxItems = 1 << 20
	maxText  = 1 << 16
	maxDepth = 16
)

// The msgpack type bytes in use.
const (
	mpNil     = 0xc0
	mpFalse   = 0xc2
	mpTrue    = 0xc3
	mpBin8    = 0xc4
	mpBin16   = 0xc5
	mpBin32   = 0xc6
	mpFloat32 = 0xca
	mpFloat64 = 0xcb
	mpUint8   = 0xcc
	mpUint16  = 0xcd
	mpUint32  = 0xce
	mpUint64  = 0xcf
	mpInt8    = 0xd0
	mpInt16   = 0xd1
	mpInt32   = 0xd2
	mpInt64   = 0xd3
	mpStr8    = 0xd9
	mpStr16   = 0xda
	mpStr32   = 0xdb
	mpArray16 = 0xdc
	mpArray32 = 0xdd
	mpMap16   = 0xde
	mpMap32   = 0xdf
)
