package sink_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
)

// People's edits carry no numbers, the fold's own do: each is stored once, also when the
// sink is killed and begins again, and what is none goes to the dead letters.
func TestEditsAreStored(t *testing.T) {
	log, s := newLog(), openStore(t)
	device := proto.HashID("pump")
	put := func(id string, env proto.Envelope, value []byte) {
		t.Helper()
		if value == nil {
			var err error
			e := proto.Edit{EditID: proto.HashID(id), DeviceID: device, Time: 1_800_000_000e9, By: "m.keller", Action: proto.EditNote, Note: id}
			if value, err = json.Marshal(e); err != nil {
				t.Fatal(err)
			}
		}
		env.Schema = proto.SchemaDerived
		header, err := env.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		log.append(bus.Record{Topic: proto.TopicEdits, Partition: 1, Key: device[:], Value: value, Envelope: header})
	}
	person, fold := proto.Envelope{Kind: proto.KindEdit}, func(seq uint64) proto.Envelope {
		return proto.Envelope{Kind: proto.KindEdit, Producer: "device/1", Seq: seq}
	}
	put("a", person, nil)
	put("b", fold(1), nil)
	put("c", fold(1), nil) // its number has been there
	put("d", person, []byte(`{"device_id":7}`))
	put("e", proto.Envelope{Kind: proto.KindRisk}, nil)
	first := start(t, config(), log, s, 2)
	log.wait(t)
	first.kill()
	put("f", person, nil)
	put("g", fold(1), nil)
	put("h", fold(2), nil)
	second := start(t, config(), log, s, 2)
	log.wait(t)
	if got := one(t, s, "SELECT arrayStringConcat(arraySort(groupArray(note)), ' ') FROM (SELECT note FROM edits FINAL)"); got != "a b f h" {
		t.Errorf("stored: %q", got)
	}
	if got := fmt.Sprint(first.Counters()["dropped_dead"], first.Counters()["dropped_repeated"], second.Counters()["dropped_repeated"]); got != "1 1 1" {
		t.Errorf("dead and repeated: %s", got)
	}
}
