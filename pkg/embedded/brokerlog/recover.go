package brokerlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Report says what Recover found and did.
type Report struct {
	Partitions int
	Bytes      int64
	TornBytes  int64 // cut off ends of files
	Aborted    int   // open transactions ended, counted once a partition
	Completed  int   // of those whose commit had begun in another partition
}

// openTxn is a transaction without a marker.
type openTxn struct {
	epoch int16
	first int64
}

// ending is the last marker of a producer in a partition. Since each transaction has an epoch of its own (KIP-890),
// the epoch names the transaction; reused says that for this producer it does not.
type ending struct {
	epoch  int16
	commit bool
	reused bool
}

// window is what the broker remembers of a producer to tell a resent batch from a new one: the last five.
type window struct {
	epoch   int16
	next    int32
	entries []windowEntry
}

type windowEntry struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

// scan is what one pass over a partition finds.
type scan struct {
	partition
	snapshot
	open    map[int64]openTxn
	ended   map[int64]ending
	windows map[int64]*window
	torn    int64
}

// Recover readies a folder that a broker left without closing it. The broker's own replay would do, but it
//
//   - ends cut-off transactions in memory only. A client that fetches one together with what the same producer wrote
//     later drops both, since it waits for an abort marker; and after a second kill the next marker, a commit, is
//     taken for the first transaction's too. Recover writes the markers.
//   - aborts a transaction whose commit had reached some partitions only. Recover completes it.
//   - reads all partitions into memory at once. Recover leaves snapshots, with which it need not.
//   - forgets which batches it has seen, so that one resent after a lost answer is stored twice.
//   - appends behind the torn end of a state log, where it never looks again. Recover cuts it.
//
// Killed half way, it may be called again. now is the time of the markers.
func Recover(dir string, now time.Time) (Report, error) {
	var report Report
	if err := FinishSwap(dir); err != nil {
		return report, err
	}
	if _, err := cutTornTail(filepath.Join(dir, "groups.log")); err != nil {
		return report, fmt.Errorf("mend groups.log: %w", err)
	}
	entries, err := cutTornTail(filepath.Join(dir, "pids.log"))
	if err != nil {
		return report, fmt.Errorf("mend pids.log: %w", err)
	}
	parts, err := partitions(dir)
	if err != nil {
		return report, fmt.Errorf("list partitions: %w", err)
	}
	scans, err := scanAll(parts)
	if err != nil {
		return report, err
	}
	outcome := outcomes(scans)
	for _, s := range scans {
		report.Partitions++
		report.TornBytes += s.torn
		if err := s.end(outcome, now, &report); err != nil {
			return report, fmt.Errorf("end transactions of %s-%d: %w", s.topic, s.id, err)
		}
		for _, seg := range s.Segments {
			report.Bytes += seg.Size
		}
		if err := writeJSON(filepath.Join(s.dir, "snapshot.json"), s.snapshot); err != nil {
			return report, fmt.Errorf("write snapshot of %s-%d: %w", s.topic, s.id, err)
		}
	}
	if err := writeWindows(dir, scans); err != nil {
		return report, fmt.Errorf("write seq_windows.json: %w", err)
	}
	if err := fenceProducers(dir, producers(entries), scans, outcome); err != nil {
		return report, fmt.Errorf("mend pids.log: %w", err)
	}
	return report, nil
}

// scanAll scans on all cores, one partition a core at a time, one segment in memory each.
func scanAll(parts []partition) ([]*scan, error) {
	var (
		scans = make([]*scan, len(parts))
		errs  = make([]error, len(parts))
		next  = make(chan int)
		wg    sync.WaitGroup
	)
	for range min(len(parts), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			var buf bytes.Buffer
			for i := range next {
				if scans[i], errs[i] = parts[i].scan(&buf); errs[i] != nil {
					errs[i] = fmt.Errorf("scan %s-%d: %w", parts[i].topic, parts[i].id, errs[i])
				}
			}
		})
	}
	for i := range parts {
		next <- i
	}
	close(next)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(scans, func(s *scan) bool { return len(s.Segments) == 0 }), nil
}

func (p partition) scan(buf *bytes.Buffer) (*scan, error) {
	s := &scan{partition: p, open: map[int64]openTxn{}, ended: map[int64]ending{}, windows: map[int64]*window{}}
	old, err := p.readSnapshot()
	if err == nil {
		s.CreatedAt = old.CreatedAt
	}
	bases, err := p.segments()
	if err != nil {
		return nil, err
	}
	s.Version = 1
	for i, base := range bases {
		if i == 0 {
			s.LogStartOffset = base
		}
		s.HighWatermark = max(s.HighWatermark, base)
		if err := s.segment(base, buf); err != nil {
			return nil, err
		}
	}
	s.LastStableOffset = s.HighWatermark
	return s, nil
}

// segment scans one file, cuts its torn end, and rewrites its index if that does not have one entry a batch.
func (s *scan) segment(base int64, buf *bytes.Buffer) error {
	path := filepath.Join(s.dir, segmentName(base))
	if err := readInto(buf, path); err != nil {
		return err
	}
	var index []byte
	rest := buf.Bytes()
	for {
		b, after, ok := nextBatch(rest)
		if !ok {
			break
		}
		if s.CreatedAt.IsZero() {
			s.CreatedAt = time.UnixMilli(b.baseTimestamp())
		}
		rest = after
		s.batch(b)
		index = append(index, indexEntry(b, s.MaxTimestamp)...)
	}
	size := int64(buf.Len() - len(rest))
	if len(rest) > 0 {
		s.torn += int64(len(rest))
		if err := os.Truncate(path, size); err != nil {
			return err
		}
	}
	s.Segments = append(s.Segments, segmentInfo{BaseOffset: base, Size: size, MinEpoch: s.Epoch, MaxEpoch: s.Epoch})
	indexPath := filepath.Join(s.dir, indexName(base))
	if info, err := os.Stat(indexPath); err != nil || info.Size() != int64(len(index)) {
		return writeFile(indexPath, index)
	}
	return nil
}

func readInto(buf *bytes.Buffer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	buf.Reset()
	buf.Grow(int(info.Size()) + bytes.MinRead)
	_, err = io.Copy(buf, f)
	return err
}

func (s *scan) batch(b batch) {
	s.HighWatermark = b.end()
	s.Epoch = b.leaderEpoch()
	s.MaxTimestamp = max(s.MaxTimestamp, b.maxTimestamp())
	pid := b.producer()
	switch {
	case b.control():
		e := ending{epoch: b.epoch(), commit: b.commits()}
		if before, ok := s.ended[pid]; ok && before.epoch == e.epoch {
			e.reused = true
		}
		s.ended[pid] = e
		if txn, ok := s.open[pid]; ok && !e.commit {
			s.AbortedTxns = append(s.AbortedTxns, abortedTxn{pid, txn.first, b.offset()})
		}
		delete(s.open, pid)
		return
	case pid < 0:
		return
	case b.transactional():
		if _, ok := s.open[pid]; !ok {
			s.open[pid] = openTxn{b.epoch(), b.offset()}
		}
	}
	w := s.windows[pid]
	if w == nil || w.epoch != b.epoch() {
		w = &window{epoch: b.epoch()}
		s.windows[pid] = w
	}
	const sequences = 1<<31 - 1
	w.next = int32((int64(b.sequence()) + int64(b.records())) % sequences)
	if len(w.entries) == 5 {
		w.entries = w.entries[:copy(w.entries, w.entries[1:])]
	}
	w.entries = append(w.entries, windowEntry{b.sequence(), w.next, b.offset()})
}

type producerTxn struct {
	pid   int64
	epoch int16
}

// outcomes tells of each transaction that is open somewhere whether it is to be committed: when a commit marker of
// the very same transaction stands in another partition, the client may have been told so.
func outcomes(scans []*scan) map[producerTxn]bool {
	out := map[producerTxn]bool{}
	for _, s := range scans {
		for pid, txn := range s.open {
			out[producerTxn{pid, txn.epoch}] = false
		}
	}
	for _, s := range scans {
		for pid, e := range s.ended {
			if _, ok := out[producerTxn{pid, e.epoch}]; ok && e.commit && !e.reused {
				out[producerTxn{pid, e.epoch}] = true
			}
		}
	}
	return out
}

// end appends the markers of the transactions that are open in s to its last segment.
func (s *scan) end(outcome map[producerTxn]bool, now time.Time, report *Report) error {
	if len(s.open) == 0 {
		return nil
	}
	var data, index []byte
	for pid, txn := range s.open {
		commit := outcome[producerTxn{pid, txn.epoch}]
		raw := marker(s.HighWatermark, now.UnixMilli(), s.Epoch, pid, txn.epoch, commit)
		report.Aborted++
		if commit {
			report.Completed++
		} else {
			s.AbortedTxns = append(s.AbortedTxns, abortedTxn{pid, txn.first, s.HighWatermark})
		}
		s.MaxTimestamp = max(s.MaxTimestamp, now.UnixMilli())
		data, index = append(data, raw...), append(index, indexEntry(raw, s.MaxTimestamp)...)
		s.HighWatermark++
	}
	s.LastStableOffset = s.HighWatermark
	last := &s.Segments[len(s.Segments)-1]
	last.Size += int64(len(data))
	// Data first: an index that is too short is rewritten by the next scan, one that is too long as well.
	if err := appendToLog(filepath.Join(s.dir, segmentName(last.BaseOffset)), data); err != nil {
		return err
	}
	return appendToLog(filepath.Join(s.dir, indexName(last.BaseOffset)), index)
}

// seqWindow is an element of seq_windows.json.
type seqWindow struct {
	PID     int64          `json:"pid"`
	Topic   string         `json:"topic"`
	Part    int32          `json:"partition"`
	Entries [5]windowEntry `json:"entries"`
	Count   uint8          `json:"count"`
	At      uint8          `json:"at"`
	Epoch   int16          `json:"epoch"`
	Seen    bool           `json:"seen"`
	NextSeq int32          `json:"next_seq"`
}

func writeWindows(dir string, scans []*scan) error {
	file := struct {
		Version int         `json:"version"`
		Windows []seqWindow `json:"windows"`
	}{Version: 1}
	for _, s := range scans {
		for pid, w := range s.windows {
			e := seqWindow{
				PID: pid, Topic: s.topic, Part: s.id, Epoch: w.epoch, Seen: true, NextSeq: w.next,
				Count: uint8(len(w.entries)), At: uint8(len(w.entries) % 5),
			}
			copy(e.Entries[:], w.entries)
			file.Windows = append(file.Windows, e)
		}
	}
	return writeJSON(filepath.Join(dir, "seq_windows.json"), file)
}

// fenceProducers raises the epoch of every producer past the transaction that it last wrote for. A client that goes on
// with a transaction which is aborted by now gets INVALID_PRODUCER_EPOCH; one that asks again for the end of a
// transaction is told how it ended.
func fenceProducers(dir string, known map[int64]producerEntry, scans []*scan, outcome map[producerTxn]bool) error {
	ended := map[int64]ending{}
	for _, s := range scans {
		for pid, e := range s.ended {
			if before, ok := ended[pid]; !ok || e.epoch > before.epoch {
				ended[pid] = e
			}
		}
	}
	for txn, commit := range outcome {
		if before, ok := ended[txn.pid]; !ok || txn.epoch >= before.epoch {
			ended[txn.pid] = ending{epoch: txn.epoch, commit: commit}
		}
	}
	var raw []byte
	for pid, e := range ended {
		producer, ok := known[pid]
		if !ok || producer.Epoch > e.epoch {
			continue
		}
		commit := e.commit
		var err error
		raw, err = appendFrame(raw, producerEntry{
			Type: "init", PID: pid, Epoch: e.epoch + 1, TxID: producer.TxID, Timeout: producer.Timeout, Commit: &commit,
		})
		if err != nil {
			return err
		}
	}
	if len(raw) == 0 {
		return nil
	}
	return appendToLog(filepath.Join(dir, "pids.log"), raw)
}

// Topics reads which topics there are, with those of their settings that are not the default.
func Topics(dir string) (map[string]map[string]string, error) {
	var file struct {
		Topics []struct {
			Name    string            `json:"name"`
			Configs map[string]string `json:"configs"`
		} `json:"topics"`
	}
	raw, err := os.ReadFile(filepath.Join(dir, "topics.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	for _, t := range file.Topics {
		out[t.Name] = t.Configs
	}
	return out, nil
}
