package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/config"
	"github.com/wardflow/wardflow/pkg/store"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/sink"
)

// frame is what top shows: everything that is known at a moment.
type frame struct {
	time     time.Time
	kafkaErr string // why the next three are old or empty; "" when they are not
	sensors  []sensorLine
	services []serviceLine
	topics   []topicLine
	storeErr string // why the rest is old or empty
	rows     []rowsLine
	devices  [][]any // of v_devices, the newest first
	found    [][]any // of v_detections, the latest first
	risks    [][]any // of v_risk, the highest first
}

type sensorLine struct {
	name, state, version string
	packets, bits, drops float64 // a second; negative: not known yet
	lost                 uint64  // drops of the run, by any reason
	spool                uint64  // bytes that wait on disk
	seen                 time.Duration
}

type serviceLine struct {
	name   string
	lag    int64
	rate   float64 // records a second that it took in; negative: not known yet
	behind time.Duration
	over   bool  // behind is at least so much
	lost   int64 // records that retention took before they were read
}

type topicLine struct {
	name string
	rate float64 // records a second
	end  int64
}

type rowsLine struct {
	table string
	rate  float64
	total uint64
}

// watcher looks at Kafka and at ClickHouse, each in its own time, so that neither
// waits for the other.
type watcher struct {
	cfg   *config.Config
	every time.Duration // between looks at Kafka
	count time.Duration // between counts of rows
	now   func() time.Time
	news  chan struct{} // something has changed; may be missed

	mu    sync.Mutex
	shown frame
	looks [2]int // by source, failed ones too

	ends    history            // of wardflow.traffic and .summaries
	before  map[string]int64   // topic -> end, at the look before
	lagged  map[string]float64 // service -> taken in, at the look before
	looked  time.Time
	read    map[int32]int64 // partition of wardflow.sensors -> next offset
	status  map[string]*heard
	counted map[string]uint64 // table -> rows
	countAt time.Time
}

// heard is what a sensor said last, and before.
type heard struct {
	last, prior proto.SensorStatus
	at          time.Time // its arrival at the broker
}

// How often ClickHouse is asked: 12 and 3 times 6 queries a minute stay below the
// analyst's 3,600 an hour.
const (
	countEvery = 5 * time.Second
	listEvery  = 10 * time.Second
	listed     = 60 // rows of each list: more than a screen shows
)

func newWatcher(cfg *config.Config, every time.Duration) *watcher {
	return &watcher{
		cfg: cfg, every: every, count: max(every, countEvery), now: time.Now, news: make(chan struct{}, 1),
		before: map[string]int64{}, lagged: map[string]float64{}, read: map[int32]int64{}, status: map[string]*heard{}, counted: map[string]uint64{},
	}
}

// frame gives what is known now.
func (w *watcher) frame() frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.shown
	f.time = w.now()
	return f
}

// The sources of what is shown.
const (
	fromKafka = iota
	fromStore
	lists // of ClickHouse, asked less often
)

// change changes what is shown.
func (w *watcher) change(source int, f func(*frame)) {
	w.mu.Lock()
	f(&w.shown)
	if source != lists {
		w.looks[source]++
	}
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// await waits until both sources have been looked at n times.
func (w *watcher) await(ctx context.Context, n int) error {
	for {
		w.mu.Lock()
		done := w.looks[fromKafka] >= n && w.looks[fromStore] >= n
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.news:
		}
	}
}

// idle waits, false when it is over.
func idle(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

const lookWithin = 10 * time.Second

// watchKafka looks until ctx ends. After an error everything is made anew: the
// broker may have come back elsewhere.
func (w *watcher) watchKafka(ctx context.Context) {
	for {
		err := w.kafkaSession(ctx)
		if ctx.Err() != nil {
			return
		}
		w.change(fromKafka, func(f *frame) { f.kafkaErr = err.Error() })
		if !idle(ctx, w.every) {
			return
		}
	}
}

func (w *watcher) kafkaSession(ctx context.Context) error {
	e, err := findEngines(w.cfg, needsKafka)
	if err != nil {
		return err
	}
	lags, err := bus.NewLagWatcher(e.Kafka)
	if err != nil {
		return err
	}
	defer lags.Close()
	reader, err := bus.NewReader(e.Kafka)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		look, cancel := context.WithTimeout(ctx, lookWithin)
		err := w.lookAtKafka(look, lags, reader)
		cancel()
		if err != nil {
			return err
		}
		if !idle(ctx, w.every) {
			return ctx.Err()
		}
	}
}

// shownTopics are those whose rate tells something.
var shownTopics = []string{
	proto.TopicTraffic, proto.TopicSummaries, proto.TopicBindings, proto.TopicDevices, proto.TopicDetections,
	proto.TopicRisk, proto.TopicRollups, proto.TopicAlerts, proto.TopicDeadletter,
}

func (w *watcher) lookAtKafka(ctx context.Context, lags *bus.LagWatcher, reader *bus.Reader) error {
	groups := consumerGroups()
	ends, err := lags.Ends(ctx, append(slices.Clone(shownTopics), proto.TopicSensors)...)
	if err != nil {
		return err
	}
	behind, err := lags.Look(ctx, groups)
	if err != nil {
		return err
	}
	now := w.now()
	if err := w.hear(ctx, reader, ends[proto.TopicSensors]); err != nil {
		return err
	}
	passed := now.Sub(w.looked).Seconds()
	first := w.looked.IsZero()
	w.looked = now
	total := map[string]int64{}
	var topics []topicLine
	for _, name := range shownTopics {
		for _, end := range ends[name] {
			total[name] += end
		}
		line := topicLine{name: name, end: total[name], rate: -1}
		if !first {
			line.rate = float64(total[name]-w.before[name]) / passed
		}
		w.before[name] = total[name]
		topics = append(topics, line)
	}
	w.ends.add(now, map[string]int64{proto.TopicTraffic: total[proto.TopicTraffic], proto.TopicSummaries: total[proto.TopicSummaries]})
	var services []serviceLine
	for _, name := range append(foldNames(), "sink") {
		s := w.service(name, groups, behind, total, len(ends[proto.TopicTraffic]), now)
		if prior, ok := w.lagged[name]; ok && !first {
			s.rate = max(0, float64(total[primary(name)]-s.lag)-prior) / passed
		}
		w.lagged[name] = float64(total[primary(name)] - s.lag)
		services = append(services, s)
	}
	sensors := w.sensorLines(now)
	w.change(fromKafka, func(f *frame) {
		f.kafkaErr, f.topics, f.services, f.sensors = "", topics, services, sensors
	})
	return nil
}

// primary is the topic whose order a service follows; its lag is what counts.
func primary(service string) string {
	for _, f := range folds() {
		if f.Name() == service {
			return f.Inputs()[0].Topic
		}
	}
	return proto.TopicTraffic
}

func (w *watcher) service(name string, groups map[string][]string, lags map[string]map[string]bus.Lag, total map[string]int64, partitions int, now time.Time) serviceLine {
	group := sink.Group
	if name != "sink" {
		group = "wardflow." + name
	}
	topic := primary(name)
	s := serviceLine{name: name, lag: lags[group][topic].Records, rate: -1}
	for _, t := range groups[group] {
		s.lost += lags[group][t].Overtaken
	}
	// Each transaction ends in a marker, which lags for ever. Only traffic has none.
	if topic != proto.TopicTraffic && s.lag <= int64(partitions) {
		s.lag = 0
	}
	if s.lag > 0 {
		s.behind, s.over = w.ends.age(topic, total[topic]-s.lag, now)
	}
	return s
}

// hear reads what sensors said since the last look.
func (w *watcher) hear(ctx context.Context, reader *bus.Reader, ends []int64) error {
	for i, end := range ends {
		p := int32(i)
		if end <= w.read[p] {
			continue
		}
		next, err := reader.Read(ctx, proto.TopicSensors, p, w.read[p], func(r bus.Record) error {
			var s proto.SensorStatus
			if r.Control || json.Unmarshal(r.Value, &s) != nil || s.Sensor == "" {
				return nil // a marker, an erasure, or what we do not know
			}
			key := s.Site + "/" + s.Sensor
			h := w.status[key]
			if h == nil {
				h = new(heard)
				w.status[key] = h
			}
			h.prior, h.last, h.at = h.last, s, r.Time.Std()
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", proto.TopicSensors, err)
		}
		w.read[p] = next
	}
	return nil
}

// awayAfter is three statuses missed.
const awayAfter = 30 * time.Second

func (w *watcher) sensorLines(now time.Time) []sensorLine {
	var out []sensorLine
	for _, key := range sortedKeys(w.status) {
		h := w.status[key]
		l := sensorLine{name: key, state: h.last.State, version: h.last.Version, packets: -1, bits: -1, drops: -1, spool: h.last.SpoolBytes, seen: now.Sub(h.at)}
		for _, n := range h.last.Drops {
			l.lost += n
		}
		if l.seen > awayAfter && l.state == proto.SensorUp {
			l.state = proto.SensorAway
		}
		if s := h.last.Time.Sub(h.prior.Time).Seconds(); h.prior.Run == h.last.Run && s > 0 {
			l.packets = float64(h.last.Packets-h.prior.Packets) / s
			l.bits = 8 * float64(h.last.Bytes-h.prior.Bytes) / s
			before := uint64(0)
			for _, n := range h.prior.Drops {
				before += n
			}
			l.drops = float64(l.lost-before) / s
		}
		out = append(out, l)
	}
	return out
}

// watchStore looks until ctx ends.
func (w *watcher) watchStore(ctx context.Context) {
	for {
		err := w.storeSession(ctx)
		if ctx.Err() != nil {
			return
		}
		w.change(fromStore, func(f *frame) { f.storeErr = err.Error() })
		if !idle(ctx, w.every) {
			return
		}
	}
}

func (w *watcher) storeSession(ctx context.Context) error {
	e, err := findEngines(w.cfg, needsClickHouse)
	if err != nil {
		return err
	}
	s, err := openReader(ctx, e.Store, w.cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	var listedAt time.Time
	for {
		now := w.now()
		look, cancel := context.WithTimeout(ctx, lookWithin)
		err := w.countRows(look, s, now)
		if err == nil && now.Sub(listedAt) >= listEvery {
			listedAt = now
			err = w.lists(look, s)
		}
		cancel()
		if err != nil {
			return err
		}
		if !idle(ctx, w.count) {
			return ctx.Err()
		}
	}
}

// countedTables never lose rows to a merge, so that their counts only grow until
// their retention.
var countedTables = []string{store.Flows, store.Observations, store.Bindings, store.Detections, store.Alerts, store.RiskHistory}

func (w *watcher) countRows(ctx context.Context, s *store.Store, now time.Time) error {
	sql := ""
	for i, t := range countedTables {
		if i > 0 {
			sql += " UNION ALL "
		}
		sql += fmt.Sprintf("SELECT '%s' AS name, count() AS n FROM %s", t, t)
	}
	rows, err := all(s.Query(ctx, sql))
	if err != nil {
		return err
	}
	found := map[string]uint64{}
	for _, r := range rows {
		name, _ := r[0].(string)
		found[name], _ = r[1].(uint64)
	}
	var lines []rowsLine
	passed := now.Sub(w.countAt).Seconds()
	for _, t := range countedTables {
		l := rowsLine{table: t, total: found[t], rate: -1}
		if prior, ok := w.counted[t]; ok && passed > 0 && found[t] >= prior {
			l.rate = float64(found[t]-prior) / passed
		}
		lines = append(lines, l)
	}
	w.counted, w.countAt = found, now
	w.change(fromStore, func(f *frame) { f.storeErr, f.rows = "", lines })
	return nil
}

// lists asks for what is at the top.
func (w *watcher) lists(ctx context.Context, s *store.Store) error {
	var got [3][][]any
	for i, sql := range []string{
		"SELECT first_seen, device_id, type, manufacturer, hostnames, ips, site FROM v_devices ORDER BY first_seen DESC, device_id",
		"SELECT time, severity, rule, device_id, type, title FROM v_detections ORDER BY time DESC, detection_id",
		"SELECT score, tier, device_id, type, manufacturer, factors FROM v_risk WHERE score > 0 ORDER BY score DESC, device_id",
	} {
		rows, err := all(s.Query(ctx, fmt.Sprintf("%s LIMIT %d", sql, listed)))
		if err != nil {
			return err
		}
		got[i] = rows
	}
	w.change(lists, func(f *frame) { f.devices, f.found, f.risks = got[0], got[1], got[2] })
	return nil
}

// history remembers where topics ended, to tell when a record was written. It
// holds an hour at the most.
type history struct {
	at   []time.Time
	ends []map[string]int64
}

const historyLen = 1800

func (h *history) add(at time.Time, ends map[string]int64) {
	if len(h.at) == historyLen {
		h.at, h.ends = h.at[1:], h.ends[1:]
	}
	h.at, h.ends = append(h.at, at), append(h.ends, ends)
}

// age is how long ago the record after offset position was seen first; over says
// that it was there before the first look.
func (h *history) age(topic string, position int64, now time.Time) (d time.Duration, over bool) {
	for i := range h.at {
		if h.ends[i][topic] > position {
			return now.Sub(h.at[i]), i == 0
		}
	}
	return 0, false
}
