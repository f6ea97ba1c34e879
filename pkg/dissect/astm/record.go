package astm

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const maxField = 512

// The records of E1394, and what is done with their fields.
const kinds = "HPOCRQMSL"

type action uint8

const (
	drop     action = iota
	keep            // a device's, or a code
	presence        // only whether it is there
	identity        // of a patient, a specimen or a person: for the guard
)

// plans say what to do with the fields of a record, by their number (E1394 6 to
// 15: H-5 sender, H-10 receiver, H-12 processing id, H-13 version, R-14 instrument,
// L-3 termination code).
var plans = map[byte]map[int]action{
	'H': {2: keep, 4: presence, 5: keep, 10: keep, 12: keep, 13: keep},
	'P': {
		3: identity, 4: identity, 5: identity, 6: identity, 7: identity, 8: identity, 11: identity, 13: identity, 14: identity, 16: identity, 17: identity,
		20: identity, 21: identity, 22: identity, 23: identity, 26: identity,
	},
	'O': {3: identity, 4: identity, 11: identity, 17: identity, 18: identity, 19: identity, 20: identity},
	'R': {11: identity, 14: keep},
	'Q': {3: identity, 4: identity, 10: identity},
	'L': {3: keep},
}

// record is the record in hand.
type record struct {
	kind  byte
	n     int // bytes of it
	field int // in hand, from 1
	buf   []byte
	long  bool
	// What a header says, until its end.
	delimiters [4]byte
	values     [14][]byte
	secret     bool
	// The field before ended with the letter of a record, and the one in hand is a
	// number so far: the end of a record is missing, and another one's fields follow.
	letter, digits bool
	merged         bool
	last           byte
}

func (r *record) begun() bool { return r.n > 0 }

func (r *record) reset() {
	r.wipe()
	for _, v := range r.values {
		clear(v)
	}
	*r = record{buf: r.buf}
}

func (r *record) wipe() {
	clear(r.buf[:cap(r.buf)])
	r.buf, r.long = r.buf[:0], false
}

// add takes text of a record.
func (r *record) add(m *message, b []byte) {
	for _, x := range b {
		sep := m.delimiters[0]
		switch r.n++; {
		case r.n == 1:
			r.kind, r.field = x, 1
		case r.n == 2 && r.kind == 'H':
			r.delimiters[0] = x
			r.field = 2
		case r.kind == 'H' && x == r.delimiters[0], r.kind != 'H' && x == sep && sep != 0:
			r.end(m)
			r.next()
		default:
			r.keep(x)
			r.digits = r.digits && x >= '0' && x <= '9'
			r.last = x
		}
	}
}

// next goes to the next field.
func (r *record) next() {
	r.merged = r.merged || r.letter && r.digits && r.last != 0
	r.letter = bytes.IndexByte([]byte(kinds), r.last) >= 0 && (r.kind != 'H' || r.field != 12) // P is a processing id there
	r.digits, r.last = true, 0
	r.field++
}

// want says what to do with the field in hand.
func (r *record) want() action {
	if r.merged {
		return drop
	}
	return plans[r.kind][r.field]
}

func (r *record) keep(x byte) {
	switch {
	case r.want() == drop, r.long:
	case len(r.buf) == maxField:
		r.wipe()
		r.long = true
	default:
		r.buf = append(r.buf, x)
	}
}

// end ends the field in hand. It is the only place that sees a field's content.
func (r *record) end(m *message) {
	defer r.wipe()
	switch want := r.want(); {
	case want == identity && r.long:
		m.guard.Fill() // whom it names nobody can know
	case want == identity:
		for _, part := range bytes.FieldsFunc(r.buf, func(x rune) bool {
			return x == rune(m.delimiters[1]) || x == rune(m.delimiters[2])
		}) {
			m.guard.Add(part)
		}
	case want == presence:
		r.secret = r.long || len(bytes.Trim(r.buf, " ")) > 0
	case want != keep || r.long:
	case r.kind == 'H' && r.field == 2:
		copy(r.delimiters[1:], r.buf)
	case r.kind == 'H':
		r.values[r.field] = bytes.Clone(r.buf)
	case r.kind == 'R':
		m.instrument(dissector.Text(r.buf, maxText))
	case r.kind == 'L':
		m.termination = terminations[string(bytes.TrimSpace(r.buf))]
	}
}
