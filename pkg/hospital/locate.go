package hospital

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// Signs are what is known of where a device is.
type Signs struct {
	Site        string
	Person      Place  // what a person has set; Site is not looked at
	Text        string // the location that a person has set
	Switch      string // where it was attached last
	Port        string
	AccessPoint string
	Said        []Said // what protocols said
	Roster      Place
	Address     netip.Addr // the one that it used last
	VLAN        proto.VLAN // the one that it was seen in last
}

// Said is a place as a protocol calls it.
type Said struct {
	Text     string
	Protocol string
	Weight   float64
}

// The sources of a place that are no protocol's name, in the order in which they are
// believed; protocols come after the access point.
const (
	SourcePerson      = proto.SourceHuman
	SourcePort        = "switch_port"
	SourceAccessPoint = "access_point"
	SourceSubnet      = "subnet"
	SourceVLAN        = "vlan"
	SourceRoster      = "roster"
)

// How far each source is believed alone. A port is where the cable ends, if the list
// of ports is kept; a radio reaches next door; networks reach beyond what people
// remember of them; what an inventory says is where the device belongs, and need not be
// where it is.
const (
	personWeight = 0.99
	portWeight   = 0.95
	pointWeight  = 0.85
	subnetWeight = 0.8
	vlanWeight   = 0.7
	rosterWeight = 0.6
)

// sign is a place, and who says so.
type sign struct {
	Place
	rank   int
	source string
	said   string
	weight float64
}

// Locate says where a device is. The source that comes first in the order decides;
// levels that it leaves open come from the next that do not contradict it. Sources
// that name another place on a level are told as against. The confidence is that of the
// finest level, by the formula of services/fingerprint: the sources that name it are
// joined by the noisy-or, those against lower it by Dempster's rule; what a person says
// is not lowered.
func (c *Context) Locate(s *Signs) *proto.Place {
	signs := c.signs(s)
	if len(signs) == 0 {
		return nil
	}
	first := &signs[0]
	at := first.Place
	against := 1.0
	out := &proto.Place{Source: first.source, Said: first.said}
	with := signs[:1:1]
	for _, x := range signs[1:] {
		if differs(at, x.Place) {
			against *= 1 - x.weight
			out.Against = append(out.Against, proto.PlaceAgainst{
				Site: x.Site, Building: x.Building, Floor: x.Floor, Department: x.Department, Room: x.Room, Source: x.source, Said: x.said, Confidence: round(x.weight),
			})
			continue
		}
		with = append(with, x)
		if !slices.Contains(out.With, x.source) {
			out.With = append(out.With, x.source)
		}
		for l := range levels {
			if *at.level(l) == "" {
				*at.level(l) = *x.level(l)
			}
		}
	}
	out.Confidence = confidence(at, with, 1-against)
	out.Site, out.Building, out.Floor, out.Department, out.Room = at.Site, at.Building, at.Floor, at.Department, at.Room
	return out
}

// confidence is that of the finest level of a place, which some of the signs with it
// name, against what weighs no.
func confidence(at Place, with []sign, no float64) float64 {
	finest := len(levels) - 1
	for finest > 0 && *at.level(finest) == "" {
		finest--
	}
	agree := 1.0
	for i := range with {
		if *with[i].level(finest) == "" {
			continue
		}
		if with[i].rank == 0 {
			return personWeight
		}
		agree *= 1 - with[i].weight
	}
	yes := 1 - agree
	return round(min(yes*(1-no)/(1-yes*no), personWeight))
}

func round(x float64) float64 { return math.Round(x*1e4) / 1e4 }

// differs reports whether two places name something else on a level.
func differs(a, b Place) bool {
	for l := range levels {
		x, y := *a.level(l), *b.level(l)
		if x != "" && y != "" && x != y {
			return true
		}
	}
	return false
}

// signs lists what there is, in the order of belief.
func (c *Context) signs(s *Signs) []sign {
	var list []sign
	add := func(rank int, at Place, found bool, source, said string, weight float64) {
		if found {
			list = append(list, sign{at, rank, source, said, weight})
		}
	}
	if person := s.Person; person.Building != "" || person.Floor != "" || person.Department != "" || person.Room != "" {
		person.Site = s.Site
		if p, err := c.resolve(person); err == nil {
			person = p
		}
		add(0, person, true, SourcePerson, person.Path(), personWeight)
	} else if s.Text != "" {
		at, found := c.meaning(s.Site, SourcePerson, s.Text)
		add(0, at, found, SourcePerson, s.Text, personWeight)
	}
	if s.Switch != "" {
		at, found := c.port(s.Site, fold(s.Switch), foldPort(s.Port))
		add(1, at, found, SourcePort, joined(s.Switch, s.Port), portWeight)
	}
	if s.AccessPoint != "" {
		at, found := c.points[s.Site][fold(s.AccessPoint)]
		add(2, at, found, SourceAccessPoint, s.AccessPoint, pointWeight)
	}
	for _, x := range s.Said {
		at, found := c.meaning(s.Site, x.Protocol, x.Text)
		add(3, at, found, x.Protocol, x.Text, x.Weight)
	}
	if s.Address.IsValid() {
		n, found := c.at(s.Site, s.Address.Unmap())
		add(4, n.place, found, SourceSubnet, n.prefix.String(), subnetWeight)
	}
	if s.VLAN != 0 {
		at, found := c.vlans[s.Site][s.VLAN]
		add(5, at, found, SourceVLAN, vlanText(s.VLAN), vlanWeight)
	}
	if r := s.Roster; r != (Place{}) {
		add(6, r, true, SourceRoster, r.Path(), rosterWeight)
	}
	slices.SortStableFunc(list, func(a, b sign) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.weight, a.weight), cmp.Compare(a.source, b.source), cmp.Compare(a.said, b.said))
	})
	return list
}

// LastAddress is the address that a device used last, by its evidence.
func LastAddress(evidence []proto.Evidence) (now netip.Addr) {
	var last proto.Time
	for i := range evidence {
		e := &evidence[i]
		if e.Attribute != "ip" || e.Last < last || e.Last == last && now.IsValid() {
			continue
		}
		if a, err := netip.ParseAddr(e.Value); err == nil && !a.IsLinkLocalUnicast() {
			now, last = a, e.Last
		}
	}
	return now
}

// HasVLAN reports whether the file has a VLAN of a site.
func (c *Context) HasVLAN(site string, v proto.VLAN) bool {
	if _, has := c.vlans[site][v]; has {
		return true
	}
	return slices.ContainsFunc(c.File.Subnets, func(s Subnet) bool { return s.VLAN == v && (s.Site == "" || c.site(s.Site) == site) })
}
