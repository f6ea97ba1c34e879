package fingerprint

import (
	"cmp"
	"math"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// Reason is evidence that speaks for the value of a fact.
type Reason struct {
	proto.Evidence
	Votes float64 // the weight with which it does, 0..1
}

// Reasons are those for the value that a device shows of an attribute, by the
// signatures of the program and the packs given: the weightiest first.
func Reasons(d *proto.Device, attribute string, packs ...*Pack) []Reason {
	f := d.Fact(attribute)
	if f == nil {
		return nil
	}
	s := newSignatureSets(packs).base
	key := s.key(attribute, f.Value)
	var out []Reason
	for i := range d.Evidence {
		v := &d.Evidence[i]
		for _, m := range s.means(v.Attribute, v.Value) {
			if m.attribute == attribute && m.key == key || attribute == "category" && m.attribute == "type" && s.category[m.key] == f.Value {
				out = append(out, Reason{*v, math.Round(m.weight*v.Weight*1e4) / 1e4})
				break
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Reason) int { return cmp.Compare(b.Votes, a.Votes) })
	return out
}

// FactNames are the attributes that evidence speaks for.
func FactNames() []string { return slices.Clone(factNames) }
