package syslog

import (
	"bytes"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed patterns.yaml
var patternText []byte

// Pattern is a form of message that tells where a station is. patterns.yaml says what its
// keys mean.
type Pattern struct {
	ID       string    `yaml:"id"`
	Contains string    `yaml:"contains"`
	By       string    `yaml:"by"`
	Match    string    `yaml:"match"`
	Source   string    `yaml:"source"`
	Enabled  *bool     `yaml:"enabled"`
	Examples []Example `yaml:"examples"`
	Counter  []string  `yaml:"counter_examples"`

	contains []byte
	regex    *regexp.Regexp
}

// Example is a message and what is told of it.
type Example struct {
	Message string            `yaml:"message"`
	Expect  map[string]string `yaml:"expect"`
}

// groups are what an expression may read.
var groups = []string{"mac", "port", "vlan", "ssid", "access_point"}

// On reports whether the pattern is looked for.
func (p *Pattern) On() bool { return p.Enabled == nil || *p.Enabled }

// Patterns reads the patterns of a file, with everything that is wrong with them.
func Patterns(b []byte) ([]*Pattern, error) {
	var file struct {
		Patterns []*Pattern `yaml:"patterns"`
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("patterns of syslog: %w", err)
	}
	seen := map[string]bool{}
	for _, p := range file.Patterns {
		if err := p.compile(); err != nil {
			return nil, fmt.Errorf("patterns of syslog: %s: %w", p.ID, err)
		}
		if seen[p.ID] {
			return nil, fmt.Errorf("patterns of syslog: %s is there twice", p.ID)
		}
		seen[p.ID] = true
	}
	return file.Patterns, nil
}

func (p *Pattern) compile() (err error) {
	switch {
	case p.ID == "" || p.Contains == "" || p.Source == "" || len(p.Examples) == 0:
		return fmt.Errorf("id, contains, source and an example are wanted")
	case !slices.Contains([]string{"switch", "access_point", "controller"}, p.By):
		return fmt.Errorf("by: %q; want switch, access_point or controller", p.By)
	}
	if p.regex, err = regexp.Compile(p.Match); err != nil {
		return fmt.Errorf("match: %w", err)
	}
	for _, name := range p.regex.SubexpNames()[1:] {
		if !slices.Contains(groups, name) {
			return fmt.Errorf("match: group %q is none of %v", name, groups)
		}
	}
	if p.regex.SubexpIndex("mac") < 0 {
		return fmt.Errorf("match: has no group mac")
	}
	p.contains = []byte(p.Contains)
	return nil
}

// looked are the patterns that are looked for. The file is part of the program, and
// TestPatterns reads it: what is wrong with it does not get here.
var looked = sync.OnceValue(func() []*Pattern {
	all, err := Patterns(patternText)
	if err != nil {
		panic(err)
	}
	return slices.DeleteFunc(all, func(p *Pattern) bool { return !p.On() })
})
