package stream

import (
	"container/heap"
	"slices"
	"time"

	"github.com/wardflow/wardflow/pkg/dedup"
	"github.com/wardflow/wardflow/proto"
)

// clock is the event time of one site in one time domain. Its watermark is the
// minimum over the sensors heard from lately; a capture file is its own domain,
// with one sensor.
type clock struct {
	site, domain string
	sensors      *dedup.Site
	watermark    proto.Time
	quiet        time.Duration // how far the last heartbeat moved it; see Timer.Quiet
	timers       timerHeap
}

// beat takes a heartbeat in and reports whether the watermark moved.
func (c *clock) beat(sensor string, at, sent, arrival proto.Time) bool {
	c.sensors.Beat(sensor, at, sent, arrival)
	low, ok := c.sensors.Watermark(arrival)
	if !ok || low <= c.watermark {
		return false
	}
	c.watermark = low
	return true
}

// timer is a Timer as it is kept.
type timer struct {
	at           proto.Time
	site, domain string
	key          string
}

// timerHeap orders by time, then key.
type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].key < h[j].key
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is container/heap's.
func (h *timerHeap) Push(x any) {
	if t, ok := x.(timer); ok {
		*h = append(*h, t)
	}
}

// Pop is container/heap's.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return t
}

func (p *Partition) clockOf(site, domain string) *clock {
	if c := p.lastClock; c != nil && c.site == site && c.domain == domain {
		return c
	}
	k := site + "\x00" + domain
	c, ok := p.clocks[k]
	if !ok {
		c = &clock{site: site, domain: domain, sensors: dedup.NewSite(site, domain, p.rule)}
		p.clocks[k] = c
	}
	p.lastClock = c
	return c
}

// saveClock puts a clock as it stands into the state.
func (p *Partition) saveClock(c *clock) {
	st := clocks.Edit(&Tx{p: p}, []byte(c.site+"\x00"+c.domain))
	st.site, st.domain, st.watermark = c.site, c.domain, c.watermark
	st.sensors = c.sensors.Sensors
	st.sensors.List = slices.Clone(c.sensors.List)
}

// setTimer keeps a timer. Setting the same one twice is setting it once.
func (p *Partition) setTimer(t timer) {
	tx := &Tx{p: p}
	key := t.stateKey()
	if timers.Get(tx, key) != nil {
		return
	}
	timers.Edit(tx, key)
	heap.Push(&p.clockOf(t.site, t.domain).timers, t)
}

// loadTimers fills the clocks from the store.
func (p *Partition) loadTimers() {
	p.each([]byte{idTimers}, func(full, _ []byte) bool {
		t, ok := parseTimer(full[1:])
		if ok {
			c := p.clockOf(t.site, t.domain)
			c.timers = append(c.timers, t)
		}
		return true
	})
	p.each([]byte{idClocks}, func(full, val []byte) bool {
		var s clockState
		if err := s.Parse(val); err != nil {
			p.fail(err)
			return false
		}
		c := p.clockOf(s.site, s.domain)
		c.watermark = s.watermark
		c.sensors.List, c.sensors.Passed = s.sensors.List, s.sensors.Passed
		return true
	})
	for _, c := range p.clocks {
		heap.Init(&c.timers)
	}
}

// fire calls the fold for the timers of c that are due, at most n; it reports
// whether all have been.
func (p *Partition) fire(c *clock, cause proto.Cause, n *int) bool {
	for len(c.timers) > 0 && c.timers[0].at <= c.watermark {
		if *n <= 0 {
			return false
		}
		*n--
		t, _ := heap.Pop(&c.timers).(timer)
		tx := &Tx{p: p, cause: cause, time: t.at, domain: t.domain, site: t.site}
		timers.Delete(tx, t.stateKey())
		p.stats.Timers++
		p.fold.Fire(tx, Timer{At: t.at, Key: []byte(t.key), Domain: t.domain, Site: t.site, Quiet: c.quiet})
	}
	return true
}
