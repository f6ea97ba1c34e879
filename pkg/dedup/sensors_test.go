package dedup_test

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/proto"
)

// beat is one heartbeat, in seconds after noon.
type beat struct {
	sensor               string
	clock, sent, arrival float64 // sent 0: not said
}

func live(beats ...beat) *dedup.Sensors {
	s := &dedup.Sensors{Live: true}
	for _, b := range beats {
		sent := proto.Time(0)
		if b.sent != 0 {
			sent = at(b.sent)
		}
		s.Beat(b.sensor, at(b.clock), sent, at(b.arrival))
	}
	return s
}

func TestClocks(t *testing.T) {
	const hour = 3600
	for name, tt := range map[string]struct {
		beats   []beat
		suspect bool // of sensor a
		offset  float64
	}{
		"right":                             {[]beat{{"a", 100, 100, 100.1}}, false, 0},
		"an hour ahead, at first sight":     {[]beat{{"a", hour, hour, 1}}, true, 1 - hour},
		"an hour behind, at first sight":    {[]beat{{"a", -hour, -hour, 1}}, true, hour + 1},
		"an hour ahead, header missing":     {[]beat{{"a", hour, 0, 1}}, true, 1 - hour},
		"a batch out of a spool":            {[]beat{{"a", 1, 1, 1}, {"a", 2, 602, 602}}, false, 0},
		"the same, header missing, at once": {[]beat{{"a", 1, 0, 1}, {"a", 2, 0, 602}}, false, 0},
		"and for long":                      {[]beat{{"a", 1, 0, 1}, {"a", 2, 0, 602}, {"a", 18, 0, 618}}, true, 600},
		"long on its way":                   {[]beat{{"a", 1, 1, 1}, {"a", 2, 2, 90}, {"a", 90.5, 90.5, 91}}, false, 0},
		"long on its way, again and again":  {[]beat{{"a", 1, 1, 1}, {"a", 2, 2, 90}, {"a", 18, 18, 106}}, true, 88},
		"put forward":                       {[]beat{{"a", 1, 1, 1}, {"a", hour, hour, 2}}, true, 2 - hour},
		"put back, which no delay does":     {[]beat{{"a", 1, 1, 1}, {"a", -hour, -hour, 2}}, true, hour + 2},
		"packets from the future":           {[]beat{{"a", hour, 1, 1}}, true, 1 - hour},
		"near the bound":                    {[]beat{{"a", 59, 59, 1}}, false, 0},
		"near the bound, from beyond it":    {[]beat{{"a", 100, 100, 1}, {"a", 52, 52, 2}}, true, -50},
		"set right":                         {[]beat{{"a", hour, hour, 1}, {"a", 2, 2, 2}}, false, 0},
		"a little jitter changes nothing":   {[]beat{{"a", hour, hour, 0}, {"a", hour + 1, hour + 1, 1.5}}, true, -hour},
		"drift does":                        {[]beat{{"a", hour, hour, 0}, {"a", hour + 1, hour + 1, 2.5}}, true, 1.5 - hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := live(tt.beats...)
			if got := s.List[0]; got.Suspect != tt.suspect || s.List[0].Offset != time.Duration(tt.offset*float64(time.Second)) {
				t.Errorf("suspect %v, offset %v", got.Suspect, got.Offset)
			}
		})
	}
}

func TestWatermark(t *testing.T) {
	const hour = 3600
	for name, tt := range map[string]struct {
		beats []beat
		now   float64
		want  float64
	}{
		"the slowest":                       {[]beat{{"a", 10, 10, 10}, {"b", 8, 10, 10}}, 10, 8},
		"of those heard lately":             {[]beat{{"a", 10, 10, 10}, {"b", 8, 10, 10}, {"a", 21, 21, 21}}, 21, 21},
		"none that is an hour ahead":        {[]beat{{"b", hour, hour, 10}, {"a", 10, 10, 10}}, 10, 10},
		"nor behind":                        {[]beat{{"b", -hour, -hour, 10}, {"a", 10, 10, 10}}, 10, 10},
		"nor one that is late besides":      {[]beat{{"b", hour - 290, hour + 10, 10}, {"a", 10, 10, 10}}, 10, 10},
		"where all are, the broker's clock": {[]beat{{"a", hour, hour, 10}, {"a", hour + 5, hour + 5, 15}}, 15, 15},
		"moved too far, and set right":      {[]beat{{"a", 1, 1, 1}, {"a", 2, 2, 90}, {"a", 18, 18, 106}, {"a", 20, 107, 107}}, 107, 20},
		"set right, it counts again":        {[]beat{{"b", hour, hour, 10}, {"a", 12, 12, 12}, {"b", 11, 12, 12}}, 12, 11},
	} {
		t.Run(name, func(t *testing.T) {
			s := live(tt.beats...)
			if got, ok := s.Watermark(at(tt.now)); !ok || got != at(tt.want) {
				t.Errorf("watermark %v (%v), want %v", got.Sub(noon), ok, tt.want)
			}
		})
	}
}

// What was passed never comes back: what it let be forgotten is gone.
func TestPassedOnlyRises(t *testing.T) {
	s := live(beat{"a", 100, 100, 100}, beat{"b", 90, 100, 100}, beat{"b", 95, 100, 100})
	if s.Passed != at(100) {
		t.Errorf("passed %v before the second sensor was known", s.Passed.Sub(noon))
	}
	s.Beat("a", at(200), at(200), at(200))
	if s.Passed != at(100) {
		t.Errorf("passed %v while a sensor may still have something in its spool", s.Passed.Sub(noon))
	}
	late := 200 + dedup.Forget.Seconds() + 1
	s.Beat("a", at(late), at(late), at(late))
	if s.Passed != at(late) || len(s.List) != 1 {
		t.Errorf("passed %v with %d sensors, long after the other went", s.Passed.Sub(noon), len(s.List))
	}
}

// A capture file's clock is nobody's to judge.
func TestFilesAreNotJudged(t *testing.T) {
	s := &dedup.Sensors{}
	s.Beat("a", at(-1e6), 0, at(0))
	if s.List[0].Suspect || s.Shift("a", at(-1e6), at(0)) != 0 {
		t.Error("a capture file from another day is suspect")
	}
}

// TestShift: times are set right, but those of before the clock was set wrong.
func TestShift(t *testing.T) {
	const hour = 3600
	for name, tt := range map[string]struct {
		beats []beat
		at    float64 // as the sensor tells it
		want  float64
	}{
		"right":                             {[]beat{{"a", 100, 100, 100}}, 95, 95},
		"ahead":                             {[]beat{{"a", 100 + hour, 100 + hour, 100}}, 95 + hour, 95},
		"ahead, and out of a spool":         {[]beat{{"a", -1000 + hour, 100 + hour, 100}}, -1005 + hour, -1005},
		"behind":                            {[]beat{{"a", 100 - hour, 100 - hour, 100}}, 95 - hour, 95},
		"from before it was put forward":    {[]beat{{"a", 100, 100, 100}, {"a", 101 + hour, 101 + hour, 101}}, 40, 40},
		"from after it":                     {[]beat{{"a", 100, 100, 100}, {"a", 101 + hour, 101 + hour, 101}}, 100 + hour, 100},
		"from before it was put back":       {[]beat{{"a", 100, 100, 100}, {"a", 101 - hour, 101 - hour, 101}}, 99, 99},
		"put back, and no clock said since": {[]beat{{"a", 100, 100, 100}}, 105 - hour, 105},
	} {
		t.Run(name, func(t *testing.T) {
			s := live(tt.beats...)
			arrival := tt.beats[len(tt.beats)-1].arrival
			if tt.at == 105-hour {
				arrival = 106
				if !s.Hear("a", at(106-hour), at(arrival)) || s.Hear("a", at(106.1-hour), at(arrival)) {
					t.Error("a batch's header changed nothing, or more than once")
				}
			}
			if got := at(tt.at).Add(s.Shift("a", at(tt.at), at(arrival))); got != at(tt.want) {
				t.Errorf("set right to %v, want %v", got.Sub(noon).Seconds(), tt.want)
			}
		})
	}
}
