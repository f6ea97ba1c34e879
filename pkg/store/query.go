package store

import (
	"context"
	"fmt"
	"reflect"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Rows are the rows of a query as they arrive. Close them.
type Rows struct {
	Columns []string
	Types   []string // ClickHouse's names of the types
	rows    driver.Rows
	dest    []any
}

// Query runs one statement in our database; args are bound to its ? or {name:Type}
// places (see Named), never spliced into it.
func (s *Store) Query(ctx context.Context, sql string, args ...any) (*Rows, error) {
	r, err := s.user.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("query clickhouse: %w", err)
	}
	out := &Rows{Columns: r.Columns(), rows: r}
	for _, t := range r.ColumnTypes() {
		out.Types = append(out.Types, t.DatabaseTypeName())
		out.dest = append(out.dest, reflect.New(t.ScanType()).Interface())
	}
	return out, nil
}

// Named binds a value to {name:Type}.
func Named(name string, value any) any { return clickhouse.Named(name, value) }

// Next reads the next row, false at the end or on an error: ask Err.
func (r *Rows) Next() bool { return r.rows.Next() }

// Values gives the row that Next read: Go numbers, strings, bools, times,
// slices, maps; nil for NULL. All of it can be encoded as JSON.
func (r *Rows) Values() ([]any, error) {
	if err := r.rows.Scan(r.dest...); err != nil {
		return nil, fmt.Errorf("read row: %w", err)
	}
	out := make([]any, len(r.dest))
	for i, d := range r.dest {
		out[i] = plain(reflect.ValueOf(d).Elem())
	}
	return out, nil
}

// Err tells what ended the rows early.
func (r *Rows) Err() error {
	if err := r.rows.Err(); err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	return nil
}

// Close gives the connection back.
func (r *Rows) Close() error { return r.rows.Close() }

// Exec runs a statement that gives no rows.
func (s *Store) Exec(ctx context.Context, sql string, args ...any) error {
	if err := s.user.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("execute on clickhouse: %w", err)
	}
	return nil
}
