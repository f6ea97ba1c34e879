package intellivue

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxText       = 64
	maxAttributes = 256 // of one object
	maxSpecs      = 32
)

// system is what a monitor says of itself.
type system struct {
	kind                string
	manufacturer, model string
	specs               [len(specifications)]string
	product             [len(specifications)]bool // the specification is the whole device's
	bed, withheld       string
	eui64               string
	mac                 proto.MAC
	ip                  netip.Addr
	port                uint16
	language            string
	mode, status        string
}

// list walks an attribute list: count, length, then id, length and value of each.
// It reports whether all of it was as its lengths say.
func list(b []byte, each func(id uint16, v []byte)) bool {
	if len(b) < 4 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[4:]
	for range min(n, maxAttributes) {
		if len(b) < 4 {
			return false
		}
		id, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+size {
			return false
		}
		each(id, b[4:4+size])
		b = b[4+size:]
	}
	return n <= maxAttributes
}

// attribute takes an attribute of the system object.
func (s *system) attribute(id uint16, v []byte) {
	switch id {
	case attrSystemType:
		if len(v) >= 4 && binary.BigEndian.Uint16(v) == 1 {
			s.kind = systemTypes[binary.BigEndian.Uint16(v[2:])]
		}
	case attrModel:
		var rest []byte
		s.manufacturer, rest = label(v)
		s.model, _ = label(rest)
	case attrProduct:
		s.products(v)
	case attrBedLabel:
		s.label(v)
	case attrSystemID:
		s.identity(v)
	case attrAddress:
		if len(v) >= 10 {
			s.mac = proto.MAC(v[:6])
			s.ip = netip.AddrFrom4([4]byte(v[6:10]))
		}
	case attrProtocols:
		if len(v) >= 12 {
			s.port = binary.BigEndian.Uint16(v[8:])
		}
	case attrLocalization:
		if len(v) >= 6 {
			s.language = languages[binary.BigEndian.Uint16(v[4:])]
		}
	case attrMode:
		if len(v) >= 2 {
			s.mode = mode(binary.BigEndian.Uint16(v))
		}
	case attrStatus:
		if len(v) >= 2 {
			s.status = statuses[binary.BigEndian.Uint16(v)]
		}
	}
}

func mode(bits uint16) string {
	for _, m := range modes {
		if bits&m.bit != 0 {
			return m.name
		}
	}
	return ""
}

// label reads a text with its length before it, of bytes that NULs fill up.
func label(b []byte) (s string, rest []byte) {
	if len(b) < 2 {
		return "", nil
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return "", nil
	}
	return dissector.Text(b[2:2+n], maxText), b[2+n:]
}

// products reads count, length, then type, component and text of each specification.
func (s *system) products(b []byte) {
	if len(b) < 4 {
		return
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[4:]
	for range min(n, maxSpecs) {
		if len(b) < 6 {
			return
		}
		kind, component := int(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint16(b[2:])
		var text string
		text, b = label(b[4:])
		if kind == 0 || kind >= len(specifications) || text == "" || s.product[kind] {
			continue
		}
		if whole := component == componentProduct; whole || s.specs[kind] == "" {
			s.specs[kind], s.product[kind] = text, whole
		}
	}
}

// identity reads the system id, an EUI-64.
func (s *system) identity(v []byte) {
	if len(v) < 10 || binary.BigEndian.Uint16(v) != 8 {
		return
	}
	v = v[2:10]
	s.eui64 = strings.ToUpper(hex.EncodeToString(v))
	if v[3] == 0xff && v[4] == 0xfe && v[0]&1 == 0 && s.mac.IsZero() {
		s.mac = proto.MAC{v[0], v[1], v[2], v[5], v[6], v[7]}
	}
}

// label reads the bed's label, of 16-bit characters. It leaves only where it can
// hardly be a name: with a digit, and no word of more than three letters that is not
// one of those that labels are made of.
func (s *system) label(v []byte) {
	if len(v) < 2 {
		return
	}
	n := min(int(binary.BigEndian.Uint16(v)), len(v)-2)
	var units []uint16
	for v = v[2 : 2+n]; len(v) >= 2; v = v[2:] {
		if x := binary.BigEndian.Uint16(v); x != 0 {
			units = append(units, x)
		}
	}
	text := dissector.Text([]byte(string(utf16.Decode(units))), 20)
	s.bed, s.withheld = "", ""
	if len(units) == 0 {
		return
	}
	s.withheld = "label"
	if !strings.ContainsAny(text, "0123456789") {
		return
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return r < 'A' || r > 'Z' && r < 'a' || r > 'z' && r < 0x80 })
	for _, w := range words {
		if len(w) > 3 && !labelWords[strings.ToUpper(w)] {
			return
		}
	}
	if s.bed = dissector.Place(text, "", ""); s.bed != "" {
		s.withheld = ""
	}
}

// attributes says who and where the monitor is.
func (s *system) attributes(c *dissector.Context, a *proto.Attributes) {
	a.Set("equipment_type", s.kind)
	a.Set("manufacturer", s.manufacturer)
	a.Set("model", s.model)
	for i, v := range s.specs {
		if i > 0 {
			a.Set(specifications[i], v)
		}
	}
	a.Set("location", s.bed)
	if s.withheld != "" {
		c.Count("intellivue_label_withheld")
	}
	a.Set("eui64", s.eui64)
	if !s.mac.IsZero() {
		a.Set("mac", s.mac.String())
	}
	if s.ip.IsValid() && !s.ip.IsUnspecified() {
		a.Set("ip", s.ip.String())
	}
	if s.port != 0 {
		a.Set("port", number(int(s.port)))
	}
	a.Set("language", s.language)
	a.Set("mode", s.mode)
	a.Set("state", s.status)
}
