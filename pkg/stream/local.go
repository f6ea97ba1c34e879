package stream

import (
	"math"
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/proto"
)

// Local runs folds in memory, depth-first: what an item causes is applied
// everywhere before the next fold sees the item. This is the order that offsets
// fix in the running system, so both compute the same. What a fold tells itself, or
// one upstream of it, is applied when all have seen the item: in the running system
// it comes after what is on its way already.
type Local struct {
	parts []*Partition
	back  []told // upstream, and not applied yet
	out   func(Emitted)
	next  proto.Position
	stats Stats

	rule    *dedup.Rule
	sensors map[[2]string]*dedup.Site // by site and domain
}

// NewLocal runs folds, upstream folds first; out gets every output, in order.
func NewLocal(out func(Emitted), folds ...Fold) (*Local, error) {
	l := &Local{out: out, sensors: map[[2]string]*dedup.Site{}}
	l.rule = dedup.NewRule(dedup.Memory[dedup.Conversation]{}, dedup.Memory[dedup.Fact]{}, 0)
	for _, f := range folds {
		p, err := OpenPartition(f, 0, Options{Stats: &l.stats, marked: true})
		if err != nil {
			return nil, err
		}
		l.parts = append(l.parts, p)
	}
	return l, nil
}

// Mark takes note of an item of a batch, of which only the naming fields are used,
// and gives the item as Item is to be given it: marked, where another sensor has
// told the same. A sensor alone need not be asked about.
func (l *Local) Mark(b *proto.Batch, it proto.Item) proto.Item {
	k := [2]string{b.Site, b.Domain}
	s := l.sensors[k]
	if s == nil {
		s = dedup.NewSite(b.Site, b.Domain, l.rule)
		l.sensors[k] = s
	}
	switch {
	case it.Heartbeat != nil:
		s.Beat(b.Sensor, it.Heartbeat.Clock, 0, it.Heartbeat.Clock)
		s.Drop()
	case !s.Several():
	case it.Flow != nil: // a flow and its mirror may be one, and differ in this
		f := *it.Flow
		markCopy(s, b.Sensor, it.Mirror, &f)
		it.Flow = &f
	case it.Observation != nil:
		o := *it.Observation
		markCopy(s, b.Sensor, false, &o)
		it.Observation = &o
	}
	return it
}

// Item applies one item of a batch; of b only the naming fields are used.
func (l *Local) Item(b *proto.Batch, it proto.Item) error {
	pos := proto.Position{Offset: l.next.Offset}
	l.next.Offset++
	pd := pending{pos: pos, sensor: b.Sensor}
	pd.ev = Event{Topic: proto.TopicTraffic, Cause: proto.Cause{Position: pos}, Domain: b.Domain, Site: b.Site, Mirror: it.Mirror}
	switch {
	case it.Flow != nil:
		pd.ev.Time, pd.ev.Msg = it.Flow.End, it.Flow
	case it.Observation != nil:
		pd.ev.Time, pd.ev.Msg = it.Observation.Time, it.Observation
	case it.Heartbeat != nil:
		pd.ev.Time, pd.beat = it.Heartbeat.Clock, it.Heartbeat
	}
	for _, p := range l.parts {
		if p.inputs[0].Topic != proto.TopicTraffic {
			continue
		}
		p.inputs[0].queue, p.inputs[0].at = []pending{pd}, 0
		if err := l.drain(p); err != nil {
			return err
		}
	}
	return l.settle()
}

// told is an event on its way to an input of a fold.
type told struct {
	Emitted
	to *Partition
	in *input
}

// settle applies what has been told upstream.
func (l *Local) settle() error {
	for len(l.back) > 0 {
		t := l.back[0]
		l.back = l.back[1:]
		if err := l.hand(&t); err != nil {
			return err
		}
	}
	return nil
}

// Control applies a control event to every fold that reads wardflow.control.
func (l *Local) Control(c *proto.Control) error {
	site := ""
	if c.Policy != nil {
		site = c.Policy.Site
	}
	return l.side(Event{Topic: proto.TopicControl, Cause: proto.Cause{Partition: -1}, Site: site, Msg: c})
}

// Edit applies a person's decision to every fold that reads wardflow.edits.
func (l *Local) Edit(e *proto.Edit) error {
	return l.side(Event{Topic: proto.TopicEdits, Cause: proto.Cause{Partition: -1}, Time: e.Time, Msg: e})
}

// side applies an event that follows from no traffic.
func (l *Local) side(ev Event) error {
	for _, p := range l.parts {
		for _, in := range p.inputs {
			if in.Topic == ev.Topic {
				p.apply(in, &pending{ev: ev})
				if err := l.drain(p); err != nil {
					return err
				}
			}
		}
	}
	return l.settle()
}

// drain runs p to the end of its input and delivers what it emits.
func (l *Local) drain(p *Partition) error {
	for _, in := range p.inputs[1:] {
		for via := range in.gate {
			delete(in.gate, via)
		}
		in.Upstream = "" // order is fixed by the calls here
	}
	for {
		left := math.MaxInt
		if p.sweep(&left) && p.firing == nil {
			if !p.step(&left, 1, time.Time{}) {
				break
			}
		}
		if p.err != nil {
			return p.err
		}
	}
	for _, e := range p.TakeOutputs() {
		l.out(e)
		if err := l.deliver(e, p); err != nil {
			return err
		}
	}
	return p.err
}

// deliver gives what a fold tells to the folds that read it, those upstream later.
func (l *Local) deliver(e Emitted, from *Partition) error {
	if e.Topic == proto.TopicDeadletter {
		return nil
	}
	upstream := true // or the fold itself
	for _, p := range l.parts {
		for _, in := range p.inputs {
			if in.Topic != e.Topic {
				continue
			}
			t := told{e, p, in}
			if upstream {
				l.back = append(l.back, t)
			} else if err := l.hand(&t); err != nil {
				return err
			}
		}
		upstream = upstream && p != from
	}
	return nil
}

// hand applies an event, and all that follows from it downstream.
func (l *Local) hand(t *told) error {
	pd := pending{}
	pd.ev = Event{Topic: t.Topic, Cause: t.Envelope.Cause, Time: t.Time, Domain: t.Envelope.Domain}
	pd.decodeValue(t.Kind, t.Value)
	t.to.apply(t.in, &pd)
	return l.drain(t.to)
}

// Stats tells what has been done.
func (l *Local) Stats() Stats { return l.stats }
