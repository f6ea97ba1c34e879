package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Interface is a capture interface as the kernel has it.
type Interface struct {
	Name      string
	Err       error    // it is not there, or cannot be looked at
	Others    []string // interfaces that are there, when this one is not
	Up        bool
	Carrier   bool
	Kind      string // ethernet, loopback, wireless, tunnel, other
	Driver    string // "" when it has none: veth, bridge, ...
	MTU       int
	Addresses []string // but link-local ones
	Master    string   // bridge or bond that it belongs to
	Features  map[string]bool
	// FeaturesErr says why the features are not known.
	FeaturesErr      error
	RingSize, RingOf uint32 // receive descriptors, now and at most; 0 unknown
	Dropped          uint64 // by the card or the driver since it came up: no descriptor, no buffer
	Packets          uint64 // received
}

// merging are the receive offloads that hand capture something else than was on
// the wire: several segments as one.
var merging = map[string]string{
	"rx-gro":                "gro",
	"rx-lro":                "lro",
	"rx-gro-hw":             "rx-gro-hw",
	"rx-gro-list":           "rx-gro-list",
	"rx-udp-gro-forwarding": "rx-udp-gro-forwarding",
}

// JudgeInterface judges an interface that is to capture. filter is the capture
// filter, "" for none.
func JudgeInterface(n *Interface, filter string) []Result {
	f := &findings{area: "interface " + n.Name}
	if n.Err != nil {
		do := "name one that is there"
		if len(n.Others) > 0 {
			do += ": " + strings.Join(n.Others, ", ")
		}
		f.add(Problem, "exists", do, "%v", n.Err)
		return f.list
	}
	switch {
	case !n.Up:
		f.add(Problem, "up", "sudo ip link set "+n.Name+" up", "it is down")
	case !n.Carrier:
		f.add(Problem, "up", "look at the cable and at the mirror port", "no link")
	default:
		f.ok("up", "link, MTU %d%s", n.MTU, driver(n))
	}
	if n.MTU < 1500 {
		f.add(Warning, "mtu", "sudo ip link set "+n.Name+" mtu 1500, or as large as the frames that are mirrored", "MTU %d: larger frames are lost before capture sees them", n.MTU)
	}
	judgeKind(f, n)
	judgeAddresses(f, n)
	judgeOffloads(f, n, filter)
	judgeRing(f, n)
	return f.list
}

func driver(n *Interface) string {
	if n.Driver == "" {
		return ""
	}
	return ", driver " + n.Driver
}

func judgeKind(f *findings, n *Interface) {
	switch n.Kind {
	case "wireless":
		f.add(Warning, "promiscuous", "capture on the wired side of the access points", "a wireless interface shows this machine's traffic only")
	case "tunnel", "other":
		f.add(Warning, "promiscuous", "", "no Ethernet: there are no MAC addresses, so endpoints go by address")
	case "loopback":
		f.add(Warning, "promiscuous", "name the interface at the mirror port", "the loopback shows this machine's own traffic only")
	default:
		f.ok("promiscuous", "Ethernet; capture asks for frames to other stations while it runs")
	}
}

func judgeAddresses(f *findings, n *Interface) {
	if n.Kind == "loopback" {
		return
	}
	if n.Master != "" {
		f.add(Warning, "address", "capture on "+n.Master+", or take it out: sudo ip link set "+n.Name+" nomaster", "it belongs to %s, which takes its frames", n.Master)
		return
	}
	if len(n.Addresses) > 0 && n.Kind == "ethernet" {
		f.add(Warning, "address", "give the mirror port an interface of its own, without addresses: sudo ip addr flush dev "+n.Name+" (if nothing else uses it) and sudo sysctl net.ipv6.conf."+n.Name+".disable_ipv6=1",
			"it has %s: this machine talks there, and answers what is mirrored to it", strings.Join(n.Addresses, ", "))
		return
	}
	f.ok("address", "none: this machine is silent there")
}

func judgeOffloads(f *findings, n *Interface, filter string) {
	if n.Features == nil {
		why := "the kernel does not say"
		if n.FeaturesErr != nil {
			why = n.FeaturesErr.Error()
		}
		f.add(Skipped, "offloads", "ethtool -k "+n.Name, "%s", why)
		return
	}
	var on []string
	off := "sudo ethtool -K " + n.Name
	for _, feature := range slices.Sorted(maps.Keys(merging)) {
		if n.Features[feature] {
			on = append(on, feature)
			off += " " + merging[feature] + " off"
		}
	}
	if len(on) > 0 {
		f.add(Warning, "offloads", off, "%s on: several frames are handed over as one, so packet counts, sizes and times are not those of the wire", strings.Join(on, ", "))
	} else {
		f.ok("offloads", "none merges frames")
	}
	if n.Features["rx-vlan-hw-parse"] && filter != "" {
		f.add(Warning, "vlan", "leave `vlan` out of capture.filter, or sudo ethtool -K "+n.Name+" rxvlan off", "the card takes VLAN tags off: capture gets them back, but its filter does not see them")
	}
}

func judgeRing(f *findings, n *Interface) {
	do := fmt.Sprintf("sudo ethtool -G %s rx %d", n.Name, n.RingOf)
	small := n.RingOf > 0 && n.RingSize < n.RingOf
	share := 0.0
	if n.Packets > 0 {
		share = float64(n.Dropped) / float64(n.Packets+n.Dropped)
	}
	switch {
	case share > 0.0001 && small:
		f.add(Warning, "card drops", do, "%d frames dropped by the card or its driver of %d; its ring has %d descriptors of %d", n.Dropped, n.Packets+n.Dropped, n.RingSize, n.RingOf)
	case share > 0.0001:
		f.add(Warning, "card drops", "look at `ethtool -S "+n.Name+"`: the mirror may carry more than the port", "%d frames dropped by the card or its driver of %d", n.Dropped, n.Packets+n.Dropped)
	case n.RingSize > 0:
		f.ok("card drops", "%d of %d frames; ring of %d descriptors, at most %d", n.Dropped, n.Packets+n.Dropped, n.RingSize, n.RingOf)
	default:
		f.ok("card drops", "%d of %d frames", n.Dropped, n.Packets+n.Dropped)
	}
}
