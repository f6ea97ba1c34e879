package script

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// source is a fold that emits what a script says that another fold would: so a
// fold can be tested without those that it depends on. It is told by observations
// about nobody, which every other fold passes over.
type source struct{}

const (
	sourceProtocol = "script"
	sourceProducer = "script/0"
)

// Name is "script".
func (source) Name() string { return "script" }

// Inputs lists traffic.
func (source) Inputs() []stream.Input { return []stream.Input{{Topic: proto.TopicTraffic}} }

// Progress is said to nobody.
func (source) Progress() []stream.ProgressTo { return nil }

// Fire is never called.
func (source) Fire(*stream.Tx, stream.Timer) {}

// Sweep is never called.
func (source) Sweep(*stream.Tx, string, []byte) {}

// Apply emits what a message of the script holds.
func (source) Apply(tx *stream.Tx, ev *stream.Event) {
	o, ok := ev.Msg.(*proto.Observation)
	if !ok || o.Protocol != sourceProtocol {
		return
	}
	id, err := proto.ParseID(o.Attributes.Get("id"))
	if err != nil {
		tx.Dead("script: " + err.Error())
		return
	}
	out := stream.Output{Kind: o.Kind, Lane: id.Lane(), Key: id[:], Value: []byte(o.Attributes.Get("value")), Time: tx.Now()}
	out.Topic = map[string]string{proto.KindBinding: proto.TopicBindings, proto.KindDetection: proto.TopicDetections}[o.Kind]
	tx.Emit(out)
}

func (r *run) say(kind string, id proto.ID, value []byte) error {
	o := &proto.Observation{Site: r.batch.Site, Time: r.now, Protocol: sourceProtocol, Kind: kind}
	o.Attributes.Set("id", id.String())
	o.Attributes.Set("value", string(value))
	return r.item(proto.Item{Observation: o})
}

// bind says what the device fold would.
func (r *run) bind(a *args) error {
	n, err := r.nodeArg(a, "the device")
	if err != nil {
		return err
	}
	b := proto.Binding{Endpoint: n.id, Device: n.id, Site: r.batch.Site}
	if b.Category, err = a.next("its category"); err != nil {
		return err
	}
	if a.more() {
		b.Type, _ = a.next("")
	}
	if a.more() {
		b.Criticality, _ = a.next("")
	}
	val, err := proto.Marshal(&b)
	if err != nil {
		return fmt.Errorf("encode binding: %w", err)
	}
	return r.say(proto.KindBinding, n.id, val)
}

// detect says what the anomaly fold would.
func (r *run) detect(a *args) error {
	n, err := r.nodeArg(a, "the device")
	if err != nil {
		return err
	}
	d := proto.Detection{Time: r.now, First: r.now, Last: r.now, Count: 1, Site: r.batch.Site, Endpoint: n.id, DeviceID: n.id}
	if d.Rule, err = a.next("the rule"); err != nil {
		return err
	}
	if d.Severity, err = a.next("the severity"); err != nil {
		return err
	}
	d.Title = strings.ReplaceAll(d.Rule, "_", " ") + " of " + n.name
	d.DetectionID = proto.HashID("script", []byte(n.name), []byte(d.Rule), []byte(r.now.String()))
	val, err := json.Marshal(&d)
	if err != nil {
		return fmt.Errorf("encode detection: %w", err)
	}
	return r.say(proto.KindDetection, n.id, val)
}
