package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/proto"
)

type deviceJoinCmd struct {
	ID    string `arg:"" name:"device" help:"${device}"`
	Other string `arg:"" name:"other" help:"The other device that is the same one; ${device}"`
	editFlags
	noteFlag
}

// Help is shown by --help.
func (deviceJoinCmd) Help() string {
	return `Somebody has looked: two devices of the list are one, a second interface say, or the same one in another building.
What is known of both is shown as one from then on, under the id of the older one; the other id stays as an alias, and
what people have said of it holds. wardflow device undo takes it back.

Example:

    wardflow device join 10.41.8.62 10.41.9.7 --by m.keller --note "both are the CT in room 4"`
}

// Run writes the edit.
func (c *deviceJoinCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withDesk(ctx, g, io, func(d *desk) error {
		dev, err := d.device(ctx, c.Site, c.ID)
		if err != nil {
			return err
		}
		other, err := d.device(ctx, "", c.Other)
		if err != nil {
			return err
		}
		if dev.DeviceID == other.DeviceID {
			return fmt.Errorf("%s and %s are one device already: %s", printable(c.ID), printable(c.Other), dev.DeviceID)
		}
		e := newEdit(dev.DeviceID, proto.EditJoin, c.By, c.Note)
		e.Into = other.DeviceID
		return d.hand(ctx, []*proto.Edit{e}, c.Wait)
	})
}

type deviceSeparateCmd struct {
	ID       string `arg:"" name:"device" help:"${device}"`
	Endpoint string `arg:"" help:"The endpoint that is another device: one of its aliases, as wardflow device ID shows them; the first digits are enough."`
	editFlags
	noteFlag
}

// Help is shown by --help.
func (deviceSeparateCmd) Help() string {
	return `Wardflow, or somebody, has taken two for one: the endpoint is a device of its own again, or is part of another one,
and will not be taken for part of this one any more. wardflow device undo takes it back.

Example:

    wardflow device 10.41.8.62                                     # "What it consists of besides" says why
    wardflow device separate 10.41.8.62 7c1f0a --by m.keller --note "two monitors with one serial number"`
}

// Run writes the edit.
func (c *deviceSeparateCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return withDesk(ctx, g, io, func(d *desk) error {
		dev, err := d.device(ctx, c.Site, c.ID)
		if err != nil {
			return err
		}
		var found []proto.ID
		for _, a := range dev.Aliases {
			if c.Endpoint != "" && strings.HasPrefix(a.String(), strings.ToLower(c.Endpoint)) {
				found = append(found, a)
			}
		}
		switch len(found) {
		case 1:
		case 0:
			return fmt.Errorf("%s is none of the device's further endpoints, of which it has %d: `wardflow device %s` lists them", printable(c.Endpoint), len(dev.Aliases), printable(c.ID))
		default:
			return fmt.Errorf("%s may be any of %s: give more digits", printable(c.Endpoint), counted(len(found), "endpoint"))
		}
		e := newEdit(dev.DeviceID, proto.EditSeparate, c.By, c.Note)
		e.Into = found[0]
		return d.hand(ctx, []*proto.Edit{e}, c.Wait)
	})
}
