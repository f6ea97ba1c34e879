package fingerprint

import (
	"bytes"
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
	w := packer{b: append(b, packedUse...)}
	w.timeline(s.spans, s.uses)
	w.moment(s.from)
	w.uint(uint64(s.offline/time.Second)<<1 | flagIf(s.decoded, 1))
	w.uint(uint64(len(s.told)))
	for i := range s.told {
		l := &s.told[i]
		w.time(l.Start)
		w.time(l.End)
		w.text(l.State)
		w.text(l.Kind)
		w.text(l.Outcome)
		w.uint(uint64(math.Round(l.Confidence * 1e4)))
	}
	return w.b
}

// Parse decodes the state.
func (s *timelineState) Parse(b []byte) error {
	*s = timelineState{}
	if !bytes.HasPrefix(b, packedUse) {
		return s.parseLong(b)
	}
	u := newUnpacker(b[len(packedUse):])
	s.spans, s.uses = u.timeline()
	s.from = u.moment()
	offline := u.Uint()
	s.offline, s.decoded = time.Duration(offline>>1)*time.Second, offline&1 == 1
	for n := u.Uint(); n > 0 && u.More(); n-- {
		l := proto.Usage{Start: u.time(), End: u.time(), State: u.text(), Kind: u.text(), Outcome: u.text()}
		l.Confidence = float64(u.Uint()) / 1e4
		s.told = append(s.told, l)
	}
	return u.failed()
}

// parseLong decodes the state of an earlier release.
func (s *timelineState) parseLong(b []byte) error {
	d := stream.NewDecoder(b)
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
