package dissect_test

import (
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/pkg/repotest/peers"
	"github.com/wardflow/wardflow/proto"
)

// leastCompared is how many values of each peer are compared at least.
var leastCompared = map[string]int{"Arkime": 850, "FoxIO": 390, "ICSNPP": 100, "Suricata": 30, "Zeek": 770, "nDPI": 2300}

// otherNames are the flows to which nDPI gives a name that is not ours, and what we
// call them: the application's where we have the protocol. Anything else that is
// labelled there may be a false label.
var otherNames = map[string]int{
	"AVASTSecureDNS: dns": 39, "Discord: rtp": 13, "i3D: rtp": 4, "TruPhone: xmpp": 2,
	"ApplePush: tls": 1, "Citrix: ica": 1, "PGM: 113": 1, "UltraSurf: tls": 1,
}

// TestPeers compares labels and facts with what the tests of other programs expect of
// their captures. Each disagreement has a class in pkg/repotest/peers, or fails. Packets
// and Community IDs are pkg/flow's, and are compared there and by
// benchmarks/conformance.
func TestPeers(t *testing.T) {
	root := repotest.Shared(t, "captures")
	x, err := peers.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	captures, err := x.Captures()
	if err != nil {
		t.Fatal(err)
	}
	report, err := x.Compare(captures, dissect.Names(), func(capture string) (*peers.Observed, error) { return observe(t, root, capture), nil })
	if err != nil {
		t.Fatal(err)
	}
	type tally struct{ total, equal int }
	fields, compared, others := map[string]*tally{}, map[string]int{}, map[string]int{}
	for i := range report.Checks {
		c := &report.Checks[i]
		switch c.Field {
		case "packets", "community_id":
			continue
		case peers.FieldUnknown: // to them it is something that we do not know
			if _, theirs, _ := strings.Cut(c.Want, "/"); c.Ours != "unknown" && !strings.HasPrefix(c.Ours, "unknown (") && c.Ours != "no such flow" {
				others[theirs+": "+c.Ours]++
			}
			continue
		}
		k := c.Peer + " " + c.Field
		if fields[k] == nil {
			fields[k] = new(tally)
		}
		fields[k].total++
		if compared[c.Peer]++; c.Equal {
			fields[k].equal++
		} else if c.Unexplained() {
			t.Errorf("%s %s: %s %s: %q, ours %q", c.Peer, c.Field, c.Capture, c.Where, c.Want, c.Ours)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		t.Logf("%-40s %4d of %4d equal", k, fields[k].equal, fields[k].total)
	}
	if !maps.Equal(others, otherNames) {
		t.Errorf("flows of nDPI's own names: %v, want %v", others, otherNames)
	}
	for peer, least := range leastCompared {
		if compared[peer] < least {
			t.Errorf("only %d values of %s were compared", compared[peer], peer)
		}
	}
}

// unread is the label of what no dissector has labelled, which is not the engine's.
func unread(t proto.Transport) (label, by string) {
	switch name := map[proto.Transport]string{2: "igmp", 50: "esp", 51: "ah", 89: "ospf", 103: "pim", 112: "vrrp"}[t]; {
	case t == proto.TCP, t == proto.UDP:
		return "unknown", ""
	case name != "":
		return name, proto.ByContent
	}
	return t.String(), proto.ByContent
}

// observe runs a capture; nil where it cannot be read.
func observe(t *testing.T, root, capture string) *peers.Observed {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(capture))
	in, err := capfile.Open(path)
	if err != nil {
		return nil
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	r := dissecttest.Run(dissect.Config{}, dissecttest.Frames(t, path))
	if len(r.Panics) > 0 {
		t.Errorf("%s: %v", capture, r.Panics)
	}
	var flows []*peers.Flow
	for _, f := range r.Flows {
		src := netip.AddrPortFrom(f.SrcIP, f.SrcPort)
		label, by := f.Protocol, f.By
		if label == "" {
			label, by = unread(f.Transport)
		}
		flows = append(flows, &peers.Flow{
			Ends: peers.EndsOf(f.Transport.String(), src, netip.AddrPortFrom(f.DstIP, f.DstPort)),
			Src:  src, Protocol: label, By: by, Inner: f.Inner,
		})
	}
	var facts []*peers.Fact
	for i := range r.Facts {
		f := &r.Facts[i]
		x := &peers.Fact{Protocol: f.Protocol, Kind: f.Kind, Attributes: map[string][]string{peers.Kind: {f.Kind}, peers.MAC: {f.Subject.MAC.String()}}}
		if f.SrcIP.IsValid() {
			x.Ends = peers.EndsOf(f.Transport.String(), netip.AddrPortFrom(f.SrcIP, f.SrcPort), netip.AddrPortFrom(f.DstIP, f.DstPort))
		}
		for _, a := range f.Attributes {
			if x.Attributes[a.Name] = a.List; a.List == nil {
				x.Attributes[a.Name] = []string{a.Value}
			}
		}
		facts = append(facts, x)
	}
	return peers.New(capture, flows, facts)
}
