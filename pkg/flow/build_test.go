package flow_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

const epoch = proto.Time(1_700_000_000_000_000_000)

var (
	client = netip.MustParseAddr("10.0.0.1")
	server = netip.MustParseAddr("10.0.0.2")
	macC   = proto.MAC{2, 0, 0, 0, 0, 1}
	macS   = proto.MAC{2, 0, 0, 0, 0, 2}
)

// script drives a table with packets between client:40000 and server:80.
type script struct {
	*flow.Table
	parts []*proto.Flow
}

func newScript(cfg flow.Config) *script {
	s := &script{}
	cfg.Site = "site"
	cfg.Emit = func(_ *flow.Entry, f *proto.Flow) { s.parts = append(s.parts, f) }
	s.Table = flow.New(cfg)
	return s
}

func at(seconds float64) proto.Time { return epoch.Add(time.Duration(seconds * 1e9)) }

// forward is a packet from client to server.
func forward(seconds float64, transport proto.Transport, payload string) *packet.Headers {
	return &packet.Headers{
		Time: at(seconds), SrcIP: client, DstIP: server, SrcPort: 40000, DstPort: 80, SrcMAC: macC, DstMAC: macS, Transport: transport,
		Packets: 1, IPBytes: 40 + len(payload), PayloadLen: len(payload), Payload: []byte(payload),
	}
}

func back(h *packet.Headers) *packet.Headers {
	r := *h
	r.SrcIP, r.DstIP, r.SrcPort, r.DstPort, r.SrcMAC, r.DstMAC = h.DstIP, h.SrcIP, h.DstPort, h.SrcPort, h.DstMAC, h.SrcMAC
	return &r
}

func segment(seconds float64, flags uint8, seq uint32, payload string) *packet.Headers {
	h := forward(seconds, proto.TCP, payload)
	h.TCPFlags, h.Seq = flags, seq
	return h
}

// history plays a connection in the letters of Zeek's history: S, H (SYN-ACK),
// A, D (data), F, R; upper case from the client. Packets are 10 ms apart.
func (s *script) history(start float64, letters string) {
	for i, c := range letters {
		h := segment(start+float64(i)*0.01, 0, 1000, "")
		switch strings.ToUpper(string(c)) {
		case "S":
			h.TCPFlags = packet.SYN
		case "H":
			h.TCPFlags, h.Ack = packet.SYN|packet.ACK, 1001
		case "A":
			h.TCPFlags, h.Seq = packet.ACK, 1001
		case "D":
			h = segment(start+float64(i)*0.01, packet.ACK|packet.PSH, 1001, "data")
		case "F":
			h.TCPFlags, h.Seq = packet.FIN|packet.ACK, 1005
		case "R":
			h.TCPFlags, h.Seq = packet.RST, 1005
		}
		if strings.ToLower(string(c)) == string(c) {
			h = back(h)
		}
		s.Add(h)
	}
}

// lines are the parts as text: times in seconds since the epoch of the tests.
func (s *script) lines() []string {
	var out []string
	for _, f := range s.parts {
		final := ""
		if f.Final {
			final = " final"
		}
		out = append(out, fmt.Sprintf("%s:%d>%s:%d part %d %g-%g %d/%d %d/%d %s%s", f.SrcIP, f.SrcPort, f.DstIP, f.DstPort, f.Part,
			f.Start.Sub(epoch).Seconds(), f.End.Sub(epoch).Seconds(), f.SrcPackets, f.DstPackets, f.SrcPayloadBytes, f.DstPayloadBytes, f.State, final))
	}
	return out
}

func want(t *testing.T, s *script, lines ...string) {
	t.Helper()
	got := s.lines()
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}
