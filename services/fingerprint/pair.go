package fingerprint

import (
	"encoding/binary"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/stream"
	"github.com/wardflow/wardflow/proto"
)

// A pair row's key, in order: owner (16), hour since the epoch (4), flags (1),
// transport (1), port (2), VLAN (2, where there is one), client address (4 or 16),
// server address (4 or 16), the server's endpoint (16, where inside), protocol (the rest).
const (
	pairClientInside = 1 << iota
	pairPeerInside
	pairClient6
	pairPeer6
	pairNoClientIP
	pairNoPeerIP
	pairVLAN
)

// maxPairs is how many new pairs an endpoint may have in an hour before ports
// and protocols are no longer told apart for further ones, so that a scan of all
// ports costs a row per target.
const maxPairs = 2048

// pair is the cumulative totals of one key.
type pair struct {
	flows, srcPackets, srcBytes, dstPackets, dstBytes uint64
	first, last                                       proto.Time
	unsent                                            bool
}

// AppendTo encodes the totals.
func (p *pair) AppendTo(b []byte) []byte {
	b = stream.AppendUint(b, flagIf(p.unsent, 1))
	for _, n := range [...]uint64{p.flows, p.srcPackets, p.srcBytes, p.dstPackets, p.dstBytes} {
		b = stream.AppendUint(b, n)
	}
	return stream.AppendInt(stream.AppendInt(b, int64(p.first)), int64(p.last-p.first))
}

// Parse decodes the totals.
func (p *pair) Parse(b []byte) error {
	d := stream.NewDecoder(b)
	*p = pair{unsent: d.Uint() == 1}
	p.flows, p.srcPackets, p.srcBytes, p.dstPackets, p.dstBytes = d.Uint(), d.Uint(), d.Uint(), d.Uint(), d.Uint()
	p.first = proto.Time(d.Int())
	p.last = p.first + proto.Time(d.Int())
	return d.Err()
}

func appendPairKey(b []byte, owner proto.ID, hour int64, f *proto.Flow, fold bool) []byte {
	b = append(b, owner[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(hour))
	var flags byte
	if !f.SrcEndpoint.IsZero() {
		flags |= pairClientInside
	}
	if !f.DstEndpoint.IsZero() {
		flags |= pairPeerInside
	}
	at := len(b)
	port, protocol := f.DstPort, f.Protocol
	if fold {
		port, protocol = 0, ""
	}
	b = append(b, 0, byte(f.Transport))
	b = binary.BigEndian.AppendUint16(b, port)
	if f.VLAN != 0 {
		flags |= pairVLAN
		b = binary.BigEndian.AppendUint16(b, uint16(f.VLAN))
	}
	add := func(a netip.Addr, none, six byte) {
		switch {
		case !a.IsValid():
			flags |= none
		case a.Is4():
			v := a.As4()
			b = append(b, v[:]...)
		default:
			v := a.As16()
			b = append(b, v[:]...)
			flags |= six
		}
	}
	add(f.SrcIP.Unmap(), pairNoClientIP, pairClient6)
	add(f.DstIP.Unmap(), pairNoPeerIP, pairPeer6)
	if flags&pairPeerInside != 0 {
		b = append(b, f.DstEndpoint[:]...)
	}
	b[at] = flags
	return append(b, protocol...)
}

// row makes the rollup row of a key.
func (p *pair) row(site string, key []byte) *proto.Pair {
	r := &proto.Pair{
		Site: site, Flows: p.flows, SrcPackets: p.srcPackets, SrcBytes: p.srcBytes, DstPackets: p.dstPackets, DstBytes: p.dstBytes,
		First: p.first, Last: p.last,
	}
	flags := key[20]
	if flags&pairClientInside != 0 {
		copy(r.Endpoint[:], key)
	}
	r.Hour = proto.Time(pairHour(key)) * hourNS
	r.Transport, r.Port = proto.Transport(key[21]), binary.BigEndian.Uint16(key[22:])
	key = key[24:]
	if flags&pairVLAN != 0 {
		r.VLAN = proto.VLAN(binary.BigEndian.Uint16(key))
		key = key[2:]
	}
	take := func(none, six byte) netip.Addr {
		n := 4
		if flags&none != 0 {
			return netip.Addr{}
		}
		if flags&six != 0 {
			n = 16
		}
		a, _ := netip.AddrFromSlice(key[:n])
		key = key[n:]
		return a
	}
	r.ClientIP = take(pairNoClientIP, pairClient6)
	r.PeerIP = take(pairNoPeerIP, pairPeer6)
	if flags&pairPeerInside != 0 {
		copy(r.PeerID[:], key)
		key = key[idLen:]
	}
	r.Protocol = string(key)
	return r
}

func pairHour(key []byte) int64 { return int64(binary.BigEndian.Uint32(key[idLen:])) }

// countPair adds one part of a flow to its pair, and tells a new pair at once.
func (h *host) countPair(tx *stream.Tx, owner proto.ID, hour int64, f *proto.Flow) {
	var buf [128]byte
	key := appendPairKey(buf[:0], owner, hour, f, false)
	p := pairs.Get(tx, key)
	if p == nil {
		if h.pairCount >= maxPairs {
			key = appendPairKey(buf[:0], owner, hour, f, true)
			p = pairs.Get(tx, key)
		} else {
			h.pairCount++
		}
	}
	fresh := p == nil
	p = pairs.Edit(tx, key)
	if f.Part == 0 {
		p.flows++
	}
	p.srcPackets += f.SrcPackets
	p.srcBytes += f.SrcBytes
	p.dstPackets += f.DstPackets
	p.dstBytes += f.DstBytes
	if fresh || f.Start < p.first {
		p.first = f.Start
	}
	p.last = max(p.last, f.End)
	p.unsent = !fresh
	if fresh {
		tx.Rollup(proto.Rollup{Pair: p.row(h.site, key)})
	}
}

// sendPairs tells the pairs of an endpoint that have changed, and forgets those
// of hours that are over for good. It reports whether any is left.
func (h *host) sendPairs(tx *stream.Tx, owner proto.ID) bool {
	left := false
	pairs.Scan(tx, owner[:], func(key []byte, p *pair) bool {
		old := pairHour(key) < h.hours[0].hour
		if p.unsent {
			tx.Rollup(proto.Rollup{Pair: p.row(h.site, key)})
			if !old {
				pairs.Edit(tx, key).unsent = false
			}
		}
		if old {
			pairs.Delete(tx, key)
		} else {
			left = true
		}
		return true
	})
	return left
}
