package flow_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// tcp is a segment between client and server with a whole header, window open.
func tcp(seconds float64, flags uint8, seq, ack uint32, n int) *packet.Headers {
	h := forward(seconds, proto.TCP, "")
	h.TCPFlags, h.Seq, h.Ack, h.PayloadLen, h.Window, h.TTL = flags, seq, ack, n, 1000, 64
	h.IPBytes += n
	h.Header = make([]byte, 20)
	return h
}

// handshake plays SYN, SYN-ACK and ACK at 0, 3 and 5 ms: client 1000, server 5000.
func (s *script) handshake() {
	s.Add(tcp(0, packet.SYN, 1000, 0, 0))
	s.Add(back(tcp(0.003, packet.SYN|packet.ACK, 5000, 1001, 0)))
	s.Add(tcp(0.005, packet.ACK, 1001, 5001, 0))
}

// told is what the last part says of TCP.
func (s *script) told() string {
	s.Flush()
	f := s.parts[len(s.parts)-1]
	return fmt.Sprintf("again %d/%d resets %d/%d zero %d/%d rtt %d/%d first %q path %v",
		f.SrcRetransmits, f.DstRetransmits, f.SrcResets, f.DstResets, f.SrcZeroWindows, f.DstZeroWindows, f.SrcRTT, f.DstRTT, f.FirstPayload, []string(f.Path))
}

func TestRetransmits(t *testing.T) {
	const ack = packet.ACK
	type step = *packet.Headers
	for name, tt := range map[string]struct {
		src, dst uint32
		play     []step
	}{
		"none":                            {0, 0, []step{tcp(1, ack, 1001, 5001, 10), back(tcp(1, ack, 5001, 1011, 20)), tcp(2, ack, 1011, 5021, 10)}},
		"the same again":                  {1, 0, []step{tcp(1, ack, 1001, 5001, 10), tcp(2, ack, 1001, 5001, 10)}},
		"of the server":                   {0, 2, []step{back(tcp(1, ack, 5001, 1001, 10)), back(tcp(2, ack, 5001, 1001, 10)), back(tcp(3, ack, 5001, 1001, 5))}},
		"with more behind":                {1, 0, []step{tcp(1, ack, 1001, 5001, 10), tcp(2, ack, 1001, 5001, 30)}},
		"a SYN, of a connection in use":   {1, 0, []step{tcp(1, ack, 1001, 5001, 10), tcp(1.1, packet.SYN, 1000, 0, 0)}},
		"a SYN-ACK":                       {0, 1, []step{back(tcp(1, packet.SYN|ack, 5000, 1001, 0))}},
		"a FIN":                           {1, 0, []step{tcp(1, packet.FIN|ack, 1001, 5001, 0), tcp(2, packet.FIN|ack, 1001, 5001, 0)}},
		"keep-alives":                     {0, 0, []step{tcp(1, ack, 1001, 5001, 10), tcp(2, ack, 1010, 5001, 0), tcp(3, ack, 1010, 5001, 1)}},
		"out of order":                    {0, 0, []step{tcp(1, ack, 1011, 5001, 10), tcp(1.004, ack, 1001, 5001, 10)}},
		"too late to be out of order":     {1, 0, []step{tcp(1, ack, 1011, 5001, 10), tcp(1.006, ack, 1001, 5001, 10)}},
		"out of order, then again":        {1, 0, []step{tcp(1, ack, 1011, 5001, 10), tcp(1.001, ack, 1001, 5001, 10), tcp(1.002, ack, 1001, 5001, 10)}},
		"a hole in pieces":                {0, 0, []step{tcp(1, ack, 1031, 5001, 10), tcp(1, ack, 1021, 5001, 10), tcp(1, ack, 1001, 5001, 10), tcp(1, ack, 1011, 5001, 10)}},
		"lost, and an ACK told of it":     {1, 0, []step{tcp(1, ack, 1011, 5001, 0), tcp(1.001, ack, 1001, 5001, 10)}},
		"numbers from elsewhere":          {0, 0, []step{tcp(1, ack, 1<<31, 5001, 10), tcp(2, ack, 1001, 5001, 10)}},
		"around the end of the numbers":   {1, 0, []step{tcp(1, ack, 1<<31, 5001, 10), tcp(1, ack, 1<<32-5, 5001, 10), tcp(2, ack, 5, 5001, 10), tcp(3, ack, 1<<32-5, 5001, 10)}},
		"a reset is no part of it":        {0, 0, []step{tcp(1, ack, 1001, 5001, 10), tcp(2, packet.RST, 1001, 0, 5)}},
		"seen before and behind a router": {0, 0, []step{tcp(1, ack, 1001, 5001, 10), routedOnce(tcp(1, ack, 1001, 5001, 10))}},
	} {
		s := newScript(flow.Config{})
		s.handshake()
		for _, h := range tt.play {
			s.Add(h)
		}
		s.Flush()
		var src, dst uint32
		for _, f := range s.parts {
			src, dst = src+f.SrcRetransmits, dst+f.DstRetransmits
		}
		if src != tt.src || dst != tt.dst {
			t.Errorf("%s: %d/%d, want %d/%d", name, src, dst, tt.src, tt.dst)
		}
	}
}

// routedOnce is the packet as a router hands it on.
func routedOnce(h *packet.Headers) *packet.Headers {
	h.TTL--
	h.SrcMAC, h.DstMAC = proto.MAC{2, 0, 0, 0, 0, 0xff}, macS
	return h
}

func TestRefusedTries(t *testing.T) {
	s := newScript(flow.Config{})
	for i := range 3 {
		s.Add(tcp(float64(i), packet.SYN, 1000, 0, 0)) // the same try
	}
	s.Add(tcp(7, packet.SYN, 2000, 0, 0)) // another one
	s.Add(back(tcp(7.5, packet.RST|packet.ACK, 0, 2001, 0)))
	if got, want := s.told(), `again 2/0 resets 0/1 zero 0/0 rtt 0/0 first "" path []`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestZeroWindows(t *testing.T) {
	zero := func(h *packet.Headers) *packet.Headers { h.Window = 0; return h }
	cut := zero(tcp(3, packet.ACK, 1001, 5001, 0))
	cut.Header = cut.Header[:14] // the snaplen took the window
	s := newScript(flow.Config{})
	s.handshake()
	s.Add(zero(tcp(1, packet.ACK, 1001, 5001, 0)))
	s.Add(back(zero(tcp(2, packet.ACK, 5001, 1001, 10))))
	s.Add(cut)
	s.Add(back(tcp(4, packet.FIN|packet.ACK, 5011, 1001, 0)))
	s.Add(zero(tcp(5, packet.ACK, 1001, 5012, 0))) // nothing more is to come for it
	s.Add(zero(tcp(6, packet.RST, 1001, 0, 0)))
	if got, want := s.told(), `again 0/0 resets 1/0 zero 1/1 rtt 2000/3000 first "dst" path []`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHandshakeTimes(t *testing.T) {
	const syn, ack = packet.SYN, packet.ACK
	for name, tt := range map[string]struct {
		src, dst proto.RTT
		play     []*packet.Headers
	}{
		"both halves":              {2000, 3000, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(0.003, syn|ack, 7, 10, 0)), tcp(0.005, ack, 10, 8, 0)}},
		"data with the answer":     {2000, 3000, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(0.003, syn|ack, 7, 10, 0)), tcp(0.005, ack, 10, 8, 50)}},
		"data with the SYN":        {2000, 3000, []*packet.Headers{tcp(0, syn, 9, 0, 20), back(tcp(0.003, syn|ack, 7, 30, 0)), tcp(0.005, ack, 30, 8, 0)}},
		"under a microsecond":      {1, 1, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(3e-7, syn|ack, 7, 10, 0)), tcp(7e-7, ack, 10, 8, 0)}},
		"stamps that tell nothing": {0, 0, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(0, syn|ack, 7, 10, 0)), tcp(0, ack, 10, 8, 0)}},
		"SYN twice":                {2000, 0, []*packet.Headers{tcp(0, syn, 9, 0, 0), tcp(1, syn, 9, 0, 0), back(tcp(1.003, syn|ack, 7, 10, 0)), tcp(1.005, ack, 10, 8, 0)}},
		"SYN-ACK twice":            {0, 3000, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(0.003, syn|ack, 7, 10, 0)), back(tcp(1, syn|ack, 7, 10, 0)), tcp(1.005, ack, 10, 8, 0)}},
		"SYN not seen":             {2000, 0, []*packet.Headers{back(tcp(0.003, syn|ack, 7, 10, 0)), tcp(0.005, ack, 10, 8, 0)}},
		"an answer to another":     {0, 0, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(0.003, syn|ack, 7, 99, 0)), tcp(0.005, ack, 10, 8, 0)}},
		"the server hurries":       {0, 3000, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(0.003, syn|ack, 7, 10, 0)), back(tcp(0.004, ack, 8, 10, 5)), tcp(0.005, ack, 10, 13, 0)}},
		"ACK not seen":             {0, 3000, []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(0.003, syn|ack, 7, 10, 0)), tcp(0.5, ack, 10, 99, 50)}},
		"midway":                   {0, 0, []*packet.Headers{tcp(0, ack, 9, 7, 5), back(tcp(0.003, ack, 7, 14, 0)), tcp(0.005, ack, 14, 8, 0)}},
	} {
		s := newScript(flow.Config{})
		for _, h := range tt.play {
			s.Add(h)
		}
		s.Flush()
		if f := s.parts[0]; f.SrcRTT != tt.src || f.DstRTT != tt.dst {
			t.Errorf("%s: %d/%d, want %d/%d", name, f.SrcRTT, f.DstRTT, tt.src, tt.dst)
		}
	}
}

// TestToldInEveryPart: counters are of the part, what is known of the flow stays.
func TestToldInEveryPart(t *testing.T) {
	s := newScript(flow.Config{})
	s.handshake()
	s.Add(back(tcp(1, packet.ACK, 5001, 1001, 10)))
	s.Add(back(tcp(2, packet.ACK, 5001, 1001, 10)))
	s.Advance(at(61))
	s.Add(back(tcp(70, packet.ACK, 5011, 1001, 10)))
	s.Add(back(tcp(71, packet.RST, 5021, 1001, 0)))
	s.Flush()
	var got []string
	for _, f := range s.parts {
		got = append(got, fmt.Sprint(f.DstRetransmits, f.DstResets, " ", f.SrcRTT, " ", f.DstRTT, " ", f.FirstPayload))
	}
	if want := []string{"1 0 2000 3000 dst", "0 1 2000 3000 dst"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPath(t *testing.T) {
	const syn, ack = packet.SYN, packet.ACK
	for name, tt := range map[string]struct {
		path string
		play []*packet.Headers
	}{
		"both ways":                                {"[]", []*packet.Headers{tcp(0, syn, 9, 0, 0), back(tcp(1, syn|ack, 7, 10, 0)), tcp(2, ack, 10, 8, 0)}},
		"nobody answers":                           {"[]", []*packet.Headers{tcp(0, syn, 9, 0, 0), tcp(1, syn, 9, 0, 0)}},
		"what answers the SYN is not seen":         {"[asymmetric]", []*packet.Headers{tcp(0, syn, 9, 0, 0), tcp(1, ack, 10, 8, 0)}},
		"an answer to a SYN from elsewhere, again": {"[]", []*packet.Headers{back(tcp(0, syn|ack, 7, 10, 0)), back(tcp(1, syn|ack, 7, 10, 0))}},
		"and more than that":                       {"[asymmetric]", []*packet.Headers{back(tcp(0, syn|ack, 7, 10, 0)), back(tcp(1, ack, 8, 60, 10))}},
		"talks to the dead":                        {"[]", []*packet.Headers{tcp(0, ack, 9, 7, 5), tcp(1, ack, 9, 7, 5), tcp(2, packet.RST|ack, 14, 900, 0)}},
		"hears what is not seen":                   {"[asymmetric]", []*packet.Headers{tcp(0, ack, 9, 7, 5), tcp(1, ack, 14, 50, 5)}},
		"older than before":                        {"[]", []*packet.Headers{tcp(0, ack, 9, 50, 5), tcp(1, ack, 14, 7, 5)}},
		"seen after all":                           {"[]", []*packet.Headers{tcp(0, ack, 9, 7, 5), tcp(1, ack, 14, 50, 5), back(tcp(2, ack, 50, 19, 0))}},
		"before and behind a router":               {"[two_paths]", []*packet.Headers{tcp(0, ack, 9, 7, 5), routedOnce(tcp(0, ack, 9, 7, 5)), back(tcp(1, ack, 7, 14, 0))}},
		"half of it, twice":                        {"[asymmetric two_paths]", []*packet.Headers{tcp(0, ack, 9, 7, 5), routedOnce(tcp(0, ack, 9, 7, 5)), tcp(1, ack, 14, 50, 5)}},
		"two routers, the same distance": {"[]", []*packet.Headers{tcp(0, ack, 9, 7, 5), func() *packet.Headers {
			h := routedOnce(tcp(1, ack, 14, 7, 5))
			h.TTL++
			return h
		}()}},
	} {
		s := newScript(flow.Config{})
		for _, h := range tt.play {
			s.Add(h)
		}
		s.Flush()
		if got := fmt.Sprint([]string(s.parts[len(s.parts)-1].Path)); got != tt.path {
			t.Errorf("%s: %s, want %s", name, got, tt.path)
		}
	}
}
