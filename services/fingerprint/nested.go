package fingerprint

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Devices that are only heard of through another: the stations whose procedure steps
// one broker reports (DICOM PS3.4 annex F), the meters that one data manager speaks for
// (CLSI POCT1-A). What such a message is about is known from it alone; that its sender
// speaks for others is known when it has named a second one. From then on its messages
// are handed on to the lanes of the devices that they name.

const tableNested = 'n'

var nested = stream.NewTable[nestedState](tableNested, idLen) // sender, what is named -> the device

// maxNested bounds what is kept of a sender, maxSteps of that its procedure steps
// that have not ended, and maxHeld of these those that are held.
const (
	maxNested = 256
	maxSteps  = 64
	maxHeld   = 8
)

// nestedState is a device that a sender has named, or a procedure step of it.
type nestedState struct {
	device proto.ID
	step   bool
	at     proto.Time // of a step: when it began
	held   []byte     // the message that named it, while its sender has named no other
	ended  []byte     // of a step: the message that ended it, held as well
}

const (
	flagStep = 1 << iota
	flagStepAt
)

// AppendTo encodes the state.
func (s *nestedState) AppendTo(b []byte) []byte {
	b = stream.AppendUint(append(b, s.device[:]...), flagIf(s.step, flagStep)|flagIf(s.at != 0, flagStepAt))
	if s.at != 0 {
		b = stream.AppendInt(b, int64(s.at))
	}
	b = stream.AppendBytes(b, s.held)
	if len(s.ended) == 0 {
		return b
	}
	return stream.AppendBytes(b, s.ended)
}

// Parse decodes the state.
func (s *nestedState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*s = nestedState{}
	d.Fixed(s.device[:])
	flags := d.Uint()
	s.step = flags&flagStep != 0
	if flags&flagStepAt != 0 { // absent from one of an earlier release
		s.at = proto.Time(d.Int())
	}
	if held := d.Bytes(); len(held) > 0 {
		s.held = append([]byte(nil), held...)
	}
	if d.More() {
		s.ended = append([]byte(nil), d.Bytes()...)
	}
	return d.Err()
}

// named is the device that a message names beside its sender, and the procedure step
// that it is about; "" for neither.
func named(o *proto.Observation) (device, step string) {
	a := &o.Attributes
	switch {
	case !o.Gateway.IsZero():
	case o.Protocol == "dicom":
		if step = a.Get("mpps"); step == "" || a.Get("role") != "scu" {
			return "", ""
		}
		if ae := strings.TrimSpace(a.Get("station_ae")); ae != "" {
			device = "dicom:" + ae
		}
	case o.Protocol == "poct1a" && a.Get("role") == "device":
		if serial := serialKey(a.Get("serial")); serial != "" {
			device = strings.ToLower("poct1a:" + a.Get("manufacturer") + ":" + a.Get("model") + ":" + serial)
		}
	}
	return device, step
}

func nestedKey(from proto.ID, what string) []byte {
	id := proto.HashID("nested", from[:], []byte(what))
	return append(from[:len(from):len(from)], id[:8]...)
}

// passOn hands an observation on to the device that it names, where its endpoint
// speaks for several, and reports whether it did.
func passOn(tx *stream.Tx, site string, o *proto.Observation) bool {
	device, step := named(o)
	if device == "" && step == "" {
		return passOnImage(tx, site, o)
	}
	from := o.Endpoint
	if device == "" {
		return endOfStep(tx, site, o, nestedKey(from, step))
	}
	id := proto.EquipmentEndpoint(site, device)
	if step != "" {
		id = stepDevice(tx, from, id, o.Attributes.Get("station_name"))
	}
	b := lookBehind(tx, from, id, o.Time)
	if !b.known && b.others >= maxNested {
		return false
	}
	var held []byte
	room := maxSteps
	if b.others == 0 {
		held, room = readdressed(tx, site, o, id), maxHeld
	}
	if !b.known {
		st := nested.Edit(tx, nestedKey(from, device))
		st.device, st.held = id, held
	}
	if step != "" && b.steps < room {
		st := nested.Edit(tx, nestedKey(from, step))
		st.device, st.step, st.at, st.held = id, true, o.Time, held
	}
	if b.others == 0 {
		return false
	}
	release(tx, from, b.held, o.Time)
	return hand(tx, site, o, id)
}

// endOfStep takes in what is said of a step after its begin, which says no more whose it
// was. The end of one whose begin is held is held too.
func endOfStep(tx *stream.Tx, site string, o *proto.Observation, key []byte) bool {
	st := nested.Get(tx, key)
	if st == nil {
		return false
	}
	of, held := st.device, len(st.held) > 0
	if s := o.Attributes.Get("mpps_status"); s == "completed" || s == "discontinued" {
		if held {
			nested.Edit(tx, key).ended = readdressed(tx, site, o, of)
		} else {
			nested.Delete(tx, key)
		}
	}
	return !held && hand(tx, site, o, of)
}

// spokenFor is what a sender has named before a message.
type spokenFor struct {
	known         bool // the device that the message is about
	others, steps int
	held          []nestedState // what the first device said before there was a second
}

// lookBehind gives what a sender has named, and lets steps go that nobody ended. What
// is held is given, and held no longer, when the message is about another device.
func lookBehind(tx *stream.Tx, from, id proto.ID, now proto.Time) spokenFor {
	var b spokenFor
	var oldest []byte // of the steps that are held and over
	over, began := 0, proto.Time(0)
	nested.Scan(tx, from[:], func(at []byte, s *nestedState) bool {
		switch {
		case s.step && now.Sub(s.at) > useGaps[proto.UseStep]:
			nested.Delete(tx, at)
			return true
		case s.step && len(s.ended) > 0:
			if over++; over == 1 || s.at < began {
				oldest, began = bytes.Clone(at), s.at
			}
		case s.step:
			b.steps++
		case s.device == id:
			b.known = true
		default:
			b.others++
		}
		if len(s.held) > 0 && s.device != id {
			b.held = append(b.held, *s)
			nested.Edit(tx, at).held = nil
		}
		return true
	})
	if over > maxHeld && len(b.held) == 0 {
		nested.Delete(tx, oldest)
	}
	return b
}

// release hands on what was held of the first device that a sender named, and takes
// back from the sender what it was held to be and to do because of it. Of what was over by
// then the sender's lines may have been told for good, and stay as well.
func release(tx *stream.Tx, from proto.ID, held []nestedState, now proto.Time) {
	slices.SortFunc(held, func(a, b nestedState) int { // the message that named the device is before its steps, which have a time
		return cmp.Or(cmp.Compare(a.at, b.at), bytes.Compare(a.held, b.held))
	})
	var first proto.Nested
	moved := 0
	for i := range held {
		n := new(proto.Nested)
		if err := proto.Unmarshal(held[i].held, n); err != nil {
			tx.Dead("nested device: " + err.Error())
			return
		}
		o := &n.Observation
		if i == 0 {
			first = *n
		}
		withdrawEvidence(tx, from, o, first.Observation.Time)
		if !held[i].step {
			continue
		}
		step, ended := o.Attributes.Get("mpps"), len(held[i].ended) > 0
		open := withdrawStep(tx, from, step, now)
		if open || ended {
			publishNested(tx, held[i].device, held[i].held, now)
			moved++
		}
		if ended {
			publishNested(tx, held[i].device, held[i].ended, now)
		}
		if !open || ended { // the end of one that is over, should it come yet, is the sender's too
			nested.Delete(tx, nestedKey(from, step))
		}
	}
	if moved > 0 || len(held) == 0 { // a step's message says what the first one does
		return
	}
	o := &first.Observation
	o.Attributes = slices.DeleteFunc(o.Attributes, func(a proto.Attribute) bool { return a.Name == "mpps" }) // that is over
	if val, err := proto.Marshal(&first); err == nil {
		publishNested(tx, held[0].device, val, now)
	}
}

// withdrawStep takes back that an endpoint is in use by a procedure step, and reports
// whether it could: one that is taken to be over may have been told for good.
func withdrawStep(tx *stream.Tx, id proto.ID, step string, now proto.Time) bool {
	s := uses.Edit(tx, id[:])
	if u := latest(s.told(), proto.UseStep, step); u != nil && over(u, now) {
		return false
	}
	s.signs = slices.DeleteFunc(s.signs, func(x sign) bool { return x.how == proto.UseStep && x.key == step })
	s.uses = slices.DeleteFunc(s.uses, func(x proto.Use) bool { return x.How == proto.UseStep && x.Key == step })
	return true
}

// withdrawEvidence takes back what an endpoint is since a time held to be because of an
// observation that is handed on now. What was known before, and its own title, stay.
func withdrawEvidence(tx *stream.Tx, id proto.ID, o *proto.Observation, since proto.Time) {
	p := writeProfile(tx, id)
	read(o, func(attribute, value string, _ float64) {
		p.evidence = slices.DeleteFunc(p.evidence, func(e proto.Evidence) bool {
			return e.Attribute == attribute && e.Value == clean(value) && e.Protocol == o.Protocol && e.First >= since && attribute != "ae_title"
		})
	})
}

// ofSender are attributes of a message that are about who sends it.
var ofSender = map[string]bool{"calling_ae": true, "implementation_uid": true, "implementation_version": true}

// readdressed is an observation as one of another endpoint, behind its own.
func readdressed(tx *stream.Tx, site string, o *proto.Observation, to proto.ID) []byte {
	c := *o
	c.Endpoint, c.Gateway, c.MAC, c.IP = to, o.Endpoint, proto.MAC{}, netip.Addr{}
	c.Attributes = slices.DeleteFunc(slices.Clone(o.Attributes), func(a proto.Attribute) bool { return ofSender[a.Name] })
	if o.Protocol == "dicom" {
		c.Attributes.Set("calling_ae", o.Attributes.Get("station_ae"))
	}
	val, err := proto.Marshal(&proto.Nested{Observation: c, Site: site})
	if err != nil { // it was decoded from the like
		tx.Dead("nested device: " + err.Error())
	}
	return val
}

func hand(tx *stream.Tx, site string, o *proto.Observation, to proto.ID) bool {
	if val := readdressed(tx, site, o, to); val != nil {
		publishNested(tx, to, val, o.Time)
	}
	return true
}

func publishNested(tx *stream.Tx, to proto.ID, val []byte, at proto.Time) {
	tx.Emit(stream.Output{Topic: proto.TopicNested, Kind: proto.KindNested, Lane: to.Lane(), Key: to[:], Value: val, Time: at})
}
