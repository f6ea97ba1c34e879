package proto

import (
	"encoding/base64"
	"net/netip"

	"github.com/vmihailenco/msgpack/v5"
)

// CommunityID is the 20-byte SHA-1 of Community ID v1 (Corelight's public
// specification); zero means none.
type CommunityID [20]byte

// String prints "1:" and base64, or "" for none.
func (c CommunityID) String() string {
	if c == (CommunityID{}) {
		return ""
	}
	return "1:" + base64.StdEncoding.EncodeToString(c[:])
}

// MarshalText is String.
func (c CommunityID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Flow is one part of a bidirectional flow. Src opened it: the sender of the TCP
// SYN, else of the first packet. Counters are deltas since the part before.
// Bytes are IP bytes from the IP length field; payload bytes are the transport's.
// The JSON keys and their order are those of flows.jsonl; Site, Sensor come from
// the batch and are not sent with each flow.
type Flow struct {
	FlowID            ID          `json:"flow_id"`
	Part              uint32      `json:"part"`
	Final             bool        `json:"final"`
	Site              string      `json:"site"`
	Sensor            string      `json:"sensor"`
	Start             Time        `json:"start"`
	End               Time        `json:"end"`
	Transport         Transport   `json:"transport"`
	SrcIP             netip.Addr  `json:"src_ip"`
	SrcPort           uint16      `json:"src_port"`
	SrcMAC            MAC         `json:"src_mac"`
	SrcPackets        uint64      `json:"src_packets"`
	SrcBytes          uint64      `json:"src_bytes"`
	SrcPayloadBytes   uint64      `json:"src_payload_bytes"`
	DstIP             netip.Addr  `json:"dst_ip"`
	DstPort           uint16      `json:"dst_port"`
	DstMAC            MAC         `json:"dst_mac"`
	DstPackets        uint64      `json:"dst_packets"`
	DstBytes          uint64      `json:"dst_bytes"`
	DstPayloadBytes   uint64      `json:"dst_payload_bytes"`
	VLAN              VLAN        `json:"vlan"`
	VLANInner         VLAN        `json:"vlan_inner"`
	Tunnel            Strings     `json:"tunnel"`
	State             string      `json:"state"`    // Zeek's names
	Protocol          string      `json:"protocol"` // "unknown" when not recognised
	ProtocolBy        string      `json:"protocol_by"`
	ProtocolInner     Strings     `json:"protocol_inner"`
	CommunityID       CommunityID `json:"community_id"`
	SrcDevice         ID          `json:"src_device"` // filled when read, by endpoint and time
	DstDevice         ID          `json:"dst_device"`
	DuplicateOfSensor string      `json:"duplicate_of_sensor"`
	SrcEndpoint       ID          `json:"src_endpoint"` // zero for an outside, multicast or broadcast end
	DstEndpoint       ID          `json:"dst_endpoint"`
	SrcInside         bool        `json:"src_inside"`
	DstInside         bool        `json:"dst_inside"`
}

// The values of Flow.ProtocolBy.
const (
	ByContent = "content"
	ByContext = "context"
	ByPort    = "port"
)

const flowFields = 31

// EncodeMsgpack implements msgpack.CustomEncoder.
func (f *Flow) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, f) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (f *Flow) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, f) }

// encode writes a Flow as an array of 31 fields.
func (f *Flow) encode(w *writer) {
	w.array(flowFields)
	w.bytes(f.FlowID[:])
	w.uint(uint64(f.Part))
	w.bool(f.Final)
	w.int(int64(f.Start))
	w.int(int64(f.End))
	w.uint(uint64(f.Transport))
	w.addr(f.SrcIP)
	w.uint(uint64(f.SrcPort))
	w.mac(f.SrcMAC)
	w.uint(f.SrcPackets)
	w.uint(f.SrcBytes)
	w.uint(f.SrcPayloadBytes)
	w.addr(f.DstIP)
	w.uint(uint64(f.DstPort))
	w.mac(f.DstMAC)
	w.uint(f.DstPackets)
	w.uint(f.DstBytes)
	w.uint(f.DstPayloadBytes)
	w.uint(uint64(f.VLAN))
	w.uint(uint64(f.VLANInner))
	w.strings(f.Tunnel)
	w.string(f.State)
	w.string(f.Protocol)
	w.string(f.ProtocolBy)
	w.strings(f.ProtocolInner)
	if f.CommunityID == (CommunityID{}) {
		w.bytes(nil)
	} else {
		w.bytes(f.CommunityID[:])
	}
	w.id(f.SrcEndpoint)
	w.id(f.DstEndpoint)
	w.bool(f.SrcInside)
	w.bool(f.DstInside)
	w.string(f.DuplicateOfSensor)
}

// decode reads any version: fields beyond those known are skipped, absent
// ones stay zero.
func (f *Flow) decode(r *reader) {
	r.array()
	*f = Flow{}
	r.fixed(f.FlowID[:])
	f.Part = uint32(r.uint())
	f.Final = r.bool()
	f.Start = Time(r.int())
	f.End = Time(r.int())
	f.Transport = Transport(r.uint())
	f.SrcIP = r.addr()
	f.SrcPort = uint16(r.uint())
	r.fixed(f.SrcMAC[:])
	f.SrcPackets = r.uint()
	f.SrcBytes = r.uint()
	f.SrcPayloadBytes = r.uint()
	f.DstIP = r.addr()
	f.DstPort = uint16(r.uint())
	r.fixed(f.DstMAC[:])
	f.DstPackets = r.uint()
	f.DstBytes = r.uint()
	f.DstPayloadBytes = r.uint()
	f.VLAN = VLAN(r.uint())
	f.VLANInner = VLAN(r.uint())
	f.Tunnel = r.strings()
	f.State = r.word()
	f.Protocol = r.word()
	f.ProtocolBy = r.word()
	f.ProtocolInner = r.strings()
	r.fixed(f.CommunityID[:])
	r.fixed(f.SrcEndpoint[:])
	r.fixed(f.DstEndpoint[:])
	f.SrcInside = r.bool()
	f.DstInside = r.bool()
	f.DuplicateOfSensor = r.word()
	r.end()
}
