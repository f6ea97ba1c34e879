package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/script"
	"github.com/wardflow/wardflow/pkg/stream"
)

type scriptCmd struct {
	Files  []string `arg:"" help:"Scripts, or folders of them (*.txt)."`
	Fold   []string `placeholder:"NAME" help:"Only these folds: endpoint, identity, device, anomaly, risk. All by default."`
	Update bool     `help:"Rewrite the expectations to what comes out, instead of failing."`
}

// Help is shown by --help.
func (scriptCmd) Help() string {
	return `A script is a story that says what is expected of it: devices, flows at certain times, and the detections, devices or
risk that should follow. Scripts test Wardflow's own rules and your site's policies, in memory and in seconds.

Example, pump.txt:

    policy learning_until 12:00
    device pump f8:c6:78:10:42:01 10.41.8.151
    device gateway 10.41.8.40
    outside cloud 203.0.113.45
    at 08:00
    every 10m until 12:00 flow pump -> gateway tcp/3613 unknown
    at 14:00
    flow pump -> cloud tcp/443 tls
    expect detection new_external_peer high pump -> cloud at 14:00:00

    wardflow script pump.txt                 tells when it happens otherwise
    wardflow script --update pump.txt        fills in what happens; read it, keep it

Exit status: 0 all as expected; 1 not so, or a script that cannot be understood.`
}

// Run plays scripts.
func (c *scriptCmd) Run(io *streams) error {
	paths, err := scriptFiles(c.Files)
	if err != nil {
		return err
	}
	chosen, err := c.folds()
	if err != nil {
		return err
	}
	failures := 0
	for _, path := range paths {
		problems, err := script.RunFile(path, c.Update, chosen()...)
		if err != nil {
			io.note("%v", err)
			failures++
			continue
		}
		for _, p := range problems {
			io.note("%v", p)
		}
		failures += len(problems)
	}
	if failures > 0 {
		io.note("%d scripts, %d problems", len(paths), failures)
		return errReported
	}
	_, err = fmt.Fprintf(io.out, "%d scripts, all as expected\n", len(paths))
	return err
}

// folds gives the chosen folds, fresh at each call.
func (c *scriptCmd) folds() (func() []stream.Fold, error) {
	for _, name := range c.Fold {
		if !slices.Contains(foldNames(), name) {
			return nil, usagef("--fold %s: want one of %s", name, strings.Join(foldNames(), ", "))
		}
	}
	return func() []stream.Fold {
		return slices.DeleteFunc(folds(), func(f stream.Fold) bool {
			return len(c.Fold) > 0 && !slices.Contains(c.Fold, f.Name())
		})
	}, nil
}

func scriptFiles(names []string) ([]string, error) {
	var paths []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("find scripts: %w", err)
		}
		if !info.IsDir() {
			paths = append(paths, name)
			continue
		}
		found, err := filepath.Glob(filepath.Join(name, "*.txt"))
		if err != nil {
			return nil, fmt.Errorf("find scripts: %w", err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("find scripts: no *.txt in %s", name)
		}
		paths = append(paths, found...)
	}
	return paths, nil
}
