package fingerprint

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Identity is the identity fold: of all endpoints' claims it decides which of them
// are one device. All claims are on one lane (proto.IdentityLane), because whether
// two endpoints are one depends on who else claims the same. They are few: an
// endpoint claims when it is new, and when what it can be known by changes.
//
// What it concludes depends on the claims that hold, and not on the order in which
// they came.
type Identity struct{}

// NewIdentity makes the identity fold. It emits proto.Grouping on
// wardflow.groupings (key and lane: the endpoint's) when it has changed.
func NewIdentity() *Identity { return &Identity{} }

// Name is "identity".
func (i *Identity) Name() string { return "identity" }

// Inputs lists the claims.
func (i *Identity) Inputs() []stream.Input { return []stream.Input{{Topic: proto.TopicClaims}} }

// Progress implements stream.Fold: nobody waits for it.
func (i *Identity) Progress() []stream.ProgressTo { return nil }

// Fire is never called: the fold sets no timers.
func (i *Identity) Fire(*stream.Tx, stream.Timer) {}

// Sweep is never called: the fold asks for none.
func (i *Identity) Sweep(*stream.Tx, string, []byte) {}

// The bounds of what is looked at for one claim.
const (
	maxSharers  = 16 // endpoints of one key; more, and it tells nobody from anybody
	maxOwners   = 32 // of one address, over time: the latest
	maxTogether = 64 // endpoints that are looked at together
)

// Apply takes a claim or a verdict in.
func (i *Identity) Apply(tx *stream.Tx, ev *stream.Event) {
	c, is := ev.Msg.(*proto.Claim)
	if !is || c.Endpoint.IsZero() {
		return
	}
	if c.Verdict != nil {
		i.verdict(tx, c)
		return
	}
	old := claims.Get(tx, c.Endpoint[:])
	if old != nil && old.Version >= c.Version {
		return
	}
	near := map[proto.ID]bool{c.Endpoint: true}
	var before []indexKey
	if old != nil { // those of keys that it has no more
		before = indexKeys(&old.Claim)
		gather(tx, near, c.Endpoint)
	}
	st := claims.Edit(tx, c.Endpoint[:])
	st.Claim = *c
	st.time, st.domain = ev.Time, ev.Domain
	i.index(tx, near, c.Endpoint, before, indexKeys(c))
	gather(tx, near, c.Endpoint)
	i.decide(tx, near)
}

// index makes an endpoint to be found by its keys, and adds to near whom that concerns.
func (i *Identity) index(tx *stream.Tx, near map[proto.ID]bool, id proto.ID, before, now []indexKey) {
	for _, k := range before {
		if !slices.Contains(now, k) {
			sharers.Delete(tx, slices.Concat(k[:], id[:]))
			disband(tx, near, k, maxSharers)
		}
	}
	for _, k := range now {
		key := slices.Concat(k[:], id[:])
		if slices.Contains(before, k) && (!k.owners() || sharers.Get(tx, key) != nil) { // an earlier owner may have been forgotten
			continue
		}
		sharers.Edit(tx, key).N = 1
		if k.owners() {
			forgetOwner(tx, k)
		} else {
			disband(tx, near, k, maxSharers+1)
		}
	}
}

// disband adds all that share a key of which there are now so many that it tells them
// apart no more, or so few again that it does.
func disband(tx *stream.Tx, near map[proto.ID]bool, k indexKey, crossing int) {
	list := sharersUpTo(tx, k, maxSharers+2)
	if k.owners() || len(list) != crossing {
		return
	}
	for _, id := range list {
		near[id] = true
		gather(tx, near, id)
	}
}

// forgetOwner lets the earliest of too many go who have ever had an address: there are
// ever more of them where guests come and go.
func forgetOwner(tx *stream.Tx, k indexKey) {
	list := sharersUpTo(tx, k, maxOwners+1)
	if len(list) <= maxOwners {
		return
	}
	oldest, since := -1, proto.Time(0)
	for at, id := range list {
		st := claims.Get(tx, id[:])
		if st == nil || st.Class == proto.ClassAddress {
			continue
		}
		latest := proto.Time(0) // of its tenancies
		for i := range st.Keys {
			key := &st.Keys[i]
			if (key.Kind == proto.ClaimOwns || key.Kind == proto.ClaimAnswers) && keyOf(&st.Claim, key) == k {
				latest = max(latest, key.Since)
			}
		}
		if oldest < 0 || latest < since {
			oldest, since = at, latest
		}
	}
	if oldest >= 0 {
		sharers.Delete(tx, slices.Concat(k[:], list[oldest][:]))
	}
}

// verdict takes in what a person has decided about two ids, or taken back.
func (i *Identity) verdict(tx *stream.Tx, c *proto.Claim) {
	v := c.Verdict
	if v.Other.IsZero() || v.Other == c.Endpoint {
		return
	}
	for _, pair := range [...][2]proto.ID{{c.Endpoint, v.Other}, {v.Other, c.Endpoint}} {
		key := slices.Concat(pair[0][:], v.EditID[:])
		if v.Undone {
			verdicts.Delete(tx, key)
			continue
		}
		st := verdicts.Edit(tx, key)
		st.Verdict = *v
		st.Other = pair[1]
	}
	near := map[proto.ID]bool{c.Endpoint: true, v.Other: true}
	gather(tx, near, c.Endpoint)
	gather(tx, near, v.Other)
	i.decide(tx, near)
}

// gather adds all that may be one device with an endpoint, over any number of steps.
func gather(tx *stream.Tx, near map[proto.ID]bool, from proto.ID) {
	queue := []proto.ID{from}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		st := claims.Get(tx, id[:])
		if st == nil {
			continue
		}
		add := func(other proto.ID) {
			if !near[other] && len(near) < maxTogether {
				near[other] = true
				queue = append(queue, other)
			}
		}
		for _, k := range indexKeys(&st.Claim) {
			for _, other := range sharersOf(tx, k) {
				add(other)
			}
		}
		verdicts.Scan(tx, id[:], func(_ []byte, v *verdictState) bool {
			add(v.Other)
			return true
		})
	}
}

// sharersOf are the endpoints that claim a key, nil when they are too many.
func sharersOf(tx *stream.Tx, k indexKey) []proto.ID {
	most := maxSharers
	if k.owners() {
		most = maxOwners
	}
	if list := sharersUpTo(tx, k, most+1); len(list) <= most {
		return list
	}
	return nil
}

// sharersUpTo are the first n endpoints that claim a key.
func sharersUpTo(tx *stream.Tx, k indexKey, n int) (list []proto.ID) {
	sharers.Scan(tx, k[:], func(key []byte, _ *stream.Uint) bool {
		list = append(list, proto.ID(key[len(k):]))
		return len(list) < n
	})
	return list
}

// decide groups endpoints anew, and tells what has changed.
func (i *Identity) decide(tx *stream.Tx, near map[proto.ID]bool) {
	var all []*claimState
	for id := range near {
		if st := claims.Get(tx, id[:]); st != nil {
			all = append(all, st.telling(tx))
		}
	}
	slices.SortFunc(all, func(a, b *claimState) int { return slices.Compare(a.Endpoint[:], b.Endpoint[:]) })
	n := newNearby(tx, all)
	n.join()
	for at, st := range all {
		g := n.grouping(at)
		if g.Group == st.told.Group && g.Since == st.told.Since && g.Watched == st.told.Watched && g.Why == st.told.Why {
			continue
		}
		st = claims.Edit(tx, st.Endpoint[:])
		g.Version = st.told.Version + 1
		g.Time, g.Domain, g.Site = st.time, st.domain, st.Site
		first := st.told.Version == 0 && g.Group == st.Endpoint && !g.Watched
		if st.told = g; first {
			st.told.Version = 0 // what it takes itself for already
			continue
		}
		val, err := proto.Marshal(&g)
		if err != nil { // nothing in it can fail to encode
			tx.Dead("grouping: " + err.Error())
			continue
		}
		tx.As(st.time, st.Site, st.domain).Emit(stream.Output{
			Topic: proto.TopicGroupings, Kind: proto.KindGrouping, Lane: st.Endpoint.Lane(), Key: slices.Clone(st.Endpoint[:]), Value: val, Time: st.time,
		})
	}
}

// nearby are endpoints that may be one device.
type nearby struct {
	all     []*claimState
	between map[[2]int]verdictState // what people have decided, by place, the lower one first
	owner   map[int]owned           // of an endpoint that is an address alone
	group   []int                   // place -> place of one of its group; see root
	why     []string                // place -> why it was joined
	watched []bool
	said    []bool // a person has joined it to another
}

type owned struct {
	by   int
	key  proto.ClaimKey
	held bool // by a lease
}

func newNearby(tx *stream.Tx, all []*claimState) *nearby {
	n := &nearby{all: all, between: map[[2]int]verdictState{}, owner: map[int]owned{}, group: make([]int, len(all)), why: make([]string, len(all)), watched: make([]bool, len(all)), said: make([]bool, len(all))}
	place := map[proto.ID]int{}
	for at, st := range all {
		n.group[at], place[st.Endpoint] = at, at
	}
	for at, st := range all {
		verdicts.Scan(tx, st.Endpoint[:], func(_ []byte, v *verdictState) bool {
			other, known := place[v.Other]
			if !known || other <= at {
				return true
			}
			last, said := n.between[[2]int{at, other}]
			if !said || cmp.Or(cmp.Compare(v.Time, last.Time), slices.Compare(v.EditID[:], last.EditID[:])) > 0 {
				n.between[[2]int{at, other}] = *v
			}
			return true
		})
	}
	n.owners()
	return n
}

// owners finds, for each address alone, who has it: the latest of those that a
// DHCP server gave it to, else the one host that answers for it. A capture of a trunk
// shows an address in each VLAN that it is routed to, and they are all its owner's.
// Where two answer, nobody knows; nor where the address is seen in two VLANs, and more
// than one has it who may be in different ones: a site may use its addresses twice.
func (n *nearby) owners() {
	for at, st := range n.all {
		if st.Class != proto.ClassAddress {
			continue
		}
		for _, k := range st.Keys {
			if k.Kind != proto.ClaimAddress {
				continue
			}
			if best, is := n.ownerOf(at, k.Value); is {
				n.owner[at] = best
			}
		}
	}
}

// ownerOf finds who has the address that an endpoint is.
func (n *nearby) ownerOf(at int, ip string) (owned, bool) {
	best, answering, twice := owned{by: -1}, owned{by: -1}, false
	var leased, answers []int
	for other, o := range n.all {
		if o.Site != n.all[at].Site || other == at {
			continue
		}
		for _, c := range o.Keys {
			switch {
			case c.Value != ip:
			case c.Kind == proto.ClaimAddress:
				twice = true
			case c.Kind == proto.ClaimOwns:
				leased = append(leased, other)
				if best.by < 0 || c.Since > best.key.Since {
					best = owned{other, c, true}
				}
			case c.Kind == proto.ClaimAnswers:
				answering = owned{other, c, false}
				answers = append(answers, other)
			}
		}
	}
	if best.by < 0 && len(answers) == 1 {
		best = answering
	}
	if best.by < 0 {
		return owned{}, false
	}
	// The tenants of one address are of one network, and so of one VLAN.
	elsewhere := func(other int) bool { return n.all[best.by].differs(n.all[other], proto.ClaimVLAN) }
	answersToo := func(other int) bool {
		return other != best.by && n.all[best.by].shared(n.all[other], proto.ClaimVLAN) == ""
	}
	best.key.Since = n.heldSince(best)
	if twice && (slices.ContainsFunc(leased, elsewhere) || slices.ContainsFunc(answers, answersToo)) {
		return owned{}, false
	}
	return best, true
}

// heldSince is from when an owner has had its address: a tenant that comes back to it has
// had it all along, unless somebody else has leased it in between.
func (n *nearby) heldSince(o owned) proto.Time {
	between := proto.Time(0)
	for other, st := range n.all {
		for _, k := range st.Keys {
			if other != o.by && st.Site == n.all[o.by].Site && k.Kind == proto.ClaimOwns && k.Value == o.key.Value && k.Since <= o.key.Since {
				between = max(between, k.Since)
			}
		}
	}
	since := o.key.Since
	for _, k := range n.all[o.by].Keys {
		if k.Kind == proto.ClaimOwns && k.Value == o.key.Value && k.Since > between {
			since = min(since, k.Since)
		}
	}
	return since
}

// link is a reason to take two endpoints for one device.
type link struct {
	a, b  int
	score float64
	why   string
	sure  bool // by one reason that is enough
}

// join puts together what belongs together, the surest first, but never two that
// cannot be one.
func (n *nearby) join() {
	var links []link
	for a := range n.all {
		for b := a + 1; b < len(n.all); b++ {
			if l := n.compare(a, b); l.score >= sameFrom {
				links = append(links, l)
			}
		}
	}
	slices.SortStableFunc(links, func(x, y link) int {
		return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	for _, l := range links {
		a, b := n.root(l.a), n.root(l.b)
		if l.score == certain {
			n.said[l.a], n.said[l.b] = true, true
		}
		if a == b || n.apart(a, b) || !l.sure && (n.unlike(a, b, proto.ClaimHostname) || n.unlike(a, b, proto.ClaimDUID)) {
			continue
		}
		if n.before(b, a) {
			a, b = b, a
		}
		for at := range n.all {
			if n.root(at) == b && n.why[at] == "" {
				n.why[at] = l.why
			}
		}
		n.group[b] = a
	}
}

// root is the endpoint by which a group is named.
func (n *nearby) root(at int) int {
	for n.group[at] != at {
		at = n.group[at]
	}
	return at
}

// before reports that a group is named by a rather than by b: what is surely one
// device for ever goes before what is not, then the older one.
func (n *nearby) before(a, b int) bool {
	x, y := n.all[a], n.all[b]
	return cmp.Or(cmp.Compare(x.Class.Rank(), y.Class.Rank()), cmp.Compare(x.FirstSeen, y.FirstSeen), slices.Compare(x.Endpoint[:], y.Endpoint[:])) < 0
}

// apart reports that two groups have members that cannot be one device. Of those that a
// person has joined to others, only persons can say so.
func (n *nearby) apart(a, b int) bool {
	for x := range n.all {
		if n.root(x) != a {
			continue
		}
		for y := range n.all {
			if n.root(y) != b {
				continue
			}
			if v, person := n.between[[2]int{min(x, y), max(x, y)}]; person && !v.Same || !n.said[x] && !n.said[y] && n.veto(x, y) != "" {
				return true
			}
		}
	}
	return false
}

// unlike reports that the members of two groups claim something of a kind, and nothing of
// it alike: what lies between them is of two devices.
func (n *nearby) unlike(a, b int, kind proto.ClaimKind) bool {
	var values [2]claimState
	for x := range n.all {
		for side, root := range [...]int{a, b} {
			if n.root(x) == root && !n.borne(x) {
				values[side].Keys = append(values[side].Keys, n.all[x].Keys...)
			}
		}
	}
	return values[0].differs(&values[1], kind)
}

// grouping is what has been concluded of an endpoint.
func (n *nearby) grouping(at int) proto.Grouping {
	st, root := n.all[at], n.root(at)
	g := proto.Grouping{Endpoint: st.Endpoint, Group: n.all[root].Endpoint, Watched: n.watched[at]}
	if root != at {
		g.Why = n.why[at]
		if o, is := n.owner[at]; is && n.root(o.by) == root {
			g.Since = o.key.Since
		}
		return g
	}
	if was := st.told.Group; was != st.Endpoint && !was.IsZero() { // it has left
		g.Why = n.parted(at, was)
	} else if was == st.Endpoint {
		g.Why = st.told.Why
	}
	return g
}

// parted says why an endpoint is no longer part of a device.
func (n *nearby) parted(at int, was proto.ID) string {
	i := slices.IndexFunc(n.all, func(st *claimState) bool { return st.Endpoint == was })
	if i >= 0 {
		if why := n.veto(at, i); why != "" {
			return why
		}
		if n.all[at].Site != n.all[i].Site || n.all[at].Class == proto.ClassLocal {
			if h := concurrent(n.all[at], n.all[i]); h > maxConcurrent {
				return "both were seen in the same hours, " + strconv.Itoa(h) + " of the last 64"
			}
		}
	}
	if n.all[at].Class == proto.ClassAddress {
		return "nobody is known to have the address any more"
	}
	return "what joined them no longer holds"
}
