package proto

import (
	"errors"
	"net/netip"

	"github.com/vmihailenco/msgpack/v5"
)

// Pair is one cumulative hourly row of who talked to whom, counted on the
// client's lane. A later row of the same key replaces an earlier one.
type Pair struct {
	Site       string
	Hour       Time
	Endpoint   ID // the client's; zero when the client is outside
	PeerID     ID // the server's endpoint; zero when it is outside
	ClientIP   netip.Addr
	PeerIP     netip.Addr
	Transport  Transport
	Port       uint16 // the server's
	Protocol   string
	Flows      uint64
	SrcPackets uint64
	SrcBytes   uint64
	DstPackets uint64
	DstBytes   uint64
	First      Time
	Last       Time
	VLAN       VLAN // outermost tag where it was seen, 0 for none
}

// Activity is one cumulative hourly row of what an endpoint did, as client and server.
type Activity struct {
	Site       string
	Hour       Time
	Endpoint   ID
	Flows      uint64
	PacketsOut uint64
	BytesOut   uint64
	PacketsIn  uint64
	BytesIn    uint64
	First      Time
	Last       Time
}

// Rollup is one row: exactly one field is set.
type Rollup struct {
	Pair     *Pair
	Activity *Activity
}

// RollupBatch is one record of wardflow.rollups: rows of one fold partition,
// numbered from the envelope's Seq.
type RollupBatch struct {
	Rows []Rollup
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (b *RollupBatch) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, b) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (b *RollupBatch) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, b) }

// encode writes an array of rows, each an array whose first field tells its kind.
func (b *RollupBatch) encode(w *writer) {
	w.array(len(b.Rows))
	for i := range b.Rows {
		switch r := b.Rows[i]; {
		case r.Pair != nil:
			r.Pair.encode(w)
		case r.Activity != nil:
			r.Activity.encode(w)
		default:
			w.fail(errors.New("encode rollups: row without content"))
		}
	}
}

const (
	rollupPair = iota
	rollupActivity
)

func (p *Pair) encode(w *writer) {
	w.array(18)
	w.uint(rollupPair)
	w.string(p.Site)
	w.int(int64(p.Hour))
	w.id(p.Endpoint)
	w.id(p.PeerID)
	w.addr(p.ClientIP)
	w.addr(p.PeerIP)
	w.uint(uint64(p.Transport))
	w.uint(uint64(p.Port))
	w.string(p.Protocol)
	w.uint(p.Flows)
	w.uint(p.SrcPackets)
	w.uint(p.SrcBytes)
	w.uint(p.DstPackets)
	w.uint(p.DstBytes)
	w.int(int64(p.First))
	w.int(int64(p.Last))
	w.uint(uint64(p.VLAN))
}

func (a *Activity) encode(w *writer) {
	w.array(11)
	w.uint(rollupActivity)
	w.string(a.Site)
	w.int(int64(a.Hour))
	w.id(a.Endpoint)
	w.uint(a.Flows)
	w.uint(a.PacketsOut)
	w.uint(a.BytesOut)
	w.uint(a.PacketsIn)
	w.uint(a.BytesIn)
	w.int(int64(a.First))
	w.int(int64(a.Last))
}

// decode reads any version; a row of an unknown kind is kept empty, so that the
// numbers stay right.
func (b *RollupBatch) decode(r *reader) {
	b.Rows = nil
	n := r.arrayLen()
	for range n {
		var row Rollup
		r.nested(row.decode)
		if r.err != nil {
			return
		}
		b.Rows = append(b.Rows, row)
	}
}

func (row *Rollup) decode(r *reader) {
	r.array()
	switch r.uint() {
	case rollupPair:
		row.Pair = new(Pair)
		row.Pair.decode(r)
	case rollupActivity:
		row.Activity = new(Activity)
		row.Activity.decode(r)
	}
	r.end()
}

func (p *Pair) decode(r *reader) {
	p.Site = r.word()
	p.Hour = Time(r.int())
	r.fixed(p.Endpoint[:])
	r.fixed(p.PeerID[:])
	p.ClientIP = r.addr()
	p.PeerIP = r.addr()
	p.Transport = Transport(r.uint())
	p.Port = uint16(r.uint())
	p.Protocol = r.word()
	p.Flows = r.uint()
	p.SrcPackets = r.uint()
	p.SrcBytes = r.uint()
	p.DstPackets = r.uint()
	p.DstBytes = r.uint()
	p.First = Time(r.int())
	p.Last = Time(r.int())
	p.VLAN = VLAN(r.uint())
}

func (a *Activity) decode(r *reader) {
	a.Site = r.word()
	a.Hour = Time(r.int())
	r.fixed(a.Endpoint[:])
	a.Flows = r.uint()
	a.PacketsOut = r.uint()
	a.BytesOut = r.uint()
	a.PacketsIn = r.uint()
	a.BytesIn = r.uint()
	a.First = Time(r.int())
	a.Last = Time(r.int())
}
