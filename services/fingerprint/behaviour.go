package fingerprint

import (
	"cmp"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint/behaviour"
)

// The stages of sketching the behaviour of an endpoint.
const (
	freshUnknown = iota // nothing of it has counted
	freshOpen           // it is new, and sketched
	freshOver           // it was judged, and the sketch is gone
)

const tableSketches = 'b'

// sketches is what new endpoints did; a row lives for behaviour.Window and what
// flows need to end after it.
var sketches = stream.NewTable[behaviour.Sketch](tableSketches, 0) // endpoint -> sketch

// flowsEnd is how long after the window an endpoint is judged: by then the parts of
// the flows that began in it have been told.
const flowsEnd = 5 * time.Minute

// The evidence of behaviour. A feature's weight is by how much it raised the label.
const (
	attrBehaviour        = "behaviour"
	attrBehaviourFeature = "behaviour_feature"
	protocolBehaviour    = "behaviour"
)

func (h *host) sketchFlow(tx *stream.Tx, id proto.ID, f *proto.Flow, asServer bool) {
	if h.fresh == freshOver || h.anonymous {
		return
	}
	said := f.SrcPackets
	if asServer {
		said = f.DstPackets
	}
	if said == 0 { // before the sketch is made: whoever is only scanned gets none
		return
	}
	h.sketched(tx, id, sketches.Edit(tx, id[:]).Flow(f, asServer))
}

func (h *host) sketchObservation(tx *stream.Tx, o *proto.Observation) {
	if h.fresh == freshOver || h.anonymous || !behaviour.Own(o) {
		return
	}
	h.sketched(tx, o.Endpoint, sketches.Edit(tx, o.Endpoint[:]).Observe(o))
}

// sketched sets the time at which the endpoint is judged, with the first that counts.
func (h *host) sketched(tx *stream.Tx, id proto.ID, counted bool) {
	if !counted || h.fresh != freshUnknown {
		return
	}
	h.fresh = freshOpen
	tx.Timer(sketches.Get(tx, id[:]).Ends().Add(flowsEnd), timerKey(timerFresh, id))
}

// conclude judges a new endpoint by its sketch, lets that go, and reports whether
// there is something to tell. What is of no known type leaves no evidence.
func (e *Endpoint) conclude(tx *stream.Tx, id proto.ID, h *host) bool {
	if h.fresh != freshOpen {
		return false
	}
	h.fresh = freshOver
	s := sketches.Get(tx, id[:])
	if s == nil {
		return false
	}
	x, m := &behaviour.Sample{Sketch: *s}, e.model()
	d := m.Decide(x)
	ends := min(s.Ends(), max(h.last, s.Begins()))
	if d.Rejected {
		sketches.Delete(tx, id[:])
		return false
	}
	m.Explain(x, &d)
	p := writeProfile(tx, id) // not as it lies there: repeats know evidence by its place
	put := func(attribute, value string, weight float64) {
		v := proto.Evidence{Attribute: attribute, Value: clean(value), Protocol: protocolBehaviour, First: s.Begins(), Last: ends, Count: 1, Weight: weight}
		i, found := slices.BinarySearchFunc(p.evidence, v, compareEvidence)
		if found {
			p.evidence[i] = v
			return
		}
		p.evidence = slices.Insert(p.evidence, i, v)
		p.bound(attribute, protocolBehaviour)
	}
	for _, f := range d.Features {
		put(attrBehaviourFeature, f.Name, f.Share)
	}
	put(attrBehaviour, d.Label, d.Confidence)
	sketches.Delete(tx, id[:])
	return true
}

// behaviourOf gives what a device acts like: of several interfaces the judgement
// that is surest, with the features that spoke for it most.
func behaviourOf(evidence []proto.Evidence) *proto.Behaviour {
	var b *proto.Behaviour
	var features []proto.Evidence
	for _, v := range evidence {
		switch {
		case v.Protocol != protocolBehaviour:
		case v.Attribute == attrBehaviourFeature:
			features = append(features, v)
		case v.Attribute == attrBehaviour && (b == nil || v.Weight > b.Confidence):
			b = &proto.Behaviour{Label: v.Value, Confidence: v.Weight}
		}
	}
	if b == nil {
		return nil
	}
	slices.SortStableFunc(features, func(a, b proto.Evidence) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Value, b.Value))
	})
	for _, f := range features {
		addNew(&b.Features, f.Value)
	}
	return b
}

// medicalProtocols are those by which a device says itself what it is for.
var medicalProtocols = map[string]bool{
	"dicom": true, "hl7": true, "poct1a": true, "astm": true, "sdc": true, "intellivue": true, "carescape": true, "medibus": true,
}

// speaksMedical reports whether a protocol of care was read: whatever a device of
// care behaves like, it is no household's.
func speaksMedical(evidence []proto.Evidence) bool {
	return slices.ContainsFunc(evidence, func(v proto.Evidence) bool { return medicalProtocols[v.Protocol] })
}
