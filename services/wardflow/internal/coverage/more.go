package coverage

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/wardflow/wardflow/pkg/hospital"
	"github.com/wardflow/wardflow/proto"
)

// More is what a report says of places, lives, support and the inventory.
type More struct {
	AsOf       string        `json:"as_of"`           // day of the last packet of all: what is past is past then
	Routed     []Network     `json:"routed_networks"` // in which no device was seen but through a router
	VLANs      []VLAN        `json:"undeclared_vlans"`
	Places     []PlaceCount  `json:"places"`
	Lifecycle  LifeCount     `json:"lifecycle"`
	Support    SupportCount  `json:"end_of_support"`
	Inventory  Inventory     `json:"inventory"`
	LeftOut    []string      `json:"roster_problems"` // lines of the roster that are left out, and why
	Conflicted []Conflicting `json:"roster_conflicts"`
}

// VLAN is one that devices are in and the context file does not have.
type VLAN struct {
	Site    string `json:"site"`
	VLAN    int    `json:"vlan"`
	Devices int    `json:"devices"`
}

// PlaceCount is how many devices are at a place; all empty: nothing says where.
type PlaceCount struct {
	Site          string `json:"site"`
	Building      string `json:"building"`
	Floor         string `json:"floor"`
	Department    string `json:"department"`
	Devices       int    `json:"devices"`
	Medical       int    `json:"medical"`
	Missing       int    `json:"missing"`
	Past          int    `json:"past_support"`
	Contradicting int    `json:"contradicting"` // of which another source says another place
}

// LifeCount is how many devices are in which state of their life.
type LifeCount struct {
	Online   int `json:"online"`
	Silent   int `json:"silent"`
	Missing  int `json:"missing"`
	Returned int `json:"returned"`
	Retired  int `json:"retired"`
}

// SupportCount is of how many devices support has ended.
type SupportCount struct {
	Past       int `json:"past"`
	WithinYear int `json:"within_a_year"`
	Later      int `json:"later"`
	Unknown    int `json:"unknown"`
}

// Inventory is how devices and the roster go together.
type Inventory struct {
	Matched   int     `json:"matched"`   // devices that are a line of the roster
	Unmatched int     `json:"unmatched"` // devices that are none
	Twice     []Twice `json:"twice"`     // lines that several devices are
}

// Twice is a line of the roster that several devices are.
type Twice struct {
	Entry
	DeviceIDs []string `json:"device_ids"`
}

// Conflicting is a device of which the roster says something else than the network.
type Conflicting struct {
	DeviceID string `json:"device_id"`
	AssetTag string `json:"asset_tag"`
	proto.AssetConflict
}

// more reports the rest.
func (r *Report) more(devices []*proto.Device, asked *Asked) {
	var last proto.Time
	for _, d := range devices {
		last = max(last, d.LastSeen)
	}
	if last > 0 {
		r.AsOf = last.Std().UTC().Format(time.DateOnly)
	}
	r.Routed, r.VLANs, r.Places, r.LeftOut, r.Conflicted, r.Inventory.Twice = []Network{}, []VLAN{}, []PlaceCount{}, []string{}, []Conflicting{}, []Twice{}
	r.routed(devices, asked)
	r.vlans(devices, asked)
	r.lives(devices)
	r.support(devices)
	r.places(devices)
	r.inventory(devices, asked)
}

// routed finds networks of which every device was seen through a router alone: without
// its MAC address a device is its address, and who has that changes.
func (r *Report) routed(devices []*proto.Device, asked *Asked) {
	for _, n := range asked.Networks {
		p, err := netip.ParsePrefix(n.CIDR)
		if err != nil {
			continue
		}
		within, near := 0, 0
		for _, d := range devices {
			if slices.ContainsFunc(d.IPs, func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && p.Contains(a) }) {
				if within++; len(d.MACs) > 0 {
					near++
				}
			}
		}
		if within > 0 && near == 0 {
			r.Routed = append(r.Routed, n)
			r.advise("network "+cmp.Or(n.Name, n.CIDR), some(within, "device")+", seen through a router alone: give a sensor the segment itself, or the relayed DHCP, so that an address lent anew is not taken for the same device")
		}
	}
}

// vlans finds those that devices are in and the context file does not have.
func (r *Report) vlans(devices []*proto.Device, asked *Asked) {
	if asked.Context == nil {
		return
	}
	count := map[VLAN]int{}
	for _, d := range devices {
		seen := map[int]bool{}
		add := func(s string) {
			if v, err := strconv.Atoi(s); err == nil && v > 0 && !seen[v] {
				seen[v] = true
				if !asked.Context.HasVLAN(d.Site, proto.VLAN(v)) {
					count[VLAN{Site: d.Site, VLAN: v}]++
				}
			}
		}
		for i := range d.Evidence {
			if e := &d.Evidence[i]; e.Attribute == "vlan" {
				add(e.Value)
			}
		}
		for i := range d.Attachments {
			add(d.Attachments[i].VLAN)
		}
	}
	for v, n := range count {
		v.Devices = n
		r.VLANs = append(r.VLANs, v)
	}
	slices.SortFunc(r.VLANs, func(a, b VLAN) int { return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.VLAN, b.VLAN)) })
	for _, v := range r.VLANs {
		r.advise(fmt.Sprintf("VLAN %d of site %s", v.VLAN, v.Site), some(v.Devices, "device")+", and the context file does not have it: add it under vlans, with where it is")
	}
}

func (r *Report) lives(devices []*proto.Device) {
	l := &r.Lifecycle
	for _, d := range devices {
		switch d.Lifecycle["state"] {
		case proto.LifeSilent:
			l.Silent++
		case proto.LifeMissing:
			l.Missing++
		case proto.LifeReturned:
			l.Returned++
		case proto.LifeRetired:
			l.Retired++
		default:
			l.Online++
		}
	}
	if l.Missing > 0 {
		r.advise(some(l.Missing, "missing device"), "look for them where they were last; retire those that are gone: wardflow device set ID retired=true --by NAME")
	}
	if l.Returned > 0 {
		r.advise(some(l.Returned, "device")+" that returned", "find out where they have been before they are used: repaired, lent, or retired by mistake")
	}
}

func (r *Report) past(d *proto.Device) bool {
	return d.EndOfSupport != nil && d.EndOfSupport.Date < r.AsOf
}

func (r *Report) support(devices []*proto.Device) {
	year := ""
	if t, err := time.Parse(time.DateOnly, r.AsOf); err == nil {
		year = t.AddDate(1, 0, 0).Format(time.DateOnly)
	}
	for _, d := range devices {
		switch {
		case d.EndOfSupport == nil:
			r.Support.Unknown++
		case r.past(d):
			r.Support.Past++
		case d.EndOfSupport.Date < year:
			r.Support.WithinYear++
		default:
			r.Support.Later++
		}
	}
	if n := r.Support.Past; n > 0 {
		r.advise(some(n, "device")+" past the end of support", "plan to replace or to set them apart: SELECT * FROM v_assets WHERE end_of_support < today()")
	}
	if n := r.Support.Unknown; n > 0 {
		r.advise(fmt.Sprintf("end of support of %d of %d devices", n, len(devices)), "ask the makers, and add the days under support in the context file, by maker, model and version")
	}
}

// places counts by department, the devices that nothing says where they are last.
func (r *Report) places(devices []*proto.Device) {
	count := map[PlaceCount]*PlaceCount{}
	for _, d := range devices {
		var k PlaceCount
		if p := d.Place; p != nil {
			k = PlaceCount{Site: p.Site, Building: p.Building, Floor: p.Floor, Department: p.Department}
		}
		c := count[k]
		if c == nil {
			first := k
			c = &first
			count[k] = c
		}
		c.Devices++
		if categoryOf(d) == "medical" {
			c.Medical++
		}
		if d.Lifecycle["state"] == proto.LifeMissing {
			c.Missing++
		}
		if r.past(d) {
			c.Past++
		}
		if d.Place != nil && len(d.Place.Against) > 0 {
			c.Contradicting++
		}
	}
	nowhere := func(c *PlaceCount) int {
		if c.Site == "" {
			return 1
		}
		return 0
	}
	for _, c := range count {
		r.Places = append(r.Places, *c)
	}
	slices.SortFunc(r.Places, func(a, b PlaceCount) int {
		return cmp.Or(cmp.Compare(nowhere(&a), nowhere(&b)), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Building, b.Building), cmp.Compare(a.Floor, b.Floor), cmp.Compare(a.Department, b.Department))
	})
	contradicting := 0
	for _, c := range r.Places {
		contradicting += c.Contradicting
	}
	if contradicting > 0 {
		r.advise("place of "+some(contradicting, "device"), "two sources name two places: look, and enter what is right: wardflow device set ID room=... --by NAME; or mend the context file")
	}
}

// inventory compares with the roster. Two devices that are one line are one device
// seen twice, or a line that names too little.
func (r *Report) inventory(devices []*proto.Device, asked *Asked) {
	if asked.Context == nil {
		return
	}
	for _, err := range asked.Context.Warnings {
		r.LeftOut = append(r.LeftOut, err.Error())
	}
	if n := len(r.LeftOut); n > 0 {
		r.advise(some(n, "line")+" of the roster left out", "mend them: wardflow context check FILE tells file and line of each")
	}
	if r.Roster == 0 {
		return
	}
	of := map[*Entry][]string{}
	for _, d := range devices {
		e, _, conflicts := asked.Context.Match(d, hospital.LastAddress(d.Evidence))
		if e == nil {
			r.Inventory.Unmatched++
			continue
		}
		r.Inventory.Matched++
		of[e] = append(of[e], d.DeviceID.String())
		for _, c := range conflicts {
			r.Conflicted = append(r.Conflicted, Conflicting{d.DeviceID.String(), e.Asset, c})
		}
	}
	for _, e := range asked.roster() {
		if len(of[e]) > 1 {
			r.Inventory.Twice = append(r.Inventory.Twice, Twice{*e, of[e]})
		}
	}
	if n := r.Inventory.Unmatched; n > 0 {
		r.advise(fmt.Sprintf("%d of %d devices", n, len(devices)), "are no line of the roster: add those that are the hospital's to the inventory, and look at the others")
	}
	if n := len(r.Inventory.Twice); n > 0 {
		r.advise(some(n, "line")+" of the roster", "several devices are one line: give it a serial number or MAC address")
	}
	if n := len(r.Conflicted); n > 0 {
		r.advise(some(n, "conflict")+" with the roster", "read the label of the device, and mend the inventory or enter the value: wardflow device set ID serial=... --by NAME")
	}
}

// some is a number of things.
func some(n int, of string) string {
	if n != 1 {
		of += "s"
	}
	return strconv.Itoa(n) + " " + of
}
