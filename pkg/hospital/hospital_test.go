package hospital

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/proto"
)

const north = `
sites:
  - site: north
    home: [10.1.0.0/16]
    buildings:
      - building: Main
        floors:
          - floor: "1"
            departments: [{department: Radiology, rooms: [CT 1, CT 2]}]
          - floor: "3"
            departments: [{department: ICU, rooms: ["3.01", "3.02"]}, {department: Radiology}]
            rooms: [riser]
      - {building: East, floors: [{floor: "1", rooms: [riser]}]}
subnets:
  - {cidr: 10.1.1.0/24, vlan: 11, name: Imaging, building: Main, department: Radiology}
  - {cidr: 10.1.3.0/24, room: "3.01"}
  - {cidr: "fd00:1::/64", building: East}
vlans: [{vlan: 7, building: East}]
switch_ports:
  - {switch: SW-3, building: Main, floor: "3"}
  - {switch: SW-3, port: Gi1/0/7, room: "3.02"}
access_points: [{access_point: "00:11:22:33:44:55", department: ICU}]
locations:
  - {is: Ward 3 riser, protocol: snmp, building: Main, room: riser}
  - {matches: '^ICU\^(3\.\d+)', department: ICU, room: $1}
`

func parsed(t *testing.T, text string) *Context {
	t.Helper()
	c, err := Parse("h.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLocate(t *testing.T) {
	c := parsed(t, north)
	ip := netip.MustParseAddr
	for name, x := range map[string]struct {
		signs Signs
		want  string
	}{
		"nothing":                        {Signs{}, ""},
		"address":                        {Signs{Address: ip("10.1.3.9")}, "Main / 3 / ICU / 3.01 subnet 0.8"},
		"address, mapped":                {Signs{Address: ip("::ffff:10.1.3.9")}, "Main / 3 / ICU / 3.01 subnet 0.8"},
		"IPv6":                           {Signs{Address: ip("fd00:1::7")}, "East subnet 0.8"},
		"address of no subnet":           {Signs{Address: ip("10.1.2.1")}, ""},
		"a department on two floors":     {Signs{Address: ip("10.1.1.1")}, "Main / Radiology subnet 0.8"},
		"VLAN":                           {Signs{VLAN: 7}, "East vlan 0.7"},
		"port":                           {Signs{Switch: "sw-3", Port: "gi1/0/7"}, "Main / 3 / ICU / 3.02 switch_port 0.95"},
		"port by its long name":          {Signs{Switch: "sw-3.hosp.example", Port: "GigabitEthernet1/0/7"}, "Main / 3 / ICU / 3.02 switch_port 0.95"},
		"another kind of port":           {Signs{Switch: "sw-3.hosp.example", Port: "TenGigabitEthernet1/0/7"}, "Main / 3 switch_port 0.95"},
		"a name of none":                 {Signs{Switch: "10.1.3.9", Port: "Gi1/0/7"}, ""},
		"another port of the switch":     {Signs{Switch: "sw-3", Port: "Gi1/0/8"}, "Main / 3 switch_port 0.95"},
		"access point":                   {Signs{AccessPoint: "00:11:22:33:44:55"}, "Main / 3 / ICU access_point 0.85"},
		"a text, by its protocol":        {Signs{Said: []Said{{"ward 3 RISER", "snmp", 0.7}}}, "Main / 3 / riser snmp 0.7"},
		"a text, by another":             {Signs{Said: []Said{{"Ward 3 riser", "hl7", 0.7}}}, ""},
		"a pattern":                      {Signs{Said: []Said{{"ICU^3.02^A", "hl7", 0.72}}}, "Main / 3 / ICU / 3.02 hl7 0.72"},
		"a pattern of no such room":      {Signs{Said: []Said{{"ICU^3.77^A", "hl7", 0.72}}}, ""},
		"what is coarser proves nothing": {Signs{Said: []Said{{"ICU^3.02^A", "hl7", 0.72}}, Switch: "sw-3"}, "Main / 3 / ICU / 3.02 switch_port 0.72"},
		"agreement":                      {Signs{Said: []Said{{"ICU^3.01^A", "hl7", 0.72}}, Address: ip("10.1.3.9")}, "Main / 3 / ICU / 3.01 hl7 0.944"},
		"the inventory fills in":         {Signs{Roster: Place{Site: "north", Building: "Main", Floor: "1", Department: "Radiology", Room: "CT 1"}, Address: ip("10.1.1.9")}, "Main / 1 / Radiology / CT 1 subnet 0.6"},
		"contradiction":                  {Signs{Said: []Said{{"ICU^3.02^A", "hl7", 0.72}}, Address: ip("10.1.3.9")}, "Main / 3 / ICU / 3.02 hl7 0.3396 against subnet"},
		"the port before the text":       {Signs{Switch: "sw-3", Port: "gi1/0/7", Said: []Said{{"Ward 3 riser", "snmp", 0.7}}}, "Main / 3 / riser / 3.02 ..."},
		"a person before all":            {Signs{Person: Place{Room: "CT 2"}, Switch: "sw-3", Port: "gi1/0/7", Address: ip("10.1.3.9")}, "Main / 1 / Radiology / CT 2 human 0.99 against switch_port subnet"},
		"a person's own words":           {Signs{Person: Place{Building: "Annexe"}}, "Annexe human 0.99"},
		"a person's text":                {Signs{Text: "ICU^3.01", Address: ip("10.1.3.9")}, "Main / 3 / ICU / 3.01 human 0.99"},
		"roster and address":             {Signs{Roster: Place{Site: "north", Building: "East", Floor: "1"}, Address: ip("10.1.3.9")}, "Main / 3 / ICU / 3.01 subnet 0.6154 against roster"},
	} {
		x.signs.Site = "north"
		got := ""
		if p := c.Locate(&x.signs); p != nil {
			got = fmt.Sprint(p.Path(), " ", p.Source, " ", p.Confidence)
			for i, a := range p.Against {
				if i == 0 {
					got += " against"
				}
				got += " " + a.Source
			}
		}
		if name == "the port before the text" {
			x.want = "Main / 3 / ICU / 3.02 switch_port 0.8507 against snmp"
		}
		if got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
		x.signs.Site = "south"
		if p := c.Locate(&x.signs); p != nil && p.Source != SourcePerson && p.Source != SourceRoster {
			t.Errorf("%s: at another site it is in %s", name, p.Path())
		}
	}
}

// What is wrong is told with file and line, all of it at once.
func TestProblems(t *testing.T) {
	const site = "sites: [{site: n, buildings: [{building: A, floors: [{floor: \"1\"}]}]}]\n"
	for text, want := range map[string]string{
		"siets: []":                             `h.yaml:1: unknown key "siets": want one of sites, subnets`,
		"sites:\n  - site: n\n    bildings: []": `h.yaml:3: unknown key "bildings": want one of site, name, home, buildings`,
		"sites: [{site: n}]\nsubnets:\n  - {cidr: 10.0.0.0/8, building: A}":                                "h.yaml:3: names building A, which n does not have: declare it under sites",
		site + "subnets:\n  - {cidr: 10.0.0.0/8, site: m, building: A}":                                    "h.yaml:3: names site m, which sites does not declare",
		site + "subnets:\n  - {cidr: 10.0.0.0/8, floor: \"2\", building: A}":                               "h.yaml:3: names floor 2, which A does not have",
		site + "subnets:\n  - {cidr: 10.0.0.0/8, building: A}\n  - {cidr: 10.3.0.0/16, building: A}":       "h.yaml:4: cidr: 10.3.0.0/16 overlaps 10.0.0.0/8 of line 3",
		site + "subnets:\n  - {cidr: 10.0.0.0/8}\n  - {cidr: 10.3.0.0/16, site: n}":                        "h.yaml:4: cidr: 10.3.0.0/16 overlaps 10.0.0.0/8 of line 3",
		"subnets: [{cidr: 10.0.0.1/8}, {cidr: ten}]":                                                       "h.yaml:1: cidr: 10.0.0.1/8 has host bits set: write 10.0.0.0/8\nh.yaml:1: cidr: \"ten\" is no network",
		site + "vlans: [{vlan: 0, building: A}, {vlan: 5000, building: A}]":                                "h.yaml:2: vlan: 0 is none; want 1 to 4094\nh.yaml:2: vlan: 5000",
		site + "vlans: [{vlan: 5, building: A}, {vlan: 5, building: A}]":                                   "h.yaml:2: the VLAN is mapped twice in site n",
		site + "vlans: [{vlan: five, building: A}]":                                                        "h.yaml:2: cannot unmarshal",
		site + "switch_ports: [{port: a, building: A}]\naccess_points: [{building: A}]":                    "h.yaml:2: switch_ports: names no switch\nh.yaml:3: access_points: names no access point",
		site + "locations: [{building: A}, {is: x, matches: y, building: A}, {matches: '(', building: A}]": "h.yaml:2: locations: want one of is and matches\nh.yaml:2: locations: want one of is and matches\nh.yaml:2: matches: error parsing",
		site + "locations: [{matches: '(.*)', site: m, room: $1}]":                                         `h.yaml:2: names site "m"`,
		"sites: [{site: n}, {site: n}]":                                                                    "h.yaml:1: site n is declared twice",
		"sites: [{site: n, buildings: [{building: A, floors: [{floor: 1, rooms: [a, a]}]}]}]":              "h.yaml:1: A / 1 / a is declared twice",
		"sites: [{name: n}]":                                               "h.yaml:1: a site without a name",
		"sites: [{site: n, home: [10.0.0.1/8, x]}]":                        "h.yaml:1: home: 10.0.0.1/8 has host bits set: write 10.0.0.0/8\nh.yaml:1: home: \"x\" is no network",
		"sites: [{site: n, buildings: [{floors: []}]}]":                    "h.yaml:1: a building without a name",
		"support: [{date: 2026-01-01, source: s}, {model: M, date: soon}]": "h.yaml:1: support: matches every device",
		"sites: {": "h.yaml:1: ",
		"- a":      "h.yaml:1: cannot unmarshal !!seq",
	} {
		_, err := Parse("h.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n  %v\n  want %s", text, err, want)
		}
	}
	if _, err := Parse("h.yaml", make([]byte, MaxFile+1)); err == nil || !strings.Contains(err.Error(), "split it by site") {
		t.Errorf("too large: %v", err)
	}
}

const roster = north + `
roster:
  - {asset: A1, serial: sn-1, manufacturer: Acme, mac: 00-00-00-00-00-01, model: X 10, room: CT 1}
  - {asset: A2, serial: SN-1, manufacturer: Other Inc, hostname: pump7.example}
  - {asset: A3, mac: "00:00:00:00:00:03", hostname: mon3, ip: 10.1.3.3}
  - {asset: A4, ip: 10.1.3.4, site: north}
  - {asset: A1, mac: "00:00:00:00:00:99"}
  - {asset: A6, hostname: MON3.ward}
  - {asset: A7, serial: x, colour: red}
  - {asset: A8}
  - {asset: A9, mac: x, ip: y, purchase_date: 1.1.2020, purchase_cost: much, room: none}
`

func TestRoster(t *testing.T) {
	c := parsed(t, roster)
	if len(c.Entries) != 4 {
		t.Errorf("%d lines are good, want 4", len(c.Entries))
	}
	var got []string
	for _, err := range c.Warnings {
		got = append(got, err.Error())
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"h.yaml:32: roster: line 28 has the same asset", "h.yaml:33: roster: line 30 has the same hostname", `h.yaml:34: unknown key "colour"`, "h.yaml:35: roster: has none of mac, serial, hostname, ip",
		`h.yaml:36: roster: mac: "x" is no MAC address`, `h.yaml:36: roster: ip: "y"`, `h.yaml:36: roster: purchase_date: "1.1.2020"`, "h.yaml:36: roster: purchase_cost:", "h.yaml:36: roster: names room none",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings lack %q:\n%s", want, all)
		}
	}
	fact := func(v string) *proto.Fact { return &proto.Fact{Value: v, Confidence: 0.9} }
	for name, x := range map[string]struct {
		device  proto.Device
		address string
		want    string
	}{
		"serial, of two makers":     {proto.Device{Serial: fact("SN-1"), Manufacturer: fact("Acme Medical")}, "", "A1 serial"},
		"serial, of the other":      {proto.Device{Serial: fact("SN-1"), Manufacturer: fact("Other")}, "", "A2 serial"},
		"serial before MAC":         {proto.Device{Serial: fact("SN-1"), Manufacturer: fact("Acme"), MACs: proto.Strings{"00:00:00:00:00:03"}}, "", "A1 serial mac:00:00:00:00:00:01/00:00:00:00:00:03 asset_tag:A1/A3"},
		"MAC, another serial":       {proto.Device{Serial: fact("sn-9"), MACs: proto.Strings{"00:00:00:00:00:01"}, Model: fact("x10")}, "", "A1 mac serial:sn-1/sn-9"},
		"host name":                 {proto.Device{Hostnames: proto.Strings{"MON3"}, MACs: proto.Strings{"00:00:00:00:00:07"}}, "", "A3 hostname mac:00:00:00:00:00:03/00:00:00:00:00:07"},
		"address":                   {proto.Device{Site: "north"}, "10.1.3.4", "A4 ip"},
		"address, at another site":  {proto.Device{Site: "south"}, "10.1.3.4", ""},
		"address of another's MAC":  {proto.Device{MACs: proto.Strings{"00:00:00:00:00:07"}}, "10.1.3.3", ""},
		"address, the MAC not seen": {proto.Device{}, "10.1.3.3", "A3 ip"},
		"another model":             {proto.Device{MACs: proto.Strings{"00:00:00:00:00:01"}, Model: fact("Z")}, "", "A1 mac model:X 10/Z"},
		"none":                      {proto.Device{Serial: fact("7")}, "10.9.9.9", ""},
	} {
		if x.device.Site == "" {
			x.device.Site = "north"
		}
		a, _ := netip.ParseAddr(x.address)
		e, by, conflicts := c.Match(&x.device, a)
		got := ""
		if e != nil {
			got = e.Asset + " " + by
		}
		for _, f := range conflicts {
			got += " " + f.Attribute + ":" + f.Roster + "/" + f.Seen
		}
		if got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
}

func TestSupport(t *testing.T) {
	c := parsed(t, `support:
  - {manufacturer: Acme*, model: CT*, software_version: "17.9", date: 2027-06-30, source: letter}
  - {what: the hospital's contract, os: Windows, os_version: 10 22H2, date: 2028-10-10, source: contract}
`)
	none := parsed(t, "")
	fact := func(v string) *proto.Fact { return &proto.Fact{Value: v, Confidence: 0.9} }
	for name, x := range map[string]struct {
		device        proto.Device
		without, with string
	}{
		"Windows 7":           {proto.Device{OS: fact("Windows"), OSVersion: fact("7 / Server 2008 R2")}, "2020-01-14", "2020-01-14"},
		"one of two products": {proto.Device{OS: fact("Windows"), OSVersion: fact("8 / Server 2012")}, "2023-10-10", "2023-10-10"},
		"the file's own":      {proto.Device{OS: fact("windows"), OSVersion: fact("10 22H2")}, "2025-10-14", "2028-10-10"},
		"a minor version":     {proto.Device{OS: fact("Debian GNU/Linux"), OSVersion: fact("11.7")}, "2026-08-31", "2026-08-31"},
		"no version":          {proto.Device{OS: fact("Windows")}, "", ""},
		"some version of 10":  {proto.Device{OS: fact("Windows"), OSVersion: fact("10")}, "", ""},
		"of a model":          {proto.Device{Manufacturer: fact("Acme Medical"), Model: fact("CT 9"), SoftwareVersion: fact("17.9.4")}, "", "2027-06-30"},
		"17.90 is not 17.9":   {proto.Device{Manufacturer: fact("Acme"), Model: fact("CT 9"), SoftwareVersion: fact("17.90")}, "", ""},
		"the earlier of both": {proto.Device{Manufacturer: fact("Acme"), Model: fact("CT 9"), SoftwareVersion: fact("17.9"), OS: fact("Windows"), OSVersion: fact("7")}, "2020-01-14", "2020-01-14"},
		"a weak guess":        {proto.Device{OS: fact("Windows"), OSVersion: &proto.Fact{Value: "7", Confidence: 0.4}}, "", ""},
	} {
		for _, half := range []struct {
			c    *Context
			want string
		}{{none, x.without}, {c, x.with}} {
			got := ""
			for range 2 { // the second time as it is remembered
				got = ""
				if e := half.c.Support(&x.device); e != nil {
					got = e.Date
				}
			}
			if got != half.want {
				t.Errorf("%s: %q, want %q", name, got, half.want)
			}
		}
	}
	for _, e := range known() {
		if e.What == "" || e.Source == "" || e.OSVersion == "" {
			t.Errorf("support.yaml:%d: wants what, a version and a source", e.Line)
		}
	}
}
