package snmp

import "strconv"

// Tags (RFC 2578 7.1, RFC 3416 3): the types of values, and the PDUs.
const (
	tagInteger   = 0x02
	tagOctets    = 0x04
	tagNull      = 0x05
	tagOID       = 0x06
	tagSequence  = 0x30
	tagIPAddress = 0x40
	tagCounter   = 0x41
	tagGauge     = 0x42
	tagTicks     = 0x43

	tagFirstPDU = 0xa0
	tagTrapV1   = 0xa4
	tagLastPDU  = 0xa8
)

const maxSubidentifiers = 128 // of an object identifier, RFC 2578 3.5

// reader takes BER apart: one byte of tag, a definite length, a value. After the
// first length that lies everything is empty. missing bytes at the end were sent
// and not captured: a value may reach into them, and is then cut.
type reader struct {
	b       []byte
	missing int
	bad     bool
}

func (r *reader) fail() (tag byte, value reader) {
	r.b, r.missing, r.bad = nil, 0, true
	return 0, reader{bad: true}
}

// next takes one element off.
func (r *reader) next() (tag byte, value reader) {
	if len(r.b) < 2 {
		return r.fail()
	}
	tag = r.b[0]
	n, head := int(r.b[1]), 2
	if n >= 0x80 {
		k := n & 0x7f
		if k == 0 || k > 4 || len(r.b) < 2+k {
			return r.fail()
		}
		n = 0
		for _, x := range r.b[2 : 2+k] {
			n = n<<8 | int(x)
		}
		head += k
	}
	rest := r.b[head:]
	if n > len(rest)+r.missing {
		return r.fail()
	}
	if n > len(rest) {
		value = reader{b: rest, missing: n - len(rest)}
		r.b, r.missing = nil, r.missing-value.missing
		return tag, value
	}
	value = reader{b: rest[:n]}
	r.b = rest[n:]
	return tag, value
}

// short is how many bytes are missing from the element at the beginning, by its own
// length, beyond those that were not captured.
func (r *reader) short() int {
	if len(r.b) < 2 {
		return 0
	}
	n, head := int(r.b[1]), 2
	if n >= 0x80 {
		k := n & 0x7f
		if k == 0 || k > 2 || len(r.b) < 2+k {
			return 0
		}
		n = 0
		for _, x := range r.b[2 : 2+k] {
			n = n<<8 | int(x)
		}
		head += k
	}
	return max(0, head+n-len(r.b)-r.missing)
}

// empty reports that all was taken.
func (r *reader) empty() bool { return len(r.b) == 0 && r.missing == 0 }

// want takes an element of that tag off.
func (r *reader) want(tag byte) reader {
	t, v := r.next()
	if t != tag {
		_, v = r.fail()
	}
	return v
}

// octets takes a whole string off.
func (r *reader) octets() []byte {
	v := r.want(tagOctets)
	if v.missing > 0 {
		r.fail()
	}
	return v.b
}

// integer takes an INTEGER of at most eight bytes off.
func (r *reader) integer() int64 {
	v := r.want(tagInteger)
	if len(v.b) == 0 || v.missing > 0 {
		r.fail()
		return 0
	}
	n, ok := integer(v.b)
	if !ok {
		r.fail()
	}
	return n
}

// natural takes an INTEGER off that is never below zero, whatever its first bit
// says.
func (r *reader) natural() uint64 {
	n, ok := unsigned(r.want(tagInteger).b)
	if !ok {
		r.fail()
	}
	return n
}

// integer reads two's complement.
func integer(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	n := int64(int8(b[0]))
	for _, x := range b[1:] {
		n = n<<8 | int64(x)
	}
	return n, true
}

// unsigned reads a counter, a gauge or ticks, which may have a zero before them.
func unsigned(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 9 || len(b) == 9 && b[0] != 0 {
		return 0, false
	}
	n := uint64(0)
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n, true
}

// subidentifier takes one number off an encoded object identifier.
func subidentifier(b []byte) (n uint64, rest []byte, ok bool) {
	for i, x := range b {
		if n = n<<7 | uint64(x&0x7f); n > 0xffff_ffff || i > 4 {
			return 0, nil, false
		}
		if x < 0x80 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

// objectID writes an encoded object identifier with dots; "" for a broken one.
func objectID(b []byte) string {
	first, rest, ok := subidentifier(b)
	if !ok {
		return ""
	}
	top := min(first/40, 2)
	s := strconv.AppendUint(nil, top, 10)
	s = strconv.AppendUint(append(s, '.'), first-40*top, 10)
	for n := 2; len(rest) > 0; n++ {
		var v uint64
		if v, rest, ok = subidentifier(rest); !ok || n == maxSubidentifiers {
			return ""
		}
		s = strconv.AppendUint(append(s, '.'), v, 10)
	}
	return string(s)
}

// encoded is the opposite of objectID, for the tables of this package.
func encoded(numbers ...uint32) string {
	b := []byte{byte(40*numbers[0] + numbers[1])}
	for _, n := range numbers[2:] {
		started := false
		for shift := 28; shift >= 0; shift -= 7 {
			x := byte(n>>shift) & 0x7f
			if x != 0 || started || shift == 0 {
				started = true
				if shift > 0 {
					x |= 0x80
				}
				b = append(b, x)
			}
		}
	}
	return string(b)
}
