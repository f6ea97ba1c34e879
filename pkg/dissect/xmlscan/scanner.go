package xmlscan

import (
	"bytes"
	"unicode/utf8"
)

// The bounds. What is beyond them is passed over as if it were not there.
const (
	maxDepth      = 64
	maxName       = 96
	maxAttributes = 32
	maxTag        = 4 << 10 // bytes of the attributes of one tag
	maxText       = 8 << 10 // bytes of a text that was asked for
	maxBindings   = 64
	maxPrefix     = 16
)

// Name and Space stand for a local name and a namespace of a Vocabulary; 0 is any
// other.
type (
	Name  uint16
	Space uint8
)

// Vocabulary is what a dissector knows.
type Vocabulary struct {
	Names  map[string]Name
	Spaces map[string]Space
	// Root tells which names begin a document, wherever they come: that is how a
	// stream of documents is found again after damage or a gap. May be nil.
	Root func(Name) bool
}

// Handler is told of the elements of documents.
type Handler interface {
	// Start is called at the end of a start tag: name, attributes and namespaces can
	// be asked for, and what shall become of the element: Keep, Skip.
	Start(s *Scanner)
	// End is called at the end of an element that was not skipped; its text is there
	// if it was to be kept and had no child.
	End(s *Scanner)
	// Broken is called when a document ends before its end.
	Broken()
}

// Scanner reads documents, one after the other. The zero Scanner with a Vocabulary
// is ready.
type Scanner struct {
	Vocabulary *Vocabulary

	mode  mode
	lost  bool // in search of a root
	stack [maxDepth]element
	depth int
	deep  int // elements open beyond maxDepth
	skip  int // depth of the element that is skipped, 0 for none
	keep  int // depth of the element whose text is kept, 0 for none

	name   []byte // of the tag in hand, at most maxName
	long   bool   // it is longer
	hash   uint32 // of all of it
	buf    []byte // attributes of the tag in hand
	attrs  []attribute
	quote  byte
	over   bool // the attribute in hand is not kept
	text   []byte
	cut    bool // the text is longer
	seen   [8]byte
	n      int // of seen
	quotes byte
	square int // in a declaration, brackets that are open

	bindings []binding
}

type element struct {
	name     Name
	space    Space
	hash     uint32
	bindings uint8 // that were there before
}

type attribute struct{ from, name, to int } // buf[from:name] is the name, buf[name:to] the value

type binding struct {
	prefix [maxPrefix]byte
	n      uint8
	space  Space
}

type mode uint8

const (
	chars mode = iota
	markup
	startName
	inside
	attrName
	attrEquals
	attrQuote
	attrValue
	empty
	endName
	endRest
	bang
	comment
	cdata
	declaration
	instruction
)

// Write reads the next bytes.
func (s *Scanner) Write(h Handler, b []byte) {
	for i := 0; i < len(b); i++ {
		if s.mode == chars {
			n := bytes.IndexByte(b[i:], '<')
			if n < 0 {
				s.chars(b[i:])
				return
			}
			s.chars(b[i : i+n])
			i += n
			s.mode = markup
			continue
		}
		s.step(h, b[i])
	}
}

// Lost says that bytes are missing: the document in hand is over.
func (s *Scanner) Lost(h Handler) {
	if s.depth > 0 {
		h.Broken()
	}
	s.reset()
	s.lost, s.mode = true, chars
}

// Close says that nothing follows.
func (s *Scanner) Close(h Handler) {
	if s.depth > 0 {
		h.Broken()
	}
	s.reset()
	s.mode = chars
}

// Size is about how many bytes are kept.
func (s *Scanner) Size() int {
	return 1024 + cap(s.name) + cap(s.buf) + cap(s.text) + 24*cap(s.attrs) + 20*cap(s.bindings)
}

func (s *Scanner) reset() {
	s.depth, s.deep, s.skip, s.keep, s.lost = 0, 0, 0, 0, false
	s.bindings = s.bindings[:0]
	s.wipeTag()
	s.wipeText()
}

func (s *Scanner) wipeTag() {
	clear(s.buf)
	s.buf, s.attrs = s.buf[:0], s.attrs[:0]
	s.name, s.long, s.hash, s.over = s.name[:0], false, 2166136261, false
}

func (s *Scanner) wipeText() {
	clear(s.text)
	s.text, s.cut = s.text[:0], false
}

// broken ends a document that is not well-formed.
func (s *Scanner) broken(h Handler) {
	if s.depth > 0 {
		h.Broken()
	}
	s.reset()
	s.lost, s.mode = true, chars
}

// chars takes text.
func (s *Scanner) chars(b []byte) {
	if s.keep == 0 || s.keep != s.depth || s.deep > 0 || len(b) == 0 {
		return
	}
	if len(s.text)+len(b) > maxText {
		s.cut = true
		return
	}
	s.text = append(s.text, b...)
}

// Depth is how many elements are open, the one in hand included.
func (s *Scanner) Depth() int { return s.depth }

// Name is the element's in hand.
func (s *Scanner) Name() Name { return s.Up(0) }

// Up is the name of the element n levels above the one in hand.
func (s *Scanner) Up(n int) Name {
	if n >= s.depth {
		return 0
	}
	return s.stack[s.depth-1-n].name
}

// Space is the namespace of the element in hand.
func (s *Scanner) Space() Space {
	if s.depth == 0 {
		return 0
	}
	return s.stack[s.depth-1].space
}

// Skip passes over the rest of the element in hand: of what is in it nothing is
// kept, not even for a moment.
func (s *Scanner) Skip() { s.skip = s.depth }

// Local is the element's own name at its start, without prefix; of a very long one
// the beginning.
func (s *Scanner) Local() []byte {
	if i := bytes.IndexByte(s.name, ':'); i >= 0 {
		return s.name[i+1:]
	}
	return s.name
}

// Keep asks for the text of the element in hand.
func (s *Scanner) Keep() { s.keep = s.depth }

// Text is the text of the element in hand at its end, nil if there is none or it
// was too long. It is overwritten by the next.
func (s *Scanner) Text() []byte {
	if s.keep == 0 || s.keep != s.depth || s.cut {
		return nil
	}
	s.text = decode(s.text)
	return s.text
}

// Attr is the value of an attribute by its local name at the element's start, nil
// if there is none, it was too long, or is none that XML allows.
func (s *Scanner) Attr(local string) []byte {
	for i := range s.attrs {
		a := &s.attrs[i]
		name := s.buf[a.from:a.name]
		if j := bytes.IndexByte(name, ':'); j >= 0 {
			if string(name[:j]) == "xmlns" {
				continue
			}
			name = name[j+1:]
		}
		if string(name) == local {
			v := s.buf[a.name:a.to]
			if bytes.IndexByte(v, '<') >= 0 {
				return nil // the end of a value is missing
			}
			v = decode(v)
			a.to = a.name + len(v)
			return v
		}
	}
	return nil
}

// Resolve gives the namespace of a prefix and the local name of a qualified one, as
// it stands in the text or the attributes of the element in hand.
func (s *Scanner) Resolve(qualified []byte) (Space, []byte) {
	var prefix []byte
	local := qualified
	if i := bytes.IndexByte(qualified, ':'); i >= 0 {
		prefix, local = qualified[:i], qualified[i+1:]
	}
	return s.space(prefix), local
}

func (s *Scanner) space(prefix []byte) Space {
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if b := &s.bindings[i]; string(b.prefix[:b.n]) == string(prefix) {
			return b.space
		}
	}
	return 0
}

// decode resolves the references in b, in place: none is shorter than what it
// stands for. Unknown entities stand for a question mark.
func decode(b []byte) []byte {
	i := bytes.IndexByte(b, '&')
	if i < 0 {
		return b
	}
	out := b[:i]
	for b = b[i:]; len(b) > 0; {
		if b[0] != '&' {
			out, b = append(out, b[0]), b[1:]
			continue
		}
		end := bytes.IndexByte(b[:min(len(b), 12)], ';')
		if end < 0 {
			out, b = append(out, '?'), b[1:]
			continue
		}
		out = append(out, character(b[1:end])...)
		b = b[end+1:]
	}
	return out
}

var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

// character is what an entity or a character reference stands for.
func character(name []byte) []byte {
	if s := entities[string(name)]; s != "" {
		return []byte(s)
	}
	if len(name) < 2 || name[0] != '#' {
		return []byte("?")
	}
	base, digits := rune(10), name[1:]
	if digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	r := rune(0)
	for _, x := range digits {
		d := digit(x)
		if d < 0 || d >= base || r > utf8.MaxRune {
			return []byte("?")
		}
		r = r*base + d
	}
	if len(digits) == 0 || r == 0 || !utf8.ValidRune(r) {
		return []byte("?")
	}
	return utf8.AppendRune(nil, r)
}

func digit(x byte) rune {
	switch {
	case x >= '0' && x <= '9':
		return rune(x - '0')
	case x >= 'a' && x <= 'f':
		return rune(x-'a') + 10
	case x >= 'A' && x <= 'F':
		return rune(x-'A') + 10
	}
	return -1
}
