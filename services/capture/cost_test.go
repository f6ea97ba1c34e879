package capture

import (
	"encoding/binary"
	"runtime"
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

// BenchmarkIdleFlow is what a flow of one packet costs while it waits for its
// end, dissectors' state included.
func BenchmarkIdleFlow(b *testing.B) {
	const n = 1 << 18
	f := talk()
	f.flags, f.payload = packet.SYN, ""
	raw := f.bytes()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p := New(Config{Site: site, Emit: func(proto.Item) {}})
		for i := range n {
			binary.BigEndian.PutUint32(raw[26:], 0x0a000000|uint32(i)) // the source address
			p.Packet(packet.LinkEthernet, at(float64(i)/1e5), raw, len(raw))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/flow")
		runtime.KeepAlive(p)
	}
}
