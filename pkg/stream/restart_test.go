package stream_test

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// shelf is a Store of one partition.
type shelf map[string][]byte

func (s shelf) Get(_ int32, key []byte) ([]byte, bool, error) {
	v, ok := s[string(key)]
	return append([]byte(nil), v...), ok, nil
}

func (s shelf) Each(_ int32, prefix []byte, f func(key, val []byte) bool) error {
	var keys []string
	for k := range s {
		if strings.HasPrefix(k, string(prefix)) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !f([]byte(k), s[k]) {
			return nil
		}
	}
	return nil
}

func (s shelf) apply(changes []stream.Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(s, string(c.Key))
			continue
		}
		s[string(c.Key)] = c.Value
	}
}

// A fold that stops while it has heard more of its upstream than it has applied
// waits, after its restart, until it has read those events again: its gate is in
// its state, and they are not.
func TestRestartReadsAgainWhatItHeard(t *testing.T) {
	state := shelf{}
	open := func() *stream.Partition {
		t.Helper()
		p, err := stream.OpenPartition(checker{}, 0, stream.Options{Store: state})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	run := func(p *stream.Partition) (seen []string) {
		for p.Run(100, testPartitions, time.Unix(0, 0)) > 0 {
		}
		c, err := p.Prepare(0)
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			return nil
		}
		for _, o := range c.Outputs {
			var d struct {
				Count int `json:"count"`
			}
			if err := json.Unmarshal(o.Value, &d); err != nil {
				t.Fatal(err)
			}
			seen = append(seen, fmt.Sprint(d.Count))
		}
		state.apply(c.Changes)
		p.Committed(c, 100)
		return seen
	}
	flows := func(offset int64, n int) stream.Record {
		t.Helper()
		b := proto.Batch{Site: "s", Sensor: "x", Domain: proto.LiveDomain, Producer: "x", FirstSeq: uint64(offset)*10 + 1}
		for range n {
			b.Items = append(b.Items, proto.Item{Flow: &proto.Flow{Site: "s", SrcEndpoint: proto.ID{1}}})
		}
		val, err := proto.Marshal(&b)
		if err != nil {
			t.Fatal(err)
		}
		return stream.Record{Topic: proto.TopicTraffic, Offset: offset, Value: val}
	}
	must := func(val []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return val
	}
	side := func(offset int64, kind string, seq uint64, cause proto.Position, val []byte) stream.Record {
		t.Helper()
		env, err := (&proto.Envelope{Schema: proto.SchemaDerived, Kind: kind, Producer: "counter/0", Seq: seq, Cause: proto.Cause{Position: cause}}).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		return stream.Record{Topic: proto.TopicBindings, Offset: offset, Envelope: env, Value: val}
	}
	binding := func(offset int64, version uint64, cause proto.Position) stream.Record {
		return side(offset, proto.KindBinding, version, cause, must(proto.Marshal(&proto.Binding{Endpoint: proto.ID{1}, Site: "s", Version: version})))
	}
	bindings := []stream.Record{
		binding(0, 1, proto.Position{Offset: 0}),
		binding(1, 2, proto.Position{Offset: 1}),
		side(2, proto.KindProgress, 0, proto.Position{}, must(proto.Marshal(&proto.Progress{Fold: "counter", Next: proto.Position{Offset: 2}}))),
	}

	p := open()
	p.Offer(flows(0, 1))
	for _, r := range bindings {
		p.Offer(r)
	}
	if seen := run(p); len(seen) != 1 || seen[0] != "1" {
		t.Fatalf("the first flow saw %v, want version 1", seen)
	}

	p = open()
	p.Offer(flows(1, 1))
	if seen := run(p); len(seen) > 0 {
		t.Fatalf("the second flow saw version %v before the binding that it caused was read again", seen)
	}
	for _, r := range bindings[1:] {
		p.Offer(r)
	}
	if seen := run(p); len(seen) != 1 || seen[0] != "2" {
		t.Fatalf("the second flow saw %v, want version 2", seen)
	}
}
