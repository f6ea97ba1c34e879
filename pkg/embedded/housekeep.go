package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/wardflow/wardflow/pkg/embedded/brokerlog"
)

// housekeepEvery bounds how far the topics may grow over the cap: by what is written in this time.
const housekeepEvery = 2 * time.Second

// housekeep does what the broker's own retention and compaction would, which are off (see brokerConfigs).
func (b *Broker) housekeep(every time.Duration) {
	defer close(b.done)
	if b.cfg.Dir == "" {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case now := <-tick.C:
			if err := b.tidy(now); err != nil {
				slog.Error("broker: housekeeping", "error", err)
			}
		}
	}
}

// tidy deletes what is too old or too much and cleans compacted topics when they take half of the cap.
func (b *Broker) tidy(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cluster == nil {
		return nil
	}
	l, err := b.ledger()
	if err != nil {
		return err
	}
	// A cleaning that would leave most of it, as the last one did, is put off.
	if l.compacted >= b.cfg.MaxBytes/2 && l.compacted >= b.cleaned*3/2 {
		if err := b.clean(l, now); err != nil {
			return err
		}
		if l, err = b.ledger(); err != nil {
			return err
		}
	}
	for _, t := range l.trim(now, b.cfg.MaxBytes) {
		// The offset is the base of a whole segment, so what is deleted stays deleted after a kill.
		if err := b.cluster.DeleteRecords(t.topic, t.partition, t.before); err != nil {
			return fmt.Errorf("delete %s-%d before offset %d: %w", t.topic, t.partition, t.before, err)
		}
	}
	if l.total > b.cfg.MaxBytes {
		slog.Warn("broker: topics take more than their cap, though append topics are down to the file being written; raise it",
			"bytes", l.total, "compacted_bytes", l.compacted, "max_bytes", b.cfg.MaxBytes)
	}
	return nil
}

func (b *Broker) ledger() (*ledger, error) {
	topics, err := brokerlog.Topics(b.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("read topics: %w", err)
	}
	segments, err := brokerlog.Segments(b.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("read segments: %w", err)
	}
	return newLedger(topics, segments), nil
}

// clean compacts. Most of the work is done while the broker runs; putting the result in place needs it closed for as
// long as it takes to load its files. Connections break, transactions and group members are kept.
func (b *Broker) clean(l *ledger, now time.Time) error {
	begun := time.Now()
	var targets []brokerlog.Target
	for _, p := range l.partitions {
		if !p.compact {
			continue
		}
		if info := b.cluster.PartitionInfo(p.topic, p.partition); info != nil {
			targets = append(targets, brokerlog.Target{Topic: p.topic, Partition: p.partition, Stable: info.LastStableOffset})
		}
	}
	staged, err := brokerlog.Stage(b.cfg.Dir, targets, b.cfg.SegmentBytes, now)
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	closed := time.Now()
	b.closeCluster()
	err = staged.Swap()
	if openErr := b.openCluster(); openErr != nil {
		openErr = fmt.Errorf("open broker after cleaning: %w", openErr)
		b.failed <- openErr
		return errors.Join(err, openErr)
	}
	b.cleanings++
	b.cleaned = l.compacted - staged.Before + staged.After
	slog.Info("broker: compacted", "bytes_before", staged.Before, "bytes_after", staged.After,
		"took_ms", time.Since(begun).Milliseconds(), "closed_ms", time.Since(closed).Milliseconds())
	return errors.Join(append(staged.Skipped, err)...)
}

// ledger is what all topics hold, by partition.
type ledger struct {
	partitions []*ledgerPartition
	total      int64
	compacted  int64 // the part of total in compacted topics
}

type ledgerPartition struct {
	topic          string
	partition      int32
	compact        bool
	retentionMS    int64 // -1: none
	retentionBytes int64 // -1: none
	forever        bool  // its topic says that it is kept whatever its age: the cap is met by others
	segments       []brokerlog.Segment
}

func newLedger(topics map[string]map[string]string, segments map[string]map[int32][]brokerlog.Segment) *ledger {
	l := &ledger{}
	for topic, configs := range topics {
		for partition, segs := range segments[topic] {
			p := &ledgerPartition{
				topic: topic, partition: partition, segments: segs,
				compact:        strings.Contains(configs["cleanup.policy"], "compact"),
				retentionMS:    number(configs["retention.ms"]),
				retentionBytes: number(configs["retention.bytes"]),
				forever:        configs["retention.ms"] == "-1",
			}
			l.partitions = append(l.partitions, p)
			l.total += p.size()
			if p.compact {
				l.compacted += p.size()
			}
		}
	}
	return l
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (p *ledgerPartition) size() int64 {
	var n int64
	for _, s := range p.segments {
		n += s.Size
	}
	return n
}

// trimmed says up to where a partition is to be deleted.
type trimmed struct {
	topic     string
	partition int32
	before    int64
}

// trim drops whole segments, never the one being written: a partition without any begins at offset 0 again after a
// restart. First goes what a topic's own retention says, then the oldest of all append topics until the cap is met.
func (l *ledger) trim(now time.Time, maxBytes int64) []trimmed {
	first := map[*ledgerPartition]int64{}
	drop := func(p *ledgerPartition) {
		l.total -= p.segments[0].Size
		p.segments = p.segments[1:]
		first[p] = p.segments[0].Base
	}
	for _, p := range l.partitions {
		if p.compact {
			continue
		}
		for len(p.segments) > 1 && p.retentionMS >= 0 && now.Sub(p.segments[0].Modified).Milliseconds() > p.retentionMS {
			drop(p)
		}
		for len(p.segments) > 1 && p.retentionBytes >= 0 && p.size()-p.segments[0].Size >= p.retentionBytes {
			drop(p)
		}
	}
	for l.total > maxBytes {
		var oldest *ledgerPartition
		for _, p := range l.partitions {
			if p.compact || p.forever || len(p.segments) < 2 {
				continue
			}
			if oldest == nil || p.segments[0].Modified.Before(oldest.segments[0].Modified) {
				oldest = p
			}
		}
		if oldest == nil {
			break
		}
		drop(oldest)
	}
	var out []trimmed
	for p, before := range first {
		out = append(out, trimmed{p.topic, p.partition, before})
	}
	return out
}
