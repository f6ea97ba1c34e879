package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/wardflow/wardflow/services/fingerprint/behaviour"
	"github.com/wardflow/wardflow/services/wardflow/internal/labelled"
)

type fingerprintCmd struct {
	Serve    fingerprintServeCmd    `cmd:"" default:"withargs" help:"Run the service: what every device is."`
	Evaluate fingerprintEvaluateCmd `cmd:"" help:"Measure the classification by behaviour on labelled captures."`
	Train    fingerprintTrainCmd    `cmd:"" help:"Make the model of the classification by behaviour from labelled captures."`

	Calibration fingerprintCalibrationCmd `cmd:"" help:"Measure whether confidences hold, on captures whose hosts are known."`
}

// Help is shown by --help.
func (fingerprintCmd) Help() string {
	return `Without a further word it runs the service. The other commands need neither broker nor database: they work on folders of
labelled captures.

A folder of labelled captures has a folder per type of device, whose name is the label (a single digit at its end
numbers units of the same type and is left out), and in it capture files, one sample each, as pcap or pcapng, compressed
or not. A file such as _iotdevice-mac.txt beside them names the MAC of the device; where there is none, the device is
the interface that sends most and is no gateway.

Examples:

    wardflow fingerprint
    wardflow fingerprint evaluate --train captures/ --folds 5 --repeat 5
    wardflow fingerprint evaluate --train captures/ --test others/ --out report.json
    wardflow fingerprint train --train captures/ --out model.bin --date 2026-11-30 --source 'IoT Sentinel'
    wardflow fingerprint calibration --labels benchmarks/labels/public.yaml --captures captures/

Each of them explains itself: wardflow fingerprint evaluate --help.`
}

type fingerprintServeCmd struct{ foldFlags }

// Run implements the command.
func (c *fingerprintServeCmd) Run(ctx context.Context, g *globals, io *streams) error {
	return c.run(ctx, g, io, fingerprintService)
}

type fingerprintEvaluateCmd struct {
	Train    string `placeholder:"DIR" help:"Labelled captures to learn from. Without it, the model that is part of the program is tested."`
	Test     string `placeholder:"DIR" help:"Labelled captures to test with. Without it, those of --train are tested fold by fold."`
	Out      string `placeholder:"FILE" help:"Where the report goes; standard output by default."`
	Folds    int    `placeholder:"N" default:"5" help:"Without --test: into how many folds the captures of each type are dealt."`
	Repeat   int    `placeholder:"N" default:"1" help:"Without --test: how often they are shuffled and dealt."`
	Seed     uint64 `placeholder:"N" default:"1" help:"Of all that is random: the same seed gives the same report."`
	LeaveOut bool   `help:"Leave each type out of training in turn, too, and count how often it is rejected as unknown."`
}

// Help is shown by --help.
func (fingerprintEvaluateCmd) Help() string {
	return `Prints JSON: accuracy, macro_accuracy (the mean over types of the share of their captures that got the right label),
per type recall, confusion, calibration (of the decisions shown with a confidence, how many are right), and how many were
rejected as unknown. The report at the top is of what the product does; under variants it is split by what was looked at:

    header_and_timing   kinds of messages and flows, their order, intervals, counts and sizes; no content
    payload             what devices announce: vendor classes, models, agents, domains; no timing
    with_oui            all of that, and the maker's half of the MAC, which the product leaves to another signature

Types that are taken for each other by header_and_timing are told apart under families, in every variant.

Captures take the way of live traffic: capture's Processor, flows and observations, the sketch of the endpoint fold.

Examples:

    wardflow fingerprint evaluate --train captures/ --folds 5 --repeat 5 --leave-out
    wardflow fingerprint evaluate --train captures/ --test others/
    wardflow fingerprint evaluate --test others/                           the model in the program

Where to look next: jq '.macro_accuracy, .variants.header_and_timing.macro_accuracy, .calibration' report.json`
}

// evaluation is the report of the command; its keys are documented in docs/how-to/evaluate-behaviour.md.
type evaluation struct {
	Method     string   `json:"method"`
	Seed       uint64   `json:"seed"`
	TrainedOn  *dataset `json:"trained_on,omitempty"`
	TestedWith *dataset `json:"tested_with,omitempty"`
	*behaviour.Report
	Variants map[string]*behaviour.Report `json:"variants,omitempty"`
	LeaveOut *leftOut                     `json:"leave_out,omitempty"`
}

type dataset struct {
	Captures int    `json:"captures"`
	SHA256   string `json:"sha256"`
	Damaged  int    `json:"damaged"`
	Guessed  int    `json:"device_by_traffic_alone"`
	Silent   int    `json:"without_device"`
}

type leftOut struct {
	Samples  int                    `json:"samples"`
	Rejected float64                `json:"rejected"`
	PerType  []behaviour.TypeReport `json:"per_type"`
}

// combined is what the product looks at.
const combined = behaviour.Timing | behaviour.Content

var variants = []struct {
	name   string
	groups behaviour.Group
}{
	{"header_and_timing", behaviour.Timing},
	{"payload", behaviour.Content},
	{"with_oui", behaviour.Timing | behaviour.Content | behaviour.Vendor},
}

// Run evaluates.
func (c *fingerprintEvaluateCmd) Run(ctx context.Context, io *streams) error {
	switch {
	case c.Train == "" && c.Test == "":
		return usagef("evaluate needs --train DIR, --test DIR or both")
	case c.Test == "" && (c.Folds < 2 || c.Repeat < 1):
		return usagef("--folds %d --repeat %d: want at least 2 folds, and 1 repetition", c.Folds, c.Repeat)
	case c.Train == "" && c.LeaveOut:
		return usagef("--leave-out needs --train DIR: it trains without each type in turn")
	}
	e := &evaluation{Seed: c.Seed}
	var train, test *labelled.Set
	var err error
	if c.Train != "" {
		if train, e.TrainedOn, err = readLabelled(ctx, io, c.Train); err != nil {
			return err
		}
	}
	if c.Test != "" {
		if test, e.TestedWith, err = readLabelled(ctx, io, c.Test); err != nil {
			return err
		}
	}
	if err := c.measure(ctx, io, e, train, test); err != nil {
		return err
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	b = append(b, '\n')
	if c.Out == "" {
		_, err = io.out.Write(b)
	} else {
		err = os.WriteFile(c.Out, b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	io.note("macro accuracy %.4f over %d types, %d of %d rejected", e.Macro, e.Types, e.Rejected, e.Samples)
	return nil
}

func (c *fingerprintEvaluateCmd) measure(ctx context.Context, io *streams, e *evaluation, train, test *labelled.Set) (err error) {
	if train == nil {
		e.Method = "the program's model"
		e.Report = behaviour.Test(behaviour.Embedded(), test.Samples)
		return nil
	}
	e.Method = fmt.Sprintf("%d times repeated stratified %d-fold", c.Repeat, c.Folds)
	if test != nil {
		e.Method = "trained on one folder, tested with another"
	}
	one := func(name string, g behaviour.Group) (*behaviour.Report, error) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("evaluate: %w", err)
		}
		io.note("measuring %s", name)
		o := behaviour.Options{Groups: g, Seed: c.Seed}
		if test == nil {
			return behaviour.Folds(train.Samples, c.Folds, c.Repeat, o)
		}
		m, err := behaviour.Train(train.Samples, o)
		if err != nil {
			return nil, err
		}
		return behaviour.Test(m, test.Samples), nil
	}
	if e.Report, err = one("combined", combined); err != nil {
		return err
	}
	e.Variants = map[string]*behaviour.Report{}
	for _, v := range variants {
		if e.Variants[v.name], err = one(v.name, v.groups); errors.Is(err, behaviour.ErrNothingShared) {
			io.note("%s: %v", v.name, err)
			delete(e.Variants, v.name)
		} else if err != nil {
			return err
		}
	}
	if r := e.Variants["header_and_timing"]; r != nil {
		families := r.FindFamilies()
		e.Of(families)
		for _, r := range e.Variants {
			r.Of(families)
		}
	}
	if !c.LeaveOut {
		return nil
	}
	io.note("measuring types left out")
	r, per, err := behaviour.LeaveOut(train.Samples, behaviour.Options{Groups: combined, Seed: c.Seed})
	if err != nil {
		return err
	}
	e.LeaveOut = &leftOut{Samples: r.Unlearned, Rejected: r.UnlearnedOK, PerType: per}
	return nil
}

// readLabelled reads labelled captures and tells what was odd about them.
func readLabelled(ctx context.Context, io *streams, dir string) (*labelled.Set, *dataset, error) {
	s, err := labelled.Read(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	for _, err := range s.Damaged {
		io.note("%v", err)
	}
	for _, name := range s.Silent {
		io.note("%s: no device in it sends anything; it counts as rejected", name)
	}
	if n := len(s.Guessed); n > 0 {
		io.note("%s: in %d captures the device is the interface that sends most and is no gateway, for no file names its MAC", dir, n)
	}
	return s, &dataset{Captures: len(s.Samples), SHA256: s.SHA256, Damaged: len(s.Damaged), Guessed: len(s.Guessed), Silent: len(s.Silent)}, nil
}

type fingerprintTrainCmd struct {
	Train  string `required:"" placeholder:"DIR" help:"Labelled captures to learn from."`
	Out    string `required:"" placeholder:"FILE" help:"The model file."`
	Date   string `placeholder:"YYYY-MM-DD" help:"Written into the model; no clock is asked, so that the same captures give the same file."`
	Source string `placeholder:"TEXT" help:"Where the captures come from; written into the model."`
	Seed   uint64 `placeholder:"N" default:"1" help:"Of all that is random."`
}

// Help is shown by --help.
func (fingerprintTrainCmd) Help() string {
	return `Learns the behaviour of the types of devices in a folder of labelled captures, and writes the model: a forest of decision
trees with its calibration, what types have in common for the rejection of unknown ones, and of what it was made
(captures, their SHA-256, date, source, seed). The same captures, flags and program give the same bytes.

The model in the program is services/fingerprint/behaviour/model.bin; go tool task behaviour makes it anew.

Example:

    wardflow fingerprint train --train captures/ --out model.bin --date 2026-11-30 --source 'IoT Sentinel'`
}

var dateText = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

// Run trains.
func (c *fingerprintTrainCmd) Run(ctx context.Context, io *streams) error {
	if _, err := time.Parse(time.DateOnly, c.Date); c.Date != "" && (err != nil || !dateText.MatchString(c.Date)) {
		return usagef("--date %s is no date such as 2026-11-30", c.Date)
	}
	s, d, err := readLabelled(ctx, io, c.Train)
	if err != nil {
		return err
	}
	m, err := behaviour.Train(s.Samples, behaviour.Options{Groups: combined, Seed: c.Seed})
	if err != nil {
		return err
	}
	m.Provenance.Date, m.Provenance.Source, m.Provenance.SHA256 = c.Date, c.Source, d.SHA256
	b, err := m.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Out, b, 0o644); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	io.note("%s of %s: %d types, %s", c.Out, counted(d.Captures, "capture"), len(m.Labels), size(uint64(len(b))))
	return nil
}
