package proto

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

var update = flag.Bool("update", false, "write the golden files of this schema version")

func sampleFlow() *Flow {
	return &Flow{
		FlowID: ID{1, 2, 3}, Part: 7, Final: true, Start: 1763337600123456789, End: 1763337601123456789, Transport: TCP,
		SrcIP: netip.MustParseAddr("10.41.8.31"), SrcPort: 49152, SrcMAC: MAC{0, 1, 0xe3, 0x5d, 0x31, 1}, SrcPackets: 10, SrcBytes: 4000, SrcPayloadBytes: 3400,
		DstIP: netip.MustParseAddr("2001:db8::20"), DstPort: 104, DstMAC: MAC{0x94, 0x57, 0xa5, 0x20, 0x41, 0x14}, DstPackets: 9, DstBytes: 1 << 40, DstPayloadBytes: 88,
		VLAN: 12, VLANInner: 3, Tunnel: Strings{"gre"}, State: "SF", Protocol: "dicom", ProtocolBy: ByContent, ProtocolInner: Strings{"dicomweb"},
		CommunityID: CommunityID{9, 9}, SrcEndpoint: ID{4}, DstEndpoint: ID{5}, SrcInside: true, DstInside: true, DuplicateOfSensor: "tap-2",
		SrcRetransmits: 2, DstRetransmits: 1, SrcResets: 1, DstResets: 3, SrcZeroWindows: 70000, DstZeroWindows: 4, SrcRTT: 187, DstRTT: 12000,
		FirstPayload: ByDst, Path: Strings{PathAsymmetric, PathSrcNAT},
		SrcMessages: &Messages{Count: 12, First: 1763337600200000000, Last: 1763337601000000000, Gaps: Histogram{{0, 3}, {4608, 5}, {5120, 4}}, Sizes: Histogram{{96, 11}}},
		DstMessages: &Messages{Count: 1, First: 7, Last: 7},
	}
}

func sampleBatch() *Batch {
	o := &Observation{Time: 5, FlowID: ID{1}, Protocol: "dhcp", Kind: "request", Endpoint: ID{4}, IP: netip.MustParseAddr("10.0.0.9"), MAC: MAC{2}, VLAN: 4, Gateway: ID{8}, Peer: ID{9}}
	o.Attributes.Set("hostname", "us1")
	o.Attributes.SetList("parameter_list", []string{"1", "3"})
	o.Identify()
	return &Batch{Version: SchemaTraffic, Site: "ward-a", Sensor: "tap", Producer: "file:1", Domain: "file:1", FirstSeq: 3, Items: []Item{
		{Lane: 5, Flow: sampleFlow()}, {Lane: 6, Mirror: true, Flow: sampleFlow()}, {Lane: 7, Observation: o}, {Heartbeat: &Heartbeat{Clock: 99, End: true}},
	}}
}

// golden messages of every schema version stay readable.
func goldenMessages() map[string]msgpack.CustomEncoder {
	return map[string]msgpack.CustomEncoder{
		"batch": sampleBatch(),
		"summary": &Summary{
			Endpoint: ID{1}, Group: ID{2}, Site: "s", MAC: MAC{3}, IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Hostnames: []string{"h"}, AETitles: []string{"CT1"},
			Gateway: ID{4}, FirstSeen: 1, LastSeen: 2, Version: 3, Evidence: []Evidence{{"model", "X", "dicom", 1, 2, 3, 0.5}},
		},
		"claim": &Claim{
			Endpoint: ID{1}, Site: "s", Class: ClassLocal, FirstSeen: 1, Gateway: ID{2}, Hour: 3, Hours: 5, Version: 4, Watched: true, Keys: []ClaimKey{{ClaimOwns, "10.0.0.1", 7}, {Kind: ClaimSerial, Value: "A1"}},
			Verdict: &Verdict{EditID: ID{3}, Other: ID{4}, Same: true, Undone: true, By: "k", Time: 9},
		},
		"grouping": &Grouping{Endpoint: ID{1}, Group: ID{2}, Since: 3, Watched: true, Why: "w", Time: 4, Domain: "live", Site: "s", Version: 5},
		"nested":   &Nested{Site: "s", Observation: Observation{Time: 1, Site: "s", Protocol: "dicom", Kind: "n_create", Endpoint: ID{1}, Gateway: ID{2}, Attributes: Attributes{{Name: "station_ae", Value: "CT1"}}}},
		"binding":  &Binding{Endpoint: ID{1}, Device: ID{2}, Site: "s", Category: "medical", Type: "ct", Criticality: "high", Location: "W3", Gateway: ID{3}, Version: 4},
		"progress": &Progress{Fold: "endpoint", Partition: 3, Via: 2, Next: Position{100, 4}},
		"rollups": &RollupBatch{Rows: []Rollup{
			{Pair: &Pair{Site: "s", Hour: 3600, Endpoint: ID{1}, PeerID: ID{2}, ClientIP: netip.MustParseAddr("10.0.0.1"), PeerIP: netip.MustParseAddr("::1"), Transport: TCP, Port: 104, Protocol: "dicom", Flows: 1, SrcPackets: 2, SrcBytes: 3, DstPackets: 4, DstBytes: 5, First: 6, Last: 7, VLAN: 40}},
			{Activity: &Activity{Site: "s", Hour: 3600, Endpoint: ID{1}, Flows: 1, PacketsOut: 2, BytesOut: 3, PacketsIn: 4, BytesIn: 5, First: 6, Last: 7}},
		}},
	}
}

func decoder(t *testing.T, m any) msgpack.CustomDecoder {
	t.Helper()
	d, ok := m.(msgpack.CustomDecoder)
	if !ok {
		t.Fatalf("%T cannot be decoded", m)
	}
	return d
}

func TestGoldenVersions(t *testing.T) {
	for name, m := range goldenMessages() {
		path := filepath.Join("testdata", name+".v1.msgpack")
		if *update {
			b, err := Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface()
		if err := Unmarshal(b, decoder(t, got)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := m
		if batch, ok := want.(*Batch); ok {
			for i := range batch.Items { // site and sensor come from the batch
				if f := batch.Items[i].Flow; f != nil {
					f.Site, f.Sensor = batch.Site, batch.Sensor
				}
				if o := batch.Items[i].Observation; o != nil {
					o.Site, o.Sensor = batch.Site, batch.Sensor
				}
			}
		}
		if !reflect.DeepEqual(got, any(want)) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

// A flow as it was before it had more than 31 fields is read as it was.
func TestFlowOf31Fields(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "batch-31.v1.msgpack"))
	if err != nil {
		t.Fatal(err)
	}
	var got Batch
	if err := Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := sampleFlow()
	want.Site, want.Sensor = got.Site, got.Sensor
	want.SrcRTT, want.DstRTT, want.FirstPayload, want.Path, want.SrcMessages, want.DstMessages = 0, 0, "", nil, nil, nil
	want.SrcRetransmits, want.DstRetransmits, want.SrcResets, want.DstResets, want.SrcZeroWindows, want.DstZeroWindows = 0, 0, 0, 0, 0, 0
	if len(got.Items) != len(sampleBatch().Items) || !reflect.DeepEqual(got.Items[0].Flow, want) {
		t.Errorf("%d items, flow\n got %+v\nwant %+v", len(got.Items), got.Items[0].Flow, want)
	}
}

// A conversation as it was before it had a VLAN is read as it was.
func TestPairWithoutVLAN(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "rollups-16.v1.msgpack"))
	if err != nil {
		t.Fatal(err)
	}
	var got RollupBatch
	if err := Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want, _ := goldenMessages()["rollups"].(*RollupBatch)
	want.Rows[0].Pair.VLAN = 0
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("got %+v", got.Rows[0].Pair)
	}
}

// A flow and its mirror are one until each is moved in time.
func TestShift(t *testing.T) {
	f := sampleFlow()
	mirror := *f
	f.Shift(time.Second)
	mirror.Shift(time.Second)
	want := sampleFlow()
	for _, got := range []*Flow{f, &mirror} {
		if got.Start != want.Start.Add(time.Second) || got.End != want.End.Add(time.Second) || got.SrcMessages.First != want.SrcMessages.First.Add(time.Second) ||
			got.SrcMessages.Last != want.SrcMessages.Last.Add(time.Second) || got.DstMessages.Count != 1 {
			t.Errorf("moved by a second: %+v, messages %+v, %+v", got, got.SrcMessages, got.DstMessages)
		}
	}
}

// The times of messages are null where there are none, and keys tell the sides.
func TestMessagesInJSON(t *testing.T) {
	b, err := json.Marshal(&Flow{SrcRTT: 187, DstMessages: &Messages{Count: 3, First: 1, Last: 2, Gaps: Histogram{{0, 1}, {4608, 2}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"src_rtt_ms":0.187,"dst_rtt_ms":null,"first_payload":"","path":[],`,
		`"src_messages":0,"src_message_first":null,"src_message_last":null,"src_message_gap_ms":{},"src_message_bytes":{},`,
		`"dst_messages":3,"dst_message_first":"1970-01-01T00:00:00.000000001Z","dst_message_last":"1970-01-01T00:00:00.000000002Z",` +
			`"dst_message_gap_ms":{"0":1,"4608":2},"dst_message_bytes":{}}`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
}

// Histograms that are cut short or hostile are refused.
func TestHostileHistograms(t *testing.T) {
	f := sampleFlow()
	whole, err := Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := Unmarshal(whole[:n], &Flow{}); err == nil {
			t.Fatalf("%d of %d bytes were taken for a flow", n, len(whole))
		}
	}
	f.SrcMessages, f.DstMessages = nil, &Messages{Gaps: Histogram{{1, 2}}}
	b, err := Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	odd := slices.Concat(b[:len(b)-4], []byte{0x91, 1, 0x90}) // one number
	if err := Unmarshal(odd, &Flow{}); err == nil {
		t.Error("half a bin was taken")
	}
}

// Whoever holds a msgpack codec reads and writes the same.
func TestMsgpackCodec(t *testing.T) {
	for name, m := range goldenMessages() {
		own, err := Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := msgpack.Marshal(m)
		if err != nil || !reflect.DeepEqual(own, theirs) {
			t.Fatalf("%s: %v: the two encodings differ", name, err)
		}
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface()
		if err := msgpack.Unmarshal(own, got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		enc, ok := got.(msgpack.CustomEncoder)
		if !ok {
			t.Fatalf("%T cannot be encoded", got)
		}
		again, err := Marshal(enc)
		if err != nil || !reflect.DeepEqual(own, again) {
			t.Errorf("%s: %v: decoding by the msgpack codec lost something", name, err)
		}
	}
}

// A newer writer may add fields; an older one lacks some.
func TestOtherVersions(t *testing.T) {
	for name, m := range goldenMessages() {
		if name == "rollups" {
			continue // an array of rows; the rows are checked below
		}
		b, err := Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		longer := append([]byte{}, b...)
		if longer[0]&0xf0 != 0x90 {
			t.Fatalf("%s does not start with a short array", name)
		}
		longer[0]++
		longer = append(longer, 0x81, 0xa1, 'x', 0x01) // a map that nobody knows
		got := decoder(t, reflect.New(reflect.TypeOf(m).Elem()).Interface())
		if err := Unmarshal(longer, got); err != nil {
			t.Errorf("%s with one more field: %v", name, err)
		}
		empty := decoder(t, reflect.New(reflect.TypeOf(m).Elem()).Interface())
		if err := Unmarshal([]byte{0x90}, empty); err != nil {
			t.Errorf("%s without fields: %v", name, err)
		}
	}
}

func TestBatchWriterAgrees(t *testing.T) {
	b := sampleBatch()
	want, err := Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	w := NewBatchWriter()
	for i := range b.Items {
		if err := w.Add(&b.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add(&Item{}); err == nil {
		t.Error("an item without content was taken")
	}
	if w.Len() != len(b.Items) {
		t.Errorf("Len = %d", w.Len())
	}
	got, err := w.Finish(b)
	if err != nil {
		t.Fatal(err)
	}
	var a, z Batch
	if err := Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := Unmarshal(want, &z); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, z) {
		t.Errorf("got %+v\nwant %+v", a, z)
	}
	if w.Len() != 0 || w.Size() != 0 {
		t.Error("the writer is not empty after Finish")
	}
}

func TestEnvelope(t *testing.T) {
	want := Envelope{Schema: 1, Kind: KindBinding, Producer: "device/3", Seq: 9, Cause: Cause{2, Position{5, 6}}, Time: 7, Domain: LiveDomain}
	b, err := want.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got Envelope
	if err := got.Parse(b); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for n := range b {
		if err := got.Parse(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for an envelope", n, len(b))
		}
	}
}

func TestJSONForms(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{ID{}, `null`},
		{ID{0xab}, `"ab000000000000000000000000000000"`},
		{MAC{}, `""`},
		{MAC{0, 0x1a, 0x4b, 0x5e, 0x91, 1}, `"00:1a:4b:5e:91:01"`},
		{Time(1), `"1970-01-01T00:00:00.000000001Z"`},
		{VLAN(0), `null`},
		{VLAN(7), `7`},
		{Strings(nil), `[]`},
		{IDs(nil), `[]`},
		{Object(nil), `{}`},
		{Transport(47), `"47"`},
		{ICMP6, `"icmp6"`},
		{CommunityID{}, `""`},
		{Attributes{{Name: "a", Value: "b"}, {Name: "c", List: []string{}}}, `{"a":"b","c":[]}`},
	} {
		b, err := json.Marshal(c.v)
		if err != nil || string(b) != c.want {
			t.Errorf("%T: got %s, %v; want %s", c.v, b, err, c.want)
		}
	}
}

// The decoders take any bytes without a panic and without believing a length.
func FuzzDecode(f *testing.F) {
	for _, m := range goldenMessages() {
		b, err := Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []msgpack.CustomDecoder{&Batch{}, &Summary{}, &Claim{}, &Grouping{}, &Nested{}, &Binding{}, &Progress{}, &RollupBatch{}} {
			if err := Unmarshal(b, m); err != nil {
				continue
			}
			enc, ok := m.(msgpack.CustomEncoder)
			if !ok {
				t.Fatalf("%T cannot be encoded", m)
			}
			again, err := Marshal(enc)
			if err != nil && strings.Contains(err.Error(), "without content") {
				continue // an item or row of a newer kind cannot be written by this build
			}
			if err != nil {
				t.Fatalf("%T: decoded but not encoded: %v", m, err)
			}
			if err := Unmarshal(again, m); err != nil {
				t.Fatalf("%T: encoded but not decoded: %v", m, err)
			}
		}
		var e Envelope
		_ = e.Parse(b)
	})
}

func BenchmarkBatch(b *testing.B) {
	batch := &Batch{Site: "s", Sensor: "t", Producer: "p", Domain: "d"}
	for range 1000 {
		batch.Items = append(batch.Items, Item{Lane: 1, Flow: sampleFlow()})
	}
	enc, err := Marshal(batch)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		w := NewBatchWriter()
		for b.Loop() {
			for i := range batch.Items {
				_ = w.Add(&batch.Items[i])
			}
			_, _ = w.Finish(batch)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/flow")
		b.ReportMetric(float64(len(enc))/1000, "B/flow")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			var got Batch
			if err := Unmarshal(enc, &got); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/flow")
	})
}
