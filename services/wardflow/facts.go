package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/services/wardflow/internal/facts"
	"github.com/wardflow/wardflow/services/wardflow/internal/results"
)

type factsCmd struct {
	ID     string `arg:"" optional:"" name:"device" help:"${device}"`
	Model  string `placeholder:"MODEL" help:"All devices of this model, and not one device."`
	From   string `placeholder:"DIR" help:"From a folder that replay wrote, and not from ClickHouse."`
	Output format `short:"o" aliases:"format" enum:"table,json" default:"table" help:"table; or json, one object with all of it."`
}

// Help is shown by --help.
func (factsCmd) Help() string {
	return `What a device, or a model, needs to work, as observed: which kinds of peers it asks and answers, over which protocols and
ports, in which hours of the day (UTC), and by which kinds of login, never whose. Ports from 49152 on are told as 0: they
were agreed on for once. Of peers on the Internet it says in which countries and networks (AS) they are, as of the table of
addresses in force (geo.table).

Examples:

    wardflow facts 10.41.8.62
    wardflow facts --model "SOMATOM go.Up"
    wardflow facts CT-1 --from monday/ --format json | jq '.needs[] | select(.peer == "internet")'`
}

// Run shows the sheet.
func (c *factsCmd) Run(ctx context.Context, g *globals, io *streams) error {
	if (c.ID == "") == (c.Model == "") {
		return usagef("name a device, or a model with --model")
	}
	var s *facts.Sheet
	if c.From != "" {
		all, err := results.Devices(c.From, "")
		if err != nil {
			return err
		}
		l, err := g.load(io)
		if err != nil {
			return err
		}
		places, err := placesOf(&l.Config)
		if err != nil {
			return err
		}
		if places == nil {
			places = geo.Embedded()
		}
		talks, logins, err := facts.Folder(c.From, places)
		if err != nil {
			return err
		}
		ids, model, kinds, err := facts.Select(all, c.Model, c.ID)
		if err != nil {
			return fmt.Errorf("%s: %w", c.From, err)
		}
		s = facts.Of(model, ids, kinds, talks, logins)
	} else if err := withStore(ctx, g, io, func(st *store.Store) (err error) {
		s, err = c.stored(ctx, st)
		return err
	}); err != nil {
		return err
	}
	if c.Output == formatJSON {
		b, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("write facts: %w", err)
		}
		_, err = fmt.Fprintf(io.out, "%s\n", b)
		return err
	}
	return showFacts(io.screen(), s)
}

// stored makes the sheet of what ClickHouse has.
func (c *factsCmd) stored(ctx context.Context, st *store.Store) (*facts.Sheet, error) {
	all, err := devicesOfSite(ctx, st, "")
	if err != nil {
		return nil, err
	}
	name := c.ID
	if name != "" {
		id, err := findDevice(ctx, st, "", name)
		if err != nil {
			return nil, err
		}
		name = id.String()
	}
	ids, model, kinds, err := facts.Select(all, c.Model, name)
	if err != nil {
		return nil, err
	}
	var talks []facts.Talk
	err = each(ctx, st, `SELECT toJSONString(map('Client', ifNull(client_device, ''), 'Server', ifNull(server_device, ''), 'ClientIP', client_ip, 'ServerIP', server_ip, 'Transport', toString(transport), 'Protocol', toString(protocol))),
    toJSONString(map('Country', toString(country), 'Name', toString(as_name))), ifNull(asn, 0), port, flows, src_bytes + dst_bytes, toUnixTimestamp64Nano(first), toUnixTimestamp64Nano(last)
FROM v_pairs WHERE has({ids:Array(String)}, client_device) OR has({ids:Array(String)}, server_device)`, ids, func(v []any) error {
		var t facts.Talk
		if err := errors.Join(json.Unmarshal(fmt.Append(nil, v[0]), &t), json.Unmarshal(fmt.Append(nil, v[1]), &t.Place)); err != nil {
			return err
		}
		_, err := fmt.Sscan(fmt.Sprint(v[2], " ", v[3], " ", v[4], " ", v[5], " ", v[6], " ", v[7]), &t.Place.ASN, &t.Port, &t.Flows, &t.Bytes, (*int64)(&t.First), (*int64)(&t.Last))
		talks = append(talks, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	var logins []facts.Login
	err = each(ctx, st, `SELECT toJSONString(map('Device', ifNull(device, ''), 'Protocol', toString(protocol), 'Role', JSONExtractString(attributes, 'role'),
    'Mechanism', multiIf(JSONHas(attributes, 'mechanism'), JSONExtractString(attributes, 'mechanism'), JSONHas(attributes, 'auth'), JSONExtractString(attributes, 'auth'), JSONExtractString(attributes, 'cleartext_credential'))))
FROM v_observations WHERE has({ids:Array(String)}, device) AND (JSONHas(attributes, 'mechanism') OR JSONHas(attributes, 'auth') OR JSONHas(attributes, 'cleartext_credential'))`, ids, func(v []any) error {
		var l facts.Login
		err := json.Unmarshal(fmt.Append(nil, v[0]), &l)
		logins = append(logins, l)
		return err
	})
	return facts.Of(model, ids, kinds, talks, logins), err
}

// each gives the rows of a query about devices one by one.
func each(ctx context.Context, s *store.Store, sql string, ids []string, f func([]any) error) error {
	r, err := s.Query(ctx, sql, store.Named("ids", ids))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for r.Next() {
		v, err := r.Values()
		if err == nil {
			err = f(v)
		}
		if err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
	}
	return r.Err()
}

// placesShown are the first few places in words; JSON has all.
func placesShown(list []*facts.Place) string {
	const most = 3
	var out []string
	for _, p := range list[:min(len(list), most)] {
		out = append(out, p.String())
	}
	if n := len(list) - most; n > 0 {
		out = append(out, fmt.Sprintf("%d more", n))
	}
	return strings.Join(out, ", ")
}

func showFacts(out *screen, s *facts.Sheet) error {
	title := counted(len(s.Devices), "device")
	if s.Model != "" {
		title += ", " + s.Model
	}
	if _, err := fmt.Fprintf(out.w, "%s\n", printable(title)); err != nil {
		return err
	}
	var needs, logins [][]any
	for _, n := range s.Needs {
		needs = append(needs, []any{n.Direction, n.Peer, n.Transport, n.Port, n.Protocol, n.Peers, n.Devices, n.Flows, n.Bytes, facts.Hours(n.Hours), placesShown(n.Places)})
	}
	for _, l := range s.Credentials {
		logins = append(logins, []any{l.Protocol, l.Mechanism, l.Role, l.Times})
	}
	if err := section(out, "Needs", &fixedRows{list: needs}, []string{"does", "peer", "transport", "port", "protocol", "peers", "devices", "flows", "bytes", "hours", "where"}, nil); err != nil {
		return err
	}
	return section(out, "Logins", &fixedRows{list: logins}, []string{"protocol", "mechanism", "role", "times"}, nil)
}
