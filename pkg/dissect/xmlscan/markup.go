package xmlscan

// step takes one byte of markup.
func (s *Scanner) step(h Handler, x byte) {
	switch s.mode {
	case markup:
		s.opened(h, x)
	case startName, inside, attrName, attrEquals, attrQuote, attrValue, empty:
		s.tag(h, x)
	case endName, endRest:
		s.endTag(h, x)
	case bang:
		s.banged(h, x)
	case comment, cdata:
		s.until(x)
	case declaration:
		s.declare(x)
	case instruction:
		s.instruct(h, x)
	}
}

// opened takes what follows "<".
func (s *Scanner) opened(h Handler, x byte) {
	s.wipeTag()
	s.n, s.seen, s.quote = 0, [8]byte{}, 0
	switch {
	case x == '/':
		s.mode = endName
	case x == '!':
		s.mode = bang
	case x == '?':
		s.mode = instruction
	case nameByte(x) && x != '-' && x != '.' && (x < '0' || x > '9'):
		s.mode = startName
		s.addName(x)
	default: // a "<" that should have been written as a reference
		s.broken(h)
	}
}

func nameByte(x byte) bool {
	return x >= 'a' && x <= 'z' || x >= 'A' && x <= 'Z' || x >= '0' && x <= '9' || x == '_' || x == '-' || x == '.' || x == ':' || x >= 0x80
}

func space(x byte) bool { return x == ' ' || x == '\t' || x == '\r' || x == '\n' }

func (s *Scanner) addName(x byte) {
	s.hash = (s.hash ^ uint32(x)) * 16777619
	if s.long = s.long || len(s.name) == maxName; !s.long {
		s.name = append(s.name, x)
	}
}

// tag takes a byte of a start tag.
func (s *Scanner) tag(h Handler, x byte) {
	switch {
	case s.mode == attrValue:
		if x == s.quote {
			s.endAttribute()
			s.mode = attrEquals
			return
		}
		s.add(x)
	case s.mode == startName && nameByte(x):
		s.addName(x)
	case s.mode == attrName && nameByte(x):
		s.add(x)
	case s.mode == empty:
		if x != '>' {
			s.broken(h)
			return
		}
		s.start(h)
		if s.mode == chars {
			s.end(h, s.hash)
		}
	case s.mode == attrQuote:
		switch {
		case x == '"', x == '\'':
			s.quote, s.mode = x, attrValue
		case !space(x):
			s.broken(h)
		}
	default:
		s.between(h, x)
	}
}

// between takes what stands between the names and the values of a start tag. After
// a value the mode is attrEquals with quote set: a space must follow before the
// next name.
func (s *Scanner) between(h Handler, x byte) {
	switch {
	case space(x):
		if s.mode == attrName {
			s.mode, s.quote = attrEquals, 0
		} else if s.mode == startName || s.quote != 0 {
			s.mode, s.quote = inside, 0
		}
	case x == '=' && (s.mode == attrName || s.mode == attrEquals && s.quote == 0):
		s.endAttributeName()
		s.mode = attrQuote
	case x == '>' && (s.mode == startName || s.mode == inside || s.quote != 0 && s.mode == attrEquals):
		s.quote = 0
		s.start(h)
	case x == '/' && (s.mode == startName || s.mode == inside || s.quote != 0 && s.mode == attrEquals):
		s.quote = 0
		s.mode = empty
	case s.mode == inside && nameByte(x):
		s.beginAttribute()
		s.add(x)
		s.mode = attrName
	default:
		s.broken(h)
	}
}

func (s *Scanner) beginAttribute() {
	s.over = s.skip > 0 || s.deep > 0 || len(s.attrs) == maxAttributes
	if !s.over {
		s.attrs = append(s.attrs, attribute{len(s.buf), len(s.buf), len(s.buf)})
	}
}

// add adds a byte to the attribute in hand.
func (s *Scanner) add(x byte) {
	switch {
	case s.over:
	case len(s.buf) == maxTag:
		a := s.attrs[len(s.attrs)-1]
		clear(s.buf[a.from:])
		s.buf, s.attrs, s.over = s.buf[:a.from], s.attrs[:len(s.attrs)-1], true
	default:
		s.buf = append(s.buf, x)
	}
}

func (s *Scanner) endAttributeName() {
	if !s.over {
		s.attrs[len(s.attrs)-1].name = len(s.buf)
	}
}

func (s *Scanner) endAttribute() {
	if !s.over {
		s.attrs[len(s.attrs)-1].to = len(s.buf)
	}
}

// start acts on a whole start tag.
func (s *Scanner) start(h Handler) {
	s.mode = chars
	local, prefix := s.name, []byte(nil)
	for i, x := range s.name {
		if x == ':' {
			prefix, local = s.name[:i], s.name[i+1:]
			break
		}
	}
	e := element{hash: s.hash}
	if !s.long {
		e.name = s.Vocabulary.Names[string(local)]
	}
	root := e.name != 0 && s.Vocabulary.Root != nil && s.Vocabulary.Root(e.name)
	switch {
	case root && s.depth > 0: // the end of the document before is missing
		h.Broken()
		s.depth, s.deep, s.skip, s.bindings = 0, 0, 0, s.bindings[:0]
	case s.lost && !root:
		s.wipeTag()
		return
	}
	s.lost = false
	if s.keep != 0 {
		s.keep = 0
		s.wipeText()
	}
	if s.depth == maxDepth {
		s.deep++
		return
	}
	e.bindings = uint8(len(s.bindings))
	s.declared()
	if !s.long {
		e.space = s.space(prefix)
	}
	s.stack[s.depth] = e
	s.depth++
	if s.skip == 0 {
		h.Start(s)
	}
	hash := s.hash
	s.wipeTag()
	s.hash = hash // of an empty tag, for its end
}

// declared reads the namespace declarations of the tag in hand.
func (s *Scanner) declared() {
	for i := range s.attrs {
		a := s.attrs[i]
		name := s.buf[a.from:a.name]
		if len(name) < 5 || string(name[:5]) != "xmlns" || len(s.bindings) == maxBindings {
			continue
		}
		var prefix []byte
		if len(name) > 5 {
			if name[5] != ':' {
				continue
			}
			prefix = name[6:]
		}
		if len(prefix) > maxPrefix {
			continue
		}
		b := binding{n: uint8(len(prefix)), space: s.Vocabulary.Spaces[string(s.buf[a.name:a.to])]}
		copy(b.prefix[:], prefix)
		s.bindings = append(s.bindings, b)
	}
}

// endTag takes a byte of an end tag.
func (s *Scanner) endTag(h Handler, x byte) {
	switch {
	case x == '>':
		s.mode = chars
		s.end(h, s.hash)
	case s.mode == endName && nameByte(x):
		s.addName(x)
	case space(x):
		s.mode = endRest
	default:
		s.broken(h)
	}
}

// end closes the element that was opened last, and no other.
func (s *Scanner) end(h Handler, hash uint32) {
	switch {
	case s.depth == 0:
		return
	case s.deep > 0:
		s.deep-- // names are not known that deep
		return
	case s.stack[s.depth-1].hash != hash:
		s.broken(h)
		return
	}
	if s.skip == 0 {
		h.End(s)
	}
	if s.skip == s.depth {
		s.skip = 0
	}
	if s.keep != 0 {
		s.keep = 0
		s.wipeText()
	}
	s.depth--
	s.bindings = s.bindings[:s.stack[s.depth].bindings]
}

// banged takes what follows "<!".
func (s *Scanner) banged(h Handler, x byte) {
	const section = "[CDATA["
	s.seen[s.n] = x
	s.n++
	switch {
	case s.n == 2 && s.seen[0] == '-' && x == '-':
		s.mode, s.n, s.seen = comment, 0, [8]byte{}
	case s.n == 1 && x == '-':
	case s.n <= len(section) && string(s.seen[:s.n]) == section[:s.n]:
		if s.n == len(section) {
			s.mode, s.n, s.seen = cdata, 0, [8]byte{}
		}
	case s.n == 1 && (x >= 'A' && x <= 'Z'):
		s.mode, s.square, s.quotes = declaration, 0, 0
	default:
		s.broken(h)
	}
}

// until steps through a comment or a section of characters up to its end, "-->" or
// "]]>".
func (s *Scanner) until(x byte) {
	end := byte('-')
	if s.mode == cdata {
		end = ']'
	}
	if x == '>' && s.n >= 2 {
		if s.mode == cdata {
			for range s.n - 2 {
				s.chars([]byte{end})
			}
		}
		s.mode, s.n = chars, 0
		return
	}
	if x == end {
		s.n++
		return
	}
	if s.mode == cdata {
		for range s.n {
			s.chars([]byte{end})
		}
		if x == '&' {
			s.chars([]byte("&amp;")) // stands for itself
		} else {
			s.chars([]byte{x})
		}
	}
	s.n = 0
}

// declare steps through a document type, which is not read.
func (s *Scanner) declare(x byte) {
	switch {
	case s.quotes != 0:
		if x == s.quotes {
			s.quotes = 0
		}
	case x == '"', x == '\'':
		s.quotes = x
	case x == '[':
		s.square++
	case x == ']':
		s.square--
	case x == '>' && s.square <= 0:
		s.mode = chars
	}
}

// instruct steps through a processing instruction. The XML declaration begins a
// document.
func (s *Scanner) instruct(h Handler, x byte) {
	if s.n < 4 {
		s.seen[s.n] = x
		if s.n++; s.n == 4 && string(s.seen[:3]) == "xml" && space(x) {
			if s.depth > 0 {
				h.Broken()
			}
			s.reset()
			s.mode = instruction
		}
	}
	last := s.quote
	s.quote = x
	if last == '?' && x == '>' {
		s.quote = 0
		s.mode = chars
	}
}
