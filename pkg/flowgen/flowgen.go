// Package flowgen makes the flows of a large hospital out of a seed, as capture
// would emit them: for benchmarks and load tests. The same seed and rate give the
// same flows, but for their times.
//
// It makes items of wardflow.traffic and nothing else; who sends them, and what
// is measured, is the caller's.
package flowgen

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/wardflow/wardflow/proto"
)

// Config describes the population. The zero value takes the defaults, which are
// the project's design load of one large site.
type Config struct {
	Seed     uint64
	Site     string
	Devices  int     // default 50,000
	Peers    int     // distinct peers of a device, default 20
	EastWest float64 // share of flows between two inside devices, default 0.4
	IPv6     float64 // share of devices that speak IPv6, default 0.1
	Zipf     float64 // exponent of how devices choose peers, default 1.2
}

func (c *Config) setDefaults() {
	if c.Site == "" {
		c.Site = "bench"
	}
	if c.Devices == 0 {
		c.Devices = 50_000
	}
	if c.Peers == 0 {
		c.Peers = 20
	}
	if c.EastWest == 0 {
		c.EastWest = 0.4
	}
	if c.IPv6 == 0 {
		c.IPv6 = 0.1
	}
	if c.Zipf == 0 {
		c.Zipf = 1.2
	}
}

// service is what a flow speaks.
type service struct {
	port     uint16
	protocol string
	by       string
	trans    proto.Transport
	state    string
}

// services in rough order of how often a hospital's wire shows them.
var services = []service{
	{443, "tls", proto.ByContent, proto.TCP, "SF"},
	{53, "dns", proto.ByContent, proto.UDP, "SF"},
	{2575, "hl7", proto.ByContent, proto.TCP, "SF"},
	{445, "smb", proto.ByPort, proto.TCP, "SF"},
	{104, "dicom", proto.ByContent, proto.TCP, "SF"},
	{80, "http", proto.ByPort, proto.TCP, "SF"},
	{123, "ntp", proto.ByPort, proto.UDP, "SF"},
	{161, "snmp", proto.ByPort, proto.UDP, "S0"},
	{3613, "unknown", "", proto.TCP, "S1"},
}

type device struct {
	id  proto.ID
	mac proto.MAC
	ip  netip.Addr
}

// Generator makes flows. It is used by one goroutine.
type Generator struct {
	cfg     Config
	rnd     *rand.Rand
	devices []device
	zipf    *rand.Zipf // over a device's peers
	flow    proto.Flow
	n       uint64
}

// New makes the population.
func New(cfg Config) *Generator {
	cfg.setDefaults()
	src := rand.NewPCG(cfg.Seed, cfg.Seed^0x9e3779b97f4a7c15)
	g := &Generator{cfg: cfg, rnd: rand.New(src)} //nolint:gosec // a benchmark wants the same flows every time
	g.zipf = rand.NewZipf(g.rnd, cfg.Zipf, 1, uint64(cfg.Peers-1))
	g.devices = make([]device, cfg.Devices)
	for i := range g.devices {
		d := &g.devices[i]
		d.mac = proto.MAC{0x00, 0x1b, 0x21}
		d.mac[3], d.mac[4], d.mac[5] = byte(i>>16), byte(i>>8), byte(i)
		d.id = proto.MACEndpoint(cfg.Site, d.mac)
		if g.rnd.Float64() < cfg.IPv6 {
			a := [16]byte{0xfd, 0x57}
			binary.BigEndian.PutUint32(a[12:], uint32(i+1))
			d.ip = netip.AddrFrom16(a)
		} else {
			d.ip = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		}
	}
	return g
}

// peer gives the k-th peer of device i: always the same one.
func (g *Generator) peer(i, k int) int {
	h := uint64(i)*0x9e3779b97f4a7c15 + uint64(k)*0xbf58476d1ce4e5b9 + g.cfg.Seed
	h ^= h >> 29
	h *= 0x94d049bb133111eb
	h ^= h >> 32
	// A third of all peers are the few hundred servers that everybody talks to.
	if h%3 == 0 {
		return int(h>>8) % (1 + g.cfg.Devices/200)
	}
	return int(h>>8) % g.cfg.Devices
}

// Next makes one flow that ended at the given time. It is valid until the next
// call. mirror reports whether the flow has a second copy, on the server's lane.
func (g *Generator) Next(now time.Time) (f *proto.Flow, mirror bool) {
	i := g.rnd.IntN(len(g.devices))
	src := &g.devices[i]
	k := int(g.zipf.Uint64())
	s := &services[(i*7+k)%len(services)]
	f = &g.flow
	g.n++
	*f = proto.Flow{
		Part: 0, Final: true, Transport: s.trans, State: s.state, Protocol: s.protocol, ProtocolBy: s.by,
		SrcIP: src.ip, SrcMAC: src.mac, SrcEndpoint: src.id, SrcInside: true, SrcPort: uint16(32768 + g.n%28000), DstPort: s.port,
	}
	binary.BigEndian.PutUint64(f.FlowID[:], g.n)
	binary.BigEndian.PutUint64(f.FlowID[8:], g.rnd.Uint64())
	binary.BigEndian.PutUint64(f.CommunityID[:], g.rnd.Uint64())
	binary.BigEndian.PutUint64(f.CommunityID[8:], g.rnd.Uint64())
	f.End = proto.TimeOf(now)
	f.Start = f.End - proto.Time(g.rnd.Int64N(int64(10*time.Second)))
	f.SrcPackets, f.DstPackets = 1+g.rnd.Uint64N(40), g.rnd.Uint64N(40)
	f.SrcPayloadBytes, f.DstPayloadBytes = f.SrcPackets*g.rnd.Uint64N(400), f.DstPackets*g.rnd.Uint64N(1200)
	f.SrcBytes, f.DstBytes = f.SrcPayloadBytes+f.SrcPackets*40, f.DstPayloadBytes+f.DstPackets*40
	if g.rnd.Float64() >= g.cfg.EastWest {
		h := uint32(i*31 + k*1009)
		f.DstIP = netip.AddrFrom4([4]byte{203, 0, byte(113 + h%3), byte(1 + h%200)})
		if src.ip.Is6() {
			f.DstIP = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(1 + h%200)})
		}
		f.DstMAC = proto.MAC{0, 0, 0x5e, 0, 1, 1}
		return f, false
	}
	dst := &g.devices[g.peer(i, k)]
	if dst == src {
		dst = &g.devices[(i+1)%len(g.devices)]
	}
	f.DstIP, f.DstMAC, f.DstEndpoint, f.DstInside = dst.ip, dst.mac, dst.id, true
	return f, true
}
