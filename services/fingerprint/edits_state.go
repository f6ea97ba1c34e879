package fingerprint

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// shownNotes is how many notes and ratings go with the device's record.
const shownNotes = 5

// editState is one edit of a device's history.
type editState struct {
	proto.Edit
	undone proto.ID // the edit that undid it
	left   bool     // it was made on a device that is part of this one no longer
}

// holds reports whether the edit counts.
func (e *editState) holds() bool { return e.undone.IsZero() && !e.left }

// AppendTo encodes the edit.
func (e *editState) AppendTo(b []byte) []byte {
	for _, id := range []proto.ID{e.EditID, e.DeviceID, e.Undoes, e.MadeOn, e.undone} {
		b = appendID(b, id)
	}
	b = stream.AppendInt(b, int64(e.Time))
	for _, s := range []string{e.By, e.Action, e.Attribute, e.Value, e.Note} {
		b = stream.AppendString(b, s)
	}
	b = stream.AppendUint(stream.AppendUint(b, uint64(e.Rating)), flagIf(e.left, 1))
	return appendID(b, e.Into)
}

// Parse decodes the edit.
func (e *editState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*e = editState{}
	for _, id := range []*proto.ID{&e.EditID, &e.DeviceID, &e.Undoes, &e.MadeOn, &e.undone} {
		copy(id[:], d.Bytes())
	}
	e.Time = proto.Time(d.Int())
	for _, s := range []*string{&e.By, &e.Action, &e.Attribute, &e.Value, &e.Note} {
		*s = d.String()
	}
	e.Rating, e.left = int(d.Uint()), d.Uint() == 1
	copy(e.Into[:], d.Bytes())
	return d.Err()
}

// appendID spares the bytes of an id that is none.
func appendID(b []byte, id proto.ID) []byte {
	if id.IsZero() {
		return stream.AppendUint(b, 0)
	}
	return stream.AppendBytes(b, id[:])
}

// movedState says which device an id has become part of.
type movedState struct{ into proto.ID }

// AppendTo encodes the id.
func (m *movedState) AppendTo(b []byte) []byte { return append(b, m.into[:]...) }

// Parse decodes the id.
func (m *movedState) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	d.Fixed(m.into[:])
	return d.Err()
}

// editView is what holds of a device's edits, as its record tells it.
type editView struct {
	Next    uint64 // number of the last edit
	Kept    uint64
	Folded  uint64
	Last    proto.ID
	Waiting bool // no device of this id has been seen
	Values  proto.HumanValues
	Notes   proto.HumanNotes
	Rating  *proto.HumanRating
}

// AppendTo encodes the view; it changes with edits only.
func (v *editView) AppendTo(b []byte) []byte {
	val, err := json.Marshal(v)
	if err != nil { // text and finite numbers always marshal
		return append(b, "{}"...)
	}
	return append(b, val...)
}

// Parse decodes the view.
func (v *editView) Parse(b []byte) error {
	*v = editView{}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read what people have said of a device: %w", err)
	}
	return nil
}

// read makes the view of a history: of each attribute the last value that holds,
// the latest notes, of each person the latest rating.
func (v *editView) read(list []numbered) {
	v.Kept, v.Values, v.Notes, v.Rating = uint64(len(list)), nil, nil, nil
	values := map[string]proto.HumanValue{}
	var ratings []proto.PersonsRating
	for _, n := range list {
		if !n.holds() {
			continue
		}
		e := &n.Edit
		switch e.Action {
		case proto.EditSet, proto.EditConfirm:
			values[e.Attribute] = proto.HumanValue{Attribute: e.Attribute, Value: e.Value, Action: e.Action, By: e.By, Time: e.Time, Note: e.Note, EditID: e.EditID}
		case proto.EditNote:
			v.Notes = append(v.Notes, proto.HumanNote{EditID: e.EditID, By: e.By, Time: e.Time, Note: e.Note})
		case proto.EditRate:
			ratings = slices.DeleteFunc(ratings, func(r proto.PersonsRating) bool { return r.By == e.By })
			ratings = append(ratings, proto.PersonsRating{By: e.By, Time: e.Time, Rating: e.Rating, Note: e.Note})
		}
	}
	for _, x := range values {
		v.Values = append(v.Values, x)
	}
	slices.SortFunc(v.Values, func(a, b proto.HumanValue) int { return strings.Compare(a.Attribute, b.Attribute) })
	v.Notes = v.Notes[max(0, len(v.Notes)-shownNotes):]
	if len(ratings) > 0 {
		sum := 0
		for _, r := range ratings {
			sum += r.Rating
		}
		average := math.Round(float64(sum)/float64(len(ratings))*100) / 100
		v.Rating = &proto.HumanRating{Average: average, Count: uint64(len(ratings)), Latest: ratings[max(0, len(ratings)-shownNotes):]}
	}
}
