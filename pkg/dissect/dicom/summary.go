package dicom

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of what is counted of an association.
const (
	maxStudies  = 64
	maxSeries   = 256 // of a study
	maxStatuses = 16
)

// tally is what an association came to.
type tally struct {
	operations []counter
	statuses   []counter
	instances  int
	studies    []study
	more       bool // studies beyond maxStudies
}

type counter struct {
	what string
	n    int
}

// study are the images of one study that one side stored.
type study struct {
	side     dissector.Side
	id       string // a pseudonym
	modality string
	series   []uint64 // hashes
	images   int
}

func (t *tally) size() int {
	n := 32 * (cap(t.operations) + cap(t.statuses))
	for i := range t.studies {
		n += 96 + 8*cap(t.studies[i].series)
	}
	return n
}

func count(list []counter, what string, limit int) []counter {
	for i := range list {
		if list[i].what == what {
			list[i].n++
			return list
		}
	}
	if len(list) == limit {
		return list
	}
	return append(list, counter{what, 1})
}

// request counts a request, and the image that it stores.
func (t *tally) request(c *dissector.Context, m *message, kind string, a *proto.Attributes) {
	t.operations = count(t.operations, kind, len(kinds)+1)
	if kind != "c_store" {
		return
	}
	t.instances++
	id := a.Get("study")
	if id == "" {
		return
	}
	var s *study
	for i := range t.studies {
		if t.studies[i].id == id && t.studies[i].side == c.Side {
			s = &t.studies[i]
		}
	}
	if s == nil {
		if len(t.studies) == maxStudies {
			t.more = true
			return
		}
		t.studies = append(t.studies, study{side: c.Side, id: id})
		s = &t.studies[len(t.studies)-1]
	}
	s.images++
	if s.modality == "" {
		s.modality = a.Get("modality")
	}
	if m.series != 0 && len(s.series) < maxSeries && !slices.Contains(s.series, m.series) {
		s.series = append(s.series, m.series)
	}
}

func (t *tally) response(status uint16) {
	t.statuses = count(t.statuses, fmt.Sprintf("%04x", status), maxStatuses)
}

func counts(list []counter) (out []string) {
	slices.SortFunc(list, func(a, b counter) int { return cmp.Compare(a.what, b.what) })
	for _, x := range list {
		out = append(out, x.what+":"+strconv.Itoa(x.n))
	}
	return out
}

// tell sums the association up, once: when it is released or aborted, or its
// connection is over.
func (s *stream) tell(c *dissector.Context) {
	t := &s.assoc.tally
	if len(t.operations) == 0 && len(t.statuses) == 0 {
		return
	}
	f := dissector.Fact{Kind: "association", Subject: dissector.Subject{Side: s.assoc.requester}}
	a := &f.Attributes
	s.assoc.titles(a)
	a.Set("role", "scu")
	a.SetList("operations", counts(t.operations))
	a.SetList("statuses", counts(t.statuses))
	if t.instances > 0 {
		a.Set("instances_count", strconv.Itoa(t.instances))
		a.Set("studies_count", strconv.Itoa(len(t.studies)))
	}
	if t.more {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
	for i := range t.studies {
		x := &t.studies[i]
		f := dissector.Fact{Kind: "study", Subject: dissector.Subject{Side: x.side}}
		a := &f.Attributes
		s.assoc.titles(a)
		a.Set("study", x.id)
		a.Set("modality", x.modality)
		a.Set("images_count", strconv.Itoa(x.images))
		if len(x.series) > 0 {
			a.Set("series_count", strconv.Itoa(len(x.series)))
		}
		c.Emit(&f)
	}
	s.assoc.tally = tally{}
}
