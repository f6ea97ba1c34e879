package behaviour

import (
	"math"
	"slices"
)

// Likeness is how much of what a device does the members of a type do, and the
// other way round: the weighted Jaccard index of its kinds of events and facts and
// those of the type, each of the type's counted by the share of members that have
// it, each weighted by how few types have it. 1 is the same; a device of a type
// that was never learned has things that no type has, and lacks some that all have.
//
// A forest cannot see this: it asks only for what told its types apart.

// profile is what members of a type have: by term of the vocabulary, how many.
type profile struct {
	members int
	has     []uint16 // marks, then facts
}

// terms are the terms of a sample, as indices into the vocabulary, and how many
// kinds and facts it has that are not in it.
func (v *vocabulary) terms(x *Sample) (known []int, unknown float64) {
	for i := range x.Sketch.marks {
		m := &x.Sketch.marks[i]
		if v.group&Timing == 0 {
			break
		}
		if k := find(v.marks, m.key); k >= 0 {
			known = append(known, k)
		} else {
			unknown++
		}
	}
	for _, h := range x.facts(v.group) {
		if k := find(v.facts, h); k >= 0 {
			known = append(known, len(v.marks)+k)
		} else {
			unknown++
		}
	}
	return known, unknown
}

// profiles counts terms by type.
func (v *vocabulary) profiles(samples []*Sample, class []int32, classes int) []profile {
	list := make([]profile, classes)
	for c := range list {
		list[c].has = make([]uint16, len(v.marks)+len(v.facts))
	}
	for i, x := range samples {
		p := &list[class[i]]
		p.members++
		known, _ := v.terms(x)
		for _, k := range known {
			p.has[k]++
		}
	}
	return list
}

// weights is by term how much it tells: the logarithm of one over the share of
// types that have it (K. Spärck Jones, 1972), smoothed so that none is zero.
func weights(list []profile) []float64 {
	if len(list) == 0 {
		return nil
	}
	w := make([]float64, len(list[0].has))
	for k := range w {
		sum := 0.0
		for c := range list {
			if list[c].members > 0 {
				sum += float64(list[c].has[k]) / float64(list[c].members)
			}
		}
		w[k] = math.Log1p(float64(len(list)) / max(sum, 0.05))
	}
	return w
}

// unknownWeight is what a term weighs that no type has, as a share of what one
// weighs that a single type has: some are ports chosen at random.
const unknownWeight = 0.3

// like gives the likeness of terms to a type; without takes one member with the
// very terms out of the type first.
func (p *profile) like(w []float64, classes int, known []int, unknown float64, without bool) float64 {
	members, less := p.members, uint16(0)
	if without {
		members, less = members-1, 1
	}
	if members <= 0 {
		return 0
	}
	both, either := 0.0, unknown*unknownWeight*math.Log1p(float64(classes))
	for k := range p.has {
		share := 0.0
		own := slices.Contains(known, k)
		if own {
			share = float64(p.has[k]-less) / float64(members)
			both += share * w[k]
			either += w[k]
			continue
		}
		share = float64(p.has[k]) / float64(members)
		either += share * share * w[k] // what few members have is missed little
	}
	if either == 0 {
		return 0
	}
	return both / either
}

// identities are the attributes by which software names the product that it is
// in. A device that names another than all members of a type do is not of it.
var identities = func() map[byte]bool {
	m := map[byte]bool{}
	for _, name := range []string{
		"dhcp hostname", "dhcp vendor_class", "mdns model", "mdns hostname", "ssdp device_type", "ssdp server", "http user_agent", "tls ja4",
	} {
		m[byte(hash([]byte(name)))] = true
	}
	return m
}()

// mostMembers is the share of members that must name a product for its name to count.
const mostMembers = 0.8

// stranger reports whether the device names itself otherwise than the type: it has
// values of an identity, none of which a member has, though most members have some.
func (v *vocabulary) stranger(p *profile, facts []uint32) bool {
	type count struct {
		said, shared bool
	}
	of := map[byte]*count{}
	for _, h := range facts {
		a := byte(h)
		if !identities[a] {
			continue
		}
		if of[a] == nil {
			of[a] = &count{}
		}
		of[a].said = true
		if k := find(v.facts, h); k >= 0 && p.has[len(v.marks)+k] > 0 {
			of[a].shared = true
		}
	}
	for a, c := range of {
		if !c.said || c.shared {
			continue
		}
		best := uint16(0) // at least as many members have the attribute
		for k := range v.facts {
			if byte(v.facts[k].key) == a {
				best = max(best, p.has[len(v.marks)+k])
			}
		}
		if float64(best) >= mostMembers*float64(p.members) {
			return true
		}
	}
	return false
}
