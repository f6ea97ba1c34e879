package flow_test

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
)

// vectors are those of the specification's baseline, so that the test does not
// need the shared files.
func TestCommunityID(t *testing.T) {
	for _, v := range []struct {
		transport proto.Transport
		src, dst  string
		sp, dp    uint16
		want      string
	}{
		{proto.TCP, "66.35.250.204", "128.232.110.120", 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{proto.TCP, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{proto.ICMP6, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{proto.ICMP6, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{proto.ICMP6, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="},
		{proto.ICMP6, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4, "1:hLZd0XGWojozrvxqE0dWB1iM6R0="},
		{proto.ICMP6, "3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
	} {
		got := flow.CommunityID(v.transport, netip.MustParseAddr(v.src), netip.MustParseAddr(v.dst), v.sp, v.dp)
		if got.String() != v.want {
			t.Errorf("%v %s:%d > %s:%d: %v, want %s", v.transport, v.src, v.sp, v.dst, v.dp, got, v.want)
		}
	}
}

// TestCommunityIDBaseline checks every row of the specification's baseline. Its
// ICMP rows give the type of the answer where code is what packets carry.
func TestCommunityIDBaseline(t *testing.T) {
	raw, err := os.ReadFile(repotest.Shared(t, "captures/community-id-spec/baseline/baseline_deflt.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Proto        proto.Transport
		Saddr, Daddr netip.Addr
		Sport, Dport *uint16
		CommunityID  string
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		var sp, dp uint16
		if r.Sport != nil {
			sp, dp = *r.Sport, *r.Dport
		}
		if got := flow.CommunityID(r.Proto, r.Saddr, r.Daddr, sp, dp).String(); got != r.CommunityID {
			t.Errorf("%+v: %s", r, got)
		}
	}
	if len(rows) < 20 {
		t.Errorf("%d rows", len(rows))
	}
}

// TestCommunityIDOfCaptures: the vectors that Zeek's plugin gives for each capture
// are the ids that our flows of it have.
func TestCommunityIDOfCaptures(t *testing.T) {
	dir := repotest.Shared(t, "captures")
	outs, err := filepath.Glob(filepath.Join(dir, "zeek-community-id", "tests", "Baseline", "communityid.run-pcaps", "*.out"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, out := range outs {
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		wanted := map[string]bool{}
		for line := range strings.Lines(string(raw)) {
			if _, id, ok := strings.Cut(strings.TrimSpace(line), "-> "); ok {
				wanted[id] = true
			}
		}
		name := strings.TrimSuffix(filepath.Base(out), ".out")
		got := map[string]bool{}
		capture := filepath.Join(dir, "zeek", "Traces", "communityid", name)
		if !exists(capture) {
			capture = filepath.Join(dir, "zeek-community-id", "tests", "Traces", name)
		}
		for _, f := range flowsOf(t, capture) {
			got[f.CommunityID.String()] = true
		}
		for id := range wanted {
			checked++
			if !got[id] {
				t.Errorf("%s: no flow has %s", name, id)
			}
		}
		for id := range got {
			if len(wanted) > 0 && !wanted[id] {
				t.Errorf("%s: nobody else has %s", name, id)
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d ids checked", checked)
	}
}

func TestFlowIDIsAHashID(t *testing.T) {
	h := segment(0, packet.SYN, 99, "")
	k, _ := flow.MakeKey(h)
	community := flow.CommunityID(proto.TCP, client, server, 40000, 80)
	seed := binary.BigEndian.AppendUint32(nil, 99)
	if got, want := flow.FlowIDOf("site", &k, seed, 0), proto.HashID("flow", []byte("site"), community[:], seed); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	third := binary.BigEndian.AppendUint32(nil, 3)
	if got, want := flow.FlowIDOf("site", &k, seed, 3), proto.HashID("flow", []byte("site"), community[:], seed, third); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTwoSensorsAgree: one sees the traffic a second later, without the SYN.
func TestTwoSensorsAgree(t *testing.T) {
	a, b := newScript(flow.Config{}), newScript(flow.Config{})
	a.history(0, "ShADad")
	b.history(1, "hADad")
	for i := range 3 { // the same beacon again and again: three flows
		a.Add(forward(1000*float64(i+1), proto.UDP, "beacon"))
		b.Add(forward(1000*float64(i+1)+1, proto.UDP, "beacon"))
	}
	a.Flush()
	b.Flush()
	ids := map[proto.ID]bool{}
	if len(a.parts) != len(b.parts) {
		t.Fatalf("%v and %v", a.lines(), b.lines())
	}
	for i := range a.parts {
		if a.parts[i].FlowID != b.parts[i].FlowID {
			t.Errorf("flow %d: %v and %v", i, a.parts[i].FlowID, b.parts[i].FlowID)
		}
		ids[a.parts[i].FlowID] = true
	}
	if len(ids) != 4 {
		t.Errorf("%d ids for 4 flows: %v", len(ids), a.lines())
	}
}

// TestRepeatsAreTold: fixed ports keep their generation though a great many other
// flows lie between.
func TestRepeatsAreTold(t *testing.T) {
	s := newScript(flow.Config{})
	ids := map[proto.ID]bool{}
	beacon := func(seconds float64) {
		h := forward(seconds, proto.UDP, "beacon")
		h.SrcPort, h.DstPort = 137, 137
		e, _ := s.Add(h)
		if ids[e.FlowID] {
			t.Fatal("two flows have one id")
		}
		ids[e.FlowID] = true
	}
	for round := range 3 {
		start := float64(round) * 100_000
		beacon(start)
		for i := range 100_000 {
			h := forward(start+float64(i)/10, proto.UDP, "x")
			h.SrcIP = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
			h.SrcPort = uint16(40000 + i%20000)
			s.Add(h)
		}
		s.parts = nil
	}
}
