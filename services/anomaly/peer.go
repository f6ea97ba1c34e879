package anomaly

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/proto"
)

// What a peer's row says.
const (
	peerKnown    = 1 // learned, or old news
	peerReported = 2 // its detection counts up while it lives
)

// maxNewPeers is how many new peers of one endpoint are told apart in an hour;
// more are one detection with a list.
const maxNewPeers = 10

// maxPeers is how many peers of an endpoint are kept. Who talks to more has no
// circle of peers that a new one could be outside of.
const maxPeers = 4096

// peerLen is the length of a peer in a key: the start of an inside endpoint's id
// (a hash itself), or an outside network.
const peerLen = 8

// peerOf gives the other end of a flow as a key: ok is false for what is no peer
// (a group, everybody, nobody).
func peerOf(f *proto.Flow) (peer [peerLen]byte, outside, ok bool) {
	if !f.DstEndpoint.IsZero() {
		copy(peer[:], f.DstEndpoint[:])
		return peer, false, true
	}
	ip := f.DstIP.Unmap()
	if f.DstInside || f.DstMAC.IsGroup() || !ip.IsGlobalUnicast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return peer, false, false
	}
	return network(ip), true, true
}

// network cuts an outside address down to its /24 or /48: services move about
// inside their networks.
func network(ip netip.Addr) (n [peerLen]byte) {
	if ip.Is4() {
		a := ip.As4()
		n[0] = 4
		copy(n[4:7], a[:3])
		return n
	}
	a := ip.As16()
	n[0] = 6
	copy(n[1:7], a[:6])
	return n
}

// peer looks for a new peer. An inside host counts when it answered; an outside
// one when it was only tried: that the firewall stopped it is no comfort.
func (c *call) peer(f *proto.Flow) {
	if f.Transport == proto.ICMP || f.Transport == proto.ICMP6 {
		return
	}
	peer, outside, ok := peerOf(f)
	if !ok || (!outside && (!answered(f) || infrastructure[f.Protocol])) {
		return // and what is asked of a name server makes no acquaintance of it
	}
	var buf [idLen + peerLen]byte
	key := append(append(buf[:0], c.id[:]...), peer[:]...)
	if outside && c.p.trusts(f.DstIP) {
		return
	}
	r := newPeer
	if outside {
		r = newExternalPeer
	}
	if known := peers.Get(c.tx, key); known != nil {
		if known.N == peerReported && !c.again(r, peer, f) {
			peers.Edit(c.tx, key).N = peerKnown
		}
		return
	}
	if c.h.peers >= maxPeers {
		return
	}
	if c.p.learns(c.h.first, f.Start) {
		c.know(key, peerKnown)
		return
	}
	if c.foldIntoScan(f) {
		return // and stays unknown: what comes after the scan is news
	}
	c.know(key, peerReported)
	c.report(r, c.many(r, peer, f), f)
}

// know puts a new peer down.
func (c *call) know(key []byte, how uint64) {
	peers.Edit(c.tx, key).N = how
	c.h = hosts.Edit(c.tx, c.id[:])
	c.h.peers++
}

func answered(f *proto.Flow) bool {
	return f.DstPackets > 0 && (f.Transport != proto.TCP || f.SrcPayloadBytes+f.DstPayloadBytes > 0)
}

// many gives the target under which a new peer is told: its own, or the common
// one when there are too many this hour.
func (c *call) many(r *rule, peer [peerLen]byte, f *proto.Flow) [peerLen]byte {
	hour := int64(f.End.Hour())
	h := hosts.Edit(c.tx, c.id[:])
	if h.hour != hour {
		h.hour, h.newPeers = hour, 0
	}
	if h.newPeers++; h.newPeers > maxNewPeers {
		return [peerLen]byte{0: 0xff, 1: r.id}
	}
	return peer
}

// report makes the detection of a new peer, or adds the peer to one of many.
func (c *call) report(r *rule, target [peerLen]byte, f *proto.Flow) {
	k := c.kind()
	d := &proto.Detection{
		Rule: r.name, Severity: c.peerSeverity(r, f), First: f.Start, Last: f.End, Attack: attackOf(r, f),
		Targets: []string{f.DstIP.Unmap().String()},
		Evidence: proto.Object{
			"flow_id": f.FlowID.String(), "protocol": f.Protocol, "protocol_by": f.ProtocolBy, "transport": f.Transport.String(),
			"port": strconv.Itoa(int(f.DstPort)), "bytes_out": strconv.FormatUint(f.SrcBytes, 10), "bytes_in": strconv.FormatUint(f.DstBytes, 10),
		},
	}
	where := "a host inside"
	if r == newExternalPeer {
		where = "an outside address"
	}
	d.Title = title(k) + " talks to " + where + " that is new to it: " + d.Targets[0] + " " + f.Transport.String() + "/" + strconv.Itoa(int(f.DstPort))
	if target[0] == 0xff {
		d.Title = title(k) + " talks to many hosts that are new to it"
	}
	c.detect(r, target, d)
}

// peerSeverity: what reaches patients or leaves the house weighs more; a
// workstation that looks at another web site is hardly news.
func (c *call) peerSeverity(r *rule, f *proto.Flow) string {
	k := c.kind()
	if r == newExternalPeer {
		switch {
		case k.patients():
			return proto.SeverityHigh
		case k.category == "it":
			return proto.SeverityLow
		}
		return proto.SeverityMedium
	}
	_, works := remote[f.Protocol]
	stranger := c.p.LearningUntil != 0 && c.h.first > c.p.LearningUntil
	if k.patients() || works || stranger || steers[f.Protocol] {
		return proto.SeverityMedium
	}
	return proto.SeverityLow
}

// attackOf names the technique only where the flow shows it: work on another
// host; more sent out than taken in, in clear; an application protocol to outside.
func attackOf(r *rule, f *proto.Flow) []string {
	if r == newPeer {
		if t := remote[f.Protocol]; t != "" {
			return []string{t}
		}
		return nil
	}
	switch {
	case f.SrcPayloadBytes > f.DstPayloadBytes && !encrypted[f.Protocol]:
		return []string{"T1048.003"}
	case f.ProtocolBy == proto.ByContent:
		return []string{"T1071"}
	}
	return nil
}

// again counts one more flow to a peer that has been reported, and reports
// whether the detection is still alive.
func (c *call) again(r *rule, peer [peerLen]byte, f *proto.Flow) bool {
	for _, target := range [...][peerLen]byte{peer, {0: 0xff, 1: r.id}} {
		if d := c.alive(r, target, f.Start); d != nil && (target == peer || hasTarget(d, f)) {
			if f.Part == 0 { // a further part is of the same conversation
				c.repeat(d, f.End, 1)
			}
			return true
		}
	}
	return false
}

func hasTarget(d *detection, f *proto.Flow) bool {
	ip := f.DstIP.Unmap().String()
	for _, t := range d.Targets {
		if t == ip {
			return true
		}
	}
	return false
}

// scanTarget is a target of a scan as a key: the address itself, hashed.
func scanTarget(f *proto.Flow) (t [peerLen]byte) {
	a := f.DstIP.As16()
	binary.BigEndian.PutUint64(t[:], hash64(a[:]))
	return t
}
