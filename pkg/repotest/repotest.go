// Package repotest tells tests where things are: the repository's root, and the
// shared folder of captures and data beside it.
//
// A test runs in its own package's folder, so both are found by walking up from
// there. Here live places only; what reads the files is the tests' own, or stands
// in their kin (pkg/dissect/dissecttest). Nothing but tests may import it.
package repotest

import (
	"os"
	"path/filepath"
	"testing"
)

// sharedVariable names the environment variable that says where the shared folder
// is, when it is not beside the repository.
const sharedVariable = "WARDFLOW_SHARED"

// Root is the repository's root, the folder of go.mod.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}

// Shared is the path of a file or folder below the shared folder, by its name with
// slashes. The test is skipped where that is absent, for not everyone has it; it
// fails where WARDFLOW_SHARED names no folder, for that is a mistake.
func Shared(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv(sharedVariable)
	if dir == "" {
		dir = filepath.Join(filepath.Dir(Root(tb)), "shared")
	} else if f, err := os.Stat(dir); err != nil || !f.IsDir() {
		tb.Fatalf("%s=%s is no folder: name the shared folder by its full path, or unset it", sharedVariable, dir)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("shared/%s is not there: set %s to the shared folder", name, sharedVariable)
	}
	return path
}
