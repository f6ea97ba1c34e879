package behaviour

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Options say how a model is made.
type Options struct {
	Groups  Group   // 0: Timing and Content
	Trees   int     // 0: 160
	Columns float64 // columns a split may choose from, times the square root of all; 0: 2
	Seed    uint64
}

func (o Options) defaults() Options {
	if o.Groups == 0 {
		o.Groups = Timing | Content
	}
	if o.Trees <= 0 {
		o.Trees = defaultTrees
	}
	if o.Columns <= 0 {
		o.Columns = defaultColumns
	}
	return o
}

// Provenance says of what a model was made.
type Provenance struct {
	Date    string `json:"date"`    // as told, YYYY-MM-DD
	Source  string `json:"source"`  // of the captures, as told
	Samples int    `json:"samples"` // captures
	SHA256  string `json:"sha256"`  // over their names and contents, sorted by name
	Seed    uint64 `json:"seed"`
	Version int    `json:"version"` // of the features
}

// Version counts the changes of what the columns mean; a model of another is not read.
const Version = 1

// Model is a trained classifier.
type Model struct {
	Provenance Provenance
	Labels     []string

	vocabulary *vocabulary
	forests    []forest // see experts
	families   []specialist
	steps      []step
	profiles   []profile
	floors     []float32
	weights    []float64
}

// Decision is what a model says of a device.
type Decision struct {
	Label      string  // the type that it is most like, whether rejected or not
	Confidence float64 // that Label is right, if the type is among those learned
	Rejected   bool    // it is most likely of no type that was learned
	Likeness   float64
	Votes      float64
	Features   []Feature // what spoke for it most, the strongest first; see Model.Explain

	class int32
}

// ErrNothingShared says that there is nothing to learn from.
var ErrNothingShared = errors.New("train: the samples have nothing in common: no message, flow or announcement of the devices is in two of them")

// Feature is a feature of a device, and by how much it raised the votes for a type
// on the way down the trees.
type Feature struct {
	Name  string
	Share float64
}

// Train makes a model of samples.
func Train(samples []*Sample, o Options) (*Model, error) {
	o = o.defaults()
	m := &Model{Provenance: Provenance{Samples: len(samples), Seed: o.Seed, Version: Version}}
	for _, x := range samples {
		m.Labels = append(m.Labels, x.Label)
	}
	slices.Sort(m.Labels)
	m.Labels = slices.Compact(m.Labels)
	if len(m.Labels) < 2 {
		return nil, fmt.Errorf("train: %d types in %d samples: at least two are needed, each a folder of captures", len(m.Labels), len(samples))
	}
	m.vocabulary = newVocabulary(samples, o.Groups)
	if m.vocabulary.width == 0 {
		return nil, ErrNothingShared
	}
	t := &table{class: make([]int32, len(samples)), classes: len(m.Labels), columns: make([][]float32, m.vocabulary.width)}
	for c := range t.columns {
		t.columns[c] = make([]float32, len(samples))
	}
	for i, x := range samples {
		at, _ := slices.BinarySearch(m.Labels, x.Label)
		t.class[i] = int32(at)
		for c, value := range m.vocabulary.vector(x) {
			t.columns[c][i] = value
		}
	}
	votes := make([][]float32, len(samples))
	for k, columns := range m.vocabulary.experts() {
		f, said := t.grow(o.Trees, columns, o.Columns, o.Seed+uint64(k)<<32)
		m.forests = append(m.forests, f)
		for i := range said {
			votes[i] = agree(votes[i], said[i])
		}
	}
	for i := range votes {
		normal(votes[i])
	}
	m.specialise(t, votes, o)
	top, right := make([]float32, len(samples)), make([]bool, len(samples))
	for i := range samples {
		c := most(votes[i])
		top[i], right[i] = votes[i][c], c == int(t.class[i])
	}
	m.steps = calibrate(top, right)
	m.profiles = m.vocabulary.profiles(samples, t.class, t.classes)
	m.weights = weights(m.profiles)
	m.floors = m.findFloors(samples, t.class)
	return m, nil
}

// The forests are experts, each of one kind of feature, and their votes are
// multiplied (G. E. Hinton, Products of experts, 1999): where one cannot tell, it
// leaves the word to the other. A vote of none counts as doubt, not as a veto.
const doubt = 0.02

// experts are the columns of each forest.
func (v *vocabulary) experts() (list [][]int32) {
	facts := v.width - len(v.facts)
	for _, r := range [...][2]int{{0, facts}, {facts, v.width}} {
		var columns []int32
		for c := r[0]; c < r[1]; c++ {
			columns = append(columns, int32(c))
		}
		if len(columns) > 0 {
			list = append(list, columns)
		}
	}
	return list
}

// agree multiplies votes; nil is one of each.
func agree(a, b []float32) []float32 {
	if a == nil {
		a = make([]float32, len(b))
		for c := range a {
			a[c] = 1
		}
	}
	for c := range a {
		a[c] *= b[c] + doubt
	}
	return a
}

// normal makes the sum of votes one.
func normal(votes []float32) {
	sum := float32(0)
	for _, v := range votes {
		sum += v
	}
	for c := range votes {
		votes[c] /= sum
	}
}

func (f forest) votes(classes int, value func(column int32) float32) []float32 {
	votes := make([]float32, classes)
	for _, t := range f {
		t.vote(votes, value)
	}
	for c := range votes {
		votes[c] /= float32(len(f))
	}
	return votes
}

func most(votes []float32) int {
	at := 0
	for c, v := range votes {
		if v > votes[at] {
			at = c
		}
	}
	return at
}

// A decision is rejected that is too little like the type decided for, or too
// doubtful. The floor of a type is a share of what its own members reach when each
// is compared with the others.
const (
	floorShare    = 0.8
	floorQuantile = 0.1
	minConfidence = 0.5
	minLikeness   = 0.33 // whatever a type's own members reach: who does little is like many
)

func (m *Model) findFloors(samples []*Sample, class []int32) []float32 {
	of := make([][]float64, len(m.Labels))
	for i, x := range samples {
		known, unknown := m.vocabulary.terms(x)
		c := class[i]
		of[c] = append(of[c], m.profiles[c].like(m.weights, len(m.Labels), known, unknown, true))
	}
	floors := make([]float32, len(m.Labels))
	for c, list := range of {
		slices.Sort(list)
		floors[c] = float32(max(minLikeness, floorShare*list[int(floorQuantile*float64(len(list)))]))
	}
	return floors
}

// Decide classifies a device.
func (m *Model) Decide(x *Sample) Decision {
	row := m.vocabulary.vector(x)
	value := func(c int32) float32 { return row[c] }
	var votes []float32
	for _, f := range m.forests {
		votes = agree(votes, f.votes(len(m.Labels), value))
	}
	normal(votes)
	for i := range m.families {
		s := &m.families[i]
		s.decide(votes, s.forest.votes(len(m.Labels), value))
	}
	c := most(votes)
	vote := votes[c]
	d := Decision{Label: m.Labels[c], Votes: float64(vote), Confidence: round(float64(confidence(m.steps, vote))), class: int32(c)}
	known, unknown := m.vocabulary.terms(x)
	d.Likeness = m.profiles[c].like(m.weights, len(m.Labels), known, unknown, false)
	d.Rejected = x.Sketch.Empty() || m.vocabulary.stranger(&m.profiles[c], x.facts(m.vocabulary.group)) || d.Confidence < minConfidence || d.Likeness < float64(m.floors[c])
	return d
}

// maxFeatures is how many features explain a decision.
const maxFeatures = 5

// Explain fills in the features that spoke for a decision.
func (m *Model) Explain(x *Sample, d *Decision) {
	row := m.vocabulary.vector(x)
	by := make([]float64, len(row))
	value, add := func(c int32) float32 { return row[c] }, func(c int32, up float32) { by[c] += float64(up) }
	trees := 0
	for _, f := range m.forests {
		for _, t := range f {
			t.why(d.class, value, add)
			trees++
		}
	}
	for i := range m.families {
		s := &m.families[i]
		if !slices.Contains(s.classes, d.class) {
			continue
		}
		for _, t := range s.forest {
			t.why(d.class, value, add)
			trees++
		}
	}
	order := make([]int, 0, len(by))
	for c, up := range by {
		if up > 0 {
			order = append(order, c)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	for _, c := range order[:min(len(order), maxFeatures)] {
		d.Features = append(d.Features, Feature{Name: m.vocabulary.column(c, row[c]), Share: round(by[c] / float64(trees))})
	}
}
