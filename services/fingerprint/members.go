package fingerprint

import (
	"bytes"
	"slices"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// memberState is the last summary of an endpoint of a group.
type memberState struct{ proto.Summary }

// AppendTo encodes the summary.
func (m *memberState) AppendTo(b []byte) []byte {
	val, err := proto.Marshal(&m.Summary)
	if err != nil { // it was decoded from the like
		return b
	}
	return append(b, val...)
}

// Parse decodes the summary.
func (m *memberState) Parse(b []byte) error { return proto.Unmarshal(bytes.Clone(b), &m.Summary) }

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
	what     string
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

// AppendTo encodes the state.
func (st *deviceState) AppendTo(b []byte) []byte {
	b = stream.AppendUint(stream.AppendUint(b, st.version), uint64(len(st.bindings)))
	for i := range st.bindings {
		b = stream.AppendString(append(b, st.bindings[i].endpoint[:]...), st.bindings[i].what)
	}
	b = stream.AppendString(stream.AppendUint(b, st.facts), st.last)
	b = stream.AppendString(stream.AppendInt(b, int64(st.now)), st.domain)
	return stream.AppendUint(b, st.around)
}

// Parse decodes the state; one of an earlier release has no facts.
func (st *deviceState) Parse(b []byte) error {
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
