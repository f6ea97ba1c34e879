package opcua

import (
	"encoding/binary"
	"strconv"
)

// reader reads the binary encoding (part 6, 5.2), all little endian. After the
// first thing that is not there, bad is true and everything is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if v := r.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if v := r.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

// bytes reads a string or a byte string; -1 is none.
func (r *reader) bytes() []byte {
	n := int32(r.uint32())
	if n <= 0 {
		r.bad = r.bad || n < -1
		return nil
	}
	return r.take(int(n))
}

// count reads an array's length.
func (r *reader) count() int {
	n := int32(r.uint32())
	if n < 0 {
		return 0
	}
	if int64(n) > int64(len(r.b)) { // nothing is shorter than a byte
		r.bad = true
		return 0
	}
	return int(n)
}

// strings steps over an array of strings.
func (r *reader) strings() {
	for n := r.count(); n > 0 && !r.bad; n-- {
		r.bytes()
	}
}

// node reads a node's id; of the standard's own namespace its number, else 0.
func (r *reader) node() uint32 {
	switch kind := r.byte() & 0x3f; kind {
	case 0:
		return uint32(r.byte())
	case 1:
		space, id := r.byte(), r.uint16()
		if space == 0 {
			return uint32(id)
		}
	case 2:
		space, id := r.uint16(), r.uint32()
		if space == 0 {
			return id
		}
	case 3, 5:
		r.uint16()
		r.bytes()
	case 4:
		r.uint16()
		r.take(16)
	default:
		r.bad = true
	}
	return 0
}

// text reads a localised text.
func (r *reader) text() (v []byte) {
	mask := r.byte()
	if mask&1 != 0 {
		r.bytes()
	}
	if mask&2 != 0 {
		v = r.bytes()
	}
	return v
}

// extension reads an extension object: its type, and its body.
func (r *reader) extension() (kind uint32, body reader) {
	kind = r.node()
	if r.byte() == 0 {
		return kind, reader{bad: true}
	}
	return kind, reader{b: r.bytes()}
}

// requestHeader steps over what every request begins with (part 4, 7.33).
func (r *reader) requestHeader() {
	r.node()
	r.take(8 + 4 + 4)
	r.bytes()
	r.take(4)
	r.extension()
}

// responseHeader reads what every response begins with (7.34): its result.
func (r *reader) responseHeader() (result uint32) {
	r.take(8 + 4)
	result = r.uint32()
	r.diagnostic(0)
	r.strings()
	r.extension()
	return result
}

// diagnostic steps over diagnostic information (part 6, 5.2.2.12).
func (r *reader) diagnostic(depth int) {
	mask := r.byte()
	for _, bit := range [...]byte{1, 2, 4, 8} {
		if mask&bit != 0 {
			r.take(4)
		}
	}
	if mask&0x10 != 0 {
		r.bytes()
	}
	if mask&0x20 != 0 {
		r.take(4)
	}
	if mask&0x40 != 0 {
		if depth > 4 {
			r.bad = true
			return
		}
		r.diagnostic(depth + 1)
	}
}

// scalars are the sizes of the built-in types that have one.
var scalars = map[byte]int{1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}

// value reads a data value (5.2.2.17): text where it is one, else a body.
func (r *reader) value() (text []byte, kind uint32, body reader) {
	mask := r.byte()
	body.bad = true
	if mask&1 != 0 {
		switch t := r.byte(); t {
		case 12:
			text = r.bytes()
		case 15:
			r.bytes()
		case 21:
			r.text()
		case 22:
			kind, body = r.extension()
		default:
			if scalars[t] == 0 {
				r.bad = true // an array, or what would have to be known
				return nil, 0, body
			}
			r.take(scalars[t])
		}
	}
	for _, x := range [...]struct {
		bit  byte
		size int
	}{{2, 4}, {4, 8}, {16, 2}, {8, 8}, {32, 2}} {
		if mask&x.bit != 0 {
			r.take(x.size)
		}
	}
	return text, kind, body
}

func hex32(n uint32) string { return "0x" + strconv.FormatUint(1<<32|uint64(n), 16)[1:] }
