package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/wardflow/internal/coverage"
	"github.com/wardflow/wardflow/services/wardflow/internal/replay"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

type coverageCmd struct {
	From    string `placeholder:"DIR" help:"Devices of a folder that replay wrote, and not those of ClickHouse."`
	Site    string `placeholder:"SITE" help:"Only of this site."`
	Context string `placeholder:"FILE" help:"Context file, as for replay: networks and VLANs in which there should be devices, and the roster of devices that there should be. Default: that of the configuration."`
	Output  format `short:"o" aliases:"format" enum:"table,json" default:"table" help:"table; or json, one object with all of it."`
}

// Help is shown by --help.
func (coverageCmd) Help() string {
	return `What is not known, and what to do about it: of how many devices maker, model, operating system, versions, serial number
and location are known, and how surely; how many are at which place, missing, or past their end of support; networks of
the context file in which no device was seen, or only through a router; VLANs that it does not have; devices of its
roster that were never seen, and devices that are not in it. "Past" and "missing" are as of the last packet of all.

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
	asked := coverage.Asked{Site: c.Site}
	if file, err := c.contextFile(g, io); err != nil {
		return err
	} else if file != "" {
		x, err := replay.LoadContext(file)
		if err != nil {
			return usageError{err}
		}
		if err := x.Warned(); err != nil {
			io.note("%v", err)
		}
		asked.Context, asked.Networks = x.Context, c.networks(x)
	}
	devices, err := c.devices(ctx, g, io)
	if err != nil {
		return err
	}
	r := coverage.Of(devices, asked)
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

// contextFile is the one that is named, else that of the configuration.
func (c *coverageCmd) contextFile(g *globals, io *streams) (string, error) {
	if c.Context != "" || c.From != "" {
		return c.Context, nil
	}
	l, err := g.load(io)
	if err != nil {
		return "", err
	}
	return l.Context, nil
}

// networks are those of the context file that are of the site.
func (c *coverageCmd) networks(x *replay.Context) (list []coverage.Network) {
	for _, s := range x.File.Sites {
		for _, h := range s.Home {
			if c.Site == "" || s.Site == c.Site {
				list = append(list, coverage.Network{CIDR: h, Site: s.Site})
			}
		}
	}
	for _, s := range x.File.Subnets {
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
	for _, s := range append(coverageOfDevices(r), coverageOfHospital(r)...) {
		if err := section(out, s.title, &fixedRows{list: s.list}, s.names, nil); err != nil {
			return err
		}
	}
	return nil
}

// titled is a table of the report.
type titled struct {
	title string
	names []string
	list  [][]any
}

func coverageOfDevices(r *coverage.Report) []titled {
	percent := func(n, of int) string { return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(max(of, 1))) }
	var shares, places [][]any
	for _, s := range r.Attributes {
		shares = append(shares, []any{s.Category, s.Attribute, s.Devices, percent(s.Sure, s.Devices), percent(s.Likely, s.Devices), percent(s.Weak, s.Devices), percent(s.None, s.Devices)})
	}
	for _, p := range r.Places {
		if p.Site == "" {
			p.Site = "nothing says where"
		}
		places = append(places, []any{p.Site, p.Building, p.Floor, p.Department, p.Devices, p.Medical, p.Missing, p.Past, p.Contradicting})
	}
	l, s := r.Lifecycle, r.Support
	return []titled{
		{"What is known", []string{"category", "attribute", "devices", "sure", "likely", "weak", "none"}, shares},
		{"Where they are", []string{"site", "building", "floor", "department", "devices", "medical", "missing", "past support", "contradicting"}, places},
		{"Their lives", []string{"online", "silent", "missing", "returned", "retired"}, [][]any{{l.Online, l.Silent, l.Missing, l.Returned, l.Retired}}},
		{"End of support, as of " + r.AsOf, []string{"past", "within a year", "later", "not known"}, [][]any{{s.Past, s.WithinYear, s.Later, s.Unknown}}},
	}
}

func coverageOfHospital(r *coverage.Report) []titled {
	var unseen, routed, vlans, missing, twice, conflicts, left, advice [][]any
	for _, n := range r.Unseen {
		unseen = append(unseen, []any{n.CIDR, n.Site, n.Name})
	}
	for _, n := range r.Routed {
		routed = append(routed, []any{n.CIDR, n.Site, n.Name})
	}
	for _, v := range r.VLANs {
		vlans = append(vlans, []any{v.Site, v.VLAN, v.Devices})
	}
	for _, e := range r.NeverSeen {
		missing = append(missing, []any{e.Asset, e.Name, e.MAC, e.Serial, e.Hostname, e.IP})
	}
	for _, t := range r.Inventory.Twice {
		twice = append(twice, []any{t.Asset, t.Name, strings.Join(t.DeviceIDs, " ")})
	}
	for _, c := range r.Conflicted {
		conflicts = append(conflicts, []any{c.AssetTag, c.DeviceID, c.Attribute, c.Roster, c.Seen})
	}
	for _, s := range r.LeftOut {
		left = append(left, []any{s})
	}
	for _, a := range r.Advice {
		advice = append(advice, []any{a.About, a.Do})
	}
	var inventory [][]any
	if r.Roster > 0 {
		inventory = [][]any{{r.Roster, r.Inventory.Matched, r.Inventory.Unmatched}}
	}
	network := []string{"network", "site", "name"}
	return []titled{
		{"Networks without a device", network, unseen},
		{"Networks seen through a router alone", network, routed},
		{"VLANs that the context file does not have", []string{"site", "vlan", "devices"}, vlans},
		{"The roster", []string{"lines", "devices in it", "devices not in it"}, inventory},
		{"Of the roster, never seen", []string{"asset", "name", "mac", "serial", "hostname", "ip"}, missing},
		{"Of the roster, several devices each", []string{"asset", "name", "devices"}, twice},
		{"The roster says otherwise", []string{"asset", "device", "attribute", "roster", "seen"}, conflicts},
		{"Of the roster, left out", []string{"why"}, left},
		{"What to do", []string{"about", "do"}, advice},
	}
}
