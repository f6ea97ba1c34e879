package anomaly

import (
	"hash/fnv"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Config is what the fold may be told; policies come by wardflow.control.
type Config struct{}

// Timer keys: a kind, then what it is about.
const (
	timerSilence = 'q' // endpoint
	timerScan    = 's' // endpoint, target
	timerRest    = 'r' // endpoint, rule, target
)

// Fold is the anomaly fold.
type Fold struct{}

// New makes the fold. It emits proto.Detection as JSON on wardflow.detections
// (key: the detection's id, lane: the endpoint's), and the same as an OCSF 1.8.0
// Detection Finding on wardflow.alerts.
func New(Config) stream.Fold { return &Fold{} }

// Name is "anomaly".
func (f *Fold) Name() string { return "anomaly" }

// Inputs lists traffic, the bindings that the device fold makes of it, and policies.
func (f *Fold) Inputs() []stream.Input {
	return []stream.Input{
		{Topic: proto.TopicTraffic},
		{Topic: proto.TopicBindings, Upstream: "device", Rekeyed: true},
		{Topic: proto.TopicControl},
	}
}

// Progress is said to the folds that join detections with traffic.
func (f *Fold) Progress() []stream.ProgressTo {
	return []stream.ProgressTo{{Topic: proto.TopicDetections}}
}

// call is one event of one endpoint.
type call struct {
	tx     *stream.Tx
	id     proto.ID
	site   string
	domain string
	h      *host
	p      *policy
	bind   *kind // read when first asked for
}

// kind is what the endpoint is, so far as it is known.
func (c *call) kind() *kind {
	if c.bind == nil {
		if c.bind = bound.Get(c.tx, c.id[:]); c.bind == nil {
			c.bind = &kind{device: c.id, category: "unknown"}
		}
	}
	return c.bind
}

func policyOf(tx *stream.Tx, site string) *policy {
	if p := policies.Get(tx, []byte(site)); p != nil {
		return p
	}
	return noPolicy
}

// Apply takes an event in.
func (f *Fold) Apply(tx *stream.Tx, ev *stream.Event) {
	switch m := ev.Msg.(type) {
	case *proto.Flow:
		f.flow(tx, ev, m)
	case *proto.Observation:
		f.observation(tx, ev, m)
	case *proto.Binding:
		k := bound.Edit(tx, m.Endpoint[:])
		*k = kind{device: m.Device, category: m.Category, typ: m.Type, lifeSustaining: m.Criticality == "life_sustaining"}
	case *proto.Control:
		if m.Policy != nil {
			p := policies.Edit(tx, []byte(m.Policy.Site))
			p.Policy = *m.Policy
			p.read()
		}
	case *proto.Heartbeat:
		if m.End {
			tx.Sweep("leave", tableHosts)
			tx.Sweep("tell", tableDetections)
		}
	}
}

func (f *Fold) flow(tx *stream.Tx, ev *stream.Event, m *proto.Flow) {
	if m.DuplicateOfSensor != "" {
		return
	}
	asServer := ev.Mirror || m.SrcEndpoint.IsZero()
	id, packets := m.SrcEndpoint, m.SrcPackets
	if asServer {
		id, packets = m.DstEndpoint, m.DstPackets
	}
	if id.IsZero() {
		return
	}
	c := call{tx: tx, id: id, site: ev.Site, domain: ev.Domain, p: policyOf(tx, ev.Site)}
	if packets > 0 {
		c.talk(m.Start, m.End)
	} else if c.h = hosts.Get(tx, id[:]); c.h == nil {
		return // it never said anything
	}
	if asServer || !m.SrcInside || reversed(m) {
		return
	}
	for _, d := range detectors {
		d(&c, m)
	}
}

// reversed reports that the capture began inside the flow with a packet of the
// server: then its source did not open it. Zeek's OTH says that no handshake was seen.
func reversed(m *proto.Flow) bool {
	if m.Transport == proto.TCP && m.State != "OTH" {
		return false
	}
	return m.SrcPort < m.DstPort && m.SrcPort != 0 && m.DstPort >= 1024 && (m.SrcPort < 1024 || m.DstPort >= 32768 || m.Transport == proto.TCP)
}

func (f *Fold) observation(tx *stream.Tx, ev *stream.Event, o *proto.Observation) {
	if o.DuplicateOfSensor != "" || o.Endpoint.IsZero() || !spoke(o) {
		return
	}
	c := call{tx: tx, id: o.Endpoint, site: ev.Site, domain: ev.Domain, p: policyOf(tx, ev.Site)}
	c.talk(o.Time, o.Time)
	if o.Protocol == "dhcp" && o.Kind == "release" {
		hosts.Edit(tx, o.Endpoint[:]).present = false // it says goodbye
	}
}

// spoke reports whether an observation shows its endpoint at work, and not only
// what another said about it.
func spoke(o *proto.Observation) bool {
	switch {
	case o.Kind == "name" && (o.Protocol == "dns" || o.Protocol == "llmnr"), o.Kind == "engine" && o.Protocol == "snmp":
		return false
	case o.Protocol == "dhcp" && (o.Kind == "offer" || o.Kind == "ack" || o.Kind == "nak"):
		return o.Attributes.Get("role") == "server"
	}
	return true
}

// Fire takes a timer.
func (f *Fold) Fire(tx *stream.Tx, t stream.Timer) {
	if len(t.Key) < 1+idLen {
		return
	}
	key := t.Key[1:]
	c := call{tx: tx, id: proto.ID(key[:idLen]), site: t.Site, domain: t.Domain, p: policyOf(tx, t.Site)}
	switch t.Key[0] {
	case timerSilence:
		c.deadline(t)
	case timerScan:
		c.forgetScan(t, key)
	case timerRest:
		c.rest(t, key)
	}
}

// Sweep works at the end of a capture file.
func (f *Fold) Sweep(tx *stream.Tx, name string, key []byte) {
	switch name {
	case "leave": // nobody watches any more, and timers of the file's domain do not come
		if h := hosts.Get(tx, key); h != nil && (h.present || h.timer != 0) {
			h = hosts.Edit(tx, key)
			h.present, h.timer = false, 0
		}
	case "tell":
		if d := detections.Get(tx, key); d != nil && d.Count != d.told {
			tellAgain(tx, detections.Edit(tx, key))
		}
	}
}

func hash64(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}
