package rules

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

const whyComment = "the package comment says what lives in the folder, what does not and what may be touched; " +
	"two of them soon say different things"

// comments wants exactly one package comment in each folder that has Go files.
// Files of an external test package count for nothing: their package is another.
func comments(tree fs.FS) ([]string, error) {
	found := map[string][]string{} // folder: files with a package comment
	var wrong []string
	err := eachGo(tree, func(name string, text []byte) error {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			return fmt.Errorf("read the package clause of %s: %w", name, err)
		}
		dir := path.Dir(name)
		if found[dir] == nil {
			found[dir] = []string{}
		}
		// Text leaves directives such as go:build out.
		comment := file.Doc.Text()
		if comment == "" || strings.HasSuffix(file.Name.Name, "_test") {
			return nil
		}
		found[dir] = append(found[dir], name)
		if !strings.HasPrefix(comment, "Package ") && !strings.HasPrefix(comment, "Command ") {
			wrong = append(wrong, fmt.Sprintf("%s: its package comment starts neither with Package nor with Command, so go doc cannot show it", name))
		}
		return nil
	})
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		switch files := found[dir]; len(files) {
		case 0:
			wrong = append(wrong, fmt.Sprintf("%s has no package comment: %s", dir, whyComment))
		case 1:
		default:
			wrong = append(wrong, fmt.Sprintf("%s has %d package comments (%s): %s", dir, len(files), strings.Join(files, ", "), whyComment))
		}
	}
	return wrong, err
}

func TestPackageComments(t *testing.T) { holds(t, comments) }

func TestPackageCommentsFindsBreaches(t *testing.T) {
	finds(t, comments, map[string]string{
		"pkg/good/good.go":      "// Package good is so.\npackage good\n",
		"pkg/good/linux.go":     "//go:build linux\n\npackage good\n",
		"pkg/good/good_test.go": "// How it is tested.\npackage good_test\n",
		"cmd/main.go":           "// Command main is so.\npackage main\n",
		"pkg/none/none.go":      "// A licence, say.\n\npackage none\n",
		"pkg/none/none_test.go": "package none\n",
		"pkg/two/a.go":          "// Package two is so.\npackage two\n",
		"pkg/two/b_test.go":     "// Package two is otherwise.\npackage two\n",
		"pkg/odd/odd.go":        "// odd things.\npackage odd\n",
	},
		"pkg/none has no package comment",
		"pkg/two has 2 package comments (pkg/two/a.go, pkg/two/b_test.go)",
		"pkg/odd/odd.go: its package comment starts neither",
	)
}
