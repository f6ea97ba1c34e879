package fingerprint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// tablesSaid is what switch who tells of its ports.
func tablesSaid(who byte, at proto.Time, lists ...any) *proto.Observation {
	o := seen("snmp", kindPorts, who, at, "role", "server")
	for i := 0; i < len(lists); i += 2 {
		name, _ := lists[i].(string)
		list, _ := lists[i+1].([]string)
		o.Attributes.SetList(name, list)
	}
	return o
}

func rows(list ...string) []string { return list }

// forwards is a row of a forwarding database.
func forwards(who byte, rest string) string { return mac(who).String() + " " + rest }

// A walk over a switch: ports, their names, its neighbours, who is behind them.
func walk(w *ward, at proto.Time, who byte, name string, forwarding ...string) {
	o := seen("snmp", "response", who, at, "role", "server", "system_name", name)
	w.item(proto.Item{Observation: o})
	w.item(proto.Item{Observation: tablesSaid(who, at.Add(time.Second), "forwarding", forwarding)})
	w.item(proto.Item{Observation: tablesSaid(who, at.Add(2*time.Second), "bridge_ports", rows("1 interface=101", "2 interface=102", "3 interface=103", "24 interface=124"),
		"interfaces", rows("101 name=Gi1", "101 description=GigabitEthernet1", "102 description=GigabitEthernet2", "124 name=Gi24"), "vlans", rows("30 fdb=7", "31 fdb=8", "32 fdb=8"))})
}

func ports(d *proto.Device) string {
	if d == nil {
		return "none"
	}
	var list []string
	for _, a := range d.Attachments {
		list = append(list, strings.Join(slices.DeleteFunc([]string{a.Switch, a.Port, a.AccessPoint, a.SSID, a.Controller, a.VLAN, a.Source, fmt.Sprint(a.Confidence)}, func(s string) bool { return s == "" }), " "))
	}
	return strings.Join(list, " < ")
}

// TestPorts: what a manager asks of switches says where devices are.
func TestPorts(t *testing.T) {
	const sw, up = 200, 201
	many := func(port string) (list []string) {
		for i := range 40 {
			list = append(list, forwards(byte(10+i), "port="+port))
		}
		return list
	}
	for name, c := range map[string]struct {
		say   func(w *ward)
		want  map[byte]string
		place string // of device 1
	}{
		"a walk": {
			func(w *ward) {
				walk(w, noon, sw, "sw-3", forwards(1, "port=1 fdb=7"), forwards(2, "port=2 fdb=8"), forwards(3, "port=3 fdb=9"), forwards(4, "port=99"))
			},
			map[byte]string{1: "sw-3 Gi1 30 snmp 0.9", 2: "sw-3 GigabitEthernet2 snmp 0.9", 3: "sw-3 bridge port 3 snmp 0.9", 4: "sw-3 bridge port 99 snmp 0.9"},
			"Main / 3 / ICU / A switch_port",
		},
		"an uplink by its number": {
			func(w *ward) { walk(w, noon, sw, "sw-3", append(many("24"), forwards(1, "port=24"))...) }, map[byte]string{1: "", 11: ""}, "Main subnet",
		},
		"an uplink by its neighbour": {
			func(w *ward) {
				w.item(proto.Item{Observation: tablesSaid(sw, noon, "neighbours", rows("lldp port=24 mac="+mac(up).String(), "lldp port=24 mac="+mac(up).String()+" capabilities=bridge,router"))})
				walk(w, noon, sw, "sw-3", forwards(1, "port=24"), forwards(up, "port=24"))
			},
			map[byte]string{1: ""},
			"Main subnet",
		},
		"an access point's by CDP, of its interface": {
			func(w *ward) {
				w.item(proto.Item{Observation: tablesSaid(sw, noon, "neighbours", rows("cdp port=124 capabilities=router,bridge"))})
				walk(w, noon, sw, "sw-3", forwards(1, "port=24"))
			},
			map[byte]string{1: ""},
			"Main subnet",
		},
		"a telephone and what is behind it": {
			func(w *ward) {
				w.item(proto.Item{Observation: tablesSaid(sw, noon, "neighbours", rows("cdp port=101 mac="+mac(2).String()+" capabilities=host,telephone"))})
				walk(w, noon, sw, "sw-3", forwards(1, "port=1"), forwards(2, "port=1"))
			},
			map[byte]string{1: "sw-3 Gi1 snmp 0.9", 2: "sw-3 Gi1 cdp 0.95"},
			"Main / 3 / ICU / A switch_port",
		},
		"a monitor that speaks LLDP": {
			func(w *ward) {
				w.item(proto.Item{Observation: tablesSaid(sw, noon, "lldp_ports", rows("5 name=Gi1"), "neighbours", rows("lldp port=5 mac="+mac(1).String()+" capabilities=station", "lldp port=6 mac="+mac(2).String()))})
				walk(w, noon, sw, "sw-3")
			},
			map[byte]string{1: "sw-3 Gi1 lldp 0.95", 2: ""},
			"Main / 3 / ICU / A switch_port",
		},
		"the next switch goes before": { // asked first, and alone on its port
			func(w *ward) {
				walk(w, noon, sw, "sw-3", forwards(1, "port=1"))
				walk(w, noon.Add(5*time.Minute), up, "core", forwards(1, "port=2"), forwards(2, "port=2"), forwards(3, "port=2"))
			},
			map[byte]string{1: "core GigabitEthernet2 snmp 0.7 < sw-3 Gi1 snmp 0.9", 2: "core GigabitEthernet2 snmp 0.7"},
			"Main / 3 / ICU / A switch_port",
		},
		"a move, and back": {
			func(w *ward) {
				walk(w, noon, up, "core", forwards(1, "port=2"))
				walk(w, noon.Add(2*time.Hour), sw, "sw-3", forwards(1, "port=2"))
				walk(w, noon.Add(4*time.Hour), up, "core", forwards(1, "port=2"))
				walk(w, noon.Add(6*time.Hour), sw, "sw-3", forwards(1, "port=1"))
			},
			map[byte]string{1: "sw-3 GigabitEthernet2 snmp 0.9 < core GigabitEthernet2 snmp 0.9 < sw-3 Gi1 snmp 0.9"},
			"Main / 3 / ICU / A switch_port",
		},
		"a switch without a name": {
			func(w *ward) {
				w.item(proto.Item{Observation: tablesSaid(sw, noon, "forwarding", rows(forwards(1, "port=1 vlan=41"), forwards(sw, "port=1")))})
			},
			map[byte]string{1: "10.0.0.200 bridge port 1 41 snmp 0.9", sw: ""},
			"Main subnet",
		},
		"damaged rows": {
			func(w *ward) {
				w.item(proto.Item{Observation: tablesSaid(sw, noon, "forwarding", rows("", "x port=1", "00:00:00:00:00:00 port=1", "01:00:5e:00:00:01 port=1", forwards(2, "port=0"), forwards(3, "port=99999999999")),
					"bridge_ports", rows("", "1", "x interface=1", "1 interface="), "interfaces", rows("", "101", "x name=y"), "neighbours", rows("", "lldp", "lldp port=x"), "vlans", rows("", "9999 fdb=1", "30"))})
				walk(w, noon, sw, "sw-3", forwards(1, "port=1"))
			},
			map[byte]string{1: "sw-3 Gi1 snmp 0.9", 2: "", 3: ""},
			"Main / 3 / ICU / A switch_port",
		},
		"a log": {
			func(w *ward) {
				o := seen("syslog", kindAttached, 1, noon, "switch", "sw-3", "port", "Gi1", "vlan", "30")
				w.item(proto.Item{Observation: o})
				w.item(proto.Item{Observation: seen("syslog", kindAttached, 2, noon, "controller", "wlc-1", "access_point", "ap-9", "ssid", "ward")})
			},
			map[byte]string{1: "sw-3 Gi1 30 syslog 0.9", 2: "ap-9 ward wlc-1 syslog 0.9"},
			"Main / 3 / ICU / A switch_port",
		},
	} {
		for _, wait := range []bool{true, false} { // told by the timer, or at the end of the file
			w := newWard(t)
			deaths := w.deaths(t)
			w.hospital(hospitalText)
			for who := range c.want {
				if !strings.Contains(name, "a log") {
					w.item(proto.Item{Observation: seen("hl7", "oru_r01", who, noon)})
				}
			}
			c.say(w)
			if wait {
				for m := range 500 {
					w.beat(noon.Add(time.Duration(m)*time.Minute), false)
				}
			}
			w.beat(noon.Add(500*time.Minute), true)
			for who, want := range c.want {
				if got := ports(w.devices[id(who)]); got != want {
					t.Errorf("%s, waiting %v: device %d at %q, want %q", name, wait, who, got, want)
				}
			}
			if got := where(w.devices[id(1)]); got != c.place {
				t.Errorf("%s: device 1 in %s, want %s", name, got, c.place)
			}
			if d := deaths(); len(d) > 0 {
				t.Errorf("%s: dead letters %v", name, d)
			}
		}
	}
}

// A table makes no device: who has never been seen itself is not one.
func TestPortsInventNobody(t *testing.T) {
	w := newWard(t)
	walk(w, noon, 200, "sw-3", forwards(1, "port=1"), forwards(2, "port=2"))
	w.beat(noon.Add(time.Hour), true)
	if len(w.devices) != 1 {
		t.Errorf("%d devices", len(w.devices))
	}
	w.item(proto.Item{Observation: seen("hl7", "oru_r01", 1, noon.Add(2*time.Hour))}) // and then it is where it was
	w.beat(noon.Add(3*time.Hour), true)
	if got := ports(w.devices[id(1)]); got != "sw-3 Gi1 snmp 0.9" {
		t.Errorf("at %q", got)
	}
}

// rowsKept counts what is kept of switches, at the end of a file.
type rowsKept struct {
	*Endpoint
	n, most int
}

func (r *rowsKept) Sweep(tx *stream.Tx, name string, key []byte) {
	if name == sweepPorts {
		switchPorts.Scan(tx, key, func(_ []byte, p *portState) bool {
			r.n, r.most = r.n+1, max(r.most, len(p.macs))
			return true
		})
	}
	r.Endpoint.Sweep(tx, name, key)
}

// What is kept of a switch has a bound, however many ports it speaks of.
func TestPortsAreBounded(t *testing.T) {
	kept := &rowsKept{Endpoint: NewEndpoint(Config{})}
	w := newWard(t)
	l, err := stream.NewLocal(w.take, kept)
	if err != nil {
		t.Fatal(err)
	}
	w.local = l
	for i := range 100 {
		var list, neighbours []string
		for n := range 200 {
			list = append(list, fmt.Sprintf("%s port=%d", mac(byte(n)), 1+200*i+n), fmt.Sprintf("%s port=7", mac(byte(n))))
			neighbours = append(neighbours, fmt.Sprintf("lldp port=1 mac=00:11:22:33:%02x:%02x", i, n))
		}
		w.item(proto.Item{Observation: tablesSaid(200, noon, "forwarding", list, "neighbours", neighbours)})
	}
	w.beat(noon.Add(time.Minute), true)
	if kept.n != maxPortRows || kept.most != maxBehind {
		t.Errorf("%d rows with up to %d MACs are kept, want %d with %d", kept.n, kept.most, maxPortRows, maxBehind)
	}
}

// What is kept of switches and ports is read back as it was.
func TestPortsStateSurvives(t *testing.T) {
	sw := switchState{rows: 7, since: noon, last: noon.Add(time.Minute)}
	var sw2 switchState
	if err := sw2.Parse(sw.AppendTo(nil)); err != nil || sw2 != sw {
		t.Errorf("%+v, %v", sw2, err)
	}
	for _, p := range []portState{
		{},
		{name: "Gi1", description: "GigabitEthernet1", number: 101, crowded: noon},
		{number: 101, macs: []onPort{{mac: mac(1), at: noon, told: noon, as: 7, vlan: 41, fdb: 3, is: nextForwards}, {mac: mac(2), at: noon.Add(time.Second)}}},
	} {
		var q portState
		if err := q.Parse(p.AppendTo(nil)); err != nil || fmt.Sprint(q) != fmt.Sprint(p) {
			t.Errorf("%+v for %+v, %v", q, p, err)
		}
	}
}

// BenchmarkPorts measures a row of a forwarding table, with what follows from it: a
// switch of 48 ports with a device on each and 200 behind its uplink, asked every five
// minutes in answers of twenty rows.
func BenchmarkPorts(b *testing.B) {
	var list []string
	for i := range 248 {
		list = append(list, fmt.Sprintf("00:1b:21:00:00:%02x port=%d", i, min(1+i, 49)))
	}
	w := newWard(b)
	at := noon
	b.ResetTimer()
	for n := 0; n < b.N; n += len(list) {
		for rest := range slices.Chunk(list, 20) {
			w.item(proto.Item{Observation: tablesSaid(200, at, "forwarding", rest)})
			at = at.Add(time.Second / 4)
		}
		at = at.Add(5 * time.Minute)
		w.beat(at, false)
	}
}
