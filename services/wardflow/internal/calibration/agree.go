package calibration

import (
	"slices"
	"strings"
)

// agrees reports that what is told is one of the values that are right. Case and
// spaces do not count, nor does:
//
//   - of a manufacturer, all after the first word (Siemens, Siemens Healthcare), and
//     what is no letter;
//   - of a system, that it is told less closely than it is known: Windows is right
//     for Windows 10, and Linux for a distribution when the label says so;
//   - of a host name, its domain.
//
// A model, a version, a serial number or a place is right as a whole or not at all.
func agrees(attribute, told string, right []string) bool {
	told = plain(told)
	return slices.ContainsFunc(right, func(want string) bool {
		want = plain(want)
		switch attribute {
		case "manufacturer":
			return firstWord(told) == firstWord(want)
		case "os":
			return told == want || strings.HasPrefix(want, told+" ")
		case hostname:
			return told == want || strings.HasPrefix(told, want+".")
		}
		return told == want
	})
}

func plain(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// firstWord of a maker's name, of its letters and digits: D-Link is one word.
func firstWord(s string) string {
	s = strings.ReplaceAll(s, "hewlett-packard", "hewlett packard")
	s = strings.ReplaceAll(s, "hewlett packard", "hp")
	word, _, _ := strings.Cut(strings.NewReplacer(",", " ", "(", " ", "/", " ").Replace(s), " ")
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-._'&", r) {
			return -1
		}
		return r
	}, word)
}
