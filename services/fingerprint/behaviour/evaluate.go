package behaviour

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// Report is what a model was worth on samples that it had not seen.
type Report struct {
	Samples  int     `json:"samples"`
	Types    int     `json:"types"`
	Accuracy float64 `json:"accuracy"`
	// Macro is the mean over types of the share of its samples that got its label,
	// rejected or not, as in a closed world.
	Macro float64 `json:"macro_accuracy"`
	// MacroKept counts what was rejected as wrong.
	MacroKept   float64                   `json:"macro_accuracy_rejected_are_wrong"`
	Rejected    int                       `json:"rejected"`
	RightKept   float64                   `json:"right_of_not_rejected"`
	Unlearned   int                       `json:"samples_of_types_not_learned"`
	UnlearnedOK float64                   `json:"rejected_of_types_not_learned"`
	PerType     []TypeReport              `json:"per_type"`
	Confusion   map[string]map[string]int `json:"confusion"` // label, decided
	Calibration []Bin                     `json:"calibration"`
	Families    []Family                  `json:"families,omitempty"`
}

// TypeReport is one type's.
type TypeReport struct {
	Label    string  `json:"label"`
	Samples  int     `json:"samples"`
	Recall   float64 `json:"recall"`
	Rejected int     `json:"rejected"`
}

// Bin counts the decisions that were kept with a confidence in [From, To).
type Bin struct {
	From       float64 `json:"from"`
	To         float64 `json:"to"`
	N          int     `json:"n"`
	Confidence float64 `json:"mean_confidence"`
	Right      float64 `json:"right"`
}

// Family is types that are taken for each other.
type Family struct {
	Types []string `json:"types"`
	Macro float64  `json:"macro_accuracy"`
}

// outcome is a decision about a sample whose label is known.
type outcome struct {
	label   string
	learned bool
	Decision
}

// report counts outcomes.
func report(list []outcome) *Report {
	r := &Report{Confusion: map[string]map[string]int{}, Calibration: bins(list)}
	per := map[string]*TypeReport{}
	right, kept, keptRight, refused := 0, 0, 0, 0
	keptBy := map[string]int{}
	for i := range list {
		o := &list[i]
		if !o.learned {
			r.Unlearned++
			if o.Rejected {
				refused++
			}
			continue
		}
		r.Samples++
		t := per[o.label]
		if t == nil {
			t = &TypeReport{Label: o.label}
			per[o.label], r.Confusion[o.label] = t, map[string]int{}
		}
		t.Samples++
		r.Confusion[o.label][o.Label]++
		ok := o.label == o.Label
		if ok {
			right++
			t.Recall++
		}
		if o.Rejected {
			r.Rejected++
			t.Rejected++
			continue
		}
		kept++
		if ok {
			keptRight++
			keptBy[o.label]++
		}
	}
	for _, label := range slices.Sorted(maps.Keys(per)) {
		t := per[label]
		t.Recall /= float64(t.Samples)
		r.Macro += t.Recall
		r.MacroKept += float64(keptBy[label]) / float64(t.Samples)
		t.Recall = round(t.Recall)
		r.PerType = append(r.PerType, *t)
	}
	r.Types = len(per)
	r.Macro, r.MacroKept = share2(r.Macro, r.Types), share2(r.MacroKept, r.Types)
	r.Accuracy, r.RightKept, r.UnlearnedOK = share2(float64(right), r.Samples), share2(float64(keptRight), kept), share2(float64(refused), r.Unlearned)
	return r
}

func share2(n float64, of int) float64 { return round(n / float64(max(of, 1))) }

func round(f float64) float64 { return math.Round(f*1e4) / 1e4 }

// edges are where the bins of the calibration table begin.
var edges = []float64{0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0001}

func bins(list []outcome) []Bin {
	out := make([]Bin, len(edges)-1)
	for i := range out {
		out[i].From, out[i].To = edges[i], min(edges[i+1], 1)
	}
	for i := range list {
		o := &list[i]
		if !o.learned || o.Rejected {
			continue
		}
		k, found := slices.BinarySearch(edges, o.Confidence)
		if !found {
			k--
		}
		b := &out[k]
		b.N++
		b.Confidence += o.Confidence
		if o.label == o.Label {
			b.Right++
		}
	}
	for i := range out {
		b := &out[i]
		b.Confidence, b.Right = share2(b.Confidence, b.N), share2(b.Right, b.N)
	}
	return out
}

// Test decides about samples with a model that has not seen them.
func Test(m *Model, samples []*Sample) *Report { return report(outcomes(m, samples)) }

func outcomes(m *Model, samples []*Sample) []outcome {
	list := make([]outcome, 0, len(samples))
	for _, x := range samples {
		_, learned := slices.BinarySearch(m.Labels, x.Label)
		list = append(list, outcome{label: x.Label, learned: learned, Decision: m.Decide(x)})
	}
	return list
}

// Folds tests repeatedly: each time the samples of every type are shuffled and
// dealt into folds, and each fold is decided about by a model of the others.
func Folds(samples []*Sample, folds, repeat int, o Options) (*Report, error) {
	if folds < 2 || repeat < 1 {
		return nil, errors.New("folds: at least 2 folds, and 1 repetition, are needed")
	}
	var all []outcome
	for n := range repeat {
		dealt := deal(samples, folds, o.Seed+uint64(n))
		for k := range folds {
			var train, test []*Sample
			for i, x := range samples {
				if dealt[i] == k {
					test = append(test, x)
				} else {
					train = append(train, x)
				}
			}
			m, err := Train(train, o)
			if err != nil {
				return nil, err
			}
			all = append(all, outcomes(m, test)...)
		}
	}
	return report(all), nil
}

// deal gives each sample its fold: those of a type are shuffled, and dealt on from
// where those of the type before ended.
func deal(samples []*Sample, folds int, seed uint64) []int {
	r := rand.New(rand.NewPCG(seed, 0x666f6c6473))
	of := map[string][]int{}
	for i, x := range samples {
		of[x.Label] = append(of[x.Label], i)
	}
	out, next := make([]int, len(samples)), 0
	for _, label := range slices.Sorted(maps.Keys(of)) {
		list := of[label]
		r.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
		for _, i := range list {
			out[i] = next % folds
			next++
		}
	}
	return out
}

// LeaveOut trains without each type in turn, and tells how often its samples are
// rejected, and as what the others are taken.
func LeaveOut(samples []*Sample, o Options) (*Report, []TypeReport, error) {
	labels := map[string]bool{}
	for _, x := range samples {
		labels[x.Label] = true
	}
	var all []outcome
	var per []TypeReport
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		var train, test []*Sample
		for _, x := range samples {
			if x.Label == label {
				test = append(test, x)
			} else {
				train = append(train, x)
			}
		}
		m, err := Train(train, o)
		if err != nil {
			return nil, nil, err
		}
		t := TypeReport{Label: label, Samples: len(test)}
		for _, out := range outcomes(m, test) {
			all = append(all, out)
			if out.Rejected {
				t.Rejected++
			}
		}
		per = append(per, t)
	}
	return report(all), per, nil
}

// familyShare: types belong together of which one is taken for the other at least
// this often.
const familyShare = 0.05

// FindFamilies gives the groups of types that a report shows taken for each other.
func (r *Report) FindFamilies() [][]string {
	group := map[string]string{}
	var root func(string) string
	root = func(l string) string {
		if up, ok := group[l]; ok && up != l {
			return root(up)
		}
		return l
	}
	for _, t := range r.PerType {
		for _, other := range slices.Sorted(maps.Keys(r.Confusion[t.Label])) {
			if float64(r.Confusion[t.Label][other]) >= familyShare*float64(t.Samples) {
				a, b := root(t.Label), root(other)
				group[max(a, b)] = min(a, b)
			}
		}
	}
	members := map[string][]string{}
	for _, t := range r.PerType {
		members[root(t.Label)] = append(members[root(t.Label)], t.Label)
	}
	var out [][]string
	for _, list := range members {
		if len(list) > 1 {
			out = append(out, list)
		}
	}
	slices.SortFunc(out, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	return out
}

// Of adds how well families of types are told apart.
func (r *Report) Of(families [][]string) {
	for _, list := range families {
		f := Family{Types: list}
		for _, t := range r.PerType {
			if slices.Contains(list, t.Label) {
				f.Macro += t.Recall
			}
		}
		f.Macro = share2(f.Macro, len(list))
		r.Families = append(r.Families, f)
	}
}
