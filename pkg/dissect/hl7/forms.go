package hl7

import (
	"bytes"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// narrow takes one byte of a block in UTF-16, and reads each character as UTF-8.
// The end block may be one byte or a character of two: HL7 forbids UTF-16 in MLLP,
// so that both occur.
func (h *half) narrow(c *dissector.Context, b []byte) []byte {
	h.pair[h.pairN] = b[0]
	b = b[1:]
	if h.pairN++; h.pairN < 2 {
		return b
	}
	h.pairN = 0
	low, high := h.pair[0], h.pair[1]
	if h.wide == wideBE {
		low, high = high, low
	}
	var room [utf8.UTFMax]byte
	out := room[:0]
	switch x := rune(high)<<8 | rune(low); {
	case h.pair == [2]byte{endBlock, '\r'}:
		out = append(out, endBlock)
	case x >= 0xd800 && x < 0xe000: // half of a character beyond 16 bits
		out = append(out, '?')
	default:
		out = utf8.AppendRune(out, x)
	}
	for len(out) > 0 && h.wide != undecided {
		out = h.step(c, out)
		if h.state == outside {
			h.wide = undecided
		}
	}
	return b
}

const (
	maxMarkup = 2048 // bytes of a document, up to its root element
	maxRoots  = 16   // that are told
)

// roots are the names of root elements that may leave: structures of v2 (ORU_R01),
// interactions of v3 (PRPA_IN201301UV02), and CDA.
var roots = regexp.MustCompile(`^([A-Z]{3}(_[A-Z0-9]{3})?|[A-Z]{4}_IN[0-9]{6}(UV[0-9]{2})?|ClinicalDocument)$`)

// markup steps over a document in XML but for the name of its root element.
func (h *half) markup(c *dissector.Context, b []byte) []byte {
	i := bytes.IndexByte(b, endBlock)
	part := b
	if i >= 0 {
		part = b[:i]
	}
	h.buf = append(h.buf, part[:min(len(part), maxMarkup-len(h.buf))]...)
	if i < 0 {
		return nil
	}
	root := root(h.buf)
	h.wipe()
	h.state = outside
	h.traffic.message("xml", h.began)
	c.Sink.Inner("hl7_xml")
	if s := h.conn; !slices.Contains(s.roots, root) && len(s.roots) < maxRoots {
		s.roots = append(s.roots, root)
		f := dissector.Fact{Kind: "xml", Subject: dissector.Subject{Side: c.Side}}
		f.Attributes.Set("message_type", root)
		c.Emit(&f)
	}
	return b[i+1:]
}

// root is the name of the root element, without a namespace's prefix.
func root(b []byte) string {
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 || i+1 == len(b) {
			return ""
		}
		b = b[i+1:]
		if b[0] == '?' || b[0] == '!' {
			continue
		}
		if j := bytes.IndexAny(b, " \t\r\n/>"); j >= 0 {
			b = b[:j]
		}
		if j := bytes.IndexByte(b, ':'); j >= 0 {
			b = b[j+1:]
		}
		if !roots.Match(b) {
			return ""
		}
		return string(b)
	}
}
