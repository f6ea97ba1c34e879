package capture

import (
	"net/netip"

	"github.com/wardflow/wardflow/pkg/dissect"
	"github.com/wardflow/wardflow/proto"
)

// fact makes an observation of what a dissector has read, and sends it on the
// lane of whom it is about.
func (p *Processor) fact(pkt *dissect.Packet, f *dissect.Fact) {
	h := pkt.Headers
	if (f.Protocol == "arp" || f.Protocol == "ndp") && f.Subject.IP.IsValid() && f.Subject.MAC == h.SrcMAC {
		p.segment.learn(h.VLAN, f.Subject.MAC, f.Subject.IP, sighting{at: h.Time, claim: true})
	}
	o := &p.told
	if !p.cfg.Reuse {
		o = new(proto.Observation)
	}
	*o = proto.Observation{
		Time: f.Time, Site: p.cfg.Site, Sensor: p.cfg.Sensor, Protocol: f.Protocol, Kind: f.Kind, Attributes: f.Attributes, VLAN: h.VLAN,
	}
	if o.Time == 0 {
		o.Time = h.Time
	}
	if p.current != nil {
		o.FlowID = p.current.FlowID
	}
	s := &f.Subject
	who := p.subject(pkt, s)
	o.Endpoint, o.MAC = who.id, who.mac
	o.IP = s.IP
	if s.Equipment != "" {
		o.Gateway = p.side(pkt, s.Gateway).id
	} else if s.Side != dissect.Other {
		o.Peer = p.side(pkt, opposite(s.Side)).id
		if !o.IP.IsValid() {
			o.IP = p.address(s.Side)
		}
	}
	if !o.IP.IsValid() || nobody(o.IP) {
		o.IP = netip.Addr{}
	}
	o.Identify()
	p.counts.observations++
	p.emit(proto.Item{Lane: observationLane(o), Observation: o})
}

// observationLane is the lane of whom the observation is about; a stranger's goes
// where the flow's inside end has its.
func observationLane(o *proto.Observation) proto.Lane {
	for _, id := range [...]proto.ID{o.Endpoint, o.Peer, o.FlowID} {
		if !id.IsZero() {
			return id.Lane()
		}
	}
	return o.ObservationID.Lane()
}

// subject decides whom a fact is about. What the protocol says of addresses goes
// before those of the packets: a DHCP relay's packets are about its client. A
// device that exists only inside a protocol is named by the protocol's id of it,
// or by its MAC where that can be read from the id: then it is the same endpoint
// whether it is seen behind its gateway or on the wire.
func (p *Processor) subject(pkt *dissect.Packet, s *dissect.Subject) end {
	vlan := pkt.Headers.VLAN
	named := !s.MAC.IsZero() && !s.MAC.IsGroup()
	switch {
	case s.Equipment != "" && named:
		return p.segment.byMAC(s.MAC)
	case s.Equipment != "":
		return end{id: proto.EquipmentEndpoint(p.cfg.Site, s.Equipment), inside: true}
	case named:
		if s.IP.IsValid() && p.segment.router(s.MAC) {
			return p.segment.end(vlan, s.MAC, s.IP)
		}
		return p.segment.byMAC(s.MAC)
	case s.IP.IsValid() && (s.Side == dissect.Other || s.IP != p.address(s.Side)):
		return p.segment.end(vlan, proto.MAC{}, s.IP)
	}
	return p.side(pkt, s.Side)
}

// side decides who a side of the flow, or the sender or receiver of a frame
// without IP, is.
func (p *Processor) side(pkt *dissect.Packet, s dissect.Side) end {
	e := p.current
	switch {
	case s == dissect.Other:
		return end{}
	case e == nil && s == dissect.Src:
		return p.segment.end(pkt.Headers.VLAN, pkt.Headers.SrcMAC, netip.Addr{})
	case e == nil:
		if pkt.Headers.DstMAC.IsGroup() {
			return end{inside: true}
		}
		return p.segment.end(pkt.Headers.VLAN, pkt.Headers.DstMAC, netip.Addr{})
	}
	i := 0
	if s == dissect.Dst {
		i = 1
	}
	if kept := p.kept.endsOf(e); kept != nil {
		return kept[i]
	}
	if i == 0 {
		return p.segment.end(e.VLAN(), e.SrcMAC(), e.SrcIP())
	}
	return p.segment.end(e.VLAN(), e.DstMAC(), e.DstIP())
}

// address is the IP address of a side of the flow.
func (p *Processor) address(s dissect.Side) netip.Addr {
	switch {
	case p.current == nil:
		return netip.Addr{}
	case s == dissect.Src:
		return p.current.SrcIP()
	case s == dissect.Dst:
		return p.current.DstIP()
	}
	return netip.Addr{}
}

func opposite(s dissect.Side) dissect.Side {
	if s == dissect.Src {
		return dissect.Dst
	}
	return dissect.Src
}
