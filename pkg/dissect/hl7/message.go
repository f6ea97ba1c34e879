package hl7

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// message is what is remembered of the message in hand.
type message struct {
	open  bool // an MSH began it
	whole bool // and its segment ended
	// Delimiters, MSH-1 and MSH-2.
	sep, comp, rep, esc, sub byte

	id    [3]byte // segment in hand
	plan  plan    // of it; nil for a segment that nothing is kept of
	field int

	kind, messageType, version string
	sendingApp, sendingFac     string
	receivingApp, receivingFac string
	eui64                      string // of the sender
	profiles                   []string
	ack                        string
	vendor, product, software  string
	location                   string
	counts                     []count
	guard                      dissector.Guard
	obx                        observation
	equipment                  []equipment
	more                       int // equipment beyond maxEquipment
}

// count is how often a segment came.
type count struct {
	id [3]byte
	n  int
}

// begin starts with MSH, FHS or BHS; only the first makes a message.
func (m *message) begin(id string) {
	m.open = id == "MSH"
	m.id = [3]byte([]byte(id))
	m.plan, m.field = plans[m.id], 1
	m.sep, m.comp, m.rep, m.esc, m.sub = '|', '^', '~', '\\', '&'
	m.tally()
}

// reset forgets the message but keeps the room it took.
func (m *message) reset() {
	g, e, n, p := m.guard, m.equipment, m.counts, m.profiles
	g.Reset()
	clear(e)
	*m = message{guard: g, equipment: e[:0], counts: n[:0], profiles: p[:0], sep: m.sep}
}

func (m *message) size() int {
	return m.guard.Size() + 512*cap(m.equipment) + 16*cap(m.counts) + 512
}

// segment starts a segment.
func (m *message) segment(id [3]byte) {
	m.id, m.plan, m.field = id, plans[id], 0
	m.obx = observation{}
	m.tally()
}

func (m *message) tally() {
	if !m.open || !known[m.id] {
		return
	}
	for i := range m.counts {
		if m.counts[i].id == m.id {
			m.counts[i].n++
			return
		}
	}
	m.counts = append(m.counts, count{m.id, 1})
}

// want says what to do with the field that begins.
func (m *message) want() action {
	if m.field >= len(m.plan) || (m.field == 5 && m.id == [3]byte{'O', 'B', 'X'} && m.obx.quantity == none) {
		return drop
	}
	return m.plan[m.field]
}

// value takes a complete field. It is the only place that sees field content.
func (m *message) value(v []byte) {
	switch m.want() {
	case identity:
		m.each(v, func(v []byte) { m.guard.Add(m.part(v, 1)) })
		return
	case person:
		m.each(v, func(v []byte) {
			for i := 1; i <= 3; i++ {
				m.guard.Add(m.part(v, i))
			}
		})
		return
	}
	switch string(m.id[:]) {
	case "MSH":
		m.header(v)
	case "MSA":
		if s := m.text(v, 1, 2); slices.Contains(ackCodes, s) {
			m.ack = s
		}
	case "SFT":
		switch m.field {
		case 1:
			m.vendor = m.text(v, 1, 64)
		case 2:
			m.software = m.text(v, 1, 64)
		case 3:
			m.product = m.text(v, 1, 64)
		}
	case "PV1":
		m.location = m.place(v)
	case "OBX":
		m.observe(v)
	case "PRT", "EQU":
		m.obx.equipment = m.identify(v)
	}
}

// profileLetters are what names of conformance profiles are made of.
const profileLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."

// ackCodes are the values of MSA-1 (HL7 table 0008).
var ackCodes = []string{"AA", "AE", "AR", "CA", "CE", "CR"}

// header takes a field of MSH.
func (m *message) header(v []byte) {
	switch m.field {
	case 2:
		for i, d := range []*byte{&m.comp, &m.rep, &m.esc, &m.sub} {
			if i < len(v) {
				*d = v[i]
			}
		}
	case 3:
		m.sendingApp = m.text(v, 1, 64)
		if id := m.text(v, 2, 64); m.text(v, 3, 12) == "EUI-64" {
			m.eui64 = eui64(id)
		}
	case 4:
		m.sendingFac = m.text(v, 1, 64)
	case 5:
		m.receivingApp = m.text(v, 1, 64)
	case 6:
		m.receivingFac = m.text(v, 1, 64)
	case 9:
		m.messageType, m.kind = m.kinds(v)
	case 12:
		if s := m.text(v, 1, 5); strings.HasPrefix(s, "2") && strings.Trim(s, "0123456789.") == "" {
			m.version = s
		}
	case 21:
		m.each(v, func(v []byte) {
			if s := m.text(v, 1, 48); s != "" && strings.Trim(s, profileLetters) == "" && len(m.profiles) < 8 {
				m.profiles = append(m.profiles, s)
			}
		})
	}
}

// kinds gives MSH-9 and the kind made of it: type^event^structure, oru_r01.
func (m *message) kinds(v []byte) (messageType, kind string) {
	code, event, structure := m.text(v, 1, 3), m.text(v, 2, 3), m.text(v, 3, 7)
	if !upper(code) {
		return "", ""
	}
	messageType, kind = code, code
	if len(event) == 3 && event[0] >= 'A' && strings.Trim(event, upperDigits) == "" {
		messageType += "^" + event
		if code != "ACK" {
			kind += "_" + event
		}
		if first, rest, ok := strings.Cut(structure, "_"); upper(first) && (!ok || (len(rest) == 3 && strings.Trim(rest, upperDigits) == "")) {
			messageType += "^" + structure
		}
	}
	return messageType, strings.ToLower(kind)
}

const upperDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// upper holds for the three upper-case letters of a message type.
func upper(s string) bool {
	return len(s) == 3 && strings.Trim(s, upperDigits[:26]) == ""
}

func (m *message) endSegment() {
	switch string(m.id[:]) {
	case "MSH":
		m.whole = true
	case "OBX", "PRT", "EQU":
		m.settle()
	}
}

// each calls f with every repetition of a field.
func (m *message) each(v []byte, f func([]byte)) {
	for {
		i := bytes.IndexByte(v, m.rep)
		if i < 0 || m.rep == 0 {
			f(v)
			return
		}
		f(v[:i])
		v = v[i+1:]
	}
}

// part is component n, counted from 1, of the first repetition, escapes as they
// are.
func (m *message) part(v []byte, n int) []byte {
	if i := bytes.IndexByte(v, m.rep); i >= 0 {
		v = v[:i]
	}
	for ; n > 1; n-- {
		i := bytes.IndexByte(v, m.comp)
		if i < 0 {
			return nil
		}
		v = v[i+1:]
	}
	if i := bytes.IndexByte(v, m.comp); i >= 0 {
		v = v[:i]
	}
	return v
}

// text is a component as text, escapes resolved (HL7 v2.9 2.7), of at most limit
// bytes; "" where it is longer.
func (m *message) text(v []byte, n, limit int) string {
	v = m.part(v, n)
	if bytes.IndexByte(v, m.esc) >= 0 {
		v = m.unescape(v)
	}
	return dissector.Text(v, limit)
}

func (m *message) unescape(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for len(v) > 0 {
		i := bytes.IndexByte(v, m.esc)
		if i < 0 {
			return append(out, v...)
		}
		out = append(out, v[:i]...)
		v = v[i+1:]
		j := bytes.IndexByte(v, m.esc)
		if j < 0 {
			return out // cut off
		}
		out = append(out, m.escape(v[:j])...)
		v = v[j+1:]
	}
	return out
}

// escape is what one sequence stands for; formatting stands for nothing.
func (m *message) escape(s []byte) []byte {
	if len(s) == 0 {
		return nil
	}
	switch s[0] {
	case 'F':
		return []byte{m.sep}
	case 'S':
		return []byte{m.comp}
	case 'T':
		return []byte{m.sub}
	case 'R':
		return []byte{m.rep}
	case 'E':
		return []byte{m.esc}
	case 'X':
		var out []byte
		for h := s[1:]; len(h) >= 2; h = h[2:] {
			x, err := strconv.ParseUint(string(h[:2]), 16, 8)
			if err != nil {
				return nil
			}
			out = append(out, byte(x))
		}
		return out
	}
	return nil
}

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}
