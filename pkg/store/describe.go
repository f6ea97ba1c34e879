package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// describe reads what the server has of a table or view, nil when it has none.
func (h *migrator) describe(ctx context.Context, name string) (*found, error) {
	f := &found{}
	var full, create string
	var exists bool
	err := h.each(ctx, func(scan func(...any) error) error {
		exists = true
		return scan(&f.engine, &f.partition, &f.sorting, &f.comment, &f.asSelect, &full, &create)
	}, "SELECT engine, partition_key, sorting_key, comment, as_select, engine_full, create_table_query FROM system.tables WHERE database = ? AND name = ?", name)
	if err != nil || !exists {
		return nil, err
	}
	f.ttl, f.settings = tail(full)
	err = h.each(ctx, func(scan func(...any) error) error {
		var c Column
		var kind, expr string
		if err := scan(&c.Name, &c.Type, &kind, &expr, &c.Codec, &c.Comment); err != nil {
			return err
		}
		c.Codec = strings.TrimSuffix(strings.TrimPrefix(c.Codec, "CODEC("), ")")
		c.Default = expr
		if kind != "" && kind != "DEFAULT" {
			c.Default = kind + " " + expr
		}
		f.columns = append(f.columns, c)
		return nil
	}, "SELECT name, type, default_kind, default_expression, compression_codec, comment FROM system.columns WHERE database = ? AND table = ? ORDER BY position", name)
	if err != nil {
		return nil, err
	}
	err = h.each(ctx, func(scan func(...any) error) error {
		var i Index
		var granularity uint64
		if err := scan(&i.Name, &i.Expr, &i.Type, &granularity); err != nil {
			return err
		}
		i.Granularity = int(granularity)
		f.indexes = append(f.indexes, i)
		return nil
	}, "SELECT name, expr, type_full, granularity FROM system.data_skipping_indices WHERE database = ? AND table = ? AND creation = 'Explicit'", name)
	return f, err
}

// each runs a query about one table of our database and calls f for each row.
func (h *migrator) each(ctx context.Context, f func(scan func(...any) error) error, query string, table string) error {
	rows, err := h.conn.Query(ctx, query, h.layout.database, table)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return fmt.Errorf("describe: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	return nil
}

// tail takes TTL and settings from engine_full, which reads "... TTL expression
// SETTINGS name = value, ...". Our names and sites hold neither word.
func tail(full string) (ttl string, settings map[string]string) {
	settings = map[string]string{}
	head, set, _ := strings.Cut(full, " SETTINGS ")
	_, ttl, _ = strings.Cut(head, " TTL ")
	for _, pair := range strings.Split(set, ", ") {
		if k, v, ok := strings.Cut(pair, " = "); ok {
			settings[k] = v
		}
	}
	return ttl, settings
}

// alter adds and changes what can be added and changed without loss, and
// reports the rest.
func (h *migrator) alter(ctx context.Context, t *Table, have *found) error {
	name := h.layout.local(t.Name)
	if engine, _, _ := strings.Cut(h.layout.engine(t), "("); have.engine != engine {
		h.differs("table %s has engine %s, want %s: rename it, migrate again and copy its rows", name, have.engine, engine)
	}
	if added := t.orderAdded(have); len(added) > 0 {
		stmt := "ALTER TABLE " + h.layout.database + "." + name + " " + t.extendOrder(added)
		if err := h.do(ctx, stmt, stmt); err != nil {
			return err
		}
		if h.dry {
			return nil // what else is to do is told when this is done
		}
		var err error
		if have, err = h.describe(ctx, name); err != nil || have == nil {
			return fmt.Errorf("describe %s after a change: %w", name, err)
		}
	}
	if have.sorting != t.OrderBy {
		h.differs("table %s is ordered by (%s), want (%s): rename it, migrate again and copy its rows", name, have.sorting, t.OrderBy)
	}
	if have.partition != t.PartitionBy {
		h.differs("table %s is partitioned by %q, want %q: rename it, migrate again and copy its rows", name, have.partition, t.PartitionBy)
	}
	steps := h.alterColumns(t, have, name)
	for i := range t.Indexes {
		want := &t.Indexes[i]
		if got := have.index(want.Name); got == nil {
			steps = append(steps, "ADD "+want.ddl())
		} else if *got != *want {
			h.differs("index %s of %s is %s, want %s: drop it and migrate again", want.Name, name, got.ddl(), want.ddl())
		}
	}
	if want := h.layout.ttl(t); have.ttl != want {
		if want == "" {
			steps = append(steps, "REMOVE TTL")
		} else {
			steps = append(steps, "MODIFY TTL "+want)
		}
	}
	want := h.layout.settings(t)
	for _, k := range sortedKeys(want) {
		if have.settings[k] != want[k] {
			steps = append(steps, "MODIFY SETTING "+k+" = "+want[k])
		}
	}
	for _, k := range []string{"ttl_only_drop_parts", "fsync_after_insert", "fsync_part_directory"} {
		if have.settings[k] != "" && want[k] == "" {
			steps = append(steps, "RESET SETTING "+k)
		}
	}
	if have.comment != t.Comment {
		steps = append(steps, "MODIFY COMMENT "+quote(t.Comment))
	}
	for _, step := range steps {
		stmt := "ALTER TABLE " + h.layout.database + "." + name + " " + step
		if err := h.do(ctx, stmt, stmt); err != nil {
			return err
		}
	}
	return nil
}

// orderAdded are the columns by which a table is to be ordered besides, that it does
// not have yet: only such can be added to its order, with themselves.
func (t *Table) orderAdded(have *found) []Column {
	more, longer := strings.CutPrefix(t.OrderBy, have.sorting+", ")
	if have.sorting == "" || !longer {
		return nil
	}
	var added []Column
	for _, name := range strings.Split(more, ", ") {
		c := t.column(name)
		if c == nil || have.column(name) != nil {
			return nil
		}
		added = append(added, *c)
	}
	return added
}

func (t *Table) extendOrder(added []Column) string {
	var steps []string
	for i := range added {
		step := "ADD COLUMN " + added[i].ddl()
		if at := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == added[i].Name }); at > 0 {
			step += " AFTER `" + t.Columns[at-1].Name + "`"
		}
		steps = append(steps, step)
	}
	return strings.Join(append(steps, "MODIFY ORDER BY ("+t.OrderBy+")"), ", ")
}

func (h *migrator) alterColumns(t *Table, have *found, name string) []string {
	var steps []string
	after := "FIRST"
	for i := range t.Columns {
		want := &t.Columns[i]
		got := have.column(want.Name)
		switch {
		case got == nil:
			steps = append(steps, "ADD COLUMN "+want.ddl()+" "+after)
		case got.Type != want.Type:
			h.differs("column %s.%s has type %s, want %s: rename it, migrate again and copy it", name, want.Name, got.Type, want.Type)
		case got.Codec != want.Codec || got.Default != want.Default:
			steps = append(steps, "MODIFY COLUMN "+want.ddl())
		case got.Comment != want.Comment:
			steps = append(steps, "COMMENT COLUMN `"+want.Name+"` "+quote(want.Comment))
		}
		after = "AFTER `" + want.Name + "`"
	}
	for i := range have.columns {
		if t.column(have.columns[i].Name) == nil {
			h.differs("column %s.%s is not ours: drop it when nobody needs it", name, have.columns[i].Name)
		}
	}
	return steps
}

func (f *found) index(name string) *Index {
	for i := range f.indexes {
		if f.indexes[i].Name == name {
			return &f.indexes[i]
		}
	}
	return nil
}

func (t *Table) column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}
