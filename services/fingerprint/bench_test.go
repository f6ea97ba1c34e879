package fingerprint

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// BenchmarkEndpointFlow is one flow of a warm endpoint, with its mirror, of
// 10,000 endpoints with 8 peers each.
func BenchmarkEndpointFlow(b *testing.B) {
	l, err := stream.NewLocal(func(stream.Emitted) {}, NewEndpoint(Config{}))
	if err != nil {
		b.Fatal(err)
	}
	batch := proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: "file"}
	flows := make([]*proto.Flow, 80000)
	for i := range flows {
		f := tcp(1, 2, 443, noon.Add(time.Duration(i)*time.Microsecond))
		f.Protocol, f.ProtocolBy = "tls", proto.ByContent
		f.SrcEndpoint, f.SrcIP = number(i % 10000)
		f.DstEndpoint, f.DstIP = number(i / 10000 * 13)
		flows[i] = f
	}
	apply := func(f *proto.Flow) {
		if err := l.Item(&batch, proto.Item{Flow: f}); err != nil {
			b.Fatal(err)
		}
		if err := l.Item(&batch, proto.Item{Flow: f, Mirror: true}); err != nil {
			b.Fatal(err)
		}
	}
	for _, f := range flows {
		apply(f)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		apply(flows[i%len(flows)])
	}
}

// BenchmarkDeviceSummary is one summary of a known device with ordinary evidence.
func BenchmarkDeviceSummary(b *testing.B) {
	w := newWard(b)
	for i := range 3 {
		w.flow(tcp(1, byte(2+i), uint16(80+i), noon))
	}
	w.item(proto.Item{Observation: seen("dhcp", "request", 1, noon, "hostname", "WS-RAD-07", "vendor_class", "MSFT 5.0", "parameter_list", "1,3,6,15,31,33,43,44,46,47,121,249,252")})
	w.item(proto.Item{Observation: seen("dicom", "c_store", 1, noon, "role", "scu", "calling_ae", "X", "manufacturer", "SIEMENS", "model", "SOMATOM go.Up", "serial", "104722", "modality", "CT")})
	s := *w.summary[id(1)]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(embedded().device(s.Group, []*proto.Summary{&s})); err != nil {
			b.Fatal(err)
		}
	}
}

func number(n int) (proto.ID, netip.Addr) {
	var id proto.ID
	binary.BigEndian.PutUint32(id[:], uint32(n)*2654435761)
	binary.BigEndian.PutUint32(id[12:], uint32(n))
	return id, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestHotStateIsSmall: what a flow changes is at most 256 bytes a key, and 200
// bytes a flow.
func TestHotStateIsSmall(t *testing.T) {
	h := &host{site: "a-site-with-a-name", first: noon, last: noon.Add(time.Hour), ip4: netip.AddrFrom4([4]byte{10, 1, 2, 3}), ip6: netip.MustParseAddr("fe80::1:2:3:4"), window: int64(noon) / roleWindow, spoke: true, unsent: true, pairCount: 2000}
	for i := range h.seen {
		h.seen[i] = 1 << 50
	}
	for i := range h.hours {
		h.hours[i] = hourTotals{hour: hourOf(noon) + int64(i), flows: 1e5, packetsOut: 1e7, bytesOut: 1e10, packetsIn: 1e7, bytesIn: 1e10, first: noon.Add(time.Second), last: noon.Add(time.Hour)}
	}
	if n := len(h.AppendTo(nil)) + idLen + 1; n > 256 {
		t.Errorf("a hot entry takes %d bytes at worst", n)
	}
	var back host
	if err := back.Parse(h.AppendTo(nil)); err != nil || back.last != h.last || back.hours[1].bytesIn != h.hours[1].bytesIn || back.ip6 != h.ip6 || back.seen != h.seen {
		t.Errorf("%v: %+v came back as %+v", err, h, back)
	}
	p, err := stream.OpenPartition(NewEndpoint(Config{}), 0, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	size := func(items ...proto.Item) (n int) {
		b := proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: "file", FirstSeq: p.Commits()*10 + 1, Items: items}
		val, err := proto.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		p.Offer(stream.Record{Topic: proto.TopicTraffic, Offset: int64(p.Commits()), Value: val})
		p.Run(100, 1, time.Time{})
		c, err := p.Prepare(0)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range c.Changes {
			if ch.Key[0] == tableHosts || ch.Key[0] == tablePairs {
				n += len(ch.Key) + len(ch.Value)
			}
		}
		p.Committed(c, 1<<20)
		return n
	}
	f := tcp(1, 2, 443, noon)
	size(proto.Item{Flow: f})
	if n := size(proto.Item{Flow: f}); n > 250 {
		t.Errorf("a flow alone in its transaction writes %d bytes", n)
	} else {
		t.Logf("a flow alone in its transaction writes %d bytes", n)
	}
}

// BenchmarkMatch is evidence that was never seen before, against the attribute with
// the most rules; what was seen is remembered.
func BenchmarkMatch(b *testing.B) {
	s := embedded()
	b.ReportAllocs()
	for b.Loop() {
		s.match("system_description", "ACME Infusion Controller 9000, software 4.2.1, build 17")
	}
}

// BenchmarkLoadSignatures is what a start costs.
func BenchmarkLoadSignatures(b *testing.B) {
	for b.Loop() {
		if _, err := loadSignatures(); err != nil {
			b.Fatal(err)
		}
	}
}
