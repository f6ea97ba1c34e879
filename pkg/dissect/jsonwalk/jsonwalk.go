// Package jsonwalk reads JSON (RFC 8259) from a stream, a few bytes at a time, and keeps
// no more than the values that somebody asks for.
//
// Here live a scanner and the path to where it is. It has a fixed size whatever
// the document; what it does not understand ends it. Names and values are the
// caller's to judge: nothing of them is copied anywhere.
package jsonwalk

import (
	"unicode/utf16"
	"unicode/utf8"
)

// The bounds of a document.
const (
	maxDepth = 48
	maxKey   = 64  // bytes of a name; a longer one is no name that anybody asks for
	maxValue = 512 // bytes of a value, whatever is asked for
)

// Handler is told what the scanner comes upon. Scanner.Key is the name of the value in
// hand: of a member of an array, the array's own.
type Handler interface {
	// Want is how many bytes of the value in hand are to be kept, 0 for none.
	Want(s *Scanner) int
	// Value takes a string, a number or a word (true, false, null) that was wanted
	// and is not longer; v is valid during the call.
	Value(s *Scanner, v []byte)
	// Open and Close are called for each object and array, Close with the same path.
	Open(s *Scanner, array bool)
	Close(s *Scanner, array bool)
}

type state uint8

const (
	beforeValue state = iota
	beforeKey         // in an object, or at its end
	inKey
	beforeColon
	inString
	inWord     // a number, true, false, null
	afterValue // a comma or an end
	atEnd
	dead
)

// Scanner reads one document.
type Scanner struct {
	h      Handler
	state  state
	levels [maxDepth]level
	depth  int
	want   int
	long   bool // the string in hand is longer than wanted
	buf    []byte
	escape uint8 // after a backslash: 1, in \uXXXX: 2 to 5
	unit   rune  // of \uXXXX
	high   rune  // first half of a pair
}

// level is an object or an array that was entered.
type level struct {
	array bool
	key   [maxKey]byte // of the member in hand
	keyN  int
	first bool // nothing was read yet: its end may follow
}

// New begins a document.
func New(h Handler) *Scanner { return &Scanner{h: h, buf: make([]byte, 0, 64)} }

// Depth is the number of objects and arrays around the value in hand.
func (s *Scanner) Depth() int { return s.depth }

// Key is the name of the value in hand, or of the object or array around it at that
// many steps outwards: members of arrays have no name.
func (s *Scanner) Key(out int) []byte {
	i := s.depth - 1 - out
	if i < 0 {
		return nil
	}
	return s.levels[i].key[:s.levels[i].keyN]
}

// Name is Key(0), or of a member of an array that of the array.
func (s *Scanner) Name() []byte {
	for i := s.depth - 1; i >= 0; i-- {
		if !s.levels[i].array {
			return s.levels[i].key[:s.levels[i].keyN]
		}
	}
	return nil
}

// Array reports whether what is around the value, that many steps outwards, is an array.
func (s *Scanner) Array(out int) bool {
	i := s.depth - 1 - out
	return i >= 0 && s.levels[i].array
}

// Damaged reports whether the document was given up.
func (s *Scanner) Damaged() bool { return s.state == dead }

// Whole reports whether the document has ended.
func (s *Scanner) Whole() bool { return s.state == atEnd }

// Size is about how many bytes are kept.
func (s *Scanner) Size() int { return maxDepth*(maxKey+16) + cap(s.buf) + 256 }

// Read takes the next bytes; false says that the rest is of no use.
func (s *Scanner) Read(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if s.state == dead || s.state == atEnd {
			return false
		}
		x := b[i]
		switch s.state {
		case inString, inKey:
			if s.escape == 0 && x != '"' && x != '\\' {
				// The common case: a run of bytes.
				j := i
				for j < len(b) && b[j] != '"' && b[j] != '\\' {
					j++
				}
				s.keep(b[i:j])
				i = j - 1
				continue
			}
			s.text(x)
		case inWord:
			if wordByte(x) {
				s.keep(b[i : i+1])
				continue
			}
			s.endValue()
			i-- // it says what comes next
		default:
			s.next(x)
		}
	}
	return s.state != dead && s.state != atEnd
}

func wordByte(x byte) bool {
	return x >= '0' && x <= '9' || x >= 'a' && x <= 'z' || x == 'E' || x == '-' || x == '+' || x == '.'
}

// next takes a byte between values.
func (s *Scanner) next(x byte) {
	switch x {
	case ' ', '\t', '\r', '\n':
		return
	case 0xef, 0xbb, 0xbf: // a byte order mark
		if s.depth == 0 && s.state == beforeValue {
			return
		}
	}
	switch s.state {
	case beforeValue:
		s.value(x)
	case beforeKey:
		switch {
		case x == '"':
			l := &s.levels[s.depth-1]
			l.first, l.keyN = false, 0
			s.state, s.want, s.long = inKey, maxKey, false
		case x == '}' && s.levels[s.depth-1].first:
			s.leave()
		default:
			s.state = dead
		}
	case beforeColon:
		s.state = dead
		if x == ':' {
			s.state = beforeValue
		}
	case afterValue:
		l := &s.levels[s.depth-1]
		switch {
		case x == ',' && l.array:
			s.state = beforeValue
		case x == ',':
			s.state = beforeKey
		case x == ']' && l.array, x == '}' && !l.array:
			s.leave()
		default:
			s.state = dead
		}
	}
}

// value begins one.
func (s *Scanner) value(x byte) {
	inArray := s.depth > 0 && s.levels[s.depth-1].array
	first := inArray && s.levels[s.depth-1].first
	if inArray {
		s.levels[s.depth-1].first = false
	}
	switch {
	case x == '{', x == '[':
		s.enter(x == '[')
	case x == ']' && first:
		s.leave()
	case x == '"':
		s.begin(inString)
	case x >= '0' && x <= '9', x == '-', x == 't', x == 'f', x == 'n':
		s.begin(inWord)
		s.keep([]byte{x})
	default:
		s.state = dead
	}
}

func (s *Scanner) begin(as state) {
	s.state, s.long = as, false
	s.want = min(s.h.Want(s), maxValue)
}

func (s *Scanner) enter(array bool) {
	if s.depth == maxDepth {
		s.state = dead
		return
	}
	s.h.Open(s, array)
	l := &s.levels[s.depth]
	l.array, l.first, l.keyN = array, true, 0
	s.depth++
	s.state = beforeKey
	if array {
		s.state = beforeValue
	}
}

func (s *Scanner) leave() {
	s.depth--
	s.h.Close(s, s.levels[s.depth].array)
	s.state = afterValue
	if s.depth == 0 {
		s.state = atEnd
	}
}

// keep adds to the string or word in hand.
func (s *Scanner) keep(b []byte) {
	if s.want == 0 || s.long {
		return
	}
	if s.long = len(s.buf)+len(b) > s.want; s.long {
		s.wipe()
		return
	}
	s.buf = append(s.buf, b...)
}

func (s *Scanner) wipe() {
	clear(s.buf[:cap(s.buf)])
	s.buf = s.buf[:0]
}

// escapes are the characters after a backslash.
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// text takes a quote, a backslash, or a byte after one.
func (s *Scanner) text(x byte) {
	switch {
	case s.escape == 0 && x == '"':
		if s.state == inKey {
			s.endKey()
			return
		}
		s.endValue()
	case s.escape == 0:
		s.escape = 1
	case s.escape == 1 && x == 'u':
		s.escape, s.unit = 2, 0
	case s.escape == 1:
		c, ok := escapes[x]
		if !ok {
			s.state = dead
			return
		}
		s.escape = 0
		s.keep([]byte{c})
	default:
		v := hex(x)
		if v < 0 {
			s.state = dead
			return
		}
		s.unit = s.unit<<4 | rune(v)
		if s.escape++; s.escape == 6 {
			s.escape = 0
			s.rune()
		}
	}
}

// rune ends \uXXXX, of which two may make one character.
func (s *Scanner) rune() {
	r := s.unit
	switch {
	case utf16.IsSurrogate(r) && s.high == 0:
		s.high = r
		return
	case s.high != 0:
		r = utf16.DecodeRune(s.high, r)
		s.high = 0
	}
	var room [utf8.UTFMax]byte
	s.keep(utf8.AppendRune(room[:0], r))
}

func hex(x byte) int {
	switch {
	case x >= '0' && x <= '9':
		return int(x - '0')
	case x >= 'a' && x <= 'f':
		return int(x-'a') + 10
	case x >= 'A' && x <= 'F':
		return int(x-'A') + 10
	}
	return -1
}

func (s *Scanner) endKey() {
	l := &s.levels[s.depth-1]
	l.keyN = copy(l.key[:], s.buf)
	s.high = 0
	s.wipe()
	s.state = beforeColon
}

func (s *Scanner) endValue() {
	if s.want > 0 && !s.long {
		s.h.Value(s, s.buf)
	}
	s.high = 0
	s.wipe()
	s.state = afterValue
	if s.depth == 0 {
		s.state = atEnd
	}
}
