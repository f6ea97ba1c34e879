package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
	"github.com/wardflow/wardflow/services/wardflow/internal/worksheet"
)

type deviceWorksheetCmd struct {
	Location string        `placeholder:"TEXT" help:"Only devices whose location contains this, whatever the case."`
	Site     string        `placeholder:"SITE" help:"Only devices of this site."`
	Out      string        `placeholder:"FILE" help:"Write the worksheet here. Default: standard output."`
	In       string        `placeholder:"FILE" help:"Read a filled worksheet instead, and make its rows edits."`
	By       string        `placeholder:"NAME" help:"With --in: who filled it in, where a row does not say it."`
	From     string        `placeholder:"DIR" help:"Take the devices from a folder that replay wrote, instead of ClickHouse."`
	Edits    string        `placeholder:"FILE" help:"With --in: write the edits here, for replay --edits, instead of to Kafka."`
	Wait     time.Duration `default:"10s" help:"With --in: how long to wait until the edits are applied; they are written in any case."`
}

// Help is shown by --help.
func (deviceWorksheetCmd) Help() string {
	return `What is missing or doubtful: one row for each device and attribute that is not known, or known with a confidence
below 0.8, or of which traffic says something else than a person. Sorted by location, so that somebody can walk along
with it. Fill in the columns value, by and note, in any spreadsheet, and read it back with --in: a value that is the
present one confirms it, any other sets it; rows without a value change nothing. A row that cannot be used is told
with its line, and the rest is applied. Rows may be added, of any attribute that wardflow device set knows.

Cells that begin with = + - or @ are written with a quote before them, so that no spreadsheet takes them for formulas,
and read without it.

Examples:

    wardflow device worksheet --location Radiology --out radiology.csv
    wardflow device worksheet --in radiology.csv --by m.keller
    wardflow device worksheet --from monday/ --out monday.csv
    wardflow device worksheet --from monday/ --in monday.csv --by m.keller --edits monday-edits.jsonl

Exit status: 0 done; 1 some rows could not be used, or the file not at all; 2 wrong usage.`
}

// Run writes or reads a worksheet.
func (c *deviceWorksheetCmd) Run(ctx context.Context, g *globals, io *streams) error {
	switch {
	case c.In != "" && c.Out != "":
		return usagef("--in reads a worksheet and --out writes one: give one of them")
	case c.In == "" && (c.By != "" || c.Edits != ""):
		return usagef("--by and --edits go with --in")
	case c.In != "" && c.From != "" && c.Edits == "":
		return usagef("--from is a folder, whose devices cannot be changed: name a file for the edits with --edits, for replay --edits")
	case c.From != "":
		devices, err := results.Devices(c.From, c.Site)
		if err != nil {
			return err
		}
		return c.with(ctx, devices, nil, io)
	case c.In != "" && c.Edits == "":
		return withDesk(ctx, g, io, func(d *desk) error {
			devices, err := devicesOfSite(ctx, d.store, c.Site)
			if err != nil {
				return err
			}
			return c.with(ctx, devices, d, io)
		})
	}
	return withStore(ctx, g, io, func(s *store.Store) error {
		devices, err := devicesOfSite(ctx, s, c.Site)
		if err != nil {
			return err
		}
		return c.with(ctx, devices, nil, io)
	})
}

func (c *deviceWorksheetCmd) with(ctx context.Context, devices []*proto.Device, d *desk, io *streams) error {
	if c.In == "" {
		return c.write(devices, io)
	}
	return c.read(ctx, devices, d, io)
}

func (c *deviceWorksheetCmd) write(devices []*proto.Device, io *streams) error {
	rows := worksheet.Rows(devices, c.Location)
	var b bytes.Buffer
	if err := worksheet.Write(&b, rows); err != nil {
		return err
	}
	if c.Out == "" {
		_, err := io.out.Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(c.Out, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write worksheet: %w", err)
	}
	io.note("%s: %s of %s", c.Out, counted(len(rows), "row"), counted(len(devices), "device"))
	return nil
}

func (c *deviceWorksheetCmd) read(ctx context.Context, devices []*proto.Device, d *desk, io *streams) error {
	f, err := os.Open(c.In)
	if err != nil {
		return fmt.Errorf("read worksheet: %w", err)
	}
	defer func() { _ = f.Close() }()
	known := map[proto.ID]*proto.Device{}
	for _, dev := range devices {
		for _, former := range dev.Aliases {
			known[former] = dev
		}
	}
	for _, dev := range devices {
		known[dev.DeviceID] = dev
	}
	res, err := worksheet.Read(f, worksheet.Reading{
		By: c.By, Device: func(id proto.ID) *proto.Device { return known[id] }, New: newEdit, Check: fingerprint.CheckEdit, Same: fingerprint.SameValue,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.In, err)
	}
	for _, bad := range res.Bad {
		io.note("%s: %v", c.In, bad)
	}
	io.note("%s: %s, %s without a value, %s that cannot be used", c.In, counted(len(res.Edits), "edit"), counted(res.Empty, "row"), counted(len(res.Bad), "row"))
	switch {
	case len(res.Edits) == 0:
	case c.Edits != "":
		err = writeEdits(c.Edits, res.Edits)
	default:
		err = d.hand(ctx, res.Edits, c.Wait)
	}
	if err == nil && len(res.Bad) > 0 {
		err = errReported
	}
	return err
}

// devicesOfSite are the devices of a site, "" for all, as they stand.
func devicesOfSite(ctx context.Context, s *store.Store, site string) ([]*proto.Device, error) {
	r, err := s.Query(ctx, "SELECT record FROM v_devices WHERE {site:String} IN ('', site)", store.Named("site", site))
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	var list []*proto.Device
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			return nil, err
		}
		text, _ := v[0].(string)
		dev := new(proto.Device)
		if err := json.Unmarshal([]byte(text), dev); err != nil {
			return nil, fmt.Errorf("read device record: %w", err)
		}
		list = append(list, dev)
	}
	return list, r.Err()
}
