package fingerprint

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// How far what two endpoints share speaks for their being one device. Independent
// reasons are combined by the noisy-or, as votes for a fact are (see the package's
// documentation); sameFrom is enough.
const (
	sameFrom = 0.895 // two reasons of 0.8 and 0.5 come to 0.9

	certain          = 1.0  // a person has said so
	scoreAddress     = 0.99 // who has an address is who speaks from it
	scoreRoamed      = 0.95 // a maker's MAC, at two sites and never at once
	scoreSerialModel = 0.95
	scoreSerialMaker = 0.9
	scoreSerial      = 0.8 // of two makers two devices may have the same
	scoreUID         = 0.8 // copied with an image, or the same in all of a cheap series
	scoreUDI         = 0.95
	scoreDUID        = 0.8
	scoreEngine      = 0.8
	scoreManaged     = 0.8
	scoreHostname    = 0.5
	scoreRenamed     = 0.9 // a made-up MAC with a name of its own, never at once

	maxConcurrent = 2 // hours in which one device that moves may be seen at two places
	leastAlone    = 2 // hours in which only the later of two has been seen
)

// veto says why two endpoints cannot be one device, "" when they may.
func (n *nearby) veto(a, b int) string {
	if a > b {
		a, b = b, a
	}
	x, y := n.all[a], n.all[b]
	if v, said := n.between[[2]int{a, b}]; said {
		if v.Same {
			return ""
		}
		return v.By + " has said that they are two"
	}
	switch {
	case x.Gateway == y.Endpoint || y.Gateway == x.Endpoint:
		return "one is the gateway of the other"
	case x.Class == proto.ClassAddress && y.Class == proto.ClassAddress && x.Site == y.Site && x.shared(y, proto.ClaimAddress) != "" && !n.ofOne(a, b):
		return "the address is in two VLANs"
	case !n.borne(a) && !n.borne(b) && x.differs(y, proto.ClaimSerial):
		return "their serial numbers differ"
	}
	return ""
}

// ofOne reports that two addresses have the same owner.
func (n *nearby) ofOne(a, b int) bool {
	x, is := n.owner[a]
	y, too := n.owner[b]
	return is && too && x.by == y.by
}

// compare says how far two endpoints look like one device, and why.
func (n *nearby) compare(a, b int) link {
	x, y := n.all[a], n.all[b]
	if v, said := n.between[[2]int{a, b}]; said && v.Same {
		return link{a, b, certain, v.By + " has said that they are one", true}
	}
	for _, at := range [...][2]int{{a, b}, {b, a}} {
		if o, is := n.owner[at[0]]; is && o.by == at[1] {
			how := "its own ARP or neighbour discovery says so"
			if o.held {
				how = "by DHCP"
			}
			return link{a, b, scoreAddress, fmt.Sprintf("%s has the address %s since %s, %s", macOf(n.all[at[1]]), o.key.Value, o.key.Since, how), true}
		}
	}
	if n.borne(a) || n.borne(b) || n.veto(a, b) != "" {
		return link{}
	}
	if x.Site != y.Site && !n.inTurn(a, b) { // nothing is at two sites at once
		return link{}
	}
	var why []string
	no, sure := 1.0, false
	add := func(score float64, format string, args ...any) {
		no *= 1 - score
		sure = sure || score >= sameFrom
		why = append(why, fmt.Sprintf(format, args...))
	}
	if mac := x.shared(y, proto.ClaimMAC); mac != "" {
		if x.Site == y.Site {
			add(scoreAddress, "both are %s", mac)
		} else {
			add(scoreRoamed, "%s was at %s and at %s, never at once", mac, x.Site, y.Site)
		}
	}
	x.sayTheSame(y, add)
	name := x.shared(y, proto.ClaimHostname)
	switch {
	case name == "" || x.Site != y.Site:
	case (x.Class == proto.ClassLocal || y.Class == proto.ClassLocal) && distinctive(name) && n.inTurn(a, b):
		add(scoreRenamed, "both are named %s, and one MAC that was made up came when the other had gone", name)
	case x.shared(y, proto.ClaimManaged) != "": // which nothing else of the site has, whatever it is named
		add(scoreHostname, "both are named %s", name)
	case anybody(name):
	case x.likeCopies(y, name) && !n.inTurn(a, b):
	default:
		add(scoreHostname, "both are named %s", name)
	}
	return link{a, b, 1 - no, strings.Join(why, "; "), sure}
}

// likeCopies reports two endpoints with addresses of their own that share nothing but a
// name and what all units of a cheap series, or all copies of an image, may have: seen at
// once they are two. A DHCP identifier is meant to be of all interfaces of a host, and is
// believed with a name that may be of one.
func (st *claimState) likeCopies(o *claimState, name string) bool {
	for _, kind := range [...]proto.ClaimKind{proto.ClaimMAC, proto.ClaimSerial, proto.ClaimEngine} {
		if st.shared(o, kind) != "" {
			return false
		}
	}
	if st.shared(o, proto.ClaimDUID) != "" && strings.ContainsAny(name, "0123456789") {
		return false
	}
	mine, its := st.addresses4(), o.addresses4()
	return len(mine) > 0 && len(its) > 0 && !slices.ContainsFunc(mine, func(ip string) bool { return slices.Contains(its, ip) })
}

// addresses4 are the IPv4 addresses that an endpoint has.
func (st *claimState) addresses4() (list []string) {
	for _, k := range st.Keys {
		if (k.Kind == proto.ClaimOwns || k.Kind == proto.ClaimAnswers) && strings.Contains(k.Value, ".") {
			list = append(list, k.Value)
		}
	}
	return list
}

// borne reports that an endpoint is an address that somebody is known to have: what
// it has ever said of itself may be of whoever had it before.
func (n *nearby) borne(at int) bool {
	_, is := n.owner[at]
	return is
}

// sayTheSame adds what two endpoints say of themselves alike.
func (st *claimState) sayTheSame(o *claimState, add func(float64, string, ...any)) {
	named := !st.differs(o, proto.ClaimHostname)
	if serial := st.shared(o, proto.ClaimSerial); serial != "" && !st.differs(o, proto.ClaimModel) {
		switch {
		case st.shared(o, proto.ClaimModel) != "":
			add(scoreSerialModel, "same model and serial number %s", serial)
		case st.shared(o, proto.ClaimMaker) != "":
			add(scoreSerialMaker, "same maker and serial number %s", serial)
		case !st.differs(o, proto.ClaimMaker):
			add(scoreSerial, "same serial number %s", serial)
		}
	}
	if !named { // copies of one image share what was made once, and are named apart
		return
	}
	uid := st.shared(o, proto.ClaimUID)
	if uid != "" {
		score := scoreUID
		if strings.Contains(uid, "(21)") {
			score = scoreUDI
		}
		add(score, "same unique identifier %s", uid)
	}
	if duid := st.shared(o, proto.ClaimDUID); duid != "" && uid == "" { // an image has both
		add(scoreDUID, "same DHCP identifier %s", duid)
	}
	if ip := st.shared(o, proto.ClaimManaged); ip != "" && st.Site == o.Site {
		add(scoreManaged, "both are managed at %s", ip)
	}
	if engine := st.shared(o, proto.ClaimEngine); engine != "" {
		add(scoreEngine, "same SNMP engine %s", engine)
	}
}

// inTurn reports that two endpoints were seen one after the other, and the later one
// alone for long enough to know. Both are watched from now on: before both tell their
// hours as they come, nothing is concluded.
func (n *nearby) inTurn(a, b int) bool {
	n.watched[a], n.watched[b] = true, true
	x, y := n.all[a], n.all[b]
	if x.FirstSeen > y.FirstSeen {
		x, y = y, x
	}
	both := concurrent(x, y)
	return x.Watched && y.Watched && both <= maxConcurrent && bits.OnesCount64(y.until(x.Hour))-both >= leastAlone
}

// until are the hours in which it was seen, up to one: of later ones nothing is known yet
// of the other.
func (st *claimState) until(hour int64) uint64 {
	if d := st.Hour - hour; d > 0 {
		return st.Hours >> min(d, 64)
	}
	return st.Hours
}

// concurrent counts the hours in which both were seen.
func concurrent(a, b *claimState) int {
	if a.Hour < b.Hour {
		a, b = b, a
	}
	d := a.Hour - b.Hour
	if d >= 64 {
		return 0
	}
	return bits.OnesCount64(a.Hours & (b.Hours << d))
}

// shared is a value of a kind that both claim, "" for none.
func (st *claimState) shared(o *claimState, kind proto.ClaimKind) string {
	for _, k := range st.Keys {
		if k.Kind == kind && o.has(kind, k.Value) {
			return k.Value
		}
	}
	return ""
}

func (st *claimState) has(kind proto.ClaimKind, value string) bool {
	return slices.ContainsFunc(st.Keys, func(k proto.ClaimKey) bool { return k.Kind == kind && k.Value == value })
}

// differs reports that both claim something of a kind, and nothing of it alike.
func (st *claimState) differs(o *claimState, kind proto.ClaimKind) bool {
	is := func(k proto.ClaimKey) bool { return k.Kind == kind }
	return slices.ContainsFunc(st.Keys, is) && slices.ContainsFunc(o.Keys, is) && st.shared(o, kind) == ""
}

func macOf(st *claimState) string {
	for _, k := range st.Keys {
		if k.Kind == proto.ClaimMAC {
			return k.Value
		}
	}
	return "another endpoint"
}
