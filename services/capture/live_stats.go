package capture

import (
	"maps"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

// What is lost or damaged before a packet is read.
const (
	// DropRingFull counts packets that the kernel had no room for in its ring.
	DropRingFull = "kernel_ring_full"
	// DropRingBlock counts blocks of a ring whose rest made no sense.
	DropRingBlock = "kernel_ring_malformed"
)

// LiveStats is what a live sensor has come to in this run. Counts of packets and
// drops by the kernel are of now, those of flows up to a second old.
type LiveStats struct {
	Run           proto.ID
	Started       proto.Time
	Clock         proto.Time // of the last heartbeat; 0 before it
	Workers       int
	Interfaces    []proto.SensorInterface
	Packets       uint64
	Bytes         uint64 // on the wire
	Flows         uint64
	Observations  uint64
	Drops         map[string]uint64 // by reason, every reason always there
	Dissect       map[string]uint64 // what the dissectors counted, by reason
	ConfigVersion uint64            // of the SensorConfig in force; 0: only the sensor's own
	ConfigError   string            // why the latest could not be used
}

// Stats may be called from any goroutine at any time.
func (l *Live) Stats() LiveStats {
	l.mu.Lock()
	gens, names := slices.Clone(l.gens), slices.Clone(l.cfg.Interfaces)
	l.mu.Unlock()
	for _, g := range gens {
		for _, p := range g.ports {
			p.count()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := LiveStats{
		Run: l.run, Started: l.started, Clock: l.beaten, Workers: l.cfg.Workers, ConfigVersion: l.version, ConfigError: l.problem,
		Drops: map[string]uint64{DropRingFull: 0, DropRingBlock: 0}, Dissect: map[string]uint64{},
	}
	sum := Summary{Drops: s.Drops, Dissect: s.Dissect}
	sum.add(&l.ended)
	for _, g := range l.gens {
		for _, w := range g.workers {
			sum.add(w.summary.Load())
		}
	}
	s.Flows, s.Observations = sum.Flows, sum.Observations
	for name, w := range l.wires {
		s.Packets += w.packets.Load()
		s.Bytes += w.bytes.Load()
		s.Drops[DropRingFull] += w.drops.Load()
		s.Drops[DropRingBlock] += w.broken.Load()
		if !slices.Contains(names, name) && w.packets.Load()+w.drops.Load() > 0 {
			names = append(names, name) // no longer captured, and still in the totals
		}
	}
	for _, name := range names {
		w := l.wires[name]
		if w == nil { // before Run
			w = &wire{}
		}
		up := w.up.Load() && slices.Contains(l.cfg.Interfaces, name) && len(l.gens) > 0
		s.Interfaces = append(s.Interfaces, proto.SensorInterface{Name: name, Up: up, Packets: w.packets.Load(), KernelDrops: w.drops.Load()})
	}
	slices.SortFunc(s.Interfaces[len(l.cfg.Interfaces):], func(a, b proto.SensorInterface) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// add adds another's counts.
func (s *Summary) add(o *Summary) {
	s.Packets += o.Packets
	s.Bytes += o.Bytes
	s.Flows += o.Flows
	s.Observations += o.Observations
	for _, m := range []struct{ into, from map[string]uint64 }{{s.Drops, o.Drops}, {s.Dissect, o.Dissect}} {
		for _, k := range slices.Sorted(maps.Keys(m.from)) {
			m.into[k] += m.from[k]
		}
	}
}
