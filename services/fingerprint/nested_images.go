package fingerprint

import (
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Stations by their images: who sends, on its own account, images of several stations
// that were acquired just now stands between them and us (a DICOM router, a gateway of
// another building). Priors name scanners that are long gone, so images count only
// while they are fresh; and an archive or a workstation, which is sent or fetches the
// images of others, is no gateway: whoever made them is seen itself.

const tableStations = 'i'

var stations = stream.NewTable[stationState](tableStations, idLen) // sender, station -> what its images say

const (
	// A station is believed from so many images or studies on, and stands beside
	// another while both were named within a day, each again after the other.
	enoughImages  = 3
	enoughStudies = 2
	beside        = 24 * time.Hour

	stationStep = 10 * time.Minute // how exactly it is known when it was named last
	maxStations = 64
)

// stationState is a station that a sender has named in its images, or one that it has
// named in a procedure step, which is known by the same name.
type stationState struct {
	device          proto.ID
	first, last     proto.Time
	images, studies uint64
	study           string // the latest
	several         bool   // its sender has named another
	own             bool   // it is the sender itself
	byName          bool   // only what a name is the device of
	step            bool   // which a procedure step has told
	held            []byte // the message that named it, while its sender has named no other
}

// AppendTo encodes the state.
func (s *stationState) AppendTo(b []byte) []byte {
	b = stream.AppendUint(append(b, s.device[:]...), flagIf(s.several, 1)|flagIf(s.own, 2)|flagIf(s.byName, 4)|flagIf(s.step, 8))
	if s.byName {
		return b
	}
	b = stream.AppendInt(stream.AppendInt(b, int64(s.first)), int64(s.last-s.first))
	b = stream.AppendString(stream.AppendUint(stream.AppendUint(b, s.images), s.studies), s.study)
	return stream.AppendBytes(b, s.held)
}

// Parse decodes the state.
func (s *stationState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*s = stationState{}
	d.Fixed(s.device[:])
	f := d.Uint()
	s.several, s.own, s.byName, s.step = f&1 != 0, f&2 != 0, f&4 != 0, f&8 != 0
	if s.byName {
		return d.Err()
	}
	s.first = proto.Time(d.Int())
	s.last = s.first + proto.Time(d.Int())
	s.images, s.studies, s.study = d.Uint(), d.Uint(), d.String()
	if held := d.Bytes(); len(held) > 0 {
		s.held = append([]byte(nil), held...)
	}
	return d.Err()
}

func (s *stationState) enough() bool { return s.images >= enoughImages || s.studies >= enoughStudies }

// besides reports whether two stations were named in turns.
func (s *stationState) besides(o *stationState) bool {
	return s.enough() && o.enough() && s.first < o.last && o.first < s.last && max(s.last.Sub(o.last), o.last.Sub(s.last)) <= beside
}

// note takes an image in, and reports whether that tells something new.
func (s *stationState) note(o *proto.Observation) bool {
	study := o.Attributes.Get("study")
	news := false
	if s.images < enoughImages {
		s.images, news = s.images+1, true
	}
	if s.studies < enoughStudies && study != "" && study != s.study {
		s.studies, s.study, news = s.studies+1, study, true
	}
	if s.first == 0 || o.Time < s.first {
		s.first, news = o.Time, true
	}
	if o.Time.Sub(s.last) >= stationStep || s.last == 0 {
		s.last, news = max(s.last, o.Time), true
	}
	return news
}

// freshStation is the name of the station that made an image just now, "" for none.
func freshStation(o *proto.Observation) string {
	a := &o.Attributes
	if o.Protocol != "dicom" || o.Kind != "c_store" || a.Get("role") != "scu" || a.Get("acquired") != "recently" || a.Get("move_originator") != "" || noImages[a.Get("modality")] {
		return ""
	}
	maker, model, name := a.Get("manufacturer"), a.Get("model"), strings.TrimSpace(a.Get("station_name"))
	if serial := serialKey(a.Get("serial")); serial != "" {
		return strings.ToLower("serial:" + maker + ":" + serial)
	}
	if name == "" || maker == "" && model == "" {
		return ""
	}
	return strings.ToLower("station:" + maker + ":" + model + ":" + name)
}

// keepsImages reports that an endpoint is sent images, or fetches them: what it sends
// may be anybody's.
func (p *profile) keepsImages() bool {
	return slices.ContainsFunc(p.evidence, func(v proto.Evidence) bool {
		return v.Attribute == "dicom_service" && (v.Value == "storage_scp" || strings.HasPrefix(v.Value, "query_retrieve_"))
	})
}

// isItself reports that a station is known to be the endpoint: by its own name, or by
// a serial number that it has told otherwise than with images.
func (p *profile) isItself(o *proto.Observation) bool {
	name, serial := strings.TrimSpace(o.Attributes.Get("station_name")), serialKey(o.Attributes.Get("serial"))
	return slices.ContainsFunc(p.evidence, func(v proto.Evidence) bool {
		kind, value := claimOf(&v)
		switch {
		case value == "" || imageProtocol(v.Protocol):
		case kind == proto.ClaimHostname:
			return strings.EqualFold(value, name)
		case kind == proto.ClaimSerial:
			return value == serial
		}
		return false
	})
}

// passOnImage hands an image on to the station that made it just now, where its
// endpoint sends those of several, and reports whether it did.
func passOnImage(tx *stream.Tx, site string, o *proto.Observation) bool {
	name := freshStation(o)
	if name == "" {
		return false
	}
	from := o.Endpoint
	key := stationKey(from, name)
	s := stations.Get(tx, key)
	p := profiles.Get(tx, from[:])
	if p != nil && p.keepsImages() {
		return false
	}
	if s == nil {
		n := 0
		stations.Scan(tx, from[:], func([]byte, *stationState) bool { n++; return n < 2*maxStations })
		if n >= 2*maxStations {
			return false
		}
		s = stations.Edit(tx, key)
		s.device = stationDevice(tx, site, from, name, o.Attributes.Get("station_name"))
		s.own = p != nil && p.isItself(o)
		if !s.own {
			s.held = readdressed(tx, site, o, s.device)
		}
	}
	if next := *s; next.note(o) {
		s = stations.Edit(tx, key)
		*s = next
		if !s.several && s.enough() {
			pairStations(tx, from, s, o.Time)
		}
	}
	if s.own || !s.several {
		return false
	}
	return hand(tx, site, o, s.device)
}

// pairStations looks for another station beside one. What both said first is handed on then.
func pairStations(tx *stream.Tx, from proto.ID, s *stationState, now proto.Time) {
	found := false
	stations.Scan(tx, from[:], func(at []byte, other *stationState) bool {
		if other.byName || other.device == s.device || !s.besides(other) {
			return true
		}
		found = true
		if !other.several {
			x := stations.Edit(tx, at)
			x.several = true
			x.tellHeld(tx, now)
		}
		return true
	})
	if found {
		s.several = true
		s.tellHeld(tx, now)
	}
}

func (s *stationState) tellHeld(tx *stream.Tx, now proto.Time) {
	if len(s.held) > 0 {
		publishNested(tx, s.device, s.held, now)
		s.held = nil
	}
}

func stationKey(from proto.ID, what string) []byte {
	id := proto.HashID("station", from[:], []byte(what))
	return append(from[:len(from):len(from)], id[:8]...)
}

// stationDevice is the device of a station that images name. Where procedure steps have
// named one by the same name it is that; else the name is kept for them. Two stations
// of one name, with serial numbers of their own, remain two.
func stationDevice(tx *stream.Tx, site string, from proto.ID, what, name string) proto.ID {
	return sameStation(tx, from, name, proto.EquipmentEndpoint(site, "dicom:"+what), false)
}

// stepDevice is the device of a station that a procedure step names, in the same way.
func stepDevice(tx *stream.Tx, from, id proto.ID, name string) proto.ID {
	return sameStation(tx, from, name, id, true)
}

func sameStation(tx *stream.Tx, from proto.ID, name string, id proto.ID, step bool) proto.ID {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return id
	}
	key := stationKey(from, "name:"+name)
	switch s := stations.Get(tx, key); {
	case s == nil:
		*stations.Edit(tx, key) = stationState{device: id, byName: true, step: step}
	case s.step != step:
		return s.device
	}
	return id
}
