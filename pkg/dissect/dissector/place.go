package dissector

import "strings"

// maxPlace is the longest part of a location.
const maxPlace = 20

// Place joins a ward, a room and a bed, as HL7's PV1-3 has them, where they look
// like a location and nothing else: senders are known to put people there. Room
// and bed carry a digit or are one letter or two; a ward alone carries one, or is
// an abbreviation. "" for anything else; parts that are empty are left out.
func Place(ward, room, bed string) string {
	digit := func(s string) bool { return strings.ContainsAny(s, "0123456789") }
	var parts []string
	for i, s := range []string{ward, room, bed} {
		if len(s) > maxPlace || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-./#") != "" || i > 0 && len(s) > 2 && !digit(s) {
			return ""
		}
		if s = strings.Trim(s, " "); s != "" {
			parts = append(parts, s)
		}
	}
	if room == "" && bed == "" && !digit(ward) && len(ward) > 4 {
		return ""
	}
	return strings.Join(parts, "^")
}
