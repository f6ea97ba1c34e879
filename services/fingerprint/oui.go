package fingerprint

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"

	"github.com/wardflow/wardflow/proto"
)

// ouiFile is the IEEE registry (MA-L, MA-M, MA-S), one line an assignment, sorted:
// the prefix in upper-case hex (6, 7 or 9 digits), a tab, the registrant.
//
//go:embed signatures/oui.tsv.gz
var ouiFile []byte

// registry holds the lines, found by binary search.
type registry struct{ lines []string }

var ieee = sync.OnceValue(func() *registry {
	r, err := readRegistry(ouiFile)
	if err != nil {
		panic(err) // the embedded file is part of the program; a test reads it
	}
	return r
})

func readRegistry(packed []byte) (*registry, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the OUI list: %w", err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("unpack the OUI list: %w", err)
	}
	return &registry{lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")}, nil
}

// registrant gives who the MAC's prefix is assigned to, "" for a locally
// administered or unassigned one. The longest assignment counts.
func (r *registry) registrant(m proto.MAC) string {
	if m.IsZero() || m.IsLocal() || m.IsGroup() {
		return ""
	}
	digits := strings.ToUpper(strings.ReplaceAll(m.String(), ":", ""))
	for _, n := range [...]int{9, 7, 6} {
		prefix := digits[:n] + "\t"
		i := sort.SearchStrings(r.lines, prefix)
		if i < len(r.lines) && strings.HasPrefix(r.lines[i], prefix) {
			return r.lines[i][n+1:]
		}
	}
	return ""
}

// legalForms are taken off a registrant's name: they tell nothing.
var legalForms = []string{
	"incorporated", "corporation", "corp", "inc", "limited", "ltd", "llc", "gmbh", "ag", "co", "company", "s.p.a", "spa", "b.v", "bv", "kg",
	"gmbh & co", "pte", "pty", "plc", "sa", "s.a", "a/s", "ab", "oy", "as", "kk", "k.k", "srl", "s.r.l", "manufacturing",
}

// trimLegal takes legal forms off the end of a company's name.
func trimLegal(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	for {
		short := strings.TrimRight(name, " .,&")
		for _, form := range legalForms {
			head := len(short) - len(form)
			if head > 0 && strings.EqualFold(short[head:], form) && strings.ContainsAny(short[head-1:head], " ,.") {
				short = strings.TrimRight(short[:head], " .,&")
				break
			}
		}
		if short == name {
			return name
		}
		name = short
	}
}

// The weights of a MAC's registrant as the device's maker: often it is, but not always;
// who makes interfaces and modules for others' devices, or builds them in others' names,
// seldom. The latter alone is not told, being under MinConfidence.
const (
	weightOUI       = 0.5
	weightInterface = 0.15
)

// weightOUI remembers what it found, as means does: there are as many answers as registrants.
func (s *signatures) weightOUI(registrant string) float64 {
	if known, ok := s.registrants.Load(registrant); ok {
		weight, _ := known.(float64)
		return weight
	}
	weight := weightOUI
	for i := range s.interfaces {
		if s.interfaces[i].is.MatchString(registrant) {
			weight = weightInterface
			break
		}
	}
	s.registrants.Store(registrant, weight)
	return weight
}
