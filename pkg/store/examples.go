package store

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed queries/*.sql
var exampleFiles embed.FS

// Example is a query that an analyst can start from.
type Example struct {
	Name  string // of its file, without number and suffix
	Title string // the comment on its first line
	SQL   string // with the comment
}

// Examples lists the example queries in order. They read the views of the
// connection's database.
func Examples() ([]Example, error) {
	files, err := exampleFiles.ReadDir("queries")
	if err != nil {
		return nil, fmt.Errorf("list example queries: %w", err)
	}
	var out []Example
	for _, f := range files {
		text, err := exampleFiles.ReadFile(path.Join("queries", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("read example query: %w", err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		_, name, _ := strings.Cut(strings.TrimSuffix(f.Name(), ".sql"), "_")
		out = append(out, Example{Name: name, Title: strings.TrimSpace(strings.TrimPrefix(first, "--")), SQL: string(text)})
	}
	return out, nil
}
