package sink

import (
	"context"
	"maps"

	"github.com/wardflow/wardflow/proto"
)

// Conversations are added up by day beside the loop, from what pairs_hourly has: a day's
// row is made anew from all its hours, so it makes no difference how often that is done,
// by whom, or where it was broken off.

// addUpShare bounds the share of the time that goes into adding up: after one that took
// long the next one waits this many times as long.
const addUpShare = 20

// adding adds up beside the loop.
type adding struct {
	s    *Sink
	work context.Context
	stop context.CancelFunc
	done chan struct{}
	last map[int32]int64 // how far it has come
}

// addUpBeside adds up until ctx ends. Statements under way go on until work ends.
func (s *Sink) addUpBeside(ctx, work context.Context) *adding {
	a := &adding{s: s, work: work, done: make(chan struct{}), last: map[int32]int64{}}
	ctx, a.stop = context.WithCancel(ctx)
	go func() {
		defer close(a.done)
		for wait := s.cfg.AddUp; ; {
			sleep(ctx, wait)
			if ctx.Err() != nil {
				return
			}
			begun := s.now()
			ok := a.add()
			took := s.now().Sub(begun)
			wait = max(s.cfg.AddUp, addUpShare*took)
			if !ok {
				wait = max(wait, 32*s.cfg.Backoff)
			}
		}
	}()
	return a
}

// end waits for what is under way, and adds up what has come since: whoever stops
// everything after a file was read finds all of it.
func (a *adding) end() {
	a.stop()
	<-a.done
	a.add()
}

// stored tells up to where hourly rows are stored.
func (s *Sink) stored() map[int32]int64 {
	out := map[int32]int64{}
	for _, p := range s.assigned() {
		if to := p.stored.Load(); p.topic == proto.TopicRollups && to > 0 && !p.gone() {
			out[p.id] = to
		}
	}
	return out
}

// add reports whether nothing went wrong.
func (a *adding) add() bool {
	now := a.s.stored()
	if maps.Equal(now, a.last) {
		return true
	}
	if _, err := a.s.tables.AddUpPairs(a.work, a.s.cfg.Generation, now); err != nil {
		if a.work.Err() == nil {
			a.s.count.storeErrors.Add(1)
			a.s.log.WarnContext(a.work, "adding up conversations by day failed, trying again", "error", err)
		}
		return false
	}
	a.last = now
	return true
}
