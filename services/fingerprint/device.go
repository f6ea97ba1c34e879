package fingerprint

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The tables of the device fold.
const (
	tableDevices = 'd'
	tableMembers = 'm'
)

// virtualRouter is the weight of an address of VRRP (RFC 9568 7.3), HSRP or GLBP: the device
// that has it is the routers' together.
const virtualRouter = 0.95

// Folds makes the folds of the package, upstream first.
func Folds(cfg Config) []stream.Fold {
	return []stream.Fold{NewEndpoint(cfg), NewIdentity(), NewDevice(cfg)}
}

// Device is the device fold.
type Device struct {
	sets     *signatureSets
	contexts contextSets
}

// NewDevice makes the device fold. It emits proto.Device as JSON on
// wardflow.devices (key: the device's id) with every summary, and proto.Binding on
// wardflow.bindings (key: the endpoint's id, lane: the endpoint's) when it changes.
// A group of endpoints is one device; its id is the group's, which is that of the
// group's oldest endpoint.
func NewDevice(cfg Config) *Device { return &Device{sets: newSignatureSets(cfg.Packs)} }

// Name is "device".
func (d *Device) Name() string { return "device" }

// Inputs lists the summaries, what people decide, and control for what signatures
// may come.
func (d *Device) Inputs() []stream.Input {
	return []stream.Input{{Topic: proto.TopicSummaries}, {Topic: proto.TopicEdits}, {Topic: proto.TopicControl}}
}

// Fire is never called: the fold sets no timers.
func (d *Device) Fire(*stream.Tx, stream.Timer) {}

// Apply takes a summary, an edit or a change of signatures in.
func (d *Device) Apply(tx *stream.Tx, ev *stream.Event) {
	switch m := ev.Msg.(type) {
	case *proto.Summary:
		d.summary(tx, ev, m)
	case *proto.Edit:
		d.edit(tx, m)
	case *proto.Control:
		d.control(tx, m)
	}
}

func (d *Device) summary(tx *stream.Tx, ev *stream.Event, s *proto.Summary) {
	if s.Endpoint.IsZero() {
		return
	}
	if !s.Left.IsZero() {
		d.left(tx, ev, s)
		return
	}
	key := slices.Concat(s.Group[:], s.Endpoint[:])
	m := members.Get(tx, key)
	if m != nil && devices.Get(tx, s.Group[:]).versionOf(m, s.Endpoint) >= s.Version {
		return
	}
	d.grouped(tx, s)
	st := devices.Edit(tx, s.Group[:])
	if m == nil || st.keep(&m.Summary, s) {
		kept := members.Edit(tx, key)
		kept.Summary = *s
		kept.Presence, kept.Uses = nil, nil // the timeline has them
	}
	d.seen(tx, s.Group)
	st.now, st.domain = ev.Time, ev.Domain
	d.tell(tx, s.Group, d.members(tx, s.Group), s)
}

// left lets an endpoint go that is part of another device from now on. A device
// that nothing is left of is told no more: its id is an alias of the other.
func (d *Device) left(tx *stream.Tx, ev *stream.Event, s *proto.Summary) {
	key := slices.Concat(s.Left[:], s.Endpoint[:])
	if m := members.Get(tx, key); m == nil || devices.Get(tx, s.Left[:]).versionOf(m, s.Endpoint) >= s.Version {
		return
	}
	members.Delete(tx, key)
	st := devices.Edit(tx, s.Left[:])
	st.forget(s.Endpoint)
	st.now, st.domain = ev.Time, ev.Domain
	if rest := d.members(tx, s.Left); len(rest) > 0 {
		d.tell(tx, s.Left, rest, nil)
	}
}

// members are the endpoints of a group.
func (d *Device) members(tx *stream.Tx, group proto.ID) (all []*proto.Summary) {
	st := devices.Get(tx, group[:])
	members.Scan(tx, group[:], func(key []byte, m *memberState) bool {
		m.Group, m.Endpoint = group, proto.ID(key[idLen:])
		all = append(all, st.upToDate(&m.Summary))
		return true
	})
	return all
}

// tell emits the device of a group, and the bindings that have changed. news is
// the summary that brought it about, nil when people did.
func (d *Device) tell(tx *stream.Tx, id proto.ID, all []*proto.Summary, news *proto.Summary) {
	sig := d.signatures(tx)
	dev := sig.device(id, all)
	if news != nil {
		dev.LastState = d.usage(tx, dev, all, news)
		d.life(tx, dev, all)
	} else if t := timelines.Get(tx, id[:]); t != nil {
		dev.LastState = t.state(tx.Now())
	}
	d.emit(tx, sig, dev, all, tx.Now())
}

// emit tells a device as signatures have it, with what people say of it.
func (d *Device) emit(tx *stream.Tx, sig *signatures, dev *proto.Device, all []*proto.Summary, at proto.Time) {
	id := dev.DeviceID
	st := devices.Edit(tx, id[:])
	st.version++
	st.facts, st.last = factsOf(dev), dev.LastState
	dev.Version = st.version
	d.human(tx, sig, dev)
	d.surround(tx, st, dev)
	tx.Emit(stream.Output{Topic: proto.TopicDevices, Kind: proto.KindDevice, Lane: id.Lane(), Key: id[:], Value: dev.AppendJSON(nil), Time: at})
	for _, s := range all {
		bind(tx, sig, st, dev, s, at)
	}
}

// device makes a device of the summaries of its endpoints.
func (s *signatures) device(id proto.ID, all []*proto.Summary) *proto.Device {
	slices.SortFunc(all, func(a, b *proto.Summary) int { return slices.Compare(a.Endpoint[:], b.Endpoint[:]) })
	dev := &proto.Device{DeviceID: id, Site: all[0].Site, FirstSeen: max(all[0].FirstSeen, all[0].Since), LastSeen: all[0].LastSeen}
	wired := slices.ContainsFunc(all, func(e *proto.Summary) bool { return !e.MAC.IsZero() })
	var evidence []proto.Evidence
	for _, e := range all {
		dev.Endpoints = append(dev.Endpoints, e.Endpoint)
		if e.Endpoint != id {
			dev.Aliases = append(dev.Aliases, e.Endpoint)
			dev.Joined = append(dev.Joined, joinedBy(e))
		}
		if e.LastSeen > dev.LastSeen {
			dev.Site = e.Site // where a device is that has moved
		}
		dev.FirstSeen, dev.LastSeen = min(dev.FirstSeen, max(e.FirstSeen, e.Since)), max(dev.LastSeen, e.LastSeen)
		addNew(&dev.MACs, e.MAC.String())
		for _, ip := range e.IPs {
			addNew(&dev.IPs, ip.String())
		}
		addNew(&dev.Hostnames, namesOf(e, "hostname", e.Hostnames)...)
		addNew(&dev.AETitles, namesOf(e, "ae_title", e.AETitles)...)
		if dev.Gateway.IsZero() && !wired { // a device with an interface of its own sits behind nobody
			dev.Gateway = e.Gateway
		}
		for _, v := range e.Evidence {
			if v.Last >= e.Since { // what was seen of an address before is of who had it then
				evidence = append(evidence, v)
			}
		}
		if sharedMAC(e.MAC) { // an address of a group of routers is no maker's
			evidence = append(evidence, proto.Evidence{Attribute: "type", Value: "router", Protocol: "virtual_mac", First: e.FirstSeen, Last: e.LastSeen, Count: 1, Weight: virtualRouter})
		} else if maker := ieee().registrant(e.MAC); maker != "" {
			n := uint64(1)
			evidence = append(evidence,
				proto.Evidence{Attribute: "manufacturer", Value: maker, Protocol: "oui", First: e.FirstSeen, Last: e.LastSeen, Count: n, Weight: s.weightOUI(maker)},
				proto.Evidence{Attribute: "oui_vendor", Value: maker, Protocol: "oui", First: e.FirstSeen, Last: e.LastSeen, Count: n, Weight: 1})
		}
	}
	slices.SortStableFunc(evidence, compareEvidence)
	s.describe(dev, evidence)
	dev.Attachments = attachments(evidence)
	dev.Behaviour = behaviourOf(evidence)
	dev.Evidence = slices.DeleteFunc(evidence, func(v proto.Evidence) bool { return v.Attribute == "oui_vendor" })
	return dev
}

// namesOf leaves out the names that were heard of an address for the last time while another
// device had it.
func namesOf(e *proto.Summary, attribute string, names []string) []string {
	if e.Since == 0 {
		return names
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		last := proto.Time(0)
		for i := range e.Evidence {
			if v := &e.Evidence[i]; v.Attribute == attribute && v.Value == name {
				last = max(last, v.Last)
			}
		}
		return last != 0 && last < e.Since
	})
}

// joinedBy says why an endpoint is part of its device.
func joinedBy(e *proto.Summary) proto.Joined {
	j := proto.Joined{Endpoint: e.Endpoint, Why: e.Why}
	if e.Since != 0 {
		j.Since = &e.Since
	}
	return j
}

func (s *signatures) describe(dev *proto.Device, evidence []proto.Evidence) {
	f, against := s.judge(evidence)
	dev.Contradictions = against
	dev.Category, dev.Type, dev.Manufacturer, dev.Model = f["category"], f["type"], f["manufacturer"], f["model"]
	dev.OS, dev.OSVersion, dev.HardwareVersion, dev.SoftwareVersion = f["os"], f["os_version"], f["hardware_version"], f["software_version"]
	dev.Serial, dev.Location = f["serial"], f["location"]
}

func addNew(list *proto.Strings, values ...string) {
	for _, v := range values {
		if v != "" && !slices.Contains(*list, v) {
			*list = append(*list, v)
		}
	}
}

// bind emits the binding of an endpoint, when it is new or has changed.
func bind(tx *stream.Tx, sig *signatures, st *deviceState, dev *proto.Device, s *proto.Summary, at proto.Time) {
	b := proto.Binding{Endpoint: s.Endpoint, Device: dev.DeviceID, Site: s.Site, Category: "unknown", Gateway: dev.Gateway}
	if dev.Category != nil {
		b.Category = dev.Category.Value
	}
	if dev.Type != nil {
		b.Type = dev.Type.Value
		b.Criticality = sig.criticality[b.Type]
	}
	if c := dev.Lifecycle["criticality"]; c != "" {
		b.Criticality = c
	}
	if dev.Location != nil {
		b.Location = dev.Location.Value
	}
	what := strings.Join([]string{s.Endpoint.String(), b.Category, b.Type, b.Criticality, b.Location, b.Gateway.String()}, "\x00")
	short := string(binary.BigEndian.AppendUint64(nil, xxhash.Sum64String(what)))
	if told := st.told(s.Endpoint); told == short || told == what { // the latter of an earlier release
		return
	}
	b.Version = st.version
	val, err := proto.Marshal(&b)
	if err != nil {
		tx.Dead("binding: " + err.Error())
		return
	}
	st.tell(s.Endpoint, short)
	tx.Emit(stream.Output{Topic: proto.TopicBindings, Kind: proto.KindBinding, Lane: s.Endpoint.Lane(), Key: s.Endpoint[:], Value: val, Time: at})
}

// Together lists the tables that every summary asks for.
func (d *Device) Together() string {
	return string([]byte{tableDevices, tableMembers, tableTimelines, tableViews, tableMoved, tableJoined})
}
