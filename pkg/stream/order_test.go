package stream

import (
	"testing"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// What two producers say of one item is applied in one order, whichever comes first.
func TestOrderOfTwoProducersIsNotThatOfArrival(t *testing.T) {
	traffic, _ := ledgerInputs(t, true)
	record := func(offset int64, env proto.Envelope, val []byte, err error) Record {
		if err != nil {
			t.Fatal(err)
		}
		env.Schema = proto.SchemaDerived
		head, err := env.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return Record{Topic: proto.TopicBindings, Offset: offset, Envelope: head, Value: val}
	}
	run := func(first, second string) string {
		p, err := OpenPartition(ledger{}, 0, Options{})
		if err != nil {
			t.Fatal(err)
		}
		p.Offer(traffic[0])
		for i, producer := range []string{first, second} {
			b := proto.Binding{Endpoint: proto.HashID("e", []byte{0}), Version: uint64(producer[0])}
			val, err := proto.Marshal(&b)
			p.Offer(record(int64(i), proto.Envelope{Kind: proto.KindBinding, Producer: producer, Seq: 1, Cause: proto.Cause{}}, val, err))
			p.Run(100, 1, time.Time{})
		}
		val, err := proto.Marshal(&proto.Progress{Fold: "up", Next: proto.Position{Offset: 1}})
		p.Offer(record(2, proto.Envelope{Kind: proto.KindProgress}, val, err))
		p.Run(100, 1, time.Time{})
		out := p.TakeOutputs()
		if p.Err() != nil || len(out) == 0 {
			t.Fatalf("no outputs: %v", p.Err())
		}
		return string(out[0].Value)
	}
	if a, b := run("a", "b"), run("b", "a"); a != b {
		t.Errorf("a before b gives %q, b before a gives %q", a, b)
	}
}
