package behaviour

import "slices"

// specialist tells the types of a family apart: those that the forests took for
// each other, among samples they had not seen. It is a forest of these types alone,
// whose splits are not spent on telling them from all others.
type specialist struct {
	classes []int32 // sorted
	forest  forest
}

// decide gives what the family's types have of the votes to them as the specialist
// says.
func (s *specialist) decide(votes, said []float32) {
	all, sum := float32(0), float32(0)
	for _, c := range s.classes {
		all += votes[c]
		sum += said[c]
	}
	for _, c := range s.classes {
		votes[c] = all * said[c] / sum
	}
}

// specialise finds families in the votes about samples that the voters had not
// seen, trains a specialist for each, and amends the votes by its word.
func (m *Model) specialise(t *table, votes [][]float32, o Options) {
	for k, classes := range families(t, votes) {
		s := specialist{classes: classes}
		some := &table{classes: t.classes, columns: make([][]float32, len(t.columns))}
		at := make([]int, len(t.class)) // of each sample, where it is among those of the family
		for i, c := range t.class {
			at[i] = -1
			if !slices.Contains(classes, c) {
				continue
			}
			at[i] = len(some.class)
			some.class = append(some.class, c)
			for j := range t.columns {
				some.columns[j] = append(some.columns[j], t.columns[j][i])
			}
		}
		var said [][]float32
		s.forest, said = some.grow(o.Trees, some.varying(), o.Columns, o.Seed+uint64(k+len(m.forests))<<32)
		for i := range votes {
			if at[i] >= 0 {
				s.decide(votes[i], said[at[i]])
				continue
			}
			s.decide(votes[i], s.forest.votes(t.classes, func(c int32) float32 { return t.columns[c][i] }))
		}
		m.families = append(m.families, s)
	}
}

// varying are the columns in which samples differ.
func (t *table) varying() (list []int32) {
	for c, values := range t.columns {
		if slices.Min(values) != slices.Max(values) {
			list = append(list, int32(c))
		}
	}
	return list
}

// families joins types of which one is taken for the other in familyShare of its
// samples or more.
func families(t *table, votes [][]float32) [][]int32 {
	samples := make([]int, t.classes)
	taken := make([][]int, t.classes)
	for c := range taken {
		taken[c] = make([]int, t.classes)
	}
	for i, c := range t.class {
		samples[c]++
		taken[c][most(votes[i])]++
	}
	root := make([]int, t.classes)
	for c := range root {
		root[c] = c
	}
	for c := range taken {
		for o, n := range taken[c] {
			if c == o || float64(n) < familyShare*float64(samples[c]) || n == 0 {
				continue
			}
			from, to := max(root[c], root[o]), min(root[c], root[o])
			for k := range root {
				if root[k] == from {
					root[k] = to
				}
			}
		}
	}
	var out [][]int32
	for r := range root {
		var members []int32
		for c := range root {
			if root[c] == r {
				members = append(members, int32(c))
			}
		}
		if len(members) > 1 {
			out = append(out, members)
		}
	}
	return out
}
