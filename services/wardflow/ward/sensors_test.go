package ward_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// What two live sensors come to must be what one comes to. Here sensors watch a
// morning of the ward, with whatever is wrong with them, and the folds run on
// several partitions, killed and started again after every few events.

// frame is one packet of the morning.
type frame struct {
	link packet.LinkType
	at   proto.Time
	data []byte
	wire int
}

// Hours of the day that sensors watch, and when learning ends.
const (
	watchFrom, watchTo = 8 * time.Hour, 11 * time.Hour
	learnTo            = 9 * time.Hour
)

var midnight = proto.TimeOf(time.Date(2026, 11, 17, 0, 0, 0, 0, time.UTC))

var frames []frame // of the morning, read once

// morning gives the frames that sensors watch.
func morning(t *testing.T) []frame {
	t.Helper()
	if frames != nil {
		return frames
	}
	r, err := capfile.Open(repotest.Shared(t, "captures/ward-a/day.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var pkt capfile.Packet
	for {
		if err := r.Next(&pkt); errors.Is(err, io.EOF) {
			return frames
		} else if err != nil {
			t.Fatal(err)
		}
		if at := pkt.Time.Sub(midnight); at >= watchFrom && at < watchTo {
			frames = append(frames, frame{pkt.LinkType, pkt.Time, slices.Clone(pkt.Data), pkt.WireLen})
		}
	}
}

// tap is a live sensor and what is wrong with it.
type tap struct {
	name     string
	ahead    func(at proto.Time) time.Duration // its clock; nil: right
	from, to time.Duration                     // of the day, when it is up; 0: as long as the rest
	loss     float64                           // of packets
	spool    [2]time.Duration                  // between these times of the day the broker is out of its reach
	late     func(at proto.Time) time.Duration // how long a batch takes to the broker; nil: no time
}

func always(d time.Duration) func(proto.Time) time.Duration {
	return func(proto.Time) time.Duration { return d }
}

// during is d between two times of the day, else 0.
func during(from, to, d time.Duration) func(proto.Time) time.Duration {
	return func(at proto.Time) time.Duration {
		if of := at.Sub(midnight); of >= from && of < to {
			return d
		}
		return 0
	}
}

// byTurns lets a sensor be first in one minute, and last in the next.
func byTurns(at proto.Time) time.Duration {
	return at.Sub(midnight) / time.Minute % 2 * time.Second
}

// sent is a batch of a tap, of one partition.
type sent struct {
	stream.Record
	partition int32
	tap       int
}

// batchEvery is how often a tap hands over what it has, and says its clock.
const batchEvery = 5 * time.Second

// watch gives what a tap sends, in order.
func (s *tap) watch(t *testing.T, index int, partitions int32) (out []sent) {
	t.Helper()
	frames := morning(t)
	shift, late := s.ahead, s.late
	if shift == nil {
		shift = always(0)
	}
	if late == nil {
		late = always(0)
	}
	rng := rand.New(rand.NewPCG(1, uint64(index)))
	batches := make([]proto.Batch, partitions)
	seq := make([]uint64, partitions)
	add := func(i int32, it proto.Item) { batches[i].Items = append(batches[i].Items, it) }
	start := func() *capture.Processor {
		return capture.New(capture.Config{Site: site, Sensor: s.name, Emit: func(it proto.Item) {
			if it.Heartbeat == nil {
				add(it.Lane.Partition(partitions), it)
				return
			}
			for i := range partitions {
				add(i, it)
			}
		}})
	}
	p := start()
	drained := proto.Time(0)
	flush := func(now proto.Time) {
		at := now
		if d := now.Sub(midnight); d >= s.spool[0] && d < s.spool[1] { // it goes out when the broker is back
			at = max(midnight.Add(s.spool[1]), drained.Add(time.Millisecond))
			drained = at
		}
		for i := range batches {
			b := &batches[i]
			if len(b.Items) == 0 {
				continue
			}
			b.Site, b.Sensor, b.Producer, b.Domain, b.FirstSeq = site, s.name, fmt.Sprintf("live:%s:%d", s.name, index), proto.LiveDomain, seq[i]+1
			seq[i] += uint64(len(b.Items))
			val, err := proto.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, sent{stream.Record{Time: at.Add(late(at)), Sent: at.Add(shift(at)), Value: val}, int32(i), index})
			b.Items = nil
		}
	}
	from, to := watchFrom, watchTo+20*time.Minute // and nothing happens at the end
	if s.from != 0 {
		from = s.from
	}
	if s.to != 0 {
		to = s.to
	}
	next := 0
	for at := midnight.Add(from); at <= midnight.Add(to); at = at.Add(batchEvery) {
		if shift(at) < shift(at.Add(-batchEvery)) && at > midnight.Add(from) {
			p = start() // its clock goes back: it is started again
		}
		for ; next < len(frames) && frames[next].at < at; next++ {
			f := &frames[next]
			if f.at < midnight.Add(from) || rng.Float64() < s.loss {
				continue
			}
			p.Packet(f.link, f.at.Add(shift(f.at)), f.data, f.wire)
		}
		p.Advance(at.Add(shift(at)))
		flush(at)
	}
	return out
}

// watch lets taps watch the morning, and the folds work through what they sent in
// order of arrival.
func watch(t *testing.T, partitions int32, steps int, taps ...tap) []string {
	t.Helper()
	var all []sent
	for i := range taps {
		all = append(all, taps[i].watch(t, i, partitions)...)
	}
	slices.SortStableFunc(all, func(a, b sent) int { return int(a.Time - b.Time) })
	c := newCluster(t, partitions, steps)
	policy, err := json.Marshal(proto.Control{Kind: "policy", Policy: &proto.Policy{Site: site, LearningUntil: midnight.Add(learnTo)}})
	if err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		env := proto.Envelope{Schema: 1, Kind: proto.KindControl, Producer: "control", Seq: uint64(p + 1), Cause: proto.Cause{Partition: -1}}
		head, err := env.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.publish(proto.TopicControl, p, stream.Record{Envelope: head, Value: policy})
	}
	for i := range all {
		c.publish(proto.TopicTraffic, all[i].partition, all[i].Record)
	}
	c.work()
	return unversioned(gather(t, c.out))
}

// unversioned leaves out of a device's record what counts its updates.
func unversioned(list []string) []string {
	for i, s := range list {
		at := strings.LastIndex(s, `,"version":`)
		if strings.HasPrefix(s, proto.KindDevice) && at > 0 {
			list[i] = s[:at]
		}
	}
	return list
}

// same fails where two runs differ.
func same(t *testing.T, got, want []string) {
	t.Helper()
	if len(want) < 100 {
		t.Fatalf("only %d things to compare", len(want))
	}
	n := 0
	tell := func(how, x string) {
		if n++; n <= 6 {
			t.Errorf("%s: %q", how, x)
		}
	}
	count := map[string]int{}
	for _, x := range want {
		count[x]++
	}
	for _, x := range got {
		if count[x]--; count[x] < 0 {
			tell("too much", x)
		}
	}
	for _, x := range slices.Sorted(maps.Keys(count)) {
		if count[x] > 0 {
			tell("missing", x)
		}
	}
	if n > 0 {
		t.Errorf("%d differences among %d", n, len(want))
	}
}

// hours is a wrong clock whose error is whole seconds of the flow table (2^30 ns) and
// whole milliseconds, so that all that follows from it can be the same to the nanosecond.
const hours = 15625 << 30

func clock(h float64) time.Duration { return watchFrom + time.Duration(h*float64(time.Hour)) }

func TestTwoSensorsAreOne(t *testing.T) {
	want := watch(t, 2, 20_000, tap{name: "a"})
	for name, taps := range map[string][]tap{
		"exact copies":                        {{name: "a"}, {name: "b"}},
		"the other is heard first":            {{name: "a", late: always(time.Second)}, {name: "b"}},
		"now one is heard first, now another": {{name: "a", late: byTurns}, {name: "b", late: always(time.Second / 2)}},
		"three":                               {{name: "c"}, {name: "b", late: byTurns}, {name: "a"}},
		"the second dies":                     {{name: "a"}, {name: "b", to: clock(1.5)}},
		"the first dies":                      {{name: "a", to: clock(1.5)}, {name: "b"}},
		"the one heard first dies":            {{name: "a"}, {name: "b", to: clock(1.5), late: always(-time.Second)}},
		"one spools":                          {{name: "a"}, {name: "b", spool: [2]time.Duration{clock(1.2), clock(1.4)}}},
		"the first spools":                    {{name: "a", spool: [2]time.Duration{clock(1.2), clock(1.4)}}, {name: "b"}},
		"one an hour ahead":                   {{name: "a"}, {name: "b", ahead: always(time.Hour)}},
		"one an hour behind":                  {{name: "a"}, {name: "b", ahead: always(-time.Hour)}},
		"one hours ahead, heard first":        {{name: "b", ahead: always(hours)}, {name: "a"}},
		"one hours behind, heard first":       {{name: "b", ahead: always(-hours)}, {name: "a"}},
		"alone, hours ahead":                  {{name: "a", ahead: always(hours)}},
		"alone, hours behind":                 {{name: "a", ahead: always(-hours)}},
		"the first dies, the other is hours ahead and spools": {{name: "a", to: clock(1.5)}, {name: "b", ahead: always(hours), spool: [2]time.Duration{clock(1), clock(1.2)}}},
		"hours ahead, and spools":                             {{name: "a"}, {name: "b", ahead: always(hours), spool: [2]time.Duration{clock(1.2), clock(1.4)}}},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, watch(t, 2, 20_000, taps...), want)
		})
	}
	t.Run("killed again and again, on eight partitions", func(t *testing.T) {
		same(t, watch(t, 8, 300, tap{name: "a", late: byTurns}, tap{name: "b", late: always(time.Second / 2)}), want)
	})
}

var counts = regexp.MustCompile(`"count":\d+`)

// A sensor that begins in the middle of a connection tells once more what is told
// once of each: some evidence is counted once more, and nothing else is.
func TestASensorThatBeginsLate(t *testing.T) {
	uncounted := func(list []string) []string {
		for i, s := range list {
			if strings.HasPrefix(s, proto.KindDevice) {
				list[i] = counts.ReplaceAllString(s, "")
			}
		}
		return list
	}
	want := uncounted(watch(t, 2, 20_000, tap{name: "a"}))
	for name, taps := range map[string][]tap{
		"starts late":                {{name: "a"}, {name: "b", from: clock(1.5)}},
		"dies, and is started again": {{name: "a"}, {name: "b", to: clock(1)}, {name: "b", from: clock(1.2)}},
		"is put forward, and right":  {{name: "a"}, {name: "b", ahead: during(clock(1), clock(2), hours)}},
		"is put back, and right":     {{name: "a"}, {name: "b", ahead: during(clock(1), clock(2), -hours)}},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, uncounted(watch(t, 2, 20_000, taps...)), want)
		})
	}
}

// totals adds up the pairs.
func totals(t *testing.T, list []string) (flows, bytes float64) {
	t.Helper()
	for _, s := range list {
		at := strings.IndexByte(s, '{')
		if !strings.HasPrefix(s, "pair ") {
			continue
		}
		var r struct {
			Pair struct{ Flows, SrcBytes, DstBytes uint64 }
		}
		if err := json.Unmarshal([]byte(s[at:]), &r); err != nil {
			t.Fatal(err)
		}
		flows += float64(r.Pair.Flows)
		bytes += float64(r.Pair.SrcBytes + r.Pair.DstBytes)
	}
	return flows, bytes
}

// With a sensor that loses packets the totals are near those of the one that loses
// none: whose report of a flow is first counts, and a flow of which the end was
// lost is told first.
func TestASensorThatLosesPackets(t *testing.T) {
	oneFlows, oneBytes := totals(t, watch(t, 2, 20_000, tap{name: "a"}))
	lossy := tap{name: "b", loss: 0.05}
	lostFlows, lostBytes := totals(t, watch(t, 2, 20_000, lossy))
	for name, taps := range map[string][]tap{"heard first": {lossy, {name: "a"}}, "heard last": {{name: "a"}, lossy}} {
		flows, bytes := totals(t, watch(t, 2, 20_000, taps...))
		t.Logf("%s: %.0f flows, %.0f bytes; the one that loses none has %.0f, %.0f; the other %.0f, %.0f", name, flows, bytes, oneFlows, oneBytes, lostFlows, lostBytes)
		if name == "heard last" && (flows != oneFlows || bytes != oneBytes) {
			t.Errorf("%s: %.0f flows, %.0f bytes, one sensor has %.0f, %.0f", name, flows, bytes, oneFlows, oneBytes)
		}
		if r := flows / oneFlows; r < 0.99 || r > 1.03 {
			t.Errorf("%s: %.0f flows, one sensor has %.0f", name, flows, oneFlows)
		}
		if r := bytes / oneBytes; r < 0.94 || r > 1.005 || bytes < lostBytes {
			t.Errorf("%s: %.0f bytes, one sensor has %.0f", name, bytes, oneBytes)
		}
	}
}
