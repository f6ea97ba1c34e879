package bacnet

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// tag is one element of the application layer's encoding (clause 20.2.1).
type tag struct {
	number  uint8
	context bool // else of the application's types
	opening bool
	closing bool
	value   []byte // of an application's boolean: nothing, the value is in length
	length  uint32
}

// The application's types (20.2.1.4).
const (
	typeNull = iota
	typeBoolean
	typeUnsigned
	typeSigned
	typeReal
	typeDouble
	typeOctets
	typeText
	typeBits
	typeEnumerated
	typeDate
	typeTime
	typeObject
	types
)

var typeNames = [types]string{"null", "boolean", "unsigned", "signed", "real", "double", "octet_string", "character_string", "bit_string", "enumerated", "date", "time", "object_identifier"}

// reader reads tags one by one.
type reader struct{ b []byte }

// next gives the next tag; false at the end, and where what follows is damaged.
func (r *reader) next() (t tag, ok bool) {
	b := r.b
	if len(b) == 0 {
		return t, false
	}
	first := b[0]
	t.number, t.context = first>>4, first&8 != 0
	b = b[1:]
	if t.number == 15 {
		if len(b) == 0 {
			return t, false
		}
		t.number, b = b[0], b[1:]
	}
	switch first & 7 {
	case 6, 7:
		if !t.context {
			return t, false
		}
		t.opening, t.closing = first&7 == 6, first&7 == 7
		r.b = b
		return t, true
	case 5:
		switch {
		case len(b) >= 1 && b[0] < 254:
			t.length, b = uint32(b[0]), b[1:]
		case len(b) >= 3 && b[0] == 254:
			t.length, b = uint32(binary.BigEndian.Uint16(b[1:])), b[3:]
		case len(b) >= 5 && b[0] == 255:
			t.length, b = binary.BigEndian.Uint32(b[1:]), b[5:]
		default:
			return t, false
		}
	default:
		t.length = uint32(first & 7)
	}
	if t.context || t.number != typeBoolean {
		if uint64(t.length) > uint64(len(b)) {
			return t, false
		}
		t.value, b = b[:t.length], b[t.length:]
	}
	r.b = b
	return t, true
}

// peek is next without a step.
func (r *reader) peek() (tag, bool) {
	before := r.b
	t, ok := r.next()
	r.b = before
	return t, ok
}

// field takes the next tag if it is the context's of that number, with a value.
func (r *reader) field(number uint8) ([]byte, bool) {
	before := r.b
	t, ok := r.next()
	if !ok || !t.context || t.opening || t.closing || t.number != number {
		r.b = before
		return nil, false
	}
	return t.value, true
}

// count takes the next tag as a number, if it is the context's of that number.
func (r *reader) count(context uint8) (uint32, bool) {
	v, ok := r.field(context)
	if !ok {
		return 0, false
	}
	return number(v)
}

// object takes the next tag as an object's identifier, if it is the context's.
func (r *reader) object(context uint8) (object, bool) {
	v, ok := r.field(context)
	if !ok {
		return object{}, false
	}
	return objectOf(v)
}

// plain takes the next tag if it is of that type of the application's.
func (r *reader) plain(kind uint8) ([]byte, bool) {
	before := r.b
	t, ok := r.next()
	if !ok || t.context || t.number != kind {
		r.b = before
		return nil, false
	}
	return t.value, true
}

// open takes the next tag if it opens the context of that number.
func (r *reader) open(number uint8) bool {
	t, ok := r.peek()
	if ok && t.opening && t.number == number {
		r.next()
		return true
	}
	return false
}

// close steps to behind the tag that closes the one that was opened last.
func (r *reader) close() bool {
	for depth := 1; ; {
		t, ok := r.next()
		switch {
		case !ok:
			return false
		case t.opening:
			depth++
		case t.closing:
			if depth--; depth == 0 {
				return true
			}
		}
	}
}

// number reads an unsigned or enumerated value of at most four bytes.
func number(b []byte) (uint32, bool) {
	if len(b) == 0 || len(b) > 4 {
		return 0, false
	}
	n := uint32(0)
	for _, x := range b {
		n = n<<8 | uint32(x)
	}
	return n, true
}

// object is an object's identifier (20.2.14): ten bits of type, the rest instance.
type object struct {
	kind     uint16
	instance uint32
}

func objectOf(b []byte) (object, bool) {
	if len(b) != 4 {
		return object{}, false
	}
	n := binary.BigEndian.Uint32(b)
	return object{uint16(n >> 22), n & anyInstance}, true
}

// anyInstance, as an instance, is nobody's: who asks means whoever reads it.
const anyInstance = 1<<22 - 1

// The object types that are looked at (clause 21).
const (
	objectDevice = 8
	objectPort   = 56
)

// text reads a character string (20.2.9): a byte for the encoding, and the text.
// Of encodings that are not read, and of longer texts, it is "".
func text(b []byte, limit int) string {
	if len(b) < 2 {
		return ""
	}
	encoding, b := b[0], b[1:]
	switch encoding {
	case 0: // UTF-8; ANSI X3.4 before
		return dissector.Text(b, limit)
	case 4: // UCS-2
		if len(b) > 4*limit {
			return ""
		}
		u := make([]uint16, 0, len(b)/2)
		for ; len(b) >= 2; b = b[2:] {
			u = append(u, binary.BigEndian.Uint16(b))
		}
		return dissector.Text([]byte(string(utf16.Decode(u))), limit)
	case 5: // ISO 8859-1
		if len(b) > limit {
			return ""
		}
		var s strings.Builder
		for _, x := range b {
			s.WriteRune(rune(x))
		}
		return dissector.Text([]byte(s.String()), 2*limit)
	case 3: // UCS-4
		if len(b) > 8*limit {
			return ""
		}
		var out []byte
		for ; len(b) >= 4; b = b[4:] {
			out = utf8.AppendRune(out, rune(binary.BigEndian.Uint32(b)))
		}
		return dissector.Text(out, limit)
	}
	return ""
}
