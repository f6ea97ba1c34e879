package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// desk hands edits in, and says what the device fold said of them.
type desk struct {
	t      *testing.T
	s      *store.Store
	offset int64
}

func (d *desk) row(table string, offset int64, v any) {
	d.t.Helper()
	b, err := store.NewRecordBlock(table)
	if err != nil {
		d.t.Fatal(err)
	}
	value, err := json.Marshal(v)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := b.Add(&store.Record{Value: value, Envelope: proto.Envelope{Time: noon}, At: *at(2, offset, 0)}); err != nil {
		d.t.Fatal(err)
	}
	insert(d.t, d.s, &b.Block, fmt.Sprint(table, offset, time.Now().UnixNano()))
}

func (d *desk) edit(device proto.ID, id byte, e proto.Edit) int64 {
	d.offset++
	e.DeviceID, e.EditID, e.Time = device, proto.ID{id}, noon.Add(time.Duration(d.offset)*time.Minute)
	if e.By == "" {
		e.By = "m.keller"
	}
	d.row(store.Edits, d.offset, &e)
	return d.offset
}

func TestEditHistory(t *testing.T) {
	d := &desk{t: t, s: migrated(t)}
	set := func(v string) proto.Edit { return proto.Edit{Action: proto.EditSet, Attribute: "model", Value: v} }
	d.edit(pump, 1, set("A"))
	d.edit(pump, 2, set("B"))
	d.edit(pump, 3, proto.Edit{Action: proto.EditUndo, Undoes: proto.ID{2}, By: "a.meyer", Note: "misread"})
	d.edit(pump, 4, proto.Edit{Action: proto.EditConfirm, Attribute: "location", Value: "W3"})
	d.edit(pump, 1, set("C"))
	bad := d.edit(pump, 5, proto.Edit{Action: proto.EditSet, Attribute: "colour", Value: "red"})
	d.row(store.Deadletters, 1, &proto.Deadletter{Time: noon, Topic: proto.TopicEdits, Partition: 2, Offset: bad, Consumer: "device", Reason: "attribute: unknown"})
	d.edit(pump, 6, proto.Edit{Action: proto.EditRate, Rating: 2})
	kept := d.edit(pump, 7, proto.Edit{Action: proto.EditRate, Rating: 4})
	d.row(store.Deadletters, 2, &proto.Deadletter{Time: noon, Topic: proto.TopicEdits, Partition: 2, Offset: kept, Consumer: "device", Reason: "no device of this id is known; the edit is kept, and holds when the device is seen"})
	d.edit(pump, 8, proto.Edit{Action: proto.EditRate, Rating: 5, By: "a.meyer"})
	d.edit(pump, 9, proto.Edit{Action: proto.EditNote, Note: "lent to ward 5", MadeOn: laptop})
	d.edit(laptop, 13, proto.Edit{Action: proto.EditMerge, Into: pump, By: "wardflow"})
	d.edit(pump, 10, proto.Edit{Action: proto.EditSplit, MadeOn: laptop, By: "wardflow"})
	d.edit(laptop, 11, proto.Edit{Action: proto.EditMerge, Into: pump, By: "wardflow"}) // again, after it had left
	d.edit(pump, 14, proto.Edit{Action: proto.EditJoin, Into: laptop})
	d.edit(laptop, 1, set("D")) // of another device
	refused := d.edit(pump, 12, proto.Edit{Action: proto.EditUndo, Undoes: proto.ID{1}})
	d.row(store.Deadletters, 3, &proto.Deadletter{Time: noon, Topic: proto.TopicEdits, Partition: 2, Offset: refused, Consumer: "device", Reason: "undoes: gone"})
	check := func() {
		t.Helper()
		want := "[[1 set A holds   ] [2 set B undone  a.meyer misread] [3 undo  holds   ] [4 confirm W3 holds   ] [1 set C repeated   ] [5 set red refused attribute: unknown  ] [6 rate  earlier   ] [7 rate  holds   ] [8 rate  holds   ] [9 note  left   ] [13 merge  left   ] [10 split  holds   ] [11 merge  holds   ] [14 join  holds   ] [1 set D holds   ] [12 undo  refused undoes: gone  ]]"
		got := fmt.Sprint(rows(t, d.s, "SELECT reinterpretAsUInt8(unhex(substring(edit_id, 1, 2))), action, value, state, refused_because, undone_by, undone_note FROM v_edits ORDER BY kafka_time, time"))
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	check()
	d.offset = 1 // a record inserted again is the same row
	d.edit(pump, 2, set("B"))
	check()
	if got := fmt.Sprint(rows(t, d.s, "SELECT undone_at, undone_by_edit FROM v_edits WHERE state = 'undone'")); got != fmt.Sprintf("[[%s %s]]", noon.Add(3*time.Minute), proto.ID{3}) {
		t.Errorf("undone: %s", got)
	}
}

func TestEditThatIsNone(t *testing.T) {
	b, err := store.NewRecordBlock(store.Edits)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{}`, `{"device_id":"01000000000000000000000000000000"}`, `[]`, ``, `{"device_id":"01000000000000000000000000000000","edit_id":"01000000000000000000000000000000","rating":900}`} {
		if err := b.Add(&store.Record{Value: []byte(bad), At: *at(0, 0, 0)}); err == nil || b.Len() != 0 {
			t.Errorf("%s is taken", bad)
		}
	}
}
