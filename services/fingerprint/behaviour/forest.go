package behaviour

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// The forest is that of L. Breiman, Random Forests, Machine Learning 45, 2001:
// trees on bootstrap samples, each split the best of some columns drawn at random
// by the decrease of the Gini impurity. Classes weigh the same, however many
// samples they have.

// Trees is how many trees a forest has; Columns how many columns a split may choose
// from, as a multiple of the square root of all.
const (
	defaultTrees   = 160
	defaultColumns = 2.0
)

// tree is a decision tree in preorder: the left child of a node is the next.
type tree []node

// node is a split, value <= threshold to the left, or a leaf.
type node struct {
	column    int32 // -1: a leaf
	threshold float32
	right     int32
	weight    float32 // of the samples here
	share     []share // of the classes in that, sorted by class
}

type share struct {
	class  int32
	weight float32
}

// table is training data: values by column, and classes.
type table struct {
	columns [][]float32
	class   []int32
	classes int
}

type forest []tree

// grow makes a forest that looks at some columns, and of each sample the votes of
// the trees that have not seen it. Each tree has its own stream of random numbers, so the forest does not
// depend on how many are grown at once.
func (t *table) grow(trees int, columns []int32, share float64, seed uint64) (forest, [][]float32) {
	f, bags := make(forest, trees), make([][]float32, trees)
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				bags[i] = t.bag(r)
				g := grower{table: t, r: r, weight: bags[i], drawn: slices.Clone(columns), tries: tries(share, len(columns))}
				f[i] = g.tree()
			}
		})
	}
	for i := range f {
		next <- i
	}
	close(next)
	wg.Wait()
	votes := make([][]float32, len(t.class))
	for s := range votes {
		votes[s] = make([]float32, t.classes)
		n := float32(0)
		for i, tr := range f {
			if bags[i][s] == 0 {
				tr.vote(votes[s], func(c int32) float32 { return t.columns[c][s] })
				n++
			}
		}
		for c := range votes[s] {
			votes[s][c] /= max(n, 1)
		}
	}
	return f, votes
}

func tries(share float64, all int) int {
	return max(1, min(all, int(share*math.Sqrt(float64(all)))))
}

// bag draws as many samples as there are, with replacement, within each class, and
// gives each its weight.
func (t *table) bag(r *rand.Rand) []float32 {
	w := make([]float32, len(t.class))
	of := make([][]int, t.classes)
	for s, c := range t.class {
		of[c] = append(of[c], s)
	}
	for _, list := range of {
		for range list {
			w[list[r.IntN(len(list))]] += float32(1) / float32(len(list))
		}
	}
	return w
}

type grower struct {
	*table
	r      *rand.Rand
	weight []float32
	tries  int // columns that a split may choose from
	nodes  tree
	order  []int
	left   []float64
	drawn  []int32 // the columns that may be looked at, shuffled anew from where they stand
}

func (g *grower) tree() tree {
	var in []int
	for s, w := range g.weight {
		if w > 0 {
			in = append(in, s)
		}
	}
	g.left = make([]float64, g.classes)
	g.split(in)
	g.nodes.sum(g.classes)
	return g.nodes
}

func (g *grower) shares(in []int) ([]float64, float64) {
	all, sum := make([]float64, g.classes), 0.0
	for _, s := range in {
		all[g.class[s]] += float64(g.weight[s])
		sum += float64(g.weight[s])
	}
	return all, sum
}

// split makes a node of the samples, and those below it.
func (g *grower) split(in []int) {
	all, sum := g.shares(in)
	at := len(g.nodes)
	n := node{column: -1, weight: float32(sum)}
	kinds := 0
	for c, w := range all {
		if w > 0 {
			n.share = append(n.share, share{class: int32(c), weight: float32(w / sum)})
			kinds++
		}
	}
	g.nodes = append(g.nodes, n)
	if kinds < 2 {
		return
	}
	column, threshold, ok := g.best(in, all, sum)
	if !ok {
		return
	}
	values := g.columns[column]
	var left, right []int
	for _, s := range in {
		if values[s] <= threshold {
			left = append(left, s)
		} else {
			right = append(right, s)
		}
	}
	g.nodes[at].column, g.nodes[at].threshold = int32(column), threshold
	g.split(left)
	g.nodes[at].right = int32(len(g.nodes))
	g.split(right)
}

// best looks for the best split among columns drawn at random; those in which all
// values are the same are not counted.
func (g *grower) best(in []int, all []float64, sum float64) (column int, threshold float32, ok bool) {
	gain := 0.0
	tried := 0
	for i := 0; i < len(g.drawn) && tried < g.tries; i++ {
		k := i + g.r.IntN(len(g.drawn)-i)
		g.drawn[i], g.drawn[k] = g.drawn[k], g.drawn[i]
		c := int(g.drawn[i])
		values := g.columns[c]
		low, high := values[in[0]], values[in[0]]
		for _, s := range in {
			low, high = min(low, values[s]), max(high, values[s])
		}
		if low == high {
			continue
		}
		tried++
		if v, at := g.cut(in, values, all, sum); v > gain+1e-12 {
			gain, column, threshold, ok = v, c, at, true
		}
	}
	return column, threshold, ok
}

// cut finds the best threshold of a column: the sum of squares of class weights
// over the weight, of both sides, less that of the whole.
func (g *grower) cut(in []int, values []float32, all []float64, sum float64) (best float64, threshold float32) {
	g.order = append(g.order[:0], in...)
	slices.SortFunc(g.order, func(a, b int) int { return cmp.Or(cmp.Compare(values[a], values[b]), cmp.Compare(a, b)) })
	clear(g.left)
	whole, squaresL, squaresR := 0.0, 0.0, 0.0
	for _, w := range all {
		squaresR += w * w
	}
	whole = squaresR / sum
	weight := 0.0
	for i, s := range g.order[:len(g.order)-1] {
		c, w := g.class[s], float64(g.weight[s])
		l, r := g.left[c], all[c]-g.left[c]
		squaresL += w * (2*l + w)
		squaresR -= w * (2*r - w)
		g.left[c] += w
		weight += w
		a, b := values[s], values[g.order[i+1]]
		if a == b {
			continue
		}
		if v := squaresL/weight + squaresR/(sum-weight) - whole; v > best {
			if best, threshold = v, a+(b-a)/2; threshold >= b { // rounding
				threshold = a
			}
		}
	}
	return best, threshold
}

// sum makes the shares of the splits from those of the leaves, which alone are
// written, so that a tree that was read is the one that was grown.
func (t tree) sum(classes int) {
	for i := len(t) - 1; i >= 0; i-- {
		n := &t[i]
		if n.column < 0 {
			continue
		}
		all := make([]float32, classes)
		n.weight, n.share = t[i+1].weight+t[n.right].weight, nil
		for _, child := range [...]*node{&t[i+1], &t[n.right]} {
			for _, s := range child.share {
				all[s.class] += s.weight * child.weight / n.weight
			}
		}
		for c, w := range all {
			if w > 0 {
				n.share = append(n.share, share{class: int32(c), weight: w})
			}
		}
	}
}

// leaf follows a sample down.
func (t tree) leaf(value func(column int32) float32) int {
	i := 0
	for t[i].column >= 0 {
		if value(t[i].column) <= t[i].threshold {
			i++
		} else {
			i = int(t[i].right)
		}
	}
	return i
}

// vote adds what the leaf of a sample says.
func (t tree) vote(votes []float32, value func(column int32) float32) {
	for _, s := range t[t.leaf(value)].share {
		votes[s.class] += s.weight
	}
}

// why adds, of each column on the way down, by how much it raised a class (A. Saabas,
// Interpreting random forests, 2014).
func (t tree) why(class int32, value func(column int32) float32, add func(column int32, by float32)) {
	for i := 0; t[i].column >= 0; {
		n := i + 1
		if value(t[i].column) > t[i].threshold {
			n = int(t[i].right)
		}
		add(t[i].column, t[n].of(class)-t[i].of(class))
		i = n
	}
}

func (n *node) of(class int32) float32 {
	for _, s := range n.share {
		if s.class == class {
			return s.weight
		}
	}
	return 0
}
