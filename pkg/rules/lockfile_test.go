package rules

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"testing"
)

const (
	whyIntegrity = "npm can then be given anything in the package's stead; make the lockfile anew with npm install"
	whyResolved  = "it names the registry of whoever made the lockfile; .npmrc has omit-lockfile-registry-resolved"
)

// lockfiles wants every package of npm's lockfiles pinned by hash and not by address.
func lockfiles(tree fs.FS) ([]string, error) {
	var wrong []string
	err := each(tree, func(name string, text []byte) error {
		if path.Base(name) != "package-lock.json" {
			return nil
		}
		var lock struct {
			Packages map[string]struct {
				Integrity string `json:"integrity"`
				Resolved  string `json:"resolved"`
			} `json:"packages"`
		}
		if err := json.Unmarshal(text, &lock); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if len(lock.Packages) < 2 {
			wrong = append(wrong, name+" pins no package: a lockfile of version 2 or newer has a \"packages\" object")
		}
		for _, key := range slices.Sorted(maps.Keys(lock.Packages)) {
			if key == "" { // the project itself
				continue
			}
			if lock.Packages[key].Integrity == "" {
				wrong = append(wrong, fmt.Sprintf("%s: %s has no integrity: %s", name, key, whyIntegrity))
			}
			if lock.Packages[key].Resolved != "" {
				wrong = append(wrong, fmt.Sprintf("%s: %s has a resolved address: %s", name, key, whyResolved))
			}
		}
		return nil
	})
	return wrong, err
}

func TestLockfiles(t *testing.T) { holds(t, lockfiles) }

func TestLockfilesFindsBreaches(t *testing.T) {
	finds(t, lockfiles, map[string]string{
		"package-lock.json": `{"packages": {"": {"name": "x"}, "node_modules/good": {"integrity": "sha512-x"}}}`,
		"a/package-lock.json": `{"packages": {"": {}, "node_modules/bare": {"version": "1.0.0"},
			"node_modules/addressed": {"integrity": "sha512-x", "resolved": "file:elsewhere/x.tgz"}}}`,
		"b/package-lock.json": `{"dependencies": {"old": {"version": "1.0.0"}}}`,
	},
		"node_modules/bare has no integrity", "node_modules/addressed has a resolved address", "b/package-lock.json pins no package")
}
