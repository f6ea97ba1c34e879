package main

import (
	"context"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/services/wardflow/internal/reference"
)

var updateDocs = flag.Bool("update", false, "rewrite the pages of docs/reference that are made from the code")

// model is the command line as kong knows it.
func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(new(cli), &streams{}, kong.BindTo(t.Context(), (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

// The pages of the reference say what the code does.
func TestReferenceIsOfTheCode(t *testing.T) {
	root := repotest.Root(t)
	tree, ok := os.DirFS(root).(fs.ReadFileFS)
	if !ok {
		t.Fatal("cannot read the repository")
	}
	for name, write := range map[string]func() (string, error){
		"commands.md":      func() (string, error) { return reference.Commands(model(t), without) },
		"configuration.md": func() (string, error) { return reference.Settings(tree) },
		"topics.md":        func() (string, error) { return reference.Topics(tree, foldNames(), consumerGroups()) },
		"tables.md":        func() (string, error) { return reference.Tables(), nil },
	} {
		t.Run(name, func(t *testing.T) {
			want, err := write()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, "docs", "reference", name)
			if *updateDocs {
				if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != want {
				t.Errorf("docs/reference/%s is not what the code says: run `go tool task docs` (%v)", name, err)
			}
		})
	}
}
