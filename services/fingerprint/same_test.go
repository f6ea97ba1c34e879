package fingerprint

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// as makes an observation of another endpoint.
func as(o *proto.Observation, id proto.ID, mac proto.MAC, ip string) *proto.Observation {
	o.Endpoint, o.MAC, o.IP = id, mac, netip.Addr{}
	if ip != "" {
		o.IP = netip.MustParseAddr(ip)
	}
	return o
}

// far is an address seen behind a router.
func far(ip string) proto.ID { return proto.IPEndpoint("st-alban", 0, netip.MustParseAddr(ip)) }

func (w *ward) observe(list ...*proto.Observation) {
	for _, o := range list {
		w.item(proto.Item{Observation: o})
	}
}

// final are the devices that are no alias of another, as text: id's short name, its
// aliases and addresses.
func (w *ward) final(names map[proto.ID]string) []string {
	alias := map[proto.ID]bool{}
	for _, d := range w.devices {
		for _, a := range d.Aliases {
			alias[a] = true
		}
	}
	var out []string
	for id, d := range w.devices {
		if alias[id] {
			continue
		}
		text := names[id]
		var with []string
		for _, a := range d.Aliases {
			with = append(with, names[a])
		}
		slices.Sort(with)
		for _, a := range with {
			text += "+" + a
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// The cases of identity. Each says who is seen how, in hours from noon on, and which
// devices there are in the end.
func TestIdentity(t *testing.T) {
	local := proto.MAC{0x02, 1, 2, 3, 4, 5}
	other := proto.MAC{0x06, 9, 9, 9, 9, 9}
	names := map[proto.ID]string{
		id(1): "A", id(2): "B", id(3): "C", far("10.9.0.7"): "address", proto.MACEndpoint("st-alban", local): "made-up",
		proto.MACEndpoint("st-alban", other): "made-up again", proto.EquipmentEndpoint("st-alban", "pump"): "pump",
	}
	at := func(h float64) proto.Time { return noon.Add(time.Duration(h * float64(time.Hour))) }
	lease := func(who byte, h float64, ip string, more ...string) *proto.Observation {
		return as(seen("dhcp", "ack", who, at(h), more...), id(who), mac(who), ip)
	}
	web := func(ip string, h float64, agent string) *proto.Observation {
		return as(seen("http", "request", 0, at(h), "user_agent", agent), far(ip), proto.MAC{}, ip)
	}
	phone := func(m proto.MAC, h float64, name string) *proto.Observation {
		return as(seen("dhcp", "request", 0, at(h), "hostname", name), proto.MACEndpoint("st-alban", m), m, "")
	}
	series := func(from, to float64, name string, who ...byte) (all []*proto.Observation) {
		for h := from; h < to; h += 0.5 {
			for i, n := range who {
				t := at(h + float64(i)/100)
				all = append(all, as(seen("arp", "request", n, t), id(n), mac(n), fmt.Sprintf("10.9.0.%d", n)),
					seen("ssdp", "notify", n, t, "device_uid", "uuid:2f402f80-da50-11e1-9b23-001788aabbcc"), seen("mdns", "response", n, t, "hostname", name))
			}
		}
		return all
	}
	for _, c := range []struct {
		name string
		says []*proto.Observation
		want string
	}{
		{"two cameras of a series, as they are delivered", series(0, 3, "ipcam", 1, 2), "A B"},
		{"two of another", series(0, 3, "localhost.local", 1, 2), "A B"},
		{"two of a third", series(0, 6, "IPC-4000", 1, 2), "A B"},
		{"one that has another card now", slices.Concat(series(0, 3, "ipc-4000", 1), series(3, 9, "ipc-4000", 2)), "A+B"},
		{"two cards of one", append(series(0, 3, "localhost", 1, 2), seen("lldp", "neighbor", 1, at(3), "serial", "SN-20441", "model", "X2"), seen("lldp", "neighbor", 2, at(3), "serial", "SN-20441", "model", "X2")), "A+B"},
		{"two copies of an image", []*proto.Observation{
			lease(1, 0, "10.9.0.1", "client_id", "ff00000001000100011846488c003005010203", "hostname", "kiosk"), lease(2, 0.01, "10.9.0.2", "client_id", "ff00000002000100011846488c003005010203", "hostname", "kiosk"),
			as(seen("ssdp", "notify", 1, at(0.1), "device_uid", "uuid:2f402f80-da50-11e1-9b23-001788aabbcc"), id(1), mac(1), "10.9.0.1"), as(seen("ssdp", "notify", 2, at(0.1), "device_uid", "uuid:2f402f80-da50-11e1-9b23-001788aabbcc"), id(2), mac(2), "10.9.0.2"),
		}, "A B"},
		{"two ports of a switch that nobody has named", []*proto.Observation{
			listing(seen("lldp", "neighbor", 1, at(0), "system_name", "Switch"), "management_ips", "10.0.0.250"), listing(seen("cdp", "neighbor", 2, at(0.01), "device_id", "Switch"), "management_ips", "10.0.0.250"),
		}, "A+B"},

		{"an address that DHCP gave", []*proto.Observation{lease(1, 0, "10.9.0.7"), web("10.9.0.7", 0.1, "x")}, "A+address"},
		{"the other way round", []*proto.Observation{web("10.9.0.7", 0, "x"), lease(1, 0.1, "10.9.0.7")}, "A+address"},
		{"the next tenant has it", []*proto.Observation{
			lease(1, 0, "10.9.0.7"), web("10.9.0.7", 0.1, "x"), lease(1, 2, "10.9.0.8"), lease(2, 3, "10.9.0.7"), web("10.9.0.7", 3.1, "y"),
		}, "A B+address"},
		{"the former tenant is silent", []*proto.Observation{
			lease(1, 0, "10.9.0.7"), web("10.9.0.7", 0.1, "x"), lease(2, 3, "10.9.0.7"), web("10.9.0.7", 3.1, "y"),
		}, "A B+address"},
		{"two answer for it", []*proto.Observation{
			as(seen("arp", "reply", 1, at(0)), id(1), mac(1), "10.9.0.7"), as(seen("arp", "reply", 2, at(1)), id(2), mac(2), "10.9.0.7"), web("10.9.0.7", 1.1, "y"),
		}, "A B address"},
		{"one answers for it", []*proto.Observation{as(seen("arp", "reply", 1, at(0)), id(1), mac(1), "10.9.0.7"), web("10.9.0.7", 1.1, "y")}, "A+address"},
		{"a proxy answers for many", []*proto.Observation{
			as(seen("arp", "reply", 1, at(0)), id(1), mac(1), "10.9.0.7"), as(seen("arp", "reply", 1, at(0.1)), id(1), mac(1), "10.9.0.8"),
			as(seen("arp", "reply", 1, at(0.15)), id(1), mac(1), "10.9.0.9"), as(seen("arp", "reply", 1, at(0.2)), id(1), mac(1), "10.9.0.7"), web("10.9.0.7", 1.1, "y"),
		}, "A address"},
		{"who only speaks from it has it not", []*proto.Observation{as(seen("http", "request", 1, at(0)), id(1), mac(1), "10.9.0.7"), web("10.9.0.7", 1.1, "y")}, "A address"},

		{"two interfaces, one model and serial number", []*proto.Observation{
			seen("lldp", "neighbor", 1, at(0), "serial", "SN-20441", "model", "X2"), seen("snmp", "response", 2, at(0.01), "role", "server", "serial", "sn20441", "model", "x2"),
		}, "A+B"},
		{"one serial number, two models", []*proto.Observation{
			seen("lldp", "neighbor", 1, at(0), "serial", "SN-20441", "model", "X2"), seen("lldp", "neighbor", 2, at(0), "serial", "SN-20441", "model", "X3"),
		}, "A B"},
		{"a serial number alone is not enough", []*proto.Observation{
			seen("lldp", "neighbor", 1, at(0), "serial", "SN-20441"), seen("lldp", "neighbor", 2, at(0), "serial", "SN-20441"),
		}, "A B"},
		{"a serial number that nobody has set", []*proto.Observation{
			seen("lldp", "neighbor", 1, at(0), "serial", "0000000", "model", "X2"), seen("lldp", "neighbor", 2, at(0), "serial", "0000000", "model", "X2"),
		}, "A B"},
		{"DHCP identifier and name", []*proto.Observation{
			lease(1, 0, "10.9.0.1", "client_id", "ff00000001000100011846488c003005010203", "hostname", "lap-17.hosp"),
			lease(2, 0.01, "10.9.0.2", "client_id", "ff00000002000100011846488c003005010203", "hostname", "LAP-17"),
		}, "A+B"},
		{"one image, two names", []*proto.Observation{
			lease(1, 0, "10.9.0.1", "client_id", "ff00000001000100011846488c003005010203", "hostname", "lap-17"),
			lease(2, 0, "10.9.0.2", "client_id", "ff00000002000100011846488c003005010203", "hostname", "lap-18"),
		}, "A B"},
		{"two notebooks and the dock that they share", []*proto.Observation{
			lease(1, 0, "10.9.0.1", "client_id", "ff00000001000100011846488c003005010203", "hostname", "lap-a17"),
			lease(2, 0.1, "10.9.0.2", "client_id", "ff0000000100010001184648990011aabbccdd", "hostname", "lap-b18"),
			lease(3, 1, "10.9.0.3", "client_id", "ff00000001000100011846488c003005010203", "hostname", "lap-a17"),
			lease(3, 5, "10.9.0.3", "client_id", "ff0000000100010001184648990011aabbccdd", "hostname", "lap-b18"),
			lease(3, 7, "10.9.0.3", "client_id", "ff00000001000100011846488c003005010203", "hostname", "lap-a17"),
		}, "A B C"},
		{"a dock of one", []*proto.Observation{
			lease(1, 0, "10.9.0.1", "client_id", "ff00000001000100011846488c003005010203", "hostname", "lap-a17"),
			lease(3, 1, "10.9.0.3", "client_id", "ff00000001000100011846488c003005010203", "hostname", "lap-a17"),
			lease(3, 5, "10.9.0.3", "client_id", "ff00000001000100011846488c003005010203", "hostname", "LAP-A17.hosp"),
		}, "A+C"},
		{"what lies between two", []*proto.Observation{
			seen("snmp", "response", 1, at(0), "role", "server", "engine_id", "800000090300aabbccddeeff", "system_name", "rt1"), seen("ssdp", "notify", 1, at(0), "device_uid", "uuid:2f402f80-da50-11e1-9b23-001788aabbcc"),
			seen("snmp", "response", 2, at(0.01), "role", "server", "engine_id", "800000090300aabbccddeeff", "system_name", "rt2"), seen("ssdp", "notify", 2, at(0.01), "device_uid", "uuid:2f402f80-da50-11e1-9b23-001788aabbcc"),
			seen("snmp", "response", 3, at(0.02), "role", "server", "engine_id", "800000090300aabbccddeeff"), seen("ssdp", "notify", 3, at(0.02), "device_uid", "uuid:2f402f80-da50-11e1-9b23-001788aabbcc"),
		}, "A B+C"},
		{"one model and serial number, two names", []*proto.Observation{
			seen("lldp", "neighbor", 1, at(0), "serial", "SN-20441", "model", "X2", "system_name", "ct1"), seen("lldp", "neighbor", 2, at(0.01), "serial", "SN-20441", "model", "X2", "system_name", "ct1-service"),
		}, "A+B"},
		{"an agent of three interfaces", []*proto.Observation{
			seen("snmp", "response", 1, at(0), "role", "server", "engine_id", "800000090300aabbccddeeff", "system_name", "rt1"),
			seen("snmp", "response", 2, at(0.01), "role", "server", "engine_id", "800000090300aabbccddeeff", "system_name", "rt1"),
			seen("snmp", "response", 3, at(0.02), "role", "server", "engine_id", "800000090300aabbccddeeff", "system_name", "rt1"),
		}, "A+B+C"},
		{"two ports of one switch", []*proto.Observation{
			listing(seen("lldp", "neighbor", 1, at(0), "system_name", "sw1"), "management_ips", "10.0.0.250"), listing(seen("cdp", "neighbor", 2, at(0.01), "device_id", "sw1.hosp"), "management_ips", "10.0.0.250", "fd00::1"),
		}, "A+B"},
		{"a switch and the port that it speaks from", []*proto.Observation{
			seen("cdp", "announcement", 1, at(0), "device_id", "S1", "frame_mac", mac(2).String()), seen("lldp", "announcement", 2, at(0.01), "system_name", "S1.hosp"),
		}, "A+B"},
		{"two switches of one name", []*proto.Observation{
			listing(seen("lldp", "neighbor", 1, at(0), "system_name", "Switch"), "management_ips", "10.0.0.250"), listing(seen("cdp", "neighbor", 2, at(0.01), "device_id", "Switch"), "management_ips", "10.0.0.251"),
		}, "A B"},
		{"an archive hands on what the scanner made", []*proto.Observation{
			seen("dicom", "image", 1, at(0), "serial", "SN-20441", "model", "X2"), seen("dicom", "associate_rq", 1, at(0), "role", "scu", "abstract_syntaxes", "1.2.840.10008.5.1.4.31"),
			seen("dicom", "image", 2, at(0), "serial", "SN-20441", "model", "X2"),
		}, "A B"},

		{"a telephone takes a new MAC", []*proto.Observation{
			phone(local, 0, "ward3-ipad-07"), phone(local, 1, "ward3-ipad-07"), phone(other, 5, "ward3-ipad-07"), phone(other, 6, "ward3-ipad-07"),
		}, "made-up+made-up again"},
		{"two telephones of one series", []*proto.Observation{
			phone(local, 0, "Galaxy-S21"), phone(local, 1, "Galaxy-S21"), phone(other, 5, "Galaxy-S21"), phone(other, 6, "Galaxy-S21"),
		}, "made-up made-up again"},
		{"two at once are two", []*proto.Observation{
			phone(local, 0, "ward3-ipad-07"), phone(other, 0.1, "ward3-ipad-07"), phone(local, 1, "ward3-ipad-07"), phone(other, 1.1, "ward3-ipad-07"),
			phone(local, 2, "ward3-ipad-07"), phone(other, 2.1, "ward3-ipad-07"), phone(local, 3, "ward3-ipad-07"), phone(other, 3.1, "ward3-ipad-07"),
		}, "made-up made-up again"},
		{"a pump behind its gateway, and on the wire", []*proto.Observation{
			behind(as(seen("hl7", "oru", 0, at(0), "serial", "P-778812", "model", "PCU"), proto.EquipmentEndpoint("st-alban", "pump"), proto.MAC{}, ""), id(3)),
			seen("hl7", "oru", 3, at(0)), seen("lldp", "neighbor", 1, at(1), "serial", "P778812", "model", "PCU"),
		}, "C pump+A"},
		{"never its own gateway", []*proto.Observation{
			behind(as(seen("hl7", "oru", 0, at(0), "serial", "P-778812", "model", "PCU"), proto.EquipmentEndpoint("st-alban", "pump"), proto.MAC{}, ""), id(3)),
			seen("lldp", "neighbor", 3, at(0), "serial", "P-778812", "model", "PCU"),
		}, "C pump"},
	} {
		w := newWard(t)
		clock := noon
		for _, o := range c.says {
			for ; clock < o.Time; clock = clock.Add(time.Minute) {
				w.beat(clock, false)
			}
			w.observe(o)
		}
		w.beat(clock.Add(10*time.Minute), false)
		w.beat(clock.Add(10*time.Minute), true)
		if got := strings.Join(w.final(names), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func listing(o *proto.Observation, name string, values ...string) *proto.Observation {
	o.Attributes.SetList(name, values)
	return o
}

func behind(o *proto.Observation, gateway proto.ID) *proto.Observation {
	o.Gateway = gateway
	return o
}

// TestTenantsOfAFarAddress: what the tenant before did is not the next one's.
func TestTenantsOfAFarAddress(t *testing.T) {
	w := newWard(t)
	use := func(who byte, h int, agent string) {
		at := noon.Add(time.Duration(h) * time.Hour)
		w.observe(as(seen("dhcp", "ack", who, at), id(who), mac(who), "10.9.0.7"),
			as(seen("http", "request", 0, at.Add(time.Minute), "user_agent", agent, "computer_name", "pc-"+agent), far("10.9.0.7"), proto.MAC{}, "10.9.0.7"))
		w.beat(at.Add(30*time.Minute), false)
	}
	use(1, 0, "first")
	use(2, 3, "second")
	w.beat(noon.Add(4*time.Hour), true)
	d := w.devices[id(2)]
	if len(d.Joined) != 1 || d.Joined[0].Since == nil || *d.Joined[0].Since != noon.Add(3*time.Hour) || !strings.Contains(d.Joined[0].Why, "10.9.0.7") {
		t.Errorf("joined: %+v", d.Joined)
	}
	for _, v := range d.Evidence {
		if strings.HasSuffix(v.Value, "first") {
			t.Errorf("the second tenant has %+v", v)
		}
	}
	if d.FirstSeen != noon.Add(3*time.Hour) {
		t.Errorf("first seen %s", d.FirstSeen)
	}
	if !slices.Equal(d.Hostnames, proto.Strings{"pc-second"}) {
		t.Errorf("the second tenant is called %v", d.Hostnames)
	}
	if b := w.bindings[far("10.9.0.7")]; b.Device != id(2) {
		t.Errorf("the address is bound to %s", b.Device)
	}
	if first := w.devices[id(1)]; len(first.Aliases) != 0 || slices.Contains(first.Endpoints, far("10.9.0.7")) {
		t.Errorf("the first tenant still has %v", first.Endpoints)
	}
}

// TestRoaming: a device is carried to another site; a clone is at both at once.
func TestRoaming(t *testing.T) {
	for _, clone := range []bool{false, true} {
		w := newWard(t)
		there := proto.MACEndpoint("st-bede", mac(1))
		for h := range 8 {
			at := noon.Add(time.Duration(h) * time.Hour)
			if h < 4 || clone {
				w.batch.Site = "st-alban"
				w.observe(seen("http", "request", 1, at, "user_agent", "x"))
			}
			if h >= 4 || clone {
				w.batch.Site = "st-bede"
				o := as(seen("http", "request", 1, at, "user_agent", "x"), there, mac(1), "10.8.0.1")
				o.Site = "st-bede"
				w.observe(o)
			}
			for _, site := range []string{"st-alban", "st-bede"} {
				w.batch.Site = site
				for m := time.Duration(0); m < 60; m++ {
					w.beat(at.Add(m*time.Minute), false)
				}
			}
		}
		d := w.devices[id(1)]
		if joined := slices.Contains(d.Aliases, there); joined == clone {
			t.Errorf("clone %v: aliases %v", clone, d.Aliases)
		}
		if want := map[bool]string{false: "st-bede", true: "st-alban"}[clone]; d.Site != want {
			t.Errorf("clone %v: at %s, want %s", clone, d.Site, want)
		}
	}
}

// TestPeopleJoinAndSeparate: what people say of two ids outranks traffic, and is undone.
func TestPeopleJoinAndSeparate(t *testing.T) {
	w := newWard(t)
	w.observe(seen("lldp", "neighbor", 1, noon, "serial", "SN-20441", "model", "X2"), seen("lldp", "neighbor", 2, noon+1, "serial", "SN-20441", "model", "X2"), seen("http", "request", 3, noon+2))
	w.beat(noon.Add(time.Hour), false)
	names := map[proto.ID]string{id(1): "A", id(2): "B", id(3): "C"}
	n := byte(0)
	say := func(action string, of, other proto.ID, undoes byte) byte {
		n++
		e := &proto.Edit{EditID: proto.ID{n}, DeviceID: of, Time: noon.Add(time.Hour + time.Duration(n)), By: "k", Action: action, Into: other}
		if undoes > 0 {
			e.Undoes = proto.ID{undoes}
		}
		if err := w.local.Edit(e); err != nil {
			t.Fatal(err)
		}
		return n
	}
	is := func(want string) {
		t.Helper()
		if got := strings.Join(w.final(names), " "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	is("A+B C")
	apart := say(proto.EditSeparate, id(1), id(2), 0)
	is("A B C")
	say(proto.EditUndo, id(1), proto.ID{}, apart)
	is("A+B C")
	w.observe(seen("lldp", "neighbor", 3, noon.Add(time.Hour), "serial", "SN-99999")) // which cannot be the same, but for people
	one := say(proto.EditJoin, id(3), id(1), 0)
	is("A+B+C")
	if d := w.devices[id(1)]; len(d.Joined) != 2 || !strings.Contains(d.Joined[0].Why+d.Joined[1].Why, "k has said that they are one") {
		t.Errorf("joined: %+v", d.Joined)
	}
	say(proto.EditUndo, id(1), proto.ID{}, one) // it has become part of A, and the edit with it
	is("A+B C")
}

// TestIdentityIsOfTheClaims: in whatever order claims come, the same groups result.
func TestIdentityIsOfTheClaims(t *testing.T) {
	var list []*proto.Claim
	key := func(kind proto.ClaimKind, v string, since int) proto.ClaimKey {
		return proto.ClaimKey{Kind: kind, Value: v, Since: proto.Time(since)}
	}
	for i := range 12 {
		c := &proto.Claim{Endpoint: proto.ID{byte(i + 1)}, Site: "s", FirstSeen: proto.Time(100 - i), Version: 1, Hour: 10, Hours: 3}
		switch i % 4 {
		case 0:
			c.Keys = []proto.ClaimKey{key(proto.ClaimSerial, fmt.Sprintf("SN%04d", i/8), 0), key(proto.ClaimModel, "m", 0), key(proto.ClaimOwns, "10.0.0.1", i+1)}
		case 1:
			c.Class, c.Keys = proto.ClassAddress, []proto.ClaimKey{key(proto.ClaimAddress, fmt.Sprintf("10.0.0.%d", 1+i/4), 0)}
		case 2:
			c.Keys = []proto.ClaimKey{key(proto.ClaimUID, "00000000-aaaa", 0), key(proto.ClaimHostname, fmt.Sprintf("h%d", i/8), 0), key(proto.ClaimSerial, "SN0000", 0), key(proto.ClaimModel, "m", 0)}
		case 3:
			c.Keys = []proto.ClaimKey{key(proto.ClaimUID, "00000000-aaaa", 0), key(proto.ClaimHostname, fmt.Sprintf("h%d", i/8), 0), key(proto.ClaimAnswers, "10.0.0.2", 0)}
		}
		list = append(list, c)
	}
	for i := range maxSharers + 2 { // so many that it tells nobody, however few there were at first
		list = append(list, &proto.Claim{Endpoint: proto.ID{byte(100 + i)}, Site: "s", FirstSeen: 1, Version: 1, Keys: []proto.ClaimKey{key(proto.ClaimSerial, "SN777", 0), key(proto.ClaimModel, "m", 0)}})
	}
	also := func(id byte, class proto.EndpointClass, keys ...proto.ClaimKey) {
		list = append(list, &proto.Claim{Endpoint: proto.ID{id}, Site: "s", FirstSeen: proto.Time(id), Version: 1, Class: class, Keys: keys})
	}
	for at, ip := range []string{"10.0.0.9", "10.0.0.10"} { // each is seen in two VLANs
		for vlan := range 2 {
			also(byte(0x20+2*at+vlan), proto.ClassAddress, key(proto.ClaimAddress, ip, 0))
		}
	}
	also(0x30, proto.ClassMAC, key(proto.ClaimOwns, "10.0.0.9", 10), key(proto.ClaimOwns, "10.0.0.9", 24), key(proto.ClaimOwns, "10.0.0.9", 48))
	also(0x31, proto.ClassMAC, key(proto.ClaimOwns, "10.0.0.9", 18))
	also(0x32, proto.ClassMAC, key(proto.ClaimOwns, "10.0.0.10", 1), key(proto.ClaimVLAN, "10", 0))
	also(0x33, proto.ClassMAC, key(proto.ClaimAnswers, "10.0.0.10", 2), key(proto.ClaimVLAN, "40", 0))
	for n, name := range []string{"rt1", "rt2", ""} { // the third lies between
		keys := []proto.ClaimKey{key(proto.ClaimUID, "2f402f80-da50", 0), key(proto.ClaimEngine, "80000009", 0)}
		if name != "" {
			keys = append(keys, key(proto.ClaimHostname, name, 0))
		}
		also(byte(0x40+n), proto.ClassMAC, keys...)
	}
	want := ""
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		random.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
		groups := map[proto.ID]string{}
		for _, c := range list {
			groups[c.Endpoint] = c.Endpoint.String()[:2]
		}
		l, err := stream.NewLocal(func(e stream.Emitted) {
			if e.Kind != proto.KindGrouping {
				return
			}
			g := new(proto.Grouping)
			if err := proto.Unmarshal(e.Value, g); err != nil {
				t.Fatal(err)
			}
			groups[g.Endpoint] = g.Group.String()[:2] + "@" + g.Since.String()
		}, claimant{NewIdentity()}, NewIdentity())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			o := &proto.Observation{Protocol: "claim"}
			val, err := proto.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			o.Attributes.Set("claim", string(val))
			if err := l.Item(&proto.Batch{Site: "s", Domain: "d"}, proto.Item{Observation: o}); err != nil {
				t.Fatal(err)
			}
		}
		var out []string
		for id, g := range groups {
			out = append(out, id.String()[:2]+"="+strings.TrimSuffix(g, "@"+proto.Time(0).String()))
		}
		slices.Sort(out)
		if got := strings.Join(out, " "); round == 0 {
			want = got
		} else if got != want {
			t.Fatalf("round %d:\n%s\n%s", round, got, want)
		}
	}
	held := "=30@1970-01-01T00:00:00.000000024Z "
	for _, part := range []string{
		"01=0c ", "02=09@1970-01-01T00:00:00.000000009Z", "06=06 ", "0b=0c ", // one serial number; the latest lease; answered for by three
		"20" + held, "21" + held, "22=22 ", "23=23 ", "40=40 ", "41=41 ", "42=40 ", // leased again; twice in use; between two
	} {
		if !strings.Contains(want, part) {
			t.Errorf("no %q in %s", part, want)
		}
	}
}

// TestWhatManyShareTellsNobody: the seventeenth unit with one serial number takes the
// sixteen before it apart again.
func TestWhatManyShareTellsNobody(t *testing.T) {
	w := newWard(t)
	names := map[proto.ID]string{}
	say := func(n int) {
		at := noon.Add(time.Duration(n) * time.Second)
		w.observe(seen("lldp", "neighbor", byte(n), at, "serial", "SN-20441", "model", "X2"))
		w.beat(at, false)
		names[id(byte(n))] = fmt.Sprint(n)
	}
	for n := 1; n <= maxSharers; n++ {
		say(n)
	}
	if got := w.final(names); len(got) != 1 {
		t.Errorf("%d devices of %d claims: %v", len(got), maxSharers, got)
	}
	say(maxSharers + 1)
	if got := w.final(names); len(got) != maxSharers+1 {
		t.Errorf("%d devices of %d claims: %v", len(got), maxSharers+1, got)
	}
}

// TestGuestsComeAndGo: an address that more have had than are kept is the latest one's.
func TestGuestsComeAndGo(t *testing.T) {
	w := newWard(t)
	n := maxOwners + 5
	for i := 1; i <= n; i++ {
		at := noon.Add(time.Duration(i) * time.Hour)
		w.observe(as(seen("dhcp", "ack", byte(i), at), id(byte(i)), mac(byte(i)), "10.9.0.7"), as(seen("http", "request", 0, at), far("10.9.0.7"), proto.MAC{}, "10.9.0.7"))
		w.beat(at.Add(time.Minute), false)
	}
	if b := w.bindings[far("10.9.0.7")]; b.Device != id(byte(n)) {
		t.Errorf("the address is bound to %s", b.Device)
	}
}

// claimant turns observations into claims.
type claimant struct{ *Identity }

func (claimant) Name() string { return "claimant" }

func (claimant) Inputs() []stream.Input { return []stream.Input{{Topic: proto.TopicTraffic}} }

func (claimant) Apply(tx *stream.Tx, ev *stream.Event) {
	if o, is := ev.Msg.(*proto.Observation); is {
		tx.Emit(stream.Output{Topic: proto.TopicClaims, Kind: proto.KindClaim, Lane: proto.IdentityLane, Value: []byte(o.Attributes.Get("claim")), Time: tx.Now()})
	}
}

func TestAddressesOfRoutersTogether(t *testing.T) {
	for text, want := range map[string]bool{
		"00:00:5e:00:01:0a": true, "00:00:5e:00:02:01": true, "00:00:5e:00:03:01": false, "00:00:0c:07:ac:01": true, "00:00:0c:9f:f0:01": true,
		"00:00:0c:9f:10:01": false, "00:05:73:a0:0f:ff": true, "00:05:73:a0:10:00": false, "00:07:b4:00:01:02": true, "00:07:b4:01:01:02": false,
	} {
		hw, err := net.ParseMAC(text)
		if err != nil {
			t.Fatal(err)
		}
		m := proto.MAC(hw)
		w := newWard(t)
		o := seen("arp", "reply", 1, noon)
		o.MAC = m
		w.observe(as(o, proto.MACEndpoint("st-alban", m), m, "10.1.0.1"))
		w.beat(noon.Add(time.Hour), true)
		d := w.devices[proto.MACEndpoint("st-alban", m)]
		if sharedMAC(m) != want || (d.Type != nil && d.Type.Value == "router") != want {
			t.Errorf("%s: shared %v, type %+v, want %v", text, sharedMAC(m), d.Type, want)
		}
	}
}
