package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wardflow/wardflow/proto"
)

// Sensor is a live sensor as the stored rows of a partition show it.
type Sensor struct {
	Site, Name  string
	Last        proto.Time    // arrival of its last row
	Clock       proto.Time    // latest event time of it
	ClockOffset time.Duration // added to its times lately; 0: its clock was believed
}

// Counted is the last part of a conversation that counts, on the lane of one of
// its ends: of Flow only what names it, its part, final, and times are set, Start
// being that of the first part found.
type Counted struct {
	Site, Sensor string
	Flow         proto.Flow
}

// Content is how often a sensor has told one content within the minute of
// Observation.Time; of that only what makes the content is set.
type Content struct {
	Site, Sensor string
	Observation  proto.Observation
	Attributes   string // JSON, as stored
	Count        uint64
}

// Told is what sites with several live sensors told lately.
type Told struct {
	Sensors  []Sensor
	Counted  []Counted
	Contents []Content
}

// fromFile begins the producer of every capture file, which has a time domain of
// its own.
const fromFile = "file:"

// Told gives what the rows of a partition before an offset say of the sites of
// which more than one live sensor was stored within lately before the last row.
// Where there is no such site nothing else is read.
func (s *Store) Told(ctx context.Context, generation uint32, partition int32, before int64, lately time.Duration) (*Told, error) {
	out := &Told{}
	w := tellers{s: s, ctx: ctx, generation: generation, partition: partition, before: before}
	last, err := w.last()
	if err != nil || last.IsZero() {
		return out, err
	}
	w.since = last.Add(-lately)
	if out.Sensors, err = w.sensors(); err != nil || len(out.Sensors) == 0 {
		return out, err
	}
	sites := map[string]bool{}
	for _, o := range out.Sensors {
		sites[o.Site] = true
	}
	w.sites = sortedKeys(sites)
	if out.Counted, err = w.counted(); err != nil {
		return nil, err
	}
	out.Contents, err = w.contents(last)
	return out, err
}

// tellers asks about a partition's rows.
type tellers struct {
	s          *Store
	ctx        context.Context
	generation uint32
	partition  int32
	before     int64
	since      time.Time
	sites      []string
}

func (w *tellers) query(sql string, scan func(func(...any) error) error, args ...any) error {
	rows, err := w.s.shard(w.partition).Query(w.s.counting(w.ctx), sql, args...)
	if err != nil {
		return fmt.Errorf("read what sensors told: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return fmt.Errorf("read what sensors told: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read what sensors told: %w", err)
	}
	return nil
}

// where bounds a query to the partition's live rows since a time.
func (w *tellers) where(since time.Time) (string, []any) {
	sql := " WHERE topic_generation = ? AND kafka_partition = ? AND kafka_offset < ? AND kafka_time >= ? AND NOT startsWith(producer, '" + fromFile + "')"
	args := []any{w.generation, uint16(w.partition), uint64(max(w.before, 0)), since}
	if len(w.sites) > 0 {
		sql += " AND site IN (?" + strings.Repeat(", ?", len(w.sites)-1) + ")"
		for _, site := range w.sites {
			args = append(args, site)
		}
	}
	return sql, args
}

// last is the arrival of the last row of the partition; zero when it has none.
func (w *tellers) last() (last time.Time, err error) {
	where, args := w.where(earliest.Std())
	for _, table := range []string{Flows, Observations} {
		err := w.query("SELECT max(kafka_time) FROM "+w.s.rowsOf(table)+where, func(scan func(...any) error) error {
			var t time.Time
			err := scan(&t)
			if t.After(last) && t.Unix() > 0 {
				last = t
			}
			return err
		}, args...)
		if err != nil {
			return time.Time{}, err
		}
	}
	return last, nil
}

func (w *tellers) sensors() (list []Sensor, err error) {
	fw, fa := w.where(w.since)
	ow, oa := w.where(w.since)
	of := func(table, end, where string) string {
		return "SELECT toString(site) AS site, toString(sensor) AS sensor, kafka_time, " + end + " AS told, clock_offset_ms, kafka_offset FROM " + w.s.rowsOf(table) + where
	}
	sql := "SELECT site, sensor, max(kafka_time), max(told), argMax(clock_offset_ms, kafka_offset) FROM (" +
		of(Flows, "`end`", fw) + " UNION ALL " + of(Observations, "time", ow) + ") GROUP BY site, sensor ORDER BY site, sensor"
	many := map[string]int{}
	err = w.query(sql, func(scan func(...any) error) error {
		var o Sensor
		var last, clock time.Time
		var offset int64
		err := scan(&o.Site, &o.Name, &last, &clock, &offset)
		o.Last, o.Clock, o.ClockOffset = proto.TimeOf(last), proto.TimeOf(clock), time.Duration(offset)*time.Millisecond
		list = append(list, o)
		many[o.Site]++
		return err
	}, append(fa, oa...)...)
	several := list[:0]
	for _, o := range list {
		// A sensor alone is of interest as well while its clock is off.
		if many[o.Site] > 1 || o.ClockOffset != 0 {
			several = append(several, o)
		}
	}
	return several, err
}

func (w *tellers) counted() (list []Counted, err error) {
	where, args := w.where(w.since)
	sql := "SELECT toString(site), community_id, if(src_endpoint = toUUID('" + noID + "'), dst_endpoint, src_endpoint) AS lane, " +
		"argMax((toString(sensor), flow_id, part, final), (kafka_offset, kafka_index)) AS l, l.1, l.2, l.3, l.4, min(start), max(`end`), " +
		"if(community_id = toFixedString('', 20), flow_id, toUUID('" + noID + "')) AS apart FROM " +
		w.s.rowsOf(Flows) + where + " AND duplicate_of_sensor = '' GROUP BY site, community_id, lane, apart"
	sql = "SELECT * EXCEPT (l, apart) FROM (" + sql + ")"
	err = w.query(sql, func(scan func(...any) error) error {
		var c Counted
		var community string
		var lane, flow uuid.UUID
		var start, end time.Time
		err := scan(&c.Site, &community, &lane, &c.Sensor, &flow, &c.Flow.Part, &c.Flow.Final, &start, &end)
		copy(c.Flow.CommunityID[:], community)
		c.Flow.SrcEndpoint, c.Flow.FlowID = proto.ID(lane), proto.ID(flow)
		c.Flow.Start, c.Flow.End = proto.TimeOf(start), proto.TimeOf(end)
		list = append(list, c)
		return err
	}, args...)
	return list, err
}

const noID = "00000000-0000-0000-0000-000000000000"

// contents reads the last minutes only: what is told of an earlier one is long stored.
func (w *tellers) contents(last time.Time) (list []Content, err error) {
	where, args := w.where(last.Add(-8 * time.Minute))
	sql := "SELECT toString(site), toString(sensor), toDateTime64(toStartOfMinute(time), 9, 'UTC') AS minute, endpoint, gateway, toString(protocol), toString(kind), attributes, count() FROM " +
		w.s.rowsOf(Observations) + where + " GROUP BY site, sensor, minute, endpoint, gateway, protocol, kind, attributes ORDER BY countIf(duplicate_of_sensor = '') DESC, 2"
	err = w.query(sql, func(scan func(...any) error) error {
		var c Content
		var at time.Time
		var endpoint, gateway uuid.UUID
		o := &c.Observation
		err := scan(&c.Site, &c.Sensor, &at, &endpoint, &gateway, &o.Protocol, &o.Kind, &c.Attributes, &c.Count)
		o.Time, o.Endpoint, o.Gateway = proto.TimeOf(at), proto.ID(endpoint), proto.ID(gateway)
		list = append(list, c)
		return err
	}, args...)
	return list, err
}
