package script

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// counter is a fold that reports each flow to a port over 1000, a device for each
// who sends, and a score that is its number of flows; a binding resets it.
type counter struct{}

var counts = stream.NewTable[stream.Uint]('c', 0)

func (counter) Name() string                     { return "counter" }
func (counter) Progress() []stream.ProgressTo    { return nil }
func (counter) Sweep(*stream.Tx, string, []byte) {}
func (counter) Fire(tx *stream.Tx, t stream.Timer) {
	emit(tx, proto.TopicDetections, proto.KindDetection, &proto.Detection{
		DetectionID: proto.HashID("fired"), Rule: "timer", Severity: "low", Time: t.At, Count: 1, Endpoint: proto.ID(t.Key),
	})
}

func (counter) Inputs() []stream.Input {
	return []stream.Input{{Topic: proto.TopicTraffic}, {Topic: proto.TopicBindings}}
}

func (counter) Apply(tx *stream.Tx, ev *stream.Event) {
	switch m := ev.Msg.(type) {
	case *proto.Binding:
		counts.Edit(tx, m.Endpoint[:]).N = 0
	case *proto.Flow:
		if ev.Mirror || m.SrcEndpoint.IsZero() {
			return
		}
		c := counts.Edit(tx, m.SrcEndpoint[:])
		c.N++
		emit(tx, proto.TopicRisk, proto.KindRisk, &proto.Risk{Endpoint: m.SrcEndpoint, DeviceID: m.SrcEndpoint, Score: float64(c.N), Tier: "low"})
		emit(tx, proto.TopicDevices, proto.KindDevice, &proto.Device{DeviceID: m.SrcEndpoint, Hostnames: proto.Strings{m.Protocol}, LastSeen: m.End})
		if m.DstPort > 1000 {
			emit(tx, proto.TopicDetections, proto.KindDetection, &proto.Detection{
				DetectionID: proto.HashID("d", m.FlowID[:]), Rule: "high_port", Severity: "info", Time: m.End, Endpoint: m.SrcEndpoint,
				Targets: proto.Strings{m.DstIP.String()}, Count: uint64(m.DstPort) - 1000,
			})
		}
	case *proto.Observation:
		if m.Endpoint.IsZero() {
			return
		}
		tx.Timer(m.Time.Add(60e9), m.Endpoint[:])
		emit(tx, proto.TopicDevices, proto.KindDevice, &proto.Device{
			DeviceID: m.Endpoint, Hostnames: proto.Strings{m.Attributes.Get("hostname")}, AETitles: m.Attributes.List("list"), Gateway: m.Gateway, LastSeen: m.Time,
		})
	}
}

func emit(tx *stream.Tx, topic, kind string, v any) {
	val, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	tx.Emit(stream.Output{Topic: topic, Kind: kind, Value: val, Time: tx.Now()})
}

func play(t *testing.T, text string) (*Outcome, error) {
	t.Helper()
	s, err := Parse("story.txt", []byte(text))
	if err != nil {
		return nil, err
	}
	return s.Run(counter{})
}

const story = `# A story.
site st-alban
device a 00:30:e6:4a:07:01 10.0.0.1
device b 10.0.0.2
equipment syringe "1^W3^^L" behind b
outside cloud 203.0.113.9
at 10:00
flow a -> b tcp/80 http
expect no detection
expect device a hostnames http last_seen 10:00:00
flow a -> cloud tcp/1002 "some thing"
flow a -> 10.0.0.77 tcp/1001 tls
expect detection high_port info a -> cloud at 10:00:00 count 2
expect detection high_port info a -> 10.0.0.77 at 10:00:00
expect risk a score 3.0 tier low factors -
expect risk b none
bind a medical
at +5m
every 1m until 10:08 flow a -> b tcp/80 http
expect risk a score 4.0
observe syringe hl7 equipment hostname=x list=[p,q]
expect device syringe hostnames x ae_titles p,q gateway b
at 10:10
expect detection timer low syringe at 10:09:00
`

func TestStory(t *testing.T) {
	out, err := play(t, story)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range out.Failures {
		t.Error(f)
	}
	if string(out.Text()) != story {
		t.Errorf("a story that holds is rewritten:\n%s", out.Text())
	}
}

// TestUpdate: wrong and empty expectations become what came out, and then hold.
func TestUpdate(t *testing.T) {
	wrong := strings.NewReplacer(
		"expect no detection", "expect detection high_port info b at 11:00:00",
		"expect risk a score 3.0 tier low factors -", "expect risk a",
		"expect device a hostnames http last_seen 10:00:00", "expect device a hostnames last_seen",
		"expect risk a score 4.0", "expect risk a score 7.0",
		"expect detection high_port info a -> cloud at 10:00:00 count 2\n", "",
	).Replace(story)
	out, err := play(t, wrong)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Failures) != 5 {
		t.Errorf("%d failures, want 5: %v", len(out.Failures), out.Failures)
	}
	if string(out.Text()) != story {
		t.Errorf("updated to:\n%s", out.Text())
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	bad := []string{
		"nonsense", "at", "at 25:00", "flow a b tcp/1 http", "flow a -> nobody tcp/1 http", "flow a -> b tcp/x http", "flow a -> b tcp/1", "policy x y",
		"policy trusted nonsense", "policy silence_min soon", "device x", "device x 1.2.3", "equipment e", "outside o", "observe a dhcp", "observe a dhcp request x",
		"every 0s until 11:00 flow a -> b tcp/1 http", "every 1m until 11:00 end", "expect", "expect much", "expect device", "expect device nobody", "expect risk a nonsense 1",
		"expect no", "bind a", "detect a x", "away 11:00", "day tomorrow", "end now", "flow a -> b tcp/1 http state", "flow a -> b tcp/1 http bytes many",
	}
	text := "device a 10.0.0.1\ndevice b 10.0.0.2\nat 10:00\nflow a -> b tcp/1 http\n" + strings.Join(bad, "\n") + "\n"
	_, err := play(t, text)
	if err == nil {
		t.Fatal("no error")
	}
	for i, line := range bad {
		if !strings.Contains(err.Error(), "story.txt:"+strconv.Itoa(i+5)+": ") {
			t.Errorf("line %d is not complained about: %s", i+5, line)
		}
	}
	if _, err := Parse("q.txt", []byte("at \"10:00\nat \"11:00\n")); err == nil || strings.Count(err.Error(), "not closed") != 2 {
		t.Errorf("open quotes: %v", err)
	}
}

func TestTimeMovesOnOnly(t *testing.T) {
	_, err := play(t, "at 10:00\nat 09:00\nat +1d 08:00\nat 11:00\n")
	if err == nil || strings.Count(err.Error(), "already") != 2 {
		t.Errorf("%v", err)
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, "  # all": nil, "a  b\tc # d": {"a", "b", "c"}, `a "b c" ""`: {"a", "b c", ""}, `x="1 2"`: {"x=1 2"}, `"a#b"`: {"a#b"},
	} {
		got, err := split(in)
		if err != nil || strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func FuzzScript(f *testing.F) {
	f.Add(story)
	f.Add("every 1m until 10:00 flow a -> b tcp/1-3 x\nexpect detection\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 300 || strings.Contains(text, "every") || strings.Contains(text, "-6") || strings.Contains(text, "d ") || strings.Contains(text, "h") {
			t.Skip("may be long")
		}
		s, err := Parse("f", []byte(text))
		if err != nil {
			return
		}
		_, _ = s.Run(counter{})
	})
}
