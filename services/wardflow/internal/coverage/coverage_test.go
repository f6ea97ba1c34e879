package coverage

import (
	"fmt"
	"strings"
	"testing"

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
