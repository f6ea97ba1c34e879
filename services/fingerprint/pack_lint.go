package fingerprint

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Problem is what is wrong with a pack, and where.
type Problem struct {
	File string
	Line int // 0: of the pack as a whole
	Rule string
	What string
}

// Error says it in one line.
func (p Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, p.Line)
	}
	if p.Rule != "" {
		where += ": rule " + p.Rule
	}
	return where + ": " + p.What
}

var (
	packName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,78}$`)
	anIP     = regexp.MustCompile(`\b(\d{1,3}(\\?\.)){3}\d{1,3}\b`)
	aMAC     = regexp.MustCompile(`(?i)\b([0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b|\b[0-9a-f]{4}\\?\.[0-9a-f]{4}\\?\.[0-9a-f]{4}\b`)
	aCapture = regexp.MustCompile(`(?i)\.(pcap|pcapng|cap)\b`)
)

// Lint tests packs, alone and against each other: every rule has a source and an
// example, its examples match and say what they expect, and no rule is about one
// address or one capture. Rules that are not enabled are tested as the others are.
func Lint(packs []*Pack) (list []Problem) {
	names, same := map[string]string{}, map[string]string{}
	for _, p := range packs {
		l := &linter{pack: p, vocabulary: vocabularyOnly(), list: &list, same: same}
		l.head(names)
		ids := map[string]bool{}
		for i := range p.Rules {
			r := &p.Rules[i]
			l.rule = r
			if ids[r.ID] {
				l.say("the id is used twice")
			}
			ids[r.ID] = true
			l.check()
		}
	}
	return list
}

type linter struct {
	pack       *Pack
	rule       *PackRule
	vocabulary *signatures
	list       *[]Problem
	same       map[string]string // what a rule matches -> who does so already
}

func (l *linter) say(format string, args ...any) {
	p := Problem{File: l.pack.file, What: fmt.Sprintf(format, args...)}
	if l.rule != nil {
		p.Line, p.Rule = l.rule.line, l.rule.ID
	}
	*l.list = append(*l.list, p)
}

func (l *linter) head(names map[string]string) {
	p := l.pack
	if !packName.MatchString(p.Name) {
		l.say("pack: %q: want small letters, digits and hyphens", p.Name)
	}
	if other, known := names[p.Name]; known {
		l.say("pack %s is in %s too", p.Name, other)
	}
	names[p.Name] = p.file
	for key, value := range map[string]string{"version": p.Version, "licence": p.Licence} {
		if value == "" {
			l.say("%s is missing", key)
		}
	}
	if len(p.Rules) == 0 {
		l.say("it has no rules")
	}
}

func (l *linter) check() {
	r := l.rule
	if !ruleName.MatchString(r.ID) {
		l.say("id %q: want small letters, digits, dots, hyphens and underscores", r.ID)
	}
	if r.Source == "" {
		l.say("source is missing: where does the fact come from?")
	}
	if len(r.Match.Attribute) == 0 {
		l.say("match.attribute is missing: which evidence does it look at?")
	}
	for _, a := range r.Match.Attribute {
		if !isEvidence(a) {
			l.say("match.attribute: nothing tells evidence %q; docs/how-to/write-signatures.md lists what there is", a)
		}
	}
	if len(r.Says) == 0 {
		l.say("says is missing: what does it tell?")
	}
	re, err := r.Match.compile()
	if err != nil {
		l.say("%v", err)
		return
	}
	if re.MatchString("") {
		l.say("it matches everything")
	}
	l.particular()
	for _, attribute := range slices.Sorted(maps.Keys(r.Says)) {
		for _, value := range slices.Sorted(maps.Keys(r.Says[attribute])) {
			if err := l.vocabulary.check(attribute, value, r.Says[attribute][value]); err != nil {
				l.say("says: %v", err)
			}
		}
	}
	for _, a := range r.Match.Attribute {
		key := a + "\x00" + re.String()
		if other, known := l.same[key]; known {
			l.say("%s has a rule for the same already: put them together", other)
		}
		l.same[key] = l.pack.Name + "/" + r.ID
	}
	l.examples(re)
}

// particular: a rule is true of a protocol or a product, not of one device.
func (l *linter) particular() {
	m := &l.rule.Match
	text := m.Regex + m.Equals + m.Prefix
	for what, re := range map[string]*regexp.Regexp{"an address": anIP, "a device's MAC": aMAC, "a capture file": aCapture} {
		if !isObject(m.Attribute) && re.MatchString(text) {
			l.say("it names %s; a rule holds for every device of its kind", what)
		}
	}
}

// isObject reports that the evidence is an object identifier, which has numbers and
// dots as an address has.
func isObject(attributes names) bool {
	return slices.Contains(attributes, "dicom_implementation_uid") || slices.Contains(attributes, "snmp_object_id")
}

func (l *linter) examples(re *regexp.Regexp) {
	r := l.rule
	if len(r.Examples) == 0 {
		l.say("examples is missing: show evidence that it matches")
	}
	for _, x := range r.Examples {
		at := re.FindStringSubmatchIndex(x.Evidence)
		if at == nil {
			l.say("example %q does not match", x.Evidence)
			continue
		}
		if len(x.Expect) == 0 {
			l.say("example %q: expect is missing", x.Evidence)
		}
		for _, attribute := range slices.Sorted(maps.Keys(x.Expect)) {
			var said []string
			for _, value := range slices.Sorted(maps.Keys(r.Says[attribute])) {
				said = append(said, string(re.ExpandString(nil, value, x.Evidence, at)))
			}
			if !slices.Contains(said, x.Expect[attribute]) {
				l.say("example %q says %s %q, expected was %q", x.Evidence, attribute, strings.Join(said, ", "), x.Expect[attribute])
			}
		}
	}
	for _, x := range r.Counter {
		if re.MatchString(x) {
			l.say("counter example %q matches", x)
		}
	}
}
