package fingerprint

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// again has what an earlier release kept apart from the host.
const tableAgain = 'a'

var again = stream.NewTable[repeats](tableAgain, 0)

// unwritten is what has come to an endpoint's profile since that was written: evidence that
// it has already and that was told again, how often the endpoint was told, and in which
// hours it was seen. Most of what is ever told is of this kind. It lies with the host,
// which each observation changes anyway, so that it does not cost the changelog a whole
// profile each time, and comes into the profile when that is written for another reason
// or this has become much.
type unwritten struct {
	repeats
	told  uint64     // times
	held  proto.Time // up to when the addresses that it has now were its own, as told last; 0: not told
	hour  int64      // the latest in which it was seen, 0 for none, and those before it: see profile.hour
	hours uint64
}

// The bounds of what waits for a profile to be written: with more at hand when the
// endpoint is told, and with more at any time.
const (
	manyRepeats = 10
	mostRepeats = 16
)

// repeats are evidence that is told again: how often, and when last.
type repeats struct {
	list []repeat // sorted by at
}

type repeat struct {
	at    int // place in the profile's evidence
	count uint64
	last  proto.Time
}

// AppendTo encodes the repeats; times are told from the latest backwards.
func (r *repeats) AppendTo(b []byte) []byte {
	latest := proto.Time(0)
	for _, x := range r.list {
		latest = max(latest, x.last)
	}
	b = stream.AppendInt(b, int64(latest))
	for _, x := range r.list {
		b = stream.AppendUint(stream.AppendUint(b, uint64(x.at)), x.count)
		b = stream.AppendUint(b, uint64(latest-x.last))
	}
	return b
}

// Parse decodes the repeats.
func (r *repeats) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*r = repeats{}
	latest := proto.Time(d.Int())
	r.list = make([]repeat, 0, len(b)/4+1)
	for d.More() {
		r.list = append(r.list, repeat{int(d.Uint()), d.Uint(), latest - proto.Time(d.Uint())})
	}
	return d.Err()
}

func (r *repeats) add(at int, t proto.Time) {
	i, found := slices.BinarySearchFunc(r.list, at, func(x repeat, at int) int { return cmp.Compare(x.at, at) })
	if !found {
		r.list = slices.Insert(r.list, i, repeat{at: at, last: t})
	}
	r.list[i].count++
	r.list[i].last = max(r.list[i].last, t)
}

// empty reports that there is nothing.
func (n *unwritten) empty() bool { return len(n.list) == 0 && n.told == 0 }

// appendTo encodes what is new; times are told from when the host was seen last.
func (n *unwritten) appendTo(b []byte, last proto.Time) []byte {
	b = stream.AppendUint(b, n.told)
	if n.told > 0 {
		b = stream.AppendInt(stream.AppendInt(b, int64(last-n.held)), hourOf(last)-n.hour)
		b = stream.AppendUint(b, n.hours)
	}
	return n.appendGroups(b, last)
}

// appendGroups encodes at most 64 repeats: those together that one observation made.
func (r *repeats) appendGroups(b []byte, last proto.Time) []byte {
	var done uint64
	groups, at := 0, len(b)
	for i, x := range r.list {
		if done&(1<<i) != 0 {
			continue
		}
		groups++
		b = stream.AppendUint(stream.AppendInt(b, int64(last-x.last)), x.count)
		size := len(b)
		b = append(b, 0)
		for j, y := range r.list[i:] {
			if y.last == x.last && y.count == x.count {
				done |= 1 << (i + j)
				b[size]++
				b = stream.AppendUint(b, uint64(y.at))
			}
		}
	}
	return slices.Insert(b, at, byte(groups))
}

// parse decodes what is new.
func (n *unwritten) parse(d *stream.Decoder, last proto.Time) {
	*n = unwritten{told: d.Uint()}
	if n.told > 0 {
		n.held = last - proto.Time(d.Int())
		n.hour, n.hours = hourOf(last)-d.Int(), d.Uint()
	}
	n.parseGroups(d, last)
}

func (r *repeats) parseGroups(d *stream.Decoder, last proto.Time) {
	for groups := d.Uint(); groups > 0 && d.More(); groups-- {
		x := repeat{last: last - proto.Time(d.Int()), count: d.Uint()}
		for size := d.Uint(); size > 0 && d.More(); size-- {
			x.at = int(d.Uint())
			r.list = append(r.list, x)
		}
	}
	slices.SortFunc(r.list, func(a, b repeat) int { return cmp.Compare(a.at, b.at) })
}

// into brings evidence up to date.
func (r *repeats) into(list []proto.Evidence) {
	for _, x := range r.list {
		if x.at < len(list) {
			e := &list[x.at]
			e.Count, e.Last = e.Count+x.count, max(e.Last, x.last)
		}
	}
}

// tell notes that the endpoint is told, and was seen last at that moment.
func (n *unwritten) tell(last proto.Time) {
	n.told++
	n.held = last
	n.hour, n.hours = sawHour(n.hour, n.hours, last)
}

// into brings the host's profile up to date.
func (n *unwritten) into(p *profile, h *host) {
	n.repeats.into(p.evidence)
	if n.told == 0 {
		return
	}
	p.version += n.told
	for ago := int64(63); ago >= 0; ago-- {
		if n.hours&(1<<ago) != 0 {
			p.saw(proto.Time(n.hour-ago) * hourNS)
		}
	}
	for _, ip := range [...]netip.Addr{h.ip4, h.ip6} {
		if ip.IsValid() {
			p.extend(ip, n.held)
		}
	}
}

// writeProfile gives an endpoint's profile for changing, up to date.
func writeProfile(tx *stream.Tx, id proto.ID) *profile {
	p := profiles.Edit(tx, id[:])
	if r := again.Get(tx, id[:]); r != nil {
		r.into(p.evidence)
		again.Delete(tx, id[:])
	}
	if h := hosts.Get(tx, id[:]); h != nil && !h.unwritten.empty() {
		h := hosts.Edit(tx, id[:])
		h.unwritten.into(p, h)
		h.unwritten = unwritten{}
	}
	return p
}

// profile gives the host's profile up to date, for reading.
func (h *host) profile(tx *stream.Tx, id proto.ID) *profile {
	if again.Get(tx, id[:]) != nil || len(h.unwritten.list) > manyRepeats {
		return writeProfile(tx, id)
	}
	p := profiles.Get(tx, id[:])
	if p == nil {
		p = writeProfile(tx, id)
	}
	if h.unwritten.empty() {
		return p
	}
	now := *p
	now.evidence, now.addresses = slices.Clone(p.evidence), slices.Clone(p.addresses)
	h.unwritten.into(&now, h)
	return &now
}

// noted takes a reason in, and reports whether it is a new one.
func noted(tx *stream.Tx, id proto.ID, v proto.Evidence) bool {
	v.Value = clean(v.Value)
	if v.Value == "" {
		return false
	}
	once := v.Protocol == "tcp" // told once an hour by each sensor; when, depends on when it began to look
	if p := profiles.Get(tx, id[:]); p != nil {
		i, found := slices.BinarySearchFunc(p.evidence, v, compareEvidence)
		if found && v.Weight <= p.evidence[i].Weight && v.First >= p.evidence[i].First {
			if !once {
				n := &hosts.Edit(tx, id[:]).unwritten
				if n.add(i, v.Last); len(n.list) > mostRepeats {
					writeProfile(tx, id)
				}
			}
			return false
		}
	}
	p := writeProfile(tx, id)
	isNew := p.add(v.Attribute, v.Value, v.Protocol, v.Weight, v.Last)
	if i, found := slices.BinarySearchFunc(p.evidence, v, compareEvidence); once && found {
		p.evidence[i].Last, p.evidence[i].Count = p.evidence[i].First, 1
	}
	return isNew
}
