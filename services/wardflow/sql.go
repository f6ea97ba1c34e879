package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/wardflow/wardflow/pkg/store"
)

type sqlCmd struct {
	outputFlag
	Query string `arg:"" help:"One statement, or - to read it from standard input."`
}

// Help is shown by --help.
func (sqlCmd) Help() string {
	return `Runs one statement as the read-only analyst: nothing can be changed, and time and memory are limited. The views to
ask are v_flows, v_observations, v_pairs, v_activity, v_devices, v_bindings, v_detections, v_risk, v_risk_history,
v_usage, v_findings, v_sensors and v_sensor_events; DESCRIBE v_flows shows a view's columns with their meaning.

Examples:

    wardflow sql 'SELECT type, count() FROM v_devices GROUP BY type ORDER BY 2 DESC'
    wardflow sql 'DESCRIBE v_pairs'
    wardflow sql - --output csv < my-query.sql

Where to look next: wardflow examples has queries to start from.`
}

// maxQuery bounds a statement that is read from standard input.
const maxQuery = 1 << 20

func readLimited(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxQuery+1))
	if err == nil && len(b) > maxQuery {
		err = fmt.Errorf("it is longer than %d bytes", maxQuery)
	}
	return b, err
}

// Run asks.
func (c *sqlCmd) Run(ctx context.Context, g *globals, io *streams) error {
	sql := c.Query
	if sql == "-" {
		b, err := readLimited(io.in)
		if err != nil {
			return fmt.Errorf("read query: %w", err)
		}
		sql = string(b)
	}
	if strings.TrimSpace(sql) == "" {
		return usagef("the query is empty")
	}
	return ask(ctx, g, io, c.Output, sql)
}

func ask(ctx context.Context, g *globals, io *streams, f format, sql string) error {
	return withStore(ctx, g, io, func(s *store.Store) error {
		r, err := s.Query(ctx, strings.TrimRight(strings.TrimSpace(sql), ";"))
		return io.result(f, r, err, nil, "No rows.")
	})
}

type examplesCmd struct {
	outputFlag
	Name string `arg:"" optional:"" help:"Print this one."`
	Run_ bool   `name:"run" help:"Run it instead of printing it."`
}

// Help is shown by --help.
func (examplesCmd) Help() string {
	return `Queries that an analyst can start from.

Examples:

    wardflow examples
    wardflow examples top_talkers
    wardflow examples top_talkers --run --output csv
    wardflow examples top_talkers > mine.sql; wardflow sql - < mine.sql`
}

// Run lists, prints or runs them.
func (c *examplesCmd) Run(ctx context.Context, g *globals, io *streams) error {
	list, err := store.Examples()
	if err != nil {
		return err
	}
	if c.Name == "" {
		var lines [][]any
		for _, e := range list {
			lines = append(lines, []any{e.Name, e.Title})
		}
		_, err := io.screen().write(c.Output, []string{"name", "title"}, nil, &fixedRows{list: lines})
		return err
	}
	for _, e := range list {
		if e.Name != c.Name {
			continue
		}
		if !c.Run_ {
			_, err := fmt.Fprintln(io.out, strings.TrimSpace(e.SQL))
			return err
		}
		return ask(ctx, g, io, c.Output, e.SQL)
	}
	return usagef("no example %q: `wardflow examples` lists them", c.Name)
}
