package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/capfile"
	"github.com/wardflow/wardflow/pkg/repotest"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/capture"
)

// tap is a live sensor of a site that sees a capture as it is played.
type tap struct {
	site, name string
	ahead      time.Duration // its clock
	until      proto.Time    // it dies then; 0: it does not
	from, to   proto.Time    // in between the broker is out of its reach, and it spools

	p       *capture.Processor
	batches []proto.Batch
	seq     []uint64
	spooled []bus.Message
}

func (s *tap) start(partitions int32) {
	s.batches, s.seq = make([]proto.Batch, partitions), make([]uint64, partitions)
	// The key stands in for the site's, by which what stands for identities would differ.
	s.p = capture.New(capture.Config{Site: s.site, Sensor: s.name, Key: []byte("one key for all sites"), Emit: func(it proto.Item) {
		for i := range partitions {
			if it.Heartbeat != nil || it.Lane.Partition(partitions) == i {
				s.batches[i].Items = append(s.batches[i].Items, it)
			}
		}
	}})
}

// flush hands over what the tap has at an event time. What it spooled goes before.
func (s *tap) flush(t *testing.T, w *bus.Producer, at proto.Time) {
	t.Helper()
	for i := range s.batches {
		b := &s.batches[i]
		if len(b.Items) == 0 {
			continue
		}
		b.Site, b.Sensor, b.Producer, b.Domain, b.FirstSeq = s.site, s.name, "live:"+s.site+"/"+s.name, proto.LiveDomain, s.seq[i]+1
		s.seq[i] += uint64(len(b.Items))
		val, err := proto.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		s.spooled = append(s.spooled, bus.Message{Topic: proto.TopicTraffic, Partition: int32(i), Value: val})
		b.Items = nil
	}
	if at >= s.from && at < s.to {
		return
	}
	for _, m := range s.spooled {
		m.Sent = proto.TimeOf(time.Now().Add(s.ahead))
		w.Produce(t.Context(), m, nil)
	}
	s.spooled = nil
}

// play lets taps see some time of a capture, side by side, and calls on after each
// of parts equal parts of it. Afterwards some hours pass in which nothing happens.
func (w *world) play(file string, from, to proto.Time, parts int, on func(n int), taps ...*tap) {
	w.t.Helper()
	out, err := bus.NewProducer(w.engines.Kafka, 64<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	r, err := capfile.Open(file)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, s := range taps {
		s.start(w.engines.Kafka.Partitions)
	}
	pass := func(at proto.Time) {
		for _, s := range taps {
			if s.until == 0 || at < s.until {
				s.p.Advance(at.Add(s.ahead))
				s.flush(w.t, out, at)
			}
		}
		if err := out.Flush(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	var pkt capfile.Packet
	var next, last proto.Time
	done := 0
	for {
		if err := r.Next(&pkt); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			w.t.Fatal(err)
		}
		if pkt.Time < from || pkt.Time >= to {
			continue
		}
		if next == 0 {
			next = pkt.Time
		}
		for ; next <= pkt.Time; next = next.Add(batchEvery) {
			pass(next)
		}
		for _, s := range taps {
			if s.until == 0 || pkt.Time < s.until {
				s.p.Packet(pkt.LinkType, pkt.Time.Add(s.ahead), pkt.Data, pkt.WireLen)
			}
		}
		last = pkt.Time
		if n := int(last.Sub(from) * time.Duration(parts) / to.Sub(from)); n > done {
			done = n
			on(n)
		}
	}
	for at := last; at < last.Add(4*time.Hour); at = at.Add(batchEvery) {
		pass(at)
	}
}

// batchEvery is how often in event time taps hand over what they have.
const batchEvery = 2 * time.Minute

// tallies say what a site comes to in words that do not depend on its name: ids do.
var tallies = map[string]string{
	"flows that count": `SELECT toString((src_ip, src_port, dst_ip, dst_port, transport, protocol, state, part, src_packets, src_bytes, dst_packets, dst_bytes)), count()
		FROM v_flows WHERE site = ? AND duplicate_of_sensor = '' GROUP BY 1`,
	"observations that count": `SELECT toString((ip, mac, protocol, kind, attributes)), count() FROM v_observations WHERE site = ? AND duplicate_of_sensor = '' GROUP BY 1`,
	"pairs": `SELECT toString((hour, client_ip, server_ip, transport, port, protocol)), toString((sum(flows), sum(src_packets), sum(src_bytes), sum(dst_packets), sum(dst_bytes)))
		FROM v_pairs WHERE site = ? GROUP BY 1`,
	"activity": `SELECT toString((hour, d.macs, d.ips)), toString((sum(a.flows), sum(packets_out), sum(bytes_out), sum(packets_in), sum(bytes_in)))
		FROM v_activity AS a LEFT JOIN v_devices AS d ON a.device_id = d.device_id WHERE site = ? GROUP BY 1`,
	"devices": `SELECT toString((macs, ips, hostnames, ae_titles, category, type, manufacturer, model)),
		toString(arraySort(arrayMap(e -> (JSONExtractString(e, 'attribute'), JSONExtractString(e, 'value'), JSONExtractString(e, 'protocol'), JSONExtractUInt(e, 'count')), JSONExtractArrayRaw(record, 'evidence'))))
		FROM v_devices WHERE site = ?`,
	"detections": "SELECT toString((rule, title, severity, d.macs)), toString((count(), sum(count))) FROM v_detections AS x LEFT JOIN v_devices AS d ON x.device_id = d.device_id WHERE x.site = ? GROUP BY 1",
	"risk":       "SELECT toString((macs, ips)), toString((score, tier)) FROM v_devices WHERE site = ?",
}

// tally gives what a site comes to, by what it is about.
func (w *world) tally(ctx context.Context, site string) (map[string]table, error) {
	all := map[string]table{}
	for name, sql := range tallies {
		rows, err := w.store.Query(ctx, sql, site)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[name] = table{}
		for rows.Next() {
			v, err := rows.Values()
			if err != nil {
				return nil, err
			}
			all[name][fmt.Sprint(v[0])] = fmt.Sprint(v[1])
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

// settleAs waits until a site has come to what another has.
func (w *world) settleAs(site, like string, within time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	var diff []string
	for ctx.Err() == nil {
		got, err := w.tally(ctx, site)
		want, werr := w.tally(ctx, like)
		diff = nil
		if err := errors.Join(err, werr); err != nil {
			diff = []string{err.Error()}
		}
		for _, name := range sortedKeys(want) {
			if len(want[name]) == 0 && name != "detections" { // the first day is learned from
				diff = append(diff, name+": there are none")
			}
			diff = append(diff, compare(name, got[name], want[name])...)
		}
		if len(diff) == 0 {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second): // each look is many queries
		}
	}
	w.t.Errorf("site %s is not as %s: %d differences after %s", site, like, len(diff), within)
	for _, d := range diff[:min(len(diff), 12)] {
		w.t.Log(d)
	}
	w.explain()
}

func (w *world) number(sql string, args ...any) string {
	w.t.Helper()
	rows, err := w.store.Query(w.t.Context(), sql, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		w.t.Fatal(sql, rows.Err())
	}
	v, err := rows.Values()
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Trim(fmt.Sprint(v), "[]")
}

// TestTwoSensorsThroughKills: a morning of the ward seen by one sensor, and by two,
// with every service killed again and again: both sites come to the same, in the
// folds' totals and in the rows that count. Sensors in worse health are in ward.
func TestTwoSensorsThroughKills(t *testing.T) {
	day := repotest.Shared(t, "captures/ward-a/day.pcapng")
	w := newWorld(t, false)
	w.allServices(map[string]string{"fingerprint": "stream.commit.after=kill@30"})
	hour := func(h float64) proto.Time {
		return proto.TimeOf(time.Date(2026, 11, 17, 0, 0, 0, 0, time.UTC)).Add(time.Duration(h * float64(time.Hour)))
	}
	kill := []string{"fingerprint", "anomaly", "score", "fingerprint", "sink", "anomaly", "score", "fingerprint"}
	w.play(day, hour(7), hour(12), len(kill)+1, func(n int) { w.kill(kill[(n-1)%len(kill)]) },
		&tap{site: "ward-00", name: "one"},
		&tap{site: "ward-01", name: "one"}, &tap{site: "ward-01", name: "two"},
	)
	w.settleAs("ward-01", "ward-00", 3*time.Minute)
	for sql, want := range map[string]func(string) bool{
		"SELECT countIf(duplicate_of_sensor != '') FROM v_flows WHERE site = 'ward-00'":                                                      func(n string) bool { return n == "0" },
		"SELECT toString(countIf(duplicate_of_sensor = '') = countIf(duplicate_of_sensor != '')) FROM v_flows WHERE site = 'ward-01'":        func(n string) bool { return n == "1" },
		"SELECT toString(countIf(duplicate_of_sensor = '') = countIf(duplicate_of_sensor != '')) FROM v_observations WHERE site = 'ward-01'": func(n string) bool { return n == "1" },
	} {
		if got := w.number(sql); !want(got) {
			t.Errorf("%s gives %s", sql, got)
		}
	}
}
