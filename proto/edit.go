package proto

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Edit is what a person has decided about one device, or says of it: the record
// value on wardflow.edits, kept for ever. The record's key is the device's id, its
// partition that of the device's lane. Fields that an action has no use for are
// empty, 0 or null.
type Edit struct {
	EditID    ID     `json:"edit_id"`   // unique, made by the writer; the same one told again changes nothing
	DeviceID  ID     `json:"device_id"` // what it is about
	Time      Time   `json:"time"`      // when it was decided; edits of one device apply in the order of their offsets
	By        string `json:"by"`        // who decided: name or login of a member of staff, never a patient
	Action    string `json:"action"`    // set, confirm, undo, note, rate, join, separate; merge and split are the device fold's own
	Attribute string `json:"attribute"` // set, confirm: which
	Value     string `json:"value"`     // set: the right value; confirm: the value that was seen and is right
	Undoes    ID     `json:"undoes"`    // undo: the edit that holds no longer
	Rating    int    `json:"rating"`    // rate: 1 (poor) to 5 (good)
	Note      string `json:"note"`      // note: the text; else why, or empty
	MadeOn    ID     `json:"made_on"`   // the device that it was made on, which has become part of device_id since; split: the one that has left
	Into      ID     `json:"into"`      // merge: the device that device_id has become part of; join: the id that is the same device; separate: the endpoint that is not
}

// The values of Edit.Action.
const (
	EditSet     = "set"
	EditConfirm = "confirm"
	EditUndo    = "undo"
	EditNote    = "note"
	EditRate    = "rate"

	// EditJoin and EditSeparate say that two ids are one device, or that an endpoint is
	// not part of one.
	EditJoin     = "join"
	EditSeparate = "separate"

	EditMerge = "merge" // the device fold tells itself, on the lane of an id that has become part of another device
	EditSplit = "split" // and that it has left it
)

// SourceHuman is the source and the protocol of what a person has said.
const SourceHuman = "human"

// The bounds of an edit, in bytes.
const (
	MaxEditValue = 128
	MaxEditNote  = 500
	MaxEditBy    = 64
)

// EditAttribute is an attribute that a person may set.
type EditAttribute struct {
	Name string
	Want string // what a value must be
	Fact bool   // traffic may say it as well

	ok func(string) bool
}

// EditAttributes lists them: first those that traffic may say too, in the order of
// a device's keys, then those of business and lifecycle that only people know.
var EditAttributes = slices.Concat(
	editAttributes(true, "one of medical, ot, iot, it, network", oneOf("medical", "ot", "iot", "it", "network"), "category"),
	editAttributes(true, anyText, nil, "type", "manufacturer", "model", "os", "os_version", "hardware_version", "software_version", "serial", "location"),
	editAttributes(false, anyText, nil, "owner", "cost_centre"),
	editAttributes(false, "an amount and a currency such as 12500.00 EUR", regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,2})? [A-Z]{3}$`).MatchString, "purchase_cost"),
	editAttributes(false, aDay, isDay, "purchase_date"),
	editAttributes(false, anyText, nil, "asset_tag", "department", "building", "floor", "room"),
	editAttributes(false, aDay, isDay, "warranty_end", "maintenance_due", "last_maintenance", "end_of_support"),
	editAttributes(false, "one of new, approved, quarantined, rejected", oneOf("new", "approved", "quarantined", "rejected"), "onboarding"),
	editAttributes(false, "true or false", oneOf("true", "false"), "retired"),
	editAttributes(false, "one of low, medium, high, life_sustaining", oneOf("low", "medium", "high", "life_sustaining"), "criticality"),
)

const (
	anyText = "text"
	aDay    = "a day such as 2026-11-17"
)

func editAttributes(fact bool, want string, ok func(string) bool, names ...string) []EditAttribute {
	var list []EditAttribute
	for _, n := range names {
		list = append(list, EditAttribute{Name: n, Want: want, Fact: fact, ok: ok})
	}
	return list
}

func oneOf(list ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(list, s) }
}

func isDay(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// EditAttributeNamed finds an attribute.
func EditAttributeNamed(name string) (EditAttribute, bool) {
	i := slices.IndexFunc(EditAttributes, func(a EditAttribute) bool { return a.Name == name })
	if i < 0 {
		return EditAttribute{}, false
	}
	return EditAttributes[i], true
}

// EditAttributeNames are the names of all.
func EditAttributeNames() []string {
	var names []string
	for _, a := range EditAttributes {
		names = append(names, a.Name)
	}
	return names
}

// Check says all that is wrong with an edit, and what to do. It quotes nothing of
// the edit, so that what it says may be published.
func (e *Edit) Check() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if e.EditID.IsZero() {
		bad("edit_id", "missing; give each edit an id of its own, 32 hex digits")
	}
	if e.DeviceID.IsZero() {
		bad("device_id", "missing; name the device by its id, 32 hex digits")
	}
	if e.Time <= 0 {
		bad("time", "missing; say when it was decided, such as 2026-11-17T08:00:00Z")
	}
	text := func(field, s string, most int, needed, lines bool) {
		switch {
		case s == "" && needed:
			bad(field, "missing")
		case len(s) > most:
			bad(field, "has %d bytes; at most %d are kept, shorten it", len(s), most)
		case !plainText(s, lines):
			bad(field, "has control characters or is not UTF-8; write plain text")
		case strings.TrimSpace(s) != s:
			bad(field, "begins or ends with blanks; take them out")
		}
	}
	text("by", e.By, MaxEditBy, true, false)
	text("note", e.Note, MaxEditNote, e.Action == EditNote, true)
	valued := e.Action == EditSet || e.Action == EditConfirm
	text("value", e.Value, MaxEditValue, valued, false)
	if a, known := EditAttributeNamed(e.Attribute); valued && !known {
		bad("attribute", "unknown or missing; want one of %s", strings.Join(EditAttributeNames(), ", "))
	} else if valued && e.Value != "" && a.ok != nil && !a.ok(e.Value) {
		bad("value", "%s wants %s", a.Name, a.Want)
	}
	e.checkAction(bad)
	return errors.Join(errs...)
}

func (e *Edit) checkAction(bad func(field, format string, args ...any)) {
	switch e.Action {
	case EditSet, EditConfirm, EditNote:
	case EditUndo:
		if e.Undoes.IsZero() {
			bad("undoes", "missing; name the edit that holds no longer by its edit_id (wardflow device history DEVICE lists them)")
		}
	case EditRate:
		if e.Rating < 1 || e.Rating > 5 {
			bad("rating", "is %d; want 1 (poor) to 5 (good)", e.Rating)
		}
	case EditJoin:
		if e.Into.IsZero() || e.Into == e.DeviceID && e.MadeOn.IsZero() {
			bad("into", "missing; name the other id that is the same device")
		}
	case EditSeparate:
		if e.Into.IsZero() || e.Into == e.DeviceID && e.MadeOn.IsZero() {
			bad("into", "missing; name the endpoint that is no part of the device, one of its aliases")
		}
	case EditMerge:
		if e.Into.IsZero() || e.Into == e.DeviceID {
			bad("into", "missing; name the device that this one has become part of")
		}
	case EditSplit:
		if e.MadeOn.IsZero() || e.MadeOn == e.DeviceID {
			bad("made_on", "missing; name the device that has left")
		}
	default:
		bad("action", "unknown or missing; want one of set, confirm, undo, note, rate, join, separate")
	}
}

// plainText reports text that steers no terminal; lines may have line breaks and tabs.
func plainText(s string, lines bool) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && (!lines || r != '\n' && r != '\t')
	})
}

// HumanValue is a value that a person has set or confirmed, and that holds.
type HumanValue struct {
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
	Action    string `json:"action"` // set or confirm
	By        string `json:"by"`
	Time      Time   `json:"time"`
	Note      string `json:"note"`
	EditID    ID     `json:"edit_id"`
}

// Conflict is an attribute of which traffic says something else than a person.
type Conflict struct {
	Attribute  string  `json:"attribute"`
	Human      string  `json:"human"`      // what the person said, and the device shows
	Traffic    string  `json:"traffic"`    // what traffic says
	Confidence float64 `json:"confidence"` // of what traffic says: 0.5 or more
	Since      Time    `json:"since"`      // when both had been said
}

// HumanNote is what a member of staff has noted about a device.
type HumanNote struct {
	EditID ID     `json:"edit_id"`
	By     string `json:"by"`
	Time   Time   `json:"time"`
	Note   string `json:"note"`
}

// HumanRating is what the staff who use a device think of it. Of each person the
// latest rating counts.
type HumanRating struct {
	Average float64         `json:"average"` // 1 to 5
	Count   uint64          `json:"count"`   // people who have rated it
	Latest  []PersonsRating `json:"latest"`  // the latest five, the latest last
}

// PersonsRating is one person's latest rating.
type PersonsRating struct {
	By     string `json:"by"`
	Time   Time   `json:"time"`
	Rating int    `json:"rating"`
	Note   string `json:"note"`
}

// EditCount says how much history a device has.
type EditCount struct {
	Kept   uint64 `json:"kept"`   // edits in the fold's state
	Folded uint64 `json:"folded"` // older ones that are on the topic alone, because there were more than 1,000
	Last   ID     `json:"last"`   // edit_id of the one that was applied last
}

// HumanValues is a list that is [] and never null in JSON.
type HumanValues []HumanValue

// MarshalJSON writes [] for an empty list.
func (s HumanValues) MarshalJSON() ([]byte, error) { return marshalList([]HumanValue(s)) }

// Conflicts is a list that is [] and never null in JSON.
type Conflicts []Conflict

// MarshalJSON writes [] for an empty list.
func (s Conflicts) MarshalJSON() ([]byte, error) { return marshalList([]Conflict(s)) }

// HumanNotes is a list that is [] and never null in JSON.
type HumanNotes []HumanNote

// MarshalJSON writes [] for an empty list.
func (s HumanNotes) MarshalJSON() ([]byte, error) { return marshalList([]HumanNote(s)) }

// Labels are named texts; nil is {} in JSON. Keys are written sorted.
type Labels map[string]string

// MarshalJSON writes {} for nil.
func (l Labels) MarshalJSON() ([]byte, error) {
	if len(l) == 0 {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]string(l))
}
