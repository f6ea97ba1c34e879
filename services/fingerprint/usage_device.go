package fingerprint

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

const tableTimelines = 't'

var timelines = stream.NewTable[timelineState](tableTimelines, 0) // group -> what is not yet told for good

// timelineState is a device's timeline, and the lines of it that are told but may
// still change.
type timelineState struct {
	timeline
	told []proto.Usage // without device, site and how
}

// AppendTo encodes the state.
func (s *timelineState) AppendTo(b []byte) []byte {
	b = appendTimeline(stream.AppendInt(b, int64(s.from)), s.spans, s.uses)
	b = stream.AppendUint(stream.AppendUint(b, uint64(s.offline/time.Second)), flagIf(s.decoded, 1))
	b = stream.AppendUint(b, uint64(len(s.told)))
	for i := range s.told {
		l := &s.told[i]
		b = stream.AppendString(stream.AppendInt(stream.AppendInt(b, int64(l.Start)), int64(l.End-l.Start)), l.State)
		b = stream.AppendUint(stream.AppendString(stream.AppendString(b, l.Kind), l.Outcome), uint64(math.Round(l.Confidence*1e4)))
	}
	return b
}

// Parse decodes the state.
func (s *timelineState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*s = timelineState{}
	s.from = proto.Time(d.Int())
	s.spans, s.uses = readTimeline(d)
	s.offline = time.Duration(d.Uint()) * time.Second
	s.decoded = d.Uint() == 1
	for n := d.Uint(); n > 0 && d.More(); n-- {
		l := proto.Usage{Start: proto.Time(d.Int())}
		l.End = l.Start + proto.Time(d.Int())
		l.State, l.Kind, l.Outcome, l.Confidence = d.String(), d.String(), d.String(), float64(d.Uint())/1e4
		s.told = append(s.told, l)
	}
	return d.Err()
}

// usage takes in what a summary says of its endpoint's presence and use, tells the
// lines that follow from it, and gives the device's state.
func (d *Device) usage(tx *stream.Tx, dev *proto.Device, all []*proto.Summary, s *proto.Summary) string {
	t, now := timelines.Edit(tx, dev.DeviceID[:]), tx.Now()
	t.offline = offlineAfterMost
	for _, m := range all { // the one that is heard most often is missed first
		t.offline = min(t.offline, time.Duration(m.Offline)*time.Second)
	}
	for _, p := range s.Presence {
		p.Start = max(p.Start, s.Since)
		t.see(p)
	}
	foreign := foreignTags(dev.Evidence)
	tag := ""
	if s.Endpoint != s.Group {
		tag = string(s.Endpoint[:4])
	}
	news := slices.DeleteFunc(slices.Clone(s.Uses), func(u proto.Use) bool { return u.End < s.Since })
	if foreign { // an archive passes on what others made
		isStudy := func(u proto.Use) bool { return u.How == proto.UseStudy }
		news, t.uses = slices.DeleteFunc(news, isStudy), slices.DeleteFunc(t.uses, isStudy)
	}
	t.takes(tag, t.estimates(tx, dev, foreign, news), now)
	tell := func(l proto.Usage) {
		l.DeviceID, l.Site = dev.DeviceID, dev.Site
		tx.Emit(stream.Output{
			Topic: proto.TopicUsage, Kind: proto.KindUsage, Lane: dev.DeviceID.Lane(),
			Key: binary.BigEndian.AppendUint64(slices.Clone(dev.DeviceID[:]), uint64(l.Start)), Value: l.AppendJSON(nil), Time: now,
		})
	}
	t.advance(now, s.Final, tell)
	return t.state(now)
}

// advance tells the lines that nothing can change any more, and the one after them
// that goes on; all, when a capture file is over.
func (s *timelineState) advance(now proto.Time, final bool, tell func(proto.Usage)) {
	if len(s.spans) == 0 {
		return
	}
	lines, horizon := s.lines(now, final), s.horizon(now)
	n := 0
	for n < len(lines) && lines[n].End <= horizon {
		n++
	}
	open := lines[n:]
	if !final && len(open) > 1 {
		open = open[:1]
	}
	var told []proto.Usage
	for i, l := range lines[:n+len(open)] {
		at := slices.IndexFunc(s.told, func(x proto.Usage) bool { return x.Start == l.Start })
		kept := l
		kept.How, kept.Method = "", ""
		switch {
		case at < 0:
			tell(l)
		case s.told[at] == kept:
		case i >= n && !final && lags(&s.told[at], &l):
			kept = s.told[at]
		default:
			tell(l)
		}
		if i >= n {
			told = append(told, kept)
		}
		if at >= 0 {
			s.told = slices.Delete(s.told, at, at+1)
		}
	}
	for _, l := range s.told { // what follows from later news begins elsewhere
		tell(proto.Usage{Start: l.Start, End: l.Start, State: l.State, How: "inferred"})
	}
	s.told = told
	if n > 0 {
		s.settle(lines[n-1].End, now)
	}
}

// lags reports whether a line that goes on need not be told again yet.
func lags(told, l *proto.Usage) bool {
	return told.State == l.State && told.Kind == l.Kind && l.End >= told.End && l.End.Sub(told.End) < tellUse
}
