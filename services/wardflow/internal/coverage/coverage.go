// Package coverage says what is not known: of how many devices which attribute is
// known with which confidence, which networks no sensor sees, which devices of a
// roster were never seen, and what can be done about each.
//
// It takes devices as they stand and makes a report of them. Where they come from is
// the command's.
package coverage

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/hospital"
	"github.com/wardflow/wardflow/proto"
)

// The confidences that a report tells apart.
const (
	Sure   = 0.9
	Likely = 0.5
)

// Share is how well an attribute is known among the devices of a category. The
// counts of a row add up to its devices.
type Share struct {
	Category  string `json:"category"` // "all" first
	Attribute string `json:"attribute"`
	Devices   int    `json:"devices"`
	Sure      int    `json:"sure"`   // confidence 0.9 and more
	Likely    int    `json:"likely"` // 0.5 to 0.9
	Weak      int    `json:"weak"`   // less
	None      int    `json:"none"`
}

// Network is one in which there should be devices.
type Network struct {
	CIDR string `json:"cidr"`
	Site string `json:"site"`
	Name string `json:"name"`
}

// Advice is what to do about something.
type Advice struct {
	About string `json:"about"`
	Do    string `json:"do"`
}

// Report is what Of finds.
type Report struct {
	Devices    int       `json:"devices"`
	Attributes []Share   `json:"attributes"`
	Unseen     []Network `json:"unseen_networks"`
	Roster     int       `json:"roster"`
	NeverSeen  []Entry   `json:"never_seen"`
	Advice     []Advice  `json:"advice"`
	More
}

// Entry is a line of the roster.
type Entry = hospital.Entry

// attributes are those that are asked about, and what would tell more of them.
var attributes = []struct {
	name string
	of   func(*proto.Device) *proto.Fact
	do   string
}{
	{"manufacturer", func(d *proto.Device) *proto.Fact { return d.Manufacturer }, "give a sensor the segment itself, before the router: the MAC address names the maker of the interface"},
	{"model", func(d *proto.Device) *proto.Fact { return d.Model }, "mirror the way to the servers that they report to (archive, integration engine, gateway): the model is said there"},
	{"os", func(d *proto.Device) *proto.Fact { return d.OS }, "mirror DHCP, and the way to the domain controllers and update servers"},
	{"os_version", func(d *proto.Device) *proto.Fact { return d.OSVersion }, "mirror the way to the domain controllers (SMB, NTLM), and SNMP from the network management"},
	{"software_version", func(d *proto.Device) *proto.Fact { return d.SoftwareVersion }, "mirror the way to the servers that they report to; else read it off the device and enter it"},
	{"serial", func(d *proto.Device) *proto.Fact { return d.Serial }, "few protocols tell it: match the inventory by MAC address, or read it off the device and enter it"},
	{"location", func(d *proto.Device) *proto.Fact { return d.Location }, "mirror LLDP and the RADIUS accounting of the switches, or name subnets and places in the context file"},
}

// Asked is what a report is asked about, beside devices; all of it may be empty.
type Asked struct {
	Networks []Network
	Context  *hospital.Context
	Site     string // only this one
}

// Of reports on devices.
func Of(devices []*proto.Device, asked Asked) *Report {
	r := &Report{Devices: len(devices), Attributes: []Share{}, Unseen: []Network{}, NeverSeen: []Entry{}, Advice: []Advice{}}
	for _, category := range categories(devices) {
		for _, a := range attributes {
			s := Share{Category: category, Attribute: a.name}
			for _, d := range devices {
				if category == "all" || category == categoryOf(d) {
					s.count(a.of(d))
				}
			}
			r.Attributes = append(r.Attributes, s)
			if missing := s.Weak + s.None; category == "all" && missing > 0 {
				r.advise(fmt.Sprintf("%s of %d of %d devices", a.name, missing, s.Devices), a.do)
			}
		}
	}
	seen := index(devices)
	for _, n := range asked.Networks {
		if p, err := netip.ParsePrefix(n.CIDR); err == nil && !slices.ContainsFunc(seen.ips, p.Contains) {
			r.Unseen = append(r.Unseen, n)
			r.advise("network "+strings.TrimSpace(n.CIDR+" "+n.Name), "no sensor sees it: mirror its switch or the trunk to it, or take it off the context file")
		}
	}
	for _, e := range asked.roster() {
		r.Roster++
		if !seen.has(e) {
			r.NeverSeen = append(r.NeverSeen, *e)
		}
	}
	if n := len(r.NeverSeen); n > 0 {
		r.advise(fmt.Sprintf("%d of %d devices of the roster", n, r.Roster), "never seen: find out whether they are in use, have a network at all, or are in a network that no sensor sees")
	}
	r.more(devices, &asked)
	return r
}

// roster is that of the site.
func (a *Asked) roster() (list []*Entry) {
	if a.Context == nil {
		return nil
	}
	for i := range a.Context.Entries {
		if e := &a.Context.Entries[i]; a.Site == "" || e.Site == "" || e.Site == a.Site {
			list = append(list, e)
		}
	}
	return list
}

func (r *Report) advise(about, do string) { r.Advice = append(r.Advice, Advice{about, do}) }

func (s *Share) count(f *proto.Fact) {
	s.Devices++
	switch {
	case f == nil || f.Value == "":
		s.None++
	case f.Confidence >= Sure:
		s.Sure++
	case f.Confidence >= Likely:
		s.Likely++
	default:
		s.Weak++
	}
}

func categoryOf(d *proto.Device) string {
	if d.Category == nil {
		return "unknown"
	}
	return d.Category.Value
}

// categories are those that there are, in the order of the contract, after "all".
func categories(devices []*proto.Device) []string {
	list := []string{"all"}
	for _, c := range []string{"medical", "ot", "iot", "it", "network", "unknown"} {
		if slices.ContainsFunc(devices, func(d *proto.Device) bool { return categoryOf(d) == c }) {
			list = append(list, c)
		}
	}
	return list
}

// names are all names that devices are seen under.
type names struct {
	ips []netip.Addr
	all map[string]bool // kind and name
}

func index(devices []*proto.Device) *names {
	n := &names{all: map[string]bool{}}
	for _, d := range devices {
		for _, ip := range d.IPs {
			if a, err := netip.ParseAddr(ip); err == nil {
				n.ips = append(n.ips, a)
				n.all["ip "+a.String()] = true
			}
		}
		for _, m := range d.MACs {
			n.all["mac "+m] = true
		}
		for _, h := range d.Hostnames {
			n.all["host "+host(h)] = true
		}
		if d.Serial != nil {
			n.all["serial "+strings.ToLower(d.Serial.Value)] = true
		}
	}
	return n
}

func host(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	return name
}

// has reports whether any name of an entry was seen.
func (n *names) has(e *Entry) bool {
	mac := e.MAC
	if m, err := net.ParseMAC(mac); err == nil {
		mac = m.String()
	}
	ip := e.IP
	if a, err := netip.ParseAddr(ip); err == nil {
		ip = a.String()
	}
	return n.all["mac "+mac] || n.all["serial "+strings.ToLower(e.Serial)] || e.Hostname != "" && n.all["host "+host(e.Hostname)] || n.all["ip "+ip]
}
