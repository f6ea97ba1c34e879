package fingerprint

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxPack bounds a pack, which travels as one message of wardflow.control.
const MaxPack = 512 << 10

// Pack is a signature pack: rules with where they come from and what they are tested
// with. docs/how-to/write-signatures.md describes the format.
type Pack struct {
	Name    string     `yaml:"pack"`
	Version string     `yaml:"version"`
	Licence string     `yaml:"licence"`
	About   string     `yaml:"about"`
	Rules   []PackRule `yaml:"rules"`

	file string   // where it was read, for messages
	sum  [32]byte // SHA-256 of its text
}

// PackRule turns evidence into votes: where evidence matches, it says values of facts,
// each with a weight, which the evidence's own multiplies.
type PackRule struct {
	ID      string                        `yaml:"id"`
	Match   PackMatch                     `yaml:"match"`
	Says    map[string]map[string]float64 `yaml:"says"` // attribute -> value, which may use $1 -> weight
	Source  string                        `yaml:"source"`
	Note    string                        `yaml:"note"`
	Enabled *bool                         `yaml:"enabled"` // false for what nobody has verified yet

	Examples []PackExample `yaml:"examples"`
	Counter  []string      `yaml:"counter_examples"` // evidence that it must not match

	line int
}

// PackMatch is what a rule looks at, without case: one of Regex (RE2, anywhere in the
// value), Equals and Prefix.
type PackMatch struct {
	Attribute names  `yaml:"attribute"` // of evidence; one or several
	Regex     string `yaml:"regex"`
	Equals    string `yaml:"equals"`
	Prefix    string `yaml:"prefix"`
}

// PackExample is evidence, and what the rule says of it.
type PackExample struct {
	Evidence string            `yaml:"evidence"`
	Expect   map[string]string `yaml:"expect"`

	Constructed bool `yaml:"constructed"` // made after the expression, not seen on a wire or in a document
}

// names is a word or a list of words.
type names []string

// UnmarshalYAML takes both.
func (n *names) UnmarshalYAML(v *yaml.Node) error {
	if v.Kind == yaml.ScalarNode {
		*n = names{v.Value}
		return nil
	}
	return v.Decode((*[]string)(n))
}

// UnmarshalYAML keeps the line for messages.
func (r *PackRule) UnmarshalYAML(v *yaml.Node) error {
	type plain PackRule
	if err := v.Decode((*plain)(r)); err != nil {
		return err
	}
	r.line = v.Line
	if err := knownKeys(v, "id", "match", "says", "source", "note", "enabled", "examples", "counter_examples"); err != nil {
		return err
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		switch value := v.Content[i+1]; v.Content[i].Value {
		case "match":
			if err := knownKeys(value, "attribute", "regex", "equals", "prefix"); err != nil {
				return err
			}
		case "examples":
			for _, x := range value.Content {
				if err := knownKeys(x, "evidence", "expect", "constructed"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// knownKeys says which key of a mapping is none of the format: a decoder that is strict
// is not so below a type's own UnmarshalYAML.
func knownKeys(v *yaml.Node, keys ...string) error {
	if v.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want a mapping", v.Line)
	}
	for i := 0; i < len(v.Content); i += 2 {
		if k := v.Content[i]; !slices.Contains(keys, k.Value) {
			return fmt.Errorf("line %d: field %s is not known here; there are %s", k.Line, k.Value, strings.Join(keys, ", "))
		}
	}
	return nil
}

// enabled reports whether the rule is in force.
func (r *PackRule) enabled() bool { return r.Enabled == nil || *r.Enabled }

// compile makes the expression that the match stands for.
func (m *PackMatch) compile() (*regexp.Regexp, error) {
	given := 0
	for _, s := range []string{m.Regex, m.Equals, m.Prefix} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("match: say one of regex, equals and prefix")
	}
	expr := m.Regex
	switch {
	case m.Equals != "":
		expr = "^" + regexp.QuoteMeta(m.Equals) + "$"
	case m.Prefix != "":
		expr = "^" + regexp.QuoteMeta(m.Prefix)
	}
	re, err := regexp.Compile("(?i)" + expr)
	if err != nil {
		return nil, fmt.Errorf("match.regex: %w (the syntax is RE2's, without look-around and back-references)", err)
	}
	return re, nil
}

// ParsePack reads a pack. Its rules are checked by Lint.
func ParsePack(file string, b []byte) (*Pack, error) {
	if len(b) > MaxPack {
		return nil, fmt.Errorf("%s: %d bytes; a pack has at most %d: split it", file, len(b), MaxPack)
	}
	p := &Pack{file: file, sum: sha256.Sum256(b)}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it holds more than one document; a pack is one", file)
	}
	return p, nil
}

// ReadPacks reads a pack, or all packs (*.yaml, *.yml) of a folder, and reports all
// that is wrong with them.
func ReadPacks(path string) ([]*Pack, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read signatures: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		files = nil
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("read signatures: %w", err)
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("read signatures: %s has no *.yaml", path)
		}
	}
	var packs []*Pack
	var errs []error
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read signatures: %w", err))
			continue
		}
		p, err := ParsePack(file, b)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		packs = append(packs, p)
	}
	return packs, errors.Join(errs...)
}

// UsablePacks reads packs and lints them: what they are worth using with.
func UsablePacks(path string) ([]*Pack, error) {
	packs, err := ReadPacks(path)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, problem := range Lint(packs) {
		errs = append(errs, problem)
	}
	return packs, errors.Join(errs...)
}

// EmbeddedPacks are those of the program.
func EmbeddedPacks() []*Pack { return slices.Clone(embedded().packs) }

// add takes the rules of a pack that are in force.
func (s *signatures) add(p *Pack) error {
	s.packs = append(s.packs, p)
	for i := range p.Rules {
		r := &p.Rules[i]
		if !r.enabled() {
			continue
		}
		made, err := s.rule(r)
		if err != nil {
			return fmt.Errorf("%s:%d: rule %s: %w", p.file, r.line, r.ID, err)
		}
		for _, attribute := range r.Match.Attribute {
			s.rules[attribute] = append(s.rules[attribute], made)
		}
	}
	return nil
}

// rule makes a rule ready to be used.
func (s *signatures) rule(r *PackRule) (made rule, err error) {
	if made.is, err = r.Match.compile(); err != nil {
		return made, err
	}
	made.starts, _ = literalPrefix(&r.Match)
	for _, attribute := range slices.Sorted(maps.Keys(r.Says)) {
		for _, value := range slices.Sorted(maps.Keys(r.Says[attribute])) {
			w := r.Says[attribute][value]
			if err := s.check(attribute, value, w); err != nil {
				return made, err
			}
			made.says = append(made.says, say{attribute: attribute, value: value, weight: w})
		}
	}
	return made, nil
}

// literalPrefix is what a value must begin with, in lower case, for the expression to
// match at all: most of many rules are told apart by it.
func literalPrefix(m *PackMatch) (prefix string, whole bool) {
	switch {
	case m.Equals != "":
		return strings.ToLower(m.Equals), true
	case m.Prefix != "":
		return strings.ToLower(m.Prefix), false
	case !strings.HasPrefix(m.Regex, "^"):
		return "", false
	}
	re, err := regexp.Compile(m.Regex[1:]) // without case an expression has no literal prefix
	if err != nil {
		return "", false
	}
	prefix, whole = re.LiteralPrefix()
	for i := range len(prefix) {
		if prefix[i] >= 0x80 { // of other letters there may be more than two cases
			return strings.ToLower(prefix[:i]), false
		}
	}
	return strings.ToLower(prefix), whole
}
