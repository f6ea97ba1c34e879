package astm

import (
	"bytes"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxText        = 64
	maxInstruments = 16
)

// The roles.
const (
	roleInstrument = "instrument"
	roleHost       = "host"
)

// message is what is remembered of the message in hand.
type message struct {
	open        bool
	delimiters  [4]byte // field, repeat, component, escape
	counts      [len(kinds)]int
	sender      []string // components of H-5
	receiver    string
	processing  string
	version     string
	secret      bool
	termination string
	instruments []string
	guard       dissector.Guard
	damaged     bool // a frame of it is not as it was sent
}

// identifier is what ids of instruments are made of.
const identifier = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./#^"

// The codes of E1394: L-3 and H-12.
var (
	terminations = map[string]string{"N": "normal", "T": "sender_aborted", "R": "receiver_aborted", "E": "unknown_error", "Q": "query_error", "I": "no_information", "F": "query_done"}
	processings  = map[string]string{"P": "production", "T": "training", "D": "debugging", "Q": "quality_control"}
)

func (m *message) size() int { return 512 + m.guard.Size() + 80*(cap(m.instruments)+cap(m.sender)) }

func (m *message) reset() {
	g := m.guard
	g.Reset()
	*m = message{guard: g, delimiters: m.delimiters}
}

// start begins a message with its header.
func (m *message) start(r *record) {
	r.end(m)
	m.reset()
	m.open = true
	m.delimiters = r.delimiters
	m.secret = r.secret
	for _, part := range bytes.Split(r.values[5], m.delimiters[2:3]) {
		if len(m.sender) < 8 {
			m.sender = append(m.sender, dissector.Text(part, maxText))
		}
	}
	m.receiver = dissector.Text(first(r.values[10], m.delimiters[2]), 32)
	m.processing = processings[string(bytes.TrimSpace(r.values[12]))]
	if s := dissector.Text(r.values[13], 16); strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-. ") == "" && strings.ContainsAny(s, "0123456789") {
		m.version = s
	}
}

func first(v []byte, sep byte) []byte {
	if i := bytes.IndexByte(v, sep); i >= 0 {
		return v[:i]
	}
	return v
}

// record counts a record that is over.
func (m *message) record(r *record) {
	if !m.open {
		return
	}
	if r.kind != 'H' {
		r.end(m)
	}
	if i := strings.IndexByte(kinds, r.kind); i >= 0 {
		m.counts[i]++
	}
}

// instrument takes R-14, where it looks like an identifier.
func (m *message) instrument(s string) {
	if !strings.ContainsAny(s, "0123456789") || len(s) > 32 || strings.Trim(s, identifier) != "" {
		return
	}
	if len(m.instruments) < maxInstruments && !slices.Contains(m.instruments, s) {
		m.instruments = append(m.instruments, s)
	}
}

func (m *message) number(kind byte) int { return m.counts[strings.IndexByte(kinds, kind)] }

// role is who sends such a message, "" where both may: results and questions come
// from an analyser, orders from its host.
func (m *message) role() string {
	switch {
	case m.number('R') > 0, m.number('Q') > 0:
		return roleInstrument
	case m.number('O') > 0:
		return roleHost
	}
	return ""
}

// emit tells of the message.
func (m *message) emit(c *dissector.Context, complete bool) {
	f := dissector.Fact{Kind: "message", Subject: dissector.Subject{Side: c.Side}}
	switch {
	case m.number('R') > 0:
		f.Kind = "results"
	case m.number('Q') > 0:
		f.Kind = "query"
	case m.number('O') > 0:
		f.Kind = "orders"
	}
	a := &f.Attributes
	a.Set("role", m.role())
	switch {
	case m.damaged:
		c.Count("astm_damaged")
		m.guard.Fill() // what stands where is not to be relied on
	case !complete && m.number('P') == 0:
		m.guard.Fill() // whom it is about was not read
	}
	m.identify(c, a)
	if !complete {
		m.guard.Fill() // nor who else is in it
	}
	m.set(c, a, "receiving_application", m.receiver)
	a.Set("processing", m.processing)
	a.Set("version", m.version)
	var list []string
	for i, n := range m.counts {
		if n > 0 {
			list = append(list, kinds[i:i+1]+":"+count(n))
		}
	}
	a.SetList("records", list)
	list = nil
	for _, s := range m.instruments {
		if m.guard.Holds(s) {
			c.Count("astm_identity_withheld")
		} else {
			list = append(list, s)
		}
	}
	a.SetList("instrument_ids", list)
	a.Set("termination", m.termination)
	if m.secret {
		a.Set("cleartext_credential", "password")
		a.Set("account", "other")
	}
	if !complete {
		a.Set("incomplete", "true")
	}
	c.Emit(&f)
}

// set adds an attribute unless it repeats an identity.
func (m *message) set(c *dissector.Context, a *proto.Attributes, name, value string) {
	if value != "" && m.guard.Holds(value) {
		c.Count("astm_identity_withheld")
		return
	}
	a.Set(name, value)
}
