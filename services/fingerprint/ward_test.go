package fingerprint

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// ward drives the two folds in memory and keeps what they emit.
type ward struct {
	t        testing.TB
	local    *stream.Local
	batch    proto.Batch
	devices  map[proto.ID]*proto.Device
	bindings map[proto.ID]*proto.Binding
	summary  map[proto.ID]*proto.Summary
	told     int // summaries
	pairs    map[proto.Pair]proto.Pair
	activity map[proto.Activity]proto.Activity
	rows     int
	usage    map[proto.ID]map[proto.Time]proto.Usage // lines that hold, by device and start
	lines    int                                     // lines told
}

func newWard(t testing.TB) *ward { return newWardWith(t, Config{}) }

func newWardWith(t testing.TB, cfg Config) *ward {
	w := &ward{
		t: t, batch: proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: "file"},
		devices: map[proto.ID]*proto.Device{}, bindings: map[proto.ID]*proto.Binding{}, summary: map[proto.ID]*proto.Summary{},
		pairs: map[proto.Pair]proto.Pair{}, activity: map[proto.Activity]proto.Activity{},
		usage: map[proto.ID]map[proto.Time]proto.Usage{},
	}
	l, err := stream.NewLocal(w.take, Folds(cfg)...)
	if err != nil {
		t.Fatal(err)
	}
	w.local = l
	return w
}

func (w *ward) take(e stream.Emitted) {
	var err error
	switch e.Kind {
	case proto.KindSummary:
		s := new(proto.Summary)
		err = proto.Unmarshal(e.Value, s)
		w.summary[s.Endpoint] = s
		w.told++
	case proto.KindDevice:
		d := new(proto.Device)
		err = json.Unmarshal(e.Value, d)
		w.devices[d.DeviceID] = d
	case proto.KindBinding:
		b := new(proto.Binding)
		err = proto.Unmarshal(e.Value, b)
		w.bindings[b.Endpoint] = b
		if e.Lane != b.Endpoint.Lane() {
			w.t.Errorf("binding of %s on lane %d", b.Endpoint, e.Lane)
		}
	case proto.KindUsage:
		var u proto.Usage
		err = json.Unmarshal(e.Value, &u)
		w.use(u)
	case proto.KindRollup:
		var b proto.RollupBatch
		err = proto.Unmarshal(e.Value, &b)
		for _, r := range b.Rows {
			w.row(r)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// row keeps the latest row of a key, as the store does.
func (w *ward) row(r proto.Rollup) {
	w.rows++
	if p := r.Pair; p != nil {
		key := *p
		key.Flows, key.SrcPackets, key.SrcBytes, key.DstPackets, key.DstBytes, key.First, key.Last = 0, 0, 0, 0, 0, 0, 0
		w.pairs[key] = *p
	}
	if a := r.Activity; a != nil {
		w.activity[proto.Activity{Site: a.Site, Hour: a.Hour, Endpoint: a.Endpoint}] = *a
	}
}

func (w *ward) item(it proto.Item) {
	if err := w.local.Item(&w.batch, it); err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) beat(t proto.Time, end bool) {
	w.item(proto.Item{Heartbeat: &proto.Heartbeat{Clock: t, End: end}})
}

// flow sends a flow to the lanes that capture would.
func (w *ward) flow(f *proto.Flow) {
	w.item(proto.Item{Flow: f})
	if !f.SrcEndpoint.IsZero() && !f.DstEndpoint.IsZero() {
		w.item(proto.Item{Flow: f, Mirror: true})
	}
}

var noon = proto.TimeOf(time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC))

func mac(last byte) proto.MAC { return proto.MAC{0x00, 0x30, 0xe6, 1, 2, last} }

func id(last byte) proto.ID { return proto.MACEndpoint("st-alban", mac(last)) }

func tcp(src, dst byte, port uint16, at proto.Time) *proto.Flow {
	return &proto.Flow{
		Site: "st-alban", Start: at, End: at.Add(time.Second), Transport: proto.TCP, State: "SF", Protocol: "unknown", Final: true,
		SrcIP: netip.AddrFrom4([4]byte{10, 0, 0, src}), SrcPort: 40000, SrcMAC: mac(src), SrcEndpoint: id(src), SrcInside: true,
		DstIP: netip.AddrFrom4([4]byte{10, 0, 0, dst}), DstPort: port, DstMAC: mac(dst), DstEndpoint: id(dst), DstInside: true,
		SrcPackets: 5, SrcBytes: 500, SrcPayloadBytes: 200, DstPackets: 4, DstBytes: 4000, DstPayloadBytes: 3800,
	}
}

func seen(protocol, kind string, who byte, at proto.Time, attributes ...string) *proto.Observation {
	o := &proto.Observation{Site: "st-alban", Time: at, Protocol: protocol, Kind: kind, Endpoint: id(who), MAC: mac(who), IP: netip.AddrFrom4([4]byte{10, 0, 0, who})}
	for i := 0; i < len(attributes); i += 2 {
		o.Attributes.Set(attributes[i], attributes[i+1])
	}
	return o
}
