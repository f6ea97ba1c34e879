package tls_test

import (
	"crypto/tls"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
)

// BenchmarkHandshake plays a handshake of crypto/tls and a megabyte after it:
// ns/op is what a connection costs, ns/segment what one segment of it does.
func BenchmarkHandshake(b *testing.B) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		b.Run(name, func(b *testing.B) {
			c := conversation(b, &tls.Config{Certificates: []tls.Certificate{certify(b, device())}, MaxVersion: version}, &tls.Config{InsecureSkipVerify: true}, 1<<20)
			list := c.Segments(true)
			e := dissect.New(dissect.Config{Key: dissecttest.Key, Emit: func(*dissect.Packet, *dissect.Fact) {}})
			b.ReportAllocs()
			for b.Loop() {
				var f dissect.Flow
				var p dissect.Packet
				for i := range list {
					p = dissect.Packet{Headers: &list[i], Flow: &f, FromSrc: list[i].SrcPort == list[0].SrcPort}
					e.Packet(&p)
				}
				e.Close(&f)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/segment")
		})
	}
}

// After the handshake a segment costs nothing and allocates nothing.
func TestAfterwardsNothingIsAllocated(t *testing.T) {
	c := conversation(t, &tls.Config{Certificates: []tls.Certificate{certify(t, device())}, MaxVersion: tls.VersionTLS12}, &tls.Config{InsecureSkipVerify: true}, 0)
	list := c.Segments(true)
	e := dissect.New(dissect.Config{Key: dissecttest.Key, Emit: func(*dissect.Packet, *dissect.Fact) {}})
	var f dissect.Flow
	last := &list[len(list)-3]
	send := func(h *packet.Headers) {
		p := dissect.Packet{Headers: h, Flow: &f, FromSrc: h.SrcPort == list[0].SrcPort}
		e.Packet(&p)
	}
	for i := range list[:len(list)-2] {
		send(&list[i])
	}
	p := dissect.Packet{Headers: last, Flow: &f, FromSrc: true}
	if n := testing.AllocsPerRun(100, func() { last.Seq += uint32(last.PayloadLen); e.Packet(&p) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
