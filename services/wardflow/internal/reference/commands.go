package reference

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// Commands is the page of the command line. without are the flags of all
// commands that a command refuses, by its name.
func Commands(app *kong.Application, without map[string][]string) (string, error) {
	b := page("Commands", "Every command with its flags, as `wardflow COMMAND --help` shows them. [Exit statuses](exit-status.md) are the same for all.")
	fmt.Fprintf(b, "## Flags of all commands\n\n")
	var global []*kong.Flag
	for _, f := range app.Flags {
		if f.Name != "help" {
			global = append(global, f)
		}
	}
	if err := flags(b, app.Name, global); err != nil {
		return "", err
	}
	group := ""
	for _, n := range app.Leaves(true) {
		g := groupOf(n)
		if g == nil {
			return "", fmt.Errorf("command %s has no group", n.Path())
		}
		if g.Key != group {
			group = g.Key
			fmt.Fprintf(b, "\n## %s\n", strings.TrimSuffix(g.Title, ":"))
		}
		if err := command(b, n, without[n.Name]); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func groupOf(n *kong.Node) *kong.Group {
	for ; n != nil; n = n.Parent {
		if n.Group != nil {
			return n.Group
		}
	}
	return nil
}

func command(b *strings.Builder, n *kong.Node, without []string) error {
	if n.Help == "" {
		return fmt.Errorf("command %s has no help", n.Path())
	}
	name := strings.TrimPrefix(n.FullPath(), "wardflow ")
	fmt.Fprintf(b, "\n### wardflow %s\n\n%s\n", name, n.Help)
	usage := "wardflow " + name
	for _, p := range n.Positional {
		usage += " " + p.Summary()
	}
	if len(n.Flags) > 0 {
		usage += " [flags]"
	}
	fmt.Fprintf(b, "\n    %s\n", usage)
	if d := detail(n); d != "" {
		fmt.Fprintf(b, "\n%s\n", d)
	}
	if len(n.Positional) > 0 {
		fmt.Fprintln(b)
		head(b, "argument", "meaning")
		for _, p := range n.Positional {
			row(b, code(p.Summary()), cell(p.Help))
		}
	}
	if len(n.Flags) > 0 {
		fmt.Fprintln(b)
		if err := flags(b, n.Path(), n.Flags); err != nil {
			return err
		}
	}
	if len(without) > 0 {
		fmt.Fprintf(b, "\nDoes nothing with, and so refuses: `--%s`.\n", strings.Join(without, "`, `--"))
	}
	return nil
}

// detail is the long help. What is indented there is an example, and becomes
// code; so do the lines under "Examples:".
func detail(n *kong.Node) string {
	var out []string
	examples := false
	for line := range strings.Lines(n.Detail) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "Example"):
			examples = true
			out = append(out, line, "")
			continue
		case line != "" && !strings.HasPrefix(line, " "):
			examples = false
		case examples && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "    "):
			line = "  " + line
		}
		out = append(out, line)
	}
	return escape(blankRuns.ReplaceAllString(strings.TrimSpace(strings.Join(out, "\n")), "\n\n"))
}

var blankRuns = regexp.MustCompile(`\n{3,}`)

// escape keeps prose from being taken for HTML; code stays as it is.
func escape(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    ") {
			line = strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(line)
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

func flags(b *strings.Builder, of string, list []*kong.Flag) error {
	head(b, "flag", "meaning")
	for _, f := range list {
		if f.Hidden {
			continue
		}
		if f.Help == "" {
			return fmt.Errorf("flag --%s of %s has no help", f.Name, of)
		}
		name := "--" + f.Name
		if f.Short != 0 {
			name = fmt.Sprintf("-%c, %s", f.Short, name)
		}
		if !f.IsBool() {
			name += "=" + f.FormatPlaceHolder()
		}
		help := f.Help
		if f.Required {
			help += " Required."
		}
		if len(f.Envs) > 0 {
			help += " Variable " + code(strings.Join(f.Envs, ", ")) + "."
		}
		row(b, code(name), cell(help))
	}
	return nil
}
