package proto

import (
	"math/bits"
	"slices"
	"strconv"
)

// Histogram counts values by the lower end of the bin that they are in, ascending.
// A bin's lower end is a value rounded down to its four highest binary digits, so
// the bin is at most an eighth as wide as it is high; where a part had more than 24
// such bins, to three, two or one. Rounding further gives the lower end of a coarser
// bin, so histograms of any two resolutions can be added.
type Histogram []Bin

// Bin is one of a Histogram.
type Bin struct{ Low, Count uint32 }

// Add gives the sum of two histograms.
func (h Histogram) Add(o Histogram) Histogram {
	out := make(Histogram, 0, max(len(h), len(o)))
	for len(h) > 0 || len(o) > 0 {
		switch {
		case len(o) == 0 || len(h) > 0 && h[0].Low < o[0].Low:
			out, h = append(out, h[0]), h[1:]
		case len(h) == 0 || o[0].Low < h[0].Low:
			out, o = append(out, o[0]), o[1:]
		default:
			out, h, o = append(out, Bin{Low: h[0].Low, Count: h[0].Count + o[0].Count}), h[1:], o[1:]
		}
	}
	return out
}

// From gives the bins of values that are at least low, which is a lower end.
func (h Histogram) From(low uint32) Histogram {
	i, _ := slices.BinarySearchFunc(h, low, func(b Bin, v uint32) int { return int(int64(b.Low) - int64(v)) })
	return h[i:]
}

// Total is how many values there are.
func (h Histogram) Total() (n uint64) {
	for _, b := range h {
		n += uint64(b.Count)
	}
	return n
}

// Quantile gives the value below which the share q of all lies, those of a bin
// being spread evenly over it; 0 for no values.
func (h Histogram) Quantile(q float64) float64 {
	rest := q * float64(h.Total())
	for _, b := range h {
		if n := float64(b.Count); rest <= n {
			return float64(b.Low) + rest/n*b.width()
		}
		rest -= float64(b.Count)
	}
	return 0
}

// Deviation gives the median distance of the values from one, as Quantile knows
// them: with their own median the MAD.
func (h Histogram) Deviation(from float64) float64 {
	if len(h) == 0 {
		return 0
	}
	half := float64(h.Total()) / 2
	low, high := 0.0, 1.0+max(from, float64(h[len(h)-1].Low)*2)
	for range 60 { // the share within a distance grows with it
		d := (low + high) / 2
		if h.below(from+d)-h.below(from-d) < half {
			low = d
		} else {
			high = d
		}
	}
	return high
}

// below is how many values are less than v.
func (h Histogram) below(v float64) (n float64) {
	for _, b := range h {
		n += float64(b.Count) * min(max((v-float64(b.Low))/b.width(), 0), 1)
	}
	return n
}

// width is that of a bin of four digits.
func (b Bin) width() float64 { return float64(uint64(1) << max(bits.Len32(b.Low)-4, 0)) }

// appendJSON appends an object of the bins, the lower ends being the keys.
func (h Histogram) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for i, v := range h {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(append(b, '"'), uint64(v.Low), 10)
		b = strconv.AppendUint(append(b, `":`...), uint64(v.Count), 10)
	}
	return append(b, '}')
}
