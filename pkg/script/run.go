package script

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Outcome is what a run of a script gave.
type Outcome struct {
	Failures []Problem // expectations that were not met
	text     []string
}

// Text is the script with its expectations rewritten to what came out.
func (o *Outcome) Text() []byte { return []byte(strings.Join(o.text, "\n") + "\n") }

// node is a name of the script: a device, or an outside host.
type node struct {
	name     string
	id       proto.ID // zero outside
	mac      proto.MAC
	ip       netip.Addr
	gateway  string
	outsider bool
}

// run is a script under way.
type run struct {
	script   *Script
	local    *stream.Local
	batch    proto.Batch
	midnight proto.Time
	now      proto.Time
	begun    bool // time has moved, or something has happened
	policy   proto.Policy
	nodes    map[string]*node
	flows    uint64

	devices    map[proto.ID]*proto.Device
	risks      map[proto.ID]*proto.Risk
	detections map[proto.ID]*proto.Detection
	fresh      []proto.ID // detections told since the last block, in order
	out        *Outcome
	err        error // the first of taking outputs in
}

// Run plays the script against folds, upstream folds first. The error says which
// lines cannot be understood, all of them; expectations that are not met are in
// the outcome.
func (s *Script) Run(folds ...stream.Fold) (*Outcome, error) {
	r := &run{
		script: s, batch: proto.Batch{Site: "ward", Sensor: "script", Producer: "script", Domain: "script"},
		nodes: map[string]*node{}, devices: map[proto.ID]*proto.Device{}, risks: map[proto.ID]*proto.Risk{},
		detections: map[proto.ID]*proto.Detection{}, out: &Outcome{},
	}
	r.midnight = proto.TimeOf(time.Date(2026, 11, 17, 0, 0, 0, 0, time.UTC))
	r.now = r.midnight
	local, err := stream.NewLocal(r.take, append([]stream.Fold{source{}}, folds...)...)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", s.name, err)
	}
	r.local = local
	var errs []error
	for i := 0; i < len(s.lines); {
		n, err := r.line(i)
		if err != nil {
			errs = append(errs, Problem{Name: s.name, Line: i + 1, Text: err.Error()})
		}
		i += n
	}
	return r.out, errors.Join(errs...)
}

// line plays the statement at i and tells how many lines it took.
func (r *run) line(i int) (int, error) {
	l := r.script.lines[i]
	if len(l.words) == 0 {
		r.out.text = append(r.out.text, l.text)
		return 1, nil
	}
	if l.words[0] == "expect" {
		return r.expect(i)
	}
	r.out.text = append(r.out.text, l.text)
	a := &args{words: l.words}
	if err := r.statement(a); err != nil {
		return 1, err
	}
	if a.more() {
		return 1, fmt.Errorf("%q is one word too many", a.words[0])
	}
	return 1, r.err
}

func (r *run) statement(a *args) error {
	verb, err := a.next("a statement")
	if err != nil {
		return err
	}
	do, ok := map[string]func(*args) error{
		"site": r.site, "day": r.day, "policy": r.setPolicy, "device": r.device, "equipment": r.equipment, "outside": r.outside, "at": r.at,
		"flow": r.flow, "every": r.every, "observe": r.observe, "bind": r.bind, "detect": r.detect, "away": r.away, "end": r.end,
	}[verb]
	if !ok {
		return fmt.Errorf("%q is no statement", verb)
	}
	return do(a)
}

func (r *run) site(a *args) (err error) {
	if r.begun {
		return errors.New("the site must be named first")
	}
	r.batch.Site, err = a.next("the site's name")
	return err
}

func (r *run) day(a *args) error {
	w, err := a.next("a date")
	if err != nil {
		return err
	}
	t, err := time.Parse(time.DateOnly, w)
	if err != nil || r.begun {
		return fmt.Errorf("%q: the day comes first, and is written like 2026-11-17", w)
	}
	r.midnight = proto.TimeOf(t)
	r.now = r.midnight
	return nil
}

func (r *run) setPolicy(a *args) error {
	key, err := a.next("what the policy is about")
	if err != nil {
		return err
	}
	p := &r.policy
	var d time.Duration
	switch key {
	case "learning_until":
		p.LearningUntil, err = a.time(r.midnight, r.now)
	case "learning_period":
		d, err = a.duration(key)
		p.LearningPeriodS = int64(d / time.Second)
	case "silence_min":
		d, err = a.duration(key)
		p.SilenceMinS = int64(d / time.Second)
	case "half_life":
		d, err = a.duration(key)
		p.RiskHalfLifeS = int64(d / time.Second)
	case "port_scan_ports":
		p.PortScanPorts, err = a.number(key)
	case "trusted":
		var w string
		if w, err = a.next("a network"); err == nil {
			if _, err = netip.ParsePrefix(w); err == nil {
				p.TrustedExternals = append(p.TrustedExternals, w)
			}
		}
	default:
		return fmt.Errorf("%q is nothing that a policy is about", key)
	}
	if err != nil {
		return err
	}
	p.Site = r.batch.Site
	return r.local.Control(&proto.Control{Kind: "policy", Policy: p})
}

// at moves time on, with the heartbeats of a sensor that is listening.
func (r *run) at(a *args) error {
	t, err := a.time(r.midnight, r.now)
	if err != nil {
		return err
	}
	return r.advance(t)
}

const (
	beatEvery = 10 * time.Second     // the pace of the script's heartbeats, in event time
	maxStory  = 100 * 24 * time.Hour // a slip of the pen must not take an hour to run
)

func (r *run) advance(t proto.Time) error {
	if t < r.now {
		return fmt.Errorf("it is %s already", clock(r.midnight, r.now))
	}
	if t.Sub(r.midnight) > maxStory {
		return fmt.Errorf("a story ends after %d days", maxStory/(24*time.Hour))
	}
	if !r.begun { // the story begins here, and not at midnight
		r.begun, r.now = true, t
		return r.beat(false)
	}
	for r.now < t {
		r.now = min(r.now.Add(beatEvery), t)
		if err := r.beat(false); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) beat(end bool) error {
	return r.item(proto.Item{Heartbeat: &proto.Heartbeat{Clock: r.now, End: end}})
}

// away moves time on with nobody listening.
func (r *run) away(a *args) error {
	if err := a.want("until"); err != nil {
		return err
	}
	t, err := a.time(r.midnight, r.now)
	if err != nil {
		return err
	}
	if t < r.now {
		return fmt.Errorf("it is %s already", clock(r.midnight, r.now))
	}
	r.now = t
	return r.beat(false)
}

func (r *run) end(*args) error { return r.beat(true) }

func (r *run) item(it proto.Item) error {
	r.begun = true
	if err := r.local.Item(&r.batch, it); err != nil {
		return err
	}
	return r.err
}

// take keeps what folds emit.
func (r *run) take(e stream.Emitted) {
	var err error
	switch e.Kind {
	case proto.KindDevice:
		d := new(proto.Device)
		err = json.Unmarshal(e.Value, d)
		r.devices[d.DeviceID] = d
	case proto.KindRisk:
		k := new(proto.Risk)
		err = json.Unmarshal(e.Value, k)
		r.risks[k.Endpoint] = k
	case proto.KindDetection:
		if e.Envelope.Producer == sourceProducer {
			return // the script's own
		}
		d := new(proto.Detection)
		err = json.Unmarshal(e.Value, d)
		r.detections[d.DetectionID] = d
		r.fresh = append(r.fresh, d.DetectionID)
	}
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("read what a fold has emitted: %w", err)
	}
}
