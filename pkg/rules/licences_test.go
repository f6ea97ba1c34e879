package rules

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest"
)

// licences that a module linked into Wardflow may have, by a phrase that each
// one's text has, in lower case and with single spaces.
var licences = map[string]string{
	"Apache-2.0": "apache license version 2.0",
	"BSD":        "redistribution and use in source and binary forms",
	"CC0-1.0":    "cc0 1.0 universal",
	"ISC":        "permission to use, copy, modify, and/or distribute this software for any purpose",
	"MIT":        "permission is hereby granted, free of charge, to any person obtaining a copy",
	"MPL-2.0":    "mozilla public license version 2.0",
	"Unlicense":  "this is free and unencumbered software released into the public domain",
	"Zlib":       "this software is provided 'as-is', without any express or implied warranty",
}

// refused are phrases of texts that bind whoever distributes the binary, or
// forbid uses of it.
var refused = []string{
	"gnu general public license",
	"gnu affero general public license",
	"gnu lesser general public license",
	"gnu library general public license",
	"server side public license",
	"business source license",
	"elastic license",
	"commons clause",
	"non-commercial",
	"noncommercial",
}

// mplSecondary is where the Mozilla licence names the GNU ones as what its code
// may be combined with; a module under it is not under them.
var mplSecondary = regexp.MustCompile(`"secondary license" means .*?(?:later versions of those licenses|$)`)

var (
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense|mit-license)([-._].*)?$`)
	space       = regexp.MustCompile(`[\s,]+`)
)

// judge says what is wrong with the licence files of a module, or "".
func judge(texts []string) string {
	if len(texts) == 0 {
		return "has no licence file"
	}
	known := false
	for _, text := range texts {
		text = space.ReplaceAllString(strings.ToLower(text), " ")
		text = mplSecondary.ReplaceAllString(curly.Replace(text), "")
		for _, phrase := range refused {
			if strings.Contains(text, phrase) {
				return fmt.Sprintf("has a licence with %q", phrase)
			}
		}
		for _, phrase := range licences {
			known = known || strings.Contains(text, space.ReplaceAllString(phrase, " "))
		}
	}
	if !known {
		return "has a licence that this test does not know"
	}
	return ""
}

// curly makes typographic quotation marks plain.
var curly = strings.NewReplacer("“", `"`, "”", `"`, "‘", "'", "’", "'")

// licenceTexts reads a module's licence files.
func licenceTexts(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for a licence: %w", err)
	}
	var texts []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read a licence: %w", err)
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// TestLicences looks at every module that gives a package to any binary of ours,
// so that Wardflow can be handed on under Apache-2.0.
func TestLicences(t *testing.T) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-f", "{{with .Module}}{{.Path}}@{{.Version}}\t{{.Dir}}{{end}}", "./...")
	cmd.Dir = repotest.Root(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list the modules: %v", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		name, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		texts, err := licenceTexts(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if wrong := judge(texts); wrong != "" {
			t.Errorf("%s %s: only Apache-2.0, MIT, BSD, ISC, MPL and the like can be linked; take another module", name, wrong)
		}
	}
	if len(seen) < 2 {
		t.Errorf("only %d modules were looked at", len(seen))
	}
}

func TestLicencesJudged(t *testing.T) {
	mit := "MIT License\n\nPermission is hereby granted, free of charge, to any person\n obtaining a copy"
	mpl := "Mozilla Public License, version 2.0\n1.12. “Secondary License”\n means either the GNU General Public License, Version 2.0, " +
		"the GNU Lesser General Public License, Version 2.1, or any later versions of those licenses.\n"
	for _, tt := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"MIT", []string{mit}, ""},
		{"Apache", []string{"Apache License\n   Version 2.0, January 2004"}, ""},
		{"Mozilla", []string{mpl}, ""},
		{"none", nil, "no licence file"},
		{"unheard of", []string{"You may look at it."}, "does not know"},
		{"GPL", []string{"GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007"}, "gnu general public license"},
		{"AGPL", []string{"GNU AFFERO GENERAL\nPUBLIC LICENSE"}, "gnu affero general public license"},
		{"LGPL beside MIT", []string{mit, "GNU Lesser General Public License"}, "gnu lesser general public license"},
		{"GPL after Mozilla", []string{mpl + "\nand the GNU General Public License"}, "gnu general public license"},
		{"not for money", []string{mit + " for non-commercial use"}, "non-commercial"},
	} {
		got := judge(tt.texts)
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLicenceFilesAreFound(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"LICENSE", "LICENCE.md", "COPYING", "LICENSE-MIT.txt", "license.go", "README.md", "licensed.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts, err := licenceTexts(dir)
	if err != nil || len(texts) != 4 {
		t.Errorf("found %q, %v, want four", texts, err)
	}
}
