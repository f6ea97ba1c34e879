package risk

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// lane drives one partition of the fold with records of its inputs.
type lane struct {
	t      testing.TB
	p      *stream.Partition
	seq    map[string]uint64
	offset map[string]int64
	risks  []*proto.Risk
}

func newLane(t testing.TB) *lane {
	p, err := stream.OpenPartition(New(Config{}), 0, stream.Options{GateWait: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	return &lane{t: t, p: p, seq: map[string]uint64{}, offset: map[string]int64{}}
}

func (l *lane) record(topic, kind string, value []byte, at proto.Time) {
	l.seq[topic]++
	env := proto.Envelope{Schema: 1, Kind: kind, Producer: kind + "/0", Seq: l.seq[topic], Cause: proto.Cause{Partition: -1}, Time: at, Domain: "file"}
	head, err := env.Append(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.p.Offer(stream.Record{Topic: topic, Offset: l.offset[topic], Envelope: head, Value: value})
	l.offset[topic]++
	l.run()
}

func (l *lane) run() {
	now := time.Unix(1, 0)
	for l.p.Run(1000, 1, now) > 0 {
		now = now.Add(time.Second)
	}
	l.p.Run(1000, 1, now.Add(time.Hour))
	if err := l.p.Err(); err != nil {
		l.t.Fatal(err)
	}
	for _, e := range l.p.TakeOutputs() {
		r := new(proto.Risk)
		if err := json.Unmarshal(e.Value, r); err != nil {
			l.t.Fatal(err)
		}
		l.risks = append(l.risks, r)
	}
}

func (l *lane) bind(category, typ string) {
	val, err := proto.Marshal(&proto.Binding{Endpoint: id, Device: id, Site: "st-alban", Category: category, Type: typ})
	if err != nil {
		l.t.Fatal(err)
	}
	l.record(proto.TopicBindings, proto.KindBinding, val, noon)
}

func (l *lane) detect(rule, severity string, at proto.Time) {
	val, err := json.Marshal(&proto.Detection{
		DetectionID: proto.HashID("d", []byte(rule)), Rule: rule, Severity: severity, Time: at, First: at, Last: at, Site: "st-alban", Endpoint: id, Title: "A monitor talks out",
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.record(proto.TopicDetections, proto.KindDetection, val, at)
}

func (l *lane) items(items ...proto.Item) {
	l.seq[proto.TopicTraffic]++
	val, err := proto.Marshal(&proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: "file", FirstSeq: l.seq[proto.TopicTraffic], Items: items})
	l.seq[proto.TopicTraffic] += uint64(len(items))
	if err != nil {
		l.t.Fatal(err)
	}
	l.p.Offer(stream.Record{Topic: proto.TopicTraffic, Offset: l.offset[proto.TopicTraffic], Value: val})
	l.offset[proto.TopicTraffic]++
	l.run()
}

var id = proto.HashID("endpoint", []byte("monitor"))

func hl7(at proto.Time) *proto.Flow {
	return &proto.Flow{
		FlowID: proto.HashID("flow"), Start: at, End: at, Transport: proto.TCP, State: "SF", Protocol: "hl7", ProtocolBy: proto.ByContent,
		SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: netip.MustParseAddr("10.0.0.2"), SrcEndpoint: id, DstEndpoint: proto.HashID("endpoint", []byte("engine")),
		SrcInside: true, DstInside: true, SrcPackets: 3, DstPackets: 3, SrcPort: 40000, DstPort: 2575,
	}
}

func TestFirstScoreWaitsForTheBinding(t *testing.T) {
	l := newLane(t)
	l.items(proto.Item{Flow: hl7(noon)})
	if len(l.risks) != 0 {
		t.Fatalf("scored before it was known what it is: %+v", l.risks[0])
	}
	l.bind("medical", "patient_monitor")
	if len(l.risks) != 1 {
		t.Fatalf("%d scores, want 1", len(l.risks))
	}
	r := l.risks[0]
	if len(r.Factors) != 1 || r.Factors[0].Name != "cleartext_hl7" || r.Factors[0].Share != 1 || r.Cause != "binding" || r.Framework != "wardflow 1.0" || r.Factors[0].Evidence[0] != proto.HashID("flow").String() {
		t.Errorf("%+v", r)
	}
	l.items(proto.Item{Flow: hl7(noon.Add(time.Minute))})
	l.bind("medical", "patient_monitor")
	if len(l.risks) != 1 {
		t.Errorf("what changes nothing is told: %+v", l.risks[1:])
	}
}

func TestDetectionDecays(t *testing.T) {
	l := newLane(t)
	l.bind("medical", "patient_monitor")
	l.detect("new_external_peer", proto.SeverityHigh, noon)
	if n := len(l.risks); n != 2 || l.risks[1].Tier != "high" && l.risks[1].Tier != "critical" {
		t.Fatalf("%d scores, the last %+v", n, l.risks[n-1])
	}
	top := l.risks[1].Score
	for h := range 24 * 30 {
		l.items(proto.Item{Heartbeat: &proto.Heartbeat{Clock: noon.Add(time.Duration(h) * time.Hour)}})
	}
	last := top
	for _, r := range l.risks[2:] {
		if r.Score >= last || r.Cause != "decay" {
			t.Errorf("%v %v after %v by %s", r.Time, r.Score, last, r.Cause)
		}
		last = r.Score
	}
	if end := l.risks[len(l.risks)-1]; end.Score != 0 || len(end.Factors) != 0 || end.Tier != "low" {
		t.Errorf("after a month: %+v", end)
	}
	if n := len(l.risks) - 2; n < 40 || n > 90 {
		t.Errorf("%d scores while %v decays; about one a point is wanted", n, top)
	}
}

func TestExposure(t *testing.T) {
	l := newLane(t)
	policy, err := json.Marshal(proto.Control{Kind: "policy", Policy: &proto.Policy{Site: "st-alban", TrustedExternals: proto.Strings{"198.51.100.0/24", "nonsense"}}})
	if err != nil {
		t.Fatal(err)
	}
	l.record(proto.TopicControl, proto.KindControl, policy, noon)
	l.bind("medical", "ct")
	out := hl7(noon)
	out.Protocol, out.ProtocolBy, out.DstEndpoint, out.DstInside = "tls", proto.ByContent, proto.ID{}, false
	out.DstIP = netip.MustParseAddr("198.51.100.7")
	l.items(proto.Item{Flow: out})
	if len(l.risks) != 1 {
		t.Errorf("a trusted address counts: %+v", l.risks)
	}
	for _, ip := range []string{"224.0.0.251", "255.255.255.255", "ff02::1", "203.0.113.9"} {
		f := *out
		f.DstIP = netip.MustParseAddr(ip)
		l.items(proto.Item{Flow: &f})
	}
	if len(l.risks) != 2 || l.risks[1].Cause != "exposure" || l.risks[1].Factors[0].Name != "outside_peers" {
		t.Fatalf("%d scores, want one more, for the address that is somebody's", len(l.risks))
	}
	in := *out
	in.SrcEndpoint, in.SrcInside, in.SrcIP = proto.ID{}, false, netip.MustParseAddr("203.0.113.9")
	in.DstEndpoint, in.DstInside, in.DstIP = id, true, netip.MustParseAddr("10.0.0.1")
	l.items(proto.Item{Flow: &in})
	if len(l.risks) != 3 || len(l.risks[2].Factors) != 2 {
		t.Errorf("an outside client does not count")
	}
}

func BenchmarkFlow(b *testing.B) {
	l, err := stream.NewLocal(func(stream.Emitted) {}, New(Config{}))
	if err != nil {
		b.Fatal(err)
	}
	batch := proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: "file"}
	f := hl7(noon)
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Item(&batch, proto.Item{Flow: f}); err != nil {
			b.Fatal(err)
		}
	}
}
