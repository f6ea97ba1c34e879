package ward_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// useTruth is what the sheet says of use.
type useTruth struct {
	Hosts []struct {
		truthHost  `yaml:",inline"`
		InUse      [][2]time.Time `yaml:"in_use"`
		InUseHours float64        `yaml:"in_use_hours"`
		Silence    float64        `yaml:"max_silence_s_while_online"`
	} `yaml:"hosts"`
	Utilisation struct {
		Exams map[string][]struct {
			Start, End time.Time
			Status     string
		} `yaml:"exams"`
	} `yaml:"utilisation"`
}

func readUseTruth(t testing.TB) *useTruth {
	b, err := os.ReadFile(repotest.Shared(t, "captures/ward-a/truth.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	v := new(useTruth)
	if err := yaml.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// usageOf keeps the lines that hold of what was emitted, by device.
func usageOf(t testing.TB, raw []stream.Emitted) map[proto.ID][]proto.Usage {
	type key struct {
		id    proto.ID
		start proto.Time
	}
	hold := map[key]proto.Usage{}
	for _, e := range raw {
		if e.Kind != proto.KindUsage {
			continue
		}
		var u proto.Usage
		if err := json.Unmarshal(e.Value, &u); err != nil {
			t.Fatal(err)
		}
		if k := (key{u.DeviceID, u.Start}); u.End <= u.Start {
			delete(hold, k)
		} else {
			hold[k] = u
		}
	}
	out := map[proto.ID][]proto.Usage{}
	for _, u := range hold {
		out[u.DeviceID] = append(out[u.DeviceID], u)
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b proto.Usage) int { return cmp.Compare(a.Start, b.Start) })
	}
	return out
}

func hoursIn(list []proto.Usage, state string) (h float64) {
	for _, u := range list {
		if u.State == state {
			h += u.End.Sub(u.Start).Hours()
		}
	}
	return h
}

func inUse(list []proto.Usage) []proto.Usage {
	return slices.DeleteFunc(slices.Clone(list), func(u proto.Usage) bool { return u.State != "in_use" })
}

// reports is how often the ward's parsers tell that a device is in use: its intervals
// are seen no more exactly than that.
const reports = 10 * time.Minute

// TestDayOfUse compares the use of every device of the day with the sheet: hours,
// numbers of exams and infusions, each interval, and the ultrasound's time away.
func TestDayOfUse(t *testing.T) {
	w := run(t, nil, "day.pcapng")
	sheet, lines := readUseTruth(t), usageOf(t, w.raw)
	for _, h := range sheet.Hosts {
		d := find(w, &h.truthHost)
		if d == nil {
			t.Errorf("%s is not found", h.ID)
			continue
		}
		list := lines[d.DeviceID]
		if len(list) == 0 || list[0].Start != d.FirstSeen || list[len(list)-1].End != d.LastSeen {
			t.Errorf("%s: lines do not cover %v to %v", h.ID, d.FirstSeen, d.LastSeen)
			continue
		}
		for i := 1; i < len(list); i++ {
			if list[i].Start != list[i-1].End {
				t.Errorf("%s: a line begins at %v, the one before ends at %v", h.ID, list[i].Start, list[i-1].End)
			}
		}
		used := inUse(list)
		if len(h.InUse) == 0 { // the sheet has no intervals of analysers: their tests are single results
			if h.ID != "poct1" && h.ID != "lab1" && len(used) > 0 {
				t.Errorf("%s is never in use, and is told to be in %d lines", h.ID, len(used))
			}
			continue
		}
		got := hoursIn(list, "in_use")
		t.Logf("%-6s in use %.3f h, sheet %.3f (%+.2f %%), %d of %d intervals", h.ID, got, h.InUseHours, (got/h.InUseHours-1)*100, len(used), len(h.InUse))
		if math.Abs(got-h.InUseHours) > 0.02*h.InUseHours {
			t.Errorf("%s: %.3f h in use, sheet %.3f", h.ID, got, h.InUseHours)
		}
		if len(used) != len(h.InUse) {
			t.Errorf("%s: %d uses, sheet %d", h.ID, len(used), len(h.InUse))
			continue
		}
		for i, u := range used {
			if from, to := u.Start.Std().Sub(h.InUse[i][0]), u.End.Std().Sub(h.InUse[i][1]); from.Abs() > reports || to.Abs() > reports {
				t.Errorf("%s: use %d from %v to %v, sheet %v to %v", h.ID, i+1, u.Start, u.End, h.InUse[i][0], h.InUse[i][1])
			}
		}
		exams := sheet.Utilisation.Exams[h.ID]
		for i, x := range exams {
			u := used[i]
			if u.Kind != "exam" || u.Start.Std().Sub(x.Start).Abs() > 5*time.Second || u.End.Std().Sub(x.End).Abs() > 25*time.Second {
				t.Errorf("%s: exam %d: %s from %v to %v, sheet %v to %v", h.ID, i+1, u.Kind, u.Start, u.End, x.Start, x.End)
			}
			if want := map[string]string{"COMPLETED": "completed", "DISCONTINUED": "discontinued"}[x.Status]; u.Outcome != want && u.Outcome != "unknown" {
				t.Errorf("%s: exam %d: %s, sheet %s", h.ID, i+1, u.Outcome, x.Status)
			}
		}
	}
	us := w.byMAC("44:4b:5d:19:41:01")
	away := slices.DeleteFunc(slices.Clone(lines[us.DeviceID]), func(u proto.Usage) bool { return u.State != "offline" })
	if len(away) != 1 || away[0].End.Sub(away[0].Start) < 70*time.Minute || away[0].End.Sub(away[0].Start) > 82*time.Minute {
		t.Errorf("the ultrasound was away once, from 12:05 to 13:20: %+v", away)
	}
}

// TestOrderChangesNoUse: the day's evidence in another order, each item heard up to
// four minutes late, comes to the same use of the same devices.
func TestOrderChangesNoUse(t *testing.T) {
	w := run(t, nil, "day.pcapng")
	want := holding(t, w.raw)
	for seed := range uint64(1) {
		got := holding(t, shuffled(t, w.items, rand.New(rand.NewPCG(seed, 3)), 4*time.Minute))
		if len(want) < 100 {
			t.Fatalf("only %d lines", len(want))
		}
		for _, x := range want {
			if !slices.Contains(got, x) {
				t.Errorf("order %d: missing %s", seed, x)
			}
		}
		for _, x := range got {
			if !slices.Contains(want, x) {
				t.Errorf("order %d: too much: %s", seed, x)
			}
		}
	}
}

func holding(t *testing.T, raw []stream.Emitted) (out []string) {
	for id, list := range usageOf(t, raw) {
		for _, u := range list {
			out = append(out, fmt.Sprint(id, u.Start, u.End, u.State, u.Kind, u.Outcome, u.How, u.Confidence))
		}
	}
	slices.Sort(out)
	return out
}

// shuffled gives items to the folds as if each had been on its way for up to a time;
// the clock of the capture is what it was.
func shuffled(t *testing.T, items []proto.Item, rng *rand.Rand, late time.Duration) []stream.Emitted {
	type heard struct {
		at proto.Time
		it proto.Item
	}
	var all []heard
	var clock proto.Time
	for _, it := range items {
		switch {
		case it.Heartbeat != nil:
			clock = max(clock, it.Heartbeat.Clock)
			if it.Heartbeat.End {
				clock = clock.Add(2 * late)
			}
			all = append(all, heard{clock, it})
		case it.Flow != nil:
			clock = max(clock, it.Flow.End)
			all = append(all, heard{clock.Add(time.Duration(rng.Int64N(int64(late)))), it})
		case it.Observation != nil:
			clock = max(clock, it.Observation.Time)
			all = append(all, heard{clock.Add(time.Duration(rng.Int64N(int64(late)))), it})
		default:
			all = append(all, heard{clock, it})
		}
	}
	slices.SortStableFunc(all, func(a, b heard) int { return cmp.Compare(a.at, b.at) })
	again := start(t, nil)
	batch := proto.Batch{Site: site, Sensor: "replay", Producer: "day.pcapng", Domain: "day.pcapng"}
	for _, h := range all {
		if err := again.local.Item(&batch, h.it); err != nil {
			t.Fatal(err)
		}
	}
	return again.raw
}
