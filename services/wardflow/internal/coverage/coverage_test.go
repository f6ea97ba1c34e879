package coverage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/hospital"
	"github.com/wardflow/wardflow/proto"
)

func fact(value string, confidence float64) *proto.Fact {
	return &proto.Fact{Value: value, Confidence: confidence}
}

func fleet() []*proto.Device {
	return []*proto.Device{
		{Category: fact("medical", 1), Manufacturer: fact("Acme", 0.95), Model: fact("X", 0.6), Serial: fact("SN-1", 0.9), IPs: proto.Strings{"10.1.0.5"}, MACs: proto.Strings{"00:11:22:33:44:55"}, Hostnames: proto.Strings{"ct1.example"}},
		{Category: fact("medical", 1), Manufacturer: fact("Acme", 0.5), Model: fact("Y", 0.3), IPs: proto.Strings{"10.1.0.6", "fe80::1"}},
		{IPs: proto.Strings{"10.2.0.1"}},
	}
}

func TestCoverage(t *testing.T) {
	c, err := hospital.Parse("h.yaml", []byte("roster: [{mac: 00-11-22-33-44-55}, {serial: sn-1}, {hostname: CT1}, {ip: 'FE80:0::1'}, {mac: '00:11:22:33:44:56', name: gone}, {serial: sn-2}]"))
	if err != nil {
		t.Fatal(err)
	}
	r := Of(fleet(), Asked{Networks: []Network{{CIDR: "10.1.0.0/24"}, {CIDR: "10.9.0.0/16", Name: "Radiology"}}, Context: c})
	var got []string
	for _, s := range r.Attributes {
		if s.Attribute == "manufacturer" || s.Attribute == "model" {
			got = append(got, fmt.Sprint(s))
		}
	}
	want := "{all manufacturer 3 1 1 0 1} {all model 3 0 1 1 1} {medical manufacturer 2 1 1 0 0} {medical model 2 0 1 1 0} {unknown manufacturer 1 0 0 0 1} {unknown model 1 0 0 0 1}"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	if fmt.Sprint(r.Unseen) != "[{10.9.0.0/16  Radiology}]" {
		t.Errorf("unseen %v", r.Unseen)
	}
	if len(r.NeverSeen) != 2 || r.NeverSeen[0].Name != "gone" || r.NeverSeen[1].Serial != "sn-2" {
		t.Errorf("never seen %v", r.NeverSeen)
	}
	if n := len(r.Advice); n < 9 || !strings.HasPrefix(r.Advice[7].About, "network 10.9.0.0/16 Radiology") || r.Advice[8].About != "2 of 6 devices of the roster" {
		t.Errorf("%d lines of advice: %v", n, r.Advice)
	}
}

func TestMore(t *testing.T) {
	c, err := hospital.Parse("h.yaml", []byte(`sites: [{site: n, buildings: [{building: A}]}]
vlans: [{vlan: 7, building: A}]
subnets: [{cidr: 10.2.0.0/24, vlan: 8, building: A}]
roster: [{asset: X, ip: 10.2.0.1}, {asset: Y, hostname: ct1, model: Other}, {asset: Y, serial: q}]
`))
	if err != nil {
		t.Fatal(err)
	}
	list := fleet()
	day := proto.TimeOf(time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC))
	for i, d := range list {
		d.Site, d.LastSeen, d.DeviceID = "n", day, proto.ID{byte(i + 1)}
		for j, ip := range d.IPs {
			d.Evidence = append(d.Evidence, proto.Evidence{Attribute: "ip", Value: ip, Last: day.Add(time.Duration(-j))})
		}
	}
	list[0].Evidence = append(list[0].Evidence, proto.Evidence{Attribute: "vlan", Value: "7"}, proto.Evidence{Attribute: "vlan", Value: "9"})
	list[1].Attachments = proto.Attachments{{VLAN: "8"}, {VLAN: "9"}}
	list[0].Place = &proto.Place{Site: "n", Building: "A", Against: proto.PlacesAgainst{{Site: "n", Building: "B"}}}
	list[0].Lifecycle, list[1].Lifecycle = proto.Labels{"state": "missing"}, proto.Labels{"state": "returned"}
	list[0].EndOfSupport, list[1].EndOfSupport = &proto.EndOfSupport{Date: "2026-11-16"}, &proto.EndOfSupport{Date: "2027-11-16"}
	r := Of(list, Asked{Context: c, Networks: []Network{{CIDR: "10.2.0.0/24", Site: "n"}, {CIDR: "10.1.0.0/24", Site: "n"}}})
	for name, x := range map[string][2]string{
		"as of":     {r.AsOf, "2026-11-17"},
		"VLANs":     {fmt.Sprint(r.VLANs), "[{n 9 2}]"},
		"routed":    {fmt.Sprint(r.Routed), "[{10.2.0.0/24 n }]"},
		"places":    {fmt.Sprint(r.Places), "[{n A   1 1 1 1 1} {    2 1 0 0 0}]"},
		"lives":     {fmt.Sprint(r.Lifecycle), "{1 0 1 1 0}"},
		"support":   {fmt.Sprint(r.Support), "{1 1 0 1}"},
		"inventory": {fmt.Sprint(r.Inventory.Matched, r.Inventory.Unmatched, len(r.Inventory.Twice)), "2 1 0"},
		"conflicts": {fmt.Sprint(r.Conflicted), "[{" + proto.ID{1}.String() + " Y {model Other X}}]"},
		"left out":  {fmt.Sprint(r.LeftOut), "[h.yaml:4: roster: line 4 has the same asset: leave one of them; this one is left out]"},
	} {
		if x[0] != x[1] {
			t.Errorf("%s: %s, want %s", name, x[0], x[1])
		}
	}
	about := fmt.Sprint(r.Advice)
	for _, want := range []string{"VLAN 9 of site n", "network 10.2.0.0/24 1 device, seen through a router", "1 missing device ", "1 device that returned", "1 device past the end of support", "place of 1 device ", "1 conflict with the roster"} {
		if !strings.Contains(about, want) {
			t.Errorf("no advice about %q: %s", want, about)
		}
	}
}
