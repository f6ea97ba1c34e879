package fingerprint

import (
	"cmp"
	"slices"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

const tableAgain = 'a'

var again = stream.NewTable[repeats](tableAgain, 0) // endpoint -> what was told again since its profile was written

// repeats are evidence that an endpoint's profile has already and that was told again:
// how often, and when last. Most of what is ever told is of this kind. It is kept
// apart so that it does not cost the changelog a whole profile each time, and comes
// into the profile when that is written anyway.
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

// writeProfile gives an endpoint's profile for changing, with all that was told again.
func writeProfile(tx *stream.Tx, id proto.ID) *profile {
	p := profiles.Edit(tx, id[:])
	if r := again.Get(tx, id[:]); r != nil {
		for _, x := range r.list {
			if x.at < len(p.evidence) {
				e := &p.evidence[x.at]
				e.Count, e.Last = e.Count+x.count, max(e.Last, x.last)
			}
		}
		again.Delete(tx, id[:])
	}
	return p
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
				again.Edit(tx, id[:]).add(i, v.Last)
			}
			return false
		}
	}
	p := writeProfile(tx, id)
	news := p.add(v.Attribute, v.Value, v.Protocol, v.Weight, v.Last)
	if i, found := slices.BinarySearchFunc(p.evidence, v, compareEvidence); once && found {
		p.evidence[i].Last, p.evidence[i].Count = p.evidence[i].First, 1
	}
	return news
}
