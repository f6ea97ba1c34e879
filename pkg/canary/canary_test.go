package canary

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"
)

const secret = "PHI-CANARY-0001"

func wide(s string, big bool) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b.WriteByte(byte(u >> 8))
		}
		b.WriteByte(byte(u))
		if !big {
			b.WriteByte(byte(u >> 8))
		}
	}
	return b.String()
}

func TestSearch(t *testing.T) {
	for _, tc := range []struct {
		name, secret, data, form string
	}{
		{"clear", secret, "xx PHI-CANARY-0001 yy", "clear"},
		{"other case", secret, "phi-canary-0001", "clear"},
		{"hex", secret, "0x" + hex.EncodeToString([]byte(secret)), "hex"},
		{"upper hex", secret, strings.ToUpper(hex.EncodeToString([]byte(secret))), "hex"},
		{"base64 0", secret, base64.StdEncoding.EncodeToString([]byte(secret + "tail")), "base64"},
		{"base64 1", secret, base64.StdEncoding.EncodeToString([]byte("a" + secret + "tail")), "base64"},
		{"base64 2", secret, base64.StdEncoding.EncodeToString([]byte("ab" + secret)), "base64"},
		{"base64 url", "??>>~~??>>", base64.URLEncoding.EncodeToString([]byte("ab??>>~~??>>")), "base64"},
		{"base64 lower", secret, base64.StdEncoding.EncodeToString([]byte("-" + strings.ToLower(secret))), "base64"},
		{"utf-16le", secret, "x" + wide(secret, false), "utf-16le"},
		{"utf-16be", secret, "xx" + wide(secret, true), "utf-16be"},
		{"other separator", "CANARY^ALFA", "Canary, Alfa", "clear"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hits := Search([]byte(tc.data), []string{tc.secret, "not in there"})
			for _, h := range hits {
				if h.Secret == tc.secret && h.Form == tc.form {
					return
				}
			}
			t.Errorf("hits %v, want one as %s", hits, tc.form)
		})
	}
}

func TestSearchFindsNothing(t *testing.T) {
	if hits := Search([]byte("PHI-CANARY-000 1, 0001, cana"), []string{secret, "abc"}); len(hits) != 0 {
		t.Errorf("hits %v", hits)
	}
}

// Whatever stands around it, base64 of it shows.
func TestBase64Anywhere(t *testing.T) {
	s := New([]string{secret})
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.String().Draw(t, "before") + secret + rapid.String().Draw(t, "after")
		if len(s.Search([]byte(base64.StdEncoding.EncodeToString([]byte(data))))) == 0 {
			t.Fatalf("not found in %q", data)
		}
	})
}
