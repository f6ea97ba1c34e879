package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/wardflow/internal/coverage"
	"github.com/wardflow/wardflow/services/wardflow/internal/replay"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

type coverageCmd struct {
	From    string `placeholder:"DIR" help:"Devices of a folder that replay wrote, and not those of ClickHouse."`
	Site    string `placeholder:"SITE" help:"Only of this site."`
	Context string `placeholder:"FILE" help:"Context file, as for replay: networks in which there should be devices, and the roster of devices that there should be."`
	Output  format `short:"o" aliases:"format" enum:"table,json" default:"table" help:"table; or json, one object with all of it."`
}

// Help is shown by --help.
func (coverageCmd) Help() string {
	return `What is not known, and what to do about it: of how many devices maker, model, operating system, versions, serial number
and location are known, and how surely; networks of the context file in which no device was seen; devices of its roster
that were never seen.

Sure is a confidence of 0.9 and more, likely 0.5 and more, weak is less.

Examples:

    wardflow coverage
    wardflow coverage --site ward-a --context hospital.yaml
    wardflow coverage --from monday/ --format json | jq .advice

The roster of a context file names each device by any of mac, serial, hostname and ip:

    roster: [{asset: A-1001, name: CT 1, mac: "00:01:e3:5d:31:01"}, {asset: A-1002, serial: "62341"}]`
}

// Run reports.
func (c *coverageCmd) Run(ctx context.Context, g *globals, io *streams) error {
	var networks []coverage.Network
	var roster []coverage.Entry
	if c.Context != "" {
		x, err := replay.LoadContext(c.Context)
		if err != nil {
			return usageError{err}
		}
		if roster, err = coverage.Roster(&x.Roster); err != nil {
			return usagef("context %s: %w", c.Context, err)
		}
		networks = c.networks(x)
	}
	devices, err := c.devices(ctx, g, io)
	if err != nil {
		return err
	}
	r := coverage.Of(devices, networks, roster)
	if c.Output == formatJSON {
		b, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("write coverage: %w", err)
		}
		_, err = fmt.Fprintf(io.out, "%s\n", b)
		return err
	}
	return showCoverage(io.screen(), r)
}

// networks are those of the context file that are of the site.
func (c *coverageCmd) networks(x *replay.Context) (list []coverage.Network) {
	for _, s := range x.Sites {
		for _, h := range s.Home {
			if c.Site == "" || s.Site == c.Site {
				list = append(list, coverage.Network{CIDR: h, Site: s.Site})
			}
		}
	}
	for _, s := range x.Subnets {
		if p, err := netip.ParsePrefix(s.CIDR); err == nil && (c.Site == "" || s.Site == "" || s.Site == c.Site) {
			list = append(list, coverage.Network{CIDR: p.String(), Site: s.Site, Name: s.Name})
		}
	}
	return list
}

func (c *coverageCmd) devices(ctx context.Context, g *globals, io *streams) (list []*proto.Device, err error) {
	if c.From != "" {
		return results.Devices(c.From, c.Site)
	}
	err = withStore(ctx, g, io, func(s *store.Store) (err error) {
		list, err = devicesOfSite(ctx, s, c.Site)
		return err
	})
	return list, err
}

func showCoverage(out *screen, r *coverage.Report) error {
	if _, err := fmt.Fprintf(out.w, "%s\n", counted(r.Devices, "device")); err != nil {
		return err
	}
	percent := func(n, of int) string { return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(max(of, 1))) }
	var shares, unseen, missing, advice [][]any
	for _, s := range r.Attributes {
		shares = append(shares, []any{s.Category, s.Attribute, s.Devices, percent(s.Sure, s.Devices), percent(s.Likely, s.Devices), percent(s.Weak, s.Devices), percent(s.None, s.Devices)})
	}
	for _, n := range r.Unseen {
		unseen = append(unseen, []any{n.CIDR, n.Site, n.Name})
	}
	for _, e := range r.NeverSeen {
		missing = append(missing, []any{e.Asset, e.Name, e.MAC, e.Serial, e.Hostname, e.IP})
	}
	for _, a := range r.Advice {
		advice = append(advice, []any{a.About, a.Do})
	}
	for _, s := range []struct {
		title string
		names []string
		list  [][]any
	}{
		{"What is known", []string{"category", "attribute", "devices", "sure", "likely", "weak", "none"}, shares},
		{"Networks without a device", []string{"network", "site", "name"}, unseen},
		{"Of the roster, never seen", []string{"asset", "name", "mac", "serial", "hostname", "ip"}, missing},
		{"What to do", []string{"about", "do"}, advice},
	} {
		if err := section(out, s.title, &fixedRows{list: s.list}, s.names, nil); err != nil {
			return err
		}
	}
	return nil
}
