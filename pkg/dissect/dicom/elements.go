package dicom

import (
	"encoding/binary"
)

// elements reads the elements of a data set, in any of the encodings, from a
// stream (PS3.5 7). It keeps the value of an element only while it is read, and
// only when want gave it room.
type elements struct {
	// want gives the most bytes of the element's value to keep, 0 to step over it.
	want func(e *elements, tag uint32) int
	// value gets a value that was kept; it is valid during the call.
	value func(e *elements, tag uint32, v []byte)
	// item is called at each item of a sequence that is looked into; may be nil.
	item func(e *elements)

	syntax syntax
	dead   bool // damaged: the rest is not read
	deep   bool // because of its nesting
	pos    int64
	head   [12]byte
	headN  int
	tag    uint32
	left   int64 // bytes of the value not read
	keep   bool
	buf    []byte
	levels []level
	top    uint32 // highest tag at the top level
}

// level is a sequence or an item that was entered.
type level struct {
	tag      uint32 // of the sequence; tagItem for an item
	end      int64  // position, -1 for undefined length
	implicit bool   // encoding around it, to be restored
	raw      bool   // items hold fragments of pixels and not elements
}

const (
	tagItem    = 0xfffe_e000
	tagItemEnd = 0xfffe_e00d
	tagSeqEnd  = 0xfffe_e0dd
	tagPixels  = 0x7fe0_0010
	undefined  = 0xffff_ffff
	maxDepth   = 16
)

func (e *elements) reset(s syntax) {
	e.wipe()
	*e = elements{want: e.want, value: e.value, item: e.item, syntax: s, buf: e.buf[:0], levels: e.levels[:0]}
}

func (e *elements) wipe() {
	clear(e.buf[:cap(e.buf)])
	e.buf = e.buf[:0]
}

// read takes the next bytes of the data set.
func (e *elements) read(b []byte) {
	for len(b) > 0 && !e.dead {
		if e.left > 0 {
			n := min(e.left, int64(len(b)))
			if e.keep {
				e.buf = append(e.buf, b[:n]...)
			}
			e.left -= n
			e.pos += n
			b = b[n:]
			if e.left == 0 {
				e.done()
			}
			continue
		}
		if e.headN == 0 {
			e.leave()
		}
		n := min(e.headSize()-e.headN, len(b))
		copy(e.head[e.headN:], b[:n])
		e.headN += n
		e.pos += int64(n)
		b = b[n:]
		if e.headN >= 8 && e.headN == e.headSize() {
			e.header()
			e.headN = 0
		}
	}
}

// skip steps over n missing bytes if they belong to a value that is not kept.
func (e *elements) skip(n int64) bool {
	if e.dead {
		return true
	}
	if e.keep || e.left <= n {
		return false
	}
	e.left -= n
	e.pos += n
	return true
}

func (e *elements) done() {
	if e.keep {
		e.value(e, e.tag, e.buf)
		e.wipe()
		e.keep = false
	}
}

// leave goes up from the levels whose length is used up.
func (e *elements) leave() {
	for len(e.levels) > 0 {
		l := e.levels[len(e.levels)-1]
		if l.end < 0 || e.pos < l.end {
			return
		}
		e.pop()
	}
}

func (e *elements) pop() {
	l := e.levels[len(e.levels)-1]
	e.levels = e.levels[:len(e.levels)-1]
	if e.syntax == implicit && !l.implicit {
		e.syntax = explicit
	}
}

// headSize is the size of the header in hand: tag and length, or tag, VR and
// length, of which some VRs have a long one.
func (e *elements) headSize() int {
	delimiter := e.order().Uint16(e.head[:]) == 0xfffe
	if e.headN < 8 || e.syntax == implicit || delimiter {
		return 8
	}
	if longVR(e.head[4], e.head[5]) {
		return 12
	}
	return 8
}

// longVR reports the VRs whose length has four bytes (PS3.5 7.1.2).
func longVR(a, b byte) bool {
	switch string([]byte{a, b}) {
	case "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV":
		return true
	}
	return false
}

func (e *elements) order() binary.ByteOrder {
	if e.syntax == bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// header acts on a complete header.
func (e *elements) header() {
	o := e.order()
	e.tag = uint32(o.Uint16(e.head[:]))<<16 | uint32(o.Uint16(e.head[2:]))
	if e.tag>>16 == 0xfffe {
		e.delimiter(o.Uint32(e.head[4:]))
		return
	}
	vr := [2]byte{}
	var size uint32
	switch {
	case e.syntax == implicit:
		size = o.Uint32(e.head[4:])
	case !letter(e.head[4]) || !letter(e.head[5]):
		e.dead = true
		return
	default:
		vr = [2]byte(e.head[4:6])
		if size = uint32(o.Uint16(e.head[6:])); e.headN == 12 {
			size = o.Uint32(e.head[8:])
		}
	}
	if len(e.levels) == 0 {
		e.top = max(e.top, e.tag)
	}
	if size == undefined {
		e.enter(level{tag: e.tag, end: -1, raw: e.tag == tagPixels || vr[0] == 'O'})
		if vr == [2]byte{'U', 'N'} && e.syntax == explicit {
			e.syntax = implicit // PS3.5 6.2.2, note 4
		}
		return
	}
	if e.opens() {
		e.enter(level{tag: e.tag, end: e.pos + int64(size)})
		return
	}
	e.begin(int64(size))
}

// opens holds for the sequences that are looked into: some at the top, and the images
// of a performed series.
func (e *elements) opens() bool {
	switch len(e.levels) {
	case 0:
		return within[e.tag] || counted1[e.tag]
	case 2:
		return e.levels[0].tag == tagPerformedSeries && (e.tag == tagReferencedImages || e.tag == tagReferencedOthers)
	}
	return false
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' }

// begin starts a value.
func (e *elements) begin(size int64) {
	e.left = size
	limit := 0
	if size > 0 && (len(e.levels) == 0 || len(e.levels) == 2 && within[e.levels[0].tag]) {
		limit = e.want(e, e.tag)
	}
	e.keep = size > 0 && size <= int64(limit)
}

// delimiter acts on an item, or on the end of an item or a sequence.
func (e *elements) delimiter(size uint32) {
	switch e.tag {
	case tagItem:
		if e.item != nil && len(e.levels) > 0 {
			e.item(e)
		}
		switch {
		case len(e.levels) == 0:
			e.dead = true
		case size == undefined:
			e.enter(level{tag: tagItem, end: -1})
		case len(e.levels) == 1 && within[e.levels[0].tag]:
			e.enter(level{tag: tagItem, end: e.pos + int64(size)})
		default: // nothing in it is of interest
			e.left, e.keep = int64(size), false
		}
	case tagItemEnd, tagSeqEnd:
		for len(e.levels) > 0 {
			item := e.levels[len(e.levels)-1].tag == tagItem
			e.pop()
			if item == (e.tag == tagItemEnd) {
				return
			}
		}
	default:
		e.dead = true
	}
}

func (e *elements) enter(l level) {
	if len(e.levels) == maxDepth {
		e.dead, e.deep = true, true
		return
	}
	l.implicit = e.syntax == implicit
	e.levels = append(e.levels, l)
}

// guess finds the encoding of a data set from its first eight bytes: a VR of two
// letters, and the group's byte order (the first group is below 0x0100).
func guess(b []byte) syntax {
	if !letter(b[4]) || !letter(b[5]) {
		return implicit
	}
	if b[0] == 0 && b[1] != 0 {
		return bigEndian
	}
	return explicit
}
