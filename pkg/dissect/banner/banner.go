// Package banner reads what a server says of itself before anybody has logged in:
// the greetings of FTP, SMTP, POP3 and IMAP, of telnet, and the names that SIP and
// RTSP programs give themselves.
//
// A greeting is free text, and an administrator may have written anything into it.
// So a word leaves only if it is one of words.go (makers, programs, systems, and
// the technical words around them), a version beside such a word, or a model's
// number beside a maker's name. All others are dropped, and with them whatever a
// person's name could be.
package banner

import (
	"net/netip"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxText  = 512 // bytes of a greeting that are looked at
	maxWords = 64
	maxWord  = 32
	reach    = 4 // words between a program and its version
)

// Banner is what a greeting tells.
type Banner struct {
	Text         string // its safe words
	Software     string
	Version      string // of the software
	Manufacturer string
	Model        string
	OS           string
	OSVersion    string
}

// Set sets what is known.
func (b *Banner) Set(a *proto.Attributes) {
	a.Set("banner", b.Text)
	a.Set("software", b.Software)
	a.Set("software_version", b.Version)
	a.Set("manufacturer", b.Manufacturer)
	a.Set("model", b.Model)
	a.Set("os", b.OS)
	a.Set("os_version", b.OSVersion)
}

// token is a word of the greeting with what it is.
type token struct {
	text string
	kind kind
}

// Product parts what makers write as one, "HP LaserJet M507": the maker, where it is a
// known one, and the model without it.
func Product(text string) (manufacturer, model string) {
	manufacturer = Read([]byte(text)).Manufacturer
	if n := len(manufacturer); n > 0 && len(text) > n+1 && text[n] == ' ' && strings.EqualFold(text[:n], manufacturer) {
		return manufacturer, strings.TrimSpace(text[n+1:])
	}
	return manufacturer, text
}

// Read reads a greeting.
func Read(text []byte) Banner {
	var b Banner
	list := tokens(text)
	for i := range list {
		judge(list, i)
	}
	var safe []string
	telling := false // words such as "welcome" alone tell nothing
	for i, t := range list {
		if t.kind == unknown {
			continue
		}
		safe = append(safe, t.text)
		telling = telling || t.kind != common && t.kind != marker
		b.take(list, i)
	}
	if telling {
		b.Text = strings.Join(safe, " ")
	}
	return b
}

// tokens splits at whatever is no part of a word. What holds an @ is an address.
func tokens(text []byte) []token {
	text = text[:min(len(text), maxText)]
	var list []token
	for _, field := range strings.FieldsFunc(string(text), func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()[]{}<>,;"'|*#=`, r) }) {
		if strings.ContainsRune(field, '@') {
			continue
		}
		for _, w := range strings.FieldsFunc(field, func(r rune) bool { return strings.ContainsRune(":/\\?%&$^~`", r) }) {
			w = strings.Trim(w, ".-_+!")
			if w == "" || len(w) > maxWord {
				w = "?" // keeps its neighbours apart
			}
			if len(list) == maxWords {
				return list
			}
			list = append(list, token{text: w})
		}
	}
	return list
}

// judge says what word i is, knowing those before it.
func judge(list []token, i int) {
	t := &list[i]
	low := strings.ToLower(t.text)
	if t.kind = words[low]; t.kind != unknown {
		return
	}
	// Name and version in one: "wu-2.6.2", "MikroTik-6.1".
	if head, version := split(t.text); version != "" {
		if k := words[strings.ToLower(head)]; k == software || k == system {
			t.kind = k
			return
		}
	}
	if !strings.ContainsAny(low, "0123456789") {
		return
	}
	switch {
	case versionLike(t.text) && (near(list, i) || low[0] == 'v' && strings.ContainsRune(low, '.')):
		t.kind = version
	case i > 0 && (list[i-1].kind == maker || list[i-1].kind == model || list[i-1].kind == device) && modelLike(t.text):
		t.kind = model
	case i > 1 && list[i-2].kind == maker && series(list[i-1].text) && modelLike(t.text): // "RICOH MP C3000"
		list[i-1].kind, t.kind = model, model
	case i+1 < len(list) && words[strings.ToLower(list[i+1].text)] == device && modelLike(t.text) && strings.IndexAny(t.text, "0123456789") > 0:
		t.kind = model
	}
}

// near holds where a name, or the word version, stands shortly before word i.
func near(list []token, i int) bool {
	for j := i - 1; j >= 0 && j >= i-reach; j-- {
		switch list[j].kind {
		case software, maker, system, model, marker, device:
			return true
		case unknown:
			return false
		}
	}
	return false
}

// split parts "name-1.2", "name_1.2" and "name1.2".
func split(s string) (head, rest string) {
	i := strings.IndexAny(s, "0123456789")
	if i < 2 {
		return "", ""
	}
	return strings.TrimRight(s[:i], "-_"), s[i:]
}

// series holds for two or three capitals, as between a maker and a number.
func series(s string) bool {
	return (len(s) == 2 || len(s) == 3) && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// versionLike holds for "1.3.5rc1", "v6", "V1R4", "2.6.2-11": digits first, after at
// most one letter, and either a dot or that letter. Dates and addresses are none.
func versionLike(s string) bool {
	letter := s[0] == 'v' || s[0] == 'V' || s[0] == 'r' || s[0] == 'R'
	digits := s
	if letter {
		digits = s[1:]
	}
	if digits == "" || digits[0] < '0' || digits[0] > '9' || len(s) > 24 {
		return false
	}
	if _, err := netip.ParseAddr(digits); err == nil && !letter {
		return false
	}
	for _, r := range digits {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(".-+_", r) {
			return false
		}
	}
	return letter || strings.ContainsRune(digits, '.')
}

// modelLike holds for letters, digits and hyphens, such as "P1346", "214", "NDC-455-P".
func modelLike(s string) bool {
	if len(s) > 16 {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '+' {
			return false
		}
	}
	return true
}

// take fills in what word i tells. The first of a kind counts.
func (b *Banner) take(list []token, i int) {
	t := list[i]
	first := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	switch t.kind {
	case software:
		name, version := t.text, ""
		if head, v := split(t.text); v != "" && words[strings.ToLower(t.text)] == unknown {
			name, version = head, v
		}
		if b.Software == "" {
			b.Software, b.Version = name, version
		}
	case maker:
		first(&b.Manufacturer, t.text)
	case system:
		if b.OS == "" {
			b.OS = t.text
			if head, v := split(t.text); v != "" && words[strings.ToLower(t.text)] == unknown {
				b.OS, b.OSVersion = head, v
			}
		}
	case model:
		if b.Model != "" && list[i-1].kind == model {
			b.Model += " " + t.text
		}
		first(&b.Model, t.text)
	case version:
		b.version(list, i)
	}
}

// version gives a version to the name that stands before it, else to the software.
func (b *Banner) version(list []token, i int) {
	v := strings.TrimLeft(list[i].text, "vV")
	for j := i - 1; j >= 0; j-- {
		switch list[j].kind {
		case system:
			if b.OSVersion == "" {
				b.OSVersion = v
			}
			return
		case software, maker, marker, model, device:
			if b.Version == "" {
				b.Version = v
			}
			return
		}
	}
}

// Host is a host name as it stands in a greeting, in lower case; "" for what is
// none. Names without a dot count where the protocol wants a name there.
func Host(b []byte, single bool) string {
	const longest = 253
	s := strings.ToLower(dissector.Text(b, longest))
	s = strings.TrimSuffix(s, ".")
	if s == "" || s == "localhost" || strings.HasPrefix(s, "localhost.") {
		return ""
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	labels := strings.Split(s, ".")
	if len(labels) == 1 && !single {
		return ""
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return ""
		}
		for _, r := range l {
			if (r < '0' || r > '9') && (r < 'a' || r > 'z') && r != '-' && r != '_' {
				return ""
			}
		}
	}
	if last := labels[len(labels)-1]; len(labels) > 1 && strings.Trim(last, "0123456789") == "" {
		return ""
	}
	return s
}
