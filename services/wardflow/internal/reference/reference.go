// Package reference writes the pages of docs/reference from the code: commands
// from the model of the command line, settings from pkg/config, topics and their
// messages from pkg/bus and proto, tables and views from pkg/store.
//
// What the code does not say of itself (what a setting is for, who writes a
// topic) stands here in words, and is missing loudly: a page is an error until
// everything on it is explained. Pages are Markdown; a test of services/wardflow
// holds them equal to the files, and rewrites those with -update.
package reference

import (
	"fmt"
	"strings"
)

// made stands under the title of every page.
const made = "_Made from the code by `go tool task docs`; change it there._\n"

// page begins a page.
func page(title, intro string) *strings.Builder {
	b := new(strings.Builder)
	fmt.Fprintf(b, "# %s\n\n%s\n", title, made)
	if intro != "" {
		fmt.Fprintf(b, "%s\n\n", intro)
	}
	return b
}

// cell makes text fit a cell of a table. Angle brackets would be taken for HTML.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", ">", "&gt;").Replace(s)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}

// head begins a table.
func head(b *strings.Builder, titles ...string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(titles, " | "), strings.Repeat("---|", len(titles)))
}

func row(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// anchor is the fragment of a heading, as renderers of Markdown make it.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}
