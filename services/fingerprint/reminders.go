package fingerprint

import (
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// Timers that nearly every endpoint has at any time are told by its host (stream.Reminder).
const (
	dueFlush = iota
	dueNews
	dueWatch
	dueKinds
)

var dueTimers = [dueKinds]byte{timerFlush, timerNews, timerWatch}

// due are the seconds at which the timers are, 0 for one that has a row of its own or is
// not under way.
type due [dueKinds]int64

const second = proto.Time(time.Second)

// remind sets a timer, of a whole second.
func (h *host) remind(tx *stream.Tx, id proto.ID, kind int, at proto.Time) {
	s := int64((at + second - 1) / second)
	at = proto.Time(s) * second
	if h.due[kind] = s; !tx.Remind(at, h.site, timerKey(dueTimers[kind], id)) {
		h.due[kind] = 0
		tx.Timer(at, timerKey(dueTimers[kind], id))
	}
}

// fires takes a timer that fires, and reports whether it is the one that is waited for.
func (h *host) fires(kind int, t stream.Timer) bool {
	if s := h.due[kind]; s != 0 && t.At != proto.Time(s)*second {
		return false
	}
	h.due[kind] = 0
	return true
}

// appendTo encodes the seconds, from that of when the host was seen last.
func (d *due) appendTo(b []byte, last proto.Time) []byte {
	var which uint64
	for kind, s := range d {
		which |= flagIf(s != 0, 1<<kind)
	}
	b = stream.AppendUint(b, which)
	for _, s := range d {
		if s != 0 {
			b = stream.AppendInt(b, s-int64(last/second))
		}
	}
	return b
}

func (d *due) parse(from *stream.Decoder, last proto.Time) {
	which := from.Uint()
	for kind := range d {
		if which&(1<<kind) != 0 {
			d[kind] = int64(last/second) + from.Int()
		}
	}
}

// Reminders is the table of hosts.
func (e *Endpoint) Reminders() byte { return tableHosts }

// Remind tells the timers of a host.
func (e *Endpoint) Remind(key, val []byte, set func(at proto.Time, site string, key []byte)) error {
	var h host
	if err := h.Parse(val); err != nil || len(key) != idLen {
		return err
	}
	for kind, s := range h.due {
		if s != 0 {
			set(proto.Time(s)*second, h.site, timerKey(dueTimers[kind], proto.ID(key)))
		}
	}
	return nil
}
