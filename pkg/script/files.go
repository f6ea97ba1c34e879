package script

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/wardflow/wardflow/pkg/stream"
)

// RunFile runs a script file against folds. With update its expectations are
// rewritten instead of failing.
func RunFile(path string, update bool, folds ...stream.Fold) ([]Problem, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	s, err := Parse(path, text)
	if err != nil {
		return nil, err
	}
	out, err := s.Run(folds...)
	if err != nil {
		return nil, err
	}
	if !update {
		return out.Failures, nil
	}
	if len(out.Failures) == 0 {
		return nil, nil
	}
	if err := os.WriteFile(path, out.Text(), 0o644); err != nil {
		return nil, fmt.Errorf("rewrite script: %w", err)
	}
	return nil, nil
}

// Reporter is what a test offers.
type Reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// RunFolder runs every *.txt of a folder, each against folds of its own, and
// reports what is not as expected.
func RunFolder(t Reporter, folder string, update bool, folds func() []stream.Fold) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err == nil && len(paths) == 0 {
		err = errors.New("no scripts")
	}
	if err != nil {
		t.Errorf("%s: %v", folder, err)
		return
	}
	for _, path := range paths {
		failures, err := RunFile(path, update, folds()...)
		if err != nil {
			t.Errorf("%v", err)
		}
		for _, f := range failures {
			t.Errorf("%v", f)
		}
	}
}
