// Package peers says what other programs' own tests expect of the shared captures,
// and compares it with what came out of ours.
//
// Here live the readers of the peers' expected results, what their words are in
// ours, and why a value of theirs may differ: each difference either belongs to a
// class that is described in words, or counts as unexplained. It does not run
// anything: flows and facts are given to it, by the tests of pkg/dissect from the
// engine and by benchmarks/conformance from what the binary wrote. Nothing but
// these may import it.
package peers

import (
	"net/netip"
	"slices"
	"strings"
)

// Ends are those of a flow, in either order; A is the lower one. Of transports
// without ports the ports are 0.
type Ends struct {
	Transport string // tcp, udp, icmp, icmp6, sctp, else the IP protocol's number
	A, B      netip.AddrPort
}

// EndsOf gives the ends of a flow.
func EndsOf(transport string, a, b netip.AddrPort) Ends {
	switch transport {
	case "tcp", "udp", "sctp":
	default: // ICMP's type and code are no ports
		a, b = netip.AddrPortFrom(a.Addr(), 0), netip.AddrPortFrom(b.Addr(), 0)
	}
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return Ends{transport, a, b}
}

// String is how lists of differences name a flow.
func (e Ends) String() string { return e.Transport + " " + e.A.String() + " " + e.B.String() }

// Flow is a flow of ours, all its parts together.
type Flow struct {
	Ends        Ends
	Src         netip.AddrPort // who opened it
	Packets     [2]uint64      // by side, the opener's first
	Payload     [2]uint64
	Protocol    string
	By          string
	Inner       []string
	State       string
	CommunityID string
	VLAN        uint16
}

// Fact is an observation of ours.
type Fact struct {
	Ends       Ends // zero without IP
	Protocol   string
	Kind       string
	Attributes map[string][]string // a single value is a list of one
}

// What else stands among a fact's attributes.
const (
	Kind = "@kind"
	IP   = "@ip"
	MAC  = "@mac"
)

// Observed is what came out of one capture.
type Observed struct {
	Capture string // its path below the folder of captures, with slashes
	Flows   map[Ends][]*Flow
	Facts   []*Fact
	byEnds  map[Ends][]*Fact
}

// New makes an Observed.
func New(capture string, flows []*Flow, facts []*Fact) *Observed {
	o := &Observed{Capture: capture, Flows: map[Ends][]*Flow{}, Facts: facts, byEnds: map[Ends][]*Fact{}}
	for _, f := range flows {
		o.Flows[f.Ends] = append(o.Flows[f.Ends], f)
	}
	for _, f := range facts {
		o.byEnds[f.Ends] = append(o.byEnds[f.Ends], f)
	}
	return o
}

// Of gives the facts of a flow.
func (o *Observed) Of(e Ends) []*Fact { return o.byEnds[e] }

// Values are those of an attribute, of all facts of a protocol and kind; any of
// either with "". mDNS and LLMNR are DNS.
func Values(facts []*Fact, protocol, kind, attribute string) []string {
	var list []string
	for _, f := range facts {
		if (protocol == "" || f.Protocol == protocol || protocol == "dns" && (f.Protocol == "mdns" || f.Protocol == "llmnr")) && (kind == "" || f.Kind == kind) {
			list = append(list, f.Attributes[attribute]...)
		}
	}
	return list
}

// Label is how the flow with these ends is called: of several flows, the label of
// those with most packets, content and context before port before nothing.
func (o *Observed) Label(e Ends) (protocol, by string) {
	var best *Flow
	var most uint64
	sum := map[string]uint64{}
	rank := func(f *Flow) uint64 {
		switch f.By {
		case "content", "context":
			return 1 << 50
		case "port":
			return 1 << 40
		}
		return 0
	}
	for _, f := range o.Flows[e] {
		k := f.Protocol + " " + f.By
		if sum[k] == 0 {
			sum[k] = rank(f)
		}
		sum[k] += f.Packets[0] + f.Packets[1]
		if best == nil || sum[k] > most {
			best, most = f, sum[k]
		}
	}
	if best == nil {
		return "", ""
	}
	return best.Protocol, best.By
}

// called is the label as lists of differences show it.
func (o *Observed) called(e Ends) string {
	if len(o.Flows[e]) == 0 {
		return "no such flow"
	}
	p, by := o.Label(e)
	return strings.TrimSpace(p + " " + by)
}

// Check is one comparison.
type Check struct {
	Peer    string
	Field   string
	Capture string
	Where   string // in the capture: a flow
	Want    string // what the peer says
	Ours    string
	Equal   bool
	Class   string // why it differs, a key of Classes; "" while Equal or unexplained
}

// Protocol is the protocol whose field is compared, "" for flows'.
func (c *Check) Protocol() string {
	if c.Peer == "tshark" {
		return ""
	}
	if p, _, ok := strings.Cut(c.Field, " "); ok {
		return p
	}
	return ""
}

// Attribute is the field without its protocol.
func (c *Check) Attribute() string {
	if _, a, ok := strings.Cut(c.Field, " "); ok {
		a, _, _ = strings.Cut(a, " ")
		return a
	}
	return c.Field
}

// Report collects comparisons.
type Report struct {
	Checks []Check
	seen   map[string]bool // what has been compared: a value counts once for each flow
}

// add keeps a comparison, with the class of a difference unless it is known.
func (r *Report) add(c Check) {
	if !c.Equal && c.Class == "" {
		c.Class = classOf(&c)
	}
	r.Checks = append(r.Checks, c)
}

// want compares a value of the peer's with those of ours.
func (r *Report) want(peer, field string, o *Observed, where, value string, ours []string) {
	once := strings.Join([]string{peer, field, o.Capture, where, value}, "\x00")
	if r.seen[once] {
		return
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	r.seen[once] = true
	c := Check{Peer: peer, Field: field, Capture: o.Capture, Where: where, Want: value, Ours: strings.Join(ours, " | "), Equal: slices.Contains(ours, value)}
	r.add(c)
}

// Unexplained reports a disagreement without a class. Names that we do not have are none.
func (c *Check) Unexplained() bool {
	return !c.Equal && c.Field != FieldUnknown && Conventions[c.Class] == "" && Limits[c.Class] == ""
}

// Idle are the classes that explain nothing in this report: they may go.
func (r *Report) Idle() []string {
	used := map[string]bool{}
	for i := range r.Checks {
		used[r.Checks[i].Class] = true
	}
	var list []string
	for _, classes := range []map[string]string{Conventions, Limits} {
		for name := range classes {
			if !used[name] {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return list
}

// addrPort reads 10.0.0.1:80, [::1]:80.
func addrPort(s string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(s)
	return a, err == nil
}
