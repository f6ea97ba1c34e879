package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/wardflow/internal/calibration"
	"github.com/wardflow/wardflow/services/wardflow/internal/replay"
)

type fingerprintCalibrationCmd struct {
	Labels     []string `required:"" sep:"none" placeholder:"FILE" help:"Hosts in captures, and what they are (YAML). May be repeated."`
	Captures   string   `required:"" placeholder:"DIR" help:"The folder that the captures of the labels are below."`
	Signatures string   `placeholder:"DIR" help:"A signature pack, or a folder of them, beside the program's."`
	Out        string   `placeholder:"FILE" help:"Write the report as JSON to this file, too."`
	Output     string   `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help is shown by --help.
func (fingerprintCalibrationCmd) Help() string {
	return `Asks whether confidences hold: of the values shown with 0.9, are nine in ten right? People have said of hosts in captures
what they are; each capture is replayed, and each labelled value is compared with what is shown of that host. The tables
have, by confidence, how many values were shown and how many were right: of all, by attribute, by source protocol, by how
the label is known, and by half (captures fall into two by their names: weights are changed by what the one half shows,
and the other says what that was good for). Then each value that was wrong. docs/how-to/measure-confidence.md has the
form of a file of labels.

Exit status: 0 it was measured; 1 no capture could be read; 2 wrong usage or a wrong file of labels.

Examples:

    wardflow fingerprint calibration --labels benchmarks/labels/public.yaml --captures captures/
    wardflow fingerprint calibration --labels ours.yaml --captures monday/ --out report.json
    wardflow fingerprint calibration --labels ours.yaml --captures monday/ --signatures our-pumps.yaml -o json

Where to look next: jq '.all.bins, .wrong' report.json; wardflow device ID --output json for the evidence behind a value.`
}

// Run measures.
func (c *fingerprintCalibrationCmd) Run(ctx context.Context, io *streams) error {
	var sets []*calibration.Labels
	for _, file := range c.Labels {
		l, err := calibration.ReadLabels(file)
		if err != nil {
			return usageError{err}
		}
		sets = append(sets, l)
	}
	packs, err := configuredPacks(c.Signatures)
	if err != nil {
		return usageError{err}
	}
	tuneCollector(io)
	r, err := calibration.Measure(ctx, c.Captures, sets, replayed(packs), io.note)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	b = append(b, '\n')
	if c.Out != "" {
		if err := os.WriteFile(c.Out, b, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if c.Output == "json" {
		if _, err := io.out.Write(b); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		return nil
	}
	return r.Table(io.out)
}

// replayed replays a capture through the folds that say what devices are.
func replayed(packs []*fingerprint.Pack) calibration.Replay {
	return func(ctx context.Context, file string) ([]*proto.Device, error) {
		res, err := replay.Run(ctx, replay.Options{
			Site:  "labelled",
			Files: []replay.File{{Path: file}},
			Folds: fingerprint.Folds(fingerprint.Config{Packs: packs}),
		})
		if err != nil {
			return nil, err
		}
		return res.Devices, nil
	}
}
