package ward_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/anomaly"
	"github.com/wardflow/wardflow/services/capture"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/risk"
)

const site = "st-alban"

// wardRun is what a run of files gave.
type wardRun struct {
	t          testing.TB
	local      *stream.Local
	flows      []*proto.Flow
	devices    map[proto.ID]*proto.Device
	detections map[proto.ID]*proto.Detection
	first      []*proto.Detection // each detection as first told
	risks      []*proto.Risk
	pairs      map[proto.Pair]proto.Pair
	activity   map[proto.Activity]proto.Activity
	alerts     int
	emitted    []string
	raw        []stream.Emitted
	items      []proto.Item
}

// run reads files as one capture of one sensor, under a policy.
func run(t testing.TB, policy *proto.Policy, files ...string) *wardRun {
	t.Helper()
	w := start(t, policy)
	w.read(files...)
	return w
}

// start makes the folds, under a policy.
func start(t testing.TB, policy *proto.Policy) *wardRun {
	t.Helper()
	w := &wardRun{
		t: t, devices: map[proto.ID]*proto.Device{}, detections: map[proto.ID]*proto.Detection{},
		pairs: map[proto.Pair]proto.Pair{}, activity: map[proto.Activity]proto.Activity{},
	}
	local, err := stream.NewLocal(w.take, append(fingerprint.Folds(fingerprint.Config{}), anomaly.New(anomaly.Config{}), risk.New(risk.Config{}))...)
	if err != nil {
		t.Fatal(err)
	}
	w.local = local
	if policy != nil {
		policy.Site = site
		if err := local.Control(&proto.Control{Kind: "policy", Policy: policy}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// read captures from files that are merged by time.
func (w *wardRun) read(files ...string) {
	w.t.Helper()
	batch := proto.Batch{Site: site, Sensor: "replay", Producer: files[0], Domain: files[0]}
	p := capture.New(capture.Config{Site: site, Sensor: "replay", Emit: func(it proto.Item) {
		if it.Flow != nil && !it.Mirror {
			w.flows = append(w.flows, it.Flow)
		}
		w.items = append(w.items, it)
		if err := w.local.Item(&batch, it); err != nil {
			w.t.Fatal(err)
		}
	}})
	var readers []*capfile.Reader
	for _, f := range files {
		r, err := capfile.Open(repotest.Shared(w.t, "captures/ward-a/"+f))
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = r.Close() })
		readers = append(readers, r)
	}
	m := capfile.NewMerge(readers...)
	var pkt capfile.Packet
	for {
		if _, err := m.Next(&pkt); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			w.t.Fatal(err)
		}
		p.Packet(pkt.LinkType, pkt.Time, pkt.Data, pkt.WireLen)
	}
	p.End()
}

func (w *wardRun) take(e stream.Emitted) {
	var err error
	w.raw = append(w.raw, e)
	w.emitted = append(w.emitted, e.Topic+" "+string(e.Key)+" "+string(e.Value))
	switch e.Kind {
	case proto.KindDevice:
		d := new(proto.Device)
		err = json.Unmarshal(e.Value, d)
		w.devices[d.DeviceID] = d
	case proto.KindDetection:
		d := new(proto.Detection)
		err = json.Unmarshal(e.Value, d)
		if w.detections[d.DetectionID] == nil {
			w.first = append(w.first, d)
		}
		w.detections[d.DetectionID] = d
	case proto.KindAlert:
		w.alerts++
	case proto.KindRisk:
		r := new(proto.Risk)
		err = json.Unmarshal(e.Value, r)
		w.risks = append(w.risks, r)
	case proto.KindRollup:
		var b proto.RollupBatch
		err = proto.Unmarshal(e.Value, &b)
		for _, r := range b.Rows {
			if p := r.Pair; p != nil {
				key := *p
				key.Flows, key.SrcPackets, key.SrcBytes, key.DstPackets, key.DstBytes, key.First, key.Last = 0, 0, 0, 0, 0, 0, 0
				w.pairs[key] = *p
			}
			if a := r.Activity; a != nil {
				w.activity[proto.Activity{Site: a.Site, Hour: a.Hour, Endpoint: a.Endpoint}] = *a
			}
		}
	case proto.KindDead:
		w.t.Errorf("dead letter: %s", e.Value)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// byMAC finds the device with an interface.
func (w *wardRun) byMAC(mac string) *proto.Device {
	for _, d := range w.devices {
		if slices.Contains(d.MACs, mac) {
			return d
		}
	}
	return nil
}

// name gives a device's first address or name, for messages.
func (w *wardRun) name(id proto.ID) string {
	d := w.devices[id]
	switch {
	case d == nil:
		return id.String()
	case len(d.Hostnames) > 0:
		return d.Hostnames[0]
	case len(d.IPs) > 0:
		return d.IPs[0]
	}
	return id.String()
}
