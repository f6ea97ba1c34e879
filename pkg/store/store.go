package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Store is a client of all shards. It is safe for concurrent use.
type Store struct {
	cfg    Config
	layout layout
	shards []driver.Conn // inserts, counts, queries; the database need not exist
	user   driver.Conn   // people's queries: unqualified names mean our database
}

// Open checks cfg and makes the clients; it connects to the first shard to tell
// at once when nothing answers there.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("clickhouse settings: %w", err)
	}
	s := &Store{cfg: cfg, layout: cfg.layout()}
	for i := range cfg.Addresses {
		o, err := cfg.options(i, "")
		if err == nil {
			var c driver.Conn
			if c, err = clickhouse.Open(o); err == nil {
				s.shards = append(s.shards, c)
			}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open clickhouse: %w", err), s.Close())
		}
	}
	o, err := cfg.options(0, cfg.Database)
	if err == nil {
		s.user, err = clickhouse.Open(o)
	}
	if err == nil {
		err = s.Ping(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open clickhouse: %w", err), s.Close())
	}
	return s, nil
}

// Ping asks every shard for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	for i, c := range s.shards {
		if err := c.Ping(ctx); err != nil {
			return fmt.Errorf("reach clickhouse at %s: %w", s.cfg.Addresses[i], err)
		}
	}
	return nil
}

// Close closes all connections.
func (s *Store) Close() error {
	var errs []error
	for _, c := range append(s.shards[:len(s.shards):len(s.shards)], s.user) {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Database is the name of our database.
func (s *Store) Database() string { return s.cfg.Database }

// shard picks the server that holds a partition's rows.
func (s *Store) shard(partition int32) driver.Conn {
	return s.shards[int(partition)%len(s.shards)]
}

// Code gives the server's error code, 0 when err is not the server's answer
// (so that the outcome of what was asked is not known).
func Code(err error) int32 {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
