package store

import (
	"context"
	"fmt"
)

// TableUsage is what a table takes on the first shard's server.
type TableUsage struct {
	Rows, Bytes, Parts uint64 // of active parts; bytes compressed
}

// Usage gives it for each of our tables, and the disk that is fullest; no disk
// where the account may not see them.
func (s *Store) Usage(ctx context.Context) (map[string]TableUsage, Disk, error) {
	out := map[string]TableUsage{}
	for i := range tables {
		out[tables[i].Name] = TableUsage{}
	}
	rows, err := s.shards[0].Query(ctx, "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE active AND database = ? GROUP BY table", s.cfg.Database)
	if err != nil {
		return nil, Disk{}, fmt.Errorf("ask clickhouse for the size of tables: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var u TableUsage
		if err := rows.Scan(&name, &u.Rows, &u.Bytes, &u.Parts); err != nil {
			return nil, Disk{}, fmt.Errorf("read the size of tables: %w", err)
		}
		for i := range tables { // as we call it, the same on a cluster
			if s.layout.local(tables[i].Name) == name || tables[i].Name == name {
				out[tables[i].Name] = u
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, Disk{}, fmt.Errorf("read the size of tables: %w", err)
	}
	var in Inspection
	s.inspectStorage(ctx, &in)
	var fullest Disk
	for _, d := range in.Disks {
		if fullest.Total == 0 || float64(d.Free)/float64(d.Total) < float64(fullest.Free)/float64(fullest.Total) {
			fullest = d
		}
	}
	return out, fullest, nil
}
