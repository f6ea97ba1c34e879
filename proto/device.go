package proto

import (
	"net/netip"

	"github.com/vmihailenco/msgpack/v5"
)

// Evidence is one reason for a value: which attribute, which value, which
// protocol said so, when first and last, how often, and how much it weighs (0..1).
type Evidence struct {
	Attribute string  `json:"attribute"`
	Value     string  `json:"value"`
	Protocol  string  `json:"protocol"`
	First     Time    `json:"first"`
	Last      Time    `json:"last"`
	Count     uint64  `json:"count"`
	Weight    float64 `json:"weight"`
}

// Summary is what the endpoint fold knows of one endpoint. It goes, under the
// endpoint's id, to the lane of the group's oldest endpoint (Group), where the
// device fold makes a device of it.
type Summary struct {
	Endpoint  ID
	Group     ID
	Site      string
	MAC       MAC
	IPs       []netip.Addr // every address held, in order of first use
	Hostnames []string
	AETitles  []string
	Gateway   ID // the endpoint that it sits behind
	FirstSeen Time
	LastSeen  Time
	Version   uint64 // counts up per endpoint
	Evidence  []Evidence

	// Presence and Uses are those of the last hours, the present ones last.
	Presence []Span
	Uses     []Use
	Offline  uint64 // seconds; the silence after which it counts as offline
	Missing  uint64 // seconds; the silence after which it counts as missing; 0 when that is not told
	Final    bool   // its capture file is over

	Since Time   // what was seen before was of another device (Grouping)
	Why   string // why it is part of its group, or no longer of another
	Left  ID     // this is for the device that it was part of: it is no longer
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (s *Summary) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, s) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (s *Summary) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, s) }

// encode writes an array of 13 fields, the last of which is an array of 8.
func (s *Summary) encode(w *writer) {
	w.array(13)
	w.id(s.Endpoint)
	w.id(s.Group)
	w.string(s.Site)
	w.mac(s.MAC)
	w.array(len(s.IPs))
	for _, a := range s.IPs {
		w.addr(a)
	}
	w.strings(s.Hostnames)
	w.strings(s.AETitles)
	w.id(s.Gateway)
	w.int(int64(s.FirstSeen))
	w.int(int64(s.LastSeen))
	w.uint(s.Version)
	w.evidence(s.Evidence)
	w.array(8)
	w.spans(s.Presence)
	w.uses(s.Uses)
	w.uint(s.Offline)
	w.bool(s.Final)
	w.int(int64(s.Since))
	w.string(s.Why)
	w.id(s.Left)
	w.uint(s.Missing)
}

// decode reads any version.
func (s *Summary) decode(r *reader) {
	r.array()
	*s = Summary{}
	r.fixed(s.Endpoint[:])
	r.fixed(s.Group[:])
	s.Site = r.string()
	r.fixed(s.MAC[:])
	if r.more() {
		for range r.inner() {
			s.IPs = append(s.IPs, r.address())
		}
	}
	s.Hostnames = r.strings()
	s.AETitles = r.strings()
	r.fixed(s.Gateway[:])
	s.FirstSeen = Time(r.int())
	s.LastSeen = Time(r.int())
	s.Version = r.uint()
	s.Evidence = r.evidence()
	if in, found := r.optional(); found {
		s.Presence, s.Uses, s.Offline, s.Final = in.spans(), in.uses(), in.uint(), in.bool()
		s.Since, s.Why = Time(in.int()), in.string()
		in.fixed(s.Left[:])
		s.Missing = in.uint()
		r.close(&in)
	}
	r.end()
}

func (w *writer) evidence(list []Evidence) {
	w.array(len(list))
	for i := range list {
		v := &list[i]
		w.array(7)
		w.string(v.Attribute)
		w.string(v.Value)
		w.string(v.Protocol)
		w.int(int64(v.First))
		w.int(int64(v.Last))
		w.uint(v.Count)
		w.float(v.Weight)
	}
}

func (r *reader) evidence() []Evidence {
	if !r.more() {
		return nil
	}
	n := r.inner()
	if n <= 0 || n > len(r.b) {
		return nil
	}
	list := make([]Evidence, 0, min(n, 128))
	for range n {
		var v Evidence
		r.nested(func(in *reader) {
			in.array()
			v = Evidence{Attribute: in.word(), Value: in.string(), Protocol: in.word(), First: Time(in.int()), Last: Time(in.int()), Count: in.uint(), Weight: in.float()}
			in.end()
		})
		if r.err != nil {
			return nil
		}
		list = append(list, v)
	}
	return list
}

// Binding tells every other fold, on the endpoint's lane, which device an
// endpoint belongs to, and the device's short profile.
type Binding struct {
	Endpoint    ID
	Device      ID
	Site        string
	Category    string
	Type        string
	Criticality string // "", low, medium, high, life_sustaining
	Location    string
	Gateway     ID
	Version     uint64
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (b *Binding) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, b) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (b *Binding) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, b) }

// encode writes an array of 9 fields.
func (b *Binding) encode(w *writer) {
	w.array(9)
	w.id(b.Endpoint)
	w.id(b.Device)
	w.string(b.Site)
	w.string(b.Category)
	w.string(b.Type)
	w.string(b.Criticality)
	w.string(b.Location)
	w.id(b.Gateway)
	w.uint(b.Version)
}

// decode reads any version.
func (b *Binding) decode(r *reader) {
	r.array()
	*b = Binding{}
	r.fixed(b.Endpoint[:])
	r.fixed(b.Device[:])
	b.Site = r.string()
	b.Category = r.word()
	b.Type = r.word()
	b.Criticality = r.word()
	b.Location = r.string()
	r.fixed(b.Gateway[:])
	b.Version = r.uint()
	r.end()
}

// Fact is a fused attribute of a device: null in JSON when unknown.
type Fact struct {
	Value      string  `json:"value"`
	Confidence float64 `json:"confidence"`
	Sources    Strings `json:"sources"`
}

// Behaviour is what a device acts like, when its traffic says so.
type Behaviour struct {
	Label      string  `json:"label"`
	Confidence float64 `json:"confidence"`
	Features   Strings `json:"features"`
}

// Device is a device as it stands; the keys are those of devices.jsonl, and of
// the record value on wardflow.devices.
type Device struct {
	DeviceID        ID         `json:"device_id"`
	Aliases         IDs        `json:"aliases"`
	Site            string     `json:"site"`
	MACs            Strings    `json:"macs"`
	IPs             Strings    `json:"ips"`
	Hostnames       Strings    `json:"hostnames"`
	AETitles        Strings    `json:"ae_titles"`
	Gateway         ID         `json:"gateway"`
	Category        *Fact      `json:"category"`
	Type            *Fact      `json:"type"`
	Manufacturer    *Fact      `json:"manufacturer"`
	Model           *Fact      `json:"model"`
	OS              *Fact      `json:"os"`
	OSVersion       *Fact      `json:"os_version"`
	HardwareVersion *Fact      `json:"hardware_version"`
	SoftwareVersion *Fact      `json:"software_version"`
	Serial          *Fact      `json:"serial"`
	Location        *Fact      `json:"location"`
	Behaviour       *Behaviour `json:"behaviour"`
	FirstSeen       Time       `json:"first_seen"`
	LastSeen        Time       `json:"last_seen"`
	LastState       string     `json:"last_state"`
	Evidence        Evidences  `json:"evidence"`
	Endpoints       IDs        `json:"endpoints"`
	Version         uint64     `json:"version"`

	Attachments Attachments `json:"attachments"` // switch and port, access point; the latest last

	Human     HumanValues  `json:"human"`     // what people have set or confirmed and holds, by attribute
	Conflicts Conflicts    `json:"conflicts"` // where traffic says something else
	Notes     HumanNotes   `json:"notes"`     // the latest five, the latest last
	Rating    *HumanRating `json:"rating"`    // null before the first
	Lifecycle Labels       `json:"lifecycle"` // state, since and reason; and what only people know: owner, room, retired, ...
	Edits     *EditCount   `json:"edits"`     // null before the first edit

	Contradictions Contradictions `json:"contradictions"` // what traffic says against the facts
	Joined         JoinedList     `json:"joined"`         // why its further endpoints are part of it

	Place           *Place          `json:"place"`            // where it is; null when nothing that is mapped says it
	Asset           *Asset          `json:"asset"`            // what the inventory knows; null for nothing
	EndOfSupport    *EndOfSupport   `json:"end_of_support"`   // null when it is not known
	LifecycleEvents LifecycleEvents `json:"lifecycle_events"` // the first, and the latest after it
}

// Attachment is where a device is plugged in or radioed in, as a network device says.
type Attachment struct {
	Switch      string `json:"switch"`
	Port        string `json:"port"` // of the switch
	AccessPoint string `json:"access_point"`
	SSID        string `json:"ssid"`
	Controller  string `json:"controller"` // of the access point
	VLAN        string `json:"vlan"`
	Source      string `json:"source"` // the protocol that says so
	First       Time   `json:"first"`
	Last        Time   `json:"last"`

	Confidence float64 `json:"confidence"` // how surely the source says so, 0..1
}

// Attachments is a list that is [] and never null in JSON.
type Attachments []Attachment

// MarshalJSON writes [] for an empty list.
func (s Attachments) MarshalJSON() ([]byte, error) { return marshalList([]Attachment(s)) }

// Fact is the fact of a name, nil when it is not known or there is no such fact.
func (d *Device) Fact(name string) *Fact {
	switch name {
	case "category":
		return d.Category
	case "type":
		return d.Type
	case "manufacturer":
		return d.Manufacturer
	case "model":
		return d.Model
	case "os":
		return d.OS
	case "os_version":
		return d.OSVersion
	case "hardware_version":
		return d.HardwareVersion
	case "software_version":
		return d.SoftwareVersion
	case "serial":
		return d.Serial
	case "location":
		return d.Location
	}
	return nil
}

// IDs is a list that is [] and never null in JSON.
type IDs []ID

// MarshalJSON writes [] for an empty list.
func (s IDs) MarshalJSON() ([]byte, error) { return marshalList([]ID(s)) }

// Evidences is a list that is [] and never null in JSON.
type Evidences []Evidence

// MarshalJSON writes [] for an empty list.
func (s Evidences) MarshalJSON() ([]byte, error) { return marshalList([]Evidence(s)) }
