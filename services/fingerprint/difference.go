package fingerprint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// sweepSignatures begins the name of a sweep that looks at devices again; what follows
// is the number of the set that they were judged with.
const sweepSignatures = "signatures"

func sweepName(was uint64) string { return sweepSignatures + "/" + strconv.FormatUint(was, 16) }

// sweptFrom reads the number from the name of a sweep; an earlier release gave none.
func sweptFrom(name string) (was uint64, ok bool) {
	_, number, ok := strings.Cut(name, "/")
	if !ok {
		return 0, false
	}
	was, err := strconv.ParseUint(number, 16, 64)
	return was, err == nil
}

// difference is what sets apart two sets of signatures: a device none of whose evidence
// it touches is judged by both alike. Most packs are about few devices, and to see that
// costs a tenth of judging.
type difference struct {
	rules      map[string][]rule // by evidence attribute, those that only one of the sets has
	remembered remembering[bool]
}

// differ compares two sets; nil means that they have to be compared device by device.
func differ(a, b *signatures) *difference {
	same := func(x, y *Pack) bool { return x.Name == y.Name && x.sum == y.sum }
	in := func(list []*Pack, p *Pack) bool {
		return slices.ContainsFunc(list, func(x *Pack) bool { return same(x, p) })
	}
	var only []*Pack
	split := func(list, other []*Pack) (common []*Pack) {
		for _, p := range list {
			if in(other, p) {
				common = append(common, p)
			} else {
				only = append(only, p)
			}
		}
		return common
	}
	// The order of rules decides between systems that one piece of evidence names.
	if !slices.EqualFunc(split(a.packs, b.packs), split(b.packs, a.packs), same) {
		return nil
	}
	rules := emptySignatures()
	rules.category, rules.criticality, rules.makers = a.category, a.criticality, a.makers
	for _, p := range only {
		if err := rules.add(p); err != nil {
			return nil
		}
	}
	return &difference{rules: rules.rules}
}

// touches reports whether a rule of only one of the sets matches any of the evidence.
func (d *difference) touches(all []*proto.Summary) bool {
	for _, s := range all {
		for i := range s.Evidence {
			if e := &s.Evidence[i]; len(d.rules[e.Attribute]) > 0 && d.matches(e.Attribute, e.Value) {
				return true
			}
		}
		// What the maker of the interface is taken for is no evidence of the summary.
		if d.rules["oui_vendor"] == nil && d.rules["manufacturer"] == nil {
			continue
		}
		if maker := ieee().registrant(s.MAC); maker != "" && (d.matches("oui_vendor", maker) || d.matches("manufacturer", maker)) {
			return true
		}
	}
	return false
}

func (d *difference) matches(attribute, value string) bool {
	return d.remembered.of(attribute, value, d.match)
}

func (d *difference) match(attribute, value string) bool {
	lower := strings.ToLower(value)
	return slices.ContainsFunc(d.rules[attribute], func(r rule) bool {
		return strings.HasPrefix(lower, r.starts) && r.is.MatchString(value)
	})
}
