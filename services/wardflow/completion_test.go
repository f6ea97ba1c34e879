package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// completeBash types words into bash's completion, the last one unfinished.
func completeBash(t *testing.T, dir string, words ...string) []string {
	t.Helper()
	script := runCLI(t, nil, "", "completion", "bash").out
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = single(w)
	}
	cmd := exec.Command("bash", "--norc", "-c", script+"\nCOMP_WORDS=("+strings.Join(quoted, " ")+")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_wardflow\nprintf '%s\\n' \"${COMPREPLY[@]}\"")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("bash: %v\n%s", err, out)
	}
	return strings.Fields(string(out))
}

func TestCompletionInBash(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "monday.pcap"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		words []string
		want  []string // all of it, or with "..." first: among it
	}{
		"commands":                {[]string{"wardflow", "dev"}, []string{"devices", "device"}},
		"no hidden command":       {[]string{"wardflow", "brok"}, nil},
		"below a command":         {[]string{"wardflow", "config", "c"}, []string{"check"}},
		"flags":                   {[]string{"wardflow", "devices", "--ti"}, []string{"--tier"}},
		"flags of all commands":   {[]string{"wardflow", "devices", "--data"}, []string{"--data-dir"}},
		"not what is refused":     {[]string{"wardflow", "replay", "--data"}, nil},
		"values":                  {[]string{"wardflow", "devices", "--tier", "h"}, []string{"high"}},
		"values after =":          {[]string{"wardflow", "devices", "--tier", "=", "h"}, []string{"high"}},
		"values after = alone":    {[]string{"wardflow", "devices", "--output", "="}, []string{"table", "json", "csv"}},
		"value of a short flag":   {[]string{"wardflow", "devices", "-o", "j"}, []string{"json"}},
		"files of a flag":         {[]string{"wardflow", "up", "--read", "mon"}, []string{"monday.pcap"}},
		"files of an argument":    {[]string{"wardflow", "replay", "mon"}, []string{"monday.pcap"}},
		"files of dissect":        {[]string{"wardflow", "dissect", "--each", "mon"}, []string{"monday.pcap"}},
		"known arguments":         {[]string{"wardflow", "completion", "z"}, []string{"zsh"}},
		"flag before the command": {[]string{"wardflow", "--config", "monday.pcap", "risk", "--hist"}, []string{"--history"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := completeBash(t, dir, tt.words...)
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v gives %q, want %q", tt.words, got, tt.want)
			}
		})
	}
}

// Each script is one that its shell can read, and names every command.
func TestCompletionScripts(t *testing.T) {
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		t.Run(shell, func(t *testing.T) {
			got := runCLI(t, nil, "", "completion", shell)
			if got.code != 0 {
				t.Fatal(got)
			}
			for _, n := range model(t).Leaves(true) {
				if !strings.Contains(got.out, n.Name) {
					t.Errorf("%s is not in the script", n.Name)
				}
			}
			path := tempFile(t, "completion."+shell, got.out)
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("no %s here: the script was not read by it", shell)
			}
			if out, err := exec.Command(shell, append(check, path)...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if got := runCLI(t, nil, "", "completion", "tcsh"); got.code != exitUsage {
		t.Errorf("a shell that is not known: %+v", got)
	}
}
