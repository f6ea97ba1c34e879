package fingerprint

import (
	"slices"
	"strconv"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// When an address is surely an endpoint's, and since when.

// How surely an endpoint has an address.
const (
	ownsNot     = iota
	ownsAnswers // its own ARP (RFC 826) or neighbour discovery (RFC 4861) says so
	ownsLeased  // a DHCP server says so
	ownsGivenUp // a DHCP server has said so, and it has released it: the next lease is a new tenancy
)

const (
	maxTenancies  = 4 // of one address
	longestLease  = 24 * time.Hour
	shortestLease = time.Minute
)

const tableLeases = 'l'

var leases = stream.NewTable[stream.Uint](tableLeases, 0) // endpoint -> when a DHCP server last gave it an IPv4 address

// ownership is how surely an observation shows that its endpoint has its address.
func ownership(o *proto.Observation) uint8 {
	switch o.Protocol {
	case "dhcp", "dhcpv6":
		switch {
		case o.Attributes.Get("role") == "server":
		case o.Kind == "ack" || o.Kind == "reply":
			return ownsLeased
		case o.Kind == "release":
			return ownsGivenUp
		}
	case "arp":
		if o.Kind != "probe" {
			return ownsAnswers
		}
	case "ndp":
		return ownsAnswers
	}
	return ownsNot
}

// owns notes that the endpoint has its address for sure, and reports whether that
// was not known.
func owns(tx *stream.Tx, id proto.ID, o *proto.Observation) bool {
	how := ownership(o)
	p := profiles.Get(tx, id[:])
	if how == ownsNot || p == nil {
		return false
	}
	last, fresh := proto.Time(0), false
	if how == ownsLeased && o.IP.Unmap().Is4() {
		last, fresh = lapsed(tx, id, o)
	}
	i := p.latest(o.IP.Unmap())
	if i < 0 {
		return false
	}
	a := &p.addresses[i]
	switch {
	case how == ownsGivenUp:
		if a.owned == ownsLeased {
			writeProfile(tx, id).addresses[i].owned = ownsGivenUp
		}
		return false
	case how == ownsLeased && a.first < o.Time && (fresh || a.owned == ownsGivenUp):
		writeProfile(tx, id).again(i, last, o.Time)
		return true
	case a.owned >= how:
		return false
	}
	writeProfile(tx, id).addresses[i].owned = how
	return true
}

// lapsed notes a lease, and says when the one before was given, and whether it was over:
// another may have had the address in between.
func lapsed(tx *stream.Tx, id proto.ID, o *proto.Observation) (last proto.Time, over bool) {
	if st := leases.Get(tx, id[:]); st != nil {
		last = proto.Time(st.N)
	}
	if o.Time > last {
		leases.Edit(tx, id[:]).N = uint64(o.Time)
	}
	return last, last != 0 && o.Time.Sub(last) > leaseTime(o)
}

// leaseTime is how long a lease holds; servers seldom change it, so it is that of the
// one before as well. A server that has lost its list gives an address to others before
// its time, so a day is the most.
func leaseTime(o *proto.Observation) time.Duration {
	s, err := strconv.ParseUint(o.Attributes.Get("lease_s"), 10, 32)
	if err != nil {
		return sameTenancy
	}
	return max(shortestLease, min(time.Duration(s)*time.Second, longestLease))
}

// again begins another tenancy of an address by lease. Of each address there are a few:
// the first, from which it is the endpoint's when nobody else has had it since, and the
// latest.
func (p *profile) again(at int, last, since proto.Time) {
	p.addresses[at].last = max(p.addresses[at].last, last)
	a := p.addresses[at]
	second, n := -1, 0
	for i := range p.addresses {
		if p.addresses[i].ip == a.ip {
			if n++; n == 2 {
				second = i
			}
		}
	}
	if n >= maxTenancies {
		p.addresses = slices.Delete(p.addresses, second, second+1)
	}
	p.begin(tenancy{ip: a.ip, protocol: a.protocol, first: since, last: since, count: 1, owned: ownsLeased})
}
