package stream

import (
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/proto"
)

// What the rule about copies keeps, as tables of the runtime: it is written to the
// changelog, restored and discarded with the rest.
var (
	counted = Table[conversation, *conversation]{id: idFlows}
	facts   = Table[fact, *fact]{id: idFacts}
)

// conversationTable and factTable are the tables of one partition as the rule sees them.
type (
	conversationTable struct{ p *Partition }
	factTable         struct{ p *Partition }
)

// Get gives a value, nil when there is none.
func (t conversationTable) Get(key dedup.Key) *dedup.Conversation {
	if v := counted.Get(&Tx{p: t.p}, key[:]); v != nil {
		return &v.Conversation
	}
	return nil
}

// Edit gives a value for changing.
func (t conversationTable) Edit(key dedup.Key) *dedup.Conversation {
	return &counted.Edit(&Tx{p: t.p}, key[:]).Conversation
}

// Delete removes a value.
func (t conversationTable) Delete(key dedup.Key) { counted.Delete(&Tx{p: t.p}, key[:]) }

// Get gives a value, nil when there is none.
func (t factTable) Get(key dedup.Key) *dedup.Fact {
	if v := facts.Get(&Tx{p: t.p}, key[:]); v != nil {
		return &v.Fact
	}
	return nil
}

// Edit gives a value for changing.
func (t factTable) Edit(key dedup.Key) *dedup.Fact { return &facts.Edit(&Tx{p: t.p}, key[:]).Fact }

// Delete removes a value.
func (t factTable) Delete(key dedup.Key) { facts.Delete(&Tx{p: t.p}, key[:]) }

// conversation is a dedup.Conversation as it is stored.
type conversation struct{ dedup.Conversation }

// AppendTo encodes the conversation.
func (c *conversation) AppendTo(b []byte) []byte {
	b = AppendString(b, c.Owner)
	b = AppendUint(AppendUint(b, c.Flow), uint64(c.Part)<<2|flag(c.Silent)<<1|flag(c.Final))
	return AppendInt(AppendInt(b, int64(c.End)), int64(c.End-c.Start))
}

// Parse decodes the conversation.
func (c *conversation) Parse(b []byte) error {
	d := NewDecoder(b)
	c.Conversation = dedup.Conversation{Owner: d.String(), Flow: d.Uint()}
	n := d.Uint()
	c.Part, c.Silent, c.Final = uint32(n>>2), n&2 != 0, n&1 != 0
	c.End = proto.Time(d.Int())
	c.Start = c.End - proto.Time(d.Int())
	return d.Err()
}

func flag(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

// fact is a dedup.Fact as it is stored.
type fact struct{ dedup.Fact }

// AppendTo encodes the fact.
func (f *fact) AppendTo(b []byte) []byte {
	b = AppendString(AppendInt(b, int64(f.Window)), f.Owner)
	for i := range f.Told {
		b = AppendUint(AppendString(b, f.Told[i].Sensor), f.Told[i].Count)
	}
	return b
}

// Parse decodes the fact.
func (f *fact) Parse(b []byte) error {
	d := NewDecoder(b)
	f.Fact = dedup.Fact{Window: proto.Time(d.Int()), Owner: d.String()}
	for d.More() {
		f.Told = append(f.Told, dedup.Told{Sensor: d.String(), Count: d.Uint()})
	}
	return d.Err()
}

// loadKept tells the rule what the store has.
func (p *Partition) loadKept() {
	if p.rule == nil {
		return
	}
	p.each([]byte{idFlows}, func(full, val []byte) bool {
		var c conversation
		if err := c.Parse(val); err != nil {
			p.fail(err)
			return false
		}
		p.rule.LoadFlow(dedup.Key(full[1:]), &c.Conversation)
		return true
	})
	p.each([]byte{idFacts}, func(full, val []byte) bool {
		var f fact
		if err := f.Parse(val); err != nil {
			p.fail(err)
			return false
		}
		p.rule.LoadFact(dedup.Key(full[1:]), &f.Fact)
		return true
	})
}

// mark sets the times of an event right where its sensor's clock is off, and finds
// out whether it is a copy of what another sensor has told. It follows from the
// partition's own order, so that every fold, and a refold, finds the same.
func (p *Partition) mark(pd *pending) {
	if pd.sensor == "" || p.rule == nil {
		return
	}
	c := p.clockOf(pd.ev.Site, pd.ev.Domain)
	heard := c.sensors.Hear(pd.sensor, pd.sent, pd.arrival)
	if shift := c.sensors.Shift(pd.sensor, pd.ev.Time, pd.arrival); shift != 0 {
		p.stats.SuspectClock++
		pd.shift(shift)
	}
	passed := c.sensors.Passed
	if markCopy(c.sensors, pd.sensor, pd.ev.Mirror, pd.ev.Msg) {
		p.stats.Copies++
	}
	if heard || c.sensors.Passed != passed {
		p.stats.Forgotten += p.rule.Counts.Forgotten
		p.rule.Counts.Forgotten = 0
		p.saveClock(c)
	}
}

// shift moves an event in time, a flow as a whole.
func (pd *pending) shift(by time.Duration) {
	pd.ev.Time = pd.ev.Time.Add(by)
	switch m := pd.ev.Msg.(type) {
	case *proto.Flow:
		m.Shift(by)
	case *proto.Observation:
		m.Time = m.Time.Add(by)
	}
}

// markCopy asks the rule about a message and writes into it what the rule says.
func markCopy(s *dedup.Site, sensor string, mirror bool, msg any) bool {
	switch m := msg.(type) {
	case *proto.Flow:
		m.DuplicateOfSensor = s.Flow(m, sensor, mirror)
		return m.DuplicateOfSensor != ""
	case *proto.Observation:
		m.DuplicateOfSensor = s.Observation(m, sensor)
		return m.DuplicateOfSensor != ""
	}
	return false
}
