// Package ber reads ASN.1 values in the basic encoding (ITU-T X.690) as Kerberos, LDAP
// and RDP use it: of definite length, taken apart where they lie. It builds no trees
// and knows no schemas.
package ber

// Classes of tags.
const (
	Universal   = 0
	Application = 1
	Context     = 2
	Private     = 3
)

// Universal tags.
const (
	Boolean     = 1
	Integer     = 2
	BitString   = 3
	OctetString = 4
	Null        = 5
	OID         = 6
	Enumerated  = 10
	UTF8        = 12
	Sequence    = 16
	Set         = 17
)

// Value is one value: its tag, and its content, which lies in the input.
type Value struct {
	Class       uint8
	Constructed bool
	Tag         uint32
	Body        []byte
}

// Header reads a tag and a length: size is the header's, length the content's. ok
// is false where b is no value; size is 0 where b is too short to know.
func Header(b []byte) (v Value, size int, length int64, ok bool) {
	if len(b) == 0 {
		return v, 0, 0, true
	}
	v.Class, v.Constructed, v.Tag = b[0]>>6, b[0]&0x20 != 0, uint32(b[0]&0x1f)
	i := 1
	if v.Tag == 0x1f { // a tag of several bytes
		v.Tag = 0
		for {
			if i == len(b) {
				return v, 0, 0, i < 5
			}
			if i == 5 {
				return v, 0, 0, false
			}
			v.Tag = v.Tag<<7 | uint32(b[i]&0x7f)
			i++
			if b[i-1]&0x80 == 0 {
				break
			}
		}
	}
	if i == len(b) {
		return v, 0, 0, true
	}
	n := int(b[i])
	i++
	if n < 0x80 {
		return v, i, int64(n), true
	}
	n &= 0x7f
	if n == 0 || n > 4 { // indefinite, or longer than any message
		return v, 0, 0, false
	}
	if len(b) < i+n {
		return v, 0, 0, true
	}
	for _, x := range b[i : i+n] {
		length = length<<8 | int64(x)
	}
	return v, i + n, length, true
}

// Next gives the first value of b and what follows it. It is not ok where b does not
// begin with a whole value.
func Next(b []byte) (v Value, rest []byte, ok bool) {
	v, size, length, ok := Header(b)
	if !ok || size == 0 || length > int64(len(b)-size) {
		return Value{}, nil, false
	}
	v.Body = b[size : size+int(length)]
	return v, b[size+int(length):], true
}

// Is holds for a value of that class and tag.
func (v Value) Is(class uint8, tag uint32) bool { return v.Class == class && v.Tag == tag }

// Int is the content as a number.
func (v Value) Int() (int64, bool) {
	if len(v.Body) == 0 || len(v.Body) > 8 {
		return 0, false
	}
	n := int64(int8(v.Body[0]))
	for _, x := range v.Body[1:] {
		n = n<<8 | int64(x)
	}
	return n, true
}

// Each calls yield with the values of b, until one is damaged or yield has enough. It
// reports whether all were whole.
func Each(b []byte, yield func(Value) bool) bool {
	for len(b) > 0 {
		v, rest, ok := Next(b)
		if !ok {
			return false
		}
		if !yield(v) {
			return true
		}
		b = rest
	}
	return true
}

// Inner is the only value inside of v, as explicit tags have it.
func (v Value) Inner() (Value, bool) {
	x, _, ok := Next(v.Body)
	return x, ok
}

// Field gives the value inside of the context tag n among the values of b.
func Field(b []byte, n uint32) (v Value, found bool) {
	Each(b, func(x Value) bool {
		if x.Is(Context, n) {
			v, found = x.Inner()
			return false
		}
		return true
	})
	return v, found
}
