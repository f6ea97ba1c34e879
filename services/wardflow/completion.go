package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by --help.
func (completionCmd) Help() string {
	return `Prints a script that lets the shell complete commands, flags, their values and files. It is made from the commands of
this program, so print it anew after an update.

Examples:
  source <(wardflow completion bash)                                   in this shell, or in ~/.bashrc
  wardflow completion zsh > "${fpath[1]}/_wardflow"                    then start a new shell
  wardflow completion fish > ~/.config/fish/completions/wardflow.fish`
}

// Run prints the script.
func (c *completionCmd) Run(io *streams) error {
	parser, err := newParser(new(cli), io, kong.BindTo(context.Background(), (*context.Context)(nil)))
	if err != nil {
		return fmt.Errorf("read the commands: %w", err)
	}
	nodes := completions(parser.Model)
	write := map[string]func([]completed) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err = fmt.Fprint(io.out, write(nodes))
	return err
}

// completed is what can follow a command: "" is the program itself.
type completed struct {
	path     string // "config check"
	commands []choice
	flags    []flagChoice
	values   []string // of a positional with known values
	files    bool     // positionals are files or folders
}

type choice struct{ name, help string }

type flagChoice struct {
	choice
	short  string
	values []string
	takes  bool // a value
	files  bool // which is a file or a folder
}

// filePlaces are the placeholders of values that are files or folders.
var filePlaces = []string{"FILE", "DIR", "FOLDER", "NAME=FILE"}

// completions walks through the commands, hidden ones left out, the shortest path first.
func completions(app *kong.Application) []completed {
	var out []completed
	var walk func(n *kong.Node, path []string, above []*kong.Flag)
	walk = func(n *kong.Node, path []string, above []*kong.Flag) {
		c := completed{path: strings.Join(path, " ")}
		refused := []string(nil)
		if len(path) > 0 {
			refused = without[path[0]]
		}
		all := append(slices.Clone(above), n.Flags...)
		for _, f := range all {
			if !f.Hidden && !slices.Contains(refused, f.Name) {
				c.flags = append(c.flags, flagOf(f))
			}
		}
		for _, p := range n.Positional {
			c.values = append(c.values, enumOf(p)...)
			c.files = c.files || slices.Contains(filePlaces, strings.ToUpper(strings.TrimSuffix(p.Name, "s"))) || strings.Contains(p.Name, "path")
		}
		for _, child := range n.Children {
			if !child.Hidden {
				c.commands = append(c.commands, choice{child.Name, firstSentence(child.Help)})
			}
		}
		out = append(out, c)
		for _, child := range n.Children {
			if !child.Hidden {
				walk(child, append(slices.Clone(path), child.Name), all)
			}
		}
	}
	walk(app.Node, nil, nil)
	return out
}

func flagOf(f *kong.Flag) flagChoice {
	c := flagChoice{choice: choice{"--" + f.Name, firstSentence(f.Help)}, values: enumOf(f.Value), takes: !f.IsBool()}
	if f.Short != 0 {
		c.short = "-" + string(f.Short)
	}
	c.files = c.takes && slices.Contains(filePlaces, f.PlaceHolder)
	return c
}

// enumOf are the values that a flag or a positional can have, if they are known.
func enumOf(v *kong.Value) []string {
	var out []string
	if v.Enum == "" {
		return nil
	}
	for _, x := range v.EnumSlice() {
		if x != "" {
			out = append(out, x)
		}
	}
	return out
}

func firstSentence(s string) string {
	s, _, _ = strings.Cut(s, ". ")
	return strings.TrimSuffix(s, ".")
}

// single puts a text into single quotes of a shell.
func single(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// bashCompletion finds the command among the words so far, and offers what can
// follow it. It needs no bash-completion package.
func bashCompletion(nodes []completed) string {
	var b strings.Builder
	b.WriteString(`# Completion of wardflow for bash, made by: wardflow completion bash
_wardflow() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= word i commands= flags= values= files=
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case "$at $word" in
`)
	for _, n := range nodes[1:] {
		at := strings.LastIndexByte(n.path, ' ')
		fmt.Fprintf(&b, "      %s) at=%s ;;\n", single(n.path[:max(at, 0)]+" "+n.path[at+1:]), single(n.path))
	}
	b.WriteString("    esac\n  done\n  case \"$at $prev\" in\n")
	for _, n := range nodes {
		for _, f := range n.flags {
			if !f.takes {
				continue
			}
			pattern := single(n.path + " " + f.name)
			if f.short != "" {
				pattern += "|" + single(n.path+" "+f.short)
			}
			switch {
			case f.files:
				fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null; return ;;\n", pattern)
			default:
				fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -W %s -- \"$cur\")); return ;;\n", pattern, single(strings.Join(f.values, " ")))
			}
		}
	}
	b.WriteString("  esac\n  case \"$at\" in\n")
	for _, n := range nodes {
		var names, flags []string
		for _, c := range n.commands {
			names = append(names, c.name)
		}
		for _, f := range n.flags {
			flags = append(flags, f.name)
		}
		files := ""
		if n.files {
			files = "1"
		}
		fmt.Fprintf(&b, "    %s) commands=%s flags=%s values=%s files=%s ;;\n", single(n.path), single(strings.Join(names, " ")), single(strings.Join(flags, " ")), single(strings.Join(n.values, " ")), files)
	}
	b.WriteString(`  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    return
  fi
  COMPREPLY=($(compgen -W "$commands $values" -- "$cur"))
  if [[ -n $files ]]; then
    COMPREPLY+=($(compgen -f -- "$cur"))
    compopt -o filenames 2>/dev/null
  fi
}
complete -F _wardflow wardflow
`)
	return b.String()
}

// zshEscape is for descriptions inside _arguments' and _describe's specifications.
var zshEscape = strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`)

func zshCompletion(nodes []completed) string {
	var b strings.Builder
	b.WriteString(`#compdef wardflow
# Completion of wardflow for zsh, made by: wardflow completion zsh
_wardflow() {
  local curcontext=$curcontext state line ret=1 at= word i
  local -a commands
  for ((i = 2; i < CURRENT; i++)); do
    word=${words[i]}
    case "$at $word" in
`)
	for _, n := range nodes[1:] {
		at := strings.LastIndexByte(n.path, ' ')
		fmt.Fprintf(&b, "      %s) at=%s ;;\n", single(n.path[:max(at, 0)]+" "+n.path[at+1:]), single(n.path))
	}
	b.WriteString("    esac\n  done\n  case \"$at\" in\n")
	for _, n := range nodes {
		fmt.Fprintf(&b, "    %s)\n", single(n.path))
		if len(n.commands) > 0 {
			b.WriteString("      commands=(\n")
			for _, c := range n.commands {
				fmt.Fprintf(&b, "        %s\n", single(c.name+":"+zshEscape.Replace(c.help)))
			}
			b.WriteString("      )\n      [[ ${words[CURRENT]} != -* ]] && _describe command commands && ret=0\n")
		}
		b.WriteString("      _arguments \\\n")
		for _, f := range n.flags {
			action := ""
			if f.takes {
				action = ":value:" + zshValues(f.values, f.files)
			}
			for _, name := range []string{f.name, f.short} {
				if name != "" {
					eq := ""
					if f.takes && strings.HasPrefix(name, "--") {
						eq = "="
					}
					fmt.Fprintf(&b, "        %s \\\n", single("*"+name+eq+"["+zshEscape.Replace(f.help)+"]"+action))
				}
			}
		}
		// The commands typed so far are arguments too, to _arguments.
		fmt.Fprintf(&b, "        %s \\\n", single("*:argument:"+zshValues(n.values, n.files)))
		b.WriteString("        && ret=0\n      ;;\n")
	}
	b.WriteString("  esac\n  return ret\n}\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then _wardflow \"$@\"; else compdef _wardflow wardflow; fi\n")
	return b.String()
}

func zshValues(values []string, files bool) string {
	switch {
	case len(values) > 0:
		return "(" + strings.Join(values, " ") + ")"
	case files:
		return "_files"
	}
	return " "
}

func fishCompletion(nodes []completed) string {
	var b strings.Builder
	b.WriteString("# Completion of wardflow for fish, made by: wardflow completion fish\ncomplete -c wardflow -f\n")
	for _, n := range nodes {
		when := fishWhen(n)
		for _, c := range n.commands {
			fmt.Fprintf(&b, "complete -c wardflow -n %s -a %s -d %s\n", single(when), c.name, single(c.help))
		}
		for _, v := range n.values {
			fmt.Fprintf(&b, "complete -c wardflow -n %s -a %s\n", single(when), v)
		}
		if n.files {
			fmt.Fprintf(&b, "complete -c wardflow -n %s -F\n", single(when))
		}
		for _, f := range n.flags {
			line := fmt.Sprintf("complete -c wardflow -n %s -l %s", single(when), strings.TrimPrefix(f.name, "--"))
			if f.short != "" {
				line += " -s " + strings.TrimPrefix(f.short, "-")
			}
			switch {
			case f.files:
				line += " -r -F"
			case len(f.values) > 0:
				line += " -x -a " + single(strings.Join(f.values, " "))
			case f.takes:
				line += " -x"
			}
			fmt.Fprintf(&b, "%s -d %s\n", line, single(f.help))
		}
	}
	return b.String()
}

// fishWhen is the condition that a command is typed, and none below it.
func fishWhen(n completed) string {
	var conds []string
	for _, word := range strings.Fields(n.path) {
		conds = append(conds, "__fish_seen_subcommand_from "+word)
	}
	if len(n.commands) > 0 {
		var names []string
		for _, c := range n.commands {
			names = append(names, c.name)
		}
		conds = append(conds, "not __fish_seen_subcommand_from "+strings.Join(names, " "))
	}
	return strings.Join(conds, "; and ")
}
