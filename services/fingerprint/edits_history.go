package fingerprint

import (
	"slices"

	"github.com/wardflow/wardflow/proto"
)

// What has become of an edit.
const (
	EditHolds    = "holds"
	EditEarlier  = "earlier" // another value of the attribute, or rating of the person, came after it
	EditUndone   = "undone"
	EditLeft     = "left"     // it was made on a device that is part of this one no longer
	EditRefused  = "refused"  // it cannot be used; the dead-letter topic says why
	EditRepeated = "repeated" // an edit of the same id came before
)

// ToldEdit is an edit and what has become of it.
type ToldEdit struct {
	*proto.Edit
	State string
}

// EditHistory says what has become of the edits of one device, which are given in
// the order of their offsets. Those of the fold itself are told as they came.
func EditHistory(list []*proto.Edit) []ToldEdit {
	var out []ToldEdit
	at := map[proto.ID]int{}
	for _, e := range list {
		if e.Action == proto.EditSplit {
			for i := range out {
				if x := out[i].Edit; x.Action != proto.EditSplit && (x.MadeOn == e.MadeOn || x.Action == proto.EditMerge && x.DeviceID == e.MadeOn) {
					out[i].State = EditLeft
				}
			}
		}
		if e.Action == proto.EditMerge || e.Action == proto.EditSplit {
			out = append(out, ToldEdit{e, EditHolds})
			continue
		}
		state := EditHolds
		if i, twice := at[e.EditID]; twice {
			state = EditRepeated
			if x := &out[i]; x.State == EditLeft && x.MadeOn == e.MadeOn { // its device is part of this one again
				x.State = EditHolds
			}
		} else if embedded().checkEdit(e) != nil {
			state = EditRefused
		} else if e.Action == proto.EditUndo {
			i, known := at[e.Undoes]
			if !known || out[i].State == EditUndone || out[i].State == EditLeft || out[i].Action == proto.EditUndo {
				state = EditRefused
			} else {
				out[i].State = EditUndone
			}
		}
		if state != EditRepeated && state != EditRefused {
			at[e.EditID] = len(out)
		}
		out = append(out, ToldEdit{e, state})
	}
	later := map[[2]string]bool{}
	for i := range slices.Backward(out) {
		e := &out[i]
		key := [2]string{e.Attribute, ""}
		switch {
		case e.State != EditHolds || e.Attribute == "" && e.Action != proto.EditRate:
			continue
		case e.Action == proto.EditRate:
			key = [2]string{"", e.By}
		}
		if later[key] {
			e.State = EditEarlier
		}
		later[key] = true
	}
	return out
}

// SameValue reports whether two values of an attribute are the same, whatever
// their spelling.
func SameValue(attribute, a, b string) bool {
	s := embedded()
	return s.key(attribute, a) == s.key(attribute, b)
}
