package fingerprint

import (
	"encoding/base64"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// row is any kind of row.
type row interface {
	AppendTo(b []byte) []byte
	Parse(b []byte) error
}

// rowsOfEachKind are rows with the bytes that the release before packed rows wrote.
func rowsOfEachKind() []struct {
	row, empty row
	long       string
} {
	e := []proto.Evidence{
		{Attribute: "hostname", Value: "ct-2", Protocol: "dhcp", First: noon, Last: noon.Add(time.Hour), Count: 7, Weight: 0.8},
		{Attribute: "model", Value: "SOMATOM go.Up", Protocol: "dicom", First: noon.Add(time.Second), Last: noon.Add(time.Second), Count: 1, Weight: 0.95},
	}
	p := &profile{
		mac: proto.MAC{0, 0x30, 0xe6, 1, 2, 3}, gateway: proto.ID{9}, group: proto.ID{8}, version: 5, evidence: e,
		addresses: []tenancy{{ip: netip.MustParseAddr("10.0.0.7"), protocol: "dhcp", first: noon, last: noon.Add(time.Minute), count: 3, owned: ownsLeased}},
		since:     noon, why: "the same serial", watched: true, groupVersion: 4, claimed: 77, hourly: true, hour: 490000, hours: 5,
	}
	m := &memberState{proto.Summary{
		Site: "st-alban", MAC: p.mac, IPs: []netip.Addr{p.addresses[0].ip}, Hostnames: []string{"ct-2"}, AETitles: []string{"CT2"},
		FirstSeen: noon, LastSeen: noon.Add(time.Hour), Version: 5, Evidence: e, Offline: 3900, Missing: 604800, Since: noon, Why: "the same serial",
	}}
	d := &deviceState{version: 5, bindings: []toldBinding{{endpoint: proto.ID{7}, what: "all of it"}}, facts: 11, last: "idle", around: 12, now: noon, domain: "d"}
	u := &useState{
		spans: []proto.Span{{Start: noon, End: noon.Add(time.Minute)}},
		uses:  []proto.Use{{How: proto.UseStudy, Key: "k", Start: noon, End: noon.Add(time.Minute), Open: true, Outcome: "unknown", Signs: 2}},
		signs: []sign{{at: noon.Add(time.Hour), until: noon.Add(2 * time.Hour), how: proto.UseTest, act: signDone, key: "x", count: 3}},
		habit: habit{longest: time.Minute, since: noon, away: [2]time.Duration{2 * time.Hour, time.Hour}}, step: noon, unheard: time.Minute, waited: true,
	}
	l := &timelineState{
		timeline: timeline{from: noon, spans: u.spans, uses: u.uses, offline: 65 * time.Minute, decoded: true},
		told:     []proto.Usage{{Start: noon, End: noon.Add(time.Minute), State: "in_use", Kind: "exam", Outcome: "unknown", Confidence: 0.85}},
	}
	h := &host{
		site: "st-alban", first: noon, last: noon.Add(time.Hour), since: noon.Add(time.Minute), ip4: p.addresses[0].ip,
		timer: true, spoke: true, watching: true, open: true, unsent: true, vlan: 12, news: newsWaiting, window: 9,
	}
	h.seen[1] = 4
	return []struct {
		row, empty row
		long       string
	}{
		{p, new(profile), "ADDmAQIDCQAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAFAQQKAAAHBGRoY3CAgIyWu9Tp6DGA4LqEvwMDAghob3N0bmFtZQRjdC0yBGRoY3CAgIyWu9Tp6DGAgMWLxtEBB8A+BW1vZGVsDVNPTUFUT00gZ28uVXAFZGljb22AqOLPwtTp6DEAAZxKoOg7BQAAAAAAAABNAoCAjJa71OnoMQMED3RoZSBzYW1lIHNlcmlhbA=="},
		{m, new(memberState), "ncQQBwAAAAAAAAAAAAAAAAAAAMQQCAAAAAAAAAAAAAAAAAAAAKhzdC1hbGJhbsQGADDmAQIDkcQECgAAB5GkY3QtMpGjQ1QywM8Y6NNR2WGAAM8Y6NaYChogAAWSl6hob3N0bmFtZaRjdC0ypGRoY3DPGOjTUdlhgADPGOjWmAoaIAAHyz/pmZmZmZmal6Vtb2RlbK1TT01BVE9NIGdvLlVwpWRpY29tzxjo01IU/EoAzxjo01IU/EoAAcs/7mZmZmZmZpiQkM0PPMLPGOjTUdlhgACvdGhlIHNhbWUgc2VyaWFswM4ACTqA"},
		{d, new(deviceState), "BQEHAAAAAAAAAAAAAAAAAAAACWFsbCBvZiBpdAsEaWRsZYCAjJa71OnoMQFkDA=="},
		{u, new(useState), "AYCAjJa71OnoMYDguoS/AwEBAWuAgIyWu9Tp6DGA4LqEvwMBB3Vua25vd24CgOC6hL8DgICMlrvU6egxgICMlrvU6egxAYCA0aGBpuvoMYCAxYvG0QERAXgDoDiQHDwB"},
		{l, new(timelineState), "gICMlrvU6egxAYCAjJa71OnoMYDguoS/AwEBAWuAgIyWu9Tp6DGA4LqEvwMBB3Vua25vd24CvB4BAYCAjJa71OnoMYDguoS/AwZpbl91c2UEZXhhbQd1bmtub3dutEI="},
		{h, new(host), "kwsIc3QtYWxiYW6AgIyWu9Tp6DGAgMWLxtEBBAoAAAcAAAQAABIAAgAMAACAoIqHh84B"},
	}
}

// TestRows: each kind of row comes back as it was, is shorter than it used to be, and what
// an earlier release wrote is read.
func TestRows(t *testing.T) {
	for _, x := range rowsOfEachKind() {
		long, err := base64.StdEncoding.DecodeString(x.long)
		if err != nil {
			t.Fatal(err)
		}
		packed := x.row.AppendTo(nil)
		for how, b := range map[string][]byte{"packed": packed, "of an earlier release": long} {
			if err := x.empty.Parse(b); err != nil {
				t.Errorf("%T %s: %v", x.row, how, err)
			}
			if m, ok := x.empty.(*memberState); ok {
				m.Endpoint, m.Group = proto.ID{}, proto.ID{} // the row's key says them
			}
			if !reflect.DeepEqual(x.row, x.empty) {
				t.Errorf("%T %s: %+v, want %+v", x.row, how, x.empty, x.row)
			}
		}
		if len(packed) > len(long)+16 { // a device's hashes have their full length
			t.Errorf("%T: %d bytes, before it was %d", x.row, len(packed), len(long))
		}
		for n := range packed { // a row that is cut short, or garbled, is an error or another row
			_ = x.empty.Parse(packed[:n])
			garbled := slices.Clone(packed)
			garbled[n] ^= 0xff
			_ = x.empty.Parse(garbled)
		}
	}
}

// A host that waits and has much unwritten comes back, and stays within 256 bytes.
func TestHostRow(t *testing.T) {
	h := &host{site: "st-alban", first: noon, last: noon.Add(time.Hour), since: noon, ip4: netip.MustParseAddr("10.0.0.7"), timer: true, spoke: true, watching: true}
	h.due = due{dueFlush: int64(noon/second) + 300, dueWatch: int64(noon/second) + 3901}
	for i := range mostRepeats {
		h.unwritten.add(i*3, noon.Add(time.Duration(i/2)*time.Minute))
		h.unwritten.tell(noon.Add(time.Duration(i) * time.Hour))
	}
	b, got := h.AppendTo(nil), new(host)
	if err := got.Parse(b); err != nil || !reflect.DeepEqual(h, got) {
		t.Errorf("%+v (%v), want %+v", got, err, h)
	}
	if len(b) > 256 {
		t.Errorf("%d bytes", len(b))
	}
}

// What a profile lacks comes to the same, whether it is written each time or once.
func TestUnwritten(t *testing.T) {
	e := []proto.Evidence{{Attribute: "a", Count: 1, Last: noon}, {Attribute: "b", Count: 1, Last: noon}}
	ip := netip.MustParseAddr("10.0.0.7")
	fresh := func() *profile {
		return &profile{evidence: slices.Clone(e), addresses: []tenancy{{ip: ip, first: noon, last: noon}}, hour: hourOf(noon) - 3, hours: 5}
	}
	each, once := fresh(), fresh()
	h := &host{ip4: ip}
	for i, ago := range []time.Duration{0, 2 * time.Hour, -5 * time.Hour, -70 * time.Hour, -71 * time.Hour, -69 * time.Hour} {
		at := noon.Add(-ago)
		var n unwritten
		n.add(i%2, at)
		n.tell(at)
		n.into(each, h)
		h.unwritten.add(i%2, at)
		h.unwritten.tell(max(at, h.unwritten.held))
		if i == 3 {
			each.saw(at) // told twice is seen once
		}
	}
	h.unwritten.into(once, h)
	each.hour, each.hours = sawHour(each.hour, each.hours, noon.Add(71*time.Hour))
	if once.evidence[0] != each.evidence[0] || once.evidence[1] != each.evidence[1] || once.version != each.version || once.addresses[0] != each.addresses[0] || once.hour != each.hour {
		t.Errorf("%+v, want %+v", once, each)
	}
}

// TestMemberNews: a member is what it was told last, from its row and what lies with the
// device.
func TestMemberNews(t *testing.T) {
	m, ok := rowsOfEachKind()[1].row.(*memberState)
	if !ok {
		t.Fatal("no member")
	}
	m.Endpoint = proto.ID{7}
	s := m.Summary
	s.Evidence = slices.Clone(m.Evidence)
	s.Evidence[1].Count, s.Evidence[1].Last = 3, noon.Add(2*time.Hour)
	s.Version, s.LastSeen = 9, noon.Add(2*time.Hour)
	st := &deviceState{bindings: []toldBinding{{endpoint: m.Endpoint}}, now: noon}
	if st.keep(&m.Summary, &s) {
		t.Error("a row is written for counts")
	}
	read := new(deviceState)
	if err := read.Parse(st.AppendTo(nil)); err != nil || !reflect.DeepEqual(read.upToDate(&m.Summary), &s) {
		t.Errorf("%+v (%v), want %+v", read.upToDate(&m.Summary), err, &s)
	}
	s.Evidence[0].Value = "ct-3"
	if !st.keep(&m.Summary, &s) || st.upToDate(&m.Summary) != &m.Summary {
		t.Error("a new name is not written")
	}
	for range mostTogether {
		st.bindings = append(st.bindings, toldBinding{endpoint: proto.ID{9}})
	}
	if same := m.Summary; !st.keep(&m.Summary, &same) {
		t.Error("of a device with many endpoints, news lie with it")
	}
}

// The words keep their numbers: rows on disk have them.
func TestWordsKeepTheirNumbers(t *testing.T) {
	for n, w := range map[int]string{0: "ip", 31: "module", 32: "dicom_modality", 100: "native_os"} {
		if words[n] != w {
			t.Errorf("word %d is %q, was %q", n, words[n], w)
		}
	}
	for _, a := range EvidenceAttributes() {
		if _, ok := wordNumbers[a]; !ok {
			t.Logf("%s has no number yet: rows with it are longer than need be", a)
		}
	}
}

// TestReminders: timers that rows tell of are there again after a restart, once each.
func TestReminders(t *testing.T) {
	h := &host{site: "st-alban", first: noon, last: noon, spoke: true, timer: true, watching: true, due: due{dueFlush: 1700000300, dueWatch: 1700003901}}
	var got []string
	e := NewEndpoint(Config{})
	if err := e.Remind(make([]byte, idLen), h.AppendTo(nil), func(at proto.Time, site string, key []byte) {
		got = append(got, site+" "+string(key[:1])+" "+time.Unix(0, int64(at)).UTC().Format(time.TimeOnly))
	}); err != nil || !slices.Equal(got, []string{"st-alban f 22:18:20", "st-alban w 23:18:21"}) {
		t.Errorf("%q (%v)", got, err)
	}
	if h.fires(dueFlush, stream.Timer{At: 1700000299 * second}) || !h.fires(dueFlush, stream.Timer{At: 1700000300 * second}) {
		t.Error("a timer is taken for another")
	}
}

// TestRestartsOfLiveFolds: with a restart after each transaction live traffic comes to the
// same, in each byte and at the same moments: what timers wait for is read from rows.
func TestRestartsOfLiveFolds(t *testing.T) {
	play := func(restarts bool) []string {
		e, d := NewEndpoint(Config{}), NewDevice(Config{})
		w := &pipeline{endpoint: newStage(t, e, nil), device: newStage(t, d, nil), clock: noon}
		w.endpoint.emitted, w.device.emitted = []string{}, []string{}
		w.batch = proto.Batch{Site: "st-alban", Sensor: "tap", Producer: "p", Domain: proto.LiveDomain}
		random := rand.New(rand.NewPCG(3, 4))
		for i := range 150 {
			var list []*proto.Observation
			n := random.IntN(6)
			if i%25 == 24 {
				n = 90 // enough to read ahead
			}
			for range n {
				all := known(random.IntN(8))
				list = append(list, all[random.IntN(len(all))])
			}
			w.send(list)
			w.clock = w.clock.Add([]time.Duration{time.Second, 8 * time.Second, 2 * time.Minute, 4 * time.Minute, 50 * time.Minute}[random.IntN(5)])
			if restarts {
				w.endpoint.reopen(e)
				w.device.reopen(d)
			}
		}
		return append(w.endpoint.emitted, w.device.emitted...)
	}
	want, got := play(false), play(true)
	if len(want) < 300 {
		t.Errorf("%d outputs: too few to tell", len(want))
	}
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			t.Fatalf("output %d of %d differs: %s, want %s", i, len(want), got[i], want[i])
		}
	}
	if len(want) != len(got) {
		t.Errorf("%d outputs, want %d", len(got), len(want))
	}
}

// reopen makes the partition anew from what is stored.
func (s *stage) reopen(f stream.Fold) {
	p, err := stream.OpenPartition(f, 0, stream.Options{Store: s.db, CacheBytes: 1 << 20})
	if err != nil {
		s.t.Fatal(err)
	}
	s.p = p
}
