package repotest

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRoot(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Root(t), "pkg", "repotest", "repotest.go")); err != nil {
		t.Error(err)
	}
}

// outcome is a test that only notes how it ends.
type outcome struct {
	testing.TB
	ended string
}

func (o *outcome) Helper()               {}
func (o *outcome) Skipf(string, ...any)  { o.end("skipped") }
func (o *outcome) Fatalf(string, ...any) { o.end("failed") }

func (o *outcome) end(how string) {
	o.ended = how
	panic(o)
}

// shared gives the path, or how the test that asked for it ended.
func shared(t *testing.T, name string) (path string) {
	o := &outcome{TB: t}
	defer func() {
		if o.ended == "" {
			return
		}
		if r := recover(); r != any(o) {
			panic(r)
		}
		path = o.ended
	}()
	return Shared(o, name)
}

func TestShared(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "data", "list.csv")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(Root(t)), "shared")
	if _, err := os.Stat(beside); err != nil {
		beside = "skipped"
	}
	for _, tc := range []struct{ variable, name, want string }{
		{dir, "data/list.csv", file},
		{dir, "data", filepath.Dir(file)},
		{dir, "data/other.csv", "skipped"},
		{file, "data/list.csv", "failed"},
		{dir + "-not", "data/list.csv", "failed"},
		{"", "", beside},
	} {
		t.Setenv(sharedVariable, tc.variable)
		if got := shared(t, tc.name); got != tc.want {
			t.Errorf("%s=%q, %q: %s, want %s", sharedVariable, tc.variable, tc.name, got, tc.want)
		}
	}
}
