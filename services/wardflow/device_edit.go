package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
)

// editFlags are those of every command that writes an edit.
type editFlags struct {
	By   string        `required:"" placeholder:"NAME" help:"Who says so: your name or login. It is kept with the edit, for ever."`
	Site string        `placeholder:"SITE" help:"The device of this site, where several sites have one of that address or name."`
	Wait time.Duration `default:"10s" help:"How long to wait until it is applied; it is written in any case."`
}

type noteFlag struct {
	Note string `placeholder:"TEXT" help:"Why. About the device only: never a patient's name or data."`
}

type deviceSetCmd struct {
	ID     string   `arg:"" name:"device" help:"${device}"`
	Values []string `arg:"" sep:"none" name:"attribute=value" help:"What is right; several are written together."`
	editFlags
	noteFlag
}

// Help is shown by --help.
func (deviceSetCmd) Help() string {
	return `A value that a person has set outranks what traffic says, and is shown with the source human. Where traffic says
something else with a confidence of 0.5 or more, the device shows a conflict. wardflow device undo takes it back.

Attributes that traffic may say too: category, type, manufacturer, model, os, os_version, hardware_version,
software_version, serial, location. Those that only people know: owner, cost_centre, purchase_cost ("12500.00 EUR"),
purchase_date (2026-11-17), asset_tag, department, building, floor, room, maintenance_due, last_maintenance,
end_of_support, onboarding (new, approved, quarantined, rejected), retired (true, false), criticality (low, medium,
high, life_sustaining).

Examples:

    wardflow device set 10.41.8.62 model="SOMATOM go.Top" --by m.keller --note "read from the label"
    wardflow device set 4fa0 type=infusion_pump location="Ward 3" owner=ICU --by m.keller
    wardflow device set 4fa0 onboarding=approved maintenance_due=2027-03-01 --by m.keller`
}

// Run writes the edits.
func (c *deviceSetCmd) Run(ctx context.Context, g *globals, io *streams) error {
	var list []*proto.Edit
	for _, text := range c.Values {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return usagef("%s: want ATTRIBUTE=VALUE, such as model=%q", printable(text), "SOMATOM go.Top")
		}
		e := newEdit(proto.ID{1}, proto.EditSet, c.By, c.Note)
		e.Attribute, e.Value = strings.TrimSpace(name), strings.TrimSpace(value)
		list = append(list, e)
	}
	if err := checkEdits(list); err != nil { // before anything is asked
		return err
	}
	return c.hand(ctx, g, io, c.ID, list)
}

// hand writes edits of the device that is meant.
func (f *editFlags) hand(ctx context.Context, g *globals, io *streams, text string, list []*proto.Edit) error {
	return withDesk(ctx, g, io, func(d *desk) error {
		dev, err := d.device(ctx, f.Site, text)
		if err != nil {
			return err
		}
		for _, e := range list {
			e.DeviceID = dev.DeviceID
		}
		return d.hand(ctx, list, f.Wait)
	})
}

type deviceConfirmCmd struct {
	ID         string   `arg:"" name:"device" help:"${device}"`
	Attributes []string `arg:"" name:"attribute" help:"The attributes whose present values are right."`
	editFlags
	noteFlag
}

// Help is shown by --help.
func (deviceConfirmCmd) Help() string {
	return `Somebody has looked at the device: the values that Wardflow shows are right. They are the person's from then on, and
a conflict is shown when traffic says something else later.

Example:

    wardflow device confirm 10.41.8.62 manufacturer model serial --by m.keller`
}

// Run writes the edits.
func (c *deviceConfirmCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withDesk(ctx, g, io, func(d *desk) error {
		dev, err := d.device(ctx, c.Site, c.ID)
		if err != nil {
			return err
		}
		var list []*proto.Edit
		for _, name := range c.Attributes {
			value := dev.Present(name)
			if _, known := proto.EditAttributeNamed(name); known && value == "" {
				return fmt.Errorf("%s of device %s is not known: say what it is with `wardflow device set %s %s=VALUE`", name, dev.DeviceID, c.ID, name)
			}
			e := newEdit(dev.DeviceID, proto.EditConfirm, c.By, c.Note)
			e.Attribute, e.Value = name, value
			list = append(list, e)
		}
		return d.hand(ctx, list, c.Wait)
	})
}

type deviceUndoCmd struct {
	ID   string `arg:"" name:"device" help:"${device}"`
	Edit string `arg:"" name:"edit" help:"The edit's id, as device history lists it; the first digits are enough."`
	editFlags
	noteFlag
}

// Help is shown by --help.
func (deviceUndoCmd) Help() string {
	return `What was said before holds again: an earlier value of a person, else what traffic says. Both the edit and its undo
stay in the history.

Example:

    wardflow device history 10.41.8.62
    wardflow device undo 10.41.8.62 7c1f0a --by m.keller --note "that was the other one"`
}

// Run writes the edit.
func (c *deviceUndoCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withDesk(ctx, g, io, func(d *desk) error {
		dev, list, err := d.deviceAndHistory(ctx, c.Site, c.ID)
		if err != nil {
			return err
		}
		found, err := editNamed(list, c.Edit)
		if err != nil {
			return err
		}
		e := newEdit(dev.DeviceID, proto.EditUndo, c.By, c.Note)
		e.Undoes = found.EditID
		return d.hand(ctx, []*proto.Edit{e}, c.Wait)
	})
}

// editNamed finds the edit whose id begins so.
func editNamed(list []fingerprint.ToldEdit, text string) (*proto.Edit, error) {
	var found []*proto.Edit
	for _, e := range list {
		if e.State != fingerprint.EditRepeated && strings.HasPrefix(e.EditID.String(), strings.ToLower(text)) {
			found = append(found, e.Edit)
		}
	}
	switch {
	case len(found) == 0 || text == "":
		return nil, fmt.Errorf("the device has no edit %q: `wardflow device history DEVICE` lists them", text)
	case len(found) > 1:
		return nil, fmt.Errorf("%q may be any of %s: give more digits", text, counted(len(found), "edit"))
	}
	return found[0], nil
}

type deviceNoteCmd struct {
	ID   string `arg:"" name:"device" help:"${device}"`
	Text string `arg:"" help:"The note, up to 500 bytes. About the device only: never a patient's name or data."`
	editFlags
}

// Help is shown by --help.
func (deviceNoteCmd) Help() string {
	return `A free note for whoever looks at the device next. The latest five are shown with it.

Example:

    wardflow device note 10.41.8.62 "lent to ward 5 until Friday" --by m.keller`
}

// Run writes the edit.
func (c *deviceNoteCmd) Run(ctx context.Context, g *globals, io *streams) error {
	e := newEdit(proto.ID{1}, proto.EditNote, c.By, c.Text)
	if err := checkEdits([]*proto.Edit{e}); err != nil {
		return err
	}
	return c.hand(ctx, g, io, c.ID, []*proto.Edit{e})
}

type deviceRateCmd struct {
	ID     string `arg:"" name:"device" help:"${device}"`
	Rating int    `arg:"" help:"1 (poor) to 5 (good)."`
	editFlags
	noteFlag
}

// Help is shown by --help.
func (deviceRateCmd) Help() string {
	return `How good the device is to work with, said by those who do. Of each person the latest rating counts.

Example:

    wardflow device rate 10.41.8.62 2 --by m.keller --note "the battery lasts an hour"`
}

// Run writes the edit.
func (c *deviceRateCmd) Run(ctx context.Context, g *globals, io *streams) error {
	e := newEdit(proto.ID{1}, proto.EditRate, c.By, c.Note)
	e.Rating = c.Rating
	if err := checkEdits([]*proto.Edit{e}); err != nil {
		return err
	}
	return c.hand(ctx, g, io, c.ID, []*proto.Edit{e})
}

type deviceHistoryCmd struct {
	outputFlag
	ID   string `arg:"" name:"device" help:"${device}"`
	Site string `placeholder:"SITE" help:"The device of this site, where several sites have one of that address or name."`
}

// Help is shown by --help.
func (deviceHistoryCmd) Help() string {
	return `All that people have said of a device, in the order in which it was applied, from the topic wardflow.edits, which
keeps it for ever; and what Wardflow has taken for one with it (merge) or no longer does (split), and why. State: holds; earlier (another value came after it); undone; left (it was made on a device that is
part of this one no longer); refused (wardflow.deadletter says why); repeated.

Examples:

    wardflow device history 10.41.8.62
    wardflow device history 10.41.8.62 --output json | jq -r 'select(.state=="holds") | .attribute'`
}

var historyColumns = []column{
	{name: "time", title: "time (UTC)", show: showTime, least: timeWidth},
	{name: "by", title: "by", least: 8},
	{name: "action", title: "action", least: 7},
	{name: "attribute", title: "attribute", least: 10},
	{name: "value", title: "value", least: 10},
	{name: "note", title: "note", spare: 1},
	{name: "state", title: "state", least: 7},
	{name: "edit_id", title: "edit", show: showID, least: idShown},
}

// Run lists the edits.
func (c *deviceHistoryCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withDesk(ctx, g, io, func(d *desk) error {
		dev, list, err := d.deviceAndHistory(ctx, c.Site, c.ID)
		if err != nil {
			return err
		}
		names := []string{"time", "by", "action", "attribute", "value", "note", "state", "edit_id", "undoes", "made_on"}
		n, err := io.screen().write(c.Output, names, historyColumns, &fixedRows{list: historyRows(list)})
		if err == nil && n == 0 && c.Output == formatTable {
			io.note("Nobody has said anything of device %s.", dev.DeviceID)
		}
		return err
	})
}

func historyRows(list []fingerprint.ToldEdit) [][]any {
	var rows [][]any
	for _, e := range list {
		value := e.Value
		switch e.Action {
		case proto.EditRate:
			value = strconv.Itoa(e.Rating)
		case proto.EditUndo:
			value = showID(e.Undoes.String())
		case proto.EditJoin, proto.EditSeparate:
			value = showID(e.Into.String())
		case proto.EditMerge:
			value = showID(e.DeviceID.String())
		case proto.EditSplit:
			value = showID(e.MadeOn.String())
		}
		rows = append(rows, []any{e.Time.String(), e.By, e.Action, e.Attribute, value, e.Note, e.State, e.EditID.String(), e.Undoes.String(), e.MadeOn.String()})
	}
	return rows
}

// people prints what people say of a device, and of what it consists.
func (s *screen) people(d *proto.Device) error {
	var parts [][]any
	for _, j := range d.Joined {
		since := ""
		if j.Since != nil {
			since = showTime(j.Since.String())
		}
		parts = append(parts, []any{showID(j.Endpoint.String()), since, j.Why})
	}
	if err := section(s, "What it consists of besides", &fixedRows{list: parts}, []string{"endpoint", "since (UTC)", "why"}, nil); err != nil {
		return err
	}
	var said [][]any
	for _, h := range d.Human {
		said = append(said, []any{h.Attribute, h.Value, h.Action, h.By, showTime(h.Time.String()), h.Note})
	}
	if err := section(s, "What people say", &fixedRows{list: said}, []string{"attribute", "value", "action", "by", "time (UTC)", "note"}, nil); err != nil {
		return err
	}
	var conflicts [][]any
	for _, c := range d.Conflicts {
		conflicts = append(conflicts, []any{c.Attribute, c.Human, c.Traffic, c.Confidence, showTime(c.Since.String())})
	}
	if err := section(s, "Conflicts", &fixedRows{list: conflicts}, []string{"attribute", "people say", "traffic says", "confidence", "since (UTC)"}, nil); err != nil {
		return err
	}
	var notes [][]any
	for _, n := range slices.Backward(d.Notes) {
		notes = append(notes, []any{showTime(n.Time.String()), n.By, n.Note})
	}
	if r := d.Rating; r != nil {
		notes = append(notes, []any{"", counted(int(r.Count), "rating"), fmt.Sprintf("%.1f of 5", r.Average)})
	}
	return section(s, "Notes and ratings", &fixedRows{list: notes}, []string{"time (UTC)", "by", "says"}, nil)
}
