package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/repotest/peers"
)

// tally counts comparisons.
type tally struct {
	total, equal, conventions, limits int
}

func (t *tally) add(c *peers.Check) {
	t.total++
	switch {
	case c.Equal:
		t.equal++
	case peers.Conventions[c.Class] != "":
		t.conventions++
	case peers.Limits[c.Class] != "":
		t.limits++
	}
}

func (t *tally) unexplained() int { return t.total - t.equal - t.conventions - t.limits }

func (t *tally) share() float64 { return 100 * float64(t.equal) / float64(max(t.total, 1)) }

// apart is the share of what is neither a peer's convention nor a limit of ours.
func (t *tally) apart() float64 {
	return 100 * float64(t.equal) / float64(max(t.total-t.conventions-t.limits, 1))
}

// tallies are by any key.
type tallies map[string]*tally

func (m tallies) add(key string, c *peers.Check) {
	if m[key] == nil {
		m[key] = &tally{}
	}
	m[key].add(c)
}

// requirement is a line of the first table: what must be shown.
type requirement struct {
	what  string
	least float64 // per cent
	of    func(c *peers.Check) bool
	mean  bool // over the captures, each counting the same

	optional bool // the peer may not be installed
}

// fieldProtocols are those whose fields must agree.
var fieldProtocols = []string{"dhcp", "dns", "tls", "http", "ssh", "smb", "snmp", "modbus", "bacnet"}

func requirements() []requirement {
	field := func(names ...string) func(*peers.Check) bool {
		return func(c *peers.Check) bool { return slices.Contains(names, c.Field) }
	}
	list := []requirement{
		{what: "Community ID", least: 100, of: field("community_id")},
		{what: "JA3, JA3S, without nDPI's", least: 100, of: func(c *peers.Check) bool {
			return c.Peer != "nDPI" && (c.Attribute() == "ja3" || c.Attribute() == "ja3s")
		}},
		{what: "JA4, without nDPI's", least: 100, of: func(c *peers.Check) bool { return c.Peer != "nDPI" && c.Attribute() == "ja4" }},
		{what: "fields of nDPI's flows", least: 98, of: func(c *peers.Check) bool { return c.Peer == "nDPI" && c.Protocol() != "" }},
	}
	for _, peer := range []string{"nDPI", "Zeek", "Arkime", "ICSNPP", "Suricata"} {
		list = append(list, requirement{
			what: "packets per direction, " + peer, least: 99,
			of: func(c *peers.Check) bool { return c.Peer == peer && c.Field == "packets" },
		})
	}
	list = append(list, requirement{what: "application protocol, nDPI, mean over captures", least: 95, of: field(peers.FieldProtocol), mean: true})
	for _, p := range fieldProtocols {
		list = append(list, requirement{what: "fields of " + p, least: 98, of: func(c *peers.Check) bool { return c.Peer != "nDPI" && c.Protocol() == p }})
	}
	for _, p := range []string{"hl7", "dicom"} {
		list = append(list, requirement{what: p + " messages, tshark", least: 100, of: field(p + " messages"), optional: true})
	}
	return list
}

// judged is a requirement with what came out.
type judged struct {
	requirement
	tally
	captures  int
	got, rest float64 // the share of all, and of what is neither convention nor limit
}

func (q *requirement) judge(checks []peers.Check) judged {
	j := judged{requirement: *q}
	by := tallies{}
	for i := range checks {
		if c := &checks[i]; q.of(c) {
			j.add(c)
			by.add(c.Capture, c)
		}
	}
	j.captures, j.got, j.rest = len(by), j.share(), j.apart()
	if q.mean && len(by) > 0 {
		j.got, j.rest = 0, 0
		n := 0.0
		for _, t := range by {
			j.got += t.share() / float64(len(by))
			if t.total > t.conventions+t.limits {
				j.rest += t.apart()
				n++
			}
		}
		j.rest /= max(n, 1)
	}
	return j
}

func (j *judged) good() bool {
	return (j.total > 0 || j.optional) && (j.total == 0 || j.rest >= j.least) && j.unexplained() == 0
}

// write makes the tables and the lists beside them, and says what is not as it must be.
func write(o *options, r *peers.Report, captures int) ([]string, error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for the tables: %w", err)
	}
	base := filepath.Join(o.out, o.date+"-conformance")
	var short []string
	err := toFile(base+".md", func(w io.Writer) {
		p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
		p("# Conformance, %s\n", o.date)
		p("%d captures through `%s`, commit %s, %s; what came out is compared with what the peers' own tests expect of them. Made by `go tool task conformance`.", captures, strings.Join(dissectFlags, " "), commit(), runtime.Version())
		p("Every disagreement belongs to a class that is said in words below, or is unexplained. A class is a *convention* of the peer's, who counts or names something else, or a *limit* of ours. The share is that of everything that was compared;")
		p("the last one leaves conventions and limits out, and so is 100 %% wherever nothing is unexplained: it is no figure of its own. Classes go by capture, field and peer; not every disagreement was looked at packet by packet. Every single disagreement, with both values and its class, is in")
		p("[%s-conformance-differences.tsv](%s-conformance-differences.tsv), protocols by capture in [%s-conformance-captures.tsv](%s-conformance-captures.tsv).\n", o.date, o.date, o.date, o.date)
		p("## What must be shown\n")
		p("| what | captures | compared | equal | share | at least | conventions | limits | unexplained | share of the rest |\n|---|---|---|---|---|---|---|---|---|---|")
		for _, q := range requirements() {
			j := q.judge(r.Checks)
			mark := ""
			if !j.good() {
				mark = " **short**"
				short = append(short, fmt.Sprintf("%s: %.2f %% of %d, at least %g %%; %d not explained", q.what, j.rest, j.total-j.conventions-j.limits, q.least, j.unexplained()))
			}
			p("| %s | %d | %d | %d | %.2f %% | %g %% | %d | %d | %d | %.2f %%%s |", q.what, j.captures, j.total, j.equal, j.got, q.least, j.conventions, j.limits, j.unexplained(), j.rest, mark)
		}
		p("")
		protocolTables(p, r)
		fieldTables(p, r)
		classTable(p, r)
	})
	if err != nil {
		return nil, err
	}
	if n := unexplained(r.Checks); n > 0 {
		short = append(short, fmt.Sprintf("everything compared: %d not explained", n))
	}
	if err := differences(base+"-differences.tsv", r); err != nil {
		return nil, err
	}
	return short, byCapture(base+"-captures.tsv", r)
}

// unexplained counts what has no class, of all fields: those too of which no share is
// asked.
func unexplained(checks []peers.Check) (n int) {
	for i := range checks {
		if checks[i].Unexplained() {
			n++
		}
	}
	return n
}

func toFile(path string, f func(io.Writer)) error {
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	w := bufio.NewWriter(out)
	f(w)
	if err := w.Flush(); err != nil {
		_ = out.Close()
		return fmt.Errorf("write table: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// protocolTables are the application protocols against nDPI's.
func protocolTables(p func(string, ...any), r *peers.Report) {
	known, unknown := tallies{}, tallies{}
	said := map[string]map[string]int{}
	for i := range r.Checks {
		c := &r.Checks[i]
		_, master, _ := strings.Cut(c.Want, "/")
		master, _, _ = strings.Cut(master, ".")
		switch c.Field {
		case peers.FieldProtocol:
			known.add(master, c)
		case peers.FieldUnknown:
			unknown.add(master, c)
			if said[master] == nil {
				said[master] = map[string]int{}
			}
			said[master][c.Ours]++
		}
	}
	p("## Application protocol against nDPI\n")
	p("Flows that nDPI marks `Confidence: DPI`, by nDPI's name, for protocols that both know; a label by port is none.\n")
	p("| nDPI | flows | equal | share | conventions | limits | unexplained |\n|---|---|---|---|---|---|---|")
	for _, k := range bySize(known) {
		t := known[k]
		p("| %s | %d | %d | %.1f %% | %d | %d | %d |", k, t.total, t.equal, t.share(), t.conventions, t.limits, t.unexplained())
	}
	p("\nWhat only nDPI has a name for, and what we say of it:\n")
	p("| nDPI | flows | ours |\n|---|---|---|")
	for _, k := range bySize(unknown) {
		var list []string
		for _, s := range slices.Sorted(maps.Keys(said[k])) {
			list = append(list, fmt.Sprintf("%s %d", s, said[k][s]))
		}
		p("| %s | %d | %s |", k, unknown[k].total, strings.Join(list, ", "))
	}
	p("")
}

func bySize(m tallies) []string {
	keys := slices.Collect(maps.Keys(m))
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(m[b].total, m[a].total), strings.Compare(a, b)) })
	return keys
}

// fieldTables are all other comparisons, by peer.
func fieldTables(p func(string, ...any), r *peers.Report) {
	by := map[string]tallies{}
	for i := range r.Checks {
		c := &r.Checks[i]
		if c.Field == peers.FieldProtocol || c.Field == peers.FieldUnknown {
			continue
		}
		if by[c.Peer] == nil {
			by[c.Peer] = tallies{}
		}
		by[c.Peer].add(c.Field, c)
	}
	p("## Fields, by peer\n")
	p("| peer | field | compared | equal | share | conventions | limits | unexplained |\n|---|---|---|---|---|---|---|---|")
	for _, peer := range slices.Sorted(maps.Keys(by)) {
		for _, f := range slices.Sorted(maps.Keys(by[peer])) {
			t := by[peer][f]
			p("| %s | %s | %d | %d | %.1f %% | %d | %d | %d |", peer, f, t.total, t.equal, t.share(), t.conventions, t.limits, t.unexplained())
		}
	}
	p("")
}

// classTable says in words why values differ.
func classTable(p func(string, ...any), r *peers.Report) {
	count := map[string]int{}
	open := 0
	for i := range r.Checks {
		c := &r.Checks[i]
		switch {
		case c.Unexplained():
			open++
		case !c.Equal && c.Field != peers.FieldUnknown:
			count[c.Class]++
		}
	}
	p("## Why values differ\n")
	p("| class | disagreements | in words |\n|---|---|---|")
	for _, of := range []struct {
		kind  string
		words map[string]string
	}{{"convention", peers.Conventions}, {"limit", peers.Limits}} {
		for _, k := range slices.Sorted(maps.Keys(of.words)) {
			if count[k] > 0 {
				p("| %s: %s | %d | %s |", of.kind, k, count[k], of.words[k])
			}
		}
	}
	p("| (none) | %d | not explained |\n", open)
	if idle := r.Idle(); len(idle) > 0 {
		p("Classes that explain nothing any more, and should go: %s.\n", strings.Join(idle, ", "))
	}
}

// differences lists every disagreement.
func differences(path string, r *peers.Report) error {
	return toFile(path, func(w io.Writer) {
		fmt.Fprintln(w, "peer\tfield\tcapture\twhere\tpeer's value\tours\tclass")
		for i := range r.Checks {
			if c := &r.Checks[i]; !c.Equal && c.Field != peers.FieldUnknown {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Peer, c.Field, c.Capture, c.Where, c.Want, c.Ours, cmp.Or(c.Class, "(none)"))
			}
		}
	})
}

// byCapture lists the application protocols of each capture.
func byCapture(path string, r *peers.Report) error {
	by := tallies{}
	for i := range r.Checks {
		if c := &r.Checks[i]; c.Field == peers.FieldProtocol {
			by.add(c.Capture, c)
		}
	}
	return toFile(path, func(w io.Writer) {
		fmt.Fprintln(w, "capture\tflows with Confidence: DPI that both know\tequal\tshare")
		for _, k := range slices.Sorted(maps.Keys(by)) {
			fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\n", k, by[k].total, by[k].equal, by[k].share())
		}
	})
}

// commit is the one that is checked out, "-" without Git.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "-"
	}
	return strings.TrimSpace(string(out))
}

func today() string { return time.Now().UTC().Format(time.DateOnly) }
