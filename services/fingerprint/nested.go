package fingerprint

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Devices that are only heard of through another: the stations whose procedure steps
// one broker reports (DICOM PS3.4 annex F), or whose images it sends (nested_images.go), the meters that one data manager speaks for
// (CLSI POCT1-A). What such a message is about is known from it alone; that its sender
// speaks for others is known when it has named a second one. From then on its messages
// are handed on to the lanes of the devices that they name.

const tableNested = 'n'

var nested = stream.NewTable[nestedState](tableNested, idLen) // sender, what is named -> the device

// maxNested bounds what is kept of a sender, maxSteps of that its procedure steps
// that have not ended.
const (
	maxNested = 256
	maxSteps  = 64
)

// nestedState is a device that a sender has named, or a procedure step of it.
type nestedState struct {
	device proto.ID
	step   bool
	held   []byte // the message that named it, while its sender has named no other
	ended  []byte // the end of the procedure step that it began
}

// AppendTo encodes the state.
func (s *nestedState) AppendTo(b []byte) []byte {
	b = stream.AppendBytes(stream.AppendUint(append(b, s.device[:]...), flagIf(s.step, 1)), s.held)
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
	s.step = d.Uint() == 1
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

// passOn hands an observation on to the device that it names, where its endpoint
// speaks for several, and reports whether it did.
func passOn(tx *stream.Tx, site string, o *proto.Observation) bool {
	device, step := named(o)
	if device == "" && step == "" {
		return passOnImage(tx, site, o)
	}
	from := o.Endpoint
	key := func(what string) []byte {
		id := proto.HashID("nested", from[:], []byte(what))
		return append(from[:len(from):len(from)], id[:8]...)
	}
	if device == "" {
		return endOfStep(tx, site, o, key(step))
	}
	id := proto.EquipmentEndpoint(site, device)
	if step != "" {
		id = stepDevice(tx, from, id, o.Attributes.Get("station_name"))
	}
	others, steps := 0, 0
	known := false
	nested.Scan(tx, from[:], func(at []byte, s *nestedState) bool {
		switch {
		case s.step:
			steps++
		case s.device == id:
			known = true
		default:
			others++
			if len(s.held) > 0 { // what the first one said before there was a second
				x := nested.Edit(tx, at)
				publishNested(tx, x.device, x.held, o.Time)
				if len(x.ended) > 0 {
					publishNested(tx, x.device, x.ended, o.Time)
				}
				x.held, x.ended = nil, nil
			}
		}
		return true
	})
	if !known && others >= maxNested {
		return false
	}
	if others == 0 {
		if !known {
			st := nested.Edit(tx, key(device))
			st.device, st.held = id, readdressed(tx, site, o, id)
			if step != "" {
				*nested.Edit(tx, key(step)) = nestedState{device: id, step: true}
			}
		}
		return false
	}
	if !known {
		nested.Edit(tx, key(device)).device = id
	}
	if step != "" && steps < maxSteps {
		st := nested.Edit(tx, key(step))
		st.device, st.step = id, true
	}
	return hand(tx, site, o, id)
}

// endOfStep hands on the end of a step, which says no more whose it was.
func endOfStep(tx *stream.Tx, site string, o *proto.Observation, key []byte) bool {
	st := nested.Get(tx, key)
	if st == nil {
		return false
	}
	of := st.device
	alone := holdEnd(tx, site, o, of)
	if s := o.Attributes.Get("mpps_status"); s == "completed" || s == "discontinued" {
		nested.Delete(tx, key)
	}
	return !alone && hand(tx, site, o, of)
}

// holdEnd keeps the end of a step whose begin is held, and reports whether it is: then
// its sender has named nobody else yet.
func holdEnd(tx *stream.Tx, site string, o *proto.Observation, of proto.ID) (alone bool) {
	nested.Scan(tx, o.Endpoint[:], func(at []byte, s *nestedState) bool {
		if s.device != of || len(s.held) == 0 {
			return true
		}
		nested.Edit(tx, at).ended = readdressed(tx, site, o, of)
		alone = true
		return false
	})
	return alone
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
