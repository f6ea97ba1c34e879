package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// pages are the Markdown files of the repository, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := repotest.Root(t)
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "bin" || name == "testdata" || name == "results") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)
		rel, rerr := filepath.Rel(root, path)
		if rerr != nil {
			return rerr
		}
		out[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	linkTo   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	notWord  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors are the fragments of a page's headings, as renderers make them.
func anchors(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		out = append(out, strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

// Every link to something in the repository leads there, to the heading too.
func TestLinksLeadSomewhere(t *testing.T) {
	root, all := repotest.Root(t), pages(t)
	links := 0
	for page, text := range all {
		text = codeSpan.ReplaceAllString(text, "")
		for _, m := range linkTo.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			file, fragment, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), filepath.FromSlash(file)))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
				continue
			}
			if fragment != "" && !slices.Contains(anchors(all[target]), fragment) {
				t.Errorf("%s: %s has no heading #%s", page, target, fragment)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were looked at", links)
	}
}

// Every page of the documentation can be reached from its map.
func TestEveryPageIsOnTheMap(t *testing.T) {
	all := pages(t)
	for page := range all {
		name, ours := strings.CutPrefix(page, "docs/")
		if ours && name != "README.md" && !strings.Contains(all["docs/README.md"], "("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
}

// exampleLines are the lines of code of a page, fenced or indented, and what
// begins with our name in the text.
func exampleLines(text string) []string {
	var out []string
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "):
			out = append(out, strings.TrimSpace(line))
		default:
			for _, span := range codeSpan.FindAllString(line, -1) {
				if inside := strings.Trim(span, "`"); strings.HasPrefix(inside, "wardflow ") {
					out = append(out, inside)
				}
			}
		}
	}
	return out
}

// shellWords takes a line apart as a shell does, up to a pipe, a redirection, a
// comment, or the explanation behind two spaces. Words that set variables and
// sudo are left out before the first other.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, open := rune(0), false
	end := func() {
		if open {
			words = append(words, word.String())
		}
		word.Reset()
		open = false
	}
	runes := []rune(line)
scan:
	for i, r := range runes {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ':
			end()
			if i+1 < len(runes) && runes[i+1] == ' ' {
				break scan
			}
		case r == '|' || r == '>' || r == ';' || r == ')' || (r == '#' && !open) || (r == '&' && !open):
			break scan
		default:
			open = true
			word.WriteRune(r)
		}
	}
	end()
	assigns := regexp.MustCompile(`^[A-Z_]+=`)
	for len(words) > 0 && (assigns.MatchString(words[0]) || words[0] == "sudo" || words[0] == "source") {
		if len(words) > 2 && words[1] == "-u" {
			words = words[2:]
		}
		words = words[1:]
	}
	return words
}

// Every command of ours in the documentation, and in the help, is one that our
// command line takes.
func TestExamplesParse(t *testing.T) {
	commands := 0
	for page, text := range pages(t) {
		if page == "CHANGELOG.md" || strings.HasPrefix(page, "benchmarks/") {
			continue // what was true then
		}
		for _, line := range exampleLines(text) {
			w := shellWords(line)
			if len(w) < 2 || (w[0] != "wardflow" && w[0] != "bin/wardflow") || strings.HasSuffix(w[len(w)-1], "|print") || w[1] == "COMMAND" || w[1] == "..." {
				continue
			}
			if i := slices.Index(w, "--help"); i > 0 {
				w = w[:i]
			}
			if slices.Contains(w, "[flags]") || strings.Contains(line, "──") || strings.ContainsAny(line, "<[") && strings.HasPrefix(page, "docs/reference/") {
				continue // a form, not an example
			}
			commands++
			err := parses(t, w[1:])
			if err == nil || strings.Contains(err.Error(), "no such file or directory") {
				continue // a file of the reader's
			}
			if len(w) == 2 || (len(w) == 3 && strings.HasPrefix(line, "wardflow "+w[1]+" "+w[2])) {
				if strings.Contains(err.Error(), "missing") || strings.Contains(err.Error(), "expected") {
					continue // a command that is only named
				}
			}
			t.Errorf("%s: %q: %v", page, strings.Join(w, " "), err)
		}
	}
	if commands < 80 {
		t.Errorf("only %d commands were looked at", commands)
	}
}
