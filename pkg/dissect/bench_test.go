package dissect_test

import (
	"testing"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/pkg/dissect/dissecttest"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
)

// BenchmarkConversation plays each clinical capture's connection, headers ready
// made; ns/fact is what one observation costs.
func BenchmarkConversation(b *testing.B) {
	for _, name := range []string{"hl7", "dicom"} {
		b.Run(name, func(b *testing.B) {
			list := dissecttest.Conversations(dissecttest.Frames(b, repotest.Shared(b, "captures/clinical/"+name+".pcap")))[0].Segments(true)
			facts := 0
			e := dissect.New(dissect.Config{Key: dissecttest.Key, Emit: func(*dissect.Packet, *dissect.Fact) { facts++ }})
			b.ReportAllocs()
			for b.Loop() {
				play(e, list)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(facts), "ns/fact")
		})
	}
}

func play(e *dissect.Engine, list []packet.Headers) {
	var f dissect.Flow
	for i := range list {
		e.Packet(&dissect.Packet{Headers: &list[i], Flow: &f, FromSrc: list[i].SrcPort == list[0].SrcPort})
	}
	e.Close(&f)
}

// BenchmarkWard runs the ward's day, decoding and a flow table for tests included.
func BenchmarkWard(b *testing.B) {
	frames := dissecttest.Frames(b, repotest.Shared(b, wardDay))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n += len(dissecttest.Run(dissect.Config{}, frames).Facts)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(frames)), "ns/frame")
	b.ReportMetric(float64(n)/float64(b.N), "facts")
}

// BenchmarkUnknown is a segment of a flow that no dissector knows.
func BenchmarkUnknown(b *testing.B) {
	list := dissecttest.Conversation{{Side: 0, Data: []byte("EHLO ward.example.org\r\n")}, {Side: 1, Data: []byte("220 mail.example.org ready\r\n")}}.Segments(true)
	e := dissect.New(dissect.Config{Key: dissecttest.Key, Emit: func(*dissect.Packet, *dissect.Fact) {}})
	b.ReportAllocs()
	for b.Loop() {
		play(e, list)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/packet")
}
