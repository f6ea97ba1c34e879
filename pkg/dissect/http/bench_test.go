package http_test

import (
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
)

// BenchmarkKeepAlive plays 100 requests of one connection with bodies of 4 KB:
// ns/message is what a request or a response costs.
func BenchmarkKeepAlive(b *testing.B) {
	var parts []string
	for range 100 {
		parts = append(parts, get, "HTTP/1.1 200 OK\r\nServer: IIS/10\r\nContent-Type: text/html\r\nContent-Length: 4096\r\n\r\n"+strings.Repeat("x", 4096))
	}
	list := say(parts...).Segments(true)
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
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(parts)), "ns/message")
}
