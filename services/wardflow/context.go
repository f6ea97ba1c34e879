package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/hospital"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint"
	"github.com/wardflow/wardflow/services/wardflow/internal/replay"
)

type contextCmd struct {
	Show   contextShowCmd   `cmd:"" default:"withargs" help:"Which context file is in force, and what is in it."`
	Check  contextCheckCmd  `cmd:"" help:"Tell everything that is wrong with a context file."`
	Set    contextSetCmd    `cmd:"" help:"Put a context file in force; known devices are looked at again."`
	Remove contextRemoveCmd `cmd:"" help:"Take the context file out of force."`
}

// Help is shown by --help.
func (contextCmd) Help() string {
	return `What the hospital says of itself: its sites, buildings, floors, departments and rooms; which networks, ports, access
points and texts are where; its inventory of devices; until when they are supported. docs/how-to/describe-the-hospital.md
explains the file. With context: FILE in the configuration, up and prepare put it in force; replay takes --context.

Examples:

    wardflow context check hospital.yaml
    wardflow context set hospital.yaml --by a.meyer --note 'new east wing'
    wardflow context`
}

type contextCheckCmd struct {
	File string `arg:"" help:"The context file."`
}

// Help is shown by --help.
func (contextCheckCmd) Help() string {
	return `Exit status: 0 the file is good, though lines of the roster may be left out, which are told; 1 something is wrong.

Example:

    wardflow context check hospital.yaml`
}

// Run checks.
func (c *contextCheckCmd) Run(io *streams) error {
	x, err := replay.LoadContext(c.File)
	if err != nil {
		io.note("%v", err)
		return errReported
	}
	if err := x.Warned(); err != nil {
		io.note("%v", err)
	}
	_, err = fmt.Fprintf(io.out, "%s: good: %s\n", c.File, inContext(x.Context))
	return err
}

// inContext counts what is in a file.
func inContext(x *hospital.Context) string {
	f := x.File
	return strings.Join([]string{
		counted(len(f.Sites), "site"), counted(len(f.Subnets), "subnet"), counted(len(f.VLANs), "VLAN"), counted(len(f.SwitchPorts), "switch port"),
		counted(len(f.AccessPoints), "access point"), counted(len(f.Locations), "location"), counted(len(f.Support), "end of support"),
		counted(len(x.Entries), "line") + " of the roster",
	}, ", ")
}

type contextSetCmd struct {
	File string `arg:"" help:"The context file."`
	By   string `required:"" placeholder:"NAME" help:"Who sets it."`
	Note string `placeholder:"TEXT" help:"Why."`
}

// Help is shown by --help.
func (contextSetCmd) Help() string {
	return `Checks a context file and puts it on wardflow.control, from where every fingerprint service takes it. It takes the place
of the one before. Devices of which it makes something else are told anew. Policies in it are not applied: those of the
running system are in the configuration.

Example:

    wardflow context set hospital.yaml --by a.meyer`
}

// Run sets.
func (c *contextSetCmd) Run(ctx context.Context, g *globals, io *streams) error {
	if strings.TrimSpace(c.By) == "" {
		return usagef("--by is empty: say who sets it")
	}
	x, err := replay.LoadContext(c.File)
	if err != nil {
		io.note("%v", err)
		io.note("nothing was set")
		return errReported
	}
	if err := x.Warned(); err != nil {
		io.note("%v", err)
	}
	if len(x.Policy) > 0 {
		io.note("%s: policy is not applied: put it into the configuration, and run `wardflow prepare`", c.File)
	}
	_, e, err := g.centre(io)
	if err != nil {
		return err
	}
	if err := publishContext(ctx, e.Kafka, filepath.Base(c.File), x.Text, c.By, c.Note); err != nil {
		return err
	}
	io.note("%s is on its way: %s.", c.File, inContext(x.Context))
	return nil
}

type contextRemoveCmd struct {
	By   string `required:"" placeholder:"NAME" help:"Who takes it away."`
	Note string `placeholder:"TEXT" help:"Why."`
}

// Help is shown by --help.
func (contextRemoveCmd) Help() string {
	return `Devices keep what traffic and people say of them. A file that the configuration names comes back with the next
wardflow prepare or up.

Example:

    wardflow context remove --by a.meyer`
}

// Run takes it away.
func (c *contextRemoveCmd) Run(ctx context.Context, g *globals, io *streams) error {
	_, e, err := g.centre(io)
	if err != nil {
		return err
	}
	meta, _, err := publishedContext(ctx, e.Kafka)
	if err != nil {
		return err
	}
	if meta == nil {
		return errors.New("no context file is in force")
	}
	gone := &proto.HospitalContext{Time: proto.TimeOf(time.Now()), Name: meta.Name, By: c.By, Note: c.Note}
	if err := publishControl(ctx, e.Kafka, "context", &proto.Control{Kind: proto.ControlContext, Context: gone}); err != nil {
		return err
	}
	io.note("%s is taken away.", meta.Name)
	return nil
}

type contextShowCmd struct {
	Text bool `help:"Print the file itself, as it was set."`
}

// Help is shown by --help.
func (contextShowCmd) Help() string {
	return `Examples:

    wardflow context
    wardflow context show --text > hospital.yaml`
}

// Run shows.
func (c *contextShowCmd) Run(ctx context.Context, g *globals, io *streams) error {
	_, e, err := g.centre(io)
	if err != nil {
		return err
	}
	meta, text, err := publishedContext(ctx, e.Kafka)
	if err != nil {
		return err
	}
	switch {
	case meta == nil:
		_, err = fmt.Fprintln(io.out, "no context file is in force; `wardflow context set FILE --by NAME` sets one")
	case c.Text:
		_, err = io.out.Write(text)
	default:
		x, perr := hospital.Parse(meta.Name, text)
		if perr != nil {
			return perr
		}
		_, err = fmt.Fprintf(io.out, "%s, by %s, %s: %s\n", meta.Name, meta.By, showTime(meta.Time.String()), inContext(x))
	}
	return err
}

// publishContext puts a file on wardflow.control, to every partition in one
// transaction, where it is not what is in force.
func publishContext(ctx context.Context, kafka bus.Config, name string, text []byte, by, note string) error {
	events, err := fingerprint.ContextEvents(name, text)
	if err != nil {
		return err
	}
	have, _, err := publishedContext(ctx, kafka)
	if err != nil {
		return err
	}
	if have != nil && have.SHA256 == events[0].Context.SHA256 {
		return nil
	}
	now := time.Now()
	var all []bus.Message
	for i, c := range events {
		c.Context.Time, c.Context.By, c.Context.Note = proto.TimeOf(now), by, note
		value, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("encode context: %w", err)
		}
		messages, err := controlMessages(value, fmt.Sprintf("context/%d", i), uint64(now.UnixMilli())+uint64(i), kafka.Partitions)
		if err != nil {
			return err
		}
		all = append(all, messages...)
	}
	if err := bus.WriteAll(ctx, kafka, proto.TopicControl, all); err != nil {
		return fmt.Errorf("publish context: %w", err)
	}
	return nil
}

// publishedContext reads the file that wardflow.control has put in force; nil for none.
func publishedContext(ctx context.Context, kafka bus.Config) (*proto.HospitalContext, []byte, error) {
	r, err := bus.NewReader(kafka)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var meta *proto.HospitalContext
	var data, parts []byte
	_, err = r.Read(ctx, proto.TopicControl, 0, 0, func(rec bus.Record) error {
		var c proto.Control
		if rec.Control || json.Unmarshal(rec.Value, &c) != nil || c.Context == nil {
			return nil // a marker, or an event that is about something else
		}
		p := c.Context
		if p.Part == 0 {
			parts = nil
		}
		parts = append(parts, p.Data...)
		if p.SHA256 == "" {
			meta, data = nil, nil
		} else if p.Part == p.Parts-1 {
			meta, data = p, parts
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s (`wardflow prepare` makes the topics): %w", proto.TopicControl, err)
	}
	if meta == nil {
		return nil, nil, nil
	}
	text, err := fingerprint.ContextText(meta.Name, meta.SHA256, data)
	if err != nil {
		return nil, nil, fmt.Errorf("the context in force: %w", err)
	}
	return meta, text, nil
}

// configuredContext reads the context file that the configuration names, and adds its
// policies and home networks to the configuration's, which go before; nil for none.
func configuredContext(cfg *config.Config, io *streams) (*replay.Context, error) {
	if cfg.Context == "" {
		return nil, nil
	}
	x, err := replay.LoadContext(cfg.Context)
	if err != nil {
		return nil, fmt.Errorf("context: %w", err)
	}
	if err := x.Warned(); err != nil {
		io.note("%v", err)
	}
	policies := maps.Clone(x.Policy)
	if policies == nil {
		policies = map[string]config.Policy{}
	}
	maps.Copy(policies, cfg.Policy)
	cfg.Policy = policies
	home := slices.Clone(cfg.Capture.Home)
	for _, p := range x.Home(cfg.Site) {
		if s := p.String(); !slices.Contains(home, s) {
			home = append(home, s)
		}
	}
	cfg.Capture.Home = home
	return x, nil
}

// publishConfigured puts the configuration's policies and context file in force.
func publishConfigured(ctx context.Context, cfg *config.Config, x *replay.Context, kafka bus.Config) error {
	if err := publishPolicies(ctx, cfg, kafka); err != nil || x == nil {
		return err
	}
	return publishContext(ctx, kafka, filepath.Base(cfg.Context), x.Text, "configuration", "")
}
