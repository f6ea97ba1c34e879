package reference

import (
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/pkg/store"
)

// Tables is the page of ClickHouse's tables and views.
func Tables() string {
	b := page("Tables and views", "ClickHouse is what people ask. Ask the views: they have text addresses, hexadecimal ids and devices joined; their columns stay. Tables are how rows are stored, and may gain columns.\n`wardflow sql`, `wardflow examples` and [how to ask](../how-to/ask-clickhouse.md).")
	fmt.Fprint(b, "## Views\n\n")
	head(b, "view", "what")
	for _, v := range store.Views() {
		row(b, fmt.Sprintf("[%s](#%s)", v.Name, anchor(v.Name)), cell(v.Comment))
	}
	fmt.Fprint(b, "\n## Tables\n\n")
	head(b, "table", "kept", "what")
	for _, t := range store.Tables() {
		kept := "for ever"
		if s := t.Kept(); s != "" {
			kept = code(s)
		}
		row(b, fmt.Sprintf("[%s](#%s)", t.Name, anchor(t.Name)), kept, cell(t.Comment))
	}
	for _, v := range store.Views() {
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n", v.Name, cell(v.Comment))
		head(b, "column", "meaning")
		for _, c := range v.Columns {
			row(b, code(c.Name), cell(c.Comment))
		}
	}
	for _, t := range store.Tables() {
		fmt.Fprintf(b, "\n## %s\n\n%s Ordered by `%s`", t.Name, cell(t.Comment), strings.ReplaceAll(t.OrderBy, "|", `\|`))
		if t.PartitionBy != "" {
			fmt.Fprintf(b, ", partitioned by `%s`", t.PartitionBy)
		}
		if t.Version != "" {
			fmt.Fprintf(b, "; of each key the row with the highest `%s` stands", t.Version)
		}
		fmt.Fprint(b, ".\n\n")
		head(b, "column", "type", "meaning")
		for _, c := range t.Columns {
			row(b, code(c.Name), code(c.Type), cell(c.Comment))
		}
	}
	return b.String()
}
