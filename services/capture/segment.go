package capture

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// The bounds of what is known of a segment. A host has a handful of IPv4
// addresses at most; of IPv6 addresses it makes new ones every day (RFC 8981).
const (
	maxOwn4     = 8  // IPv4 sources of a MAC beyond which it is a router's
	maxOwn6     = 32 // the same of IPv6
	fewWithin   = time.Hour
	maxStations = 1 << 14 // MACs; beyond, the one known longest is forgotten
	maxOwners   = 1 << 18 // addresses with a known owner
)

// segment knows which MAC is whose: a host's own, or a router's that carries the
// packets of many. It is learned from the first packet of each side of each flow,
// and from ARP and NDP. The workers of a live sensor share one, so that who an endpoint is
// does not depend on which of them sees it.
type segment struct {
	site     string
	prefixes []netip.Prefix
	ids      memo

	mu       sync.RWMutex // guards all below
	stations map[proto.MAC]*station
	order    []proto.MAC // of stations, oldest first from next on
	next     int
	owners   map[place]proto.MAC
}

// place is an address on a VLAN.
type place struct {
	ip   netip.Addr
	vlan proto.VLAN
}

// station is what is known of one MAC.
type station struct {
	addresses []address
	claims    [2]int // IPv4 and IPv6 addresses that ARP and NDP gave it
	home      bool   // it sources a home IPv4 address
	router    bool   // it sources too many addresses to be one host
}

// address is one source address of a station.
type address struct {
	place
	seen    proto.Time
	claimed bool // ARP or NDP has said so
	routed  bool // its packets had crossed a router before
	direct  bool // some of its packets had not
}

// sighting is how an address was seen with a MAC.
type sighting struct {
	at     proto.Time
	claim  bool // ARP or NDP says so
	routed bool // the hop limit says that a router was on the way
}

func newSegment(site string, home []netip.Prefix) *segment {
	return &segment{site: site, prefixes: home, stations: map[proto.MAC]*station{}, owners: map[place]proto.MAC{}}
}

// home reports whether an address is inside by the configuration.
func (g *segment) home(ip netip.Addr) bool {
	for _, p := range g.prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// routed reports that a router has taken something off a hop limit: it is none
// that hosts send with (the defaults of the operating systems there are, and the
// round numbers of embedded stacks), nor one that is small on purpose, as to
// multicast or in a trace of the route.
func routed(ttl uint8) bool {
	switch ttl {
	case 30, 32, 60, 64, 100, 128, 150, 200, 250, 254, 255:
		return false
	}
	return ttl > 30
}

// behind reports that a router has taken a little off a hop limit: what hosts send
// with, less one to three.
func behind(ttl uint8) bool {
	return routed(ttl) && (ttl >= 61 && ttl < 64 || ttl >= 125 && ttl < 128 || ttl >= 252)
}

// translates reports that who has ip and mac forwards for others under its own
// address: a packet of ip, from mac, has a hop limit from which a router has taken
// something, while others come as a host on the segment sends them. A router that
// does not translate leaves the addresses of who is behind it (RFC 1812 5.3.1; P.
// Phaal, Detecting NAT Devices using sFlow).
func (g *segment) translates(vlan proto.VLAN, mac proto.MAC, ip netip.Addr, ttl uint8) bool {
	if !behind(ttl) || mac.IsZero() || nobody(ip) {
		return false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	s := g.stations[mac]
	if s == nil || s.router {
		return false
	}
	i := s.find(place{ip: ip, vlan: vlan})
	return i >= 0 && s.addresses[i].direct
}

// learn notes that ip was seen as the source behind mac.
func (g *segment) learn(vlan proto.VLAN, mac proto.MAC, ip netip.Addr, how sighting) {
	if mac.IsZero() || mac.IsGroup() || !ip.IsValid() || nobody(ip) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stations[mac]
	if s == nil {
		s = g.add(mac)
	}
	at := place{ip: ip, vlan: vlan}
	i := s.find(at)
	if i < 0 {
		if (how.claim && s.greedy(ip)) || (!how.claim && s.router) {
			return
		}
		s.addresses = append(s.addresses, address{place: at, routed: true})
		s.home = s.home || (ip.Is4() && g.home(ip))
		i = len(s.addresses) - 1
	}
	a := &s.addresses[i]
	a.seen = max(a.seen, how.at)
	a.routed = a.routed && how.routed
	a.direct = a.direct || !how.claim && !how.routed
	if how.claim && !a.claimed {
		a.claimed = true
		s.claims[family(ip)]++
	}
	if s.owns(a) && (len(g.owners) < maxOwners || !g.owners[at].IsZero()) {
		g.owners[at] = mac
	}
	g.judge(mac, s, how.at)
}

func (s *station) find(at place) int {
	return slices.IndexFunc(s.addresses, func(a address) bool { return a.place == at })
}

// judge makes a router of a station that has sourced more addresses within an
// hour than a host has. What it had seemed to own is forgotten then, but for what
// ARP and NDP gave it; a host keeps no more than the addresses of its last hour.
func (g *segment) judge(mac proto.MAC, s *station, now proto.Time) {
	if s.few() && !s.router {
		return
	}
	if !s.router {
		g.forget(mac, s, func(a *address) bool { return now.Sub(a.seen) > fewWithin })
		s.router = !s.few()
	}
	if s.router {
		g.forget(mac, s, func(a *address) bool { return !a.claimed })
	}
}

// few reports that the station has no more addresses than a host may have.
func (s *station) few() bool {
	v4 := 0
	for i := range s.addresses {
		if s.addresses[i].ip.Is4() {
			v4++
		}
	}
	return v4 <= maxOwn4 && len(s.addresses)-v4 <= maxOwn6
}

func (g *segment) forget(mac proto.MAC, s *station, which func(*address) bool) {
	s.addresses = slices.DeleteFunc(s.addresses, func(a address) bool {
		if !which(&a) {
			return false
		}
		if a.claimed {
			s.claims[family(a.ip)]--
		}
		if g.owners[a.place] == mac {
			delete(g.owners, a.place)
		}
		return true
	})
}

// family is 0 of IPv4 and 1 of IPv6.
func family(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

// greedy reports that ARP or NDP gave the station more addresses of that family
// than a host has.
func (s *station) greedy(ip netip.Addr) bool {
	return s.claims[family(ip)] > [...]int{maxOwn4, maxOwn6}[family(ip)]
}

// owns reports that the address is the station's own. ARP and NDP settle it,
// unless the station answers for everybody (proxy ARP, RFC 1027; proxy NDP, RFC
// 4389).
func (s *station) owns(a *address) bool {
	if a.claimed && !s.greedy(a.ip) {
		return true
	}
	return !s.router && !a.routed
}

// add makes room for a station.
func (g *segment) add(mac proto.MAC) *station {
	s := &station{}
	if len(g.order) < maxStations {
		g.order = append(g.order, mac)
	} else {
		oldest := g.order[g.next]
		g.forget(oldest, g.stations[oldest], func(*address) bool { return true })
		delete(g.stations, oldest)
		g.order[g.next] = mac
		g.next = (g.next + 1) % maxStations
	}
	g.stations[mac] = s
	return s
}

// end is who an end of a flow is.
type end struct {
	id     proto.ID
	mac    proto.MAC // when the endpoint is named by it
	inside bool      // a device of the site, or an address that nothing outside can have
}

// end decides who has ip behind mac: the MAC where that is the host's own, else
// site, VLAN and address; an address outside is nobody's. Multicast, broadcast
// and loopback are inside and nobody's, but who sends without an address yet is
// named by the MAC.
func (g *segment) end(vlan proto.VLAN, mac proto.MAC, ip netip.Addr) end {
	named := !mac.IsZero() && !mac.IsGroup()
	if named && (!ip.IsValid() || ip.IsUnspecified()) {
		return g.byMAC(mac)
	}
	if !ip.IsValid() || nobody(ip) {
		return end{inside: true}
	}
	home := g.home(ip)
	if mac.IsGroup() { // a subnet's broadcast address
		return end{inside: home}
	}
	at := place{ip: ip, vlan: vlan}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if named && g.holds(mac, at, home) {
		return g.byMAC(mac)
	}
	if owner, ok := g.owners[at]; ok && g.holds(owner, at, home) {
		return g.byMAC(owner)
	}
	if !home {
		return end{}
	}
	return end{id: g.ids.byIP(g.site, at), inside: true}
}

func (g *segment) byMAC(mac proto.MAC) end {
	return end{id: g.ids.byMAC(g.site, mac), mac: mac, inside: true}
}

// router reports that a MAC carries the packets of many.
func (g *segment) router(mac proto.MAC) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	s := g.stations[mac]
	return s != nil && s.router
}

// holds reports that the address is the MAC's own. An IPv4 address that is not
// home, behind a MAC with one that is, is a stranger's behind a router of which
// little has been seen.
func (g *segment) holds(mac proto.MAC, at place, home bool) bool {
	s := g.stations[mac]
	if s == nil {
		return false
	}
	i := s.find(at)
	if i < 0 {
		return false
	}
	a := &s.addresses[i]
	return s.owns(a) && (home || a.claimed || at.ip.Is6() || !s.home)
}

// nobody reports addresses that no host has for its own on a network.
func nobody(ip netip.Addr) bool {
	return ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
