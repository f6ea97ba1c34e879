package astm

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// makers are words by which a component of the sender's name is known to be its
// maker's.
var makers = []string{
	"roche", "abbott", "siemens", "dade", "beckman", "coulter", "sysmex", "mindray", "biomerieux", "bio-rad", "biorad", "radiometer", "stago", "werfen",
	"instrumentation laboratory", "ortho", "diasorin", "horiba", "abx", "cepheid", "hologic", "becton", "thermo", "snibe", "tosoh", "arkray", "menarini",
	"nova biomedical", "ekf", "hemocue", "randox", "dirui", "erba", "diagon", "elitech", "grifols", "immucor", "qiagen", "hitachi", "olympus", "binding site", "phadia",
}

// identify reads H-5. The standard leaves it to the maker: most put the name of the
// system first, then, in any order, the maker, the model, the version and the
// serial number. What a component is, its form tells.
func (m *message) identify(c *dissector.Context, a *proto.Attributes) {
	if len(m.sender) == 0 {
		return
	}
	name := m.sender[0]
	var maker, model, version, serial string
	if isMaker(name) {
		maker = name
	}
	for _, s := range m.sender[1:] {
		switch {
		case s == "":
		case isVersion(s):
			if version == "" {
				version = s
			}
		case isMaker(s):
			if maker == "" {
				maker = s
			}
		case isSerial(s):
			if serial == "" {
				serial = s
			}
		case model == "" && strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
			model = s
		}
	}
	if !isMaker(name) && strings.ContainsAny(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") &&
		(model == "" || strings.Contains(strings.ToLower(name), strings.ToLower(model))) {
		model = name // "cobas c311" goes before "c311"
	}
	m.set(c, a, "sending_application", name)
	m.set(c, a, "manufacturer", maker)
	m.set(c, a, "model", model)
	m.set(c, a, "software_version", version)
	m.set(c, a, "serial", serial)
}

func isMaker(s string) bool {
	s = strings.ToLower(s)
	for _, w := range makers {
		if strings.HasPrefix(s, w) {
			return true
		}
	}
	return false
}

// isVersion holds for numbers of up to four digits with dots or hyphens between
// them, "1.4.2", "01-08", "V8.10b", "02.03.01".
func isVersion(s string) bool {
	s = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(s), "v"), "er")
	s = strings.TrimLeft(s, " .")
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '-' || r == ' ' })
	if len(parts) < 2 || len(s) > 20 {
		return false
	}
	for i, p := range parts {
		digits := strings.TrimRight(p, "abcdefghijklmnopqrstuvwxyz")
		if i < len(parts)-1 && digits != p || len(p)-len(digits) > 1 || digits == "" || len(digits) > 4 || strings.Trim(digits, "0123456789") != "" {
			return false
		}
	}
	return true
}

// isSerial holds for at least four digits, with hyphens between them or not, and for
// one word of letters and at least five digits: models have fewer, "BC-5380".
func isSerial(s string) bool {
	digits, letters, hyphens := 0, 0, 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
			letters++
		case r == '-', r == '/':
			hyphens++
		default:
			return false
		}
	}
	return letters == 0 && digits >= 4 || hyphens == 0 && digits >= 5 && digits >= letters
}
