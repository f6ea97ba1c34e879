package fingerprint

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

const tableUses = 'u'

var uses = stream.NewTable[useState](tableUses, 0) // endpoint -> its silences and uses

// maxSigns bounds the signs that are kept as they came.
const maxSigns = 48

// useState is the cold state of an endpoint's use: it changes with its silences and
// with what it says of its use, not with each flow.
//
// Signs are kept as they came for settleUse, in the order of their own times, and
// only then made uses of for good. So what an endpoint says of its use comes to the
// same in whatever order it is heard.
type useState struct {
	spans []proto.Span // of presence, that are over, of the last hours
	uses  []proto.Use  // open, or of the last hours, of signs that nothing can come before any more
	signs []sign       // the later ones, sorted
	habit habit
	step  proto.Time // when it last told of a procedure step: then its images are no use of their own

	unheard time.Duration // of its present silence: no sensor was heard either
	waited  bool          // a timer for missing is under way

	activity *activityState // of who speaks DICOM that is not read
}

// What a sign says.
const (
	signOn           = iota // in use
	signDone                // something was finished
	signEnd                 // the use is over
	signDiscontinued        // it was broken off
)

// sign is a sign of use, or several of one kind that nothing can come between.
type sign struct {
	at, until proto.Time
	how, act  uint8
	key       string
	count     uint64
}

func compareSigns(a, b sign) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.how, b.how), cmp.Compare(a.act, b.act), cmp.Compare(a.key, b.key))
}

// packedUse begins a row of the endpoint's or the device's use. Those of an earlier
// release begin with a number, and none is written in two bytes of which one says nothing.
var packedUse = []byte{0x80, 0}

// AppendTo encodes the state.
func (s *useState) AppendTo(b []byte) []byte {
	w := packer{b: append(b, packedUse...)}
	w.timeline(s.spans, s.uses)
	w.uint(uint64(s.habit.longest))
	w.moment(s.habit.since)
	w.moment(s.step)
	w.uint(uint64(len(s.signs)))
	for i := range s.signs {
		g := &s.signs[i]
		w.time(g.at)
		w.time(g.until)
		w.uint(uint64(g.how)<<2 | uint64(g.act))
		w.text(g.key)
		w.uint(g.count)
	}
	if s.habit.away == [2]time.Duration{} && s.unheard == 0 && !s.waited && s.activity == nil {
		return w.b
	}
	w.uint(uint64(s.habit.away[0] / time.Second))
	w.uint(uint64(s.habit.away[1] / time.Second))
	w.uint(uint64(s.unheard / time.Second))
	w.uint(flagIf(s.waited, 1))
	if s.activity == nil {
		return w.b
	}
	return s.activity.AppendTo(w.b)
}

// Parse decodes the state.
func (s *useState) Parse(b []byte) error {
	*s = useState{}
	if !bytes.HasPrefix(b, packedUse) {
		return s.parseLong(b)
	}
	u := newUnpacker(b[len(packedUse):])
	s.spans, s.uses = u.timeline()
	s.habit.longest, s.habit.since, s.step = time.Duration(u.Uint()), u.moment(), u.moment()
	for n := u.Uint(); n > 0 && u.More(); n-- {
		g := sign{at: u.time(), until: u.time()}
		kind := u.Uint()
		g.how, g.act, g.key, g.count = uint8(kind>>2), uint8(kind&3), u.text(), u.Uint()
		s.signs = append(s.signs, g)
	}
	s.readAway(u.Decoder)
	return u.failed()
}

// readAway decodes the end of a row, which most have not.
func (s *useState) readAway(d *stream.Decoder) {
	if d.More() {
		s.habit.away = [2]time.Duration{time.Duration(d.Uint()) * time.Second, time.Duration(d.Uint()) * time.Second}
		s.unheard, s.waited = time.Duration(d.Uint())*time.Second, d.Uint() == 1
	}
	if d.More() {
		s.activity = &activityState{}
		s.activity.parse(d)
	}
}

// parseLong decodes the state of an earlier release.
func (s *useState) parseLong(b []byte) error {
	d := stream.NewDecoder(b)
	s.spans, s.uses = readTimeline(d)
	s.habit.longest, s.habit.since = time.Duration(d.Int()), proto.Time(d.Int())
	s.step = proto.Time(d.Int())
	var last proto.Time
	for n := d.Uint(); n > 0 && d.More(); n-- {
		last += proto.Time(d.Int())
		g := sign{at: last, until: last + proto.Time(d.Int())}
		kind := d.Uint()
		g.how, g.act, g.key, g.count = uint8(kind>>2), uint8(kind&3), d.String(), d.Uint()
		s.signs = append(s.signs, g)
	}
	s.readAway(d)
	return d.Err()
}

const (
	flagUseOpen = 1 << iota
	flagUseGuessed
)

// timeline writes spans and uses.
func (p *packer) timeline(spans []proto.Span, uses []proto.Use) {
	p.uint(uint64(len(spans)))
	for _, s := range spans {
		p.time(s.Start)
		p.time(s.End)
	}
	p.uint(uint64(len(uses)))
	for i := range uses {
		u := &uses[i]
		p.uint(uint64(u.How)<<2 | flagIf(u.Open, flagUseOpen) | flagIf(u.Guessed, flagUseGuessed))
		p.text(u.Key)
		p.time(u.Start)
		p.time(u.End)
		p.text(u.Outcome)
		p.uint(u.Signs)
	}
}

func (u *unpacker) timeline() (spans []proto.Span, uses []proto.Use) {
	for n := u.Uint(); n > 0 && u.More(); n-- {
		spans = append(spans, proto.Span{Start: u.time(), End: u.time()})
	}
	for n := u.Uint(); n > 0 && u.More(); n-- {
		f := u.Uint()
		x := proto.Use{How: uint8(f >> 2), Open: f&flagUseOpen != 0, Guessed: f&flagUseGuessed != 0, Key: u.text(), Start: u.time(), End: u.time()}
		x.Outcome, x.Signs = u.text(), u.Uint()
		uses = append(uses, x)
	}
	return spans, uses
}

// readTimeline decodes what an earlier release wrote.
func readTimeline(d *stream.Decoder) (spans []proto.Span, uses []proto.Use) {
	for n := d.Uint(); n > 0 && d.More(); n-- {
		s := proto.Span{Start: proto.Time(d.Int())}
		s.End = s.Start + proto.Time(d.Int())
		spans = append(spans, s)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		u := proto.Use{How: uint8(d.Uint()), Key: d.String(), Start: proto.Time(d.Int())}
		u.End = u.Start + proto.Time(d.Int())
		f := d.Uint()
		u.Open, u.Guessed = f&flagUseOpen != 0, f&flagUseGuessed != 0
		u.Outcome, u.Signs = d.String(), d.Uint()
		uses = append(uses, u)
	}
	return spans, uses
}

// ended keeps a span that is over, and lets go of what need not be told again.
func (s *useState) ended(p proto.Span, now proto.Time) {
	t := timeline{spans: slices.DeleteFunc(s.spans, func(x proto.Span) bool { return now.Sub(x.End) > recentUse && x.End < p.Start })}
	t.see(p)
	s.spans = t.spans
}

// add keeps a sign.
func (s *useState) add(g sign) {
	if !ends(g.how) && s.join(g) {
		return
	}
	i, found := slices.BinarySearchFunc(s.signs, g, compareSigns)
	if found {
		return // told twice
	}
	s.signs = slices.Insert(s.signs, i, g)
	if len(s.signs) > maxSigns {
		s.squeeze()
	}
}

// ends reports whether something may say that such a use is over. What nothing ends
// lasts from its first sign to its last, so that signs close to each other are one.
func ends(how uint8) bool { return how != proto.UseStudy && how != proto.UseTest }

// join adds a sign to the one that it belongs to.
func (s *useState) join(g sign) bool {
	near := func(x *sign) bool {
		return x.how == g.how && x.key == g.key && g.at.Sub(x.until) <= useGaps[g.how] && x.at.Sub(g.until) <= useGaps[g.how]
	}
	first := -1
	for i := 0; i < len(s.signs); i++ {
		x := &s.signs[i]
		switch {
		case !near(x):
		case first < 0:
			first = i
			g.at, g.until, g.count = min(g.at, x.at), max(g.until, x.until), g.count+x.count
		default: // it closed the gap between two
			g.at, g.until, g.count = min(g.at, x.at), max(g.until, x.until), g.count+x.count
			s.signs = slices.Delete(s.signs, i, i+1)
			i--
		}
	}
	if first < 0 {
		return false
	}
	s.signs[first] = g
	slices.SortFunc(s.signs, compareSigns)
	return true
}

// squeeze makes room: of an endpoint that tells of its use without end two signs of
// being in use that follow each other most closely become one.
func (s *useState) squeeze() {
	best := -1
	for i := 1; i < len(s.signs); i++ {
		a, b := &s.signs[i-1], &s.signs[i]
		if a.act == signOn && b.act == signOn && a.how == b.how && a.key == b.key &&
			(best < 0 || b.at.Sub(a.until) < s.signs[best].at.Sub(s.signs[best-1].until)) {
			best = i
		}
	}
	if best < 0 {
		s.uses = s.apply(s.signs[0], s.uses)
		s.signs = slices.Delete(s.signs, 0, 1)
		return
	}
	a, b := &s.signs[best-1], &s.signs[best]
	a.until, a.count = max(a.until, b.until), a.count+b.count
	s.signs = slices.Delete(s.signs, best, best+1)
}

// settle makes uses of the signs that nothing can come before any more.
func (s *useState) settle(now proto.Time) {
	kept := s.signs[:0]
	for _, g := range s.signs {
		if now.Sub(g.until) > settleUse {
			s.uses = s.apply(g, s.uses)
		} else {
			kept = append(kept, g)
		}
	}
	s.signs = kept
	s.activity.settle(now)
	s.uses = slices.DeleteFunc(s.uses, func(x proto.Use) bool { return past(&x, now) })
}

// past reports whether a use need not be known any more: one that was forgotten may be
// ended yet, and must not be taken for another one then.
func past(u *proto.Use, now proto.Time) bool {
	if forgotten(u) {
		return now.Sub(u.End) > useGaps[u.How]
	}
	return over(u, now) && now.Sub(u.End) > recentUse
}

// due reports whether settle would change anything.
func (s *useState) due(now proto.Time) bool {
	return s.activity.due(now) || slices.ContainsFunc(s.signs, func(g sign) bool { return now.Sub(g.until) > settleUse }) ||
		slices.ContainsFunc(s.uses, func(x proto.Use) bool { return past(&x, now) })
}

// told gives the uses that all signs so far make.
func (s *useState) told() []proto.Use {
	rest := useState{step: s.step}
	list := slices.Clone(s.uses)
	for _, g := range s.signs {
		list = rest.apply(g, list)
	}
	return s.activity.told(list)
}

// latest is the latest use of a kind and key, or nil.
func latest(list []proto.Use, how uint8, key string) *proto.Use {
	for i := len(list) - 1; i >= 0; i-- {
		if u := &list[i]; u.How == how && u.Key == key {
			return u
		}
	}
	return nil
}

// apply makes of a sign what it says: a use begins, goes on, or ends.
func (s *useState) apply(g sign, list []proto.Use) []proto.Use {
	if g.how == proto.UseStep {
		s.step = max(s.step, g.at)
	}
	if g.how == proto.UseStudy && s.step != 0 && g.at.Sub(s.step) < stepless {
		for i := range list { // the images belong to the step that is under way
			if u := &list[i]; u.How == proto.UseStep && u.Open && u.Start <= g.at && g.at.Sub(u.End) <= useGaps[u.How] {
				u.End = max(u.End, g.until)
			}
		}
		return list
	}
	u := latest(list, g.how, g.key)
	switch g.act {
	case signEnd, signDiscontinued:
		if u != nil && u.Open && g.at.Sub(u.End) <= useGaps[g.how] && g.at >= u.Start {
			u.End, u.Open, u.Outcome = max(u.End, g.at), false, outcomes[g.act]
			if g.how == proto.UseStep {
				forget(list, u)
			}
			return list
		}
		if u != nil && forgotten(u) { // and ended after all
			if u.Outcome = outcomes[g.act]; g.at.Sub(u.End) <= besides {
				u.End = max(u.End, g.at)
			}
			return list
		}
		if g.how == proto.UseStep && u == nil { // begun before anybody looked
			list = append(list, proto.Use{How: g.how, Key: g.key, Start: g.at, End: g.at, Guessed: true, Outcome: outcomes[g.act], Signs: 1})
		}
		return bounded(list)
	}
	switch {
	case u != nil && u.Open && g.at.Sub(u.End) <= useGaps[g.how] && u.Start.Sub(g.until) <= useGaps[g.how]:
		u.Start, u.End, u.Signs = min(u.Start, g.at), max(u.End, g.until), u.Signs+g.count
	case u != nil && g.how == proto.UseStep: // told again, or after its end
		if u.Guessed && g.at <= u.Start {
			u.Start, u.Guessed = g.at, false
		}
	case u != nil && g.at <= u.End && g.until >= u.Start: // told late, of one that is over
	default:
		list = append(list, proto.Use{How: g.how, Key: g.key, Start: g.at, End: g.until, Open: true, Outcome: outcomes[g.act], Signs: g.count})
	}
	if g.how == proto.UseStep {
		list = slices.DeleteFunc(list, func(x proto.Use) bool { // its images came before the step that they belong to
			return x.How == proto.UseStudy && x.Open && g.at.Sub(x.End) <= useGaps[x.How]
		})
	}
	return bounded(list)
}

// besides is how much later than another one that began after it a procedure step may end
// and have been under way all the time, as steps of one patient are that are done together.
const besides = 2 * time.Hour

// forget ends the steps that began before one that is over now. A modality does one after
// the other, so nobody has ended them, or nobody has seen it. They lasted up to their last
// image, or as long as images may stay away, and not into the next one.
func forget(list []proto.Use, next *proto.Use) {
	for i := range list {
		u := &list[i]
		if u.How != proto.UseStep || !u.Open || u.Start >= next.Start {
			continue
		}
		if u.End == u.Start {
			u.End = u.Start.Add(useGaps[proto.UseStudy])
		}
		u.End, u.Open = min(u.End, next.Start), false
	}
}

var outcomes = [...]string{signOn: "unknown", signDone: "completed", signEnd: "completed", signDiscontinued: "discontinued"}

func bounded(list []proto.Use) []proto.Use {
	if len(list) > maxSessions {
		list = slices.Delete(list, 0, 1)
	}
	return list
}
