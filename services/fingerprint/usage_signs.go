package fingerprint

import (
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

const tableUses = 'u'

var uses = stream.NewTable[useState](tableUses, 0) // endpoint -> its silences and uses

// useState is the cold state of an endpoint's use: it changes with its silences and
// with what it says of its use, not with each flow.
type useState struct {
	spans []proto.Span // of presence, that are over, of the last hours
	uses  []proto.Use  // open, or of the last hours
	habit habit
	step  proto.Time // when it last told of a procedure step: then its images are no use of their own
}

// AppendTo encodes the state.
func (s *useState) AppendTo(b []byte) []byte {
	b = appendTimeline(b, s.spans, s.uses)
	b = stream.AppendInt(stream.AppendInt(b, int64(s.habit.longest)), int64(s.habit.since))
	return stream.AppendInt(b, int64(s.step))
}

// Parse decodes the state.
func (s *useState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*s = useState{}
	s.spans, s.uses = readTimeline(d)
	s.habit = habit{time.Duration(d.Int()), proto.Time(d.Int())}
	s.step = proto.Time(d.Int())
	return d.Err()
}

func appendTimeline(b []byte, spans []proto.Span, uses []proto.Use) []byte {
	b = stream.AppendUint(b, uint64(len(spans)))
	for _, s := range spans {
		b = stream.AppendInt(stream.AppendInt(b, int64(s.Start)), int64(s.End-s.Start))
	}
	b = stream.AppendUint(b, uint64(len(uses)))
	for i := range uses {
		u := &uses[i]
		b = stream.AppendString(stream.AppendUint(b, uint64(u.How)), u.Key)
		b = stream.AppendInt(stream.AppendInt(b, int64(u.Start)), int64(u.End-u.Start))
		b = stream.AppendString(stream.AppendUint(b, flagIf(u.Open, 1)|flagIf(u.Guessed, 2)), u.Outcome)
	}
	return b
}

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
		u.Open, u.Guessed, u.Outcome = f&1 != 0, f&2 != 0, d.String()
		uses = append(uses, u)
	}
	return spans, uses
}

// present notes that the endpoint was at work from first to last, before the host
// itself takes them in. It costs a comparison while there is no silence.
func (h *host) present(tx *stream.Tx, id proto.ID, first, last proto.Time) {
	switch {
	case h.since == 0:
		h.since = first
	case first.Sub(h.last) > shortSilence:
		s := uses.Edit(tx, id[:])
		if s.habit.since == 0 {
			s.habit.since = h.first
		}
		s.habit.silence(first.Sub(h.last), first)
		s.ended(proto.Span{Start: h.since, End: h.last}, first)
		h.since = first
	case first < h.since:
		if h.since.Sub(last) <= shortSilence {
			h.since = first
			return
		}
		uses.Edit(tx, id[:]).ended(proto.Span{Start: first, End: last}, h.last) // told late
	}
}

// usage adds to a summary what it says of presence and use.
func (h *host) usage(tx *stream.Tx, id proto.ID, s *proto.Summary) {
	after := time.Duration(offlineAfter)
	if u := uses.Get(tx, id[:]); u != nil {
		after = u.habit.offlineAfter(h.last)
		s.Presence, s.Uses = slices.Clone(u.spans), slices.Clone(u.uses)
	}
	if h.since != 0 {
		s.Presence = append(s.Presence, proto.Span{Start: h.since, End: h.last})
	}
	s.Offline = uint64(after / time.Second)
}

// watch sees to it that the endpoint's silence is told, when it counts.
func (h *host) watch(tx *stream.Tx, id proto.ID) {
	if !h.watching && h.spoke {
		h.watching = true
		tx.Timer(max(tx.Now(), h.last).Add(offlineAfter+time.Second), timerKey(timerWatch, id))
	}
}

// silent reports whether the endpoint is silent for so long that it counts as
// offline; else it goes on watching.
func (h *host) silent(tx *stream.Tx, id proto.ID, t stream.Timer) bool {
	after := time.Duration(offlineAfter)
	if u := uses.Get(tx, id[:]); u != nil {
		after = u.habit.offlineAfter(h.last)
	}
	due := h.last.Add(after)
	if t.Quiet > shortSilence { // nobody was heard: that says nothing of this one
		due = max(due, t.At.Add(after))
	}
	if due < t.At {
		return true
	}
	h.watching = true
	tx.Timer(due.Add(time.Second), timerKey(timerWatch, id))
	return false
}

// ended keeps a span that is over, and lets go of what need not be told again.
func (s *useState) ended(p proto.Span, now proto.Time) {
	t := timeline{spans: slices.DeleteFunc(s.spans, func(x proto.Span) bool { return now.Sub(x.End) > recentUse && x.End < p.Start })}
	t.see(p)
	s.spans = t.spans
}

// use is the latest use of a kind and key, or nil.
func (s *useState) use(how uint8, key string) *proto.Use {
	for i := len(s.uses) - 1; i >= 0; i-- {
		if u := &s.uses[i]; u.How == how && u.Key == key {
			return u
		}
	}
	return nil
}

// sign takes a sign of use in: it goes on with the use that is under way, or begins one.
func (s *useState) sign(how uint8, key string, at proto.Time) *proto.Use {
	u := s.use(how, key)
	if u != nil && u.Open && at.Sub(u.End) <= useGaps[how] && u.Start.Sub(at) <= useGaps[how] {
		u.Start, u.End = min(u.Start, at), max(u.End, at)
		return u
	}
	if u != nil && at <= u.End && at >= u.Start {
		return u // told late, of one that is over
	}
	s.uses = slices.DeleteFunc(s.uses, func(x proto.Use) bool { return over(&x, at) && at.Sub(x.End) > recentUse })
	if len(s.uses) >= maxSessions {
		s.uses = slices.Delete(s.uses, 0, 1)
	}
	s.uses = append(s.uses, proto.Use{How: how, Key: key, Start: at, End: at, Open: true, Outcome: "unknown"})
	return &s.uses[len(s.uses)-1]
}

// end ends the use of a kind and key that is under way; it reports whether there was one.
func (s *useState) end(how uint8, key, outcome string, at proto.Time) bool {
	u := s.use(how, key)
	if u == nil || !u.Open || at.Sub(u.End) > useGaps[how] || at < u.Start {
		return false
	}
	u.End, u.Open, u.Outcome = max(u.End, at), false, outcome
	return true
}

// noteUse reads what an observation says of its endpoint's use, and reports whether
// that is news: a use has begun or ended.
func noteUse(tx *stream.Tx, id proto.ID, o *proto.Observation) bool {
	switch o.Protocol {
	case "dicom":
		return noteImaging(tx, id, o)
	case "hl7":
		return noteEquipment(tx, id, o)
	case "intellivue", "sdc":
		switch {
		case o.Kind != "state":
		case o.Attributes.Get("patient_context") == "disassociated", o.Attributes.Get("measuring") == "false":
			return stops(tx, id, proto.UseMonitoring, "", "completed", o.Time)
		case o.Attributes.Get("measuring") == "true":
			return goesOn(tx, id, proto.UseMonitoring, "", o.Time)
		}
	case "poct1a":
		if strings.HasPrefix(o.Kind, "obs_r0") && o.Attributes.Get("role") == "device" {
			return finishes(tx, id, proto.UseTest, o.Time)
		}
	case "astm":
		if o.Kind == "results" && o.Attributes.Get("role") == "instrument" {
			return finishes(tx, id, proto.UseTest, o.Time)
		}
	}
	return false
}

// goesOn is a sign of use.
func goesOn(tx *stream.Tx, id proto.ID, how uint8, key string, at proto.Time) bool {
	s := uses.Edit(tx, id[:])
	return s.sign(how, key, at).Start == at
}

func stops(tx *stream.Tx, id proto.ID, how uint8, key, outcome string, at proto.Time) bool {
	if s := uses.Get(tx, id[:]); s == nil || s.use(how, key) == nil {
		return false
	}
	return uses.Edit(tx, id[:]).end(how, key, outcome, at)
}

// finishes is a sign that something was done up to now.
func finishes(tx *stream.Tx, id proto.ID, how uint8, at proto.Time) bool {
	s := uses.Edit(tx, id[:])
	u := s.sign(how, "", at)
	u.Outcome = "completed"
	return u.Start == at
}

// noImages are modalities of objects that a report or a viewer makes (DICOM PS3.3
// C.7.3.1.1.1), not an examination.
var noImages = map[string]bool{"PR": true, "KO": true, "SR": true, "DOC": true, "REG": true, "SEG": true, "RTPLAN": true, "RTSTRUCT": true, "RTDOSE": true, "RTRECORD": true, "PLAN": true}

// stepless is how long after its last procedure step a modality that sends images
// alone is taken to have stopped sending steps.
const stepless = 7 * 24 * time.Hour

// noteImaging reads examinations: procedure steps (DICOM PS3.4 annex F), or else the
// images of a study, from the first to the last.
func noteImaging(tx *stream.Tx, id proto.ID, o *proto.Observation) bool {
	study, step := o.Attributes.Get("study"), o.Attributes.Get("mpps")
	switch {
	case o.Kind == "n_create" && step != "":
		s := uses.Edit(tx, id[:])
		s.step = max(s.step, o.Time)
		if u := s.use(proto.UseStudy, study); study != "" && u != nil && u.Open {
			u.End, u.Open = u.Start, false // its images came before the step that they belong to
		}
		return s.sign(proto.UseStep, step, o.Time).Start == o.Time
	case o.Kind == "n_set" && step != "":
		outcome := o.Attributes.Get("mpps_status")
		if outcome != "completed" && outcome != "discontinued" {
			return false
		}
		s := uses.Edit(tx, id[:])
		s.step = max(s.step, o.Time)
		if s.use(proto.UseStep, step) == nil { // begun before anybody looked
			s.sign(proto.UseStep, step, o.Time).Guessed = true
		}
		return s.end(proto.UseStep, step, outcome, o.Time)
	case o.Kind == "c_store" && o.Attributes.Get("role") == "scu" || o.Kind == "study":
		if study == "" || o.Attributes.Get("move_originator") != "" || noImages[o.Attributes.Get("modality")] {
			return false
		}
		s := uses.Edit(tx, id[:])
		if s.step != 0 && o.Time.Sub(s.step) < stepless {
			return false
		}
		return s.sign(proto.UseStudy, study, o.Time).Start == o.Time
	}
	return false
}

// noteEquipment reads what a report of a device (IHE PCD-01, PCD-10) says of its use:
// a pump delivers or not, a monitor that is reported on has a patient.
func noteEquipment(tx *stream.Tx, id proto.ID, o *proto.Observation) bool {
	if o.Kind != "equipment" {
		return false
	}
	switch o.Attributes.Get("delivering") {
	case "true":
		return goesOn(tx, id, proto.UseInfusion, "", o.Time)
	case "false":
		return stops(tx, id, proto.UseInfusion, "", "completed", o.Time)
	}
	if strings.HasPrefix(o.Attributes.Get("equipment_type"), "MDC_DEV_MON_") {
		return goesOn(tx, id, proto.UseMonitoring, "", o.Time)
	}
	return false
}
