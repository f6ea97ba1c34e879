package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Tables gives the description of every table, for documentation.
func Tables() []Table { return slices.Clone(tables) }

// Views gives the description of every view, for documentation.
func Views() []View { return slices.Clone(views) }

// Kept says how long rows of the table are kept, by the name of the setting; ""
// means for ever.
func (t *Table) Kept() string {
	switch t.keep {
	case keepRaw:
		return "clickhouse.retention.days"
	case keepRollup:
		return "clickhouse.retention.rollup_days"
	}
	return ""
}

// Plan tells what Migrate would do, and does nothing of it.
func (s *Store) Plan(ctx context.Context) (Migration, error) {
	var m Migration
	for i, shard := range s.cfg.Addresses {
		for _, host := range strings.Split(shard, ",") {
			host = strings.TrimSpace(host)
			if err := s.migrateHost(ctx, i, host, "", true, &m); err != nil {
				return m, fmt.Errorf("compare the schema of clickhouse at %s: %w", host, err)
			}
		}
	}
	return m, nil
}

// Inspection is what the first shard's server says of itself and of our account.
type Inspection struct {
	Version string
	User    string
	Now     time.Time       // the server's clock
	Granted map[string]bool // INSERT, SELECT, ...: whether the account may do it in our database; absent when the server cannot tell
	Analyst *bool           // whether the analyst's account exists; nil when we may not know
	Disks   []Disk
	// ReadOnly are replicated tables that take no inserts now.
	ReadOnly []string
	// MostParts is the highest count of active parts of one partition of ours.
	MostParts uint64
}

// Disk is a disk of the server, bytes.
type Disk struct {
	Name, Path  string
	Free, Total uint64
}

// Inspect looks at the server and changes nothing. What the account may not
// see stays empty.
func (s *Store) Inspect(ctx context.Context) (*Inspection, error) {
	conn := s.shards[0]
	out := &Inspection{Granted: map[string]bool{}}
	if err := conn.QueryRow(ctx, "SELECT version(), currentUser(), now64(3, 'UTC')").Scan(&out.Version, &out.User, &out.Now); err != nil {
		return nil, fmt.Errorf("ask clickhouse for its version: %w", err)
	}
	for _, right := range []string{"SELECT", "INSERT", "CREATE TABLE", "ALTER TABLE"} {
		var granted uint8
		if err := conn.QueryRow(ctx, "CHECK GRANT "+right+" ON "+s.cfg.Database+".*").Scan(&granted); err == nil {
			out.Granted[right] = granted == 1
		}
	}
	if name := s.cfg.Analyst.User; name != "" {
		var n uint64
		if err := conn.QueryRow(ctx, "SELECT count() FROM system.users WHERE name = ?", name).Scan(&n); err == nil {
			there := n > 0
			out.Analyst = &there
		}
	}
	var parts uint64
	if err := conn.QueryRow(ctx, "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = ? GROUP BY table, partition_id)", s.cfg.Database).Scan(&parts); err == nil {
		out.MostParts = parts
	}
	s.inspectStorage(ctx, out)
	return out, nil
}

func (s *Store) inspectStorage(ctx context.Context, out *Inspection) {
	if rows, err := s.shards[0].Query(ctx, "SELECT name, path, free_space, total_space FROM system.disks WHERE total_space > 0"); err == nil {
		for rows.Next() {
			var d Disk
			if rows.Scan(&d.Name, &d.Path, &d.Free, &d.Total) == nil {
				out.Disks = append(out.Disks, d)
			}
		}
		_ = rows.Close()
	}
	if rows, err := s.shards[0].Query(ctx, "SELECT table FROM system.replicas WHERE is_readonly AND database = ? ORDER BY table", s.cfg.Database); err == nil {
		for rows.Next() {
			var table string
			if rows.Scan(&table) == nil {
				out.ReadOnly = append(out.ReadOnly, table)
			}
		}
		_ = rows.Close()
	}
}
