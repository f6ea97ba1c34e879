package dicomweb

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dicom"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
)

// The bounds of a connection and of a body.
const (
	maxParts  = 16      // of a body that are read
	maxFacts  = 64      // about files and metadata, of a connection
	maxHeader = 4 << 10 // of a part
)

// reader reads the bodies of one connection.
type reader struct {
	half     [2]half
	services []used
	client   dissector.Side
	facts    int
	seen     []uint64 // hashes of the devices that metadata named
}

// used is a service that was used.
type used struct {
	tag uint32
	n   int
}

// half is the body in hand of one direction.
type half struct {
	begun bool
	file  *dicom.File
	json  *metadata
	parts *multipart
}

// Body gives the bytes to whom they are for.
func (r *reader) Body(c *dissector.Context, m *httpbody.Message, b []byte) bool {
	h := &r.half[c.Side&1]
	if !h.begun {
		h.begun = true
		switch {
		case !dicomType(m):
			r.finish(c, m, h, false)
			return false
		case string(m.Type) == "application/dicom":
			h.file = dicom.NewFile()
		case string(m.Type) == "application/dicom+json":
			h.json = newMetadata(r)
		case len(m.Boundary) > 0:
			h.parts = &multipart{boundary: append([]byte("\r\n--"), m.Boundary...), hold: []byte("\r\n")}
		}
	}
	var more bool
	switch {
	case h.parts != nil: // whose part in hand may be one of the others
		more = r.split(c, h, b)
	case h.file != nil:
		more = h.file.Read(c, b)
	case h.json != nil:
		more = h.json.read(c, b)
	default:
		return false
	}
	if !more {
		r.finish(c, m, h, true)
	}
	return more
}

// End counts the request, and tells of the file in hand.
func (r *reader) End(c *dissector.Context, m *httpbody.Message) {
	r.finish(c, m, &r.half[c.Side&1], !m.Incomplete)
}

// finish ends a body: what it is of is known by its type, so that the request is
// counted, if it was not yet.
func (r *reader) finish(c *dissector.Context, m *httpbody.Message, h *half, complete bool) {
	if h.file != nil {
		r.tell(c, h.file, complete)
	}
	certain := m.Tag&sure != 0
	if certain != m.Response && m.Tag != 0 && (certain || dicomType(m)) {
		r.count(c, m)
	}
	*h = half{}
}

// count counts a request, and tells of the first of its kind.
func (r *reader) count(c *dissector.Context, m *httpbody.Message) {
	c.Sink.Inner("dicomweb")
	r.client = c.Side
	if m.Response {
		r.client = c.Side.Peer()
	}
	tag := m.Tag &^ sure
	for i := range r.services {
		if r.services[i].tag == tag {
			r.services[i].n++
			return
		}
	}
	r.services = append(r.services, used{tag, 1})
	f := dissector.Fact{Protocol: "dicomweb", Kind: "request", Subject: dissector.Subject{Side: r.client}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("service", serviceNames[tag&0xff])
	a.Set("level", levelNames[tag>>levelShift])
	c.Emit(&f)
}

// tell tells of a file.
func (r *reader) tell(c *dissector.Context, file *dicom.File, complete bool) {
	c.Sink.Inner("dicomweb")
	switch {
	case !file.Valid():
		c.Count("dicomweb_not_a_file")
		return
	case r.facts == maxFacts:
		c.Count("dicomweb_facts_skipped")
		return
	}
	r.facts++
	f := dissector.Fact{Protocol: "dicomweb", Kind: "instance", Subject: dissector.Subject{Side: c.Side}}
	file.Describe(c, &f, complete)
	c.Emit(&f)
}

// Close tells what the connection came to.
func (r *reader) Close(c *dissector.Context) {
	if len(r.services) == 0 {
		return
	}
	slices.SortFunc(r.services, func(a, b used) int { return cmp.Compare(a.tag, b.tag) })
	var list []string
	for _, x := range r.services {
		s := serviceNames[x.tag&0xff]
		if l := levelNames[x.tag>>levelShift]; l != "" {
			s += "_" + l
		}
		list = append(list, s+":"+strconv.Itoa(x.n))
	}
	f := dissector.Fact{Protocol: "dicomweb", Kind: "transactions", Subject: dissector.Subject{Side: r.client}}
	f.Attributes.Set("role", "client")
	f.Attributes.SetList("operations", list)
	c.Emit(&f)
}

// Size is about how many bytes are kept.
func (r *reader) Size() int {
	n := 512 + 8*(cap(r.services)+cap(r.seen))
	for i := range r.half {
		h := &r.half[i]
		if h.file != nil {
			n += h.file.Size()
		}
		if h.json != nil {
			n += h.json.size()
		}
		if h.parts != nil {
			n += cap(h.parts.hold) + cap(h.parts.header) + 512
		}
	}
	return n
}

// multipart is where a body of several parts is read (RFC 2046 5.1).
type multipart struct {
	boundary []byte // with what is before it
	hold     []byte // bytes that may be the beginning of a boundary
	header   []byte // of the part in hand, from its boundary on; nil while in its content
	inHeader bool
	n        int
}

// split reads the parts of a body.
func (r *reader) split(c *dissector.Context, h *half, b []byte) bool {
	p := h.parts
	for len(b) > 0 {
		if p.inHeader {
			var more bool
			if b, more = r.head(c, h, b); !more {
				return false
			}
			continue
		}
		all := append(slices.Clone(p.hold), b...)
		i := bytes.Index(all, p.boundary)
		if i < 0 {
			keep := min(len(all), len(p.boundary)-1)
			r.content(c, h, all[:len(all)-keep])
			p.hold = append(p.hold[:0], all[len(all)-keep:]...)
			return true
		}
		r.content(c, h, all[:i])
		r.endPart(c, h)
		b = all[i+len(p.boundary):]
		p.hold, p.inHeader, p.header = p.hold[:0], true, p.header[:0]
	}
	return true
}

// head reads what is between a boundary and a part's content; false at the last
// boundary, and after enough parts.
func (r *reader) head(c *dissector.Context, h *half, b []byte) ([]byte, bool) {
	p := h.parts
	from := len(p.header)
	n := min(len(b), maxHeader-from)
	p.header = append(p.header, b[:n]...)
	if len(p.header) >= 2 && string(p.header[:2]) == "--" {
		return nil, false
	}
	end := bytes.Index(p.header, []byte("\r\n\r\n"))
	if end < 0 {
		if len(p.header) == maxHeader {
			c.Count("dicomweb_header_long")
			return nil, false
		}
		return b[n:], true
	}
	if p.n++; p.n > maxParts {
		c.Count("dicomweb_parts_skipped")
		return nil, false
	}
	head := bytes.ToLower(p.header[:end])
	switch {
	case bytes.Contains(head, []byte("application/dicom+json")):
		h.json = newMetadata(r)
	case bytes.Contains(head, []byte("application/dicom+xml")):
	case bytes.Contains(head, []byte("application/dicom")), !bytes.Contains(head, []byte("content-type")):
		h.file = dicom.NewFile()
	}
	p.inHeader = false
	return b[end+4-from:], true
}

// content takes bytes of a part.

func (r *reader) content(c *dissector.Context, h *half, b []byte) {
	switch {
	case len(b) == 0:
	case h.file != nil:
		if !h.file.Read(c, b) {
			r.tell(c, h.file, true)
			h.file = nil
		}
	case h.json != nil:
		h.json.read(c, b)
	}
}

// endPart ends the part in hand.
func (r *reader) endPart(c *dissector.Context, h *half) {
	if h.file != nil {
		r.tell(c, h.file, true)
	}
	h.file, h.json = nil, nil
}
