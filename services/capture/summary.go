package capture

import (
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Summary is what a capture came to; with Drops it is what replay writes into
// summary.json.
type Summary struct {
	Packets      uint64            `json:"packets"`
	Bytes        uint64            `json:"bytes"` // on the wire
	Flows        uint64            `json:"flows"`
	Observations uint64            `json:"observations"`
	Seconds      float64           `json:"seconds"` // first to last packet
	Drops        map[string]uint64 `json:"drops"`   // packets and flows that came to less than they were, by reason
	Dissect      map[string]uint64 `json:"dissect"` // what the dissectors counted, by reason
}

// counts are the Processor's own.
type counts struct {
	packets, bytes, observations uint64
	late, panics                 uint64
	first, last                  proto.Time
}

func (c *counts) packet(t proto.Time, bytes int) {
	if c.packets == 0 {
		c.first, c.last = t, t
	}
	if t < c.last {
		c.late++
	}
	c.first, c.last = min(c.first, t), max(c.last, t)
	c.packets++
	c.bytes += uint64(bytes)
}

// Summary gives the counts so far. Every key of Drops is there from the start, so
// that a reader sees what was not dropped, too.
func (p *Processor) Summary() Summary {
	drops := map[string]uint64{
		"flow_table_full":  p.table.Evicted(),
		"flow_sketch_full": p.table.Unsketched(), // messages of flows that got no sketch of them
		"packet_panic":     p.counts.panics,
		"packet_time_back": p.counts.late, // used, but event time does not go back
	}
	for r := packet.LinkUnsupported; r < packet.Reasons; r++ {
		drops[r.String()] = p.decoder.Counters[r]
	}
	return Summary{
		Packets: p.counts.packets, Bytes: p.counts.bytes, Flows: p.table.Flows(), Observations: p.counts.observations,
		Seconds: p.counts.last.Sub(p.counts.first).Seconds(), Drops: drops, Dissect: p.engine.Counters(),
	}
}
