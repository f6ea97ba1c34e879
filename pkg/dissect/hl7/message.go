package hl7

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

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
	heads                      [4]string // MSH-3 to MSH-6, until the character set is known
	sendingApp, sendingFac     string
	receivingApp, receivingFac string
	eui64                      string // of the sender
	profiles                   []string
	pcd                        bool // a profile of IHE's Patient Care Device domain
	charset                    string
	latin                      bool // the character set is ISO 8859-1
	sent                       stamp
	control, answers           uint64 // hashes of MSH-10 and MSA-2, 0 for none
	ack, errorCode             string
	software                   []sft
	location                   string
	counts                     []count
	guard                      dissector.Guard
	obx                        observation
	equipment                  []equipment
	more                       int // equipment beyond maxEquipment
	alarms                     []alarm
	order                      order
}

// sft is what an SFT names.
type sft struct {
	vendor, version, product, build string
}

// The bounds of what repeats.
const (
	maxSoftware = 8
	maxProfiles = 8
)

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
	g, e, n, p, s, a := m.guard, m.equipment, m.counts, m.profiles, m.software, m.alarms
	g.Reset()
	clear(e)
	clear(s)
	clear(a)
	*m = message{guard: g, equipment: e[:0], counts: n[:0], profiles: p[:0], software: s[:0], alarms: a[:0], sep: m.sep}
}

func (m *message) size() int {
	return m.guard.Size() + 1536*cap(m.equipment) + 16*cap(m.counts) + 256*cap(m.alarms) + 256*cap(m.software) + 1024
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
	if m.field >= len(m.plan) {
		return drop
	}
	if m.id == [3]byte{'O', 'B', 'X'} && !m.obx.wants(m.field) {
		return drop
	}
	return m.plan[m.field]
}

// value takes a complete field. It is the only place that sees field content.
func (m *message) value(v []byte) {
	switch m.want() {
	case identity:
		m.each(v, func(v []byte) { m.hide(m.part(v, 1)) })
		return
	case person:
		m.each(v, func(v []byte) {
			for i := 1; i <= 3; i++ {
				m.hide(m.part(v, i))
			}
		})
		return
	}
	switch string(m.id[:]) {
	case "MSH":
		m.header(v)
	case "MSA":
		m.acknowledge(v)
	case "ERR":
		m.fail(v)
	case "SFT":
		m.name(v)
	case "PV1":
		m.location = m.place(v)
	case "OBX":
		m.observe(v)
	case "PRT":
		m.participate(v)
	case "DEV":
		m.describe(v)
	case "EQU":
		m.obx.equipment = m.identify(v)
	case "ORC", "RXG":
		m.program(v)
	}
}

// hide remembers an identity in every way in which text may repeat it: as it is,
// with its escapes resolved, and as text makes it.
func (m *message) hide(v []byte) {
	m.guard.Add(v)
	if bytes.IndexByte(v, m.esc) >= 0 {
		v = m.unescape(v)
		m.guard.Add(v)
	}
	if !utf8.Valid(v) {
		m.guard.Add(latin(v))
		m.guard.Add(bytes.ToValidUTF8(v, []byte("?")))
	}
}

// latin is ISO 8859-1 as UTF-8.
func latin(v []byte) []byte {
	out := make([]byte, 0, len(v)+8)
	for _, x := range v {
		out = utf8.AppendRune(out, rune(x))
	}
	return out
}

// acknowledge takes a field of MSA: the outcome, and a hash of whose it is.
func (m *message) acknowledge(v []byte) {
	switch m.field {
	case 1:
		if s := m.text(v, 1, 2); slices.Contains(ackCodes[:], s) {
			m.ack = s
		}
	case 2:
		m.answers = hash(m.part(v, 1))
	}
}

// fail takes the code of an ERR (HL7 table 0357): ERR-3, before 2.5 a component of
// ERR-1.
func (m *message) fail(v []byte) {
	code := m.text(v, 1, 3)
	if m.field == 1 {
		code, _, _ = strings.Cut(m.text(v, 4, 64), string(rune(m.sub)))
	}
	if len(code) == 3 && strings.Trim(code, digits) == "" && m.errorCode == "" {
		m.errorCode = code
	}
}

// name takes a field of SFT.
func (m *message) name(v []byte) {
	if !m.obx.taken {
		if len(m.software) == maxSoftware {
			return
		}
		m.software = append(m.software, sft{})
		m.obx.taken = true
	}
	s := &m.software[len(m.software)-1]
	*[...]*string{&s.vendor, &s.version, &s.product, &s.build}[m.field-1] = m.text(v, 1, 64)
}

// hash is what stands for an id that is only to be recognised again.
func hash(v []byte) uint64 {
	if len(v) == 0 {
		return 0
	}
	return xxhash.Sum64(v) | 1
}

// profileLetters are what names of conformance profiles are made of.
const profileLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."

// ackCodes are the values of MSA-1 (HL7 table 0008).
var ackCodes = [...]string{"AA", "AE", "AR", "CA", "CE", "CR"}

// header takes a field of MSH.
func (m *message) header(v []byte) {
	switch m.field {
	case 2:
		for i, d := range []*byte{&m.comp, &m.rep, &m.esc, &m.sub} {
			if i < len(v) {
				*d = v[i]
			}
		}
	case 3, 4, 5, 6:
		if len(v) <= 256 {
			m.heads[m.field-3] = string(v)
		}
	case 7:
		m.sent = parseStamp(m.part(v, 1))
	case 9:
		m.messageType, m.kind = m.kinds(v)
	case 10:
		m.control = hash(m.part(v, 1))
	case 12:
		if s := m.text(v, 1, 5); strings.HasPrefix(s, "2") && strings.Trim(s, "0123456789.") == "" {
			m.version = s
		}
	case 18:
		m.characters(m.text(v, 1, 20))
	case 21:
		m.each(v, m.profile)
	}
}

// characters takes the character set, a word of HL7 table 0211.
func (m *message) characters(s string) {
	s = strings.ToUpper(s)
	if charsets[s] {
		m.charset, m.latin = strings.ToLower(s), s == "8859/1"
	}
}

// profile takes one repetition of MSH-21. A profile without a name has an OID.
func (m *message) profile(v []byte) {
	s, oid := m.text(v, 1, 48), m.text(v, 3, 64)
	m.pcd = m.pcd || strings.HasPrefix(s, "IHE_PCD") || strings.HasPrefix(s, "IHE PCD") || strings.HasPrefix(m.text(v, 2, 16), "IHE PCD") ||
		strings.HasPrefix(oid, "1.3.6.1.4.1.19376.1.6.")
	if s == "" && strings.Trim(oid, digits+".") == "" {
		s = oid
	}
	if s != "" && strings.Trim(s, profileLetters) == "" && len(m.profiles) < maxProfiles {
		m.profiles = append(m.profiles, s)
	}
}

// headed ends MSH: now its names can be read.
func (m *message) headed() {
	m.whole = true
	for i, to := range []*string{&m.sendingApp, &m.sendingFac, &m.receivingApp, &m.receivingFac} {
		v := []byte(m.heads[i])
		if *to = m.text(v, 1, 64); *to == "" {
			*to = m.text(v, 2, 64)
		}
	}
	m.eui64 = m.identify([]byte(m.heads[0])).eui64
	m.heads = [4]string{}
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

const (
	upperDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
	digits      = "0123456789"
)

// upper holds for the three upper-case letters of a message type.
func upper(s string) bool {
	return len(s) == 3 && strings.Trim(s, upperDigits[:26]) == ""
}

func (m *message) endSegment() {
	switch string(m.id[:]) {
	case "MSH":
		m.headed()
	case "OBX", "PRT", "EQU", "DEV":
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
func (m *message) part(v []byte, n int) []byte { return component(v, m.rep, m.comp, n) }

func component(v []byte, rep, comp byte, n int) []byte {
	if i := bytes.IndexByte(v, rep); i >= 0 {
		v = v[:i]
	}
	for ; n > 1; n-- {
		i := bytes.IndexByte(v, comp)
		if i < 0 {
			return nil
		}
		v = v[i+1:]
	}
	if i := bytes.IndexByte(v, comp); i >= 0 {
		v = v[:i]
	}
	return v
}

// text is a component as text, escapes resolved (HL7 v2.9 2.7), of at most limit
// bytes; "" where it is longer.
func (m *message) text(v []byte, n, limit int) string { return m.plain(m.part(v, n), limit) }

func (m *message) plain(v []byte, limit int) string {
	if bytes.IndexByte(v, m.esc) >= 0 {
		v = m.unescape(v)
	}
	if m.latin && !utf8.Valid(v) {
		v = latin(v)
	}
	return dissector.Text(v, limit)
}
