package capture

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// TestHeaderPathAllocatesNothing: a packet of a known flow, from frame to flow.
func TestHeaderPathAllocatesNothing(t *testing.T) {
	b := newBench(Config{})
	f := talk()
	f.flags, f.payload = packet.ACK, ""
	raw := f.bytes()
	i := 0
	send := func() {
		i++
		b.Packet(packet.LinkEthernet, at(float64(i)/1e5), raw, len(raw))
	}
	send()
	if n := testing.AllocsPerRun(5000, send); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// BenchmarkHeaderPath is the same, measured: packets without payload.
func BenchmarkHeaderPath(b *testing.B) {
	p := New(Config{Site: site, Emit: func(proto.Item) {}})
	f := talk()
	f.flags, f.payload = packet.ACK, ""
	raw := f.bytes()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		p.Packet(packet.LinkEthernet, at(float64(i)/1e6), raw, len(raw))
	}
}

// BenchmarkIdleFlows is what a flow of one packet costs while it waits for its
// end, dissectors' state included: how much the process grows by for each of a
// million, as the system counts it. Where the payload is a protocol's, what is told
// of it is let go at once, but the collector takes its time.
func BenchmarkIdleFlows(b *testing.B) {
	const n = 1_000_000
	syn, datagram, query, midway := talk(), talk(), talk(), talk()
	syn.flags, syn.payload = packet.SYN, ""
	datagram.payload = "what nobody knows"
	query.dp = 53
	query.payload = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01"
	midway.flags, midway.payload = packet.ACK, ""
	for name, f := range map[string]frame{"syn": syn, "udp": datagram, "dns": query, "ack": midway} {
		b.Run(name, func(b *testing.B) {
			raw := f.bytes()
			for b.Loop() {
				debug.FreeOSMemory()
				before := resident(b)
				p := New(Config{Site: site, Emit: func(proto.Item) {}})
				for i := range n {
					binary.BigEndian.PutUint32(raw[26:], 0x0a000000|uint32(i)) // the source address
					p.Packet(packet.LinkEthernet, at(float64(i)/1e5), raw, len(raw))
				}
				if p.table.Live() != n {
					b.Fatalf("%d flows are live", p.table.Live())
				}
				b.ReportMetric(float64(resident(b)-before)/n, "B/flow")
				runtime.KeepAlive(p)
			}
		})
	}
}

// BenchmarkFlood is ten million hosts that send a SYN each, through a table of a
// million flows: each of them has to end another.
func BenchmarkFlood(b *testing.B) {
	const n = 10_000_000
	f := talk()
	f.flags, f.payload = packet.SYN, ""
	raw := f.bytes()
	for b.Loop() {
		debug.FreeOSMemory()
		before := resident(b)
		p := New(Config{Site: site, MaxFlows: 1_000_000, Reuse: true, Emit: func(proto.Item) {}})
		for i := range n {
			binary.BigEndian.PutUint32(raw[26:], 0x0a000000|uint32(i))
			p.Packet(packet.LinkEthernet, at(float64(i)/1e6), raw, len(raw))
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/packet")
		b.ReportMetric(float64(resident(b)-before)/1e6, "MB")
		runtime.KeepAlive(p)
	}
}

// resident is the memory of the process that is in RAM.
func resident(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("no /proc here")
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
