package syslog

import "github.com/wardflow/wardflow/proto"

// Station reads a message by one pattern.
func Station(s, from string, p *Pattern) (proto.Attributes, bool) {
	m, _, _ := parse([]byte(s))
	_, a, ok := station([]byte(s), &m, from, []*Pattern{p})
	return a, ok
}

// Looked are the patterns that are looked for.
func Looked() []*Pattern { return looked() }
