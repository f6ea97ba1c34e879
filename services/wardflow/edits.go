package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
)

// desk is where people's decisions are handed in: it knows the devices, and writes
// to wardflow.edits.
type desk struct {
	kafka bus.Config
	store *store.Store
	io    *streams
}

// withDesk opens the store and Kafka for a command and closes them.
func withDesk(ctx context.Context, g *globals, io *streams, f func(*desk) error) error {
	return withEngines(ctx, g, io, needsKafka|needsClickHouse, func(e *engines, s *store.Store) error { return f(&desk{e.Kafka, s, io}) })
}

// device finds the device that a person means, as it stands.
func (d *desk) device(ctx context.Context, site, text string) (*proto.Device, error) {
	id, err := findDevice(ctx, d.store, site, text)
	if err != nil {
		return nil, err
	}
	record, found, err := d.store.Device(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("no device %s: `wardflow devices` lists all", id)
	}
	dev := new(proto.Device)
	if err := json.Unmarshal(record, dev); err != nil {
		return nil, fmt.Errorf("read device record: %w", err)
	}
	return dev, nil
}

// newEdit begins an edit of now.
func newEdit(device proto.ID, action, by, note string) *proto.Edit {
	e := &proto.Edit{DeviceID: device, Time: proto.TimeOf(time.Now()), By: strings.TrimSpace(by), Action: action, Note: strings.TrimSpace(note)}
	_, _ = rand.Read(e.EditID[:]) // never fails
	return e
}

// checkEdits says what is wrong with edits, as wrong usage.
func checkEdits(list []*proto.Edit) error {
	var errs []error
	for _, e := range list {
		if err := fingerprint.CheckEdit(e); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s", editText(e), strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	if len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	return nil
}

// editText says an edit in a few words.
func editText(e *proto.Edit) string {
	switch e.Action {
	case proto.EditSet, proto.EditConfirm:
		return e.Action + " " + printable(e.Attribute) + "=" + printable(e.Value)
	case proto.EditRate:
		return fmt.Sprintf("rate %d", e.Rating)
	case proto.EditUndo:
		return "undo " + e.Undoes.String()[:idShown]
	case proto.EditJoin, proto.EditSeparate:
		return e.Action + " " + e.Into.String()[:idShown]
	}
	return e.Action
}

// hand writes edits in one transaction, tells their ids, and waits, but not for
// long, until they are applied.
func (d *desk) hand(ctx context.Context, list []*proto.Edit, wait time.Duration) error {
	if err := checkEdits(list); err != nil {
		return err
	}
	from, err := d.ends(ctx)
	if err != nil {
		return err
	}
	messages := make([]bus.Message, 0, len(list))
	for _, e := range list {
		m, err := editMessage(e, d.kafka.Partitions)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	// An id of its own for each transaction: two writers of one id would end each other's.
	if err := bus.WriteAll(ctx, d.kafka, proto.TopicEdits+"."+list[0].EditID.String(), messages); err != nil {
		return fmt.Errorf("write to %s: %w", proto.TopicEdits, err)
	}
	for _, e := range list {
		if _, err := fmt.Fprintf(d.io.out, "edit %s: %s\n", e.EditID, editText(e)); err != nil {
			return err
		}
	}
	return d.await(ctx, list, from, wait)
}

func editMessage(e *proto.Edit, partitions int32) (bus.Message, error) {
	val, err := json.Marshal(e)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode edit: %w", err)
	}
	env := proto.Envelope{Schema: proto.SchemaDerived, Kind: proto.KindEdit, Cause: proto.Cause{Partition: -1}, Time: e.Time}
	header, err := env.Append(nil)
	if err != nil {
		return bus.Message{}, fmt.Errorf("encode envelope: %w", err)
	}
	return bus.Message{Topic: proto.TopicEdits, Partition: e.DeviceID.Lane().Partition(partitions), Key: slices.Clone(e.DeviceID[:]), Value: val, Envelope: header}, nil
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// ends are where the topics end on which the device fold answers.
func (d *desk) ends(ctx context.Context) (map[place]int64, error) {
	list, err := bus.Ends(ctx, d.kafka, proto.TopicDevices, proto.TopicDeadletter)
	if err != nil {
		return nil, err
	}
	out := map[place]int64{}
	for _, e := range list {
		out[place{e.Topic, e.Partition}] = e.End
	}
	return out, nil
}

// await reads what the device fold says, until it has applied or refused every edit.
func (d *desk) await(ctx context.Context, list []*proto.Edit, from map[place]int64, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	open, lanes := map[proto.ID]*proto.Edit{}, map[int32]bool{}
	for _, e := range list {
		open[e.EditID] = e
		lanes[e.DeviceID.Lane().Partition(d.kafka.Partitions)] = true
	}
	r, err := bus.NewReader(d.kafka)
	if err != nil {
		return err
	}
	defer r.Close()
	refused := 0
	for len(open) > 0 && ctx.Err() == nil {
		for _, partition := range slices.Sorted(maps.Keys(lanes)) {
			for _, topic := range []string{proto.TopicDevices, proto.TopicDeadletter} {
				at := place{topic, partition}
				next, err := r.Read(ctx, topic, partition, from[at], func(rec bus.Record) error {
					refused += d.answer(open, &rec)
					return nil
				})
				if err == nil {
					from[at] = next
				} else if ctx.Err() == nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	switch {
	case refused > 0:
		return errReported
	case len(open) > 0:
		d.io.note("written, and not yet applied after %s: %s will be when the service fingerprint is there", wait, counted(len(open), "edit"))
		return nil
	}
	d.io.note("applied: %s", counted(len(list), "edit"))
	return nil
}

// answer takes the edits that a record answers out of open; it gives how many it refuses.
func (d *desk) answer(open map[proto.ID]*proto.Edit, rec *bus.Record) int {
	if rec.Control || len(rec.Value) == 0 {
		return 0
	}
	if rec.Topic == proto.TopicDevices {
		var dev struct {
			Edits *proto.EditCount `json:"edits"`
		}
		if json.Unmarshal(rec.Value, &dev) == nil && dev.Edits != nil {
			delete(open, dev.Edits.Last)
		}
		return 0
	}
	var dead proto.Deadletter
	if json.Unmarshal(rec.Value, &dead) != nil || dead.Topic != proto.TopicEdits {
		return 0
	}
	for id := range open {
		if strings.Contains(dead.Reason, id.String()) {
			d.io.note("refused: %s", dead.Reason)
			delete(open, id)
			return 1
		}
	}
	return 0
}

// deviceAndHistory are the device that a person means, and what people have said of it.
func (d *desk) deviceAndHistory(ctx context.Context, site, text string) (*proto.Device, []fingerprint.ToldEdit, error) {
	dev, err := d.device(ctx, site, text)
	if err != nil {
		return nil, nil, err
	}
	list, err := d.history(ctx, dev)
	return dev, list, err
}

// history reads what people have said of a device, and what has become part of it
// and left it.
func (d *desk) history(ctx context.Context, dev *proto.Device) ([]fingerprint.ToldEdit, error) {
	id := dev.DeviceID
	list, err := d.edits(ctx, id.Lane(), func(e *proto.Edit) bool { return e.DeviceID == id })
	if err != nil {
		return nil, err
	}
	parts := slices.Clone(dev.Aliases)
	for _, e := range list {
		if e.Action == proto.EditSplit {
			parts = append(parts, e.MadeOn)
		}
	}
	slices.SortFunc(parts, func(a, b proto.ID) int { return slices.Compare(a[:], b[:]) })
	for _, part := range slices.Compact(parts) {
		merges, err := d.edits(ctx, part.Lane(), func(e *proto.Edit) bool {
			return e.DeviceID == part && e.Action == proto.EditMerge && e.Into == id
		})
		if err != nil {
			return nil, err
		}
		for _, m := range merges { // the device's own keep the order of their offsets
			at := slices.IndexFunc(list, func(e *proto.Edit) bool { return e.Time > m.Time })
			if at < 0 {
				at = len(list)
			}
			list = slices.Insert(list, at, m)
		}
	}
	return fingerprint.EditHistory(list), nil
}

// edits reads those of a lane that are wanted, in the order of their offsets.
func (d *desk) edits(ctx context.Context, lane proto.Lane, wanted func(*proto.Edit) bool) ([]*proto.Edit, error) {
	r, err := bus.NewReader(d.kafka)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var list []*proto.Edit
	_, err = r.Read(ctx, proto.TopicEdits, lane.Partition(d.kafka.Partitions), 0, func(rec bus.Record) error {
		e := new(proto.Edit)
		if !rec.Control && json.Unmarshal(rec.Value, e) == nil && wanted(e) {
			list = append(list, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", proto.TopicEdits, err)
	}
	return list, nil
}
