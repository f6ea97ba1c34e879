package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/wardflow/wardflow/pkg/failpoint"
)

// Migration says what Migrate did and what it left alone.
type Migration struct {
	Statements []string // executed, by host; passwords left out
	// Differences are those that would lose data or rewrite a table, so that a
	// person has to decide; and what the server cannot do.
	Differences []string
}

// Migrate makes every server what this build wants: it compares the schema that
// is there with the one that is wanted, and executes what adds or changes
// without loss. The second time it executes nothing. version names the build.
//
// A kill between two statements leaves a schema that the next call completes:
// each statement is found again to be missing or not.
func (s *Store) Migrate(ctx context.Context, version string) (Migration, error) {
	var m Migration
	for i, shard := range s.cfg.Addresses {
		for _, host := range strings.Split(shard, ",") {
			host = strings.TrimSpace(host)
			if err := s.migrateHost(ctx, i, host, version, false, &m); err != nil {
				return m, fmt.Errorf("migrate clickhouse at %s: %w", host, err)
			}
		}
	}
	return m, nil
}

func (s *Store) migrateHost(ctx context.Context, shard int, host, version string, dry bool, m *Migration) error {
	o, err := s.cfg.options(shard, "")
	if err != nil {
		return err
	}
	o.Addr, o.MaxOpenConns = []string{host}, 1
	conn, err := clickhouse.Open(o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { _ = conn.Close() }()
	h := &migrator{conn: conn, layout: s.layout, host: host, version: version, dry: dry, out: m}
	if err := h.database(ctx); err != nil {
		return err
	}
	for i := range tables {
		if err := h.table(ctx, &tables[i]); err != nil {
			return fmt.Errorf("table %s: %w", tables[i].Name, err)
		}
		if err := h.record(ctx); err != nil {
			return err
		}
	}
	for i := range views {
		if err := h.view(ctx, &views[i]); err != nil {
			return fmt.Errorf("view %s: %w", views[i].Name, err)
		}
	}
	if err := h.access(ctx, s.cfg.Analyst); err != nil {
		return fmt.Errorf("analyst: %w", err)
	}
	return h.record(ctx)
}

// migrator brings one host up to date.
type migrator struct {
	conn    driver.Conn
	layout  layout
	host    string
	version string
	dry     bool // say what would be done, and do nothing
	out     *Migration
	logged  bool // schema_migrations exists
	waiting []string
}

func (h *migrator) differs(format string, args ...any) {
	h.out.Differences = append(h.out.Differences, h.host+": "+fmt.Sprintf(format, args...))
}

// do executes a statement and records shown, which is stmt without secrets.
func (h *migrator) do(ctx context.Context, stmt, shown string) error {
	if h.dry {
		h.out.Statements = append(h.out.Statements, h.host+": "+shown)
		return nil
	}
	if err := h.conn.Exec(ctx, stmt); err != nil {
		return fmt.Errorf("execute %.200q: %w", shown, err)
	}
	h.out.Statements = append(h.out.Statements, h.host+": "+shown)
	h.waiting = append(h.waiting, shown)
	return failpoint.Error("migration.step")
}

// record keeps what was done; what came before the table existed waits for it.
func (h *migrator) record(ctx context.Context) error {
	if len(h.waiting) == 0 {
		return nil
	}
	if !h.logged {
		have, err := h.describe(ctx, h.layout.local(migrationsTable))
		if err != nil || have == nil {
			return err
		}
		h.logged = true
	}
	b, err := h.conn.PrepareBatch(ctx, "INSERT INTO "+h.layout.database+"."+h.layout.local(migrationsTable)+" (time, version, statement)")
	if err != nil {
		return fmt.Errorf("record migration: %w", err)
	}
	for _, stmt := range h.waiting {
		if err := b.Append(time.Now().UTC(), h.version, stmt); err != nil {
			return fmt.Errorf("record migration: %w", err)
		}
	}
	if err := b.Send(); err != nil {
		return fmt.Errorf("record migration: %w", err)
	}
	h.waiting = h.waiting[:0]
	return nil
}

func (h *migrator) database(ctx context.Context) error {
	var engine string
	rows, err := h.conn.Query(ctx, "SELECT engine FROM system.databases WHERE name = ?", h.layout.database)
	if err != nil {
		return fmt.Errorf("look for database: %w", err)
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		if err := rows.Scan(&engine); err != nil {
			return fmt.Errorf("look for database: %w", err)
		}
	}
	if err := rows.Close(); err != nil {
		return fmt.Errorf("look for database: %w", err)
	}
	switch engine {
	case "":
		stmt := h.layout.createDatabase()
		return h.do(ctx, stmt, stmt)
	case "Atomic", "Replicated", "Shared":
		return nil
	}
	h.differs("database %s has engine %s, want Atomic: copy what you need and drop it", h.layout.database, engine)
	return nil
}

func (h *migrator) table(ctx context.Context, t *Table) error {
	name := h.layout.local(t.Name)
	have, err := h.describe(ctx, name)
	if err != nil {
		return err
	}
	if have == nil {
		stmt := h.layout.createTable(t)
		if err := h.do(ctx, stmt, stmt); err != nil {
			return err
		}
	} else if err := h.alter(ctx, t, have); err != nil {
		return err
	}
	if h.layout.cluster == "" {
		return nil
	}
	return h.distributed(ctx, t)
}

// distributed tables hold no rows: a changed one is replaced.
func (h *migrator) distributed(ctx context.Context, t *Table) error {
	have, err := h.describe(ctx, t.Name)
	if err != nil {
		return err
	}
	same := have != nil && len(have.columns) == len(t.Columns)
	for i := 0; same && i < len(t.Columns); i++ {
		c := have.column(t.Columns[i].Name)
		same = c != nil && c.Type == t.Columns[i].Type
	}
	if same {
		return nil
	}
	stmt := h.layout.createDistributed(t)
	if have != nil {
		stmt = strings.Replace(stmt, "CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE TABLE", 1)
	}
	return h.do(ctx, stmt, stmt)
}

func (h *migrator) view(ctx context.Context, v *View) error {
	have, err := h.describe(ctx, v.Name)
	if err != nil {
		return err
	}
	var want string
	if err := h.conn.QueryRow(ctx, "SELECT formatQuerySingleLine(?)", h.layout.viewSQL(v)).Scan(&want); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	if have == nil || have.asSelect != want || have.comment != v.Comment {
		stmt := h.layout.createView(v)
		if err := h.do(ctx, stmt, stmt); err != nil {
			return err
		}
		if h.dry {
			return nil
		}
		if have, err = h.describe(ctx, v.Name); err != nil || have == nil {
			return fmt.Errorf("describe after creation: %w", err)
		}
	}
	var missing []Column
	for i := range v.Columns {
		got := have.column(v.Columns[i].Name)
		if got == nil {
			return fmt.Errorf("documented column %s does not exist", v.Columns[i].Name)
		}
		if got.Comment != v.Columns[i].Comment {
			missing = append(missing, v.Columns[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	stmt := h.layout.commentColumns(v.Name, missing)
	return h.do(ctx, stmt, stmt)
}

// found is a table or view as the server has it.
type found struct {
	engine, partition, sorting, comment, asSelect string
	ttl                                           string
	settings                                      map[string]string
	columns                                       []Column
	indexes                                       []Index
}

func (f *found) column(name string) *Column {
	i := slices.IndexFunc(f.columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &f.columns[i]
}
