package fingerprint

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// editor makes edits with ids that tell them apart.
type editor struct{ n int }

func (m *editor) make(device proto.ID, action string, fill func(*proto.Edit)) *proto.Edit {
	m.n++
	e := &proto.Edit{EditID: proto.HashID("edit", fmt.Append(nil, m.n)), DeviceID: device, Time: noon.Add(time.Duration(m.n) * time.Minute), By: "m.keller", Action: action}
	if fill != nil {
		fill(e)
	}
	return e
}

func (m *editor) set(device proto.ID, attribute, value string) *proto.Edit {
	return m.make(device, proto.EditSet, func(e *proto.Edit) { e.Attribute, e.Value = attribute, value })
}

func (w *ward) edit(list ...*proto.Edit) {
	w.t.Helper()
	for _, e := range list {
		if err := w.local.Edit(e); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ctSeen is a CT that says of itself what it is.
func ctSeen(w *ward) proto.ID {
	tags := []string{"role", "scu", "calling_ae", "X", "manufacturer", "SIEMENS", "model", "SOMATOM go.Up", "serial", "104722", "modality", "CT"}
	w.item(proto.Item{Observation: seen("dicom", "c_store", 1, noon, tags...)})
	return id(1)
}

func fact(f *proto.Fact) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%s %.2f %s", f.Value, f.Confidence, strings.Join(f.Sources, ","))
}

func TestPeopleOutrankTraffic(t *testing.T) {
	w, m := newWard(t), &editor{}
	ct := ctSeen(w)
	traffic := *w.devices[ct]
	model := m.set(ct, "model", "SOMATOM go.Top")
	w.edit(model, m.set(ct, "location", "Radiology 2"), m.set(ct, "owner", "Radiology"), m.set(ct, "criticality", "high"),
		m.make(ct, proto.EditConfirm, func(e *proto.Edit) { e.Attribute, e.Value = "serial", "104722" }))
	d := w.devices[ct]
	for what, c := range map[string][2]string{
		"set against traffic": {fact(d.Model), "SOMATOM go.Top 0.99 human"},
		"confirmed":           {fact(d.Serial), "104722 0.99 human,dicom"},
		"set, traffic silent": {fact(d.Location), "Radiology 2 0.99 human"},
		"not touched":         {fact(d.Type), fact(traffic.Type)},
		"business":            {people(d), "map[criticality:high owner:Radiology]"},
		"binding":             {w.bindings[ct].Location + " " + w.bindings[ct].Criticality, "Radiology 2 high"},
		"last state":          {d.LastState, traffic.LastState},
		"last seen":           {d.LastSeen.String(), traffic.LastSeen.String()},
		"history":             {fmt.Sprint(*d.Edits), fmt.Sprint(proto.EditCount{Kept: 5, Last: proto.HashID("edit", []byte("5"))})},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %s, want %s", what, c[0], c[1])
		}
	}
	want := proto.Conflicts{{Attribute: "model", Human: "SOMATOM go.Top", Traffic: "SOMATOM go.Up", Confidence: traffic.Model.Confidence, Since: model.Time}}
	if !slices.Equal(d.Conflicts, want) {
		t.Errorf("conflicts %+v, want %+v", d.Conflicts, want)
	}
	if !slices.ContainsFunc(d.Evidence, func(v proto.Evidence) bool { return v.Protocol == "human" && v.Value == "SOMATOM go.Top" }) {
		t.Error("the evidence does not say that a person did")
	}
	undo := m.make(ct, proto.EditUndo, func(e *proto.Edit) { e.Undoes = model.EditID })
	w.edit(m.set(ct, "model", "SOMATOM X.cite"), undo) // what is undone is not what holds
	if got := fact(w.devices[ct].Model); got != "SOMATOM X.cite 0.99 human" {
		t.Errorf("after the undo of an earlier value: %s", got)
	}
	again := w.devices[ct].Human[slices.IndexFunc(w.devices[ct].Human, func(h proto.HumanValue) bool { return h.Attribute == "model" })]
	w.edit(m.make(ct, proto.EditUndo, func(e *proto.Edit) { e.Undoes = again.EditID }))
	if d = w.devices[ct]; fact(d.Model) != fact(traffic.Model) || len(d.Conflicts) != 0 || d.Edits.Kept != 8 {
		t.Errorf("after all undos: %s, conflicts %v, %+v", fact(d.Model), d.Conflicts, d.Edits)
	}
	w.beat(noon.Add(time.Hour), true)
	if got := fact(w.devices[ct].Location); got != "Radiology 2 0.99 human" {
		t.Errorf("traffic that goes on leaves %s", got)
	}
}

// A type brings its category, and what does not go with it is left out.
func TestFactsFollowThePersons(t *testing.T) {
	for name, c := range map[string]struct {
		set  [2]string
		want string
	}{
		"type of another category": {[2]string{"type", "printer"}, "iot 0.99 human, printer 0.99 human, [type]"},
		"type of the same":         {[2]string{"type", "mri"}, "medical, mri 0.99 human, [type]"},
		"category":                 {[2]string{"category", "it"}, "it 0.99 human, -, [category]"},
	} {
		w, m := newWard(t), &editor{}
		ct := ctSeen(w)
		w.edit(m.set(ct, c.set[0], c.set[1]))
		d := w.devices[ct]
		var conflicts []string
		for _, x := range d.Conflicts {
			conflicts = append(conflicts, x.Attribute)
		}
		category := fact(d.Category)
		if !strings.HasSuffix(category, "human") {
			category = d.Category.Value
		}
		if got := fmt.Sprintf("%s, %s, %v", category, fact(d.Type), conflicts); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if b := w.bindings[ct]; b.Category != d.Category.Value {
			t.Errorf("%s: the binding says %s", name, b.Category)
		}
	}
}

func TestNotesAndRatings(t *testing.T) {
	w, m := newWard(t), &editor{}
	ct := ctSeen(w)
	for i := range 7 {
		w.edit(m.make(ct, proto.EditNote, func(e *proto.Edit) { e.Note = fmt.Sprintf("note %d", i) }))
	}
	for i, by := range []string{"a", "b", "a"} {
		w.edit(m.make(ct, proto.EditRate, func(e *proto.Edit) { e.By, e.Rating = by, i+2 }))
	}
	d := w.devices[ct]
	if len(d.Notes) != shownNotes || d.Notes[4].Note != "note 6" || d.Edits.Kept != 10 {
		t.Errorf("notes %+v, %+v", d.Notes, d.Edits)
	}
	if r := d.Rating; r == nil || r.Average != 3.5 || r.Count != 2 { // a's last is 4, b's 3
		t.Errorf("rating %+v", r)
	}
}

// deaths keeps why edits were refused.
func (w *ward) deaths(t *testing.T) func() []string {
	var reasons []string
	l, err := stream.NewLocal(func(e stream.Emitted) {
		var d proto.Deadletter
		if e.Kind == proto.KindDead && json.Unmarshal(e.Value, &d) == nil {
			if d.Topic != proto.TopicEdits && d.Topic != proto.TopicControl {
				t.Errorf("dead letter of %s", d.Topic)
			}
			reasons = append(reasons, d.Reason)
		}
		w.take(e)
	}, NewEndpoint(Config{}), NewDevice(Config{}))
	if err != nil {
		t.Fatal(err)
	}
	w.local = l
	return func() []string { defer func() { reasons = nil }(); return reasons }
}

func TestEditsThatCannotBeUsed(t *testing.T) {
	w, m := newWard(t), &editor{}
	dead := w.deaths(t)
	ct := ctSeen(w)
	good := m.set(ct, "model", "X")
	w.edit(good)
	undo := func(what proto.ID) *proto.Edit {
		return m.make(ct, proto.EditUndo, func(e *proto.Edit) { e.Undoes = what })
	}
	done := undo(good.EditID)
	w.edit(done)
	told := w.devices[ct].Version
	for want, e := range map[string]*proto.Edit{
		"no such type of device":       m.set(ct, "type", "toaster-secret"),
		"attribute: unknown":           m.set(ct, "colour", "red"),
		"value: missing":               m.set(ct, "model", ""),
		"by: missing":                  m.make(ct, proto.EditSet, func(e *proto.Edit) { e.By, e.Attribute, e.Value = "", "model", "Y" }),
		"no such edit":                 undo(proto.HashID("none")),
		"undone already":               undo(good.EditID),
		"an undo cannot be undone":     undo(done.EditID),
		"rating: is 6":                 m.make(ct, proto.EditRate, func(e *proto.Edit) { e.Rating = 6 }),
		"a day such as 2026-11-17":     m.set(ct, "maintenance_due", "next week"),
		"12500.00 EUR":                 m.set(ct, "purchase_cost", "a lot"),
		"control characters":           m.set(ct, "model", "a\x1b[31m"),
		"at most 128":                  m.set(ct, "model", strings.Repeat("x", 129)),
		"no device of this id is know": m.set(id(99), "model", "Z"),
	} {
		w.edit(e)
		got := dead()
		if len(got) != 1 || !strings.Contains(got[0], want) || !strings.Contains(got[0], e.EditID.String()) || strings.Contains(got[0], "secret") {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	w.edit(good) // told twice
	if got := dead(); len(got) != 0 || w.devices[ct].Version != told {
		t.Errorf("told twice: %q, version %d after %d", got, w.devices[ct].Version, told)
	}
}

// An edit that comes before its device, as when the state is made anew, holds when
// the device is seen.
func TestEditsWaitForTheirDevice(t *testing.T) {
	w, m := newWard(t), &editor{}
	first := m.set(id(1), "model", "early")
	w.edit(first, m.set(id(1), "model", "later"), m.make(id(1), proto.EditUndo, func(e *proto.Edit) { e.Undoes = proto.HashID("edit", []byte("2")) }))
	ctSeen(w)
	if d := w.devices[id(1)]; fact(d.Model) != "early 0.99 human" || d.Edits.Kept != 3 {
		t.Errorf("%s, %+v", fact(d.Model), d.Edits)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	w, m := newWard(t), &editor{}
	ct := ctSeen(w)
	w.edit(m.set(ct, "location", "kept"))
	for i := range 600 {
		w.edit(m.make(ct, proto.EditNote, func(e *proto.Edit) { e.Note = "n" }), m.set(ct, "model", fmt.Sprint(i)))
	}
	d := w.devices[ct]
	if *d.Edits != (proto.EditCount{Kept: maxEdits, Folded: 201, Last: d.Edits.Last}) || fact(d.Location) != "kept 0.99 human" || d.Model.Value != "599" || len(d.Notes) != shownNotes {
		t.Errorf("%+v, %s, %s, %d notes", d.Edits, fact(d.Location), fact(d.Model), len(d.Notes))
	}
}

// memory is a partition's committed state.
type memory map[string][]byte

func (s memory) Get(_ int32, key []byte) ([]byte, bool, error) {
	v, ok := s[string(key)]
	return v, ok, nil
}

func (s memory) Each(_ int32, prefix []byte, f func(key, val []byte) bool) error {
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(k, string(prefix)) && !f([]byte(k), s[k]) {
			break
		}
	}
	return nil
}

// A hundred edits of one device from a hundred writers, in any order, with restarts
// in between, after which some are read again: none is lost, none counts twice, and
// of each attribute the last one holds.
func TestHundredEditsThroughRestarts(t *testing.T) {
	for run := range 6 {
		order := rand.New(rand.NewPCG(uint64(run), 1)).Perm(100)
		state, open := memory{}, func(s memory) *stream.Partition {
			p, err := stream.OpenPartition(NewDevice(Config{}), 0, stream.Options{Store: s})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := open(state)
		p.Offer(record(t, proto.TopicSummaries, 0, proto.Envelope{Kind: proto.KindSummary, Producer: "endpoint/0", Seq: 1, Time: noon}, summaryOf(t, id(1))))
		m, last := &editor{}, map[string]string{}
		var all []*proto.Edit
		for i := range 100 {
			all = append(all, m.set(id(1), []string{"model", "serial", "owner", "room"}[i%4], fmt.Sprint("v", i)))
		}
		p.Run(10, 1, time.Time{})
		for at, i := range order {
			val, err := json.Marshal(all[i])
			if err != nil {
				t.Fatal(err)
			}
			last[all[i].Attribute] = all[i].Value
			p.Offer(record(t, proto.TopicEdits, int64(at), proto.Envelope{Kind: proto.KindEdit, Producer: fmt.Sprint("cli/", i), Seq: 1, Cause: proto.Cause{Partition: -1}, Time: all[i].Time}, val))
			p.Run(10, 1, time.Time{})
			if run > 0 && at%(7*run) == 0 { // a commit; later ones are lost with the process
				c, err := p.Prepare(0)
				if err != nil {
					t.Fatal(err)
				}
				for _, ch := range c.Changes {
					if state[string(ch.Key)] = ch.Value; ch.Value == nil {
						delete(state, string(ch.Key))
					}
				}
				p = open(state)
			}
		}
		var dev proto.Device
		for _, o := range p.TakeOutputs() {
			if o.Kind == proto.KindDevice {
				if err := json.Unmarshal(o.Value, &dev); err != nil {
					t.Fatal(err)
				}
			}
		}
		if dev.Edits == nil || dev.Edits.Kept != 100 || len(dev.Human) != 4 || p.Err() != nil {
			t.Fatalf("run %d: %+v, %d values, %v", run, dev.Edits, len(dev.Human), p.Err())
		}
		for _, h := range dev.Human {
			if h.Value != last[h.Attribute] {
				t.Errorf("run %d: %s is %s, the last one said %s", run, h.Attribute, h.Value, last[h.Attribute])
			}
		}
		if dev.Version != 101 {
			t.Errorf("run %d: told %d times", run, dev.Version)
		}
	}
}

func summaryOf(t *testing.T, endpoint proto.ID) []byte {
	t.Helper()
	val, err := proto.Marshal(&proto.Summary{Endpoint: endpoint, Group: endpoint, Site: "st-alban", FirstSeen: noon, LastSeen: noon, Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	return val
}

func record(t *testing.T, topic string, offset int64, env proto.Envelope, val []byte) stream.Record {
	t.Helper()
	env.Schema = proto.SchemaDerived
	head, err := env.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return stream.Record{Topic: topic, Offset: offset, Envelope: head, Value: val}
}

// feeder is an upstream that says the summaries it is asked for.
type feeder struct{ list []proto.Summary }

func (f *feeder) Name() string                          { return "endpoint" }
func (f *feeder) Inputs() []stream.Input                { return []stream.Input{{Topic: proto.TopicTraffic}} }
func (f *feeder) Progress() []stream.ProgressTo         { return nil }
func (f *feeder) Fire(*stream.Tx, stream.Timer)         {}
func (f *feeder) Sweep(*stream.Tx, string, []byte)      {}
func (f *feeder) Apply(tx *stream.Tx, ev *stream.Event) { f.say(tx) }

func (f *feeder) say(tx *stream.Tx) {
	for i := range f.list {
		s := &f.list[i]
		val, err := proto.Marshal(s)
		if err != nil {
			panic(err)
		}
		tx.Emit(stream.Output{Topic: proto.TopicSummaries, Kind: proto.KindSummary, Lane: s.Group.Lane(), Key: s.Endpoint[:], Value: val, Time: tx.Now()})
	}
}

// What was decided about a device goes with it into the device that it becomes
// part of, later decisions too, and comes back with it when it leaves.
func TestEditsFollowMergeAndSplit(t *testing.T) {
	w, m, f := newWard(t), &editor{}, &feeder{}
	l, err := stream.NewLocal(w.take, f, NewDevice(Config{}))
	if err != nil {
		t.Fatal(err)
	}
	w.local = l
	version := uint64(0)
	say := func(group proto.ID, endpoints ...proto.ID) {
		version++
		f.list = nil
		for _, e := range endpoints {
			f.list = append(f.list, proto.Summary{Endpoint: e, Group: group, Site: "st-alban", FirstSeen: noon, LastSeen: noon, Version: version})
		}
		w.item(proto.Item{Flow: tcp(1, 2, 80, noon.Add(time.Duration(version)*time.Second))})
	}
	a, b := id(1), id(2)
	say(a, a)
	say(b, b)
	early := m.set(b, "model", "of b")
	w.edit(m.set(a, "owner", "of a"), early, m.set(b, "serial", "b1"))
	say(a, a, b)
	w.edit(m.set(b, "room", "12"), m.make(b, proto.EditUndo, func(e *proto.Edit) { e.Undoes = early.EditID })) // by the former id
	d := w.devices[a]
	if d.Model != nil || fact(d.Serial) != "b1 0.99 human" || people(d) != "map[owner:of a room:12]" || d.Edits.Kept != 5 {
		t.Errorf("merged: %s, %s, %v, %+v", fact(d.Model), fact(d.Serial), people(d), d.Edits)
	}
	say(b, b)
	say(a, a)
	if d := w.devices[a]; d.Serial != nil || people(d) != "map[owner:of a]" {
		t.Errorf("left behind: %s, %v", fact(d.Serial), people(d))
	}
	if d := w.devices[b]; d.Model != nil || fact(d.Serial) != "b1 0.99 human" || people(d) != "map[room:12]" || d.Edits.Kept != 4 {
		t.Errorf("on its own again: %s, %s, %v, %+v", fact(d.Model), fact(d.Serial), people(d), d.Edits)
	}
	serial := w.devices[b].Human[1].EditID
	w.edit(m.set(b, "room", "14"), m.make(b, proto.EditUndo, func(e *proto.Edit) { e.Undoes = serial }))
	say(a, a, b)
	if d := w.devices[a]; d.Serial != nil || people(d) != "map[owner:of a room:14]" {
		t.Errorf("part of it once more: %s, %v", fact(d.Serial), people(d))
	}
	say(b, b)
	say(a, a)
	say(a, a, b)
	if d := w.devices[a]; people(d) != "map[owner:of a room:14]" {
		t.Errorf("and once more: %v", people(d))
	}
}

// Persons who join two, part them and join them again lose nothing of what was said.
func TestJoinedAgain(t *testing.T) {
	w := newWard(t)
	w.observe(seen("http", "request", 1, noon), seen("http", "request", 3, noon+2))
	w.beat(noon.Add(time.Hour), false)
	n := byte(0)
	say := func(e proto.Edit) proto.ID {
		n++
		e.EditID, e.DeviceID, e.By, e.Time = proto.ID{n}, id(3), "k", noon.Add(time.Hour+time.Duration(n))
		if err := w.local.Edit(&e); err != nil {
			t.Fatal(err)
		}
		return e.EditID
	}
	say(proto.Edit{Action: proto.EditSet, Attribute: "room", Value: "12"})
	join := say(proto.Edit{Action: proto.EditJoin, Into: id(1)})
	for round := range 3 {
		if got := people(w.devices[id(1)]); got != "map[room:12]" {
			t.Errorf("round %d, joined: %s", round, got)
		}
		say(proto.Edit{Action: proto.EditUndo, Undoes: join})
		if got := people(w.devices[id(1)]); got != "map[]" {
			t.Errorf("round %d, undone: %s", round, got)
		}
		join = say(proto.Edit{Action: proto.EditJoin, Into: id(1)})
	}
}

func TestHistoryOfWhatCameBack(t *testing.T) {
	a, b, m := id(1), id(2), &editor{}
	of := func(e *proto.Edit) *proto.Edit { c := *e; c.DeviceID, c.MadeOn = a, b; return &c }
	room := m.set(b, "room", "12")
	split := &proto.Edit{EditID: proto.ID{9}, DeviceID: a, MadeOn: b, Action: proto.EditSplit}
	for _, c := range []struct {
		list []*proto.Edit
		want string
	}{
		{[]*proto.Edit{of(room)}, "holds"},
		{[]*proto.Edit{of(room), split}, "left holds"},
		{[]*proto.Edit{of(room), split, of(room)}, "holds holds repeated"},
		{[]*proto.Edit{of(room), of(room)}, "holds repeated"},
	} {
		var states []string
		for _, e := range EditHistory(c.list) {
			states = append(states, e.State)
		}
		if got := strings.Join(states, " "); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// Where between the observations of a device its edits fall does not matter: the
// device ends the same.
func TestEditsFallAnywhere(t *testing.T) {
	var want string
	for at := range 6 {
		w, m := newWard(t), &editor{}
		list := []*proto.Edit{m.set(id(1), "model", "mine"), m.set(id(1), "type", "mri"), m.set(id(1), "room", "2.114")}
		for i := range 5 {
			if i == at {
				w.edit(list...)
			}
			tags := []string{"role", "scu", "calling_ae", "X", "manufacturer", "SIEMENS", "model", fmt.Sprint("SOMATOM ", i/4), "serial", "104722", "modality", "CT"}
			w.item(proto.Item{Observation: seen("dicom", "c_store", 1, noon.Add(time.Duration(i)*time.Minute), tags...)})
		}
		w.beat(noon.Add(10*time.Minute), true)
		if at == 5 {
			w.edit(list...)
		}
		w.devices[id(1)].Version = 0
		if got := string(w.devices[id(1)].AppendJSON(nil)); want == "" {
			want = got
		} else if got != want {
			t.Errorf("edits after %d observations give\n%s\nwant\n%s", at, got, want)
		}
	}
}

// people are the labels that people have set.
func people(d *proto.Device) string {
	l := maps.Clone(d.Lifecycle)
	for _, own := range []string{"state", "since", "reason"} {
		delete(l, own)
	}
	return fmt.Sprint(l)
}
