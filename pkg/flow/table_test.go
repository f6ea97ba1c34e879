package flow_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

func TestStates(t *testing.T) {
	// The histories and states of Zeek's documentation and of its own tests' conn.log.
	for history, state := range map[string]string{
		"S": "S0", "SS": "S0", "SA": "S0", "Sh": "S1", "ShA": "S1", "ShADad": "S1", "hAD": "S1",
		"ShADadFf": "SF", "ShAdDaFf": "SF", "ShAdDafF": "SF", "ShAdDafFr": "SF", "ShADadfFr": "SF", "DdFf": "SF",
		"Sr": "REJ", "ShADF": "S2", "ShADf": "S3", "ShADdR": "RSTO", "ShR": "RSTO", "ShADadFR": "RSTO", "ShADr": "RSTR",
		"SR": "RSTOS0", "hr": "RSTRH", "Dr": "RSTRH", "SF": "SH", "hf": "SHR", "h": "OTH", "DdA": "OTH", "D": "OTH", "SrR": "REJ",
	} {
		s := newScript(flow.Config{})
		s.history(0, history)
		s.Flush()
		if len(s.parts) != 1 || s.parts[0].State != state || s.parts[0].SrcIP != client {
			t.Errorf("%s: %v, want state %s", history, s.lines(), state)
		}
	}
}

func TestUDPAndICMPStates(t *testing.T) {
	s := newScript(flow.Config{})
	s.Add(forward(0, proto.UDP, "q"))
	s.Add(back(forward(1, proto.UDP, "answer")))
	one := forward(0.5, proto.UDP, "q")
	one.SrcPort = 40001
	s.Add(one)
	ping := forward(2, proto.ICMP, "ping")
	ping.SrcPort, ping.DstPort = 8, 0
	s.Add(ping)
	pong := back(forward(3, proto.ICMP, "ping"))
	pong.SrcPort, pong.DstPort = 0, 0
	s.Add(pong)
	unreachable := back(forward(4, proto.ICMP, ""))
	unreachable.SrcPort, unreachable.DstPort = 3, 1
	s.Add(unreachable)
	s.Flush()
	want(t, s,
		"10.0.0.1:40000>10.0.0.2:80 part 0 0-1 1/1 1/6 SF final",
		"10.0.0.1:40001>10.0.0.2:80 part 0 0.5-0.5 1/0 1/0 S0 final",
		"10.0.0.1:8>10.0.0.2:0 part 0 2-3 1/1 4/4 OTH final",
		"10.0.0.2:3>10.0.0.1:1 part 0 4-4 1/0 0/0 OTH final")
}

func TestOrientation(t *testing.T) {
	s := newScript(flow.Config{})
	s.Add(back(segment(0, packet.ACK|packet.SYN, 500, ""))) // SYN-ACK first: the other side has opened
	h := back(segment(1, packet.ACK, 500, "late"))          // midway: the first sender
	h.DstPort = 40001
	s.Add(h)
	s.Flush()
	want(t, s,
		"10.0.0.1:40000>10.0.0.2:80 part 0 0-0 0/1 0/0 OTH final",
		"10.0.0.2:80>10.0.0.1:40001 part 0 1-1 1/0 4/0 OTH final")
	if s.parts[0].SrcMAC != macC || s.parts[0].DstMAC != macS {
		t.Errorf("hardware addresses %v, %v", s.parts[0].SrcMAC, s.parts[0].DstMAC)
	}
}

// TestSleeperKeepsItsOpener: the server speaks first after an hour of silence.
func TestSleeperKeepsItsOpener(t *testing.T) {
	s := newScript(flow.Config{})
	s.history(0, "ShAD")
	for _, hour := range []float64{3600, 7200} {
		s.Add(back(segment(hour, packet.ACK, 500, "order")))
		s.Add(segment(hour+1, packet.ACK, 1005, "ok"))
	}
	s.history(7300, "Ff") // now it is over: nothing is kept
	s.Add(back(segment(9000, packet.ACK, 500, "stray")))
	s.Flush()
	var ends []string
	for _, f := range s.parts {
		if f.Final {
			ends = append(ends, fmt.Sprint(f.SrcIP, " ", f.SrcMAC, " ", f.State))
		}
	}
	c, v := fmt.Sprint(client, " ", macC), fmt.Sprint(server, " ", macS)
	want := []string{c + " S1", c + " OTH", c + " SF", v + " OTH"}
	if !slices.Equal(ends, want) {
		t.Errorf("got %v, want %v", ends, want)
	}
}

func TestAnswerTellsTheHardwareAddress(t *testing.T) {
	s := newScript(flow.Config{})
	h := forward(0, proto.UDP, "q")
	h.DstMAC = proto.MAC{0, 0, 0x5e, 0, 1, 7} // a virtual router's
	s.Add(h)
	s.Add(back(forward(1, proto.UDP, "a")))
	s.Flush()
	if f := s.parts[0]; f.SrcMAC != macC || f.DstMAC != macS {
		t.Errorf("hardware addresses %v, %v", f.SrcMAC, f.DstMAC)
	}
}

func TestParts(t *testing.T) {
	t.Run("tcp is cut by time", func(t *testing.T) {
		s := newScript(flow.Config{})
		s.history(0, "ShAD")
		s.Add(segment(30, packet.ACK, 1005, "xx"))
		s.Advance(at(62))
		s.Advance(at(150))
		s.Add(back(segment(200, packet.ACK, 1, "yyy")))
		s.Advance(at(250))
		s.Advance(at(510))
		want(t, s,
			"10.0.0.1:40000>10.0.0.2:80 part 0 0-30 4/1 6/0 S1",
			"10.0.0.1:40000>10.0.0.2:80 part 1 200-200 0/1 0/3 S1 final")
	})
	t.Run("an end without packets since", func(t *testing.T) {
		s := newScript(flow.Config{})
		s.history(0, "Sh")
		s.Advance(at(100))
		s.Advance(at(400))
		want(t, s,
			"10.0.0.1:40000>10.0.0.2:80 part 0 0-0.01 1/1 0/0 S1",
			"10.0.0.1:40000>10.0.0.2:80 part 1 0.01-0.01 0/0 0/0 S1 final")
	})
	t.Run("udp is cut by its packets", func(t *testing.T) {
		s := newScript(flow.Config{})
		for i := range 5 {
			s.Add(forward(float64(i)*25, proto.UDP, "b"))
		}
		s.Advance(at(170))
		want(t, s,
			"10.0.0.1:40000>10.0.0.2:80 part 0 0-50 3/0 3/0 S0",
			"10.0.0.1:40000>10.0.0.2:80 part 1 75-100 2/0 2/0 S0 final")
		if s.parts[0].FlowID != s.parts[1].FlowID {
			t.Error("parts of one flow have different ids")
		}
	})
}

func TestIdleTimeoutIsExactForItsOwnPackets(t *testing.T) {
	for gap, flows := range map[float64]int{59.9: 1, 60: 2} {
		s := newScript(flow.Config{})
		s.Add(forward(0.7, proto.UDP, "a"))
		s.Add(forward(0.7+gap, proto.UDP, "b"))
		s.Flush()
		if len(s.parts) != flows || s.Flows() != uint64(flows) {
			t.Errorf("gap of %g s: %d flows, want %d: %v", gap, s.Flows(), flows, s.lines())
		}
	}
}

func TestClosedEndsSoon(t *testing.T) {
	s := newScript(flow.Config{})
	s.history(0, "ShADadFf")
	s.Advance(at(3))
	if len(s.parts) != 0 {
		t.Fatalf("ended too soon: %v", s.lines())
	}
	s.Advance(at(7))
	want(t, s, "10.0.0.1:40000>10.0.0.2:80 part 0 0-0.07 4/4 4/4 SF final")
}

func TestExpiryInStartOrder(t *testing.T) {
	s := newScript(flow.Config{})
	for i := range 50 {
		h := forward(float64((i*37)%50), proto.UDP, "x")
		h.SrcPort = uint16(1000 + i)
		h.Time = at(float64(i) / 100) // the order of arrival
		s.Add(h)
	}
	s.Add(forward(1000, proto.UDP, "x"))
	for i, f := range s.parts {
		if i > 0 && f.Start < s.parts[i-1].Start {
			t.Fatalf("part %d starts before the one ahead of it", i)
		}
	}
	if len(s.parts) != 50 || s.Live() != 1 {
		t.Errorf("%d parts, %d live", len(s.parts), s.Live())
	}
}

func TestPortReuse(t *testing.T) {
	syn := func(seconds float64, seq uint32) *packet.Headers { return segment(seconds, packet.SYN, seq, "") }
	for name, tt := range map[string]struct {
		play  func(s *script)
		flows uint64
	}{
		"sent again":                  {func(s *script) { s.Add(syn(0, 1)); s.Add(syn(1, 1)); s.Add(syn(3, 1)) }, 1},
		"another try":                 {func(s *script) { s.Add(syn(0, 1)); s.Add(syn(1, 2)) }, 1},
		"after the end":               {func(s *script) { s.history(0, "ShADadFf"); s.Add(syn(1, 7)) }, 2},
		"after a refusal":             {func(s *script) { s.history(0, "Sr"); s.Add(syn(1, 7)) }, 2},
		"refused and sent again":      {func(s *script) { s.history(0, "Sr"); s.Add(syn(1, 1000)) }, 1},
		"host came back":              {func(s *script) { s.history(0, "ShAD"); s.Add(syn(100, 7)) }, 2},
		"joined midway":               {func(s *script) { s.history(0, "Dd"); s.Add(syn(1, 7)) }, 2},
		"SYN-ACK overtook its SYN":    {func(s *script) { s.history(0, "h"); s.Add(syn(0.1, 1000)) }, 1},
		"both at once":                {func(s *script) { s.Add(syn(0, 1)); s.Add(back(syn(0.1, 9))) }, 1},
		"the other side, after a FIN": {func(s *script) { s.history(0, "ShADaFf"); s.Add(back(syn(1, 9))) }, 2},
	} {
		s := newScript(flow.Config{})
		tt.play(s)
		s.Flush()
		ids, finals := map[proto.ID]bool{}, uint64(0)
		for _, f := range s.parts {
			ids[f.FlowID] = true
			if f.Final {
				finals++
			}
		}
		if s.Flows() != tt.flows || finals != tt.flows || len(ids) != int(tt.flows) {
			t.Errorf("%s: %d flows, %d ends, %d ids, want %d: %v", name, s.Flows(), finals, len(ids), tt.flows, s.lines())
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	s := newScript(flow.Config{Max: 100})
	for i := range 1000 {
		h := forward(float64(i)/100, proto.UDP, "x")
		h.SrcPort = uint16(i)
		s.Add(h)
	}
	if s.Live() != 100 || s.Evicted() != 900 || len(s.parts) != 900 {
		t.Fatalf("%d live, %d evicted, %d parts", s.Live(), s.Evicted(), len(s.parts))
	}
	if s.parts[0].SrcPort != 0 || !s.parts[0].Final {
		t.Errorf("evicted first: %v", s.lines()[0])
	}
	s.Flush()
	if s.Live() != 0 || len(s.parts) != 1000 {
		t.Errorf("%d live, %d parts after the end", s.Live(), len(s.parts))
	}
}

func TestFlowsKeptApart(t *testing.T) {
	s := newScript(flow.Config{})
	none := netip.IPv4Unspecified()
	for i := range 3 { // three hosts ask for an address: only their MACs differ
		h := forward(0, proto.UDP, fmt.Sprint("discover ", i))
		h.SrcIP, h.DstIP = none, netip.MustParseAddr("255.255.255.255")
		h.SrcPort, h.DstPort, h.SrcMAC[5] = 68, 67, byte(i)
		s.Add(h)
	}
	tagged := forward(1, proto.UDP, "x")
	s.Add(tagged)
	other := forward(1, proto.UDP, "x")
	other.VLAN = 5
	s.Add(other)
	v6 := forward(1, proto.UDP, "x")
	v6.SrcIP, v6.DstIP = netip.IPv6Unspecified(), netip.MustParseAddr("ff02::1")
	s.Add(v6)
	s.Flush()
	if len(s.parts) != 6 {
		t.Fatalf("%d flows, want 6: %v", len(s.parts), s.lines())
	}
	ids := map[proto.ID]bool{}
	for _, f := range s.parts {
		ids[f.FlowID] = true
		if f.SrcPort == 68 && f.SrcIP != none {
			t.Errorf("source %v", f.SrcIP)
		}
	}
	if len(ids) != 6 {
		t.Errorf("%d ids", len(ids))
	}
}

func TestDirectionsOfIPv6(t *testing.T) {
	a, b := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("2001:db8::2")
	s := newScript(flow.Config{})
	h := forward(0, proto.TCP, "x")
	h.SrcIP, h.DstIP = a, b
	s.Add(h)
	e, fromSrc := s.Add(back(h))
	if fromSrc || e.SrcIP() != a || e.DstIP() != b {
		t.Errorf("from %v to %v, answer from the source: %v", e.SrcIP(), e.DstIP(), fromSrc)
	}
}

// TestLatePackets: a clock that jumps ahead and back must not end flows for ever.
func TestLatePackets(t *testing.T) {
	s := newScript(flow.Config{})
	s.Add(forward(1e6, proto.UDP, "far ahead"))
	s.Flush()
	s.parts = nil
	for i := range 10 {
		h := forward(float64(i), proto.TCP, "x")
		h.TCPFlags = packet.ACK
		s.Add(h)
	}
	s.Advance(at(1e6 + 2))
	for _, f := range s.parts {
		if f.Final {
			t.Errorf("ended at once: %v", s.lines())
		}
	}
	s.Advance(at(1e6 + 400))
	s.Flush()
	if s.Flows() != 2 || !s.parts[len(s.parts)-1].Final {
		t.Errorf("%d flows: %v", s.Flows(), s.lines())
	}
}

func TestKnownFlowAllocatesNothing(t *testing.T) {
	s := newScript(flow.Config{})
	s.history(0, "ShA")
	h := segment(0, packet.ACK, 5, "data")
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		i++
		h.Time = at(1 + float64(i)/1000)
		s.Add(h)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// nth makes h the SYN of the nth of many flows.
func nth(h *packet.Headers, n int) {
	h.SrcIP = netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	h.TCPFlags, h.Seq = packet.SYN, uint32(n)
}

func discard(*flow.Entry, *proto.Flow) {}

func BenchmarkPacketOfKnownFlow(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := flow.New(flow.Config{Site: "site", Emit: discard})
			h := forward(0, proto.TCP, "data")
			for i := range n {
				nth(h, i)
				t.Add(h)
			}
			h.TCPFlags = packet.ACK
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				h.SrcIP = netip.AddrFrom4([4]byte{10, byte(i % n >> 16), byte(i % n >> 8), byte(i % n)})
				h.Time = at(float64(i) / 1e6)
				t.Add(h)
				i++
			}
		})
	}
}

// BenchmarkFlow is the whole life of a one-packet flow: its id, its record, its
// end by time. 2,000 of them begin in a second, so 120,000 are live.
func BenchmarkFlow(b *testing.B) {
	t := flow.New(flow.Config{Site: "site", Emit: discard})
	h := forward(0, proto.UDP, "question")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		nth(h, i)
		h.TCPFlags, h.SrcPort = 0, uint16(i>>24)
		h.Time = at(float64(i) / 2e3)
		t.Add(h)
		i++
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "flows/s")
}

// TestSizes: what flows cost is planned for; see also BenchmarkIdleFlows of
// services/capture.
func TestSizes(t *testing.T) {
	for what, size := range map[string][2]uintptr{
		"an entry":                    {flow.EntrySize, 192},
		"what a packet touches of it": {flow.PacketEnds, 128},
		"more of a flow":              {flow.MoreSize, 88},
		"a sketch":                    {flow.SketchSize, 592},
	} {
		if size[0] > size[1] {
			t.Errorf("%s has %d bytes, %d are planned for", what, size[0], size[1])
		}
	}
}
