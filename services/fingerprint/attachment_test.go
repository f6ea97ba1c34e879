package fingerprint

import (
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// Where devices are attached: a laptop roams between two access points, and one
// login names no place.
func TestAttachments(t *testing.T) {
	w := newWard(t)
	later := func(m int) proto.Time { return noon.Add(time.Duration(m) * time.Minute) }
	see := func(o *proto.Observation) { w.item(proto.Item{Observation: o}) }
	for m, ap := range map[int]string{0: "01", 5: "02", 9: "01"} {
		see(seen("radius", "station", 1, later(m), "access_point", ap, "ssid", "ward", "port_type", "wireless_802_11", "nas_identifier", "wlc-1", "vlan", "41"))
	}
	see(seen("radius", "station", 2, noon, "switch_port", "Gi1/0/7", "port_type", "ethernet", "nas_ip", "10.0.0.254"))
	see(seen("dhcp", "request", 3, noon, "circuit_id", "vlan=41 port=1/23", "remote_id", "00:25:45:a1:08:01"))
	see(seen("radius", "station", 4, noon, "nas_ip", "10.0.0.254"))
	w.beat(later(60), true)
	ap := func(name string, first, last int) proto.Attachment {
		return proto.Attachment{AccessPoint: name, SSID: "ward", Controller: "wlc-1", VLAN: "41", Source: "radius", First: later(first), Last: later(last), Confidence: 0.9}
	}
	for who, want := range map[byte]proto.Attachments{
		1: {ap("02", 5, 5), ap("01", 0, 9)},
		2: {{Switch: "10.0.0.254", Port: "Gi1/0/7", Source: "radius", First: noon, Last: noon, Confidence: 0.9}},
		3: {{Switch: "00:25:45:a1:08:01", Port: "vlan:41 port:1/23", Source: "dhcp", First: noon, Last: noon, Confidence: 0.8}},
		4: nil,
	} {
		if got := w.devices[id(who)].Attachments; !slices.Equal(got, want) {
			t.Errorf("device %d: %+v, want %+v", who, got, want)
		}
	}
}
