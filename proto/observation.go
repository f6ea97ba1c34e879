package proto

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
)

// Attribute is one fact of an observation: a single Value, or a List where the
// protocol gives several.
type Attribute struct {
	Name  string
	Value string
	List  []string // not nil: a JSON array
}

// Attributes are the facts of an observation, sorted by name, names unique.
// In JSON they are one object.
type Attributes []Attribute

// roomOfAttributes is what most observations need, so that few grow.
const roomOfAttributes = 6

// Set adds or replaces a single-valued attribute; an empty value is not a fact and is left out.
func (a *Attributes) Set(name, value string) {
	if value == "" {
		return
	}
	a.put(Attribute{Name: name, Value: value})
}

// SetList adds or replaces a list attribute; an empty list is left out.
func (a *Attributes) SetList(name string, values []string) {
	if len(values) == 0 {
		return
	}
	a.put(Attribute{Name: name, List: values})
}

func (a *Attributes) put(v Attribute) {
	i, found := slices.BinarySearchFunc(*a, v.Name, func(x Attribute, n string) int { return strings.Compare(x.Name, n) })
	if found {
		(*a)[i] = v
		return
	}
	if *a == nil {
		*a = make(Attributes, 0, roomOfAttributes)
	}
	*a = slices.Insert(*a, i, v)
}

// Get gives a single value, "" when absent.
func (a Attributes) Get(name string) string {
	if i, ok := slices.BinarySearchFunc(a, name, func(x Attribute, n string) int { return strings.Compare(x.Name, n) }); ok {
		return a[i].Value
	}
	return ""
}

// List gives a list attribute, nil when absent.
func (a Attributes) List(name string) []string {
	if i, ok := slices.BinarySearchFunc(a, name, func(x Attribute, n string) int { return strings.Compare(x.Name, n) }); ok {
		return a[i].List
	}
	return nil
}

// MarshalJSON writes one object with sorted keys.
func (a Attributes) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil), nil }

// Observation is one protocol fact about one endpoint: what a dissector read.
// Device facts only; never a patient's.
type Observation struct {
	Time          Time       `json:"time"`
	ObservationID ID         `json:"observation_id"`
	Site          string     `json:"site"`
	Sensor        string     `json:"sensor"`
	FlowID        ID         `json:"flow_id"` // null outside IP
	Device        ID         `json:"device"`  // filled when read
	Protocol      string     `json:"protocol"`
	Kind          string     `json:"kind"` // the protocol's own message: discover, ack, reply, associate_rq, oru_r01
	Attributes    Attributes `json:"attributes"`
	Endpoint      ID         `json:"endpoint"` // whom the fact is about; its lane carries the observation
	IP            netip.Addr `json:"ip"`       // of the endpoint, where known
	MAC           MAC        `json:"mac"`
	VLAN          VLAN       `json:"vlan"`
	Gateway       ID         `json:"gateway"` // the endpoint that spoke for it, when it did not speak itself
	Peer          ID         `json:"peer"`    // the other end's endpoint, where there is one inside

	DuplicateOfSensor string `json:"duplicate_of_sensor"` // who told the same, when that counts and this does not
}

const observationFields = 13

// Identify sets ObservationID from what the observation says, so that it is the
// same in every run: HashID over its parts.
func (o *Observation) Identify() {
	var t [8]byte
	binary.LittleEndian.PutUint64(t[:], uint64(o.Time))
	var room [1024]byte
	b := appendHashed(room[:0], "observation")
	b = appendHashed(b, o.Site)
	b = appendHashed(b, t[:])
	b = appendHashed(b, o.FlowID[:])
	b = appendHashed(b, o.Endpoint[:])
	b = appendHashed(b, o.Protocol)
	b = appendHashed(b, o.Kind)
	at := len(b)
	b = o.Attributes.AppendJSON(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	o.ObservationID = hashed(b)
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (o *Observation) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, o) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (o *Observation) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, o) }

// encode writes an array of 13 fields; Site and Sensor are the batch's.
func (o *Observation) encode(w *writer) {
	w.array(observationFields)
	w.int(int64(o.Time))
	w.id(o.ObservationID)
	w.id(o.FlowID)
	w.string(o.Protocol)
	w.string(o.Kind)
	w.array(len(o.Attributes) * 2)
	for _, a := range o.Attributes {
		w.string(a.Name)
		if a.List != nil {
			w.strings(a.List)
		} else {
			w.string(a.Value)
		}
	}
	w.id(o.Endpoint)
	w.addr(o.IP)
	w.mac(o.MAC)
	w.uint(uint64(o.VLAN))
	w.id(o.Gateway)
	w.id(o.Peer)
	w.string(o.DuplicateOfSensor)
}

// decode reads any version.
func (o *Observation) decode(r *reader) {
	r.array()
	*o = Observation{}
	o.Time = Time(r.int())
	r.fixed(o.ObservationID[:])
	r.fixed(o.FlowID[:])
	o.Protocol = r.word()
	o.Kind = r.word()
	if r.more() {
		m := r.inner() / 2
		for range m {
			a := Attribute{Name: r.name()}
			if r.isArray() {
				if a.List = r.list(); a.List == nil {
					a.List = []string{}
				}
			} else {
				a.Value = r.text()
			}
			if r.err != nil {
				return
			}
			o.Attributes = append(o.Attributes, a)
		}
	}
	r.fixed(o.Endpoint[:])
	o.IP = r.addr()
	r.fixed(o.MAC[:])
	o.VLAN = VLAN(r.uint())
	r.fixed(o.Gateway[:])
	r.fixed(o.Peer[:])
	o.DuplicateOfSensor = r.word()
	r.end()
}
