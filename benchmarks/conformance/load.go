package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/wardflow/wardflow/pkg/repotest/peers"
	"github.com/wardflow/wardflow/proto"
)

// load reads what wardflow dissect has written of a capture. The parts of a flow
// are put together; the last one's word on the protocol counts.
func load(dir, capture string) (*peers.Observed, error) {
	b, err := os.ReadFile(filepath.Join(dir, "traffic.msgpack"))
	if err != nil {
		return nil, fmt.Errorf("read output: %w", err)
	}
	l := &loader{byID: map[proto.ID]*peers.Flow{}}
	for len(b) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(b))
		var batch proto.Batch
		if err := proto.Unmarshal(b[4:n], &batch); err != nil {
			return nil, fmt.Errorf("read output of %s: %w", capture, err)
		}
		b = b[n:]
		for i := range batch.Items {
			switch it := &batch.Items[i]; {
			case it.Flow != nil:
				l.flow(it.Flow)
			case it.Observation != nil:
				l.observation(it.Observation)
			}
		}
	}
	// A fact may come before the first part of its flow.
	for i, f := range l.facts {
		if flow := l.byID[l.of[i]]; flow != nil {
			f.Ends = flow.Ends
		}
	}
	return peers.New(capture, l.flows, l.facts), nil
}

type loader struct {
	byID  map[proto.ID]*peers.Flow
	flows []*peers.Flow
	facts []*peers.Fact
	of    []proto.ID // the flows of facts
}

func (l *loader) flow(p *proto.Flow) {
	f := l.byID[p.FlowID]
	if f == nil {
		src, dst := netip.AddrPortFrom(p.SrcIP, p.SrcPort), netip.AddrPortFrom(p.DstIP, p.DstPort)
		f = &peers.Flow{Ends: peers.EndsOf(p.Transport.String(), src, dst), Src: src, CommunityID: p.CommunityID.String(), VLAN: uint16(p.VLAN)}
		if f.Ends.A.Port() == 0 && f.Ends.B.Port() == 0 {
			f.Src = netip.AddrPortFrom(p.SrcIP, 0)
		}
		l.byID[p.FlowID] = f
		l.flows = append(l.flows, f)
	}
	f.Packets[0] += p.SrcPackets
	f.Packets[1] += p.DstPackets
	f.Payload[0] += p.SrcPayloadBytes
	f.Payload[1] += p.DstPayloadBytes
	f.Protocol, f.By, f.Inner, f.State = p.Protocol, p.ProtocolBy, p.ProtocolInner, p.State
}

func (l *loader) observation(o *proto.Observation) {
	f := &peers.Fact{Protocol: o.Protocol, Kind: o.Kind, Attributes: map[string][]string{peers.Kind: {o.Kind}, peers.MAC: {o.MAC.String()}}}
	if o.IP.IsValid() {
		f.Attributes[peers.IP] = []string{o.IP.String()}
	}
	for _, a := range o.Attributes {
		if a.List != nil {
			f.Attributes[a.Name] = a.List
		} else {
			f.Attributes[a.Name] = []string{a.Value}
		}
	}
	l.facts = append(l.facts, f)
	l.of = append(l.of, o.FlowID)
}
