package behaviour

import (
	"cmp"
	"slices"
)

// step says that from a share of votes on a decision is right with a probability.
type step struct{ from, confidence float32 }

// calibrate fits an isotonic regression of being right on the share of votes
// (pool adjacent violators: M. Ayer et al., Annals of Mathematical Statistics 26,
// 1955), on decisions about samples that the voters had not seen. Each pool is
// taken with one decision more of either outcome (Laplace's rule of succession),
// so that no confidence is 1 and few decisions say little.
func calibrate(votes []float32, right []bool) []step {
	order := make([]int, len(votes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(votes[a], votes[b]), cmp.Compare(a, b)) })
	type pool struct {
		from     float32
		n, right float64
	}
	var pools []pool
	for _, i := range order {
		p := pool{from: votes[i], n: 1}
		if right[i] {
			p.right = 1
		}
		pools = append(pools, p)
		for k := len(pools) - 1; k > 0; k-- {
			a, b := &pools[k-1], &pools[k]
			if a.from != b.from && a.right/a.n < b.right/b.n {
				break
			}
			a.n, a.right = a.n+b.n, a.right+b.right
			pools = pools[:k]
		}
	}
	var steps []step
	for _, p := range pools {
		s := step{from: p.from, confidence: float32((p.right + 1) / (p.n + 2))}
		if n := len(steps); n > 0 { // small pools at the top must not fall below
			s.confidence = max(s.confidence, steps[n-1].confidence)
		}
		steps = append(steps, s)
	}
	return steps
}

// confidence looks a share of votes up, straight between the steps' beginnings
// never: a step holds until the next.
func confidence(steps []step, vote float32) float32 {
	i, found := slices.BinarySearchFunc(steps, vote, func(s step, v float32) int { return cmp.Compare(s.from, v) })
	if !found {
		i--
	}
	if i < 0 {
		return 0
	}
	return steps[i].confidence
}
