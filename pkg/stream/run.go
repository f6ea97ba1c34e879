package stream

import (
	"math"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// Offer hands a record of one of the inputs to the partition, in offset order
// per topic.
func (p *Partition) Offer(r Record) {
	for _, in := range p.inputs {
		if in.Topic == r.Topic {
			in.offer(r)
			return
		}
	}
}

// Waiting is how many records and events an input holds that wait to be applied.
func (p *Partition) Waiting(topic string) int {
	for _, in := range p.inputs {
		if in.Topic == topic {
			return in.waiting()
		}
	}
	return 0
}

// Run applies up to n events in order and gives how many it did. partitions is
// the partition count of the topics; now is the wall time, for the bounded wait
// only. It stops early where it must wait for input or for an upstream.
func (p *Partition) Run(n, partitions int, now time.Time) int {
	left := n
	for left > 0 && p.err == nil {
		if !p.sweep(&left) {
			break
		}
		if p.firing != nil {
			if !p.finishBeat(&left) {
				break
			}
			continue
		}
		if !p.step(&left, partitions, now) {
			break
		}
	}
	return n - left
}

// step applies one event: a side event that is due, else the primary head.
func (p *Partition) step(left *int, partitions int, now time.Time) bool {
	primary := p.inputs[0]
	head := primary.head()
	may, overdue := false, false
	if head != nil {
		may, overdue = p.mayPass(head.pos, partitions, now)
	}
	at := primary.next // side events caused before it are due in any case
	if head != nil {
		at = head.pos
	}
	if !may {
		// What the head causes waits until all of it is here: two producers may speak
		// of it, and which of them came first must not matter.
		at = previous(at)
	}
	for _, in := range p.inputs[1:] {
		if pd := in.side(p.id, at); pd != nil {
			*left--
			p.apply(in, pd)
			in.popSide(pd)
			return true
		}
	}
	if !may {
		return false
	}
	if overdue {
		p.stats.GateExpired++
	}
	*left--
	if head.beat != nil {
		return p.beat(head, left)
	}
	if head.progress != nil { // only of a re-keyed primary
		if f := p.forwarded[head.progress.Partition]; f.Less(head.progress.Next) {
			p.forwarded[head.progress.Partition] = head.progress.Next
		}
	} else {
		p.apply(primary, head)
	}
	primary.pop()
	return true
}

// previous is the last position before at that an item can have.
func previous(at proto.Position) proto.Position {
	if at.Index > 0 {
		return proto.Position{Offset: at.Offset, Index: at.Index - 1}
	}
	return proto.Position{Offset: at.Offset - 1, Index: math.MaxInt32}
}

// mayPass holds the primary head until every upstream has passed it, or the
// bounded wait is over: then it is overdue, and so are the following events, which
// do not wait again.
func (p *Partition) mayPass(at proto.Position, partitions int, now time.Time) (may, overdue bool) {
	for _, in := range p.inputs[1:] {
		if in.passed(at, partitions) {
			continue
		}
		if p.blocked.IsZero() {
			p.blocked = now
		}
		over := p.gateWait > 0 && now.Sub(p.blocked) >= p.gateWait
		return over, over
	}
	p.blocked = time.Time{}
	return true, false
}

// waitsFor reports whether the primary head waits for the upstream of in.
func (p *Partition) waitsFor(in *input, partitions int) bool {
	if in.primary {
		return false
	}
	head := p.inputs[0].head()
	return head != nil && !in.passed(head.pos, partitions)
}

// Blocked tells since when the primary input waits for an upstream; zero when it does not.
func (p *Partition) Blocked() time.Time { return p.blocked }

// apply gives one event to the fold, unless it has been applied before or cannot be used.
func (p *Partition) apply(in *input, pd *pending) {
	if pd.dead != "" {
		p.stats.Dead++
		p.emitDead(&Tx{p: p, cause: pd.ev.Cause, time: pd.arrival}, proto.Deadletter{
			Time: pd.arrival, Topic: in.Topic, Partition: p.id, Offset: pd.pos.Offset, Index: -1, Consumer: p.fold.Name(), Reason: pd.dead, Size: pd.size,
		})
		return
	}
	if !p.takeNumber(in, pd) || pd.ev.Msg == nil || pd.ev.Site == proto.CanarySite {
		return
	}
	p.mark(pd)
	p.stats.Events++
	p.noted(in, pd)
	if in.Topic == proto.TopicTraffic {
		p.stats.Traffic++
	}
	p.fold.Apply(&Tx{p: p, cause: pd.ev.Cause, time: pd.ev.Time, domain: pd.ev.Domain, site: pd.ev.Site, topic: in.Topic, pos: pd.pos}, &pd.ev)
}

// takeNumber keeps the highest number per producer and reports whether this one is new.
func (p *Partition) takeNumber(in *input, pd *pending) bool {
	if pd.producer == "" {
		return true
	}
	tx := &Tx{p: p}
	key := in.producerKey(pd.producer)
	if s := seen.Get(tx, key); s != nil && pd.seq <= s.N {
		p.stats.Duplicates++
		return false
	}
	seen.Edit(tx, key).N = pd.seq
	return true
}

// beat takes a sensor's heartbeat: the watermark moves and due timers fire. The
// heartbeat is done when they all have.
func (p *Partition) beat(head *pending, left *int) bool {
	in := p.inputs[0]
	if s := seen.Get(&Tx{p: p}, in.producerKey(head.producer)); s != nil && head.seq <= s.N {
		p.stats.Duplicates++
		in.pop()
		return true
	}
	c := p.clockOf(head.ev.Site, head.ev.Domain)
	before := c.watermark
	c.beat(head.sensor, head.beat.Clock, head.sent, head.arrival)
	p.noted(in, head)
	c.quiet = 0
	if before > 0 && !head.beat.End {
		c.quiet = c.watermark.Sub(before)
	}
	p.firing = c
	return p.finishBeat(left)
}

func (p *Partition) finishBeat(left *int) bool {
	in := p.inputs[0]
	head := in.head()
	if !p.fire(p.firing, head.ev.Cause, left) {
		return false
	}
	c := p.firing
	p.firing = nil
	p.takeNumber(in, head)
	c.sensors.Drop()
	p.saveClock(c)
	if head.beat.End {
		head.ev.Msg = head.beat
		p.stats.Events++
		p.fold.Apply(&Tx{p: p, cause: head.ev.Cause, time: head.ev.Time, domain: head.ev.Domain, site: head.ev.Site}, &head.ev)
	}
	in.pop()
	return true
}
