package rules

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wardflow/wardflow/pkg/repotest"
)

const module = "github.com/wardflow/wardflow"

// A rule returns what is wrong in a tree, one sentence each: where, what, why.
type rule func(fs.FS) ([]string, error)

// holds applies a rule to this repository.
func holds(t *testing.T, r rule) {
	t.Helper()
	wrong, err := r(os.DirFS(repotest.Root(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// finds applies a rule to an invented tree and expects exactly one complaint per
// wanted text, in any order; each must contain its text.
func finds(t *testing.T, r rule, files map[string]string, want ...string) {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	wrong, err := r(tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrong) != len(want) {
		t.Errorf("%d complaints, want %d: %q", len(wrong), len(want), wrong)
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(wrong, "\n"), w) {
			t.Errorf("no complaint says %q: %q", w, wrong)
		}
	}
}

// made are the folders of things built, downloaded or stored: .gitignore's.
var made = map[string]bool{
	".git": true, ".cache": true, ".task": true, ".wardflow": true, "bin": true, "dist": true, "node_modules": true,
}

// each calls f with every file that belongs to the project, by path.
func each(tree fs.FS, f func(name string, text []byte) error) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a temporary file of whoever works in the tree
		case err != nil:
			return err
		case d.IsDir() && made[d.Name()]:
			return fs.SkipDir
		case made[d.Name()]: // a work tree's .git is a file
			return nil
		case !d.Type().IsRegular() || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return f(name, text)
	})
}

// eachGo is each for the Go files that the go tool compiles.
func eachGo(tree fs.FS, f func(name string, text []byte) error) error {
	return each(tree, func(name string, text []byte) error {
		if path.Ext(name) != ".go" || within(path.Dir(name), "testdata") {
			return nil
		}
		return f(name, text)
	})
}

// within says whether one of the folders of a path has this name.
func within(dir, name string) bool {
	for part := range strings.SplitSeq(dir, "/") {
		if part == name {
			return true
		}
	}
	return false
}
