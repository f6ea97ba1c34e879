package behaviour

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func trained(t *testing.T, o Options) *Model {
	t.Helper()
	m, err := Train(households(12, 7), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestLearnsWhatDiffers: by clocks, by words, and by both; on units never seen.
func TestLearnsWhatDiffers(t *testing.T) {
	test := households(10, 99)
	pairs := map[string]string{"kettle": "coffee", "coffee": "kettle", "plug-a": "plug-b", "plug-b": "plug-a"}
	for name, c := range map[string]struct {
		groups Group
		blind  []string // taken for their sibling about as often as not
		least  float64
	}{
		"both":    {Timing | Content, nil, 0.99},
		"timing":  {Timing, []string{"plug-a", "plug-b"}, 0.99},
		"content": {Content, []string{"kettle", "coffee"}, 0.99},
	} {
		t.Run(name, func(t *testing.T) {
			r := Test(trained(t, Options{Groups: c.groups, Trees: 60, Seed: 1}), test)
			for _, p := range r.PerType {
				blind := slices.Contains(c.blind, p.Label)
				other := r.Confusion[p.Label][p.Label] + r.Confusion[p.Label][pairs[p.Label]]
				switch {
				case !blind && p.Recall < c.least:
					t.Errorf("%s: recall %.2f, want %.2f: %v", p.Label, p.Recall, c.least, r.Confusion[p.Label])
				case blind && other != p.Samples:
					t.Errorf("%s is taken for another than its sibling: %v", p.Label, r.Confusion[p.Label])
				}
			}
			if len(c.blind) > 0 && r.Macro > 0.95 {
				t.Errorf("macro accuracy %.2f: the model sees what is not among its features", r.Macro)
			}
		})
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	encode := func(o Options) []byte {
		b, err := trained(t, o).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a := encode(Options{Trees: 20, Seed: 5})
	if !bytes.Equal(a, encode(Options{Trees: 20, Seed: 5})) {
		t.Error("trained twice, two models")
	}
	if bytes.Equal(a, encode(Options{Trees: 20, Seed: 6})) {
		t.Error("another seed, the same model")
	}
}

// TestReadModelDecidesTheSame: also to the last digit of its reasons.
func TestReadModelDecidesTheSame(t *testing.T) {
	m := trained(t, Options{Trees: 30, Seed: 1})
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range households(3, 50) {
		a, b := m.Decide(x), read.Decide(x)
		m.Explain(x, &a)
		read.Explain(x, &b)
		if a.Label != b.Label || a.Confidence != b.Confidence || a.Rejected != b.Rejected || !slices.Equal(a.Features, b.Features) {
			t.Errorf("%s: %+v, read %+v", x.Name, a, b)
		}
	}
}

// TestDamagedModelIsAnError: cut anywhere, or with a byte turned, it is told and
// nothing breaks.
func TestDamagedModelIsAnError(t *testing.T) {
	b, err := trained(t, Options{Trees: 5, Seed: 1}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(b); n += 1 + len(b)/97 {
		if _, err := Decode(b[:n]); err == nil {
			t.Errorf("cut after %d bytes, it is read", n)
		}
		turned := slices.Clone(b)
		turned[n] ^= 0x55
		if m, err := Decode(turned); err == nil { // a name, or a byte of gzip's header that says nothing
			m.Decide(households(1, 3)[0])
		}
	}
	old := slices.Clone(b)
	old[3] = Version + 1
	if _, err := Decode(old); err == nil || !strings.Contains(err.Error(), "fingerprint train") {
		t.Errorf("a model of another version: %v; want what to do", err)
	}
}

func TestReasonsAreTheOnesThatDiffer(t *testing.T) {
	m := trained(t, Options{Trees: 60, Seed: 1})
	r := rand.New(rand.NewPCG(4, 4))
	for i, want := range map[int]string{0: "arp probe", 3: "hs110"} {
		x := kinds[i].make(r, 77)
		d := m.Decide(x)
		m.Explain(x, &d)
		if d.Label != kinds[i].label || d.Rejected {
			t.Fatalf("%s is taken for %+v", kinds[i].label, d)
		}
		if len(d.Features) == 0 || len(d.Features) > maxFeatures {
			t.Fatalf("%d features", len(d.Features))
		}
		if !slices.ContainsFunc(d.Features, func(f Feature) bool { return strings.Contains(f.Name, want) && f.Share > 0 }) {
			t.Errorf("%s: %v; want %s among the reasons", d.Label, d.Features, want)
		}
	}
}

// TestStrangersAreRejected: a type never learned, a sibling that names itself
// otherwise, and who says next to nothing; the known ones are not.
func TestStrangersAreRejected(t *testing.T) {
	m := trained(t, Options{Trees: 60, Seed: 1})
	r := rand.New(rand.NewPCG(9, 9))
	monitor := &Sample{Sketch: NewSketch()}
	for i, p := range []string{"intellivue", "hl7", "ntp", "arp"} {
		monitor.Sketch.Observe(saw(unit(200), time.Duration(i)*time.Second, p, "message"))
	}
	quiet := &Sample{Sketch: NewSketch()}
	quiet.Sketch.Observe(saw(unit(201), 0, "arp", "request"))
	for name, x := range map[string]*Sample{
		"monitor": monitor, "quiet": quiet, "empty": {Sketch: NewSketch()},
		"sibling": kind{"plug-c", "hs300", 50443, 4500, 0}.make(r, 5),
	} {
		if d := m.Decide(x); !d.Rejected {
			t.Errorf("%s is taken for %+v", name, d)
		}
	}
	rejected := 0
	known := households(10, 31)
	for _, x := range known {
		if m.Decide(x).Rejected {
			rejected++
		}
	}
	if rejected > len(known)/20 {
		t.Errorf("%d of %d known ones are rejected", rejected, len(known))
	}
}

func TestTrainingNeedsTwoTypes(t *testing.T) {
	_, err := Train(households(3, 1)[:3], Options{})
	if err == nil || !strings.Contains(err.Error(), "at least two") {
		t.Errorf("error %v", err)
	}
	lonely := []*Sample{{Label: "a", Sketch: NewSketch()}, {Label: "b", Sketch: NewSketch()}}
	lonely[0].Sketch.Observe(saw(unit(1), 0, "ntp", "client"))
	lonely[1].Sketch.Observe(saw(unit(2), 0, "arp", "request"))
	if _, err := Train(lonely, Options{Groups: Content}); err == nil {
		t.Error("samples without anything in common are learned from")
	}
}

// TestEmbedded: the model of the program can be read, says of what it was made,
// and names nothing that belongs to a unit.
func TestEmbedded(t *testing.T) {
	m := Embedded()
	if len(m.Labels) != 27 || m.Provenance.Samples < 200 || len(m.Provenance.SHA256) != 64 || m.Provenance.Date == "" {
		t.Errorf("labels %d, provenance %+v", len(m.Labels), m.Provenance)
	}
	if len(modelFile) > 1_500_000 {
		t.Errorf("the model has %d bytes", len(modelFile))
	}
	for _, f := range slices.Concat(m.vocabulary.marks, m.vocabulary.facts) {
		if f.name == "" {
			t.Errorf("feature %08x has no name", f.key)
		}
		if holdsAddress(f.name) || strings.Contains(f.name, "oui ") {
			t.Errorf("feature %q names an address", f.name)
		}
	}
}
