package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/repotest/peers"
)

// check is a comparison: equal, or with that class.
func check(peer, field, capture, class string) peers.Check {
	return peers.Check{Peer: peer, Field: field, Capture: capture, Where: "tcp a b", Want: "7/HTTP", Ours: "http", Equal: class == "equal", Class: strings.TrimPrefix(class, "equal")}
}

func TestShares(t *testing.T) {
	var x tally
	if x.share() != 0 || x.apart() != 0 || x.unexplained() != 0 {
		t.Errorf("of nothing: %+v", x)
	}
	for _, class := range []string{"equal", "equal", "equal", "equal", "equal", "equal", "fragments", "rtp_over_tcp", "", "no such class"} {
		c := check("Zeek", "tls sni", "a", class)
		x.add(&c)
	}
	if x.total != 10 || x.equal != 6 || x.conventions != 1 || x.limits != 1 || x.unexplained() != 2 || x.share() != 60 || x.apart() != 75 {
		t.Errorf("%+v: %v %v", x, x.share(), x.apart())
	}
}

func TestJudge(t *testing.T) {
	all := func(*peers.Check) bool { return true }
	three := []peers.Check{check("nDPI", "protocol", "a", "equal"), check("nDPI", "protocol", "a", "equal"), check("nDPI", "protocol", "a", "fragments")}
	for _, tc := range []struct {
		name      string
		q         requirement
		checks    []peers.Check
		got, rest float64
		captures  int
		good      bool
	}{
		{"all equal", requirement{least: 100, of: all}, three[:2], 100, 100, 1, true},
		{"a convention", requirement{least: 100, of: all}, three, 200.0 / 3, 100, 1, true},
		{"not explained", requirement{least: 50, of: all}, append(slices.Clone(three), check("nDPI", "protocol", "b", "")), 50, 200.0 / 3, 2, false},
		{"each capture the same", requirement{least: 40, of: all, mean: true}, append(slices.Clone(three[:2]), check("nDPI", "protocol", "b", "")), 50, 50, 2, false},
		{"a capture of conventions alone", requirement{least: 100, of: all, mean: true}, append(slices.Clone(three[:2]), check("nDPI", "protocol", "b", "fragments")), 50, 100, 2, true},
		{"others", requirement{least: 100, of: func(c *peers.Check) bool { return c.Peer == "Zeek" }}, three, 0, 0, 0, false},
		{"nothing of one that may lack", requirement{least: 100, of: func(*peers.Check) bool { return false }, optional: true}, three, 0, 0, 0, true},
	} {
		j := tc.q.judge(tc.checks)
		if near(j.got, tc.got) && near(j.rest, tc.rest) && j.captures == tc.captures && j.good() == tc.good {
			continue
		}
		t.Errorf("%s: %.2f %.2f, %d captures, good %v", tc.name, j.got, j.rest, j.captures, j.good())
	}
}

func near(a, b float64) bool { return a-b < 0.001 && b-a < 0.001 }

// complete is a report in which every requirement is met.
func complete() *peers.Report {
	r := &peers.Report{}
	for _, peer := range []string{"nDPI", "Zeek", "Arkime", "ICSNPP", "Suricata"} {
		r.Checks = append(r.Checks, check(peer, "packets", "a.pcap", "equal"))
	}
	r.Checks = append(
		r.Checks, check("Zeek", "community_id", "a.pcap", "equal"), check("Arkime", "tls ja3", "a.pcap", "equal"), check("FoxIO", "tls ja4", "a.pcap", "equal"),
		check("nDPI", "protocol", "a.pcap", "equal"), check("nDPI", "tls sni", "a.pcap", "equal"), check("nDPI", peers.FieldUnknown, "a.pcap", ""),
	)
	for _, p := range fieldProtocols {
		r.Checks = append(r.Checks, check("Zeek", p+" field", "a.pcap", "equal"))
	}
	return r
}

// A disagreement that is not explained fails -strict, of whatever field; one that is
// explained does not.
func TestWrite(t *testing.T) {
	for _, tc := range []struct {
		name  string
		more  []peers.Check
		short string
	}{
		{"all equal", nil, ""},
		{"explained", []peers.Check{check("Zeek", "tls sni", "b.pcap", "fb_zero"), check("Arkime", "community_id", "b.pcap", "icmp_as_session")}, ""},
		{"a share falls short", []peers.Check{check("Zeek", "tls sni", "b.pcap", "")}, "fields of tls: 75.00 % of 4, at least 98 %; 1 not explained; everything compared: 1 not explained"},
		{"of a field of which no share is asked", []peers.Check{check("Zeek", "kerberos error", "b.pcap", "")}, "everything compared: 1 not explained"},
		{"a name that we do not have", []peers.Check{check("nDPI", peers.FieldUnknown, "b.pcap", "")}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := complete()
			r.Checks = append(r.Checks, tc.more...)
			o := options{out: filepath.Join(t.TempDir(), "new"), date: "2026-01-02"}
			short, err := write(&o, r, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(short, "; "); got != tc.short {
				t.Errorf("short of %q, want %q", got, tc.short)
			}
			table := text(t, o.out, "2026-01-02-conformance.md")
			if strings.Contains(table, "**short**") != strings.Contains(tc.short, "at least") {
				t.Errorf("the table: %s", table)
			}
		})
	}
}

// What is not there falls short: a peer's results that could not be read are no
// agreement.
func TestWriteNothing(t *testing.T) {
	o := options{out: t.TempDir(), date: "d"}
	short, err := write(&o, &peers.Report{}, 0)
	if err != nil || len(short) != len(requirements())-2 { // tshark's two may lack
		t.Errorf("%q, %v", short, err)
	}
	o.out = filepath.Join(o.out, "d-conformance.md", "x") // a file, not a folder
	if _, err := write(&o, &peers.Report{}, 0); err == nil {
		t.Error("no folder, no error")
	}
}

func TestTables(t *testing.T) {
	r := complete()
	r.Checks = append(r.Checks, check("Zeek", "tls sni", "b.pcap", "fb_zero"), check("nDPI", "protocol", "b.pcap", "fragments"))
	o := options{out: t.TempDir(), date: "d"}
	if _, err := write(&o, r, 2); err != nil {
		t.Fatal(err)
	}
	table := text(t, o.out, "d-conformance.md")
	for _, line := range []string{
		"| fields of tls | 2 | 4 | 3 | 75.00 % | 98 % | 0 | 1 | 0 | 100.00 % |",
		"| application protocol, nDPI, mean over captures | 2 | 2 | 1 | 50.00 % | 95 % | 1 | 0 | 0 | 100.00 % |",
		"| hl7 messages, tshark | 0 | 0 | 0 | 0.00 % | 100 % | 0 | 0 | 0 | 0.00 % |",
		"| HTTP | 2 | 1 | 50.0 % | 1 | 0 | 0 |",
		"| HTTP | 1 | http 1 |",
		"| Zeek | tls sni | 1 | 0 | 0.0 % | 0 | 1 | 0 |",
		"| convention: fragments | 1 | " + peers.Conventions["fragments"] + " |",
		"| limit: fb_zero | 1 | " + peers.Limits["fb_zero"] + " |",
		"| (none) | 0 | not explained |",
	} {
		if !strings.Contains(table, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	_, idle, ok := strings.Cut(table, "Classes that explain nothing any more, and should go: ")
	if !ok || !strings.Contains(idle, "rtp_over_tcp") || strings.Contains(idle, "fb_zero") {
		t.Errorf("idle classes: %s", idle)
	}
	if got, want := text(t, o.out, "d-conformance-differences.tsv"), "peer\tfield\tcapture\twhere\tpeer's value\tours\tclass\n"+
		"Zeek\ttls sni\tb.pcap\ttcp a b\t7/HTTP\thttp\tfb_zero\nnDPI\tprotocol\tb.pcap\ttcp a b\t7/HTTP\thttp\tfragments\n"; got != want {
		t.Errorf("%s", got)
	}
	if got := text(t, o.out, "d-conformance-captures.tsv"); !strings.HasSuffix(got, "\na.pcap\t1\t1\t100.0\nb.pcap\t1\t0\t0.0\n") {
		t.Errorf("%s", got)
	}
}

func text(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
