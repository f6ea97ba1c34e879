package proto

import "github.com/vmihailenco/msgpack/v5"

// Claim is what an endpoint knows that may tell it from others, or as the same as
// others: the endpoint fold says it to the identity fold, all of it each time, when
// any of it has changed.
type Claim struct {
	Endpoint  ID
	Site      string
	Class     EndpointClass
	FirstSeen Time
	Gateway   ID     // the endpoint that it sits behind
	Hour      int64  // since the epoch: the latest of which it is known whether the endpoint was seen
	Hours     uint64 // bit n: it was seen n hours before Hour
	Version   uint64 // counts up per endpoint
	Watched   bool   // its hours are told as they come (Grouping.Watched)
	Keys      []ClaimKey

	// What people have decided about two ids; then nothing else of the claim is set but
	// Endpoint.
	Verdict *Verdict
}

// EndpointClass is what an endpoint is named by.
type EndpointClass uint8

// The classes.
const (
	ClassMAC       EndpointClass = iota // an address that its maker gave to the interface
	ClassEquipment                      // a name inside a protocol
	ClassLocal                          // a locally administered MAC: of a phone that makes them up, or a virtual machine
	ClassAddress                        // an IP address alone
)

// Rank orders what endpoints are named by: a device of several is named by one of
// the lowest.
func (c EndpointClass) Rank() int {
	return [...]int{ClassMAC: 0, ClassEquipment: 0, ClassLocal: 1, ClassAddress: 2}[c&3]
}

// ClaimKey is one thing that an endpoint says or shows of itself.
type ClaimKey struct {
	Kind  ClaimKind
	Value string
	Since Time // ClaimOwns: when it took the address; one key for each time that it did
}

// ClaimKind is what a key is.
type ClaimKind uint8

// The kinds of keys.
const (
	ClaimMAC      ClaimKind = iota + 1 // its MAC
	ClaimAddress                       // it is nothing but this IP address, seen through a router
	ClaimOwns                          // it has this IP address: a DHCP server has given it
	ClaimAnswers                       // it has this IP address: its own ARP or neighbour discovery says so
	ClaimSerial                        // serial number
	ClaimUID                           // an identifier that is meant to be of one device: UUID, UDI with serial, EUI-64
	ClaimDUID                          // DHCP unique identifier (RFC 8415, 11), of a host and all its interfaces
	ClaimEngine                        // SNMP engine id (RFC 3411), of an agent and all its interfaces
	ClaimManaged                       // it is managed at this IP address (LLDP, CDP): a switch says so on each of its ports
	ClaimHostname                      // name
	ClaimMaker                         // what it says of its maker
	ClaimModel                         // and model
	ClaimVLAN                          // all its own frames are in this VLAN
)

// Verdict is what a person has decided about two ids.
type Verdict struct {
	EditID ID
	Other  ID
	Same   bool
	Undone bool
	By     string
	Time   Time
}

// Grouping is what the identity fold has concluded: the endpoint is part of the
// device of Group, its own id for one of its own.
type Grouping struct {
	Endpoint ID
	Group    ID
	Since    Time   // what was seen of the endpoint before was of another; 0: nothing was
	Watched  bool   // whether it and another are seen at once decides: its hours are wanted
	Why      string // in words
	Time     Time   // event time and time domain of the claim that brought it about
	Domain   string
	Site     string // the endpoint's
	Version  uint64 // counts up per endpoint
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (c *Claim) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, c) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (c *Claim) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, c) }

// encode writes an array of 11 fields, the last of which is an array of 6 or nil.
func (c *Claim) encode(w *writer) {
	w.array(11)
	w.id(c.Endpoint)
	w.string(c.Site)
	w.uint(uint64(c.Class))
	w.int(int64(c.FirstSeen))
	w.id(c.Gateway)
	w.int(c.Hour)
	w.uint(c.Hours)
	w.uint(c.Version)
	w.bool(c.Watched)
	w.array(len(c.Keys))
	for i := range c.Keys {
		k := &c.Keys[i]
		w.array(3)
		w.uint(uint64(k.Kind))
		w.string(k.Value)
		w.int(int64(k.Since))
	}
	v := c.Verdict
	if v == nil {
		w.bytes(nil)
		return
	}
	w.array(6)
	w.id(v.EditID)
	w.id(v.Other)
	w.bool(v.Same)
	w.bool(v.Undone)
	w.string(v.By)
	w.int(int64(v.Time))
}

// decode reads any version.
func (c *Claim) decode(r *reader) {
	r.array()
	*c = Claim{}
	r.fixed(c.Endpoint[:])
	c.Site = r.string()
	c.Class = EndpointClass(r.uint())
	c.FirstSeen = Time(r.int())
	r.fixed(c.Gateway[:])
	c.Hour, c.Hours, c.Version, c.Watched = r.int(), r.uint(), r.uint(), r.bool()
	if r.more() {
		for range r.inner() {
			r.nested(func(in *reader) {
				in.array()
				c.Keys = append(c.Keys, ClaimKey{Kind: ClaimKind(in.uint()), Value: in.string(), Since: Time(in.int())})
				in.end()
			})
			if r.err != nil {
				return
			}
		}
	}
	if in, found := r.optional(); found {
		v := new(Verdict)
		in.fixed(v.EditID[:])
		in.fixed(v.Other[:])
		v.Same, v.Undone, v.By, v.Time = in.bool(), in.bool(), in.string(), Time(in.int())
		c.Verdict = v
		r.close(&in)
	}
	r.end()
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (g *Grouping) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, g) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (g *Grouping) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, g) }

// encode writes an array of 9 fields.
func (g *Grouping) encode(w *writer) {
	w.array(9)
	w.id(g.Endpoint)
	w.id(g.Group)
	w.int(int64(g.Since))
	w.bool(g.Watched)
	w.string(g.Why)
	w.int(int64(g.Time))
	w.string(g.Domain)
	w.string(g.Site)
	w.uint(g.Version)
}

// decode reads any version.
func (g *Grouping) decode(r *reader) {
	r.array()
	*g = Grouping{}
	r.fixed(g.Endpoint[:])
	r.fixed(g.Group[:])
	g.Since = Time(r.int())
	g.Watched, g.Why = r.bool(), r.string()
	g.Time, g.Domain, g.Site, g.Version = Time(r.int()), r.word(), r.string(), r.uint()
	r.end()
}

// Nested is an observation of a device that is only heard of through another, handed on
// to its own lane.
type Nested struct {
	Site        string
	Observation Observation
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (n *Nested) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, n) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (n *Nested) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, n) }

// encode writes an array of 2 fields.
func (n *Nested) encode(w *writer) {
	w.array(2)
	w.string(n.Site)
	n.Observation.encode(w)
}

// decode reads any version.
func (n *Nested) decode(r *reader) {
	r.array()
	*n = Nested{Site: r.string()}
	if r.more() {
		r.nested(n.Observation.decode)
	}
	n.Observation.Site = n.Site
	r.end()
}

// Joined says why an endpoint is part of a device.
type Joined struct {
	Endpoint ID     `json:"endpoint"`
	Why      string `json:"why"`
	Since    *Time  `json:"since"` // what the endpoint showed before was of another device; null: nothing was
}

// JoinedList is a list that is [] and never null in JSON.
type JoinedList []Joined

// MarshalJSON writes [] for an empty list.
func (s JoinedList) MarshalJSON() ([]byte, error) { return marshalList([]Joined(s)) }
