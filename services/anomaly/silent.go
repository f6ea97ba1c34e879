package anomaly

import (
	"strconv"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

const (
	// absence is a pause that is no pause: the device was away. Shorter ones raise
	// the longest pause that is usual for it.
	absence = 2 * time.Hour
	// margin is what a flow may be late by: it is told when it has been idle.
	margin = 5 * time.Minute
	// steadyTalks and steadySpan: a device of which less was heard is not known.
	steadyTalks = 20
	steadySpan  = 4 * time.Hour
	// grain is how exactly the last word is known.
	grain = 5 * time.Second
	// sensorAway is how long a sensor may say nothing before silence proves less.
	sensorAway = 5 * time.Minute
)

// movable are the types that are carried about or switched off at will: those
// that are switched off are never missed, the others only after twice the time.
var (
	switchedOff = map[string]bool{"laptop": true, "workstation": true, "mobile": true, "imaging_workstation": true, "media_player": true}
	carried     = map[string]bool{"ultrasound": true, "ecg": true, "endoscopy": true, "poc_analyzer": true, "scale": true, "printer": true}
)

// talk notes that the endpoint said something from first to last, and learns the
// rhythm of it. What follows within seconds tells nothing more about that: it is
// passed over, so that a busy endpoint's state is not written with each flow.
func (c *call) talk(first, last proto.Time) {
	domain := hash64([]byte(c.domain))
	if h := hosts.Get(c.tx, c.id[:]); h != nil && h.present && h.timer == domain && last.Sub(h.last) < grain && h.talks >= steadyTalks {
		c.h = h
		return
	}
	h := hosts.Edit(c.tx, c.id[:])
	c.h = h
	if h.first == 0 {
		h.first, h.last = first, last
	}
	if h.present {
		if gap := first.Sub(h.last); gap > absence {
			h.missed.addRange(slotOf(h.last)+1, slotOf(first)-1)
		} else {
			h.gap = max(h.gap, gap)
			h.seen.addRange(min(slotOf(h.last)+1, slotOf(first)), slotOf(first))
		}
	}
	h.seen.addRange(slotOf(first), slotOf(last))
	h.talks++
	h.last = max(h.last, last)
	h.first = min(h.first, first)
	h.present, h.grace = true, false
	if h.told {
		h.told = false
		detections.Delete(c.tx, detectionKey(c.id, deviceSilent, [peerLen]byte{})) // it is back: the next silence is another
	}
	if h.timer != domain {
		h.timer = domain
		c.tx.Timer(h.last.Add(c.patience()), append([]byte{timerSilence}, c.id[:]...))
	}
}

// patience is how long the endpoint may say nothing.
func (c *call) patience() time.Duration {
	limit := defaultSilence
	if c.p.SilenceMinS > 0 {
		limit = time.Duration(c.p.SilenceMinS) * time.Second
	}
	limit = max(limit, 2*c.h.gap+margin)
	if carried[c.kind().typ] {
		limit *= 2
	}
	return limit
}

// deadline is reached: the endpoint has been silent for its time, or has talked
// since and gets a new deadline.
func (c *call) deadline(t stream.Timer) {
	if hosts.Get(c.tx, c.id[:]) == nil {
		return
	}
	h := hosts.Edit(c.tx, c.id[:])
	c.h = h
	if !h.present || h.told || h.timer != hash64([]byte(t.Domain)) {
		h.timer = 0
		return
	}
	if due := h.last.Add(c.patience()); due > t.At {
		c.tx.Timer(due, t.Key)
		return
	}
	h.timer = 0 // set again when it talks
	switch {
	case t.Quiet > max(sensorAway, c.patience()): // nobody was watching; it counts again once it is heard
		h.present = false
	case t.Quiet > sensorAway && !h.grace: // on a wire that is quiet itself, it may still be about to be heard
		h.grace, h.timer = true, hash64([]byte(t.Domain))
		c.tx.Timer(t.At.Add(t.Quiet+margin), t.Key)
	case c.p.learns(h.first, t.At) || switchedOff[c.kind().typ] || !h.expected(t.At):
	default:
		h.told = true
		c.silent(t.At)
	}
}

// expected reports whether the device always talked at this time of day: in all
// quarters of an hour from after its last word up to now.
func (h *host) expected(now proto.Time) bool {
	if h.talks < steadyTalks || h.last.Sub(h.first) < steadySpan {
		return false
	}
	for n := min(slotOf(h.last)+1, slotOf(now)); n <= slotOf(now); n++ {
		if !h.seen.has(n) || h.missed.has(n) {
			return false
		}
	}
	return true
}

func (c *call) silent(at proto.Time) {
	k := c.kind()
	severity := proto.SeverityLow
	switch {
	case k.lifeSustaining:
		severity = proto.SeverityHigh
	case k.patients() || k.category == "network":
		severity = proto.SeverityMedium
	}
	quiet := at.Sub(c.h.last)
	c.detect(deviceSilent, [peerLen]byte{}, &proto.Detection{
		Time: at, Rule: deviceSilent.name, Severity: severity, First: c.h.last, Last: at, Attack: deviceSilent.attack,
		Title: title(k) + " has been silent for " + strconv.Itoa(int(quiet.Round(time.Minute)/time.Minute)) + " min, and never was at this time of day",
		Evidence: proto.Object{
			"last_seen": c.h.last.String(), "silence_s": strconv.FormatInt(int64(quiet/time.Second), 10),
			"longest_gap_s": strconv.FormatInt(int64(c.h.gap/time.Second), 10),
		},
	})
}
