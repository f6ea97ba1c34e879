package behaviour

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/wardflow/wardflow/proto"
)

var morning = proto.TimeOf(time.Date(2026, 11, 17, 8, 0, 0, 0, time.UTC))

func unit(n byte) proto.MAC { return proto.MAC{0x00, 0x30, 0xe6, 0xa1, 0xb2, n} }

func saw(mac proto.MAC, at time.Duration, protocol, kind string, attributes ...string) *proto.Observation {
	o := &proto.Observation{Time: morning.Add(at), Protocol: protocol, Kind: kind, MAC: mac}
	for i := 0; i < len(attributes); i += 2 {
		o.Attributes.Set(attributes[i], attributes[i+1])
	}
	return o
}

func flowTo(at time.Duration, port uint16, out uint64) *proto.Flow {
	return &proto.Flow{
		Start: morning.Add(at), End: morning.Add(at + time.Second), Transport: proto.TCP, State: "SF", Protocol: "tls", SrcPort: 40000, DstPort: port,
		SrcIP: netip.MustParseAddr("10.0.0.7"), DstIP: netip.MustParseAddr("203.0.113.9"), SrcInside: true,
		SrcPackets: 5, SrcPayloadBytes: out, DstPackets: 4, DstPayloadBytes: 900,
	}
}

// kind is a made-up type of device.
type kind struct {
	label string
	name  string // DHCP host name; * is a piece of the MAC
	port  uint16
	bytes uint64
	wait  time.Duration // from its DHCP request to its second ARP probe
}

// kinds: the first two say the same and differ by their clocks alone, the third
// and fourth by what they say alone.
var kinds = []kind{
	{"kettle", "esp_*", 0, 0, 120 * time.Millisecond},
	{"coffee", "esp_*", 0, 0, 480 * time.Millisecond},
	{"plug-a", "hs100", 50443, 4500, 0},
	{"plug-b", "hs110", 50443, 4500, 0},
	{"scale", "aria", 80, 300, 0},
	{"camera", "cam", 554, 9000, 0},
}

// make plays a unit of the kind: nothing is quite the same twice.
func (k kind) make(r *rand.Rand, n int) *Sample {
	mac := unit(byte(n))
	x := &Sample{Label: k.label, MAC: mac, Sketch: NewSketch(), Name: fmt.Sprintf("%s/%d", k.label, n)}
	jitter := func(of int) time.Duration { return time.Duration(r.IntN(of)) * time.Millisecond }
	name := k.name
	if name == "esp_*" {
		name = fmt.Sprintf("ESP_%02X%02X%02X", mac[3], mac[4], mac[5])
	}
	ask := 20*time.Millisecond + jitter(10)
	x.Sketch.Observe(saw(mac, 0, "dhcp", "discover", "hostname", name, "vendor_class", "udhcp 1.2"))
	x.Sketch.Observe(saw(mac, ask, "dhcp", "request", "hostname", name))
	if k.wait > 0 {
		x.Sketch.Observe(saw(mac, ask+60*time.Millisecond+jitter(20), "arp", "probe"))
		x.Sketch.Observe(saw(mac, ask+k.wait+jitter(20), "arp", "probe"))
	}
	if k.port != 0 {
		x.Sketch.Observe(saw(mac, ask+time.Second+jitter(500), "dns", "query", "domain", "example.com", "name_len", "15"))
		x.Sketch.Flow(flowTo(ask+2*time.Second+jitter(900), k.port, k.bytes+uint64(r.IntN(50))), false)
	}
	return x
}

// households are n units of each kind.
func households(n int, seed uint64) []*Sample {
	r := rand.New(rand.NewPCG(seed, 1))
	var list []*Sample
	for _, k := range kinds {
		for i := range n {
			list = append(list, k.make(r, i))
		}
	}
	return list
}
