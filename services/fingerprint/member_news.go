package fingerprint

import (
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// memberNews is how the last summary of an endpoint differs from that in its row, where
// it does by when and how often things were seen alone, as nearly all do. It lies with the
// device, which each summary changes anyway.
type memberNews struct {
	repeats
	versions uint64 // by how many its version is higher; 0: the row has the last summary
	seen     proto.Time
}

// mostNews bounds it; what is more is written.
const mostNews = 12

// differs gives what sets a summary apart from the one in a row; ok is false where that is
// more than the row's news may be.
func differs(row, s *proto.Summary) (n memberNews, ok bool) {
	if row.Site != s.Site || row.MAC != s.MAC || row.Gateway != s.Gateway || row.FirstSeen != s.FirstSeen || row.Final != s.Final ||
		row.Offline != s.Offline || row.Missing != s.Missing || row.Since != s.Since || row.Why != s.Why || row.Version >= s.Version ||
		len(row.Evidence) != len(s.Evidence) || !slices.Equal(row.IPs, s.IPs) || !slices.Equal(row.Hostnames, s.Hostnames) || !slices.Equal(row.AETitles, s.AETitles) {
		return n, false
	}
	n = memberNews{versions: s.Version - row.Version, seen: s.LastSeen}
	for i := range s.Evidence {
		a, b := &row.Evidence[i], &s.Evidence[i]
		if a.Attribute != b.Attribute || a.Value != b.Value || a.Protocol != b.Protocol || a.First != b.First || a.Weight != b.Weight || b.Count < a.Count || b.Last < a.Last {
			return n, false
		}
		if a.Count == b.Count && a.Last == b.Last {
			continue
		}
		if n.list = append(n.list, repeat{at: i, count: b.Count - a.Count, last: b.Last}); len(n.list) > mostNews {
			return n, false
		}
	}
	return n, true
}

// upToDate gives a member's last summary of that in its row.
func (st *deviceState) upToDate(row *proto.Summary) *proto.Summary {
	if st == nil {
		return row
	}
	i, found := st.find(row.Endpoint)
	if !found || st.bindings[i].member.versions == 0 {
		return row
	}
	n := &st.bindings[i].member
	s := *row
	s.Version, s.LastSeen, s.Evidence = row.Version+n.versions, n.seen, slices.Clone(row.Evidence)
	n.into(s.Evidence)
	return &s
}

// versionOf is that of a member's last summary.
func (st *deviceState) versionOf(row *memberState, endpoint proto.ID) uint64 {
	if st != nil {
		if i, found := st.find(endpoint); found {
			return row.Version + st.bindings[i].member.versions
		}
	}
	return row.Version
}

// keep takes in a member's last summary, and reports whether its row is to be written.
func (st *deviceState) keep(row, s *proto.Summary) (write bool) {
	i, found := st.find(s.Endpoint)
	if !found {
		return true
	}
	n, ok := differs(row, s)
	if ok = ok && len(st.bindings) <= mostTogether; !ok {
		n = memberNews{}
	}
	st.bindings[i].member = n
	return !ok
}

// mostTogether is how many endpoints a device has at most whose news lie with it: of one
// that has more, each summary would write those of all.
const mostTogether = 4

func (n *memberNews) appendTo(w *packer) {
	w.uint(n.versions)
	if n.versions > 0 {
		w.time(n.seen)
		w.b = n.appendGroups(w.b, n.seen)
	}
}

func (n *memberNews) parse(u *unpacker) {
	if n.versions = u.Uint(); n.versions > 0 {
		n.seen = u.time()
		n.parseGroups(u.Decoder, n.seen)
	}
}
