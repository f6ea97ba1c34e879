package calibration

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Report is what the labels came to.
type Report struct {
	Labels   []string `json:"labels"`
	Captures int      `json:"captures"`
	Missing  int      `json:"captures_missing"`
	Hosts    int      `json:"hosts"`

	All       *Count            `json:"all"`
	Halves    map[string]*Count `json:"halves"`
	Attribute map[string]*Count `json:"by_attribute"`
	Source    map[string]*Count `json:"by_source"` // a value that several protocols speak for counts for each
	Known     map[string]*Count `json:"by_label"`  // how the label is known
	Hostnames Names             `json:"hostnames"`

	Wrong []Verdict `json:"wrong"` // that were shown, the surest first
	Blank []Verdict `json:"not_shown"`
}

// Count is labelled values, of which some are shown, each with a confidence.
type Count struct {
	Values  int   `json:"values"`
	Lost    int   `json:"of_hosts_not_found"`
	Shown   int   `json:"shown"`
	Right   int   `json:"right"`
	Bins    []Bin `json:"bins"`
	Nine    Bin   `json:"from_0.9"`
	NineTen bool  `json:"nine_in_ten"` // of those shown with 0.9 and more, nine in ten are right
}

// Bin is the values shown with a confidence of at least From and less than To.
type Bin struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Shown int     `json:"shown"`
	Right int     `json:"right"`
	Mean  float64 `json:"mean_confidence"`
	Share float64 `json:"share_right"`
	Low   float64 `json:"low"` // Wilson's 95 % interval of the share, as if values were independent
	High  float64 `json:"high"`

	sum float64
}

// Names is the count of host names, which are listed without a confidence.
type Names struct {
	Values int `json:"values"`
	Listed int `json:"listed"`
}

// edges of the bins. 1 belongs to the last.
var edges = []float64{0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0001}

// nine is the confidence of which is promised that nine in ten are right.
const nine = 0.9

func newCount() *Count {
	c := &Count{Nine: Bin{From: nine, To: 1}}
	for i := range edges[1:] {
		c.Bins = append(c.Bins, Bin{From: edges[i], To: math.Min(edges[i+1], 1)})
	}
	return c
}

func (c *Count) add(v *Verdict) {
	c.Values++
	switch {
	case v.Lost:
		c.Lost++
		return
	case v.Told == "":
		return
	}
	c.Shown++
	if v.OK {
		c.Right++
	}
	for i := range c.Bins {
		if v.Confidence >= edges[i] && v.Confidence < edges[i+1] {
			c.Bins[i].add(v)
		}
	}
	if v.Confidence >= nine {
		c.Nine.add(v)
	}
}

func (b *Bin) add(v *Verdict) {
	b.Shown++
	b.sum += v.Confidence
	if v.OK {
		b.Right++
	}
}

func (c *Count) finish() {
	for i := range c.Bins {
		c.Bins[i].finish()
	}
	c.Nine.finish()
	c.NineTen = c.Nine.Share >= nine || c.Nine.Shown == 0
}

// finish makes the shares: E. B. Wilson, Probable inference, the law of succession, and
// statistical inference, 1927, for the interval.
func (b *Bin) finish() {
	if b.Shown == 0 {
		return
	}
	const z = 1.959964
	n, p := float64(b.Shown), float64(b.Right)/float64(b.Shown)
	middle, width := (p+z*z/(2*n))/(1+z*z/n), z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))/(1+z*z/n)
	b.Mean, b.Share = round(b.sum/n), round(p)
	b.Low, b.High = round(math.Max(0, middle-width)), round(math.Min(1, middle+width))
}

func round(x float64) float64 { return math.Round(x*1e4) / 1e4 }

// count fills the report from the verdicts, which are sorted.
func (r *Report) count(all []Verdict) {
	r.All = newCount()
	r.Halves, r.Attribute, r.Source, r.Known = map[string]*Count{}, map[string]*Count{}, map[string]*Count{}, map[string]*Count{}
	put := func(m map[string]*Count, key string, v *Verdict) {
		if m[key] == nil {
			m[key] = newCount()
		}
		m[key].add(v)
	}
	for i := range all {
		v := &all[i]
		if v.Attribute == hostname {
			r.Hostnames.Values++
			if v.OK {
				r.Hostnames.Listed++
			}
			continue
		}
		r.All.add(v)
		put(r.Halves, v.Half, v)
		put(r.Attribute, v.Attribute, v)
		put(r.Known, v.Known, v)
		for _, s := range v.Sources {
			put(r.Source, s, v)
		}
		switch {
		case v.Told == "":
			r.Blank = append(r.Blank, *v)
		case !v.OK:
			r.Wrong = append(r.Wrong, *v)
		}
	}
	r.All.finish()
	for _, m := range []map[string]*Count{r.Halves, r.Attribute, r.Source, r.Known} {
		for _, c := range m {
			c.finish()
		}
	}
	slices.SortStableFunc(r.Wrong, func(a, b Verdict) int {
		switch {
		case a.Confidence > b.Confidence:
			return -1
		case a.Confidence < b.Confidence:
			return 1
		}
		return 0
	})
}

// Table writes the report as Markdown, for people.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d captures, %d hosts, %d labelled values: %d shown, %d of them right; %d of hosts that were not found.\n",
		r.Captures, r.Hosts, r.All.Values, r.All.Shown, r.All.Right, r.All.Lost)
	fmt.Fprintf(&b, "Host names: %d labelled, %d listed.\n\n", r.Hostnames.Values, r.Hostnames.Listed)
	b.WriteString("| shown confidence | values | right | share right | 95 % interval | mean confidence |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, x := range append(slices.Clone(r.All.Bins), r.All.Nine) {
		fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", x.span(), x.Shown, x.Right, x.row())
	}
	for _, part := range []struct {
		title string
		of    map[string]*Count
	}{{"half", r.Halves}, {"attribute", r.Attribute}, {"source protocol", r.Source}, {"label known by", r.Known}} {
		fmt.Fprintf(&b, "\n| %s | labelled | shown |%s\n| --- | --- | --- |%s\n", part.title, heads(), strings.Repeat(" --- |", len(edges)))
		for _, key := range slices.Sorted(maps.Keys(part.of)) {
			c := part.of[key]
			fmt.Fprintf(&b, "| %s | %d | %d |", key, c.Values, c.Shown)
			for _, x := range append(slices.Clone(c.Bins), c.Nine) {
				fmt.Fprintf(&b, " %s |", x.cell())
			}
			b.WriteString("\n")
		}
	}
	if len(r.Wrong) > 0 {
		b.WriteString("\n| wrong: capture | host | attribute | label | told | confidence | sources |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	}
	for i := range r.Wrong {
		v := &r.Wrong[i]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.2f | %s |\n", v.Capture, v.Host, v.Attribute, cell(strings.Join(v.Right, " / ")), cell(v.Told), v.Confidence, strings.Join(v.Sources, ", "))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write calibration: %w", err)
	}
	return nil
}

func (b *Bin) span() string {
	if b.To == 1 {
		return fmt.Sprintf("%.2f to 1", b.From)
	}
	return fmt.Sprintf("%.2f to under %.2f", b.From, b.To)
}

func (b *Bin) row() string {
	if b.Shown == 0 {
		return "- | - | -"
	}
	return fmt.Sprintf("%.1f %% | %.1f to %.1f %% | %.2f", 100*b.Share, 100*b.Low, 100*b.High, b.Mean)
}

// cell is right of shown.
func (b *Bin) cell() string {
	if b.Shown == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", b.Right, b.Shown)
}

func heads() string {
	var b strings.Builder
	for i := range edges[1:] {
		fmt.Fprintf(&b, " from %.2f |", edges[i])
	}
	return b.String() + " all from 0.9 |"
}

// cell keeps what somebody sent out of the table's own marks.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
