package intellivue

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const maxObjects = 1024 // of one poll result

// result takes the answer to a poll: object class and id (6 bytes), action, length;
// then poll number, of an extended poll its sequence number, relative and absolute
// time, what was polled (partition, class), attribute group; then the objects.
func (s *state) result(c *dissector.Context, m *message) {
	b := m.body
	if len(b) < 10 {
		return
	}
	head := 2 + 4 + 8
	switch binary.BigEndian.Uint16(b[6:]) {
	case actionPoll:
	case actionPollExtended:
		head += 2
	default:
		return
	}
	b = b[10:]
	if len(b) < head+6 {
		c.Count("intellivue_attributes_cut")
		return
	}
	class := binary.BigEndian.Uint16(b[head+2:])
	if s.results == 0 {
		s.first = c.Headers.Time
	}
	s.results++
	s.last = c.Headers.Time
	if name := polled[class]; name != "" && !slices.Contains(s.exports, name) {
		s.exports = append(s.exports, name)
	}
	b = b[head+6:]
	switch class {
	case classMDS:
		s.objects(c, b, func(attributes []byte) { s.system(c, "mds", attributes, false) })
	case classNumeric:
		values := 0
		s.objects(c, b, func(attributes []byte) {
			list(attributes, func(id uint16, v []byte) { values += valid(id, v) })
		})
		if values > 0 || m.op == opResult {
			s.measured(c, values > 0)
		}
	}
}

// objects walks the contexts of a result and their objects: count and length; of each
// context id, count and length; of each object its handle and attribute list.
func (s *state) objects(c *dissector.Context, b []byte, each func([]byte)) {
	if len(b) < 4 {
		return
	}
	contexts := int(binary.BigEndian.Uint16(b))
	b = b[4:]
	seen := 0
	for range contexts {
		if len(b) < 6 {
			return
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		b = b[6:]
		for range n {
			if len(b) < 6 || seen == maxObjects {
				c.Count("intellivue_attributes_cut")
				return
			}
			seen++
			size := 4 + int(binary.BigEndian.Uint16(b[4:]))
			if len(b) < 2+size {
				c.Count("intellivue_attributes_cut")
				return
			}
			each(b[2 : 2+size])
			b = b[2+size:]
		}
	}
}

// valid counts the observed values that are there: id, state, unit and value of a
// numeric; count, length and several of those of a compound one.
func valid(id uint16, v []byte) int {
	switch id {
	case attrNumeric:
	case attrCompound:
		if len(v) < 4 {
			return 0
		}
		v = v[4:]
	default:
		return 0
	}
	n := 0
	for ; len(v) >= 10; v = v[10:] {
		const invalid, unavailable, notANumber = 0x8000, 0x2000, 0x007fffff
		if binary.BigEndian.Uint16(v[2:])&(invalid|unavailable) == 0 && binary.BigEndian.Uint32(v[6:])&0x00ffffff != notANumber {
			n++
		}
	}
	return n
}

// measured tells whether values are measured: at a change, and now and then while that
// goes on.
func (s *state) measured(c *dissector.Context, values bool) {
	f := dissector.Fact{Kind: "state", Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", roleMonitor)
	f.Attributes.Set("measuring", strconv.FormatBool(values))
	if s.news(c, f.Kind, f.Attributes, true) {
		c.Emit(&f)
	}
}
