package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
)

type signaturesCmd struct {
	List   signaturesListCmd   `cmd:"" default:"withargs" help:"List the packs in force: the program's, and those that were added."`
	Test   signaturesTestCmd   `cmd:"" help:"Test packs: their form, their rules, and each rule's examples."`
	Add    signaturesAddCmd    `cmd:"" help:"Add a pack to the running system; known devices are looked at again."`
	Remove signaturesRemoveCmd `cmd:"" help:"Take away a pack that was added."`
}

// Help is shown by --help.
func (signaturesCmd) Help() string {
	return `What devices are is said by signatures: rules that turn what the wire showed into maker, model, type and version, each
with a weight, a source and an example. They come in packs, which are YAML files; docs/how-to/write-signatures.md has the
format. A pack of your own needs no new program: test it, try it on a capture, add it.

Examples:

    wardflow signatures
    wardflow signatures test our-pumps.yaml
    wardflow replay monday.pcapng --site st-alban --signatures our-pumps.yaml --out monday/
    wardflow signatures add our-pumps.yaml --by a.meyer --note 'pumps of 2026'
    wardflow signatures remove our-pumps --by a.meyer`
}

type signaturesTestCmd struct {
	Packs []string `arg:"" optional:"" name:"file" help:"Packs, or folders of them (*.yaml, *.yml). Without any, the program's own."`
}

// Help is shown by --help.
func (signaturesTestCmd) Help() string {
	return `Reads packs and says all that is wrong, with file, line and rule: keys that are not known, expressions that RE2 does not
read, evidence that nothing tells, attributes and types that devices do not have, weights that are not between 0 and 1, a
source or an example that is missing, examples that do not match or say something else, rules about one address, one
MAC or one capture, and two rules for the same. Rules with enabled: false are tested as well.

Exit status: 0 all is well; 1 something is wrong, or cannot be read.

Examples:

    wardflow signatures test
    wardflow signatures test our-pumps.yaml
    wardflow signatures test /etc/wardflow/packs`
}

// Run tests packs.
func (c *signaturesTestCmd) Run(io *streams) error {
	var packs []*fingerprint.Pack
	failed := false
	for _, path := range c.Packs {
		more, err := fingerprint.ReadPacks(path)
		if err != nil {
			io.note("%v", err)
			failed = true
		}
		packs = append(packs, more...)
	}
	if len(c.Packs) == 0 {
		packs = fingerprint.EmbeddedPacks()
	}
	problems := fingerprint.Lint(packs)
	for _, p := range problems {
		io.note("%v", p)
	}
	rules, examples := 0, 0
	for _, p := range packs {
		rules += len(p.Rules)
		for i := range p.Rules {
			examples += len(p.Rules[i].Examples) + len(p.Rules[i].Counter)
		}
	}
	if len(problems) > 0 || failed {
		io.note("%s in %s", counted(len(problems), "problem"), counted(len(packs), "pack"))
		return errReported
	}
	_, err := fmt.Fprintf(io.out, "%s, %s, %s: all is well\n", counted(len(packs), "pack"), counted(rules, "rule"), counted(examples, "example"))
	return err
}

type signaturesListCmd struct {
	Output  format `short:"o" enum:"table,json,csv" default:"table" help:"table, json (one object a line) or csv."`
	Program bool   `help:"The program's own alone; without it the brokers are asked for those that were added."`
}

// Help is shown by --help.
func (signaturesListCmd) Help() string {
	return `The packs in force, with who added them. A pack that was added and has the name of one of the program's takes its place.

Examples:

    wardflow signatures
    wardflow signatures list --program
    wardflow signatures list --output json | jq -r .pack`
}

// Run lists packs.
func (c *signaturesListCmd) Run(ctx context.Context, g *globals, io *streams) error {
	names := []string{"pack", "version", "licence", "rules", "disabled", "from", "added", "note"}
	var list [][]any
	line := func(p *fingerprint.Pack, from, added, note string) {
		off := 0
		for i := range p.Rules {
			if e := p.Rules[i].Enabled; e != nil && !*e {
				off++
			}
		}
		list = append(list, []any{p.Name, p.Version, p.Licence, len(p.Rules) - off, off, from, added, note})
	}
	var added []proto.SignaturePack
	own := fingerprint.EmbeddedPacks()
	if !c.Program {
		l, e, err := g.centre(io)
		if err != nil {
			return err
		}
		if added, err = addedPacks(ctx, e.Kafka); err != nil {
			return err
		}
		configured, err := configuredPacks(l.Fingerprint.Packs)
		if err != nil {
			return err
		}
		for _, p := range configured {
			own = slices.DeleteFunc(own, func(o *fingerprint.Pack) bool { return o.Name == p.Name })
			line(p, l.Fingerprint.Packs, "", "")
		}
	}
	for _, s := range added {
		own = slices.DeleteFunc(own, func(o *fingerprint.Pack) bool { return o.Name == s.Name })
		p, err := fingerprint.ParsePack(s.Name, []byte(s.Text))
		if err != nil {
			return err
		}
		line(p, s.By, s.Time.String(), s.Note)
	}
	for _, p := range own {
		line(p, "wardflow", "", "")
	}
	_, err := io.screen().write(c.Output, names, nil, &fixedRows{list: list})
	return err
}

type signaturesAddCmd struct {
	File string `arg:"" help:"The pack."`
	By   string `required:"" placeholder:"NAME" help:"Who adds it."`
	Note string `placeholder:"TEXT" help:"Why."`
}

// Help is shown by --help.
func (signaturesAddCmd) Help() string {
	return `Tests a pack and puts it on wardflow.control, from where every fingerprint service takes it. What is already known of
devices is looked at again with it, and who becomes another device is told anew. A pack of the same name is replaced.

Examples:

    wardflow signatures add our-pumps.yaml --by a.meyer
    wardflow signatures add our-pumps.yaml --by a.meyer --note 'model names corrected'`
}

// Run adds a pack.
func (c *signaturesAddCmd) Run(ctx context.Context, g *globals, io *streams) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return usagef("read the pack: %w", err)
	}
	p, err := fingerprint.ParsePack(c.File, text)
	if err != nil {
		return err
	}
	if problems := fingerprint.Lint([]*fingerprint.Pack{p}); len(problems) > 0 {
		for _, x := range problems {
			io.note("%v", x)
		}
		io.note("nothing was added: %s", counted(len(problems), "problem"))
		return errReported
	}
	if strings.TrimSpace(c.By) == "" {
		return usagef("--by is empty: say who adds it")
	}
	_, e, err := g.centre(io)
	if err != nil {
		return err
	}
	if err := publishPack(ctx, e.Kafka, &proto.SignaturePack{Name: p.Name, By: c.By, Note: c.Note, Text: string(text)}); err != nil {
		return err
	}
	io.note("Pack %s %s with %s is on its way: `wardflow signatures` lists it.", p.Name, p.Version, counted(len(p.Rules), "rule"))
	return nil
}

type signaturesRemoveCmd struct {
	Name string `arg:"" help:"The pack's name, as it lists."`
	By   string `required:"" placeholder:"NAME" help:"Who takes it away."`
	Note string `placeholder:"TEXT" help:"Why."`
}

// Help is shown by --help.
func (signaturesRemoveCmd) Help() string {
	return `Takes away a pack that was added; devices are looked at again without it.

Example:

    wardflow signatures remove our-pumps --by a.meyer --note 'now in the program'`
}

// Run takes a pack away.
func (c *signaturesRemoveCmd) Run(ctx context.Context, g *globals, io *streams) error {
	_, e, err := g.centre(io)
	if err != nil {
		return err
	}
	added, err := addedPacks(ctx, e.Kafka)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(added, func(p proto.SignaturePack) bool { return p.Name == c.Name }) {
		return fmt.Errorf("no pack %s was added: `wardflow signatures` lists those that were", c.Name)
	}
	if err := publishPack(ctx, e.Kafka, &proto.SignaturePack{Name: c.Name, By: c.By, Note: c.Note, Removed: true}); err != nil {
		return err
	}
	io.note("Pack %s is taken away.", c.Name)
	return nil
}

func publishPack(ctx context.Context, kafka bus.Config, p *proto.SignaturePack) error {
	p.Time = proto.TimeOf(time.Now())
	return publishControl(ctx, kafka, "signatures/"+p.Name, &proto.Control{Kind: proto.ControlSignatures, Signatures: p})
}

// addedPacks reads which packs wardflow.control has added and not taken away, by name.
func addedPacks(ctx context.Context, kafka bus.Config) ([]proto.SignaturePack, error) {
	r, err := bus.NewReader(kafka)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	have := map[string]proto.SignaturePack{}
	_, err = r.Read(ctx, proto.TopicControl, 0, 0, func(rec bus.Record) error {
		var c proto.Control
		if rec.Control || json.Unmarshal(rec.Value, &c) != nil || c.Signatures == nil {
			return nil // a marker, or an event that is about something else
		}
		if have[c.Signatures.Name] = *c.Signatures; c.Signatures.Removed {
			delete(have, c.Signatures.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s (`wardflow prepare` makes the topics): %w", proto.TopicControl, err)
	}
	var list []proto.SignaturePack
	for _, name := range sortedKeys(have) {
		list = append(list, have[name])
	}
	return list, nil
}

// configuredPacks are the packs of a folder or file; "" is none.
func configuredPacks(path string) ([]*fingerprint.Pack, error) {
	if path == "" {
		return nil, nil
	}
	packs, err := fingerprint.UsablePacks(path)
	if err != nil {
		return nil, errors.Join(err, fmt.Errorf("`wardflow signatures test %s` tells the same", path))
	}
	return packs, nil
}
