package store

import (
	"strings"

	"github.com/wardflow/wardflow/pkg/geo"
	"github.com/wardflow/wardflow/proto"
)

// FlowBlock builds rows of flows.
type FlowBlock struct {
	Block
	site, sensor, transport, tunnel, state, protocol, by, inner, duplicate words
	firstPayload, path                                                     words
	srcEndpoint, dstEndpoint, flowID                                       ids
	start, end                                                             times
	part                                                                   vec[uint32]
	final, srcInside, dstInside                                            vec[bool]
	srcIP, dstIP                                                           addrs
	srcPort, dstPort, vlan, vlanInner                                      vec[uint16]
	srcMAC, dstMAC                                                         macs
	srcPackets, srcBytes, srcPayload, dstPackets, dstBytes, dstPayload     vec[uint64]
	clockOffset                                                            vec[int64]
	community                                                              communities
	srcRetransmits, dstRetransmits, srcResets, dstResets                   vec[uint32]
	srcZeroWindows, dstZeroWindows, srcMessages, dstMessages               vec[uint32]
	srcRTT, dstRTT                                                         vec[float32]
	srcGaps, dstGaps, srcSizes, dstSizes                                   histograms
	srcFirst, srcLast, dstFirst, dstLast                                   times
}

// NewFlowBlock makes an empty block of flows.
func NewFlowBlock() *FlowBlock {
	b := new(FlowBlock)
	b.init(Flows, &b.site, &b.srcEndpoint, &b.start, &b.end, &b.flowID, &b.part, &b.final, &b.sensor, &b.transport,
		&b.srcIP, &b.srcPort, &b.srcMAC, &b.srcPackets, &b.srcBytes, &b.srcPayload,
		&b.dstIP, &b.dstPort, &b.dstMAC, &b.dstPackets, &b.dstBytes, &b.dstPayload,
		&b.vlan, &b.vlanInner, &b.tunnel, &b.state, &b.protocol, &b.by, &b.inner, &b.community, &b.duplicate,
		&b.dstEndpoint, &b.srcInside, &b.dstInside,
		&b.srcRetransmits, &b.dstRetransmits, &b.srcResets, &b.dstResets, &b.srcZeroWindows, &b.dstZeroWindows,
		&b.srcRTT, &b.dstRTT, &b.firstPayload, &b.path,
		&b.srcMessages, &b.srcFirst, &b.srcLast, &b.srcGaps, &b.srcSizes,
		&b.dstMessages, &b.dstFirst, &b.dstLast, &b.dstGaps, &b.dstSizes, &b.clockOffset)
	return b
}

// Add appends a flow.
func (b *FlowBlock) Add(f *proto.Flow, at *Coordinates) {
	b.site.add(f.Site)
	b.srcEndpoint.add(f.SrcEndpoint)
	clamped := b.start.add(f.Start, at)
	clamped = b.end.add(f.End, at) || clamped
	b.flowID.add(f.FlowID)
	b.part.add(f.Part)
	b.final.add(f.Final)
	b.sensor.add(f.Sensor)
	b.transport.add(f.Transport.String())
	b.srcIP.add(f.SrcIP)
	b.srcPort.add(f.SrcPort)
	b.srcMAC.add(f.SrcMAC)
	b.srcPackets.add(f.SrcPackets)
	b.srcBytes.add(f.SrcBytes)
	b.srcPayload.add(f.SrcPayloadBytes)
	b.dstIP.add(f.DstIP)
	b.dstPort.add(f.DstPort)
	b.dstMAC.add(f.DstMAC)
	b.dstPackets.add(f.DstPackets)
	b.dstBytes.add(f.DstBytes)
	b.dstPayload.add(f.DstPayloadBytes)
	b.vlan.add(uint16(f.VLAN))
	b.vlanInner.add(uint16(f.VLANInner))
	b.tunnel.add(strings.Join(f.Tunnel, ","))
	b.state.add(f.State)
	b.protocol.add(f.Protocol)
	b.by.add(f.ProtocolBy)
	b.inner.add(strings.Join(f.ProtocolInner, ","))
	b.community.add(f.CommunityID)
	b.duplicate.add(f.DuplicateOfSensor)
	b.dstEndpoint.add(f.DstEndpoint)
	b.srcInside.add(f.SrcInside)
	b.dstInside.add(f.DstInside)
	b.addTCP(f)
	b.firstPayload.add(f.FirstPayload)
	b.path.add(strings.Join(f.Path, ","))
	b.addMessages(f, at)
	b.clockOffset.add(at.ClockOffset.Milliseconds())
	b.at(at, clamped)
}

func (b *FlowBlock) addTCP(f *proto.Flow) {
	b.srcRetransmits.add(f.SrcRetransmits)
	b.dstRetransmits.add(f.DstRetransmits)
	b.srcResets.add(f.SrcResets)
	b.dstResets.add(f.DstResets)
	b.srcZeroWindows.add(f.SrcZeroWindows)
	b.dstZeroWindows.add(f.DstZeroWindows)
	b.srcRTT.add(float32(f.SrcRTT.Milliseconds()))
	b.dstRTT.add(float32(f.DstRTT.Milliseconds()))
}

var noMessages = &proto.Messages{}

func (b *FlowBlock) addMessages(f *proto.Flow, at *Coordinates) {
	src, dst := f.SrcMessages, f.DstMessages
	if src == nil {
		src = noMessages
	}
	if dst == nil {
		dst = noMessages
	}
	b.srcMessages.add(src.Count)
	b.srcFirst.addOrNone(src.First, at)
	b.srcLast.addOrNone(src.Last, at)
	b.srcGaps.add(src.Gaps)
	b.srcSizes.add(src.Sizes)
	b.dstMessages.add(dst.Count)
	b.dstFirst.addOrNone(dst.First, at)
	b.dstLast.addOrNone(dst.Last, at)
	b.dstGaps.add(dst.Gaps)
	b.dstSizes.add(dst.Sizes)
}

// ObservationBlock builds rows of observations.
type ObservationBlock struct {
	Block
	site, sensor, protocol, kind, dup     words
	endpoint, observation, flow, gw, peer ids
	time                                  times
	attributes                            vec[string]
	ip                                    addrs
	mac                                   macs
	vlan                                  vec[uint16]
	clockOffset                           vec[int64]
}

// NewObservationBlock makes an empty block of observations.
func NewObservationBlock() *ObservationBlock {
	b := new(ObservationBlock)
	b.init(Observations, &b.site, &b.endpoint, &b.time, &b.observation, &b.sensor, &b.flow, &b.protocol, &b.kind, &b.attributes,
		&b.ip, &b.mac, &b.vlan, &b.gw, &b.peer, &b.dup, &b.clockOffset)
	return b
}

// Add appends an observation.
func (b *ObservationBlock) Add(o *proto.Observation, at *Coordinates) {
	attributes, err := o.Attributes.MarshalJSON()
	if err != nil { // text always marshals
		attributes = []byte("{}")
	}
	b.site.add(o.Site)
	b.endpoint.add(o.Endpoint)
	clamped := b.time.add(o.Time, at)
	b.observation.add(o.ObservationID)
	b.sensor.add(o.Sensor)
	b.flow.add(o.FlowID)
	b.protocol.add(o.Protocol)
	b.kind.add(o.Kind)
	b.attributes.add(string(attributes))
	b.ip.add(o.IP)
	b.mac.add(o.MAC)
	b.vlan.add(uint16(o.VLAN))
	b.gw.add(o.Gateway)
	b.peer.add(o.Peer)
	b.dup.add(o.DuplicateOfSensor)
	b.clockOffset.add(at.ClockOffset.Milliseconds())
	b.at(at, clamped)
}

// PairBlock builds rows of pairs_hourly.
type PairBlock struct {
	Block
	site, transport, protocol                              words
	endpoint, peer                                         ids
	hour, first, last                                      times
	clientIP, peerIP                                       addrs
	port, vlan                                             vec[uint16]
	country, asName                                        words
	asn                                                    vec[uint32]
	flows, srcPackets, srcBytes, dstPackets, dstBytes, ver vec[uint64]
}

// NewPairBlock makes an empty block of pairs.
func NewPairBlock() *PairBlock {
	b := new(PairBlock)
	b.init(PairsHourly, &b.site, &b.endpoint, &b.hour, &b.peer, &b.clientIP, &b.peerIP, &b.transport, &b.port, &b.protocol, &b.vlan,
		&b.flows, &b.srcPackets, &b.srcBytes, &b.dstPackets, &b.dstBytes, &b.first, &b.last, &b.ver, &b.country, &b.asn, &b.asName)
	return b
}

// Add appends a pair; where is the place of its end on the Internet.
func (b *PairBlock) Add(p *proto.Pair, where geo.Place, at *Coordinates) {
	b.site.add(p.Site)
	b.endpoint.add(p.Endpoint)
	clamped := b.hour.add(p.Hour, at)
	b.peer.add(p.PeerID)
	b.clientIP.add(p.ClientIP)
	b.peerIP.add(p.PeerIP)
	b.transport.add(p.Transport.String())
	b.port.add(p.Port)
	b.protocol.add(p.Protocol)
	b.vlan.add(uint16(p.VLAN))
	b.country.add(where.Country)
	b.asn.add(where.ASN)
	b.asName.add(where.Name)
	b.flows.add(p.Flows)
	b.srcPackets.add(p.SrcPackets)
	b.srcBytes.add(p.SrcBytes)
	b.dstPackets.add(p.DstPackets)
	b.dstBytes.add(p.DstBytes)
	clamped = b.first.add(p.First, at) || clamped
	clamped = b.last.add(p.Last, at) || clamped
	b.ver.add(at.version())
	b.at(at, clamped)
}

// ActivityBlock builds rows of activity_hourly.
type ActivityBlock struct {
	Block
	site                                                 words
	endpoint                                             ids
	hour, first, last                                    times
	flows, packetsOut, bytesOut, packetsIn, bytesIn, ver vec[uint64]
}

// NewActivityBlock makes an empty block of activity.
func NewActivityBlock() *ActivityBlock {
	b := new(ActivityBlock)
	b.init(ActivityHourly, &b.site, &b.endpoint, &b.hour, &b.flows, &b.packetsOut, &b.bytesOut, &b.packetsIn, &b.bytesIn, &b.first, &b.last, &b.ver)
	return b
}

// Add appends an hour of activity.
func (b *ActivityBlock) Add(a *proto.Activity, at *Coordinates) {
	b.site.add(a.Site)
	b.endpoint.add(a.Endpoint)
	clamped := b.hour.add(a.Hour, at)
	b.flows.add(a.Flows)
	b.packetsOut.add(a.PacketsOut)
	b.bytesOut.add(a.BytesOut)
	b.packetsIn.add(a.PacketsIn)
	b.bytesIn.add(a.BytesIn)
	clamped = b.first.add(a.First, at) || clamped
	clamped = b.last.add(a.Last, at) || clamped
	b.ver.add(at.version())
	b.at(at, clamped)
}
