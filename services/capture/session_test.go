package capture

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// query is a DNS question, and answer what the pump hears.
func query() frame {
	f := talk()
	f.dp = 53
	f.payload = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01"
	return f
}

// TestWhatIsKeptOfFlows: only flows of which there is something to keep have a
// session.
func TestWhatIsKeptOfFlows(t *testing.T) {
	segment := func(flags byte, payload string) frame {
		f := talk()
		f.flags, f.payload = flags, payload
		return f
	}
	unknown := talk()
	unknown.payload = strings.Repeat("nobody knows this", 3)
	for name, tt := range map[string]struct {
		sessions int
		protocol string
		play     []frame
	}{
		"a SYN":                             {0, "unknown", []frame{segment(packet.SYN, "")}},
		"a SYN, refused":                    {0, "unknown", []frame{segment(packet.SYN, ""), segment(packet.RST, "").back()}},
		"a SYN-ACK, whose number is needed": {1, "unknown", []frame{segment(packet.SYN, ""), segment(packet.SYN|packet.ACK, "").back()}},
		"ACKs":                              {0, "unknown", []frame{segment(packet.ACK, ""), segment(packet.ACK, "").back()}},
		"payload of TCP":                    {1, "unknown", []frame{segment(packet.SYN, ""), segment(packet.ACK, "x")}},
		"a datagram that nobody knows":      {0, "unknown", []frame{unknown}},
		"several of them":                   {0, "unknown", []frame{unknown, unknown, unknown.back(), unknown, unknown, unknown}},
		"a question":                        {0, "dns", []frame{query()}},
		"and another":                       {0, "dns", []frame{query(), query()}},
	} {
		b := newBench(Config{})
		for i, f := range tt.play {
			b.send(float64(i), f)
		}
		if n := b.kept.flows.Len(); n != tt.sessions {
			t.Errorf("%s: %d sessions, want %d", name, n, tt.sessions)
		}
		b.End()
		if n, m := b.kept.flows.Len(), b.kept.ends.Len(); n != 0 || m != 0 {
			t.Errorf("%s: %d sessions and %d ends are left at the end", name, n, m)
		}
		if f := b.flows()[0].Flow; f.Protocol != tt.protocol {
			t.Errorf("%s: protocol %s", name, f.Protocol)
		}
	}
}

// TestGuessOutlivesItsSession: a label by the port is made again from the ports.
func TestGuessOutlivesItsSession(t *testing.T) {
	b := newBench(Config{})
	f := talk()
	f.dp, f.payload = 161, strings.Repeat("no SNMP at all ", 3)
	for i := range 6 {
		b.send(float64(i)*20, f)
	}
	b.End()
	var got []string
	for _, it := range b.flows() {
		if !it.Mirror {
			got = append(got, fmt.Sprintf("%d %s %s", it.Flow.Part, it.Flow.Protocol, it.Flow.ProtocolBy))
		}
	}
	if want := []string{"0 snmp port", "1 snmp port"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestEndsOfIdleFlowsAreKept: a flow whose first part was sent keeps its ends and
// no session, and gives them to the session that it gets later.
func TestEndsOfIdleFlowsAreKept(t *testing.T) {
	b := newBench(Config{})
	f := talk()
	f.flags, f.payload = packet.SYN, ""
	b.send(0, f)
	b.Advance(at(70))
	if b.kept.flows.Len() != 0 || b.kept.ends.Len() != 1 {
		t.Fatalf("%d sessions, %d ends", b.kept.flows.Len(), b.kept.ends.Len())
	}
	f.flags, f.payload = packet.ACK, "x"
	b.send(80, f)
	if b.kept.flows.Len() != 1 || b.kept.ends.Len() != 1 {
		t.Fatalf("%d sessions, %d ends after payload", b.kept.flows.Len(), b.kept.ends.Len())
	}
	raw := arp(serverMAC, server) // what is learned later moves nothing
	b.Packet(packet.LinkEthernet, at(81), raw, len(raw))
	b.End()
	for _, it := range b.flows() {
		if it.Flow.DstEndpoint != proto.IPEndpoint(site, 0, server) {
			t.Errorf("part %d is to %v", it.Flow.Part, it.Flow.DstEndpoint)
		}
	}
	if b.kept.flows.Len() != 0 || b.kept.ends.Len() != 0 {
		t.Errorf("%d sessions, %d ends at the end", b.kept.flows.Len(), b.kept.ends.Len())
	}
}

// TestTranslation: who forwards for others under its own address.
func TestTranslation(t *testing.T) {
	at0 := func(ttl byte) frame { f := talk(); f.ttl = ttl; return f }
	other := func(ttl byte) frame { f := at0(ttl); f.sp = 40001; return f }
	viaRouter := func(ttl byte, port int) frame { f := at0(ttl); f.from, f.src, f.sp = routerMAC, remote, port; return f }
	for name, tt := range map[string]struct {
		path string
		play []frame
	}{
		"its own packets alone":        {"", []frame{at0(64), other(128)}},
		"and those of one behind it":   {"src_nat", []frame{at0(64), other(63)}},
		"of a Windows behind it":       {"src_nat", []frame{at0(64), other(127)}},
		"of one behind three routers":  {"src_nat", []frame{at0(64), other(61)}},
		"known before it is needed":    {"src_nat", []frame{other(127), at0(64)}},
		"of the one that answers":      {"dst_nat", []frame{at0(64).back(), other(64), other(127).back()}},
		"nothing of its own was seen":  {"", []frame{at0(63), other(63)}},
		"a trace of the route":         {"", []frame{at0(64), other(3)}},
		"behind a router, from afar":   {"", []frame{viaRouter(63, 1), viaRouter(63, 2)}},
		"a router, and its own packet": {"", []frame{at0(64), viaRouter(63, 1)}},
	} {
		b := newBench(Config{})
		for i, f := range tt.play {
			b.send(float64(i), f)
		}
		b.End()
		var path []string
		for _, it := range b.flows() {
			if !it.Mirror {
				path = append(path, it.Flow.Path...)
			}
		}
		if got := strings.Join(path, " "); got != tt.path {
			t.Errorf("%s: %q, want %q", name, got, tt.path)
		}
	}
}

// TestTunnelEntranceIsNoTranslation: an outer header may have the hop limit of the
// inner one.
func TestTunnelEntranceIsNoTranslation(t *testing.T) {
	b := newBench(Config{})
	b.send(0, talk())
	f := talk()
	f.ttl = 63
	raw := f.bytes()
	raw[14+9] = 50 // ESP
	b.Packet(packet.LinkEthernet, at(1), raw, len(raw))
	b.End()
	for _, it := range b.flows() {
		if len(it.Flow.Path) > 0 {
			t.Errorf("%v: %v", it.Flow.Transport, it.Flow.Path)
		}
	}
}

func TestFlowsOnly(t *testing.T) {
	b := newBench(Config{FlowsOnly: true})
	b.send(0, query())
	raw := arp(serverMAC, server)
	b.Packet(packet.LinkEthernet, at(1), raw, len(raw))
	b.End()
	if f := b.flows()[0].Flow; f.Protocol != "dns" || f.ProtocolBy != proto.ByPort || len(b.observations()) != 0 {
		t.Errorf("protocol %s by %s, %d observations", f.Protocol, f.ProtocolBy, len(b.observations()))
	}
}
