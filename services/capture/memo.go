package capture

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/wardflow/wardflow/proto"
)

// memo remembers the ids of endpoints, which are hashes and asked for again with
// every part of a flow and every fact. One that falls on another's place takes it.
// It may be used from several goroutines.
type memo struct {
	places [1 << memoBits]atomic.Pointer[memoEntry]
}

const memoBits = 12

type memoEntry struct {
	mac proto.MAC // of a MAC's endpoint
	at  place     // of an address's
	id  proto.ID
}

func (m *memo) byMAC(site string, mac proto.MAC) proto.ID {
	p := &m.places[spread(uint64(binary.LittleEndian.Uint32(mac[:]))<<16|uint64(binary.LittleEndian.Uint16(mac[4:])))]
	if e := p.Load(); e != nil && e.mac == mac && !e.at.ip.IsValid() {
		return e.id
	}
	e := &memoEntry{mac: mac, id: proto.MACEndpoint(site, mac)}
	p.Store(e)
	return e.id
}

func (m *memo) byIP(site string, at place) proto.ID {
	b := at.ip.As16()
	p := &m.places[spread(binary.LittleEndian.Uint64(b[:])^binary.LittleEndian.Uint64(b[8:])^uint64(at.vlan)<<32)]
	if e := p.Load(); e != nil && e.at == at {
		return e.id
	}
	e := &memoEntry{at: at, id: proto.IPEndpoint(site, at.vlan, at.ip)}
	p.Store(e)
	return e.id
}

// spread gives the place of a number: the upper bits of its product with the golden
// ratio (Knuth, The Art of Computer Programming, volume 3, 6.4).
func spread(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> (64 - memoBits) }
