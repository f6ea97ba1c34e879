package fingerprint

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// TestTenancies: who has an address that is only seen behind a router, and since when, as
// leases through a relay say. Each step is an hour, who, what, and for how many seconds.
func TestTenancies(t *testing.T) {
	const ip = "10.9.0.7"
	names := map[proto.ID]string{id(1): "C", id(2): "D", far(ip): "nobody"}
	type step struct {
		hour  float64
		who   byte
		kind  string
		lease string
	}
	for _, c := range []struct {
		name  string
		says  []step
		want  string
		since float64
	}{
		{"the earlier tenant is back", []step{{0, 1, "ack", "3600"}, {8, 2, "ack", "3600"}, {24, 1, "ack", "3600"}}, "C", 24},
		{"and then the other", []step{{0, 1, "ack", "3600"}, {8, 2, "ack", "3600"}, {24, 1, "ack", "3600"}, {40, 2, "ack", "3600"}}, "D", 40},
		{"back after many nights", []step{{0, 1, "ack", "3600"}, {8, 2, "ack", "3600"}, {24, 1, "ack", "3600"}, {48, 1, "ack", "3600"}, {72, 1, "ack", "3600"}}, "C", 24},
		{"how long is not said", []step{{0, 1, "ack", ""}, {8, 2, "ack", ""}, {24, 1, "ack", ""}}, "C", 24},
		{"a long lease whose server has lost its list", []step{{0, 1, "ack", "691200"}, {8, 2, "ack", "691200"}, {30, 1, "ack", "691200"}}, "C", 30},
		{"released", []step{{0, 1, "ack", "86400"}, {2, 1, "release", ""}, {3, 2, "ack", "86400"}, {5, 2, "release", ""}, {6, 1, "ack", "86400"}}, "C", 6},
		{"renewed", []step{{0, 1, "ack", "86400"}, {12, 1, "ack", "86400"}, {24, 1, "ack", "86400"}}, "C", 0},
		{"renewed when it was another's already", []step{{0, 1, "ack", "86400"}, {6, 2, "ack", "86400"}, {12, 1, "ack", "86400"}}, "D", 6},
		{"nobody else had it at night", []step{{0, 1, "ack", "3600"}, {24, 1, "ack", "3600"}, {48, 1, "ack", "3600"}, {72, 1, "ack", "3600"}, {96, 1, "ack", "3600"}, {120, 1, "ack", "3600"}}, "C", 0},
	} {
		w := newWard(t)
		last := 0.0
		for _, s := range c.says {
			at := noon.Add(time.Duration(s.hour * float64(time.Hour)))
			o := as(seen("dhcp", "request", s.who, at), id(s.who), mac(s.who), "")
			w.observe(o) // as it comes in: it breaks the silence before the lease does
			w.observe(as(seen("dhcp", s.kind, s.who, at+1, "lease_s", s.lease), id(s.who), mac(s.who), ip),
				as(seen("http", "request", 0, at.Add(time.Minute), "user_agent", fmt.Sprint(s.hour)), far(ip), proto.MAC{}, ip))
			w.beat(at.Add(30*time.Minute), false)
			last = s.hour
		}
		w.beat(noon.Add(time.Duration((last+1)*float64(time.Hour))), true)
		got := w.devices[w.bindings[far(ip)].Device]
		since := noon.Add(time.Duration(c.since * float64(time.Hour)))
		if names[got.DeviceID] != c.want || len(got.Joined) != 1 || got.Joined[0].Since == nil || got.Joined[0].Since.Sub(since) > time.Second {
			t.Errorf("%s: %s has it, %+v, want %s since %s", c.name, names[got.DeviceID], got.Joined, c.want, since)
		}
	}
}

// TestATenantThatWasForgotten: the first of many guests is back, after more than are kept.
func TestATenantThatWasForgotten(t *testing.T) {
	w := newWard(t)
	n := maxOwners + 3
	for i := range n + 1 {
		who := byte(1 + i%n)
		at := noon.Add(time.Duration(i) * time.Hour)
		w.observe(as(seen("dhcp", "ack", who, at, "lease_s", "3000"), id(who), mac(who), "10.9.0.7"), as(seen("http", "request", 0, at), far("10.9.0.7"), proto.MAC{}, "10.9.0.7"))
		w.beat(at.Add(time.Minute), false)
	}
	if b := w.bindings[far("10.9.0.7")]; b.Device != id(1) {
		t.Errorf("the address is bound to %s, want %s", b.Device, id(1))
	}
	if why := w.devices[id(1)].Joined; len(why) != 1 || !strings.Contains(why[0].Why, "by DHCP") {
		t.Errorf("joined: %+v", why)
	}
}
