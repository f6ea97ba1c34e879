package hospital

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/wardflow/wardflow/proto"
)

// maxVLAN is the highest VLAN there is (IEEE 802.1Q 9.6).
const maxVLAN = 4094

// maps reads what is where.
func (c *Context) maps(r *reader) {
	c.readSubnets(r)
	c.vlans, c.ports, c.points = map[string]map[proto.VLAN]Place{}, map[string]map[[2]string]Place{}, map[string]map[string]Place{}
	c.exact, c.remember.known = map[string][]*Location{}, map[[3]string]told{}
	for i := range c.File.VLANs {
		v := &c.File.VLANs[i]
		if v.VLAN == 0 || v.VLAN > maxVLAN {
			r.bad(v.Line, "vlan: %d is none; want 1 to %d", v.VLAN, maxVLAN)
			continue
		}
		put(c, r, v.Line, c.vlans, v.VLAN, v.Place, "the VLAN")
	}
	for i := range c.File.SwitchPorts {
		p := &c.File.SwitchPorts[i]
		if p.Switch == "" {
			r.bad(p.Line, "switch_ports: names no switch")
			continue
		}
		put(c, r, p.Line, c.ports, [2]string{fold(p.Switch), foldPort(p.Port)}, p.Place, "the port")
	}
	for i := range c.File.AccessPoints {
		p := &c.File.AccessPoints[i]
		if p.AccessPoint == "" {
			r.bad(p.Line, "access_points: names no access point")
			continue
		}
		put(c, r, p.Line, c.points, fold(p.AccessPoint), p.Place, "the access point")
	}
	for i := range c.File.Locations {
		c.location(r, &c.File.Locations[i])
	}
}

// put maps a key of a site to a place, once.
func put[K comparable](c *Context, r *reader, line int, into map[string]map[K]Place, key K, at Place, what string) {
	p, err := c.resolve(at)
	if err != nil {
		r.bad(line, "%v", err)
		return
	}
	if into[p.Site] == nil {
		into[p.Site] = map[K]Place{}
	}
	if _, twice := into[p.Site][key]; twice {
		r.bad(line, "%s is mapped twice in site %s: leave one", what, p.Site)
		return
	}
	into[p.Site][key] = p
}

// readSubnets reads the networks. One that names no site is of every site, and says
// nothing of where; two of one site do not overlap.
func (c *Context) readSubnets(r *reader) {
	c.subnets = map[string][]subnet{}
	type declared struct {
		site   string
		prefix netip.Prefix
		line   int
	}
	var all []declared
	for i := range c.File.Subnets {
		s := &c.File.Subnets[i]
		p, err := netip.ParsePrefix(s.CIDR)
		switch {
		case err != nil:
			r.bad(s.Line, "cidr: %q is no network such as 10.0.0.0/8", s.CIDR)
			continue
		case p != p.Masked():
			r.bad(s.Line, "cidr: %s has host bits set: write %s", s.CIDR, p.Masked())
			continue
		case s.VLAN > maxVLAN:
			r.bad(s.Line, "vlan: %d is none; want 1 to %d", s.VLAN, maxVLAN)
			continue
		}
		levels := s.Place
		levels.Site = ""
		site := s.Site
		if levels != (Place{}) {
			site = c.site(site)
		}
		for _, d := range all {
			if (d.site == site || d.site == "" || site == "") && d.prefix.Overlaps(p) {
				r.bad(s.Line, "cidr: %s overlaps %s of line %d: an address must be in one network", p, d.prefix, d.line)
			}
		}
		all = append(all, declared{site, p, s.Line})
		if site == "" && levels == (Place{}) || len(c.File.Sites) == 0 && levels == (Place{}) {
			continue
		}
		at, err := c.resolve(s.Place)
		if err != nil {
			r.bad(s.Line, "%v", err)
			continue
		}
		c.subnets[at.Site] = append(c.subnets[at.Site], subnet{p, at})
	}
	for _, list := range c.subnets {
		slices.SortFunc(list, func(a, b subnet) int { return a.prefix.Addr().Compare(b.prefix.Addr()) })
	}
}

// at finds the place of an address. The networks of a site do not overlap, so the last
// that begins before the address is the only one that can have it.
func (c *Context) at(site string, a netip.Addr) (subnet, bool) {
	list := c.subnets[site]
	i, found := slices.BinarySearchFunc(list, a, func(s subnet, a netip.Addr) int { return s.prefix.Addr().Compare(a) })
	if !found {
		i--
	}
	if i < 0 || !list[i].prefix.Contains(a) {
		return subnet{}, false
	}
	return list[i], true
}

// location reads an entry of locations.
func (c *Context) location(r *reader, l *Location) {
	switch {
	case (l.Is == "") == (l.Matches == ""):
		r.bad(l.Line, "locations: want one of is and matches")
		return
	case l.Is != "":
		p, err := c.resolve(l.Place)
		if err != nil {
			r.bad(l.Line, "%v", err)
			return
		}
		l.Place = p
		c.exact[fold(l.Is)] = append(c.exact[fold(l.Is)], l)
		return
	}
	re, err := regexp.Compile("(?i)" + l.Matches)
	if err != nil {
		r.bad(l.Line, "matches: %v", err)
		return
	}
	l.re = re
	if !l.expands() {
		p, err := c.resolve(l.Place)
		if err != nil {
			r.bad(l.Line, "%v", err)
			return
		}
		l.Place = p
	} else if l.Site = c.site(l.Site); c.places[l.Site] == nil {
		r.bad(l.Line, "names site %q, which sites does not declare", l.Site)
		return
	}
	c.patterns = append(c.patterns, l)
}

// expands reports whether the place depends on the text.
func (l *Location) expands() bool {
	for i := range levels {
		if strings.Contains(*l.level(i), "$") {
			return true
		}
	}
	return false
}

// fold is under which spelling texts are the same.
func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// remembered is what texts mean: the same are told by many devices, and again.
type remembered struct {
	mu    sync.Mutex
	known map[[3]string]told
}

type told struct {
	place Place
	found bool
}

const maxRemembered = 20_000

// meaning is the place that a text of a protocol means at a site.
func (c *Context) meaning(site, protocol, text string) (Place, bool) {
	if len(c.exact) == 0 && len(c.patterns) == 0 {
		return Place{}, false
	}
	key := [3]string{site, protocol, text}
	c.remember.mu.Lock()
	t, known := c.remember.known[key]
	c.remember.mu.Unlock()
	if known {
		return t.place, t.found
	}
	t.place, t.found = c.means(site, protocol, text)
	c.remember.mu.Lock()
	defer c.remember.mu.Unlock()
	if len(c.remember.known) >= maxRemembered {
		clear(c.remember.known)
	}
	c.remember.known[key] = t
	return t.place, t.found
}

// means asks exact texts first, then patterns, each in the order of the file.
func (c *Context) means(site, protocol, text string) (Place, bool) {
	fits := func(l *Location) bool {
		return l.Site == site && (l.Protocol == "" || strings.EqualFold(l.Protocol, protocol))
	}
	for _, l := range c.exact[fold(text)] {
		if fits(l) {
			return l.Place, true
		}
	}
	for _, l := range c.patterns {
		if !fits(l) {
			continue
		}
		m := l.re.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		p := l.Place
		for i := range levels {
			if s := p.level(i); strings.Contains(*s, "$") {
				*s = string(l.re.ExpandString(nil, *s, text, m))
			}
		}
		if p, err := c.resolve(p); err == nil { // else the text names what is not declared
			return p, true
		}
	}
	return Place{}, false
}
