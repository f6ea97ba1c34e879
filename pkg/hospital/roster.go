package hospital

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/proto"
)

// Entry is a line of the roster. Any of serial, mac, hostname and ip names the device.
type Entry struct {
	Asset    string `yaml:"asset" json:"asset"`
	Name     string `yaml:"name" json:"name"`
	MAC      string `yaml:"mac" json:"mac"`
	Serial   string `yaml:"serial" json:"serial"`
	Hostname string `yaml:"hostname" json:"hostname"`
	IP       string `yaml:"ip" json:"ip"`

	Manufacturer    string `yaml:"manufacturer" json:"-"`
	Model           string `yaml:"model" json:"-"`
	Owner           string `yaml:"owner" json:"-"`
	CostCentre      string `yaml:"cost_centre" json:"-"`
	PurchaseCost    string `yaml:"purchase_cost" json:"-"`
	PurchaseDate    string `yaml:"purchase_date" json:"-"`
	WarrantyEnd     string `yaml:"warranty_end" json:"-"`
	LastMaintenance string `yaml:"last_maintenance" json:"-"`
	MaintenanceDue  string `yaml:"maintenance_due" json:"-"`
	EndOfSupport    string `yaml:"end_of_support" json:"-"`
	Place           `yaml:",inline" json:"-"`
	Line            int `yaml:"-" json:"-"`
}

// costText is an amount and a currency (ISO 4217).
var costText = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,2})? [A-Z]{3}$`)

// roster reads the roster line by line. One that cannot be used, or that names what
// another has named, is a warning, and the rest counts.
func (c *Context) roster(file string) {
	c.bySerial, c.byMAC, c.byHost, c.byAddress = map[string][]*Entry{}, map[string][]*Entry{}, map[string][]*Entry{}, map[netip.Addr][]*Entry{}
	n := &c.File.Roster
	if n.IsZero() {
		return
	}
	r := &reader{name: file}
	if n.Kind != yaml.SequenceNode {
		r.bad(n.Line, "roster: want a list of devices with serial, mac, hostname or ip")
	}
	for _, x := range n.Content {
		before := len(r.errs)
		e := Entry{}
		if r.decode(x, &e); len(r.errs) == before {
			c.check(r, &e)
		}
		if len(r.errs) == before {
			c.Entries = append(c.Entries, e)
		}
	}
	c.once(r)
	for i := range c.Entries {
		c.index(&c.Entries[i])
	}
	c.Warnings = r.sorted()
}

// check says what is wrong with a line, and gives names their usual spelling.
func (c *Context) check(r *reader, e *Entry) {
	if cmp.Or(e.MAC, e.Serial, e.Hostname, e.IP) == "" {
		r.bad(e.Line, "roster: has none of mac, serial, hostname, ip, by which a device could be known")
	}
	if e.MAC != "" {
		if m, err := net.ParseMAC(e.MAC); err != nil {
			r.bad(e.Line, "roster: mac: %q is no MAC address", e.MAC)
		} else {
			e.MAC = m.String()
		}
	}
	if e.IP != "" {
		if a, err := netip.ParseAddr(e.IP); err != nil {
			r.bad(e.Line, "roster: ip: %q is no IP address", e.IP)
		} else {
			e.IP = a.Unmap().String()
		}
	}
	for _, d := range []struct{ name, value string }{
		{"purchase_date", e.PurchaseDate}, {"warranty_end", e.WarrantyEnd}, {"last_maintenance", e.LastMaintenance}, {"maintenance_due", e.MaintenanceDue}, {"end_of_support", e.EndOfSupport},
	} {
		if d.value != "" && !isDay(d.value) {
			r.bad(e.Line, "roster: %s: %q is no day such as 2026-11-17", d.name, d.value)
		}
	}
	if e.PurchaseCost != "" && !costText.MatchString(e.PurchaseCost) {
		r.bad(e.Line, "roster: purchase_cost: %q; want an amount and a currency such as 12500.00 EUR", e.PurchaseCost)
	}
	if e.Place == (Place{}) {
		return
	}
	if e.Building == "" && e.Floor == "" && e.Department == "" && e.Room == "" && len(c.File.Sites) == 0 {
		return // a site alone, which limits whom the line is about
	}
	if p, err := c.resolve(e.Place); err != nil {
		r.bad(e.Line, "roster: %v", err)
	} else {
		e.Place = p
	}
}

func isDay(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// once leaves out lines that name a device that an earlier line has named.
func (c *Context) once(r *reader) {
	seen := map[string]int{}
	c.Entries = slices.DeleteFunc(c.Entries, func(e Entry) bool {
		keys := []string{}
		add := func(name, value string) {
			if value != "" {
				keys = append(keys, name+" "+value)
			}
		}
		add("asset", e.Asset)
		add("mac", e.MAC)
		if e.Serial != "" {
			add("serial", fold(e.Serial)+" "+fold(e.Manufacturer))
		}
		if e.Hostname != "" {
			add("hostname", shortName(e.Hostname)+" "+e.Site)
		}
		if e.IP != "" {
			add("ip", e.IP+" "+e.Site)
		}
		for _, k := range keys {
			if line, twice := seen[k]; twice {
				name, _, _ := strings.Cut(k, " ")
				r.bad(e.Line, "roster: line %d has the same %s: leave one of them; this one is left out", line, name)
				return true
			}
		}
		for _, k := range keys {
			seen[k] = e.Line
		}
		return false
	})
}

func (c *Context) index(e *Entry) {
	if e.Serial != "" {
		c.bySerial[fold(e.Serial)] = append(c.bySerial[fold(e.Serial)], e)
	}
	if e.MAC != "" {
		c.byMAC[e.MAC] = append(c.byMAC[e.MAC], e)
	}
	if e.Hostname != "" {
		c.byHost[shortName(e.Hostname)] = append(c.byHost[shortName(e.Hostname)], e)
	}
	if a, err := netip.ParseAddr(e.IP); err == nil {
		c.byAddress[a] = append(c.byAddress[a], e)
	}
}

func shortName(s string) string {
	s, _, _ = strings.Cut(fold(s), ".")
	return s
}

// Match finds the line of the roster that a device is, by its serial number, else a MAC
// address, else a host name, else the address that it used last, and by which. What the
// line says otherwise, and other lines that the device would be by a weaker name, are
// conflicts. An address alone does not match a line whose MAC address is another's:
// addresses are lent.
func (c *Context) Match(d *proto.Device, address netip.Addr) (*Entry, string, proto.AssetConflicts) {
	serial, maker := "", ""
	if d.Serial != nil {
		serial = d.Serial.Value
	}
	if d.Manufacturer != nil {
		maker = fold(d.Manufacturer.Value)
	}
	var found []*Entry
	by := ""
	take := func(name string, list []*Entry) {
		for _, e := range list {
			if e.Site != "" && e.Site != d.Site || slices.Contains(found, e) {
				continue
			}
			if found = append(found, e); by == "" {
				by = name
			}
		}
	}
	if serial != "" {
		list := slices.Clone(c.bySerial[fold(serial)])
		slices.SortStableFunc(list, func(a, b *Entry) int { // two makers may have given the same number
			return cmp.Compare(otherMaker(a, maker), otherMaker(b, maker))
		})
		take("serial", list[:min(len(list), 1)])
	}
	for _, m := range d.MACs {
		take("mac", c.byMAC[m])
	}
	for _, h := range d.Hostnames {
		take("hostname", c.byHost[shortName(h)])
	}
	if address.IsValid() {
		for _, e := range c.byAddress[address.Unmap()] {
			if otherMAC := e.MAC != "" && len(d.MACs) > 0 && !slices.Contains(d.MACs, e.MAC); !otherMAC {
				take("ip", []*Entry{e})
			}
		}
	}
	if len(found) == 0 {
		return nil, "", nil
	}
	return found[0], by, conflicts(found, d, serial)
}

func otherMaker(e *Entry, maker string) int {
	switch m := fold(e.Manufacturer); {
	case m == "" || maker == "":
		return 1
	case strings.HasPrefix(m, maker) || strings.HasPrefix(maker, m):
		return 0
	}
	return 2
}

// conflicts are where the roster and the network say different things.
func conflicts(found []*Entry, d *proto.Device, serial string) proto.AssetConflicts {
	var list proto.AssetConflicts
	e := found[0]
	add := func(attribute, roster, seen string, same bool) {
		if roster != "" && seen != "" && !same {
			list = append(list, proto.AssetConflict{Attribute: attribute, Roster: roster, Seen: seen})
		}
	}
	add("serial", e.Serial, serial, fold(e.Serial) == fold(serial))
	add("mac", e.MAC, strings.Join(d.MACs, " "), slices.Contains(d.MACs, e.MAC))
	add("hostname", e.Hostname, strings.Join(d.Hostnames, " "), slices.ContainsFunc(d.Hostnames, func(h string) bool { return shortName(h) == shortName(e.Hostname) }))
	if d.Manufacturer != nil {
		m := fold(d.Manufacturer.Value)
		add("manufacturer", e.Manufacturer, d.Manufacturer.Value, otherMaker(e, m) < 2)
	}
	if d.Model != nil {
		a, b := plain(e.Model), plain(d.Model.Value)
		add("model", e.Model, d.Model.Value, strings.Contains(a, b) || strings.Contains(b, a))
	}
	for _, other := range found[1:] {
		list = append(list, proto.AssetConflict{Attribute: "asset_tag", Roster: e.label(), Seen: other.label()})
	}
	return list
}

// label names a line.
func (e *Entry) label() string {
	return cmp.Or(e.Asset, e.Name, e.Serial, e.MAC, e.Hostname, e.IP, "line "+strconv.Itoa(e.Line))
}

// plain is a model without case, blanks and marks.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -_/.,()", r) {
			return -1
		}
		return r
	}, fold(s))
}

func joined(a, b string) string { return strings.TrimSpace(a + " " + b) }

func vlanText(v proto.VLAN) string { return fmt.Sprintf("VLAN %d", v) }
