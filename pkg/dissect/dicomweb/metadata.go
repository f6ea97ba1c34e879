package dicomweb

import (
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dicom"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/jsonwalk"
)

// metadata reads the DICOM JSON model (PS3.18 F.2): an array of data sets, or one, each
// {"00080070": {"vr": "LO", "Value": ["ACME"]}, ...}.
type metadata struct {
	r      *reader
	c      *dissector.Context
	scan   *jsonwalk.Scanner
	base   int    // depth of the elements of a data set: 1, or 2 in an array
	tag    uint32 // of the element in hand
	values map[string]string
	guard  dissector.Guard
}

const maxText = 256

func newMetadata(r *reader) *metadata {
	m := &metadata{r: r}
	m.scan = jsonwalk.New(m)
	return m
}

func (m *metadata) read(c *dissector.Context, b []byte) bool {
	m.c = c
	more := m.scan.Read(b)
	m.c = nil
	if m.scan.Damaged() {
		c.Count("dicomweb_metadata_malformed")
	}
	return more
}

func (m *metadata) size() int { return m.scan.Size() + m.guard.Size() + 96*len(m.values) + 128 }

// Open begins a data set, or the element of one.
func (m *metadata) Open(s *jsonwalk.Scanner, array bool) {
	switch {
	case s.Depth() == 0:
		m.base = 1
		if array {
			m.base = 2
		}
	case s.Depth() == m.base && !array:
		m.tag = 0
		if b, err := hex.DecodeString(string(s.Key(0))); err == nil && len(b) == 4 {
			m.tag = binary.BigEndian.Uint32(b)
		}
	}
}

// Want wants the values of the listed elements, and of persons to compare with.
func (m *metadata) Want(s *jsonwalk.Scanner) int {
	if s.Depth() < m.base+2 || m.tag == 0 || string(s.Key(s.Depth()-1-m.base)) != "Value" {
		return 0
	}
	switch {
	case dicom.Person(m.tag):
		return 512
	case s.Depth() == m.base+2 && dicom.Attribute(m.tag) != "":
		return maxText
	}
	return 0
}

// Value takes one; of several values the first.
func (m *metadata) Value(_ *jsonwalk.Scanner, v []byte) {
	if dicom.Person(m.tag) {
		m.guard.Add(v)
		return
	}
	name := dicom.Attribute(m.tag)
	if m.values == nil {
		m.values = map[string]string{}
	}
	if m.values[name] == "" {
		m.values[name] = dissector.Text(v, maxText)
	}
}

// Close tells of a data set that names a device, once for each device.
func (m *metadata) Close(s *jsonwalk.Scanner, array bool) {
	if array || s.Depth() != m.base-1 {
		return
	}
	defer func() {
		clear(m.values)
		m.guard.Reset()
	}()
	f := dissector.Fact{Protocol: "dicomweb", Kind: "metadata", Subject: dissector.Subject{Side: m.c.Side}}
	a := &f.Attributes
	for name, v := range m.values {
		switch {
		case m.guard.Holds(v):
			m.c.Count("dicom_identity_withheld")
		case name == "device_uid":
			a.Set(name, dicom.IsUID([]byte(v)))
		case name == "mpps_status":
			a.Set(name, dicom.Status(v))
		default:
			a.Set(name, v)
		}
	}
	if a.Get("manufacturer") == "" && a.Get("model") == "" && a.Get("serial") == "" && a.Get("station_name") == "" && a.Get("device_uid") == "" {
		return
	}
	var d xxhash.Digest
	d.Reset()
	for _, x := range *a {
		_, _ = d.WriteString(x.Name + "=" + a.Get(x.Name) + "\x00")
	}
	sum := d.Sum64()
	if slices.Contains(m.r.seen, sum) {
		return
	}
	if len(m.r.seen) == maxFacts {
		m.c.Count("dicomweb_facts_skipped")
		return
	}
	m.r.seen = append(m.r.seen, sum)
	m.c.Sink.Inner("dicomweb")
	m.c.Emit(&f)
}
