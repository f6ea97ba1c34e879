package fingerprint

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// TestTrunk: a capture of a trunk shows an address in each VLAN that it is routed to.
// Each case says what is seen at noon and on, a minute apart, and which devices there are.
func TestTrunk(t *testing.T) {
	const ip = "10.9.0.7"
	copyIn := func(vlan proto.VLAN) proto.ID { return proto.IPEndpoint("st-alban", vlan, netip.MustParseAddr(ip)) }
	names := map[proto.ID]string{id(1): "A", id(2): "B", copyIn(20): "in 20", copyIn(30): "in 30"}
	says := func(protocol, kind string, who byte) proto.Item {
		return proto.Item{Observation: as(seen(protocol, kind, who, 0), id(who), mac(who), ip)}
	}
	routed := func(vlan proto.VLAN) proto.Item {
		return proto.Item{Observation: as(seen("http", "request", 0, 0, "user_agent", "x"), copyIn(vlan), proto.MAC{}, ip)}
	}
	own := func(who byte, vlan proto.VLAN) proto.Item {
		f := tcp(who, 9, 80, 0)
		f.SrcIP, f.VLAN, f.DstEndpoint, f.DstMAC = netip.MustParseAddr(ip), vlan, proto.ID{}, proto.MAC{}
		return proto.Item{Flow: f}
	}
	for _, c := range []struct {
		name string
		says []proto.Item
		want string
	}{
		{"its own answer", []proto.Item{says("arp", "reply", 1), own(1, 10), routed(20), routed(30)}, "A+in 20+in 30"},
		{"the copies first", []proto.Item{routed(20), routed(30), says("arp", "reply", 1)}, "A+in 20+in 30"},
		{"a lease", []proto.Item{says("dhcp", "ack", 1), routed(20), routed(30)}, "A+in 20+in 30"},
		{"the next tenant", []proto.Item{says("dhcp", "ack", 1), own(1, 10), routed(20), says("dhcp", "ack", 2), own(2, 10), routed(30)}, "A B+in 20+in 30"},
		{"who answered before the lease", []proto.Item{says("arp", "reply", 1), own(1, 10), says("dhcp", "ack", 2), own(2, 10), routed(20), routed(30)}, "A B+in 20+in 30"},
		{"nobody answers", []proto.Item{own(1, 10), routed(20), routed(30)}, "A in 20 in 30"},
		{"two hosts in two VLANs", []proto.Item{says("arp", "reply", 1), own(1, 10), says("arp", "reply", 2), own(2, 40), routed(20), routed(30)}, "A B in 20 in 30"},
		{"two leases in two VLANs", []proto.Item{says("dhcp", "ack", 1), own(1, 10), says("dhcp", "ack", 2), own(2, 40), routed(20), routed(30)}, "A B in 20 in 30"},
		{"one of two by DHCP", []proto.Item{says("dhcp", "ack", 1), says("arp", "reply", 2), routed(20), routed(30)}, "A B in 20 in 30"},
	} {
		w := newWard(t)
		for m, it := range c.says {
			at := noon.Add(time.Duration(m) * time.Minute)
			if it.Flow != nil {
				it.Flow.Start, it.Flow.End = at, at.Add(time.Second)
			} else {
				it.Observation.Time = at
			}
			w.item(it)
			w.beat(at, false)
		}
		w.beat(noon.Add(30*time.Minute), false)
		w.beat(noon.Add(30*time.Minute), true)
		if got := strings.Join(w.final(names), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestSecondAddress: a server uses two addresses of one card by turns.
func TestSecondAddress(t *testing.T) {
	names := map[proto.ID]string{id(1): "A", id(2): "B", far("10.9.0.7"): "first", far("10.9.0.8"): "second"}
	for _, c := range []struct {
		name string
		last string // who has .8 in the end, and since which hour
		from int
		want string
	}{
		{"both all the time", "", 0, "A+first+second"},
		{"the second goes to another by DHCP", "ack", 6, "A+first B+second"},
		{"the second is another's since days", "reply", 40, "A+first B+second"},
	} {
		w := newWard(t)
		answer := func(who byte, h float64, ip, protocol, kind string) {
			at := noon.Add(time.Duration(h * float64(time.Hour)))
			w.observe(as(seen(protocol, kind, who, at), id(who), mac(who), ip), as(seen("http", "request", 0, at+1, "user_agent", "x"), far(ip), proto.MAC{}, ip))
			w.beat(at.Add(time.Minute), false)
		}
		for h := range 48 {
			for m := range 6 {
				at := float64(h) + float64(m)/10
				answer(1, at, "10.9.0.7", "arp", "reply")
				switch {
				case c.last == "" || h < c.from-30 || c.last == "ack" && h < c.from:
					answer(1, at+0.05, "10.9.0.8", "arp", "reply")
				case h >= c.from:
					answer(2, at+0.05, "10.9.0.8", map[string]string{"ack": "dhcp", "reply": "arp"}[c.last], c.last)
				}
			}
		}
		w.beat(noon.Add(49*time.Hour), true)
		if got := strings.Join(w.final(names), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
