package fingerprint

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed signatures/*.yaml
var signatureFiles embed.FS

// packFiles are the packs of the program; a new kind of evidence is a new file and
// its name here. Their order is that of what they say.
var packFiles = []string{"products", "dhcp", "dicom", "hl7", "roles", "hostnames", "oui", "discovery", "lldp", "software", "windows", "clinical", "control", "behaviour", "management", "enterprises", "recog"}

// A rule turns evidence into votes: where the evidence of an attribute matches,
// it says values of facts, each with a weight that the evidence's own multiplies.
type rule struct {
	is     *regexp.Regexp
	starts string // what a value begins with where it can match, in lower case
	says   []say  // sorted by attribute, value
}

type say struct {
	attribute, value string // value may use $1
	weight           float64
}

// signatures is the reference data, read once.
type signatures struct {
	rules       map[string][]rule // by evidence attribute
	category    map[string]string // of a type
	criticality map[string]string // of a type
	makers      []maker
	interfaces  []maker // registrants of MACs who make interfaces for others' devices
	packs       []*Pack

	remembered remembering[[]meaning] // see means

	registrants sync.Map // of MACs -> weight, see weightOUI
}

type maker struct {
	name string
	is   *regexp.Regexp
}

var embedded = sync.OnceValue(func() *signatures {
	s, err := loadSignatures()
	if err != nil {
		panic(err) // the embedded files are part of the program; a test reads them
	}
	return s
})

// loadSignatures reads the embedded files and reports all that is wrong in them.
func loadSignatures() (*signatures, error) {
	s := emptySignatures()
	errs := []error{s.loadTypes(), s.loadMakers("makers", &s.makers), s.loadMakers("interfaces", &s.interfaces)}
	for _, name := range packFiles {
		errs = append(errs, s.loadPack(name))
	}
	return s, errors.Join(errs...)
}

func emptySignatures() *signatures {
	return &signatures{rules: map[string][]rule{}, category: map[string]string{}, criticality: map[string]string{}}
}

// with gives the signatures of the program and of more packs; one that has the name of
// a pack of the program takes its place.
func (s *signatures) with(more []*Pack) (*signatures, error) {
	out := emptySignatures()
	out.category, out.criticality, out.makers, out.interfaces = s.category, s.criticality, s.makers, s.interfaces
	var errs []error
	for _, p := range s.packs {
		if !slices.ContainsFunc(more, func(m *Pack) bool { return m.Name == p.Name }) {
			errs = append(errs, out.add(p))
		}
	}
	for _, p := range more {
		errs = append(errs, out.add(p))
	}
	return out, errors.Join(errs...)
}

// vocabularyOnly are the signatures without rules, for checks.
func vocabularyOnly() *signatures {
	s := embedded()
	return &signatures{category: s.category, criticality: s.criticality, makers: s.makers}
}

func (s *signatures) loadPack(name string) error {
	b, err := signatureFiles.ReadFile("signatures/" + name + ".yaml")
	if err != nil {
		return fmt.Errorf("read signatures: %w", err)
	}
	p, err := ParsePack("signatures/"+name+".yaml", b)
	if err != nil {
		return err
	}
	return s.add(p)
}

func decodeFile(name string, into any) error {
	b, err := signatureFiles.ReadFile("signatures/" + name + ".yaml")
	if err != nil {
		return fmt.Errorf("read signatures: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read signatures/%s.yaml: %w", name, err)
	}
	return nil
}

func (s *signatures) loadTypes() error {
	var file map[string]map[string]string
	if err := decodeFile("types", &file); err != nil {
		return err
	}
	for category, types := range file {
		for name, criticality := range types {
			s.category[name], s.criticality[name] = category, criticality
		}
	}
	return nil
}

func (s *signatures) loadMakers(name string, into *[]maker) error {
	var file []struct{ Name, Is string }
	if err := decodeFile(name, &file); err != nil {
		return err
	}
	for _, m := range file {
		re, err := regexp.Compile("(?i)" + m.Is)
		if err != nil {
			return fmt.Errorf("read signatures/%s.yaml: %s: %w", name, m.Name, err)
		}
		*into = append(*into, maker{name: m.Name, is: re})
	}
	return nil
}

func (s *signatures) check(attribute, value string, weight float64) error {
	switch {
	case !slices.Contains(factNames, attribute):
		return fmt.Errorf("%q is no attribute of a device", attribute)
	case attribute == "type" && s.category[value] == "":
		return fmt.Errorf("type %q is not in types.yaml", value)
	case weight <= 0 || weight >= 1:
		return fmt.Errorf("weight %v of %s is not between 0 and 1", weight, value)
	}
	return nil
}

// makerKey is under which name values of manufacturer are the same.
func (s *signatures) makerKey(value string) string {
	for i := range s.makers {
		if s.makers[i].is.MatchString(value) {
			return s.makers[i].name
		}
	}
	return strings.ToLower(trimLegal(value))
}
