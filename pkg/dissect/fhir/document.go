package fhir

import (
	"bytes"
	"unicode/utf8"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/jsonwalk"
	"github.com/wardflow/wardflow/pkg/dissect/xmlscan"
)

// The bounds of a document.
const (
	maxOpen    = 6   // resources inside of resources
	maxDevices = 16  // that are told
	maxText    = 128 // bytes of a value
	maxPath    = 96
)

// document is the one in hand of one direction.
type document struct {
	c       *dissector.Context // during a call
	r       *reader
	json    *jsonwalk.Scanner
	xml     *xmlscan.Scanner
	open    []resource
	names   []xmlscan.Name // of the elements that are open, in XML
	done    []resource     // devices and capabilities, until the document ends
	counts  map[int]int    // resources by type
	linked  int            // observations of a device
	guard   dissector.Guard
	path    []byte
	skipped bool // devices beyond maxDevices
}

// resource is one that is open.
type resource struct {
	depth  int
	kind   int
	values [fieldCount]string
}

func newDocument(r *reader) *document { return &document{r: r, counts: map[int]int{}} }

// read takes the next bytes; false says that the rest is of no use.
func (d *document) read(c *dissector.Context, b []byte) (more bool) {
	d.c = c
	switch {
	case d.json != nil:
		damaged := d.json.Damaged()
		if more = d.json.Read(b); d.json.Damaged() && !damaged {
			c.Count("fhir_malformed")
		}
	case d.xml != nil:
		d.xml.Write(d, b)
		more = true
	}
	d.c = nil
	return more
}

// whole reports whether the document was read to its end.
func (d *document) whole() bool {
	if d.json != nil {
		return d.json.Whole()
	}
	return d.xml != nil && len(d.counts) > 0 && d.xml.Depth() == 0
}

func (d *document) size() int {
	n := 1024 + d.guard.Size() + 512*(cap(d.open)+cap(d.done)) + 16*len(d.counts)
	if d.json != nil {
		n += d.json.Size()
	}
	if d.xml != nil {
		n += d.xml.Size()
	}
	return n
}

// begin opens a resource, end closes the last.
func (d *document) begin(depth, kind int) {
	if len(d.open) < maxOpen {
		d.open = append(d.open, resource{depth: depth, kind: kind})
	}
}

func (d *document) end() {
	x := d.open[len(d.open)-1]
	d.open = d.open[:len(d.open)-1]
	d.counts[x.kind]++
	if x.kind == observationType && x.values[observing] != "" {
		d.linked++
	}
	switch x.kind {
	case deviceType, metricType, capabilityType, conformanceType:
		if len(d.done) == maxDevices {
			d.skipped = true
			return
		}
		d.done = append(d.done, x)
	}
}

// take takes a value at d.path in the resource in hand.
func (d *document) take(v []byte) {
	x := &d.open[len(d.open)-1]
	f := fieldOf(d.path, x.kind)
	switch f {
	case nothing:
	case resourceType:
		x.kind = types[string(v)]
	case person:
		d.hide(v)
	case ofPatient, observing:
		x.values[f] = "yes" // whose it is, is nobody's business
	default:
		if x.values[f] == "" {
			x.values[f] = dissector.Text(v, maxText)
		}
		if persons[x.kind] && (f == name || f == identifier) {
			d.hide(v)
		}
	}
}

func (d *document) hide(v []byte) {
	d.guard.Add(v)
	if !utf8.Valid(v) {
		d.guard.Add(bytes.ToValidUTF8(v, []byte("?")))
	}
}

// extend adds a step to the path in hand.
func (d *document) extend(step []byte) {
	if len(d.path)+1+len(step) > maxPath {
		d.path = append(d.path[:0], '?') // none that is known
		return
	}
	if len(d.path) > 0 {
		d.path = append(d.path, '.')
	}
	d.path = append(d.path, step...)
}

// Open is jsonwalk's: an object that is a resource is the document itself, the resource
// of an entry or parameter, or a contained one.
func (d *document) Open(s *jsonwalk.Scanner, array bool) {
	if array {
		return
	}
	key := string(s.Name())
	if s.Depth() == 0 || key == "resource" || key == "contained" && s.Array(0) {
		d.begin(s.Depth()+1, 0)
	}
}

// Close ends a resource.
func (d *document) Close(s *jsonwalk.Scanner, array bool) {
	if n := len(d.open); !array && n > 0 && d.open[n-1].depth == s.Depth()+1 {
		d.end()
	}
}

// Want finds out where the scanner is.
func (d *document) Want(s *jsonwalk.Scanner) int {
	if len(d.open) == 0 {
		return 0
	}
	x := &d.open[len(d.open)-1]
	d.path = d.path[:0]
	for out := s.Depth() - x.depth; out >= 0; out-- {
		if !s.Array(out) {
			d.extend(s.Key(out))
		}
	}
	if fieldOf(d.path, x.kind) == nothing {
		return 0
	}
	return 512
}

// Value takes what was wanted.
func (d *document) Value(_ *jsonwalk.Scanner, v []byte) { d.take(v) }

// Start is xmlscan's: a resource is an element with a type's name; values are
// attributes.
func (d *document) Start(s *xmlscan.Scanner) {
	n := s.Depth()
	if n == 0 || n > cap(d.names) {
		return
	}
	d.names = d.names[:n]
	d.names[n-1] = s.Name()
	if kind := types[elementNames[s.Name()]]; kind != 0 && (n == 1 && s.Space() == 1 || n > 1 && d.holder(d.names[n-2])) {
		d.begin(n, kind)
		return
	}
	if len(d.open) == 0 || s.Name() == 0 {
		s.Skip()
		return
	}
	v := s.Attr("value")
	if v == nil {
		return
	}
	d.path = d.path[:0]
	for _, x := range d.names[d.open[len(d.open)-1].depth:] {
		d.extend([]byte(elementNames[x]))
	}
	d.take(v)
}

func (d *document) holder(n xmlscan.Name) bool {
	s := elementNames[n]
	return s == "resource" || s == "contained"
}

// End ends a resource.
func (d *document) End(s *xmlscan.Scanner) {
	if n := len(d.open); n > 0 && d.open[n-1].depth == s.Depth() {
		d.end()
	}
}

// Broken gives the document up.
func (d *document) Broken() {
	if d.c != nil {
		d.c.Count("fhir_malformed")
	}
	d.open, d.done = d.open[:0], d.done[:0]
}
