package store

import (
	"context"
	"fmt"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// noCanary keeps the flows that Wardflow sends through itself out of what people ask.
const noCanary = "site != '" + proto.CanarySite + "'"

// Place is where on Kafka a row came from.
type Place struct {
	Partition int32
	Offset    int64
}

// Canaries gives the canary flows of a sender that have become rows, by flow id:
// those begun since a time, and stored not more than a day before it by the
// broker's clock.
func (s *Store) Canaries(ctx context.Context, sensor string, since time.Time) (map[proto.ID]Place, error) {
	rows, err := s.Query(ctx, "SELECT assumeNotNull("+hexID("flow_id")+"), kafka_partition, kafka_offset FROM flows "+`
WHERE site = {site:String} AND sensor = {sensor:String} AND start >= fromUnixTimestamp64Nano({since:Int64}) AND kafka_time >= fromUnixTimestamp64Nano({since:Int64}) - INTERVAL 1 DAY`,
		Named("site", proto.CanarySite), Named("sensor", sensor), Named("since", since.UnixNano()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := map[proto.ID]Place{}
	for rows.Next() {
		var id string
		var partition uint16
		var offset uint64
		if err := rows.rows.Scan(&id, &partition, &offset); err != nil {
			return nil, fmt.Errorf("read canary flow: %w", err)
		}
		key, err := proto.ParseID(id)
		if err != nil {
			return nil, fmt.Errorf("read canary flow: %w", err)
		}
		out[key] = Place{Partition: int32(partition), Offset: int64(offset)} //nolint:gosec // offsets fit
	}
	return out, rows.Err()
}
