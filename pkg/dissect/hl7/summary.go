package hl7

import (
	"slices"
	"strconv"
	"time"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of what is remembered of a connection.
const (
	maxTypes   = 16 // kinds of messages that are counted apart
	maxWaiting = 32 // messages that wait for their answer
	maxSamples = 64 // of delays and of clocks
	maxSkew    = 24 * 60 * 60
)

// traffic is what one direction of a connection said.
type traffic struct {
	messages          int
	kinds             []kindCount
	acks              [len(ackCodes)]int
	commits, refusals int // acknowledgements of MLLP itself
	first, last       proto.Time
	waiting           []sent
	next              int // where the oldest of them stands, once there are maxWaiting
	delays            []int64
	skews             []int64
}

type kindCount struct {
	kind string
	n    int
}

// sent is a message that may be answered.
type sent struct {
	id uint64
	at proto.Time
}

func (t *traffic) size() int {
	return 16*cap(t.waiting) + 8*cap(t.delays) + 8*cap(t.skews) + 24*cap(t.kinds)
}

// message counts one.
func (t *traffic) message(kind string, at proto.Time) {
	if t.messages == 0 {
		t.first = at
	}
	t.messages++
	t.last = at
	for i := range t.kinds {
		if t.kinds[i].kind == kind {
			t.kinds[i].n++
			return
		}
	}
	if len(t.kinds) < maxTypes {
		t.kinds = append(t.kinds, kindCount{kind, 1})
	}
}

// count takes the message that has ended, and finds whose answer it is.
func (h *half) count(c *dissector.Context) {
	m, t := &h.msg, &h.traffic
	kind := m.kind
	if kind == "" || m.version == "" {
		kind = "unknown"
	}
	t.message(kind, h.began)
	if skew, ok := m.sent.skew(h.began); ok && kind != "unknown" {
		if skew > maxSkew || skew < -maxSkew {
			c.Count("hl7_clock_implausible")
		} else if len(t.skews) < maxSamples {
			t.skews = append(t.skews, skew)
		}
	}
	if i := slices.Index(ackCodes[:], m.ack); i >= 0 {
		t.acks[i]++
		h.conn.half[1-c.Side&1].traffic.answer(m.answers, h.began, t)
		return
	}
	if m.control != 0 {
		t.wait(sent{m.control, c.Headers.Time})
	}
}

func (t *traffic) wait(s sent) {
	if len(t.waiting) < maxWaiting {
		t.waiting = append(t.waiting, s)
		return
	}
	t.waiting[t.next] = s
	t.next = (t.next + 1) % maxWaiting
}

// answer takes a message off those that wait; the delay is counted for who answered.
func (t *traffic) answer(id uint64, at proto.Time, by *traffic) {
	for i := range t.waiting {
		if id == 0 || t.waiting[i].id != id {
			continue
		}
		if delay := int64(at - t.waiting[i].at); len(by.delays) < maxSamples && delay >= 0 {
			by.delays = append(by.delays, delay)
		}
		t.waiting[i].id = 0
		return
	}
}

// sum tells what each side of the connection has said.
func (s *stream) sum(c *dissector.Context) {
	side := c.Side
	for i := range s.half {
		c.Side = dissector.Side(i)
		s.half[i].traffic.tell(c)
	}
	c.Side = side
}

// tell emits the sums, where they say more than the one message did.
func (t *traffic) tell(c *dissector.Context) {
	if t.messages < 2 && len(t.delays) == 0 && len(t.skews) == 0 && t.commits == 0 && t.refusals == 0 {
		return
	}
	f := dissector.Fact{Kind: "messages", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("messages_count", strconv.Itoa(t.messages))
	var list []string
	for _, x := range t.kinds {
		list = append(list, x.kind+":"+strconv.Itoa(x.n))
	}
	a.SetList("message_types", list)
	list = nil
	for i, n := range t.acks {
		if n > 0 {
			list = append(list, ackCodes[i]+":"+strconv.Itoa(n))
		}
	}
	if t.commits > 0 {
		list = append(list, "commit:"+strconv.Itoa(t.commits))
	}
	if t.refusals > 0 {
		list = append(list, "refusal:"+strconv.Itoa(t.refusals))
	}
	a.SetList("acks", list)
	if n := len(t.delays); n > 0 {
		a.Set("ack_latency_ms", strconv.FormatInt((median(t.delays)+5e5)/1e6, 10))
	}
	if t.messages > 2 {
		a.Set("interval_s", strconv.FormatInt(int64(t.last-t.first+proto.Time(t.messages-1)*5e8)/int64(t.messages-1)/1e9, 10))
	}
	if len(t.skews) > 0 {
		a.Set("clock_skew_s", strconv.FormatInt(median(t.skews), 10))
	}
	c.Emit(&f)
}

func median(list []int64) int64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}

// stamp is MSH-7: seconds since 1970, in an unknown zone where none is given.
type stamp struct {
	at     int64
	zone   bool
	exists bool
}

// parseStamp reads YYYYMMDDHHMMSS[.S[S[S[S]]]][+/-ZZZZ]; coarser ones say nothing of a
// clock.
func parseStamp(v []byte) stamp {
	s := string(v[:min(len(v), 32)])
	if len(s) < 14 {
		return stamp{}
	}
	t, err := time.Parse("20060102150405", s[:14])
	if err != nil {
		return stamp{}
	}
	x := stamp{at: t.Unix(), exists: true}
	for i := 14; i < len(s); i++ {
		if s[i] != '+' && s[i] != '-' {
			continue
		}
		if z, err := time.Parse("-0700", s[i:]); err == nil {
			_, offset := z.Zone()
			x.at -= int64(offset)
			x.zone = true
		}
		break
	}
	return x
}

// quarter is what zones are multiples of.
const quarter = 15 * 60

// skew is how far the sender's clock is ahead, in seconds. Without a zone only the
// part within quarters of an hour is known.
func (x stamp) skew(arrived proto.Time) (int64, bool) {
	if !x.exists {
		return 0, false
	}
	d := x.at - int64(arrived)/1e9
	if !x.zone {
		d = ((d%quarter)+quarter)%quarter + quarter/2
		d = d%quarter - quarter/2
	}
	return d, true
}
