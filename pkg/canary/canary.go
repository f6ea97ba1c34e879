// Package canary finds planted secrets in whatever a test can get hold of:
// topics, tables, spool files, logs, panics. A secret counts as leaked in clear
// and in the encodings that data commonly goes through: hex, base64 at each of
// its three alignments, UTF-16.
//
// It is for tests of any package. It does not look into compressed data: unpack
// it first.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Hit is one place where a secret shows.
type Hit struct {
	Secret string // as given to Search
	Form   string // clear, hex, base64, utf-16le, utf-16be
	Offset int    // of the encoded secret in the data
}

// String says what was found where.
func (h Hit) String() string { return fmt.Sprintf("%q as %s at %d", h.Secret, h.Form, h.Offset) }

const (
	minSecret = 4 // shorter ones are found everywhere by chance
	minBase64 = 6 // characters that the secret alone decides
)

// pattern is one form of one secret.
type pattern struct {
	secret string
	form   string
	exact  []byte // as it would stand in the data
	folded []byte // the same in lower case
	cased  bool   // upper and lower case differ (base64)
}

// Searcher looks for a fixed set of secrets; it may be used by many goroutines.
type Searcher struct {
	by     map[[minSecret]byte][]pattern
	starts [1 << 16]bool // first two bytes of any pattern
}

// New prepares a search. Secrets under four bytes are left out. A secret with
// "^" between its words, as HL7 and DICOM write names, is looked for with the
// other usual separators as well.
func New(secrets []string) *Searcher {
	s := &Searcher{by: map[[minSecret]byte][]pattern{}}
	seen := map[string]bool{}
	for _, secret := range secrets {
		for _, v := range spellings(secret) {
			if len(v) < minSecret || seen[v] {
				continue
			}
			seen[v] = true
			s.add(secret, v)
		}
	}
	return s
}

// Search gives all hits of the secrets in data, in order of their offset. It
// takes one pass over data, however many secrets there are.
func Search(data []byte, secrets []string) []Hit { return New(secrets).Search(data) }

// Search gives all hits in data, in order of their offset.
func (s *Searcher) Search(data []byte) []Hit {
	var hits []Hit
	low := lower(data)
	for i := 0; i+minSecret <= len(low); i++ {
		if !s.starts[int(low[i])<<8|int(low[i+1])] {
			continue
		}
		for _, p := range s.by[[minSecret]byte(low[i:])] {
			at, want := low, p.folded
			if p.cased {
				at, want = data, p.exact
			}
			if bytes.HasPrefix(at[i:], want) {
				hits = append(hits, Hit{p.secret, p.form, i})
			}
		}
	}
	return hits
}

// lower folds ASCII only, so that offsets stay.
func lower(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

func spellings(secret string) []string {
	list := []string{secret}
	if strings.Contains(secret, "^") {
		for _, sep := range []string{" ", ",", ", ", "@", "!", "|", "_", "-", "."} {
			list = append(list, strings.ReplaceAll(secret, "^", sep))
		}
	}
	return list
}

func (s *Searcher) add(secret, v string) {
	s.put(secret, "clear", []byte(v), false)
	s.put(secret, "hex", []byte(hex.EncodeToString([]byte(v))), false)
	units := utf16.Encode([]rune(v))
	var le, be []byte
	for _, u := range units {
		le = append(le, byte(u), byte(u>>8))
		be = append(be, byte(u>>8), byte(u))
	}
	s.put(secret, "utf-16le", le, false)
	s.put(secret, "utf-16be", be, false)
	for _, cased := range []string{v, strings.ToLower(v), strings.ToUpper(v)} {
		for shift := range 3 {
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				s.put(secret, "base64", encode(enc, cased, shift), true)
			}
		}
	}
}

// encode gives the characters that v alone decides when shift other bytes come
// before it in a group of three.
func encode(enc *base64.Encoding, v string, shift int) []byte {
	b := append(make([]byte, shift), v...)
	out := []byte(enc.EncodeToString(b))
	from := []int{0, 2, 3}[shift]
	to := len(b) * 8 / 6
	if to-from < minBase64 {
		return nil
	}
	return out[from:to]
}

func (s *Searcher) put(secret, form string, exact []byte, cased bool) {
	if len(exact) < minSecret {
		return
	}
	p := pattern{secret: secret, form: form, exact: exact, folded: lower(exact), cased: cased}
	key := [minSecret]byte(p.folded)
	for _, q := range s.by[key] {
		if q.cased == cased && slices.Equal(q.exact, exact) {
			return
		}
	}
	s.starts[int(key[0])<<8|int(key[1])] = true
	s.by[key] = append(s.by[key], p)
}
