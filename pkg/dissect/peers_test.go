package dissect_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// score counts how often a peer's expected value of a field is ours too. Every
// disagreement must be explained, or the test fails.
type score struct {
	t      *testing.T
	peer   string
	fields map[string]*tally
}

type tally struct {
	total, equal int
	explained    map[string]int
}

func newScore(t *testing.T, peer string) *score {
	return &score{t: t, peer: peer, fields: map[string]*tally{}}
}

// want compares a value of the peer's with ours; why explains a difference.
func (s *score) want(field, where, value string, ours []string, why func() string) {
	s.t.Helper()
	x := s.fields[field]
	if x == nil {
		x = &tally{explained: map[string]int{}}
		s.fields[field] = x
	}
	x.total++
	if slices.Contains(ours, value) {
		x.equal++
		return
	}
	if reason := why(); reason != "" {
		x.explained[reason]++
		return
	}
	s.t.Errorf("%s %s %s: %q, ours %q", s.peer, where, field, value, ours)
}

// report prints the score, field by field. At least that many values were compared.
func (s *score) report(least int) {
	total := 0
	for _, f := range slices.Sorted(maps.Keys(s.fields)) {
		x := s.fields[f]
		total += x.total
		s.t.Logf("%-9s %-28s %4d of %4d equal (%.1f %%)", s.peer, f, x.equal, x.total, 100*float64(x.equal)/float64(x.total))
		for _, r := range slices.Sorted(maps.Keys(x.explained)) {
			s.t.Logf("%40d: %s", x.explained[r], r)
		}
	}
	if total < least {
		s.t.Errorf("only %d values were compared", total)
	}
}

// ends are a TCP connection's, in either order.
type ends struct{ a, b netip.AddrPort }

func endsOf(a, b netip.AddrPort) ends {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return ends{a, b}
}

// observed is what came out of a capture, by connection.
type observed struct {
	result *dissecttest.Result
	facts  map[ends][]dissecttest.Fact
	flows  map[ends]*dissecttest.Flow
}

// observe runs a capture; nil where it cannot be read.
func observe(t *testing.T, path string) *observed {
	t.Helper()
	in, err := capfile.Open(path)
	if err != nil {
		return nil
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, path))
	if len(r.Panics) > 0 {
		t.Errorf("%s: %v", path, r.Panics)
	}
	o := &observed{result: r, facts: map[ends][]dissecttest.Fact{}, flows: map[ends]*dissecttest.Flow{}}
	for _, f := range r.Facts {
		k := endsOf(netip.AddrPortFrom(f.SrcIP, f.SrcPort), netip.AddrPortFrom(f.DstIP, f.DstPort))
		o.facts[k] = append(o.facts[k], f)
	}
	for _, f := range r.Flows {
		o.flows[endsOf(netip.AddrPortFrom(f.SrcIP, f.SrcPort), netip.AddrPortFrom(f.DstIP, f.DstPort))] = f
	}
	return o
}

// values are those of an attribute, lists taken apart, of all facts of a kind; of
// any kind with "".
func values(facts []dissecttest.Fact, protocol, kind, attribute string) []string {
	var list []string
	for _, f := range facts {
		if f.Protocol != protocol || kind != "" && f.Kind != kind {
			continue
		}
		if v := f.Attributes.List(attribute); len(v) > 0 {
			list = append(list, v...)
		} else if v := f.Attributes.Get(attribute); v != "" {
			list = append(list, v)
		}
	}
	return list
}

// label is how the engine calls a connection, for explanations.
func (o *observed) label(k ends) string {
	if f := o.flows[k]; f != nil {
		return strings.TrimSpace(fmt.Sprintf("%s %s", f.Protocol, f.By))
	}
	return "no such flow"
}

// glob lists files below the shared folder.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(list), err)
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
