package fingerprint

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// memberState is the last summary of an endpoint of a group. Which they are the row's
// key says, and presence and uses are in the timeline.
type memberState struct{ proto.Summary }

// packedMember begins a row; those of an earlier release begin with the head of a
// MessagePack array.
const packedMember = 1

const (
	memberMAC = 1 << iota
	memberGateway
	memberFinal
	memberJoined
)

// AppendTo encodes the summary.
func (m *memberState) AppendTo(b []byte) []byte {
	w := packer{b: append(b, packedMember)}
	joined := m.Since != 0 || m.Why != ""
	w.uint(flagIf(!m.MAC.IsZero(), memberMAC) | flagIf(!m.Gateway.IsZero(), memberGateway) | flagIf(m.Final, memberFinal) | flagIf(joined, memberJoined))
	if !m.MAC.IsZero() {
		w.b = append(w.b, m.MAC[:]...)
	}
	if !m.Gateway.IsZero() {
		w.b = append(w.b, m.Gateway[:]...)
	}
	w.text(m.Site)
	w.uint(uint64(len(m.IPs)))
	for _, ip := range m.IPs {
		w.address(ip)
	}
	w.time(m.FirstSeen)
	w.time(m.LastSeen)
	w.uint(m.Version)
	w.evidence(m.Evidence)
	for _, list := range [...][]string{m.Hostnames, m.AETitles} { // mostly values of evidence
		w.uint(uint64(len(list)))
		for _, s := range list {
			w.text(s)
		}
	}
	w.uint(m.Offline)
	w.uint(m.Missing)
	if joined {
		w.time(m.Since)
		w.text(m.Why)
	}
	return w.b
}

// Parse decodes the summary.
func (m *memberState) Parse(b []byte) error {
	if len(b) == 0 || b[0] != packedMember {
		return proto.Unmarshal(bytes.Clone(b), &m.Summary)
	}
	u := newUnpacker(b[1:])
	m.Summary = proto.Summary{}
	f := u.Uint()
	if f&memberMAC != 0 {
		u.Fixed(m.MAC[:])
	}
	if f&memberGateway != 0 {
		u.Fixed(m.Gateway[:])
	}
	m.Final = f&memberFinal != 0
	m.Site = u.text()
	for n := u.Uint(); n > 0 && u.More(); n-- {
		m.IPs = append(m.IPs, u.address())
	}
	m.FirstSeen, m.LastSeen, m.Version = u.time(), u.time(), u.Uint()
	m.Evidence = u.evidence()
	for _, list := range [...]*[]string{&m.Hostnames, &m.AETitles} {
		for n := u.Uint(); n > 0 && u.More(); n-- {
			*list = append(*list, u.text())
		}
	}
	m.Offline, m.Missing = u.Uint(), u.Uint()
	if f&memberJoined != 0 {
		m.Since, m.Why = u.time(), u.text()
	}
	return u.failed()
}

// deviceState is what has been told of a group: how often, and each binding's content.
type deviceState struct {
	version  uint64
	bindings []toldBinding // sorted by endpoint
	facts    uint64        // see factsOf
	last     string        // state
	around   uint64        // see around

	now    proto.Time // of the last summary, and its time domain: what people decide is told then
	domain string
}

type toldBinding struct {
	endpoint proto.ID
	what     string // its hash
	member   memberNews
}

func (st *deviceState) find(id proto.ID) (int, bool) {
	return slices.BinarySearchFunc(st.bindings, id, func(b toldBinding, id proto.ID) int { return bytes.Compare(b.endpoint[:], id[:]) })
}

func (st *deviceState) told(id proto.ID) string {
	if i, ok := st.find(id); ok {
		return st.bindings[i].what
	}
	return ""
}

func (st *deviceState) tell(id proto.ID, what string) {
	i, ok := st.find(id)
	if !ok {
		st.bindings = slices.Insert(st.bindings, i, toldBinding{endpoint: id})
	}
	st.bindings[i].what = what
}

// forget lets an endpoint go: should it come back, it is told of again.
func (st *deviceState) forget(id proto.ID) {
	if i, ok := st.find(id); ok {
		st.bindings = slices.Delete(st.bindings, i, i+1)
	}
}

// packedDevice begins a device's row; those of an earlier release begin with its version,
// which is not written so.
var packedDevice = []byte{0x80, 0}

// AppendTo encodes the state.
func (st *deviceState) AppendTo(b []byte) []byte {
	w := packer{b: append(b, packedDevice...)}
	w.uint(st.version)
	w.uint(uint64(len(st.bindings)))
	for i := range st.bindings {
		w.b = append(w.b, st.bindings[i].endpoint[:]...)
		w.text(st.bindings[i].what)
		st.bindings[i].member.appendTo(&w)
	}
	w.b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(w.b, st.facts), st.around)
	w.text(st.last)
	w.time(st.now)
	w.text(st.domain)
	return w.b
}

// Parse decodes the state.
func (st *deviceState) Parse(b []byte) error {
	if !bytes.HasPrefix(b, packedDevice) {
		return st.parseLong(b)
	}
	u := newUnpacker(b[len(packedDevice):])
	*st = deviceState{version: u.Uint()}
	for n := u.Uint(); n > 0 && u.More(); n-- {
		var t toldBinding
		u.Fixed(t.endpoint[:])
		t.what = u.text()
		t.member.parse(u)
		st.bindings = append(st.bindings, t)
	}
	var sums [16]byte
	u.Fixed(sums[:])
	st.facts, st.around = binary.BigEndian.Uint64(sums[:8]), binary.BigEndian.Uint64(sums[8:])
	st.last, st.now, st.domain = u.text(), u.time(), u.text()
	return u.failed()
}

// parseLong decodes the state of an earlier release; of a yet earlier one it has no facts.
func (st *deviceState) parseLong(b []byte) error {
	d := stream.NewDecoder(b)
	*st = deviceState{version: d.Uint()}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		var t toldBinding
		d.Fixed(t.endpoint[:])
		t.what = d.String()
		st.bindings = append(st.bindings, t)
	}
	st.facts, st.last = d.Uint(), d.String()
	st.now, st.domain = proto.Time(d.Int()), d.String()
	if d.More() {
		st.around = d.Uint()
	}
	return d.Err()
}
