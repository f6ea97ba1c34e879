package anomaly

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// maxTargets bounds the targets that a detection lists.
const maxTargets = 64

func detectionKey(id proto.ID, r *rule, target [peerLen]byte) []byte {
	return append(append(id[:], r.id), target[:]...)
}

// title names the kind of device, as far as it is known.
func title(k *kind) string {
	switch {
	case acronyms[k.typ]:
		return strings.ToUpper(k.typ)
	case k.typ != "":
		t := strings.ReplaceAll(k.typ, "_", " ")
		return strings.ToUpper(t[:1]) + t[1:]
	case k.category == "unknown" || k.category == "":
		return "A device of unknown kind"
	}
	return "A device (" + k.category + ")"
}

// detect reports d, or counts it up when the same has been reported already.
func (c *call) detect(r *rule, target [peerLen]byte, d *proto.Detection) {
	if c.p.mute(d.First) && c.p.mute(d.Last) {
		return
	}
	if st := c.alive(r, target, d.First); st != nil {
		for _, t := range d.Targets {
			c.target(st, t)
		}
		c.repeat(st, d.Last, max(d.Count, 1))
		return
	}
	key := detectionKey(c.id, r, target)
	st := detections.Edit(c.tx, key)
	*st = detection{}
	st.Detection = *d
	if st.Time == 0 {
		st.Time = c.tx.Now()
	}
	st.Site, st.Endpoint, st.DeviceID, st.Count = c.site, c.id, c.kind().device, max(d.Count, 1)
	at := make([]byte, 8)
	for i := range at {
		at[i] = byte(uint64(st.First) >> (8 * i))
	}
	st.DetectionID = proto.HashID("detection", []byte(c.site), []byte(r.name), c.id[:], target[:], at)
	st.rested = c.tx.Now().Add(r.rests)
	c.tx.Timer(st.rested, append([]byte{timerRest}, key...))
	tell(c.tx, st, activityCreate)
}

// alive gives the detection of a key, unless it has rested at t: then it is ended
// here, since the watermark and its timer come after the events.
func (c *call) alive(r *rule, target [peerLen]byte, t proto.Time) *detection {
	key := detectionKey(c.id, r, target)
	d := detections.Get(c.tx, key)
	if d == nil {
		return nil
	}
	d = detections.Edit(c.tx, key)
	if t >= d.restsAt(r) {
		c.end(key, d)
		return nil
	}
	return d
}

// restsAt is when a detection is over, if it is not repeated. A peer is no news
// after its time, however often the two go on.
func (d *detection) restsAt(r *rule) proto.Time {
	if r == newPeer || r == newExternalPeer {
		return d.Time.Add(r.rests)
	}
	return d.Last.Add(r.rests)
}

// end tells a detection's final count, and forgets it.
func (c *call) end(key []byte, d *detection) {
	if d.Count != d.told {
		tellAgain(c.tx, d)
	}
	detections.Delete(c.tx, key)
}

// target adds a target to a detection, and makes it be told when their number
// has doubled.
func (c *call) target(d *detection, ip string) {
	if slices.Contains(d.Targets, ip) || len(d.Targets) >= maxTargets {
		return
	}
	d.Targets = append(slices.Clip(d.Targets), ip)
	if n := len(d.Targets); n&(n-1) == 0 {
		d.again = 0
	}
}

// repeat counts a detection up, and tells it when the count has come to another
// power of ten.
func (c *call) repeat(d *detection, last proto.Time, n uint64) {
	d.Count += n
	d.Last = max(d.Last, last)
	if d.Count >= d.again {
		tellAgain(c.tx, d)
	}
}

func tellAgain(tx *stream.Tx, d *detection) { tell(tx, d, activityUpdate) }

// tell emits the detection and its alert.
func tell(tx *stream.Tx, d *detection, activity int) {
	d.told = d.Count
	d.again = 10
	for d.again <= d.Count {
		d.again *= 10
	}
	lane := d.Endpoint.Lane()
	val, err := json.Marshal(&d.Detection)
	if err != nil { // text and numbers always marshal
		tx.Dead("detection: " + err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicDetections, Kind: proto.KindDetection, Lane: lane, Key: d.DetectionID[:], Value: val, Time: tx.Now()})
	alert, err := json.Marshal(finding(&d.Detection, activity))
	if err != nil {
		tx.Dead("alert: " + err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicAlerts, Kind: proto.KindAlert, Lane: lane, Key: d.DetectionID[:], Value: alert, Time: tx.Now()})
}

// rest ends a detection that has not been repeated for its rule's time: its final
// count is told, and the same thing later is a new detection.
func (c *call) rest(t stream.Timer, key []byte) {
	d := detections.Get(c.tx, key)
	if d == nil || d.rested != t.At {
		return // another detection of the same key lives since
	}
	r := ruleOf(key[idLen])
	if r == nil {
		return
	}
	d = detections.Edit(c.tx, key)
	if due := d.restsAt(r); due > t.At {
		d.rested = due
		c.tx.Timer(due, t.Key)
		return
	}
	c.end(key, d)
}

func ruleOf(id byte) *rule {
	for _, r := range rules {
		if r.id == id {
			return r
		}
	}
	return nil
}
