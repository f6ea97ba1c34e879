package anomaly

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

var noon = proto.TimeOf(time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC))

func id(n byte) proto.ID { return proto.HashID("endpoint", []byte{n}) }

// site drives the fold in memory and keeps the latest of each detection.
type site struct {
	t          testing.TB
	local      *stream.Local
	domain     string
	detections map[proto.ID]*proto.Detection
	told       []*proto.Detection
	alerts     [][]byte
}

func newSite(t testing.TB, p proto.Policy) *site {
	s := &site{t: t, domain: "file", detections: map[proto.ID]*proto.Detection{}}
	l, err := stream.NewLocal(func(e stream.Emitted) {
		switch e.Kind {
		case proto.KindDetection:
			d := new(proto.Detection)
			if err := json.Unmarshal(e.Value, d); err != nil {
				t.Fatal(err)
			}
			s.detections[d.DetectionID] = d
			s.told = append(s.told, d)
		case proto.KindAlert:
			s.alerts = append(s.alerts, e.Value)
		}
	}, New(Config{}))
	if err != nil {
		t.Fatal(err)
	}
	s.local = l
	p.Site = "st-alban"
	if err := l.Control(&proto.Control{Kind: "policy", Policy: &p}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) item(it proto.Item) {
	b := proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: s.domain}
	if err := s.local.Item(&b, it); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) beat(at proto.Time, end bool) {
	s.item(proto.Item{Heartbeat: &proto.Heartbeat{Clock: at, End: end}})
}

func (s *site) flow(f *proto.Flow) {
	s.item(proto.Item{Flow: f})
	if !f.SrcEndpoint.IsZero() && !f.DstEndpoint.IsZero() {
		s.item(proto.Item{Flow: f, Mirror: true})
	}
}

func (s *site) rules() (list []string) {
	for _, d := range s.detections {
		list = append(list, d.Rule)
	}
	slices.Sort(list)
	return list
}

func flow(src, dst byte, port uint16, at proto.Time) *proto.Flow {
	return &proto.Flow{
		Start: at, End: at.Add(time.Second), Transport: proto.TCP, State: "SF", Protocol: "http", Final: true,
		SrcIP: netip.AddrFrom4([4]byte{10, 0, 0, src}), SrcPort: 40000, SrcEndpoint: id(src), SrcInside: true,
		DstIP: netip.AddrFrom4([4]byte{10, 0, 0, dst}), DstPort: port, DstEndpoint: id(dst), DstInside: true,
		SrcPackets: 5, SrcBytes: 500, SrcPayloadBytes: 200, DstPackets: 4, DstBytes: 4000, DstPayloadBytes: 3800,
	}
}

func outside(f *proto.Flow, ip string) *proto.Flow {
	f.DstEndpoint, f.DstInside, f.DstIP = proto.ID{}, false, netip.MustParseAddr(ip)
	return f
}

// probe is one try of a port that nobody answers.
func probe(src, dst byte, port uint16, at proto.Time) *proto.Flow {
	f := flow(src, dst, port, at)
	f.State, f.DstPackets, f.DstBytes, f.SrcPayloadBytes, f.DstPayloadBytes = "REJ", 1, 40, 0, 0
	return f
}

var untilNoon = proto.Policy{LearningUntil: noon}

func TestNewPeer(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy proto.Policy
		flow   *proto.Flow
		want   bool
	}{
		{"a host not learned", untilNoon, flow(1, 3, 80, noon.Add(time.Hour)), true},
		{"the host learned", untilNoon, flow(1, 2, 81, noon.Add(time.Hour)), false},
		{"while learning", untilNoon, flow(1, 3, 80, noon), false},
		{"in the default period", proto.Policy{}, flow(1, 3, 80, noon.Add(5*24*time.Hour)), false},
		{"after the default period", proto.Policy{}, flow(1, 3, 80, noon.Add(8*24*time.Hour)), true},
		{"after a shorter period", proto.Policy{LearningPeriodS: 3600}, flow(1, 3, 80, noon.Add(2*time.Hour)), true},
		{"no answer", untilNoon, probe(1, 3, 80, noon.Add(time.Hour)), false},
		{"a name server", untilNoon, func() *proto.Flow { f := flow(1, 3, 53, noon.Add(time.Hour)); f.Protocol = "dns"; return f }(), false},
		{"a ping", untilNoon, func() *proto.Flow { f := flow(1, 3, 0, noon.Add(time.Hour)); f.Transport = proto.ICMP; return f }(), false},
		{"a server seen mid-stream", untilNoon, func() *proto.Flow {
			f := flow(1, 3, 49152, noon.Add(time.Hour))
			f.SrcPort, f.State = 2575, "OTH"
			return f
		}(), false},
		{"broadcast", untilNoon, func() *proto.Flow {
			f := outside(flow(1, 3, 80, noon.Add(time.Hour)), "10.0.0.255")
			f.DstMAC = proto.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
			return f
		}(), false},
		{"multicast", untilNoon, outside(flow(1, 3, 80, noon.Add(time.Hour)), "239.255.255.250"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.policy)
			s.flow(flow(1, 2, 80, noon.Add(-time.Hour)))
			s.flow(c.flow)
			if got := len(s.detections) > 0; got != c.want {
				t.Errorf("detections %v", s.rules())
			}
		})
	}
}

func TestOnlyTheOneWhoOpensActs(t *testing.T) {
	s := newSite(t, untilNoon)
	s.flow(flow(2, 1, 80, noon.Add(-time.Hour)))
	s.flow(flow(2, 1, 80, noon.Add(time.Hour)))
	s.flow(flow(3, 1, 80, noon.Add(time.Hour)))
	if len(s.told) != 1 || s.told[0].Endpoint != id(3) {
		t.Errorf("%d detections; want one, of the stranger", len(s.told))
	}
}

func TestNewExternalPeer(t *testing.T) {
	p := untilNoon
	p.TrustedExternals = proto.Strings{"198.51.100.0/24"}
	for ip, want := range map[string]bool{"203.0.113.9": true, "203.0.114.1": false, "198.51.100.9": false, "2001:db8::1": true} {
		s := newSite(t, p)
		s.flow(outside(flow(1, 2, 443, noon.Add(-time.Hour)), "203.0.114.200")) // learned, with its /24
		f := outside(flow(1, 2, 443, noon.Add(time.Hour)), ip)
		f.State, f.DstPackets, f.DstPayloadBytes = "S0", 0, 0 // a try is enough
		s.flow(f)
		if got := len(s.detections) > 0; got != want {
			t.Errorf("%s: %v", ip, s.rules())
		}
	}
}

func TestRepeatsCountOnALogScale(t *testing.T) {
	s := newSite(t, untilNoon)
	s.flow(flow(1, 2, 80, noon.Add(-time.Hour)))
	for i := range 150 {
		s.flow(flow(1, 3, 80, noon.Add(time.Duration(i+1)*time.Second)))
	}
	if n := len(s.told); n != 3 {
		t.Errorf("told %d times, want 3 (1, 10, 100)", n)
	}
	s.beat(noon.Add(time.Hour), true)
	last := s.told[len(s.told)-1]
	if len(s.detections) != 1 || last.Count != 150 || last.First != noon.Add(time.Second) || last.Last != noon.Add(151*time.Second) {
		t.Errorf("%d detections, the last %+v", len(s.detections), last)
	}
}

func TestManyNewPeersAreOne(t *testing.T) {
	s := newSite(t, untilNoon)
	s.flow(flow(1, 2, 80, noon.Add(-time.Hour)))
	for n := range 100 {
		s.flow(flow(1, byte(10+n), 80, noon.Add(time.Duration(n+1)*time.Second)))
	}
	if n := len(s.detections); n != maxNewPeers+1 {
		t.Errorf("%d detections, want %d and one of many", n, maxNewPeers)
	}
}

func TestPeersAreBounded(t *testing.T) {
	s := newSite(t, untilNoon)
	for n := range 2 * maxPeers {
		f := flow(1, 2, 80, noon.Add(-time.Hour))
		binary.BigEndian.PutUint32(f.DstEndpoint[:], uint32(n))
		s.item(proto.Item{Flow: f})
	}
	s.flow(flow(1, 3, 80, noon.Add(time.Hour)))
	if len(s.detections) != 0 {
		t.Errorf("who talks to everybody has news: %v", s.rules())
	}
}

func TestPortScan(t *testing.T) {
	s := newSite(t, untilNoon)
	s.flow(flow(1, 2, 80, noon.Add(-time.Hour)))
	at := noon.Add(time.Hour)
	for target := range 12 {
		for port := range 55 {
			s.flow(probe(1, byte(10+target), uint16(1+port), at))
			at = at.Add(10 * time.Millisecond)
		}
	}
	s.flow(flow(1, 11, 22, at.Add(time.Minute))) // and what was found is looked at
	if got := s.rules(); !slices.Equal(got, []string{"port_scan"}) {
		t.Fatalf("detections %v, want one scan", got)
	}
	d := s.told[len(s.told)-1]
	if len(d.Targets) < 8 || !slices.Equal(d.Attack, proto.Strings{"T1046"}) || severityRank[d.Severity] < severityRank["medium"] {
		t.Errorf("%+v", d)
	}
	if n := len(s.told); n > 12 {
		t.Errorf("told %d times", n)
	}
	s.flow(flow(1, 12, 22, at.Add(3*time.Hour)))
	s.beat(at.Add(3*time.Hour), false)
	s.flow(flow(1, 13, 22, at.Add(3*time.Hour)))
	if got := s.rules(); !slices.Contains(got, "new_peer") {
		t.Errorf("what comes long after the scan is no news: %v", got)
	}
}

func TestSlowScanAndRetries(t *testing.T) {
	s := newSite(t, proto.Policy{})
	at := noon
	for port := range 30 {
		s.flow(probe(1, 2, uint16(1000+port), at))
		s.flow(probe(3, 4, 443, at)) // a client that tries its dead server
		at = at.Add(20 * time.Minute)
		s.beat(at, false)
	}
	if len(s.detections) != 1 || s.told[0].Endpoint != id(1) {
		t.Errorf("detections %v", s.rules())
	}
}

func TestScanIsNotReportedOfTheBaseline(t *testing.T) {
	s := newSite(t, untilNoon)
	for port := range 100 {
		s.flow(probe(1, 2, uint16(1+port), noon.Add(-time.Hour)))
	}
	if len(s.detections) != 0 {
		t.Errorf("detections %v", s.rules())
	}
}

// monitor talks every five minutes from midnight until it falls silent at the
// given hour of the second day, and time goes on for six hours.
func monitor(t *testing.T, p proto.Policy, days int, until time.Duration, change func(*site, proto.Time) bool) *site {
	s := newSite(t, p)
	midnight := noon.Add(-12 * time.Hour)
	end := midnight.Add(time.Duration(days)*24*time.Hour + until)
	for at := midnight; at < end.Add(6*time.Hour); at = at.Add(5 * time.Minute) {
		if at <= end && (change == nil || change(s, at)) {
			s.flow(flow(1, 2, 80, at))
		}
		s.beat(at.Add(2*time.Second), false)
	}
	return s
}

func silences(s *site, of byte) (list []*proto.Detection) {
	for _, d := range s.told {
		if d.Rule == "device_silent" && d.Endpoint == id(of) {
			list = append(list, d)
		}
	}
	return list
}

func TestDeviceSilent(t *testing.T) {
	learned := proto.Policy{LearningPeriodS: 24 * 3600}
	s := monitor(t, learned, 1, 10*time.Hour, nil)
	got := silences(s, 1)
	if len(got) != 1 {
		t.Fatalf("%d silences", len(got))
	}
	last := noon.Add(22*time.Hour + time.Second)
	if want := last.Add(15 * time.Minute); got[0].Time != want || got[0].First != last {
		t.Errorf("%s since %s, want %s since %s: as soon as it is due", got[0].Time, got[0].First, want, last)
	}
}

func TestSilenceThatIsNone(t *testing.T) {
	day := func(at proto.Time) time.Duration {
		return time.Duration(at - at.Hour()/proto.Time(24*time.Hour)*proto.Time(24*time.Hour))
	}
	office := func(_ *site, at proto.Time) bool {
		h := day(at) % (24 * time.Hour)
		return h >= 7*time.Hour && h < 18*time.Hour
	}
	for _, c := range []struct {
		name   string
		policy proto.Policy
		days   int
		until  time.Duration
		change func(*site, proto.Time) bool
	}{
		{"it leaves each evening", proto.Policy{LearningPeriodS: 24 * 3600}, 3, 18 * time.Hour, office},
		{"it is still being learned", proto.Policy{}, 2, 10 * time.Hour, nil},
		{"nobody knows its afternoons", proto.Policy{LearningUntil: noon}, 0, 14 * time.Hour, nil},
		{"it says goodbye", proto.Policy{LearningPeriodS: 24 * 3600}, 1, 10 * time.Hour, func(s *site, at proto.Time) bool {
			if at == noon.Add(22*time.Hour) {
				s.flow(flow(1, 2, 80, at))
				s.item(proto.Item{Observation: &proto.Observation{Time: at.Add(2 * time.Second), Protocol: "dhcp", Kind: "release", Endpoint: id(1)}})
				return false
			}
			return true
		}},
		{"it once was away at that time", proto.Policy{LearningPeriodS: 24 * 3600}, 2, 10 * time.Hour, func(_ *site, at proto.Time) bool {
			h := at.Sub(noon.Add(-12 * time.Hour))
			return h < 9*time.Hour || h > 13*time.Hour
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := silences(monitor(t, c.policy, c.days, c.until, c.change), 1); len(got) != 0 {
				t.Errorf("silent at %s since %s", got[0].Time, got[0].First)
			}
		})
	}
}

// TestSensorAway: when the watermark jumps, nobody was watching; a device that
// comes back is watched again.
func TestSensorAway(t *testing.T) {
	s := newSite(t, proto.Policy{LearningPeriodS: 24 * 3600})
	midnight := noon.Add(-12 * time.Hour)
	gone, back := midnight.Add(34*time.Hour), midnight.Add(40*time.Hour)
	for at := midnight; at < midnight.Add(50*time.Hour); at = at.Add(5 * time.Minute) {
		if at > gone && at < back {
			continue
		}
		s.flow(flow(1, 2, 80, at))
		s.beat(at.Add(2*time.Second), false)
	}
	if got := silences(s, 1); len(got) != 0 {
		t.Errorf("silent at %s, when the sensor was away", got[0].Time)
	}
}

// TestQuietWire: two devices that talk every ten minutes are all that there is on
// the wire, so that time itself moves in steps of ten minutes.
func TestQuietWire(t *testing.T) {
	s := newSite(t, proto.Policy{LearningPeriodS: 24 * 3600})
	midnight := noon.Add(-12 * time.Hour)
	for at := midnight; at < midnight.Add(40*time.Hour); at = at.Add(10 * time.Minute) {
		if at < midnight.Add(34*time.Hour) {
			s.flow(flow(1, 2, 80, at))
		}
		s.flow(flow(3, 2, 80, at))
		s.beat(at.Add(2*time.Second), false)
	}
	if got := silences(s, 1); len(got) != 1 || got[0].Time.Sub(got[0].First) > time.Hour {
		t.Errorf("%d silences, want one within the hour", len(got))
	}
	if got := silences(s, 3); len(got) != 0 {
		t.Errorf("the other is silent at %s", got[0].Time)
	}
}

func TestSilenceOfFilesApart(t *testing.T) {
	s := newSite(t, proto.Policy{LearningPeriodS: 24 * 3600})
	s.domain = "first"
	midnight := noon.Add(-12 * time.Hour)
	at := midnight
	for ; at < midnight.Add(30*time.Hour); at = at.Add(5 * time.Minute) {
		s.flow(flow(1, 2, 80, at))
		s.beat(at.Add(2*time.Second), false)
	}
	s.beat(at, true)
	s.domain = "second"
	for at = midnight.Add(40 * time.Hour); at < midnight.Add(44*time.Hour); at = at.Add(5 * time.Minute) {
		s.flow(flow(3, 2, 80, at))
		s.beat(at.Add(2*time.Second), false)
	}
	if got := silences(s, 1); len(got) != 0 {
		t.Errorf("silent at %s, in a file that it is not in", got[0].Time)
	}
}

func TestBackAndSilentAgain(t *testing.T) {
	s := monitor(t, proto.Policy{LearningPeriodS: 24 * 3600}, 2, 20*time.Hour, func(_ *site, at proto.Time) bool {
		h := at.Sub(noon.Add(-12 * time.Hour))
		return h < 30*time.Hour || h > 31*time.Hour // away for an hour on the second day, and learned from it
	})
	got := silences(s, 1)
	if len(got) != 2 || got[0].DetectionID == got[1].DetectionID {
		t.Fatalf("%d silences, want two", len(got))
	}
	if d := got[1].Time.Sub(got[1].First); d <= time.Hour {
		t.Errorf("silent after %s, though an hour has been its longest pause", d)
	}
}

func BenchmarkFlow(b *testing.B) {
	l, err := stream.NewLocal(func(stream.Emitted) {}, New(Config{}))
	if err != nil {
		b.Fatal(err)
	}
	batch := proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: "file"}
	flows := make([]*proto.Flow, 80000)
	for i := range flows {
		f := flow(1, 2, 443, noon.Add(time.Duration(i)*time.Microsecond))
		binary.BigEndian.PutUint32(f.SrcEndpoint[:], uint32(i%10000))
		binary.BigEndian.PutUint32(f.DstEndpoint[:], uint32(i/10000*13))
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

func TestHotStateIsSmall(t *testing.T) {
	h := &host{first: noon, last: noon.Add(9e6 * time.Second), talks: 1e12, gap: absence, timer: 1 << 63, newPeers: 1e6, peers: 4096, hour: int64(noon), present: true, told: true, grace: true}
	if n := len(h.AppendTo(nil)) + idLen + 1; n > 128 {
		t.Errorf("a hot entry takes %d bytes", n)
	}
	var back host
	if err := back.Parse(h.AppendTo(nil)); err != nil || back != *h {
		t.Errorf("%v: %+v came back as %+v", err, h, back)
	}
}
