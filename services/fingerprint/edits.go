package fingerprint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// The tables of what people decide. The history has one entry an edit, so that an
// edit changes one and not all of them; what holds of it lies apart, because each
// summary of the device asks for it.
const (
	tableEdits   = 'E'
	tableEditIDs = 'I'
	tableViews   = 'V'
	tableMoved   = 'M'
	tableJoined  = 'J'
	tableWaiting = 'W'
)

var (
	edits    = stream.NewTable[editState](tableEdits, idLen) // device, number -> edit
	editIDs  = stream.NewTable[stream.Uint](tableEditIDs, 0) // device, edit id -> number
	views    = stream.NewTable[editView](tableViews, 0)      // device -> what holds
	moved    = stream.NewTable[movedState](tableMoved, 0)    // id that has become part of a device -> that device
	joinings = stream.NewTable[stream.Uint](tableJoined, 0)  // group, endpoint -> 1: the endpoint's lane has been told
	waiting  = stream.NewTable[stream.Uint](tableWaiting, 0) // nothing -> how many unknown ids have edits that wait
)

const (
	// maxEdits bounds a device's history in the state. What goes first are notes, then
	// what no value rests on; all of it stays on the topic.
	maxEdits = 1000
	// maxWaiting bounds, per partition, the ids that have edits and are no device.
	maxWaiting = 10_000
)

// CheckEdit says all that is wrong with an edit that a person has made.
func CheckEdit(e *proto.Edit) error {
	if e.Action == proto.EditMerge || e.Action == proto.EditSplit {
		return errors.New("action: merge and split are the device fold's own; want one of set, confirm, undo, note, rate, join, separate")
	}
	return embedded().checkEdit(e)
}

func (s *signatures) checkEdit(e *proto.Edit) error {
	err := e.Check()
	if e.Attribute == "type" && e.Value != "" && s.category[e.Value] == "" && (e.Action == proto.EditSet || e.Action == proto.EditConfirm) {
		err = errors.Join(err, fmt.Errorf("value: no such type of device; want one of %s", strings.Join(slices.Sorted(maps.Keys(s.category)), ", ")))
	}
	return err
}

// edit takes an edit in.
func (d *Device) edit(tx *stream.Tx, e *proto.Edit) {
	if err := d.signatures(tx).checkEdit(e); err != nil {
		refuse(tx, e, err.Error())
		return
	}
	switch e.Action {
	case proto.EditMerge:
		d.mergeEdits(tx, e)
		return
	case proto.EditSplit:
		d.splitEdits(tx, e)
		return
	}
	key := slices.Concat(e.DeviceID[:], e.EditID[:])
	twice := editIDs.Get(tx, key) != nil
	if m := moved.Get(tx, e.DeviceID[:]); m != nil && m.into != e.MadeOn {
		forward(tx, e, m.into)
		if !twice && (e.Action != proto.EditUndo || undoable(tx, e) == nil) {
			d.enter(tx, key, e) // for when it is a device of its own again
			verdict(tx, e)
		}
		return
	}
	if twice {
		d.back(tx, key, e)
		return
	}
	all := d.members(tx, e.DeviceID)
	if e.Action == proto.EditUndo {
		if err := undoable(tx, e); err != nil {
			refuse(tx, e, err.Error())
			return
		}
	}
	if len(all) == 0 && !await(tx, e) {
		return
	}
	d.enter(tx, key, e)
	verdict(tx, e)
	d.retell(tx, e.DeviceID, all)
}

// back takes an edit into the view again that was made on a device which had left this one,
// and is part of it once more. Whatever else comes twice changes nothing.
func (d *Device) back(tx *stream.Tx, key []byte, e *proto.Edit) {
	n := editIDs.Get(tx, key)
	at := editKey(e.DeviceID, n.N)
	if st := edits.Get(tx, at); st == nil || !st.left || st.MadeOn != e.MadeOn {
		return
	}
	edits.Edit(tx, at).left = false
	d.review(tx, e.DeviceID, views.Edit(tx, e.DeviceID[:]))
	d.retell(tx, e.DeviceID, d.members(tx, e.DeviceID))
}

// verdict tells the identity fold what a person has decided about two ids, or taken
// back. What was made on another device has been told there.
func verdict(tx *stream.Tx, e *proto.Edit) {
	of := e
	if e.Action == proto.EditUndo {
		n := editIDs.Get(tx, slices.Concat(e.DeviceID[:], e.Undoes[:]))
		if n == nil {
			return
		}
		st := edits.Get(tx, editKey(e.DeviceID, n.N))
		if st == nil {
			return
		}
		of = &st.Edit
	} else if !e.MadeOn.IsZero() {
		return
	}
	if of.Action != proto.EditJoin && of.Action != proto.EditSeparate {
		return
	}
	id := of.DeviceID
	if !of.MadeOn.IsZero() {
		id = of.MadeOn
	}
	c := proto.Claim{Endpoint: id, Verdict: &proto.Verdict{
		EditID: of.EditID, Other: of.Into, Same: of.Action == proto.EditJoin, Undone: of != e, By: of.By, Time: of.Time,
	}}
	val, err := proto.Marshal(&c)
	if err != nil { // an edit's text is bounded
		tx.Dead("verdict: " + err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicClaims, Kind: proto.KindClaim, Lane: proto.IdentityLane, Key: of.EditID[:], Value: val, Time: e.Time})
}

// refuse tells that an edit is not applied, or not yet, and why.
func refuse(tx *stream.Tx, e *proto.Edit, why string) {
	tx.Dead(fmt.Sprintf("edit %s of device %s: %s", e.EditID, e.DeviceID, why))
}

// await keeps an edit of an id that is no device: when the state is made anew,
// edits are read before the devices have appeared. It reports whether the edit is
// to be kept.
func await(tx *stream.Tx, e *proto.Edit) bool {
	v := views.Get(tx, e.DeviceID[:])
	if v != nil {
		refuse(tx, e, "no device of this id is known; the edit is kept, and holds when the device is seen")
		return true
	}
	n := waiting.Edit(tx, nil)
	if n.N >= maxWaiting {
		refuse(tx, e, "no device of this id is known, and too many ids wait for theirs already: look the id up with `wardflow devices` and make the edit again")
		return false
	}
	n.N++
	views.Edit(tx, e.DeviceID[:]).Waiting = true
	refuse(tx, e, "no device of this id is known; the edit is kept, and holds when the device is seen")
	return true
}

// seen notes that a device has appeared whose edits have waited.
func (d *Device) seen(tx *stream.Tx, id proto.ID) {
	if v := views.Get(tx, id[:]); v == nil || !v.Waiting {
		return
	}
	views.Edit(tx, id[:]).Waiting = false
	if n := waiting.Edit(tx, nil); n.N > 0 {
		n.N--
	}
}

// undoable says what is wrong with an undo.
func undoable(tx *stream.Tx, e *proto.Edit) error {
	n := editIDs.Get(tx, slices.Concat(e.DeviceID[:], e.Undoes[:]))
	if n == nil {
		return errors.New("undoes: the device has no such edit; `wardflow device history` lists those it has")
	}
	st := edits.Get(tx, editKey(e.DeviceID, n.N))
	switch {
	case st == nil || st.left:
		return errors.New("undoes: the device has no such edit any more; `wardflow device history` lists those it has")
	case !st.undone.IsZero():
		return errors.New("undoes: it has been undone already")
	case st.Action == proto.EditUndo:
		return errors.New("undoes: an undo cannot be undone; set the value again")
	}
	return nil
}

// enter puts an edit into the history, and what follows from it into the view.
func (d *Device) enter(tx *stream.Tx, key []byte, e *proto.Edit) {
	v := views.Edit(tx, e.DeviceID[:])
	v.Next++
	edits.Edit(tx, editKey(e.DeviceID, v.Next)).Edit = *e
	editIDs.Edit(tx, key).N = v.Next
	if e.Action == proto.EditUndo {
		if n := editIDs.Get(tx, slices.Concat(e.DeviceID[:], e.Undoes[:])); n != nil {
			edits.Edit(tx, editKey(e.DeviceID, n.N)).undone = e.EditID
		}
	}
	v.Last = e.EditID
	d.review(tx, e.DeviceID, v)
}

// review makes the view of a device anew from its history, and bounds that. People
// make few edits: a walk over all costs less than to keep books.
func (d *Device) review(tx *stream.Tx, id proto.ID, v *editView) {
	list := history(tx, id)
	for len(list) > maxEdits {
		i := spare(list)
		edits.Delete(tx, editKey(id, list[i].number))
		editIDs.Delete(tx, slices.Concat(id[:], list[i].EditID[:]))
		list = slices.Delete(list, i, i+1)
		v.Folded++
	}
	v.read(list)
}

// numbered is an edit with its place.
type numbered struct {
	number uint64
	*editState
}

// history lists a device's edits in the order in which they were applied.
func history(tx *stream.Tx, id proto.ID) []numbered {
	var list []numbered
	edits.Scan(tx, id[:], func(key []byte, e *editState) bool {
		list = append(list, numbered{binary.BigEndian.Uint64(key[idLen:]), e})
		return true
	})
	return list
}

// spare is the edit that can be spared first: the oldest note, else the oldest
// that no value rests on, else the oldest.
func spare(list []numbered) int {
	if i := slices.IndexFunc(list, func(n numbered) bool { return n.Action == proto.EditNote }); i >= 0 {
		return i
	}
	rests := map[string]uint64{}
	for _, n := range list {
		if n.holds() && n.Attribute != "" {
			rests[n.Attribute] = n.number
		}
	}
	return max(0, slices.IndexFunc(list, func(n numbered) bool { return n.Attribute == "" || rests[n.Attribute] != n.number }))
}

func editKey(id proto.ID, number uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(id[:]), number)
}

// retell emits a device whose edits have changed, at the moment of its life that
// was told last.
func (d *Device) retell(tx *stream.Tx, id proto.ID, all []*proto.Summary) {
	if len(all) == 0 {
		return
	}
	st := devices.Edit(tx, id[:])
	d.tell(tx.As(st.now, all[0].Site, st.domain), id, all, nil)
}

// forward sends an edit on to the device that its own has become part of.
func forward(tx *stream.Tx, e *proto.Edit, into proto.ID) {
	f := *e
	if f.MadeOn.IsZero() {
		f.MadeOn = e.DeviceID
	}
	f.DeviceID = into
	publish(tx, &f)
}

func publish(tx *stream.Tx, e *proto.Edit) {
	val, err := json.Marshal(e)
	if err != nil { // ids, numbers and text always marshal
		tx.Dead("edit: " + err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicEdits, Kind: proto.KindEdit, Lane: e.DeviceID.Lane(), Key: slices.Clone(e.DeviceID[:]), Value: val, Time: e.Time})
}

// grouped compares the group that a summary comes with to the one that edits go to.
func (d *Device) grouped(tx *stream.Tx, s *proto.Summary) {
	if s.Endpoint == s.Group {
		d.alone(tx, s.Endpoint, s.Why)
		return
	}
	key := slices.Concat(s.Group[:], s.Endpoint[:])
	if joinings.Get(tx, key) != nil {
		return
	}
	joinings.Edit(tx, key).N = 1
	e := &proto.Edit{DeviceID: s.Endpoint, Action: proto.EditMerge, Into: s.Group, Note: s.Why}
	own(tx, e, s.Group)
}

// own publishes a fold's own edit, which tells another lane about a group.
func own(tx *stream.Tx, e *proto.Edit, other proto.ID) {
	e.Time, e.By = max(1, tx.Now()), "wardflow"
	e.EditID = proto.HashID("edit/"+e.Action, e.DeviceID[:], other[:], binary.BigEndian.AppendUint64(nil, uint64(e.Time)))
	publish(tx, e)
}

// mergeEdits sends the history of an id on to the device that it is part of now.
func (d *Device) mergeEdits(tx *stream.Tx, e *proto.Edit) {
	m := moved.Edit(tx, e.DeviceID[:])
	if m.into == e.Into {
		return
	}
	if !m.into.IsZero() {
		own(tx, &proto.Edit{DeviceID: m.into, Action: proto.EditSplit, MadeOn: e.DeviceID, Note: e.Note}, e.DeviceID)
	}
	m.into = e.Into
	for _, n := range history(tx, e.DeviceID) {
		if !n.left {
			forward(tx, &n.Edit, e.Into)
		}
	}
}

// alone notes that an endpoint is a device of its own. Where it was part of
// another, its own edits hold for it again, and for the other no longer.
func (d *Device) alone(tx *stream.Tx, id proto.ID, why string) {
	m := moved.Get(tx, id[:])
	if m == nil {
		return
	}
	own(tx, &proto.Edit{DeviceID: m.into, Action: proto.EditSplit, MadeOn: id, Note: why}, id)
	moved.Delete(tx, id[:])
}

// splitEdits takes what was made on a device that has left out of the view.
func (d *Device) splitEdits(tx *stream.Tx, e *proto.Edit) {
	joinings.Delete(tx, slices.Concat(e.DeviceID[:], e.MadeOn[:]))
	changed := false
	for _, n := range history(tx, e.DeviceID) {
		if n.MadeOn == e.MadeOn && !n.left {
			edits.Edit(tx, editKey(e.DeviceID, n.number)).left = true
			changed = true
		}
	}
	if changed {
		d.review(tx, e.DeviceID, views.Edit(tx, e.DeviceID[:]))
		d.retell(tx, e.DeviceID, d.members(tx, e.DeviceID))
	}
}
