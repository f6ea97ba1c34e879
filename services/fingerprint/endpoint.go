package fingerprint

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
	"github.com/wardflow/wardflow/services/fingerprint/behaviour"
)

// Config is what the folds may be told; the zero value asks for the defaults.
type Config struct {
	// Flush is how long counts, last_seen and hourly rows may lag behind: an
	// endpoint is told again at most this long after its first untold change, and at
	// least half as long: see spread. Default 5 min.
	Flush time.Duration
	// Model judges behaviour; nil is the program's.
	Model *behaviour.Model

	// Packs are signatures beside those of the program, as UsablePacks reads them.
	Packs []*Pack
}

const defaultFlush = 5 * time.Minute

// newsEvery is how soon an endpoint is told again that has something new to say:
// the first news at once, and what comes after it together. A device shows most
// of what it is within seconds; told one by one, that costs each service downstream
// several times the work.
const newsEvery = 10 * time.Second

// openFor is how long after its last flow an endpoint's hours are kept open.
const openFor = 2 * time.Hour

// Timer keys: a kind and the endpoint.
const (
	timerFlush = 'f'
	timerNews  = 'n'
	timerClean = 'c'
	timerWatch = 'w'
	timerFresh = 'b'
	timerHours = 'i'
	timerPorts = 'q'
)

// Endpoint is the endpoint fold.
type Endpoint struct {
	flush time.Duration
	model func() *behaviour.Model
}

// NewEndpoint makes the endpoint fold. It emits proto.Summary on
// wardflow.summaries (key: the endpoint's id, lane: the group's) and hourly rows
// on wardflow.rollups.
//
// Hourly rows belong to the hour in which a flow part ended. A pair or activity
// row that is new is told at once, later changes within Config.Flush; flows counts
// flows begun (part 0).
func NewEndpoint(cfg Config) *Endpoint {
	if cfg.Flush <= 0 {
		cfg.Flush = defaultFlush
	}
	e := &Endpoint{flush: cfg.Flush, model: behaviour.Embedded}
	if cfg.Model != nil {
		e.model = func() *behaviour.Model { return cfg.Model }
	}
	return e
}

// Name is "endpoint".
func (e *Endpoint) Name() string { return "endpoint" }

// Inputs lists traffic, control for what policies may come, what the identity fold
// concludes, and what is handed on between its own lanes.
func (e *Endpoint) Inputs() []stream.Input {
	return []stream.Input{{Topic: proto.TopicTraffic}, {Topic: proto.TopicControl}, {Topic: proto.TopicGroupings}, {Topic: proto.TopicNested}}
}

// Apply takes a flow, an observation or the end of a capture file in.
func (e *Endpoint) Apply(tx *stream.Tx, ev *stream.Event) {
	switch m := ev.Msg.(type) {
	case *proto.Flow:
		e.flow(tx, ev, m)
	case *proto.Observation:
		e.observation(tx, ev, m)
	case *proto.Heartbeat:
		if m.End {
			tx.Sweep(sweepPorts, tableSwitches)
			tx.Sweep("end", tableHosts)
		}
	case *proto.Grouping:
		e.grouping(tx, m)
	case *proto.Nested:
		e.observation(tx, ev, &m.Observation)
	case *proto.Control:
		if m.Policy != nil {
			e.policy(tx, m.Policy)
		}
	}
}

// flow counts a flow where it belongs: pairs on the client's lane, activity on
// the lane of the end that this copy is for.
func (e *Endpoint) flow(tx *stream.Tx, ev *stream.Event, f *proto.Flow) {
	if f.DuplicateOfSensor != "" {
		return
	}
	asServer := ev.Mirror || f.SrcEndpoint.IsZero()
	id, mac, ip, spoken := f.SrcEndpoint, f.SrcMAC, f.SrcIP, f.SrcPackets > 0
	if asServer {
		id, mac, ip, spoken = f.DstEndpoint, f.DstMAC, f.DstIP, f.DstPackets > 0
	}
	owner := id
	if owner.IsZero() { // both ends outside
		if ev.Mirror {
			return
		}
		owner = proto.IPEndpoint(ev.Site, f.VLAN, f.SrcIP)
	}
	h := hosts.Edit(tx, owner[:])
	if h.site == "" {
		h.site, h.anonymous = ev.Site, id.IsZero()
	}
	totals := h.advance(tx, owner, f.End)
	totals.count(f, asServer)
	if !ev.Mirror {
		h.countPair(tx, owner, totals.hour, f)
	}
	news := false
	if !h.anonymous {
		if spoken {
			news = h.address(tx, owner, ip, "ip", f.Start, f.End) // first: it ends an epoch with the last word so far
			news = h.speaks(tx, owner, mac, f.Start, f.End) || news
		}
		news = h.role(tx, owner, f, asServer) || news
		news = h.tagged(tx, owner, mac, f.VLAN, f.End) || news
		h.sketchFlow(tx, owner, f, asServer)
		noteActivity(tx, owner, f, asServer)
	}
	e.changed(tx, owner, h, news)
}

// speaks notes that the endpoint sent something from first to last, and reports
// whether that is the first of it.
func (h *host) speaks(tx *stream.Tx, id proto.ID, mac proto.MAC, first, last proto.Time) bool {
	h.present(tx, id, first, last)
	if h.spoke {
		h.first, h.last = min(h.first, first), max(h.last, last)
		return false
	}
	h.spoke, h.first, h.last = true, first, last
	p := writeProfile(tx, id)
	// The MAC of a frame is the endpoint's own only where capture named it by it;
	// else it is the router's.
	if !mac.IsZero() && proto.MACEndpoint(h.site, mac) == id {
		p.mac = mac
	}
	return true
}

// address notes the address that the endpoint speaks from. The usual one, held
// already, costs a comparison.
func (h *host) address(tx *stream.Tx, id proto.ID, ip netip.Addr, protocol string, first, at proto.Time) bool {
	ip = ip.Unmap()
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	held := &h.ip4
	if ip.Is6() {
		held = &h.ip6
	}
	if *held == ip {
		return false
	}
	p := writeProfile(tx, id)
	if held.IsValid() { // the epoch of the one before ends with its last use
		p.extend(*held, h.last)
	}
	*held = ip
	return p.hold(ip, protocol, first, at)
}

// extend writes the last use of an address that is held now into its epoch.
func (p *profile) extend(ip netip.Addr, last proto.Time) {
	for i := len(p.addresses) - 1; i >= 0; i-- {
		if a := &p.addresses[i]; a.ip == ip {
			a.last = max(a.last, last)
			return
		}
	}
}

// changed sees to it that what has changed is told: news at once, the rest by
// the flush timer.
func (e *Endpoint) changed(tx *stream.Tx, id proto.ID, h *host, news bool) {
	h.unsent, h.open, h.ended = true, true, false
	h.watch(tx, id)
	switch {
	case !news || h.news == newsWaiting:
	case h.news == newsNone:
		h.news = newsTold
		e.tell(tx, id, h, false)
	default:
		h.news = newsWaiting
		h.remind(tx, id, dueNews, tx.Now().Add(newsEvery))
	}
	if !h.timer {
		h.timer = true
		h.remind(tx, id, dueFlush, tx.Now().Add(e.spread(id)))
	}
}

// spread gives an endpoint its own time between half of the flush time and all of
// it: endpoints that appeared together, after a power cut or a restart of capture,
// would otherwise be flushed together for ever after.
func (e *Endpoint) spread(id proto.ID) time.Duration {
	return e.flush - e.flush/2*time.Duration(binary.BigEndian.Uint16(id[:]))/math.MaxUint16
}

func timerKey(kind byte, id proto.ID) []byte { return append([]byte{kind}, id[:]...) }

// tell emits the endpoint's summary.
func (e *Endpoint) tell(tx *stream.Tx, id proto.ID, h *host, final bool) {
	h.unsent = false
	if !h.spoke {
		return
	}
	h.unwritten.tell(h.last)
	p := h.profile(tx, id)
	e.claim(tx, id, h, p)
	s := p.summary(id, h)
	h.usage(tx, id, s)
	s.Final = final
	val, err := proto.Marshal(s)
	if err != nil { // nothing in a summary can fail to encode
		tx.Dead("summary: " + err.Error())
		return
	}
	tx.Emit(stream.Output{Topic: proto.TopicSummaries, Kind: proto.KindSummary, Lane: s.Group.Lane(), Key: id[:], Value: val, Time: tx.Now()})
}

// settle tells all that is untold of an endpoint.
func (e *Endpoint) settle(tx *stream.Tx, id proto.ID, h *host, final bool) (open bool) {
	for i := range h.hours {
		h.sendHour(tx, id, i)
	}
	open = h.sendPairs(tx, id)
	if h.unsent || final {
		e.tell(tx, id, h, final)
	}
	h.news, h.due[dueNews] = newsNone, 0
	return open
}

// Fire flushes an endpoint, or closes its hours.
func (e *Endpoint) Fire(tx *stream.Tx, t stream.Timer) {
	if len(t.Key) != 1+idLen {
		return
	}
	id := proto.ID(t.Key[1:])
	if hosts.Get(tx, id[:]) == nil {
		return
	}
	h := hosts.Edit(tx, id[:])
	switch t.Key[0] {
	case timerFlush:
		if !h.timer || !h.fires(dueFlush, t) {
			return
		}
		h.timer = false
		if e.settle(tx, id, h, false) && !h.cleaning {
			h.cleaning = true
			tx.Timer((proto.Time(hourOf(t.At)+1) * hourNS).Add(openFor), timerKey(timerClean, id))
		}
	case timerNews:
		if h.news == newsWaiting && h.fires(dueNews, t) { // a flush may have told it meanwhile
			h.news = newsTold
			e.tell(tx, id, h, false)
		}
	case timerWatch:
		if !h.watching || !h.fires(dueWatch, t) {
			return
		}
		h.watching = false
		if h.silent(tx, id, t) {
			e.tell(tx, id, h, false)
			h.miss(tx, id)
		}
	case timerMissing:
		if h.missed(tx, id, t) {
			e.tell(tx, id, h, false)
		}
	case timerClean:
		h.cleaning = false
		e.clean(tx, id, h, t.At)
	case timerHours:
		p := writeProfile(tx, id)
		p.hourly = false
		e.claim(tx, id, h, p)
	case timerPorts:
		portsFire(tx, id, h.site)
	case timerFresh:
		if e.conclude(tx, id, h) {
			e.changed(tx, id, h, true)
		}
	}
}

// clean lets the hours go that are over: a flow that should still come for one of
// them counts into the oldest hour that is open.
func (e *Endpoint) clean(tx *stream.Tx, id proto.ID, h *host, now proto.Time) {
	open := hourOf(now) - 1
	if h.hours[1].hour >= open { // busy: the clean after its next flush will do
		if h.sendPairs(tx, id) {
			h.cleaning = true
			tx.Timer((proto.Time(hourOf(now)+1) * hourNS).Add(openFor), timerKey(timerClean, id))
		}
		return
	}
	for i := range h.hours {
		h.sendHour(tx, id, i)
	}
	h.hours = [2]hourTotals{{hour: open}, {hour: open + 1}}
	h.pairCount = 0
	h.sendPairs(tx, id)
	if h.anonymous {
		hosts.Delete(tx, id[:])
	}
}

// Sweep settles every endpoint at the end of a capture file.
func (e *Endpoint) Sweep(tx *stream.Tx, name string, key []byte) {
	h := hosts.Get(tx, key)
	if name == sweepPorts {
		portsEnd(tx, h, key)
		return
	}
	if h == nil || (!h.unsent && !h.timer && !h.open && h.fresh != freshOpen && !h.hours[0].unsent && !h.hours[1].unsent) {
		return
	}
	h = hosts.Edit(tx, key)
	if e.conclude(tx, proto.ID(key), h) {
		h.unsent = true
	}
	if p := profiles.Get(tx, key); p != nil && p.hourly {
		writeProfile(tx, proto.ID(key)).hourly = false
	}
	h.timer, h.cleaning, h.watching, h.open, h.ended = false, false, false, false, true // timers of the file's time domain end with it
	h.due = due{}
	h.unwatched(tx, proto.ID(key))
	e.settle(tx, proto.ID(key), h, true)
}

// Foresees is the endpoint that an event is about.
func (e *Endpoint) Foresees(msg any) (id [idLen]byte, ok bool) {
	switch m := msg.(type) {
	case *proto.Observation:
		id = m.Endpoint
	case *proto.Flow:
		id = m.SrcEndpoint
	}
	return id, id != [idLen]byte{}
}

// Together lists the tables that nearly every observation asks for.
func (e *Endpoint) Together() string {
	return string([]byte{tableHosts, tableProfiles, tableAgain, tableUses, tableSketches})
}
