package flow_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/flow"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// sum adds up the messages of the parts of one flow.
func sum(parts []*proto.Flow, side func(*proto.Flow) *proto.Messages) (m proto.Messages) {
	for _, f := range parts {
		p := side(f)
		if p == nil {
			continue
		}
		m.Count += p.Count
		if p.First != 0 && (m.First == 0 || p.First < m.First) {
			m.First = p.First
		}
		m.Last = max(m.Last, p.Last)
		m.Gaps, m.Sizes = m.Gaps.Add(p.Gaps), m.Sizes.Add(p.Sizes)
	}
	return m
}

func ofSrc(f *proto.Flow) *proto.Messages { return f.SrcMessages }
func ofDst(f *proto.Flow) *proto.Messages { return f.DstMessages }

func say(m *proto.Messages) string {
	if m == nil {
		return "-"
	}
	return fmt.Sprintf("%d gaps %v bytes %v", m.Count, m.Gaps, m.Sizes)
}

func TestMessages(t *testing.T) {
	udp := func(seconds float64, n int) *packet.Headers {
		return forward(seconds, proto.UDP, strings.Repeat("x", n))
	}
	for name, tt := range map[string]struct {
		src, dst string
		play     func(s *script)
	}{
		"seven are nothing": {"-", "-", func(s *script) {
			for i := range 7 {
				s.Add(udp(float64(i), 10))
			}
		}},
		"the eighth begins it": {"8 gaps [] bytes [{10 1}]", "-", func(s *script) {
			for i := range 8 {
				s.Add(udp(float64(i), 10))
			}
		}},
		"then gaps are told": {"11 gaps [{1920 3}] bytes [{10 4}]", "-", func(s *script) {
			for i := range 11 {
				s.Add(udp(float64(i)*2, 10))
			}
		}},
		"question and answer, no pause": {"5 gaps [] bytes [{10 1}]", "5 gaps [{10 1}] bytes [{20 2}]", func(s *script) {
			for i := range 5 {
				s.Add(udp(float64(i)/100, 10))
				s.Add(back(udp(float64(i)/100+0.001, 20)))
			}
		}},
		"a run is one, a pause ends it": {"9 gaps [{960 1}] bytes [{26 1} {30 1}]", "-", func(s *script) {
			for i := range 9 {
				for k := range 3 {
					s.Add(udp(float64(i)+float64(k)/10, 10-i/8))
				}
			}
		}},
		"pauses of less than half a second": {"-", "-", func(s *script) {
			for i := range 100 {
				s.Add(udp(float64(i)*0.49, 10))
			}
		}},
	} {
		s := newScript(flow.Config{})
		tt.play(s)
		s.Flush()
		if len(s.parts) != 1 {
			t.Fatalf("%s: %d parts", name, len(s.parts))
		}
		if f := s.parts[0]; say(f.SrcMessages) != tt.src || say(f.DstMessages) != tt.dst {
			t.Errorf("%s:\n got %s, %s\nwant %s, %s", name, say(f.SrcMessages), say(f.DstMessages), tt.src, tt.dst)
		}
	}
}

// TestWhatTCPSendsAgainIsNoMessage: nor is a keep-alive, nor is the pause that a
// loss makes.
func TestWhatTCPSendsAgainIsNoMessage(t *testing.T) {
	s := newScript(flow.Config{})
	s.handshake()
	seq := uint32(1001)
	for i := range 9 {
		at := 10 * float64(i+1)
		s.Add(tcp(at, packet.ACK, seq, 5001, 100))
		s.Add(tcp(at+0.4, packet.ACK, seq, 5001, 100))    // again
		s.Add(tcp(at+0.8, packet.ACK, seq+100, 5001, 30)) // and on, half a second after that at most
		seq += 130
		s.Add(tcp(at+5, packet.ACK, seq-1, 5001, 1)) // a keep-alive
	}
	s.Flush()
	m := sum(s.parts, ofSrc)
	if got, want := say(&m), "9 gaps [{9216 1}] bytes [{128 2}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPartsOfMessagesAddUp: what the parts of a flow say is together what is said
// of it as one.
func TestPartsOfMessagesAddUp(t *testing.T) {
	play := func(active time.Duration) []*proto.Flow {
		r := rand.New(rand.NewPCG(3, 4))
		s := newScript(flow.Config{ActiveTimeout: active})
		for now := 0.0; now < 3600; now += 5 + r.Float64()*5 {
			s.Add(forward(now, proto.UDP, strings.Repeat("x", 1+r.IntN(500))))
			s.Add(forward(now+0.01, proto.UDP, "y"))
			s.Add(back(forward(now+0.1+r.Float64(), proto.UDP, strings.Repeat("x", 1+r.IntN(5)))))
		}
		s.Flush()
		return s.parts
	}
	whole, parts := play(time.Hour*10), play(time.Minute)
	if len(whole) != 1 || len(parts) < 50 {
		t.Fatalf("%d and %d parts", len(whole), len(parts))
	}
	for i, side := range []func(*proto.Flow) *proto.Messages{ofSrc, ofDst} {
		a, b := sum(whole, side), sum(parts, side)
		if a.Count != b.Count || a.First != b.First || a.Last != b.Last || a.Gaps.Total() != b.Gaps.Total() || a.Sizes.Total() != b.Sizes.Total() {
			t.Errorf("side %d: %+v, in parts %+v", i, a, b)
		}
		if a.Gaps.Total() == 0 || math.Abs(a.Gaps.Quantile(0.5)-b.Gaps.Quantile(0.5)) > 1000 {
			t.Errorf("side %d: median gap %g, in parts %g", i, a.Gaps.Quantile(0.5), b.Gaps.Quantile(0.5))
		}
	}
}

// TestSketchesAreBounded: whatever is sent, a part has no more than 24 bins, none
// is lost, and each is where its values belong.
func TestSketchesAreBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s := newScript(flow.Config{ActiveTimeout: 1e5 * time.Hour, UDPIdle: 1000 * time.Hour})
	var values []uint32
	now := 0.0
	for i := range 5000 {
		h := forward(now, proto.UDP, "")
		h.PayloadLen = 1 << r.IntN(31)
		h.PayloadLen += r.IntN(h.PayloadLen)
		s.Add(h)
		if i >= 7 {
			values = append(values, uint32(h.PayloadLen))
		}
		now += 0.6 + math.Pow(10, r.Float64()*4)
	}
	s.Flush()
	m := s.parts[0].SrcMessages
	if m.Count != 5000 || m.Gaps.Total() != 5000-8 || m.Sizes.Total() != 5000-7 || len(m.Gaps) > 24 || len(m.Sizes) > 24 {
		t.Fatalf("%d messages, %d gaps in %d bins, %d sizes in %d bins", m.Count, m.Gaps.Total(), len(m.Gaps), m.Sizes.Total(), len(m.Sizes))
	}
	for _, b := range m.Sizes { // all are powers of two now, the last standing for what is above
		high := 2 * uint64(b.Low)
		if b.Low == 1<<22 {
			high = 1 << 32
		}
		n := uint32(0)
		for _, v := range values {
			if v >= b.Low && uint64(v) < high {
				n++
			}
		}
		if n != b.Count {
			t.Errorf("%d in bin %d, want %d", b.Count, b.Low, n)
		}
	}
}

// TestBeaconInTheSketch: what a detector reads from the sketch is what it would
// read from the messages themselves.
func TestBeaconInTheSketch(t *testing.T) {
	for _, jitter := range []float64{0, 0.05, 0.2, 0.5} {
		r := rand.New(rand.NewPCG(7, 8))
		s := newScript(flow.Config{TCPIdle: time.Hour})
		s.handshake()
		seq, now := uint32(1001), 1.0
		var gaps []float64
		for i := range 1000 {
			s.Add(tcp(now, packet.ACK, seq, 5001, 64))
			seq += 64
			gap := 60 * (1 + jitter*(2*r.Float64()-1))
			if i >= 7 && i < 999 {
				gaps = append(gaps, gap*1000)
			}
			now += gap
		}
		s.Flush()
		m := sum(s.parts, ofSrc)
		slices.Sort(gaps)
		median := gaps[len(gaps)/2]
		far := make([]float64, len(gaps))
		for i, g := range gaps {
			far[i] = math.Abs(g - median)
		}
		slices.Sort(far)
		mad := far[len(far)/2]
		got := m.Gaps.Quantile(0.5)
		if math.Abs(got-median) > 0.05*median || math.Abs(m.Gaps.Deviation(got)-mad) > 0.04*median {
			t.Errorf("jitter %g: median %g, deviation %g; of the messages themselves %g, %g", jitter, got, m.Gaps.Deviation(got), median, mad)
		}
	}
}

func TestSketchesAreFew(t *testing.T) {
	s := newScript(flow.Config{MaxSketches: 2})
	for i := range 10 {
		for port := range 3 {
			h := forward(float64(i), proto.UDP, "x")
			h.SrcPort = uint16(1000 + port)
			s.Add(h)
		}
	}
	if s.Unsketched() != 3 {
		t.Errorf("%d messages had no sketch, want 3", s.Unsketched())
	}
	s.Flush()
	for _, f := range s.parts {
		if has := f.SrcMessages != nil; has != (f.SrcPort < 1002) {
			t.Errorf("port %d has a sketch: %v", f.SrcPort, has)
		}
	}
	for i := range 10 { // their room is free again
		s.Add(forward(1000+float64(i), proto.UDP, "x"))
	}
	s.Flush()
	if f := s.parts[len(s.parts)-1]; f.SrcMessages == nil || s.Unsketched() != 3 {
		t.Errorf("no sketch in the room of those that ended: %v", s.Unsketched())
	}
}
