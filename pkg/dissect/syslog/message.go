package syslog

import (
	"bytes"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

const (
	maxPriority = 191 // 24 facilities, 8 severities
	maxHost     = 255
	maxApp      = 48 // RFC 5424 6
	maxHead     = 1024
)

// message is the head of one message.
type message struct {
	facility, severity int // of the priority, -1 where there is none
	format             string
	host, app          string
	software, version  string
}

// severities and facilities are named as everywhere (RFC 5424 6.2.1).
var (
	severities = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	facilities = [...]string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
)

// The formats that are told.
const (
	format5424 = "rfc5424"
	format3164 = "rfc3164"

	formatCisco = "cisco"
)

// parse reads a head:
//
//	<PRI>1 TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA ...     RFC 5424
//	<PRI>Mmm dd hh:mm:ss HOST APP[PID]: ...                        RFC 3164, or with the time of RFC 3339
//	<PRI>... %FACILITY-5-MNEMONIC: ...                             Cisco
//
// known says that the head is of one of these forms.
func parse(b []byte) (m message, known, ok bool) {
	m.facility, m.severity = -1, -1
	rest, ok := m.priority(b)
	if !ok {
		return m, false, false
	}
	if after, ok := bytes.CutPrefix(rest, []byte("1 ")); ok && m.facility >= 0 {
		if m.fields(after) {
			m.format = format5424
			return m, true, true
		}
	}
	if after, ok := timestamp(rest); ok {
		m.format = format3164
		m.tag(after)
		return m, true, true
	}
	if m.facility >= 0 {
		m.mnemonic(rest)
	}
	return m, m.format != "", m.facility >= 0
}

// mnemonic looks for "%FACILITY-5-MNEMONIC:", which Cisco's systems write behind
// numbers, names and times that may or may not be there.
func (m *message) mnemonic(b []byte) {
	b = b[:min(len(b), 128)]
	i := bytes.IndexByte(b, '%')
	if i < 0 {
		return
	}
	word, _, ok := bytes.Cut(b[i+1:], []byte(":"))
	parts := bytes.Split(word, []byte("-"))
	if !ok || len(parts) < 3 || len(word) > maxApp {
		return
	}
	for _, x := range word {
		if (x < 'A' || x > 'Z') && (x < '0' || x > '9') && x != '_' && x != '-' {
			return
		}
	}
	if level := parts[len(parts)-2]; len(level) == 1 && level[0] >= '0' && level[0] <= '7' {
		m.format, m.app = formatCisco, "%"+string(word)
	}
}

// priority takes "<13>" off; without one nothing is taken.
func (m *message) priority(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '<' {
		return b, true
	}
	n, i := 0, 1
	for ; i < len(b) && i <= 3 && b[i] >= '0' && b[i] <= '9'; i++ {
		n = 10*n + int(b[i]-'0')
	}
	if i == 1 || i == len(b) || b[i] != '>' || n > maxPriority || b[1] == '0' && i > 2 {
		return nil, false
	}
	m.facility, m.severity = n/8, n%8
	return b[i+1:], true
}

// fields reads what follows the version.
func (m *message) fields(b []byte) bool {
	stamp, b, ok := bytes.Cut(b, []byte(" "))
	if !ok || string(stamp) != "-" && !rfc3339(stamp) {
		return false
	}
	var field [4][]byte // host, app, process, message id
	for i := range field {
		if field[i], b, ok = bytes.Cut(b, []byte(" ")); !ok || len(field[i]) == 0 {
			return false
		}
	}
	m.host, m.app = host(field[0]), program(field[1])
	m.origin(b)
	return true
}

// origin reads the element "origin" of the structured data (RFC 5424 7.2), where
// it comes first or behind those that have no quotes in their values.
func (m *message) origin(b []byte) {
	for range 8 {
		if len(b) == 0 || b[0] != '[' {
			return
		}
		end := elementEnd(b)
		if end < 0 {
			return
		}
		element := b[1:end]
		b = b[end+1:]
		id, rest, _ := bytes.Cut(element, []byte(" "))
		if string(id) != "origin" {
			continue
		}
		m.software = value(rest, "software")
		m.version = value(rest, "swVersion")
	}
}

// elementEnd is where the bracket closes, outside of quotes.
func elementEnd(b []byte) int {
	quoted := false
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '\\' && quoted:
			i++
		case b[i] == '"':
			quoted = !quoted
		case b[i] == ']' && !quoted:
			return i
		}
	}
	return -1
}

// value finds name="...".
func value(b []byte, name string) string {
	_, after, ok := bytes.Cut(b, []byte(name+`="`))
	if !ok {
		return ""
	}
	v, _, ok := bytes.Cut(after, []byte(`"`))
	if !ok {
		return ""
	}
	s := dissector.Text(v, maxApp)
	if strings.ContainsAny(s, "@'") {
		return ""
	}
	return s
}

var months = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

// timestamp takes "Oct 11 22:14:15 " off, or the same in the form of RFC 3339.
func timestamp(b []byte) (rest []byte, ok bool) {
	if len(b) >= 16 && b[3] == ' ' && b[6] == ' ' && b[9] == ':' && b[12] == ':' && b[15] == ' ' && digits(b[5:6]) && digits(b[7:9]) && digits(b[10:12]) && digits(b[13:15]) && (b[4] == ' ' || digits(b[4:5])) {
		for _, m := range months {
			if string(b[:3]) == m {
				return b[16:], true
			}
		}
	}
	stamp, rest, ok := bytes.Cut(b[:min(len(b), maxHead)], []byte(" "))
	return rest, ok && rfc3339(stamp)
}

func digits(b []byte) bool {
	for _, x := range b {
		if x < '0' || x > '9' {
			return false
		}
	}
	return len(b) > 0
}

// rfc3339 holds for "2016-05-24T09:50:52.926451+02:00" and the like.
func rfc3339(b []byte) bool {
	if len(b) < 20 || len(b) > 35 || !digits(b[:4]) || b[4] != '-' || !digits(b[5:7]) || b[7] != '-' || !digits(b[8:10]) || b[10] != 'T' || !digits(b[11:13]) || b[13] != ':' || b[16] != ':' {
		return false
	}
	last := b[len(b)-1]
	return last == 'Z' || last >= '0' && last <= '9'
}

// tag reads "HOST APP[PID]:". Many leave the host out. A host is believed only
// where a program follows it: else it may be the text's first word.
func (m *message) tag(b []byte) {
	first, rest, _ := bytes.Cut(b, []byte(" "))
	if app := tagged(first); app != "" {
		m.app = app
		return
	}
	second, _, _ := bytes.Cut(rest, []byte(" "))
	if app := tagged(second); app != "" {
		if m.host = host(first); m.host != "" {
			m.app = app
		}
	}
}

// tagged is the program in "su:", "sshd[12]:" and "%SYS-5-CONFIG_I:".
func tagged(b []byte) string {
	word, ok := bytes.CutSuffix(b, []byte(":"))
	i := bytes.IndexByte(word, '[')
	switch {
	case i > 0 && (bytes.HasSuffix(word, []byte("]")) && (ok || digits(word[i+1:len(word)-1]))):
		word = word[:i]
	case !ok || i >= 0:
		return ""
	}
	return program(word)
}

// host is a name or an address; "-" is none.
func host(b []byte) string {
	if len(b) > maxHost || string(b) == "-" || !made(b, ".-_:") {
		return ""
	}
	return dissector.Text(b, maxHost)
}

// program is the name of one.
func program(b []byte) string {
	if len(b) > maxApp || string(b) == "-" || !made(b, "._-/%+") {
		return ""
	}
	return dissector.Text(b, maxApp)
}

// made holds for letters, digits and the given signs.
func made(b []byte, signs string) bool {
	for _, x := range b {
		if (x < 'a' || x > 'z') && (x < 'A' || x > 'Z') && (x < '0' || x > '9') && strings.IndexByte(signs, x) < 0 {
			return false
		}
	}
	return len(b) > 0
}
