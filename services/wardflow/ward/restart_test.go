package ward_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
)

// disk is a fold on one partition whose state is on disk, and in memory only within a
// transaction.
type disk struct {
	t      *testing.T
	fold   stream.Fold
	db     *stream.DB
	p      *stream.Partition
	offset map[string]int64
}

func newDisk(t *testing.T, f stream.Fold) *disk {
	t.Helper()
	db, err := stream.OpenDB(t.TempDir(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	d := &disk{t: t, fold: f, db: db, offset: map[string]int64{}}
	d.open()
	return d
}

// open begins anew from what is on disk.
func (d *disk) open() {
	var err error
	if d.p, err = stream.OpenPartition(d.fold, 0, stream.Options{Store: d.db, CacheBytes: 1 << 20}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) offer(topic string, env, val []byte) {
	d.p.Offer(stream.Record{Topic: topic, Offset: d.offset[topic], Envelope: env, Value: val})
	d.offset[topic]++
}

func (d *disk) commit() []stream.Emitted {
	for d.p.Run(1<<20, 1, time.Time{}) > 0 {
	}
	c, err := d.p.Prepare(0)
	if err != nil {
		d.t.Fatal(err)
	}
	if c == nil {
		return nil
	}
	b := d.db.NewBatch()
	for _, ch := range c.Changes {
		if err := b.Put(0, ch.Key, ch.Value); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := b.Store(); err != nil {
		d.t.Fatal(err)
	}
	d.p.Committed(c, 0)
	return c.Outputs
}

// TestStateSurvives: devices and their use come to the same when all state is written,
// forgotten and read again after each transaction.
func TestStateSurvives(t *testing.T) {
	w := run(t, nil, "day.pcapng")
	want, wantUse := map[proto.ID]string{}, map[string]string{}
	keep := func(devices map[proto.ID]string, use map[string]string, e *stream.Emitted) {
		switch e.Kind {
		case proto.KindDevice:
			var d proto.Device
			if err := json.Unmarshal(e.Value, &d); err != nil {
				t.Fatal(err)
			}
			d.Version = 0 // how often it was told depends on what is told together
			devices[proto.ID(e.Key)] = string(d.AppendJSON(nil))
		case proto.KindUsage:
			use[string(e.Key)] = string(e.Value)
		}
	}
	for i := range w.raw {
		keep(want, wantUse, &w.raw[i])
	}
	folds := fingerprint.Folds(fingerprint.Config{})
	endpoint, identity, device := newDisk(t, folds[0]), newDisk(t, folds[1]), newDisk(t, folds[2])
	got, gotUse := map[proto.ID]string{}, map[string]string{}
	var pass func(list []stream.Emitted)
	pass = func(list []stream.Emitted) {
		for i := range list {
			e := &list[i]
			env, err := e.Envelope.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range []*disk{endpoint, identity, device} {
				if slices.ContainsFunc(d.fold.Inputs(), func(in stream.Input) bool { return in.Topic == e.Topic }) {
					d.offer(e.Topic, env, e.Value)
				}
			}
			keep(got, gotUse, e)
		}
		for _, d := range []*disk{endpoint, identity, device} {
			if out := d.commit(); len(out) > 0 {
				pass(out)
			}
		}
	}
	seq := uint64(1)
	for n := 0; len(w.items) > 0; n++ {
		take := min(len(w.items), 2000)
		b := proto.Batch{Site: site, Sensor: "replay", Producer: "p", Domain: "file", FirstSeq: seq, Items: w.items[:take]}
		seq += uint64(take)
		w.items = w.items[take:]
		val, err := proto.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		endpoint.offer(proto.TopicTraffic, nil, val)
		pass(endpoint.commit())
		for _, d := range []*disk{endpoint, identity, device} {
			d.open()
		}
	}
	if len(got) != len(want) || len(gotUse) != len(wantUse) {
		t.Errorf("%d devices and %d lines of use, want %d and %d", len(got), len(gotUse), len(want), len(wantUse))
	}
	for id, text := range want {
		if got[id] != text {
			t.Errorf("device %s:\n got %s\nwant %s", id, got[id], text)
		}
	}
	for key, text := range wantUse {
		if gotUse[key] != text {
			t.Errorf("use %s: got %s, want %s", fmt.Sprintf("%x", key), gotUse[key], text)
		}
	}
}
