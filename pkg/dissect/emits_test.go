package dissect_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// EMITS.md is what SECURITY.md promises: an attribute, a kind's name or a counter
// that is not on that page must not exist.
func TestEverythingIsListed(t *testing.T) {
	page, err := os.ReadFile("EMITS.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, w := range regexp.MustCompile(`[a-z0-9_]+`).FindAllString(string(page), -1) {
		listed[w] = true
	}
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`(?:Count\(|Set\(|SetList\(|set\(c, a, |Kind = |Kind: )"([a-z0-9_]+)"|: +"([a-z_]+)",? *(?://.*)?$`)
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "dissecttest") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			for _, m := range said.FindAllStringSubmatch(line, -1) {
				n++
				if word := m[1] + m[2]; !listed[word] {
					t.Errorf("%s: %q is not listed in EMITS.md", file, word)
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d words found: the pattern no longer fits the code", n)
	}
}
