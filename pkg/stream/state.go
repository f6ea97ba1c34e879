package stream

import (
	"encoding/binary"
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/proto"
)

// The runtime's own tables share the fold's state, under ids below 0x20.
const (
	idMark   = 0x01
	idTimers = 0x02
	idSeen   = 0x03
	idGates  = 0x04
	idClocks = 0x05
	idFlows  = 0x06
	idFacts  = 0x07
)

var (
	marks  = Table[mark, *mark]{id: idMark}
	seen   = Table[Uint, *Uint]{id: idSeen}
	gates  = Table[position, *position]{id: idGates, prefix: gatePrefixLen}
	clocks = Table[clockState, *clockState]{id: idClocks}
)

// MarkKey is the state key of a partition's mark: the one entry that every
// commit writes, and that says which commit the state belongs to.
var MarkKey = []byte{idMark}

// mark makes a partition's state and its place in the inputs one thing.
type mark struct {
	commits   uint64
	seq       uint64
	rollupSeq uint64
	positions map[string]proto.Position
	sweeps    []sweep
	heard     map[string]int64 // side inputs whose gates are ahead of their position: the offset read up to
}

// AppendTo encodes the mark.
func (m *mark) AppendTo(b []byte) []byte {
	b = AppendUint(b, m.commits)
	b = AppendUint(b, m.seq)
	b = AppendUint(b, m.rollupSeq)
	b = AppendUint(b, uint64(len(m.positions)))
	for _, t := range sortedKeys(m.positions) {
		b = AppendString(b, t)
		b = appendPosition(b, m.positions[t])
	}
	b = AppendUint(b, uint64(len(m.sweeps)))
	for i := range m.sweeps {
		b = m.sweeps[i].appendTo(b)
	}
	b = AppendUint(b, uint64(len(m.heard)))
	for _, t := range sortedKeys(m.heard) {
		b = AppendInt(AppendString(b, t), m.heard[t])
	}
	return b
}

// Parse decodes the mark.
func (m *mark) Parse(b []byte) error {
	d := NewDecoder(b)
	*m = mark{commits: d.Uint(), seq: d.Uint(), rollupSeq: d.Uint(), positions: map[string]proto.Position{}, heard: map[string]int64{}}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		t := d.String()
		m.positions[t] = readPosition(d)
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		m.sweeps = append(m.sweeps, readSweep(d))
	}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		t := d.String()
		m.heard[t] = d.Int()
	}
	return d.Err()
}

// MarkNumber reads the commit number and the positions of an encoded mark.
func MarkNumber(val []byte) (uint64, map[string]proto.Position, error) {
	var m mark
	err := m.Parse(val)
	return m.commits, m.positions, err
}

func appendPosition(b []byte, p proto.Position) []byte {
	return AppendInt(AppendInt(b, p.Offset), int64(p.Index))
}

func readPosition(d *Decoder) proto.Position {
	return proto.Position{Offset: d.Int(), Index: int32(d.Int())}
}

type empty struct{}

type position struct{ proto.Position }

// AppendTo encodes the position.
func (p *position) AppendTo(b []byte) []byte { return appendPosition(b, p.Position) }

// Parse decodes the position.
func (p *position) Parse(b []byte) error {
	d := NewDecoder(b)
	p.Position = readPosition(d)
	return d.Err()
}

// gate keys: 8 bytes of the topic's hash, then the partition that speaks.
const gatePrefixLen = 8

func gatePrefix(topic string) []byte {
	id := proto.HashID("topic", []byte(topic))
	return id[:gatePrefixLen]
}

func gateVia(key []byte) int32 { return int32(binary.BigEndian.Uint32(key[gatePrefixLen:])) }

// saveGates keeps the progress heard, so that a restart does not wait for what
// an idle upstream has said already.
func (p *Partition) saveGates(tx *Tx) {
	for _, in := range p.inputs {
		for via, pos := range in.gate {
			key := binary.BigEndian.AppendUint32(gatePrefix(in.Topic), uint32(via))
			if g := gates.Get(tx, key); g == nil || g.Position != pos {
				gates.Edit(tx, key).Position = pos
			}
		}
	}
}

func (t timer) appendKey(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.at))
	b = AppendString(b, t.site)
	b = AppendString(b, t.domain)
	return append(b, t.key...)
}

func parseTimer(b []byte) (timer, bool) {
	if len(b) < 8 {
		return timer{}, false
	}
	d := NewDecoder(b[8:])
	t := timer{at: proto.Time(binary.BigEndian.Uint64(b)), site: d.String(), domain: d.String()}
	t.key = string(d.b)
	return t, d.Err() == nil
}

// clockState is a clock as it is stored.
type clockState struct {
	site, domain string
	sensors      dedup.Sensors
	watermark    proto.Time
}

// AppendTo encodes the clock.
func (s *clockState) AppendTo(b []byte) []byte {
	b = AppendString(AppendString(b, s.site), s.domain)
	b = AppendInt(b, int64(s.watermark))
	b = AppendUint(b, uint64(len(s.sensors.List)))
	for i := range s.sensors.List {
		c := &s.sensors.List[i]
		b = AppendInt(AppendInt(AppendString(b, c.Name), int64(c.Clock)), int64(c.Arrival))
		suspect := uint64(0)
		if c.Suspect {
			suspect = 1
		}
		b = AppendUint(b, suspect)
	}
	for i := range s.sensors.List { // what an older build does not know comes last
		c := &s.sensors.List[i]
		b = AppendInt(AppendInt(AppendInt(b, int64(c.Offset)), int64(c.Sent)), int64(c.Behind))
	}
	return AppendInt(b, int64(s.sensors.Passed))
}

// Parse decodes the clock.
func (s *clockState) Parse(b []byte) error {
	d := NewDecoder(b)
	*s = clockState{site: d.String(), domain: d.String(), watermark: proto.Time(d.Int())}
	for n := d.Uint(); n > 0 && d.More(); n-- {
		s.sensors.List = append(s.sensors.List, dedup.Sensor{Name: d.String(), Clock: proto.Time(d.Int()), Arrival: proto.Time(d.Int()), Suspect: d.Uint() == 1})
	}
	for i := range s.sensors.List {
		c := &s.sensors.List[i]
		c.Offset, c.Sent, c.Behind = time.Duration(d.Int()), proto.Time(d.Int()), proto.Time(d.Int())
	}
	s.sensors.Passed = proto.Time(d.Int())
	return d.Err()
}
