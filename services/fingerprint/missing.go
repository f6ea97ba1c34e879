package fingerprint

import (
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// When a silent device is missing: the endpoint fold has the clock that says so, and
// tells it with a summary; what it makes of the device's life is in life.go.

const (
	// missingAfter is the silence after which a device is missing, where a site's policy
	// says nothing: a device that is used at all is, in most weeks.
	missingAfter = 7 * 24 * time.Hour

	// A device that was away for long at least twice is so ordinarily: it is missing
	// after half as long again as the second longest, up to missingMost.
	missingMost = 90 * 24 * time.Hour

	// missingStep is how often a silent device is looked at, to note when no sensor was
	// listening: time in which nobody was heard does not count.
	missingStep = 24 * time.Hour
)

const (
	timerMissing  = 'm'
	tablePolicies = 'y'
)

var missingPolicies = stream.NewTable[stream.Uint](tablePolicies, 0) // site -> seconds

// policy keeps what a site's policy says of missing devices. It holds from the next
// look at each on.
func (e *Endpoint) policy(tx *stream.Tx, p *proto.Policy) {
	switch had := missingPolicies.Get(tx, []byte(p.Site)); {
	case p.MissingAfterS > 0:
		missingPolicies.Edit(tx, []byte(p.Site)).N = uint64(p.MissingAfterS)
	case had != nil:
		missingPolicies.Delete(tx, []byte(p.Site))
	}
}

// absence takes one in that is over: a silence longer than is ordinary.
func (h *habit) absence(d time.Duration, now proto.Time) {
	if d <= h.offlineAfter(now) {
		return
	}
	for i := range h.away {
		h.away[i] -= h.away[i] / 64
	}
	switch {
	case d > h.away[0]:
		h.away = [2]time.Duration{d, h.away[0]}
	case d > h.away[1]:
		h.away[1] = d
	}
}

// missing is the silence after which the endpoint is missing.
func (s *useState) missing(tx *stream.Tx, site string) time.Duration {
	after := missingAfter
	if p := missingPolicies.Get(tx, []byte(site)); p != nil {
		after = time.Duration(p.N) * time.Second
	}
	if s == nil {
		return after
	}
	return max(after, min(s.habit.away[1]*3/2, missingMost)) + s.unheard
}

// miss begins to wait for an endpoint that has fallen silent.
func (h *host) miss(tx *stream.Tx, id proto.ID) {
	s := uses.Edit(tx, id[:])
	if s.waited {
		return
	}
	s.waited = true
	tx.Timer(min(h.last.Add(s.missing(tx, h.site)), tx.Now().Add(missingStep)), timerKey(timerMissing, id))
}

// missed reports whether the endpoint is missing now; else it goes on waiting, unless
// it is back.
func (h *host) missed(tx *stream.Tx, id proto.ID, t stream.Timer) bool {
	s := uses.Edit(tx, id[:])
	s.waited = false
	if t.At.Sub(h.last) <= s.habit.offlineAfter(h.last) {
		return false // the watch begins anew when it falls silent again
	}
	if t.Quiet > shortSilence {
		s.unheard += t.Quiet
	}
	due := h.last.Add(s.missing(tx, h.site))
	if t.At >= due {
		return true
	}
	s.waited = true
	tx.Timer(min(due, t.At.Add(missingStep)), timerKey(timerMissing, id))
	return false
}

// unwatched ends the wait with a capture file, whose timers end with it.
func (h *host) unwatched(tx *stream.Tx, id proto.ID) {
	if s := uses.Get(tx, id[:]); s != nil && s.waited {
		uses.Edit(tx, id[:]).waited = false
	}
}

// tagged notes the VLAN that the endpoint's own frames are in, and reports whether it
// is news. Frames behind a router are in the router's.
func (h *host) tagged(tx *stream.Tx, id proto.ID, mac proto.MAC, vlan proto.VLAN, at proto.Time) bool {
	if vlan == 0 || vlan == h.vlan {
		return false
	}
	h.vlan = vlan
	if proto.MACEndpoint(h.site, mac) != id {
		return false
	}
	return noted(tx, id, proto.Evidence{Attribute: attrVLAN, Value: vlanText(vlan), Protocol: "802.1q", First: at, Last: at, Weight: 0.9})
}
