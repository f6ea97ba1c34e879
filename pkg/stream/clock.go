package stream

import (
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

// due is a timer of a clock, whose site and domain it has.
type due struct {
	at  proto.Time
	key string
	row bool // it has one of its own; else it is a reminder
}

// timerHeap is a binary heap that has the first timer by time, then key, in front.
type timerHeap []due

func (h timerHeap) less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].key < h[j].key
}

func (h *timerHeap) push(t due) {
	*h = append(*h, t)
	list := *h
	for i := len(list) - 1; i > 0 && list.less(i, (i-1)/2); i = (i - 1) / 2 {
		list[i], list[(i-1)/2] = list[(i-1)/2], list[i]
	}
}

func (h *timerHeap) pop() due {
	list := *h
	t, end := list[0], len(list)-1
	list[0], list[end] = list[end], due{}
	*h = list[:end]
	h.down(0)
	return t
}

// down puts an element behind those that come before it.
func (h timerHeap) down(i int) {
	for {
		first := 2*i + 1
		if first >= len(h) {
			return
		}
		if first+1 < len(h) && h.less(first+1, first) {
			first++
		}
		if !h.less(first, i) {
			return
		}
		h[i], h[first] = h[first], h[i]
		i = first
	}
}

// order makes a heap of a list.
func (h timerHeap) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
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

// setTimer keeps a timer. Setting the same one twice is setting it once: then it is
// twice in the heap, and fire takes both out.
func (p *Partition) setTimer(t timer) {
	if e := p.timerEntry(t); e.obj == nil {
		p.putTimer(e, new(empty))
		p.clockOf(t.site, t.domain).timers.push(due{t.at, t.key, true})
	}
}

// timerEntry is the entry of a timer in the overlay. The store is never asked: the heap
// has all timers, and a deletion of what the store has not does no harm.
func (p *Partition) timerEntry(t timer) *entry {
	p.key = t.appendKey(append(p.key[:0], idTimers))
	if e, ok := p.cache[string(p.key)]; ok {
		return e
	}
	e := &entry{key: string(p.key), stored: true, enc: func(_ any, b []byte) []byte { return append(b, 0) }}
	p.cache[e.key] = e
	return e
}

func (p *Partition) putTimer(e *entry, obj any) {
	if e.obj = obj; !e.dirty {
		e.dirty = true
		p.dirty = append(p.dirty, e)
	}
}

// popTimer takes the first timer out of a clock's heap, as often as it is in it, and out
// of the state.
func (p *Partition) popTimer(c *clock) timer {
	first := c.timers.pop()
	row := first.row
	for len(c.timers) > 0 && c.timers[0].at == first.at && c.timers[0].key == first.key {
		row = c.timers.pop().row || row
	}
	t := timer{at: first.at, key: first.key, site: c.site, domain: c.domain}
	if row {
		p.putTimer(p.timerEntry(t), nil)
	}
	return t
}

// loadTimers fills the clocks from the store.
func (p *Partition) loadTimers() {
	p.each([]byte{idTimers}, func(full, _ []byte) bool {
		t, ok := parseTimer(full[1:])
		if ok {
			c := p.clockOf(t.site, t.domain)
			c.timers = append(c.timers, due{t.at, t.key, true})
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
		c.timers.order()
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
		t := p.popTimer(c)
		tx := &Tx{p: p, cause: cause, time: t.at, domain: t.domain, site: t.site}
		p.stats.Timers++
		p.fold.Fire(tx, Timer{At: t.at, Key: []byte(t.key), Domain: t.domain, Site: t.site, Quiet: c.quiet})
	}
	return true
}
