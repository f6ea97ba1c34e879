package sink

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/wardflow/wardflow/pkg/failpoint"
	"github.com/wardflow/wardflow/pkg/store"
)

// settle inserts a batch and does not come back before every row of it is there;
// false when the partition or the sink ended first.
func (s *Sink) settle(src Source, j *job) bool {
	// Not a context that ends with the insert: clickhouse-go closes the connection of
	// a context that ends, also just after the answer, when the next insert has it.
	ctx, span := s.meter.span(j.p.ctx, j.p.topic, j.b)
	defer func() { span.End(j.p.ctx.Err()) }()
	for _, t := range j.b.rows.blocks() {
		if t.Len() > 0 && !s.settleTable(ctx, src, j, t) {
			return false
		}
	}
	return true
}

// settleTable inserts one block. As long as every answer is clear that is one
// insert. Once one is not, or the batch was doubtful from the start, it goes by
// what the table has:
//
//  1. Look which rows are missing; none: done.
//  2. Insert them under the same token. Whatever may still be on its way to the
//     server from before (a process that was killed after it had sent the block)
//     has that token too, so that only one of the two can become rows.
//  3. Look again. If the server has acknowledged and rows are missing all the
//     same, it remembers the token of a part that it lost when it was killed. The
//     sender of that part is gone with that server, so a new attempt is safe:
//     commit it in the plan, then insert under its token.
//
// A table that keeps the highest version of a key needs no looking, and must not
// use a token again.
func (s *Sink) settleTable(ctx context.Context, src Source, j *job, t *store.Block) bool {
	unclear, acknowledged := j.b.doubtful, false
	rows := t.Len()
	for wait := s.cfg.Backoff; ctx.Err() == nil; wait = min(wait*2, 32*s.cfg.Backoff) {
		if unclear && !store.Idempotent(t.Table()) {
			if err := s.leaveMissing(ctx, j, t); err != nil {
				s.trouble(ctx, "counting rows in ClickHouse", j.p, err)
				sleep(ctx, wait)
				continue
			}
			if t.Len() == 0 {
				s.count.rows.Add(uint64(rows))
				return true
			}
			if acknowledged {
				s.count.lostParts.Add(1)
				s.log.WarnContext(ctx, "ClickHouse acknowledged rows that it does not have, inserting them anew", "table", t.Table(), "partition", j.p.id, "rows", t.Len())
				j.b.attempt++
				if !s.replan(ctx, src, j) {
					return false
				}
			}
		}
		err := s.insert(ctx, j, t, unclear)
		if err == nil && (!unclear || store.Idempotent(t.Table())) {
			s.count.rows.Add(uint64(rows))
			return true
		}
		unclear, acknowledged = true, err == nil
		if err != nil {
			s.trouble(ctx, "inserting into ClickHouse", j.p, err)
			sleep(ctx, wait)
		}
	}
	return false
}

func (s *Sink) insert(ctx context.Context, j *job, t *store.Block, unclear bool) error {
	name := token(s.cfg.Generation, j.p.topic, j.p.id, j.b.from, j.b.to, j.b.attempt)
	if unclear && store.Idempotent(t.Table()) {
		name = fmt.Sprintf("%s/%d", name, s.now().UnixNano())
	}
	failpoint.Hit("sink.insert.before")
	begun := s.now()
	ctx, span := s.meter.insertSpan(ctx, t)
	err := s.tables.Insert(ctx, t, name)
	span.End(err)
	if err != nil {
		return err
	}
	s.meter.inserted(t.Table(), t.Len(), s.now().Sub(begun))
	s.count.inserts.Add(1)
	failpoint.Hit("sink.insert.after")
	return failpoint.Error("sink.insert.lost")
}

// leaveMissing takes the rows out of the block that the table has.
func (s *Sink) leaveMissing(ctx context.Context, j *job, t *store.Block) error {
	s.count.verified.Add(1)
	r := store.Range{Generation: s.cfg.Generation, Partition: j.p.id, From: j.b.from, To: j.b.to, First: j.b.first, Last: j.b.last}
	n, err := s.tables.Count(ctx, t.Table(), r)
	if err != nil || n == 0 {
		return err
	}
	have, err := s.tables.Existing(ctx, t.Table(), r)
	if err != nil {
		return err
	}
	t.Without(have)
	return nil
}

// replan commits the batch's plan with its new attempt.
func (s *Sink) replan(ctx context.Context, src Source, j *job) bool {
	again := &job{p: j.p, b: j.b, commit: true, offset: j.b.from}
	s.commit(ctx, src, []*job{again})
	return again.committed
}

// counters of a sink, by what happened.
type counters struct {
	records, rows, inserts, commits, verified, lostParts atomic.Uint64
	repeated, dead, missing                              atomic.Uint64
	pollErrors, commitErrors, storeErrors                atomic.Uint64
}

// Counters tells what has happened since New:
//
//	records          read from Kafka
//	rows             stored, or found stored
//	inserts          acknowledged by ClickHouse
//	commits          of offsets
//	verified         times that rows were looked for after an unclear answer
//	lost_parts       blocks that ClickHouse acknowledged and lost
//	dropped_repeated events that a producer sent again
//	dropped_dead     records and events sent to the dead letters
//	dropped_missing  records of traffic that retention took before they were stored
//	errors_poll, errors_commit, errors_store  attempts that failed and were repeated
func (s *Sink) Counters() map[string]uint64 {
	c := &s.count
	return map[string]uint64{
		"records": c.records.Load(), "rows": c.rows.Load(), "inserts": c.inserts.Load(), "commits": c.commits.Load(), "verified": c.verified.Load(),
		"lost_parts": c.lostParts.Load(), "dropped_repeated": c.repeated.Load(), "dropped_dead": c.dead.Load(), "dropped_missing": c.missing.Load(),
		"errors_poll": c.pollErrors.Load(), "errors_commit": c.commitErrors.Load(), "errors_store": c.storeErrors.Load(),
	}
}
