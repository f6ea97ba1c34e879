package fingerprint

import (
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

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
		s.habit.absence(first.Sub(h.last), first)
		s.habit.silence(first.Sub(h.last), first)
		s.unheard = 0
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
	after := offlineAfter
	u := uses.Get(tx, id[:])
	s.Missing = uint64(u.missing(tx, h.site) / time.Second)
	if u != nil {
		if u.due(tx.Now()) {
			u = uses.Edit(tx, id[:])
			u.settle(tx.Now())
		}
		after = u.habit.offlineAfter(h.last)
		s.Presence, s.Uses = slices.Clone(u.spans), u.told()
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
		h.remind(tx, id, dueWatch, max(tx.Now(), h.last).Add(offlineAfter+time.Second))
	}
}

// silent reports whether the endpoint is silent for so long that it counts as
// offline; else it goes on watching.
func (h *host) silent(tx *stream.Tx, id proto.ID, t stream.Timer) bool {
	after := offlineAfter
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
	h.remind(tx, id, dueWatch, due.Add(time.Second))
	return false
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
			return says(tx, id, proto.UseMonitoring, signEnd, "", o.Time)
		case o.Attributes.Get("measuring") == "true":
			return says(tx, id, proto.UseMonitoring, signOn, "", o.Time)
		}
	case "poct1a":
		if strings.HasPrefix(o.Kind, "obs_r0") && o.Attributes.Get("role") == "device" {
			return says(tx, id, proto.UseTest, signDone, "", o.Time)
		}
	case "astm":
		if o.Kind == "results" && o.Attributes.Get("role") == "instrument" {
			return says(tx, id, proto.UseTest, signDone, "", o.Time)
		}
	}
	return false
}

// says takes a sign of use in, and reports whether it may be news: one that says
// no more than the last did is none.
func says(tx *stream.Tx, id proto.ID, how, act uint8, key string, at proto.Time) bool {
	s := uses.Edit(tx, id[:])
	news := !slices.ContainsFunc(s.signs, func(x sign) bool {
		return x.how == how && x.key == key && x.act == act && max(at.Sub(x.until), x.at.Sub(at)) <= settleUse
	})
	s.add(sign{at: at, until: at, how: how, act: act, key: key, count: 1})
	return news
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
		return says(tx, id, proto.UseStep, signOn, step, o.Time)
	case o.Kind == "n_set" && step != "":
		switch o.Attributes.Get("mpps_status") {
		case "completed":
			return says(tx, id, proto.UseStep, signEnd, step, o.Time)
		case "discontinued":
			return says(tx, id, proto.UseStep, signDiscontinued, step, o.Time)
		}
	case o.Kind == "c_store" && o.Attributes.Get("role") == "scu" || o.Kind == "study":
		if study == "" || o.Attributes.Get("move_originator") != "" || noImages[o.Attributes.Get("modality")] {
			return false
		}
		return says(tx, id, proto.UseStudy, signOn, study, o.Time)
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
		return says(tx, id, proto.UseInfusion, signOn, "", o.Time)
	case "false":
		return says(tx, id, proto.UseInfusion, signEnd, "", o.Time)
	}
	if strings.HasPrefix(o.Attributes.Get("equipment_type"), "MDC_DEV_MON_") {
		return says(tx, id, proto.UseMonitoring, signOn, "", o.Time)
	}
	return false
}
