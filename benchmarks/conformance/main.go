// Command conformance compares what wardflow makes of the shared captures with what
// other programs' own tests expect of them, and writes tables; and it measures
// wardflow beside ndpiReader and softflowd on one file.
//
// It runs the binary that it is given, with the flags that the figures of speed are
// measured with, and reads what that has written. What the peers expect, and why a
// value may differ, is in pkg/repotest/peers. It is no part of what is shipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/repotest/peers"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

type options struct {
	binary   string
	captures string
	out      string
	date     string

	keep   string // tables: where dissect writes
	strict bool

	cache  string // speed: where the merged capture lies
	rounds int
	core   int
}

func run(args []string) error {
	what := "tables"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		what, args = args[0], args[1:]
	}
	var o options
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.StringVar(&o.binary, "binary", "bin/wardflow", "the binary that is measured")
	f.StringVar(&o.captures, "captures", "../shared/captures", "the folder of captures")
	f.StringVar(&o.out, "out", "benchmarks/results", "folder for tables and lists")
	f.StringVar(&o.date, "date", today(), "the first part of their names")
	f.StringVar(&o.keep, "keep", "", "tables: folder for what dissect writes; a temporary one otherwise")
	f.BoolVar(&o.strict, "strict", false, "tables: end with status 1 when a figure falls short, conventions and limits left out: when something is unexplained. That everything compared reaches what must be shown is not asked")
	f.StringVar(&o.cache, "cache", "", "speed: folder for the merged capture, 1.2 GB; the one for temporary files otherwise")
	f.IntVar(&o.rounds, "rounds", 5, "speed: how often each program runs")
	f.IntVar(&o.core, "core", 0, "speed: the core that all run on")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return errUsage
	case what == "tables":
		return tables(o)
	case what == "speed":
		return speed(o)
	}
	return errUsage
}

// dissectFlags are how the binary is run, for the tables and to measure its speed
// alike; the tables add --each, because their captures are runs of their own.
var dissectFlags = []string{"wardflow", "dissect", "--format", "msgpack", "--site", "conformance"}

// dissected runs the binary over captures, paths below the folder of captures.
func (o *options) dissected(captures []string, dir string) error {
	args := append(slices.Clone(dissectFlags[1:]), "--each", "--out", dir)
	for _, c := range captures {
		args = append(args, filepath.Join(o.captures, filepath.FromSlash(c)))
	}
	cmd := exec.Command(o.binary, args...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

func tables(o options) error {
	x, err := peers.Read(o.captures)
	if err != nil {
		return err
	}
	if err := x.RunTshark(context.Background()); err != nil {
		return err
	}
	if x.Tshark == nil {
		fmt.Fprintln(os.Stderr, "tshark is not here: HL7 and DICOM are not compared with it (Debian, Ubuntu: apt-get install tshark)")
	}
	captures, err := x.Captures()
	if err != nil {
		return err
	}
	dir := o.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "conformance-*"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	if err := o.dissected(captures, dir); err != nil {
		return err
	}
	report, err := x.Compare(captures, dissect.Names(), func(c string) (*peers.Observed, error) {
		obs, err := load(filepath.Join(dir, filepath.FromSlash(c)), c)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // dissect has told why
		}
		return obs, err
	})
	if err != nil {
		return err
	}
	short, err := write(&o, report, len(captures))
	if err != nil {
		return err
	}
	for _, s := range short {
		fmt.Fprintln(os.Stderr, "short:", s)
	}
	fmt.Fprintf(os.Stderr, "tables: %s\n", filepath.Join(o.out, o.date+"-conformance.md"))
	if o.strict && len(short) > 0 {
		return fmt.Errorf("%d figures fall short, conventions and limits left out", len(short))
	}
	return nil
}
