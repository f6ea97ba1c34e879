package fhir

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
	"github.com/wardflow/wardflow/pkg/dissect/jsonwalk"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

// The bounds of a connection.
const (
	maxInteractions = 64
	maxFacts        = 64
	maxProbe        = 256 // bytes of JSON of unknown kind, in which "resourceType" has to stand
)

// reader reads the bodies of one connection.
type reader struct {
	half         [2]half
	interactions []used
	resources    map[int]int
	linked       int
	client       dissector.Side
	known        bool     // FHIR it is
	seen         []uint64 // hashes of what was told
}

// used is an interaction with a type that was seen.
type used struct {
	tag uint32
	n   int
}

// half is the body in hand of one direction.
type half struct {
	begun, lines bool
	probe        []byte // of JSON that may be anything
	doc          *document
}

// Body gives the bytes to the document.
func (r *reader) Body(c *dissector.Context, m *httpbody.Message, b []byte) bool {
	h := &r.half[c.Side&1]
	if !h.begun {
		h.begun = true
		switch {
		case bytes.Contains(m.Type, []byte("xml")):
			h.doc = newDocument(r)
			h.doc.xml = &xmlscan.Scanner{Vocabulary: vocabulary}
			h.doc.names = make([]xmlscan.Name, 0, 64)
		case fhirType(m.Type):
			h.lines = bytes.Contains(m.Type, []byte("ndjson"))
			h.newJSON(r)
		case jsonType(m.Type):
			h.probe = make([]byte, 0, maxProbe)
		default:
			r.finish(c, m, h)
			return false
		}
	}
	if h.probe != nil {
		n := min(len(b), maxProbe-len(h.probe))
		h.probe = append(h.probe, b[:n]...)
		b = b[n:]
		switch {
		case bytes.Contains(h.probe, []byte(`"resourceType"`)):
			p := h.probe
			h.probe = nil
			h.newJSON(r)
			h.doc.read(c, p)
		case len(h.probe) == maxProbe:
			h.probe = nil
			r.finish(c, m, h)
			return false
		default:
			return true
		}
	}
	if h.lines {
		r.split(c, h, b)
		return true
	}
	if len(b) == 0 || h.doc.read(c, b) {
		return true
	}
	r.finish(c, m, h)
	return false
}

func (h *half) newJSON(r *reader) {
	h.doc = newDocument(r)
	h.doc.json = jsonwalk.New(h.doc)
}

// split reads documents of a line each.
func (r *reader) split(c *dissector.Context, h *half, b []byte) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			h.doc.read(c, b)
			return
		}
		h.doc.read(c, b[:i])
		r.tell(c, h.doc)
		h.newJSON(r)
		b = b[i+1:]
	}
}

// End tells of the document in hand.
func (r *reader) End(c *dissector.Context, m *httpbody.Message) { r.finish(c, m, &r.half[c.Side&1]) }

// finish ends a body. A request that is FHIR's beyond doubt is counted by itself, another
// when its response shows what it was.
func (r *reader) finish(c *dissector.Context, m *httpbody.Message, h *half) {
	if h.doc != nil {
		r.tell(c, h.doc)
	}
	certain := m.Tag&sure != 0
	if certain != m.Response && m.Tag != 0 && (certain || h.doc != nil && r.known || fhirType(m.Type)) {
		r.count(c, m)
	}
	*h = half{}
}

// is remembers that it is FHIR.
func (r *reader) is(c *dissector.Context) {
	if !r.known {
		r.known = true
		c.Sink.Inner("fhir")
	}
}

func (r *reader) count(c *dissector.Context, m *httpbody.Message) {
	r.is(c)
	r.client = c.Side
	if m.Response {
		r.client = c.Side.Peer()
	}
	tag := m.Tag &^ sure
	for i := range r.interactions {
		if r.interactions[i].tag == tag {
			r.interactions[i].n++
			return
		}
	}
	if len(r.interactions) == maxInteractions {
		c.Count("fhir_interactions_skipped")
		return
	}
	r.interactions = append(r.interactions, used{tag, 1})
	f := dissector.Fact{Protocol: "fhir", Kind: "request", Subject: dissector.Subject{Side: r.client}}
	a := &f.Attributes
	a.Set("role", "client")
	a.Set("interaction", interactions[tag&0xff])
	if k := tag >> typeShift; k != 0 {
		a.Set("resource_type", typeNames[k])
	}
	c.Emit(&f)
}

// tell tells what a whole document says of devices and of software. Of one that is cut
// nothing is told: a person may have stood in the rest.
func (r *reader) tell(c *dissector.Context, d *document) {
	if len(d.counts) == 0 {
		return
	}
	if r.resources == nil {
		r.resources = map[int]int{}
	}
	for k, n := range d.counts {
		r.resources[k] += n
		if k != 0 {
			r.is(c)
		}
	}
	r.linked += d.linked
	switch {
	case d.skipped:
		c.Count("fhir_devices_skipped")
	case !d.whole() && len(d.done) > 0:
		c.Count("fhir_incomplete")
	}
	if !d.whole() {
		return
	}
	for i := range d.done {
		if f := d.fact(c, &d.done[i]); f != nil && r.news(c, f) {
			c.Emit(f)
		}
	}
}

// news reports whether a fact was not told yet.
func (r *reader) news(c *dissector.Context, f *dissector.Fact) bool {
	var x xxhash.Digest
	x.Reset()
	_, _ = x.WriteString(f.Kind)
	for _, a := range f.Attributes {
		_, _ = x.WriteString("\x00" + a.Name + "=" + f.Attributes.Get(a.Name))
	}
	sum := x.Sum64()
	if slices.Contains(r.seen, sum) {
		return false
	}
	if len(r.seen) == maxFacts {
		c.Count("fhir_devices_skipped")
		return false
	}
	r.seen = append(r.seen, sum)
	return true
}

// Close tells what the connection came to.
func (r *reader) Close(c *dissector.Context) {
	if !r.known {
		return
	}
	f := dissector.Fact{Protocol: "fhir", Kind: "transactions", Subject: dissector.Subject{Side: r.client}}
	a := &f.Attributes
	a.Set("role", "client")
	slices.SortFunc(r.interactions, func(a, b used) int { return cmp.Compare(a.tag, b.tag) })
	var list []string
	for _, x := range r.interactions {
		s := interactions[x.tag&0xff]
		if k := x.tag >> typeShift; k != 0 {
			s += " " + typeNames[k]
		}
		list = append(list, s+":"+strconv.Itoa(x.n))
	}
	a.SetList("operations", list)
	list = nil
	for k, name := range typeNames {
		if n := r.resources[k]; n > 0 {
			list = append(list, name+":"+strconv.Itoa(n))
		}
	}
	a.SetList("resource_types", list)
	if r.linked > 0 {
		a.Set("device_observations", strconv.Itoa(r.linked))
	}
	c.Emit(&f)
}

// Size is about how many bytes are kept.
func (r *reader) Size() int {
	n := 512 + 16*cap(r.interactions) + 16*len(r.resources) + 8*cap(r.seen)
	for i := range r.half {
		n += cap(r.half[i].probe)
		if d := r.half[i].doc; d != nil {
			n += d.size()
		}
	}
	return n
}
