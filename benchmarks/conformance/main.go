// Command conformance compares what wardflow makes of the shared captures with what
// other programs' own tests expect of them, and writes tables; and it measures
// wardflow beside ndpiReader and softflowd on one file.
//
// It runs the binary that it is given, with the flags that the figures of speed are
// measured with, and reads what that has written. What the peers expect, and why a
// value may differ, is in pkg/repotest/peers. It is no part of what is shipped.
package main

import (
	"bytes"
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

	"github.com/wardflow/wardflow/pkg/capfile"
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

// expected is what all peers expect.
type expected struct {
	ndpi      map[string]string
	arkime    map[string]string
	zeek      []*peers.Log
	icsnpp    []*peers.Log
	suricata  []peers.SuricataTest
	foxio     []peers.FoxIO
	community map[string][]string
	tshark    map[string]peers.Messages // nil without tshark
}

func readExpected(captures string) (*expected, error) {
	x := &expected{}
	var errs [8]error
	x.ndpi, errs[0] = peers.NDPIResults(captures)
	x.arkime, errs[1] = peers.ArkimeTests(captures)
	x.zeek, errs[2] = peers.ZeekLogs(captures)
	x.icsnpp, errs[3] = peers.ICSNPPLogs(captures)
	x.suricata, errs[4] = peers.Suricata(captures)
	x.foxio, errs[5] = peers.FoxIOResults(captures)
	x.community, errs[6] = peers.CommunityIDs(captures)
	x.tshark, errs[7] = peers.Tshark(context.Background(), captures)
	if x.tshark == nil {
		fmt.Fprintln(os.Stderr, "tshark is not here: HL7 and DICOM are not compared with it (Debian, Ubuntu: apt-get install tshark)")
	}
	return x, errors.Join(errs[:]...)
}

// captures are the files that are there, of those that a peer has a result of.
func (x *expected) captures(root string) ([]string, error) {
	set := map[string]bool{}
	for c := range x.ndpi {
		set[c] = true
	}
	for c := range x.arkime {
		set[c] = true
	}
	for c := range x.community {
		set[c] = true
	}
	for c := range x.tshark {
		set[c] = true
	}
	for _, l := range x.zeek {
		set[l.Capture] = true
	}
	for i := range x.suricata {
		set[x.suricata[i].Capture] = true
	}
	for i := range x.foxio {
		set[x.foxio[i].Capture] = true
	}
	traces, err := icsnppTraces(root)
	if err != nil {
		return nil, err
	}
	for _, c := range traces {
		set[c] = true
	}
	var list []string
	for c := range set {
		if st, err := os.Stat(filepath.Join(root, filepath.FromSlash(c))); err == nil && !st.IsDir() {
			list = append(list, c)
		}
	}
	slices.Sort(list)
	if len(list) == 0 {
		return nil, fmt.Errorf("no captures below %s: name their folder with -captures", root)
	}
	return list, nil
}

func icsnppTraces(root string) ([]string, error) {
	var list []string
	err := filepath.WalkDir(filepath.Join(root, "icsnpp"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(filepath.Ext(path), "cap") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		list = append(list, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for ICSNPP's traces: %w", err)
	}
	return list, nil
}

func tables(o options) error {
	x, err := readExpected(o.captures)
	if err != nil {
		return err
	}
	captures, err := x.captures(o.captures)
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
	report, err := compare(x, o.captures, captures, dir)
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

// compare reads what was written of each capture, and compares it with all that
// peers expect.
func compare(x *expected, root string, captures []string, dir string) (*peers.Report, error) {
	known := map[string]bool{}
	for _, n := range append(dissect.Names(), "icmp", "icmp6", "igmp", "esp", "ah", "ospf", "pim", "vrrp", "gre") {
		known[n] = true
	}
	all := map[string]*peers.Observed{}
	for _, c := range captures {
		obs, err := load(filepath.Join(dir, filepath.FromSlash(c)), c)
		if errors.Is(err, fs.ErrNotExist) {
			continue // dissect has told why
		}
		if err != nil {
			return nil, err
		}
		all[c] = obs
	}
	r := &peers.Report{}
	for _, c := range captures {
		obs := all[c]
		if obs == nil {
			continue
		}
		if path := x.ndpi[c]; path != "" {
			flows, err := peers.NDPI(path)
			if err != nil {
				return nil, err
			}
			r.CompareNDPI(obs, flows, known)
		}
		if path := x.arkime[c]; path != "" {
			list, err := peers.Arkime(path)
			if err != nil {
				return nil, err
			}
			r.CompareArkime(obs, list)
		}
		if m := x.tshark[c]; m != nil {
			r.CompareTshark(obs, m)
		}
		if ids := x.community[c]; ids != nil {
			r.CompareCommunityIDs(obs, ids)
		}
	}
	traces := map[string][]*peers.Observed{} // of a log
	for _, l := range x.zeek {
		if obs := all[l.Capture]; obs != nil {
			traces[l.Path] = append(traces[l.Path], obs)
		}
	}
	for _, l := range x.zeek {
		if obs := all[l.Capture]; obs != nil {
			r.CompareZeek(obs, l, "Zeek", func(e peers.Ends) bool {
				return slices.ContainsFunc(traces[l.Path], func(o *peers.Observed) bool { return o != obs && len(o.Flows[e]) > 0 }) || !has(filepath.Join(root, filepath.FromSlash(l.Capture)), e)
			})
		}
	}
	for _, l := range x.icsnpp {
		if obs := traceOf(l, captures, all); obs != nil {
			r.CompareZeek(obs, l, "ICSNPP", func(peers.Ends) bool { return false })
		}
	}
	for i := range x.suricata {
		if obs := all[x.suricata[i].Capture]; obs != nil {
			r.CompareSuricata(obs, &x.suricata[i])
		}
	}
	for i := range x.foxio {
		if obs := all[x.foxio[i].Capture]; obs != nil {
			r.CompareFoxIO(obs, x.foxio[i:i+1])
		}
	}
	return r, nil
}

// has reports that some packet of a capture, plain or not, is between two addresses:
// a peer's trace is not always the one that is here under its name.
func has(path string, e peers.Ends) bool {
	r, err := capfile.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }()
	a, b := e.A.Addr().AsSlice(), e.B.Addr().AsSlice()
	var p capfile.Packet
	for r.Next(&p) == nil {
		if bytes.Contains(p.Data, slices.Concat(a, b)) || bytes.Contains(p.Data, slices.Concat(b, a)) {
			return true
		}
	}
	return false
}

// traceOf is the capture that a log of ICSNPP is of: the one that has its flows.
func traceOf(l *peers.Log, captures []string, all map[string]*peers.Observed) *peers.Observed {
	var best *peers.Observed
	share := 0.0
	for _, c := range captures {
		if obs := all[c]; obs != nil && strings.HasPrefix(c, l.Capture+"/") {
			if s := obs.Share(l); s > share {
				best, share = obs, s
			}
		}
	}
	return best
}
