package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/geo"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Tell everything that is wrong with a configuration."`
	Print configPrintCmd `cmd:"" help:"Print the effective configuration and where each setting comes from."`
}

// Help is shown by --help.
func (configCmd) Help() string {
	return `One YAML file, the environment over it, flags over both. A variable is the setting's path in capitals:
kafka.sasl.user is WARDFLOW_KAFKA_SASL_USER. Passwords come from a file (password_file) or a variable and are never
printed. Without brokers and ClickHouse addresses, the embedded ones of the data folder are used.

Examples:

    wardflow config print > wardflow.yaml      every setting with its default, to start from
    wardflow config check /etc/wardflow.yaml
    WARDFLOW_KAFKA_BROKERS=k1:9092,k2:9092 wardflow config print`
}

type configCheckCmd struct {
	File string `arg:"" optional:"" help:"Configuration file; otherwise the one of --config."`
}

// Run checks.
func (c *configCheckCmd) Run(g *globals, io *streams) error {
	file := c.File
	if file == "" {
		file = g.ConfigFile
	}
	src := g.source(file, io)
	l, err := config.Load(src)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	for _, p := range append(problems, named(l, problems)...) {
		io.note("%s", p)
		err = errReported
	}
	if err != nil {
		return err
	}
	if src.File == "" {
		src.File = "defaults and environment"
	}
	_, err = fmt.Fprintf(io.out, "%s: good\n", src.File)
	return err
}

// named says what is wrong within the files that a configuration names and that services
// read when they start. What is said of a setting already is not said again.
func named(l *config.Loaded, already config.Problems) (out config.Problems) {
	check := func(path string, read func() error) {
		if slices.ContainsFunc(already, func(p config.Problem) bool { return p.Path == path }) {
			return
		}
		if err := read(); err != nil {
			for line := range strings.Lines(err.Error()) {
				out = append(out, config.Problem{Path: path, Where: l.Where(path), Text: strings.TrimSpace(line)})
			}
		}
	}
	check("fingerprint.packs", func() error { _, err := configuredPacks(l.Fingerprint.Packs); return err })
	check("geo.table", func() error { _, err := placesOf(&l.Config); return err })
	return out
}

// placesOf reads the configured table of addresses; nil is the program's.
func placesOf(cfg *config.Config) (*geo.Table, error) {
	if cfg.Geo.Table == "" {
		return nil, nil
	}
	t, err := geo.Open(cfg.Geo.Table)
	if err != nil {
		return nil, fmt.Errorf("%w; want IPtoASN's ip2asn-combined.tsv.gz, or no setting for the program's own table", err)
	}
	return t, nil
}

type configPrintCmd struct{}

// Run prints, problems or not: seeing the settings helps to mend them.
func (c *configPrintCmd) Run(g *globals, io *streams) error {
	l, err := g.load(io)
	if perr := l.Print(io.out); perr != nil {
		return perr
	}
	if err != nil {
		io.note("%v", err)
		return errReported
	}
	return nil
}

type versionCmd struct{}

// Run prints the version, the commit and what it was built with.
func (versionCmd) Run(io *streams) error {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				commit = ", commit " + s.Value[:12]
			}
		}
	}
	_, err := fmt.Fprintf(io.out, "wardflow %s%s, %s, %s/%s\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
