package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
)

// outputFlag is how the results of a command are printed.
type outputFlag struct {
	Output format `short:"o" enum:"table,json,csv" default:"table" help:"table; json (one object a line) or csv, with every column and whole ids."`
}

// openReader connects to ClickHouse as the analyst, who can only read; where no
// such account is known, as whoever is configured, with writing switched off.
func openReader(ctx context.Context, cfg store.Config, dataDir string) (*store.Store, error) {
	if cfg.Analyst.User != "" && cfg.Analyst.Password != "" {
		cfg.User, cfg.Password = cfg.Analyst.User, cfg.Analyst.Password
	} else {
		settings := map[string]any{"readonly": 2}
		for k, v := range cfg.Settings {
			settings[k] = v
		}
		cfg.Settings = settings
	}
	s, err := store.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("nothing answers at %s (data folder %s): start it with `wardflow up`, or name clickhouse.addresses in the configuration: %w", strings.Join(cfg.Addresses, " "), dataDir, err)
	}
	return s, nil
}

// result prints the rows of a query and closes them.
func (s *streams) result(f format, r *store.Rows, err error, table []column, none string) error {
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	n, err := s.screen().write(f, r.Columns, table, r)
	if err != nil {
		return err
	}
	if n == 0 && f == formatTable {
		s.note("%s", none)
	}
	return nil
}

// sinceFlag is a time, or how long ago.
type sinceFlag struct{ time.Time }

// UnmarshalText reads 90m, 24h, 7d, 2026-11-17, or RFC 3339.
func (s *sinceFlag) UnmarshalText(b []byte) error {
	t, err := parseSince(string(b), time.Now())
	s.Time = t
	return err
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 100_000 {
			return now.Add(-time.Duration(n * 24 * float64(time.Hour))), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want how long ago (90m, 24h, 7d) or when (2026-11-17, 2026-11-17T08:00:00Z)", text)
}

const deviceHelp = "A device: its id (the first digits are enough), an address, a MAC or a host name."

// findDevice finds the one device that a person means, of one site or ("") of all.
func findDevice(ctx context.Context, s *store.Store, site, text string) (proto.ID, error) {
	if id, err := proto.ParseID(strings.ToLower(text)); err == nil {
		return id, nil
	}
	where := "has(hostnames, {text:String})"
	if a, err := netip.ParseAddr(text); err == nil {
		text = a.Unmap().String()
		where = "has(ips, {text:String})"
	}
	var mac proto.MAC
	low := strings.ToLower(strings.ReplaceAll(text, "-", ":"))
	switch {
	case len(text) == 17 && mac.UnmarshalText([]byte(low)) == nil:
		text = low
		where = "has(macs, {text:String})"
	case len(text) >= 4 && isHex(low):
		text = low
		where += " OR startsWith(device_id, {text:String}) OR arrayExists(a -> startsWith(a, {text:String}), aliases)"
	}
	sql := "SELECT device_id, site, type, manufacturer, model FROM v_devices WHERE ({site:String} IN ('', site)) AND (" + where + ") ORDER BY device_id LIMIT 11"
	found, err := all(s.Query(ctx, sql, store.Named("text", text), store.Named("site", site)))
	switch {
	case err != nil:
		return proto.ID{}, err
	case len(found) == 0:
		return proto.ID{}, fmt.Errorf("no device %q: `wardflow devices` lists all; name one by id, address, MAC or host name", text)
	case len(found) > 1:
		lines := make([]string, len(found))
		for i, f := range found {
			lines[i] = fmt.Sprintf("  %s  %s: %s %s %s", f[0], showAny(f[1]), printable(showAny(f[2])), printable(showAny(f[3])), printable(showAny(f[4])))
		}
		return proto.ID{}, fmt.Errorf("%q may be one of these, say which by id or --site:\n%s", text, strings.Join(lines, "\n"))
	}
	id, _ := found[0][0].(string)
	return proto.ParseID(id)
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s + strings.Repeat("0", len(s)%2))
	return err == nil
}

// all reads a small result.
func all(r *store.Rows, err error) ([][]any, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	var out [][]any
	for r.Next() {
		v, err := r.Values()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.Err()
}

// findPeer lets a peer be given as the store takes it (a whole id, an address, a
// network), or as any other name of a device.
func findPeer(ctx context.Context, s *store.Store, site, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return text, nil
	}
	if _, err := netip.ParsePrefix(text); err == nil {
		return text, nil
	}
	id, err := findDevice(ctx, s, site, text)
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

// withStore opens the store for a command and closes it.
func withStore(ctx context.Context, g *globals, io *streams, f func(*store.Store) error) error {
	return withEngines(ctx, g, io, needsClickHouse, func(_ *engines, s *store.Store) error { return f(s) })
}

// withEngines is withStore for a command that needs other engines too.
func withEngines(ctx context.Context, g *globals, io *streams, n needs, f func(*engines, *store.Store) error) (err error) {
	l, err := g.load(io)
	if err != nil {
		return err
	}
	e, err := findEngines(&l.Config, n)
	if err != nil {
		return err
	}
	s, err := openReader(ctx, e.Store, l.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(e, s)
}

// deviceOf is findDevice for a flag that may be empty.
func deviceOf(ctx context.Context, s *store.Store, site, text string) (proto.ID, error) {
	if text == "" {
		return proto.ID{}, nil
	}
	return findDevice(ctx, s, site, text)
}
