package store_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

var noon = proto.TimeOf(time.Now().UTC().Truncate(time.Hour))

func at(partition int32, offset int64, index int32) *store.Coordinates {
	return &store.Coordinates{Generation: 1, Partition: partition, Offset: offset, Index: index, Time: noon, Producer: "tap", Seq: uint64(offset*100) + uint64(index)}
}

func block(n int, partition int32, from int64) *store.FlowBlock {
	b := store.NewFlowBlock()
	for i := range n {
		f := proto.Flow{FlowID: proto.HashID("f", []byte{byte(i)}), Site: "north", Start: noon, End: noon}
		b.Add(&f, at(partition, from+int64(i/10), int32(i%10)))
	}
	return b
}

func all(partition int32, from, to int64) store.Range {
	return store.Range{Generation: 1, Partition: partition, From: from, To: to, First: noon, Last: noon}
}

func count(t *testing.T, s *store.Store, r store.Range) int {
	t.Helper()
	n, err := s.Count(context.Background(), store.Flows, r)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func insert(t *testing.T, s *store.Store, b *store.Block, token string) {
	t.Helper()
	if err := s.Insert(context.Background(), b, token); err != nil {
		t.Fatal(err)
	}
}

func TestInsertTokenDropsTheSecond(t *testing.T) {
	s := migrated(t)
	b := block(25, 3, 70)
	insert(t, s, &b.Block, "traffic/3/70-73/1")
	insert(t, s, &b.Block, "traffic/3/70-73/1")
	if n := count(t, s, all(3, 0, 100)); n != 25 {
		t.Fatalf("%d rows after the same token twice, want 25", n)
	}
	insert(t, s, &b.Block, "traffic/3/70-73/2")
	if n := count(t, s, all(3, 0, 100)); n != 50 {
		t.Fatalf("%d rows after another token, want 50: the test does not see what it should", n)
	}
	for _, c := range []struct {
		r    store.Range
		want int
	}{{all(3, 71, 72), 20}, {all(4, 0, 100), 0}, {all(3, 72, 73), 10}, {store.Range{Generation: 2, Partition: 3, To: 100, First: noon, Last: noon}, 0}} {
		if n := count(t, s, c.r); n != c.want {
			t.Errorf("%+v: %d rows, want %d", c.r, n, c.want)
		}
	}
}

func TestMissingRowsAreFoundAndInserted(t *testing.T) {
	s := migrated(t)
	part := block(25, 3, 70)
	drop := map[store.RowID]struct{}{}
	for i := range part.Len() {
		if id := part.ID(i); id.Offset != 71 && id.Index != 3 {
			drop[id] = struct{}{}
		}
	}
	part.Without(drop)
	insert(t, s, &part.Block, "a")
	have, err := s.Existing(context.Background(), store.Flows, all(3, 70, 73))
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != 12 {
		t.Fatalf("%d rows, want 12", len(have))
	}
	rest := block(25, 3, 70)
	rest.Without(have)
	insert(t, s, &rest.Block, "b")
	if n := count(t, s, all(3, 70, 73)); n != 25 {
		t.Fatalf("%d rows, want 25", n)
	}
	if got := rows(t, s, "SELECT count(), uniqExact(kafka_offset, kafka_index) FROM flows"); got[0][1] != uint64(25) {
		t.Fatalf("distinct: %v", got)
	}
}

func TestMaxSeqStartsFromWhatWasSaved(t *testing.T) {
	s := migrated(t)
	ctx := context.Background()
	tables := []string{store.Flows, store.Observations}
	b := block(25, 3, 70)
	insert(t, s, &b.Block, "a")
	o := store.NewObservationBlock()
	o.Add(&proto.Observation{Time: noon, Site: "north", Attributes: proto.Attributes{{Name: "hostname", Value: "a"}}}, at(3, 72, 9))
	insert(t, s, &o.Block, "o")
	check := func(before int64, want uint64) {
		t.Helper()
		got, err := s.MaxSeq(ctx, proto.TopicTraffic, tables, 1, 3, before)
		if err != nil {
			t.Fatal(err)
		}
		if got["tap"] != want {
			t.Errorf("before %d: %v, want %d", before, got, want)
		}
	}
	check(70, 0)
	check(72, 7109)
	check(73, 7209)
	p := store.Producers{Topic: proto.TopicTraffic, Generation: 1, Partition: 3, Offset: 73, Time: noon, Seq: map[string]uint64{"tap": 7209, "file-x": 12}}
	if err := s.SaveProducers(ctx, p); err != nil {
		t.Fatal(err)
	}
	exec(t, s, "TRUNCATE TABLE "+s.Database()+".flows")
	check(73, 7209)
	c := block(1, 3, 80)
	insert(t, s, &c.Block, "c")
	check(81, 8000)
	if got, _ := s.MaxSeq(ctx, proto.TopicTraffic, tables, 1, 3, 81); got["file-x"] != 12 {
		t.Errorf("a producer that was saved and said no more is forgotten: %v", got)
	}
}

func TestImplausibleTimesAreStoredClamped(t *testing.T) {
	s := migrated(t)
	b := store.NewFlowBlock()
	b.Add(&proto.Flow{Site: "a", Start: noon, End: noon + 1}, at(0, 0, 0))
	b.Add(&proto.Flow{Site: "b", Start: -5, End: noon.Add(48 * time.Hour)}, at(0, 0, 1))
	insert(t, s, &b.Block, "a")
	got := rows(t, s, "SELECT toYear(start), end, time_clamped FROM flows ORDER BY site")
	if got[0][1] != (noon+1).String() || got[0][2] != false {
		t.Errorf("a good time: %v", got[0])
	}
	if got[1][0] != uint16(2000) || got[1][1] != noon.Add(24*time.Hour).String() || got[1][2] != true {
		t.Errorf("a bad time: %v", got[1])
	}
}

// first gives the first row of a query by column.
func first(t *testing.T, s *store.Store, sql string, args ...any) map[string]any {
	t.Helper()
	r, err := s.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if !r.Next() {
		t.Fatal(r.Err())
	}
	v, err := r.Values()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for i, name := range r.Columns {
		got[name] = v[i]
	}
	return got
}

// Every field of a flow must come back from the view as the contract's JSON has it.
func TestFlowSurvivesTheWay(t *testing.T) {
	s := migrated(t)
	f := proto.Flow{
		FlowID: proto.HashID("x"), Part: 2, Final: true, Site: "north", Sensor: "tap0", Start: noon + 123456789, End: noon + 987654321, Transport: proto.TCP,
		SrcIP: netip.MustParseAddr("10.0.0.1"), SrcPort: 40000, SrcMAC: proto.MAC{0, 1, 2, 0xaa, 0xbb, 0xcc}, SrcPackets: 1, SrcBytes: 2, SrcPayloadBytes: 3,
		DstIP: netip.MustParseAddr("fd00::1"), DstPort: 104, DstMAC: proto.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, DstPackets: 4, DstBytes: 1 << 40, DstPayloadBytes: 6,
		VLAN: 7, VLANInner: 8, Tunnel: proto.Strings{"gre", "vxlan"}, State: "SF", Protocol: "dicom", ProtocolBy: "content", ProtocolInner: proto.Strings{"dicomweb"},
		CommunityID: proto.CommunityID{1, 2, 3, 19: 0}, DuplicateOfSensor: "tap1", SrcEndpoint: proto.HashID("e1"), DstEndpoint: proto.HashID("e2"), SrcInside: true, DstInside: true,
		SrcRetransmits: 1, DstRetransmits: 2, SrcResets: 3, DstResets: 4, SrcZeroWindows: 5, DstZeroWindows: 6, SrcRTT: 187, DstRTT: 1_234_567,
		FirstPayload: proto.ByDst, Path: proto.Strings{proto.PathAsymmetric, proto.PathDstNAT},
		SrcMessages: &proto.Messages{Count: 9, First: noon + 5, Last: noon + 7, Gaps: proto.Histogram{{Low: 0, Count: 1}, {Low: 4608, Count: 2}}, Sizes: proto.Histogram{{Low: 96, Count: 3}}},
		DstMessages: &proto.Messages{Sizes: proto.Histogram{{Low: 1 << 31, Count: 1<<32 - 1}}},
	}
	empty := proto.Flow{Site: "south", Start: noon, End: noon, SrcIP: netip.MustParseAddr("::"), DstIP: netip.MustParseAddr("1::ffff:2")}
	b := store.NewFlowBlock()
	b.Add(&f, at(0, 0, 0))
	b.Add(&empty, at(0, 0, 1))
	insert(t, s, &b.Block, "a")
	for i, want := range []*proto.Flow{&f, &empty} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		got := first(t, s, "SELECT * FROM v_flows WHERE site = ?", want.Site)
		for k, x := range fields {
			a, _ := json.Marshal(x)
			b, _ := json.Marshal(got[k])
			if string(a) != string(b) {
				t.Errorf("flow %d, %s: %s, want %s", i, k, b, a)
			}
		}
	}
}

func TestRecordBlocksRefuseGarbageWithoutQuotingIt(t *testing.T) {
	canary := "Mustermann"
	for _, table := range []string{store.Bindings, store.Devices, store.Detections, store.Alerts, store.RiskHistory, store.Deadletters} {
		b, err := store.NewRecordBlock(table)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{canary, `{"time":"` + canary + `"}`, `{"` + canary, `[1]`, `{"device_id":7,"x":"` + canary + `"}`, ""} {
			err := b.Add(&store.Record{Value: []byte(bad), Key: []byte(canary), At: *at(0, 0, 0)})
			if err == nil {
				t.Errorf("%s takes %q", table, bad)
			} else if strings.Contains(err.Error(), canary) {
				t.Errorf("%s quotes the record: %v", table, err)
			}
			if b.Len() != 0 {
				t.Fatalf("%s kept part of %q", table, bad)
			}
		}
	}
}

// A kill in the middle of a block of two days leaves one day: the rest may be
// inserted under the same token, which is remembered by day.
func TestSameTokenCompletesTheOtherDay(t *testing.T) {
	s := migrated(t)
	make2 := func() *store.FlowBlock {
		b := store.NewFlowBlock()
		for i := range 10 {
			c := at(1, 5, int32(i))
			if i >= 5 {
				c.Time = noon.Add(-24 * time.Hour)
			}
			b.Add(&proto.Flow{Site: "north", Start: noon, End: noon}, c)
		}
		return b
	}
	r := store.Range{Generation: 1, Partition: 1, From: 5, To: 6, First: noon.Add(-24 * time.Hour), Last: noon}
	b := make2()
	second := map[store.RowID]struct{}{}
	for i := 5; i < 10; i++ {
		second[b.ID(i)] = struct{}{}
	}
	b.Without(second)
	insert(t, s, &b.Block, "t1")
	for range 2 { // the second time nothing is missing, and the token drops it
		rest := make2()
		insert(t, s, &rest.Block, "t1")
		if n := count(t, s, r); n != 10 {
			t.Fatalf("%d rows, want 10", n)
		}
	}
	if n, err := s.MaxOffset(context.Background(), []string{store.Flows, store.Observations}, 1, 1, 0); err != nil || n != 5 {
		t.Errorf("highest offset %d, %v; want 5", n, err)
	}
	if n, err := s.MaxOffset(context.Background(), []string{store.Flows}, 1, 1, 6); err != nil || n != -1 {
		t.Errorf("highest offset %d, %v; want -1", n, err)
	}
}

// Timestamps are the producer's word: no number of days may stop a partition.
func TestBlockOfManyDays(t *testing.T) {
	cfg := testConfig(t)
	cfg.Retention.Days = 1000
	s := open(t, cfg)
	migrate(t, s)
	b := store.NewFlowBlock()
	for i := range 150 {
		c := at(0, 0, int32(i))
		c.Time = noon.Add(-time.Duration(i) * 24 * time.Hour)
		b.Add(&proto.Flow{Site: "north", Start: noon, End: noon}, c)
	}
	insert(t, s, &b.Block, "a")
	r := store.Range{Generation: 1, To: 1, First: noon.Add(-150 * 24 * time.Hour), Last: noon}
	if n := count(t, s, r); n != 150 {
		t.Errorf("%d rows, want 150", n)
	}
}
