package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wardflow/wardflow/pkg/failpoint"
	"github.com/wardflow/wardflow/pkg/spool"
)

// What a record is in the spool, besides the partition that the spool keeps:
//
//	0  1 version, 1
//	1  2 count of the topic's partitions, big endian
//	3  . the batch, with its producer and number
const (
	spooledVersion = 1
	spooledHeader  = 3
)

func (s *Sender) encode(e *entry) []byte {
	s.payload = append(s.payload[:0], spooledVersion)
	s.payload = binary.BigEndian.AppendUint16(s.payload, uint16(s.cfg.Partitions))
	s.payload = append(s.payload, e.value...)
	return s.payload
}

// errLayout is a spool that another layout of partitions, or another version of
// this program, has written.
type errLayout struct{ what string }

func (e *errLayout) Error() string { return e.what }

func (s *Sender) decode(r *spool.Record) (*entry, error) {
	p := r.Payload
	if len(p) < spooledHeader {
		return nil, &errLayout{fmt.Sprintf("record %d has %d bytes and no header", r.Number, len(p))}
	}
	if p[0] != spooledVersion {
		return nil, &errLayout{fmt.Sprintf("record %d has format version %d, and this program reads version %d", r.Number, p[0], spooledVersion)}
	}
	if n := binary.BigEndian.Uint16(p[1:]); n != uint16(s.cfg.Partitions) || r.Partition < 0 || r.Partition >= s.cfg.Partitions {
		return nil, &errLayout{fmt.Sprintf("record %d was written for partition %d of %d, and wardflow.traffic has %d partitions here", r.Number, r.Partition, n, s.cfg.Partitions)}
	}
	return &entry{partition: r.Partition, value: p[spooledHeader:], number: r.Number}, nil
}

// openSpool opens the spool, and looks whether what is in it can be sent. Only
// the latter gives an error: everything else is told, and tried again later.
func (s *Sender) openSpool(now time.Time) error {
	cfg := s.cfg.Spool
	cfg.OnDrop = func(d spool.Drop) {
		s.cfg.Log.Error("the spool has lost records", "spool", cfg.Dir, "reason", d.Reason, "records", d.Records, "bytes", d.Bytes)
	}
	sp, err := spool.Open(cfg)
	if err != nil {
		s.stuck = stuck{reason: DropNoSpool, until: now.Add(openRetry)}
		s.trouble(fmt.Errorf("without a spool, what memory does not hold is lost while Kafka is away: %w", err))
		return nil
	}
	r, err := sp.Read()
	var layout *errLayout
	if err == nil {
		_, err = s.decode(&r)
	}
	if errors.As(err, &layout) {
		err = fmt.Errorf("spool %s cannot be sent: %w; let the program and settings that wrote it drain it first, or move the folder away", cfg.Dir, err)
		return errors.Join(err, sp.Close())
	}
	sp.Rewind()
	s.spool, s.stuck = sp, stuck{}
	if n := sp.Stats().Pending; n > 0 {
		s.cfg.Log.Info("an earlier process has left records in the spool; they are sent first", "spool", cfg.Dir, "records", n)
		s.spooling, s.away = true, now
	}
	return nil
}

// reopen tries again to open a spool that could not be used.
func (s *Sender) reopen(now time.Time) {
	if s.spool != nil || now.Before(s.stuck.until) {
		return
	}
	if err := s.openSpool(now); err != nil { // of another layout: it is left alone
		s.stuck = stuck{reason: DropNoSpool, until: now.Add(openRetry)}
		s.trouble(err)
	}
	if s.spool != nil && s.direct > 0 && s.spool.Stats().Pending > 0 {
		// What an earlier process has left goes first, and nothing may be put before
		// or between it: what is under way is taken back.
		s.fail(now, errors.New("the spool could be opened, and is not empty"))
	}
}

// store appends the window's and the queue's records to the spool, at most so
// many of the queue (-1: all).
func (s *Sender) store(now time.Time, most int) {
	if s.spool == nil || now.Before(s.stuck.until) {
		return
	}
	if !s.storeWindow(now) {
		return
	}
	for ; most != 0; most-- {
		e := s.queue.head()
		if e == nil {
			return
		}
		failpoint.Hit("sender.append.before")
		if _, reason, err := s.spool.Offer(e.partition, s.encode(e)); err != nil {
			s.jam(now, reason, err)
			return
		}
		failpoint.Hit("sender.append.after")
		s.stuck = stuck{}
		s.stored(s.queue.pop())
	}
	if s.queue.size() > 0 {
		s.poke()
	}
}

// storeWindow appends what the client has and only memory holds besides. The
// spool has been read to its end then, and its reader need not see these.
func (s *Sender) storeWindow(now time.Time) bool {
	for _, e := range s.window {
		if e.number != 0 || e.settled {
			continue
		}
		failpoint.Hit("sender.window.before")
		number, reason, err := s.spool.OfferRead(e.partition, s.encode(e))
		if err != nil {
			s.jam(now, reason, err)
			return false
		}
		failpoint.Hit("sender.window.after")
		e.number = number
		s.direct--
		s.stuck = stuck{}
		s.stored(e)
	}
	return true
}

func (s *Sender) stored(e *entry) {
	s.count(func(st *SenderStats) { st.Spooled++ })
	e.finish(nil)
}

// jam notes that the spool does not take records.
func (s *Sender) jam(now time.Time, reason spool.Reason, err error) {
	s.stuck = stuck{reason: reason, until: now.Add(spoolRetry)}
	s.trouble(err)
}

// read is the spool's next record.
func (s *Sender) read(now time.Time) (*entry, error) {
	for {
		r, err := s.spool.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.trouble(err)
			}
			return nil, err
		}
		e, err := s.decode(&r)
		if err == nil {
			e.since = now
			return e, nil
		}
		// The first record was looked at when the spool was opened, so this one is a
		// stranger among good ones.
		s.drop(&entry{partition: r.Partition, value: r.Payload}, spool.DropDamaged, fmt.Errorf("read spool: %w", err))
		s.window = append(s.window, &entry{number: r.Number, settled: true}) // to be acknowledged in its turn
	}
}

// acknowledge tells the spool what the broker has; each time may cost a sync.
func (s *Sender) acknowledge(now time.Time, atOnce bool) {
	if s.spool == nil || s.ackTo <= s.acked {
		return
	}
	if left := len(s.window) > 0 && s.window[0].number != 0; !atOnce && left && now.Sub(s.ackedAt) < ackEvery {
		return
	}
	failpoint.Hit("sender.ack.before")
	if err := s.spool.Ack(s.ackTo); err != nil {
		s.trouble(err)
	}
	failpoint.Hit("sender.ack.after")
	s.acked, s.ackedAt = s.ackTo, now
}
