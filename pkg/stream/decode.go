package stream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// decoder makes the events of records. What it gives is valid until its next call.
type decoder struct {
	batch proto.Batch
	out   []pending
}

// decode makes the events of a record. What cannot be used comes back with dead
// set, and costs nothing else.
func (d *decoder) decode(r Record) []pending {
	if r.Topic == proto.TopicTraffic {
		d.decodeBatch(r)
	} else {
		d.out = append(d.out[:0], decodeSingle(r))
	}
	return d.out
}

func decodeSingle(r Record) pending {
	pd := pending{pos: proto.Position{Offset: r.Offset}, arrival: r.Time, size: len(r.Value)}
	pd.ev.Topic = r.Topic
	pd.ev.Cause = proto.Cause{Partition: -1}
	var env proto.Envelope
	if err := env.Parse(r.Envelope); err != nil {
		pd.dead = "no readable envelope: " + reason(err)
		return pd
	}
	pd.producer, pd.seq = env.Producer, env.Seq
	pd.ev.Cause, pd.ev.Time, pd.ev.Domain = env.Cause, env.Time, env.Domain
	pd.decodeValue(env.Kind, r.Value)
	return pd
}

func (pd *pending) decodeValue(kind string, value []byte) {
	var err error
	switch kind {
	case proto.KindProgress:
		pd.progress = new(proto.Progress)
		if err = proto.Unmarshal(value, pd.progress); err != nil {
			pd.progress = nil
		}
	case proto.KindSummary:
		m := new(proto.Summary)
		err = pd.tells(m, &m.Site, proto.Unmarshal(value, m))
	case proto.KindClaim:
		m := new(proto.Claim)
		err = pd.tells(m, &m.Site, proto.Unmarshal(value, m))
	case proto.KindGrouping:
		m := new(proto.Grouping)
		err = pd.tells(m, &m.Site, proto.Unmarshal(value, m))
	case proto.KindNested:
		m := new(proto.Nested)
		err = pd.tells(m, &m.Site, proto.Unmarshal(value, m))
	case proto.KindBinding:
		m := new(proto.Binding)
		err = pd.tells(m, &m.Site, proto.Unmarshal(value, m))
	case proto.KindDetection:
		m := new(proto.Detection)
		err = pd.tells(m, &m.Site, json.Unmarshal(value, m))
	case proto.KindControl:
		m := new(proto.Control)
		err = json.Unmarshal(value, m)
		pd.ev.Msg = m
		if m.Policy != nil {
			pd.ev.Site = m.Policy.Site
		}
	case proto.KindEdit:
		m := new(proto.Edit)
		err = json.Unmarshal(value, m)
		pd.ev.Msg, pd.ev.Time = m, m.Time
		pd.producer = "" // many write edits, and each has an id by which the fold knows it again
	default:
		// A newer writer's message: skipped, as the design asks.
		pd.ev.Msg = nil
	}
	if err != nil {
		pd.dead = fmt.Sprintf("unreadable %s: %s", kind, reason(err))
	}
}

// tells makes the event of a message that has been read, and of its site.
func (pd *pending) tells(m any, site *string, err error) error {
	pd.ev.Msg, pd.ev.Site = m, *site
	return err
}

func (d *decoder) decodeBatch(r Record) {
	b := &d.batch
	if err := proto.Unmarshal(r.Value, b); err != nil {
		d.out = append(d.out[:0], pending{
			pos: proto.Position{Offset: r.Offset}, arrival: r.Time, size: len(r.Value),
			dead: "unreadable traffic batch: " + reason(err),
			ev:   Event{Topic: r.Topic, Cause: proto.Cause{Partition: r.Partition, Position: proto.Position{Offset: r.Offset}}},
		})
		return
	}
	d.out = slices.Grow(d.out[:0], len(b.Items))
	for i := range b.Items {
		it := &b.Items[i]
		pos := proto.Position{Offset: r.Offset, Index: int32(i)}
		d.out = append(d.out, pending{
			pos: pos, producer: b.Producer, seq: b.FirstSeq + uint64(i), arrival: r.Time, sent: r.Sent, sensor: b.Sensor,
			ev: Event{Topic: r.Topic, Cause: proto.Cause{Partition: r.Partition, Position: pos}, Domain: b.Domain, Site: b.Site, Mirror: it.Mirror},
		})
		pd := &d.out[i]
		switch {
		case it.Flow != nil:
			pd.ev.Time, pd.ev.Msg = it.Flow.End, it.Flow
		case it.Observation != nil:
			pd.ev.Time, pd.ev.Msg = it.Observation.Time, it.Observation
		case it.Heartbeat != nil:
			pd.ev.Time, pd.beat = it.Heartbeat.Clock, it.Heartbeat
		}
	}
}

// reason cuts an error down to what may be published: decoding errors tell
// offsets and types, and a quoted piece of input is taken out.
func reason(err error) string {
	s := err.Error()
	if i := strings.IndexAny(s, `"'`); i >= 0 {
		s = s[:i] + "(input not shown)"
	}
	if len(s) > 200 {
		s = s[:200]
	}
	return s
}

// deadOutput is the dead-letter record of d.
func deadOutput(d proto.Deadletter) Output {
	val, err := json.Marshal(d)
	if err != nil { // numbers and text always marshal
		val = []byte("{}")
	}
	return Output{Topic: proto.TopicDeadletter, Kind: proto.KindDead, Lane: proto.Lane(d.Partition), Value: val, Time: d.Time}
}
