package risk

import (
	"cmp"
	"math"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// factor is one term of the likelihood.
type factor struct {
	name     string
	x        float64 // 0 <= x < 1
	why      string
	evidence []string
}

// result is a score with its parts, unrounded.
type result struct {
	score, likelihood, impact float64
	tier                      string
	factors                   []factor // sorted by name
	shares                    []float64
}

// maxX keeps ln(1-x) finite.
const maxX = 0.9999

// assess makes a score of factors. They are summed in the order of their names,
// so that the same factors give the same bits in whatever order they came.
func (w *Weights) assess(factors []factor, impact float64) result {
	factors = slices.DeleteFunc(slices.Clone(factors), func(f factor) bool { return f.x <= 0 })
	slices.SortFunc(factors, func(a, b factor) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.x, b.x)) })
	sum := 0.0
	terms := make([]float64, len(factors))
	for i := range factors {
		terms[i] = -math.Log1p(-min(factors[i].x, maxX))
		sum += terms[i]
	}
	r := result{likelihood: -math.Expm1(-sum), impact: impact, factors: factors, shares: terms}
	for i := range r.shares {
		r.shares[i] /= sum
	}
	r.score = 100 * math.Sqrt(r.likelihood*impact)
	r.tier = w.tier(round(r.score, 10))
	return r
}

func round(v, per float64) float64 { return math.Round(v*per) / per }

// proto makes the event's fields of a score. Shares are rounded so that they
// still add up to 1: the largest takes the rest.
func (r *result) proto() (list proto.Factors) {
	rest, largest := 1.0, 0
	for i := range r.factors {
		f := &r.factors[i]
		share := round(r.shares[i], 1e4)
		rest -= share
		if r.shares[i] > r.shares[largest] {
			largest = i
		}
		list = append(list, proto.Factor{Name: f.name, Value: round(f.x, 1e4), Share: share, Why: f.why, Evidence: f.evidence})
	}
	if len(list) > 0 {
		list[largest].Share = round(list[largest].Share+rest, 1e4)
	}
	return list
}

// noisyOr is the likelihood of several reasons, any of which is enough.
func noisyOr(xs []float64) float64 {
	slices.Sort(xs)
	rest := 1.0
	for _, x := range xs {
		rest *= 1 - min(x, maxX)
	}
	return 1 - rest
}
