package sink

import (
	"context"
	"maps"
	"sync"

	"github.com/wardflow/wardflow/pkg/bus"
	"github.com/wardflow/wardflow/pkg/failpoint"
	"github.com/wardflow/wardflow/pkg/store"
)

// job is what a round does for one partition: commit an offset, with a plan when
// there is a batch to insert, and insert it.
type job struct {
	p      *partition
	b      *batch // nil: only the commit
	commit bool
	offset int64 // to commit: all before it is stored
	save   *store.Producers

	committed bool
	settled   bool
	saved     bool
}

func (j *job) plan() plan {
	if j.b == nil || j.b.len() == 0 {
		return plan{}
	}
	return plan{To: j.b.to, Attempt: j.b.attempt}
}

// round is one pass over the partitions that have something to do. It works on
// its own copies; apply, in the goroutine that polls, brings the result back.
type round struct {
	s    *Sink
	jobs []*job
}

// late says that what is done should be committed although no plan follows.
func (p *partition) late(s *Sink) bool {
	return p.inFlight == nil && p.doneTo > p.committed && s.now().Sub(p.doneWaiting) >= 2*s.cfg.Interval
}

// gather makes the round that is due now.
func (s *Sink) gather() *round {
	r := &round{s: s}
	for _, p := range s.assigned() {
		switch {
		case p.due(s):
			b := p.launch()
			// A plan that was found is committed already; so is what it begins with.
			r.jobs = append(r.jobs, &job{p: p, b: b, commit: !b.planned, offset: p.doneTo, save: p.toSave(s)})
		case p.late(s):
			r.jobs = append(r.jobs, &job{p: p, commit: true, offset: p.doneTo, save: p.toSave(s)})
		}
	}
	return r
}

// final commits what is done and plans nothing.
func (s *Sink) final() *round {
	r := &round{s: s}
	for _, p := range s.assigned() {
		if p.inFlight == nil && p.doneTo > p.committed {
			r.jobs = append(r.jobs, &job{p: p, commit: true, offset: p.doneTo, save: p.unsavedAt(s.cfg.Generation)})
		}
	}
	return r
}

func (p *partition) toSave(s *Sink) *store.Producers {
	now := s.now()
	if p.sinceSaved.IsZero() {
		p.sinceSaved = now
	}
	if len(p.unsaved) == 0 || now.Sub(p.sinceSaved) < s.cfg.SaveEvery {
		return nil
	}
	p.sinceSaved = now
	return p.unsavedAt(s.cfg.Generation)
}

func (p *partition) unsavedAt(generation uint32) *store.Producers {
	return &store.Producers{Topic: p.topic, Generation: generation, Partition: p.id, Offset: p.doneTo, Time: p.doneAt, Seq: maps.Clone(p.unsaved)}
}

func (r *round) run(ctx context.Context, src Source, letters Letters) {
	s := r.s
	s.send(ctx, letters, r.jobs)
	s.commit(ctx, src, r.jobs)
	begun := s.now()
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(s.cfg.Inserts, 1))
	for _, j := range r.jobs {
		if j.b == nil || (j.commit && !j.committed) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			j.settled = s.settle(src, j)
			if j.settled {
				s.meter.stored(j.p.topic, j.b, s.now())
			}
		})
	}
	wg.Wait()
	s.meter.round(s.now().Sub(begun))
	for _, j := range r.jobs {
		if j.save == nil || !j.committed || j.p.gone() {
			continue
		}
		if err := s.tables.SaveProducers(ctx, *j.save); err != nil {
			s.trouble(ctx, "saving producers' numbers", j.p, err)
			continue
		}
		j.saved = true
	}
}

// apply brings the result of a round back.
func (r *round) apply() {
	now := r.s.now()
	for _, j := range r.jobs {
		p := j.p
		if j.saved {
			for name, n := range j.save.Seq {
				if p.unsaved[name] == n {
					delete(p.unsaved, name)
				}
			}
		}
		if j.committed {
			p.committed = j.offset
		}
		if j.b != nil {
			p.inFlight = nil
			if j.settled {
				p.settled(j.b, now)
			}
		}
	}
}

// send publishes dead letters before the commit that covers them, so that a
// crash repeats and never loses them.
func (s *Sink) send(ctx context.Context, letters Letters, jobs []*job) {
	for _, j := range jobs {
		if j.b == nil {
			continue
		}
		for i := range j.b.letters {
			for wait := s.cfg.Backoff; !j.p.gone() && ctx.Err() == nil; wait = min(wait*2, 32*s.cfg.Backoff) {
				err := letters.Produce(ctx, j.b.letters[i])
				if err == nil {
					break
				}
				s.count.commitErrors.Add(1)
				s.log.Warn("publishing a dead letter failed, trying again", "topic", j.p.topic, "partition", j.p.id, "error", err)
				sleep(ctx, wait)
			}
		}
		j.b.letters = nil
	}
}

// commit makes one offset commit of the whole round; it tries until that is
// acknowledged, leaving out partitions that are taken away meanwhile.
func (s *Sink) commit(ctx context.Context, src Source, jobs []*job) {
	for wait := s.cfg.Backoff; ctx.Err() == nil; wait = min(wait*2, 32*s.cfg.Backoff) {
		offsets := bus.Offsets{}
		var sent []*job
		for _, j := range jobs {
			if j.commit && !j.p.gone() {
				offsets.Set(j.p.topic, j.p.id, bus.Committed{Offset: j.offset, Metadata: j.plan().String()})
				sent = append(sent, j)
			}
		}
		if len(sent) == 0 {
			return
		}
		failpoint.Hit("sink.commit.before")
		err := src.Commit(ctx, offsets)
		if err == nil {
			failpoint.Hit("sink.plan.committed")
			s.count.commits.Add(1)
			for _, j := range sent {
				j.committed = true
			}
			return
		}
		s.count.commitErrors.Add(1)
		s.log.Warn("committing to Kafka failed, trying again", "error", err)
		sleep(ctx, wait)
	}
}
