package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/wardflow/wardflow/pkg/repotest/peers"
)

// flowLine is what is read of a line of flows.jsonl.
type flowLine struct {
	FlowID          string     `json:"flow_id"`
	Transport       string     `json:"transport"`
	SrcIP           netip.Addr `json:"src_ip"`
	SrcPort         uint16     `json:"src_port"`
	SrcPackets      uint64     `json:"src_packets"`
	SrcPayloadBytes uint64     `json:"src_payload_bytes"`
	DstIP           netip.Addr `json:"dst_ip"`
	DstPort         uint16     `json:"dst_port"`
	DstPackets      uint64     `json:"dst_packets"`
	DstPayloadBytes uint64     `json:"dst_payload_bytes"`
	VLAN            uint16     `json:"vlan"`
	State           string     `json:"state"`
	Protocol        string     `json:"protocol"`
	ProtocolBy      string     `json:"protocol_by"`
	ProtocolInner   []string   `json:"protocol_inner"`
	CommunityID     string     `json:"community_id"`
}

// observationLine is what is read of a line of observations.jsonl.
type observationLine struct {
	FlowID     string                     `json:"flow_id"`
	Protocol   string                     `json:"protocol"`
	Kind       string                     `json:"kind"`
	IP         string                     `json:"ip"`
	MAC        string                     `json:"mac"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

// load reads what wardflow dissect has written of a capture. The parts of a flow
// are put together; the last one's word on the protocol counts.
func load(dir, capture string) (*peers.Observed, error) {
	byID := map[string]*peers.Flow{}
	var flows []*peers.Flow
	err := eachLine(filepath.Join(dir, "flows.jsonl"), func(b []byte) error {
		var l flowLine
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
		f := byID[l.FlowID]
		if f == nil {
			src, dst := netip.AddrPortFrom(l.SrcIP, l.SrcPort), netip.AddrPortFrom(l.DstIP, l.DstPort)
			f = &peers.Flow{Ends: peers.EndsOf(l.Transport, src, dst), Src: src, CommunityID: l.CommunityID, VLAN: l.VLAN}
			if f.Ends.A.Port() == 0 && f.Ends.B.Port() == 0 {
				f.Src = netip.AddrPortFrom(l.SrcIP, 0)
			}
			byID[l.FlowID] = f
			flows = append(flows, f)
		}
		f.Packets[0] += l.SrcPackets
		f.Packets[1] += l.DstPackets
		f.Payload[0] += l.SrcPayloadBytes
		f.Payload[1] += l.DstPayloadBytes
		f.Protocol, f.By, f.Inner, f.State = l.Protocol, l.ProtocolBy, l.ProtocolInner, l.State
		return nil
	})
	if err != nil {
		return nil, err
	}
	var facts []*peers.Fact
	err = eachLine(filepath.Join(dir, "observations.jsonl"), func(b []byte) error {
		var l observationLine
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
		f := &peers.Fact{Protocol: l.Protocol, Kind: l.Kind, Attributes: map[string][]string{peers.Kind: {l.Kind}, peers.IP: {l.IP}, peers.MAC: {l.MAC}}}
		if flow := byID[l.FlowID]; flow != nil {
			f.Ends = flow.Ends
		}
		for name, raw := range l.Attributes {
			var one string
			if json.Unmarshal(raw, &one) == nil {
				f.Attributes[name] = []string{one}
				continue
			}
			var list []string
			if err := json.Unmarshal(raw, &list); err != nil {
				return err
			}
			f.Attributes[name] = list
		}
		facts = append(facts, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return peers.New(capture, flows, facts), nil
}

func eachLine(path string, f func([]byte) error) error {
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read output: %w", err)
	}
	defer func() { _ = in.Close() }()
	s := bufio.NewScanner(in)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		if err := f(bytes.TrimSpace(s.Bytes())); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
