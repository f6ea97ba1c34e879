package peers

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		value, pattern string
		want           bool
	}{
		{"anything", "", true}, {"", "", true}, {"a.pcap", "pcap", true}, {"a.pcap", "=pcap", false}, {"a", "=a", true}, {"", "=", true}, {"a", "=", false},
	} {
		if got := matches(tc.value, tc.pattern); got != tc.want {
			t.Errorf("%q, %q: %v", tc.value, tc.pattern, got)
		}
	}
}

// Of several rules that match the first counts; a rule wants all that it says.
func TestClassOf(t *testing.T) {
	for _, tc := range []struct {
		c    Check
		want string
	}{
		{Check{Peer: "Arkime", Field: "community_id", Where: "50 10.0.0.1:0 10.0.0.2:0"}, "ports_where_there_are_none"},
		{Check{Peer: "Zeek", Field: "community_id", Where: "50 10.0.0.1:0 10.0.0.2:0"}, ""},
		{Check{Peer: "nDPI", Field: "protocol", Capture: "nDPI/pcap/fuzz-1.pcap"}, "damaged_on_purpose"},
		{Check{Peer: "Arkime", Field: "packets", Capture: "arkime/pcap/socks-1.pcap"}, "fragments"},
		{Check{Peer: "Arkime", Field: "tls ja3", Capture: "arkime/pcap/fbzero.pcap"}, "fb_zero"},
		{Check{Peer: "Zeek", Field: "dns qtype", Capture: "a.pcap", Where: "tcp"}, ""},
	} {
		if got := classOf(&tc.c); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.c, got, tc.want)
		}
	}
}

// Each rule leads to a class that is described, once, and each class has a rule or is
// set by what compares.
func TestClassesAreDescribed(t *testing.T) {
	used := map[string]bool{"ndpi_ja4": true}
	for _, x := range classes {
		used[x.class] = true
		if (Conventions[x.class] == "") == (Limits[x.class] == "") {
			t.Errorf("%s is described as none, or as both", x.class)
		}
		if x.peer+x.field+x.capture+x.where+x.want+x.ours == "" {
			t.Errorf("%s explains everything", x.class)
		}
	}
	for _, list := range []map[string]string{Conventions, Limits} {
		for name, text := range list {
			if !used[name] || len(strings.Fields(text)) < 4 {
				t.Errorf("%s: used %v, %q", name, used[name], text)
			}
		}
	}
}

func TestReport(t *testing.T) {
	o := New("c.pcap", nil, nil)
	var r Report
	r.want("Zeek", "tls sni", o, "tcp", "a", []string{"b", "a"})
	r.want("Zeek", "tls sni", o, "tcp", "a", nil) // counts once
	r.want("Zeek", "tls sni", o, "tcp", "c", []string{"b", "a"})
	r.want("Zeek", "dhcp circuit_id", o, "capture", "text", nil)
	r.add(Check{Peer: "nDPI", Field: FieldUnknown, Want: "9/New"})
	r.add(Check{Peer: "nDPI", Field: "tls ja4", Class: "ndpi_ja4"})
	var got []string
	for i := range r.Checks {
		c := &r.Checks[i]
		got = append(got, c.Protocol()+"/"+c.Attribute()+" "+map[bool]string{true: "equal", false: "differs"}[c.Equal]+" "+map[bool]string{true: "unexplained", false: c.Class}[c.Unexplained()])
	}
	want := []string{"tls/sni equal ", "tls/sni differs unexplained", "dhcp/circuit_id differs told_as_hmac", "/unknown differs ", "tls/ja4 differs ndpi_ja4"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if c := r.Checks[1]; c.Ours != "b | a" {
		t.Errorf("%+v", c)
	}
	idle := r.Idle()
	if slices.Contains(idle, "told_as_hmac") || slices.Contains(idle, "ndpi_ja4") || !slices.Contains(idle, "fb_zero") || len(idle) != len(Conventions)+len(Limits)-2 {
		t.Errorf("%q", idle)
	}
}

func addr(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	a, ok := addrPort(s)
	if !ok {
		t.Fatalf("%s is no address", s)
	}
	return a
}

// Of several flows with the same ends the label is that of most packets; content goes
// before port.
func TestLabel(t *testing.T) {
	e := EndsOf("tcp", addr(t, "10.0.0.2:1"), addr(t, "10.0.0.1:80"))
	for want, flows := range map[string][]*Flow{
		"http content": {{Ends: e, Protocol: "http", By: "content", Packets: [2]uint64{1, 1}}, {Ends: e, Protocol: "https", By: "port", Packets: [2]uint64{100, 1}}},
		"dns content":  {{Ends: e, Protocol: "http", By: "content", Packets: [2]uint64{3, 1}}, {Ends: e, Protocol: "dns", By: "content", Packets: [2]uint64{5, 1}}},
		"unknown":      {{Ends: e, Protocol: "unknown"}},
		"no such flow": nil,
	} {
		if got := New("c", flows, nil).called(e); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Packets are compared by direction, over all flows with the same ends, whoever opened
// them.
func TestPackets(t *testing.T) {
	a, b := addr(t, "10.0.0.1:80"), addr(t, "10.0.0.2:1")
	e := EndsOf("tcp", b, a)
	o := New("c", []*Flow{{Ends: e, Src: b, Packets: [2]uint64{5, 4}}, {Ends: e, Src: a, Packets: [2]uint64{1, 2}}}, nil)
	var r Report
	r.packets("Zeek", o, e, [2]uint64{5, 8})
	if len(r.Checks) != 2 || !r.Checks[0].Equal || r.Checks[0].Ours != "5" || r.Checks[1].Equal || r.Checks[1].Ours != "7" {
		t.Errorf("%+v", r.Checks)
	}
}
