package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/capfile"
)

// Expected is what all peers expect.
type Expected struct {
	Root      string // the folder of captures
	NDPI      map[string]string
	Arkime    map[string]string
	Zeek      []*Log
	ICSNPP    []*Log
	Suricata  []SuricataTest
	FoxIO     []FoxIO
	Community map[string][]string
	Tshark    map[string]Messages // nil without tshark
}

// Read reads it, all but what tshark says.
func Read(captures string) (*Expected, error) {
	x := &Expected{Root: captures}
	var errs [7]error
	x.NDPI, errs[0] = NDPIResults(captures)
	x.Arkime, errs[1] = ArkimeTests(captures)
	x.Zeek, errs[2] = ZeekLogs(captures)
	x.ICSNPP, errs[3] = ICSNPPLogs(captures)
	x.Suricata, errs[4] = Suricata(captures)
	x.FoxIO, errs[5] = FoxIOResults(captures)
	x.Community, errs[6] = CommunityIDs(captures)
	return x, errors.Join(errs[:]...)
}

// RunTshark has tshark read the captures that it is asked about, where it is installed.
func (x *Expected) RunTshark(ctx context.Context) (err error) {
	x.Tshark, err = Tshark(ctx, x.Root)
	return err
}

// Captures are the files that are there, of those that a peer has a result of.
func (x *Expected) Captures() ([]string, error) {
	set := map[string]bool{}
	for c := range x.NDPI {
		set[c] = true
	}
	for c := range x.Arkime {
		set[c] = true
	}
	for c := range x.Community {
		set[c] = true
	}
	for c := range x.Tshark {
		set[c] = true
	}
	for _, l := range x.Zeek {
		set[l.Capture] = true
	}
	for i := range x.Suricata {
		set[x.Suricata[i].Capture] = true
	}
	for i := range x.FoxIO {
		set[x.FoxIO[i].Capture] = true
	}
	traces, err := icsnppTraces(x.Root)
	if err != nil {
		return nil, err
	}
	for _, c := range traces {
		set[c] = true
	}
	var list []string
	for c := range set {
		if st, err := os.Stat(filepath.Join(x.Root, filepath.FromSlash(c))); err == nil && !st.IsDir() {
			list = append(list, c)
		}
	}
	slices.Sort(list)
	if len(list) == 0 {
		return nil, fmt.Errorf("no captures below %s: name their folder with -captures", x.Root)
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

// Compare compares what load gives of each capture, nil where there is nothing, with
// all that peers expect. names are the protocols that we know.
func (x *Expected) Compare(captures, names []string, load func(capture string) (*Observed, error)) (*Report, error) {
	known := map[string]bool{}
	for _, n := range append(slices.Clone(names), "icmp", "icmp6", "igmp", "esp", "ah", "ospf", "pim", "vrrp", "gre") {
		known[n] = true
	}
	all := map[string]*Observed{}
	for _, c := range captures {
		obs, err := load(c)
		if err != nil {
			return nil, err
		}
		if obs != nil {
			all[c] = obs
		}
	}
	r := &Report{}
	for _, c := range captures {
		if obs := all[c]; obs != nil {
			if err := x.compareOne(r, obs, known); err != nil {
				return nil, err
			}
		}
	}
	x.compareLogs(r, captures, all)
	return r, nil
}

// compareOne compares with the results that are of one capture.
func (x *Expected) compareOne(r *Report, o *Observed, known map[string]bool) error {
	if path := x.NDPI[o.Capture]; path != "" {
		flows, err := NDPI(path)
		if err != nil {
			return err
		}
		r.CompareNDPI(o, flows, known)
	}
	if path := x.Arkime[o.Capture]; path != "" {
		list, err := Arkime(path)
		if err != nil {
			return err
		}
		r.CompareArkime(o, list)
	}
	if m := x.Tshark[o.Capture]; m != nil {
		r.CompareTshark(o, m)
	}
	if ids := x.Community[o.Capture]; ids != nil {
		r.CompareCommunityIDs(o, ids)
	}
	return nil
}

// compareLogs compares with the logs, and with the tests that look at one value.
func (x *Expected) compareLogs(r *Report, captures []string, all map[string]*Observed) {
	traces := map[string][]*Observed{} // of a log
	for _, l := range x.Zeek {
		if obs := all[l.Capture]; obs != nil {
			traces[l.Path] = append(traces[l.Path], obs)
		}
	}
	for _, l := range x.Zeek {
		if obs := all[l.Capture]; obs != nil {
			r.CompareZeek(obs, l, "Zeek", func(e Ends) bool {
				return slices.ContainsFunc(traces[l.Path], func(o *Observed) bool { return o != obs && len(o.Flows[e]) > 0 }) || !has(filepath.Join(x.Root, filepath.FromSlash(l.Capture)), e)
			})
		}
	}
	for _, l := range x.ICSNPP {
		if obs := traceOf(l, captures, all); obs != nil {
			r.CompareZeek(obs, l, "ICSNPP", func(Ends) bool { return false })
		}
	}
	for i := range x.Suricata {
		if obs := all[x.Suricata[i].Capture]; obs != nil {
			r.CompareSuricata(obs, &x.Suricata[i])
		}
	}
	for i := range x.FoxIO {
		if obs := all[x.FoxIO[i].Capture]; obs != nil {
			r.CompareFoxIO(obs, x.FoxIO[i:i+1])
		}
	}
}

// has reports that some packet of a capture, plain or not, is between two addresses:
// a peer's trace is not always the one that is here under its name.
func has(path string, e Ends) bool {
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
func traceOf(l *Log, captures []string, all map[string]*Observed) *Observed {
	var best *Observed
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
