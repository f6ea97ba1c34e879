package dissector

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// Text makes a printable value of at most limit bytes from bytes of a packet:
// spaces and NULs around it go, control characters and bytes that are not UTF-8
// become one question mark each run. A longer value is no identifier: "".
func Text(b []byte, limit int) string {
	s := strings.Trim(string(b), " \x00\t\r\n")
	if len(s) > limit {
		return ""
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			s = strings.ToValidUTF8(s, "?")
			return strings.Map(func(r rune) rune {
				if unicode.IsPrint(r) {
					return r
				}
				return '?'
			}, s)
		}
	}
	return s
}

// Pseudonym is what leaves the parser in place of an identity that has to be
// counted: the first 16 bytes of HMAC-SHA256 under the site's key, in hex, the same for the
// same identity at one site and unlinkable between sites.
func Pseudonym(key, identity []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write(identity)
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// Guard is the second line of defence: it holds hashes of the patient identities
// of one message, and a device fact that repeats one of them (a serial number
// field filled with the MRN) is not emitted. Words are compared without case;
// those under minGuarded characters are too common to mean anybody.
type Guard struct {
	sums []uint64
	full bool
}

const (
	minGuarded = 4
	maxGuarded = 4096
)

// Add remembers an identity: each word of it, and all of it.
func (g *Guard) Add(b []byte) {
	words(b, func(w []byte) bool {
		if len(g.sums) == maxGuarded {
			g.full = true
			return false
		}
		g.sums = append(g.sums, xxhash.Sum64(w))
		return true
	})
}

// Fill says that there were identities that could not be added: from now on
// every value counts as one of them.
func (g *Guard) Fill() { g.full = true }

// Holds reports whether s repeats an identity.
func (g *Guard) Holds(s string) bool {
	if len(g.sums) == 0 || g.full {
		return g.full
	}
	found := false
	words([]byte(s), func(w []byte) bool {
		sum := xxhash.Sum64(w)
		for _, x := range g.sums {
			if x == sum {
				found = true
				return false
			}
		}
		return true
	})
	return found
}

// Reset forgets all.
func (g *Guard) Reset() { g.sums, g.full = g.sums[:0], false }

// Size is the bytes that g keeps.
func (g *Guard) Size() int { return 8 * cap(g.sums) }

// words calls yield with each word of b, lower-case letters and digits (any byte
// beyond ASCII counts as a letter), and with all words run together.
func words(b []byte, yield func([]byte) bool) {
	var room [64]byte
	all, start := room[:0], 0
	n := 0
	end := func() bool {
		if len(all)-start >= minGuarded {
			n++
			if !yield(all[start:]) {
				return false
			}
		}
		start = len(all)
		return true
	}
	for _, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			all = append(all, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c >= 0x80:
			all = append(all, c)
		default:
			if !end() {
				return
			}
		}
	}
	last := start
	if !end() {
		return
	}
	if last > 0 && len(all) >= minGuarded {
		yield(all)
	}
}
