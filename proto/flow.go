package proto

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"time"

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

// RTT is a round-trip time in microseconds; 0 is not known.
type RTT uint32

// Milliseconds is the time, 0 for not known.
func (r RTT) Milliseconds() float64 { return float64(r) / 1000 }

// appendJSON appends milliseconds, or null.
func (r RTT) appendJSON(b []byte) []byte {
	if r == 0 {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, r.Milliseconds(), 'f', -1, 64)
}

// Messages sketches the messages that one side sent in a part of a flow. A message
// is a run of its payload, up to payload of the other side or a pause of half a
// second; what TCP sends again makes none. There is a sketch from the eighth message
// of the flow on: the seven before it are in Count and in nothing else. The parts of
// a flow add up: counts and bins by their sum, First and Last by the least and the
// greatest.
type Messages struct {
	Count uint32    // messages that began
	First Time      // when the first of them did; 0 where none did
	Last  Time      // the same of the last
	Gaps  Histogram // milliseconds from the beginning of one message of the side to that of its next, which began in this part
	Sizes Histogram // payload bytes of the messages that ended
}

// Flow is one part of a bidirectional flow. Src opened it: the sender of the TCP
// SYN, else of the first packet. Counters are deltas since the part before; State,
// round-trip times, FirstPayload and Path are what is known of the flow by the end
// of the part, and told in every part from then on.
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

	// Of TCP: segments with numbers that the side had sent before, resets, and
	// segments that say that the side can take no more.
	SrcRetransmits uint32 `json:"src_retransmits"`
	DstRetransmits uint32 `json:"dst_retransmits"`
	SrcResets      uint32 `json:"src_resets"`
	DstResets      uint32 `json:"dst_resets"`
	SrcZeroWindows uint32 `json:"src_zero_windows"`
	DstZeroWindows uint32 `json:"dst_zero_windows"`

	// The handshake's two halves as the sensor saw them: from the SYN-ACK to its
	// acknowledgement, which is the way to Src and back, and from the SYN to the
	// SYN-ACK, the way to Dst and back. Not known where one of the two was sent again.
	SrcRTT RTT `json:"src_rtt_ms"`
	DstRTT RTT `json:"dst_rtt_ms"`

	FirstPayload string    `json:"first_payload"` // who sent the first payload: BySrc, ByDst, "" while there is none
	Path         Strings   `json:"path"`          // what is odd about the packets' way
	SrcMessages  *Messages `json:"src_messages"`  // nil where there is nothing to tell; in JSON five keys
	DstMessages  *Messages `json:"dst_messages"`
}

// Shift moves the part in time. What its copies share with it stays as it is.
func (f *Flow) Shift(by time.Duration) {
	f.Start, f.End = f.Start.Add(by), f.End.Add(by)
	f.SrcMessages, f.DstMessages = f.SrcMessages.shifted(by), f.DstMessages.shifted(by)
}

func (m *Messages) shifted(by time.Duration) *Messages {
	if m == nil || m.First == 0 {
		return m
	}
	c := *m
	c.First, c.Last = m.First.Add(by), m.Last.Add(by)
	return &c
}

// MarshalJSON is AppendJSON.
func (f *Flow) MarshalJSON() ([]byte, error) { return f.AppendJSON(nil), nil }

// The values of Flow.ProtocolBy.
const (
	ByContent = "content"
	ByContext = "context"
	ByPort    = "port"
)

// The values of Flow.FirstPayload.
const (
	BySrc = "src"
	ByDst = "dst"
)

// The values of Flow.Path.
const (
	// PathAsymmetric: only one side was ever seen, and it acknowledges more and more
	// of the other, or an answer to its SYN: that takes another way.
	PathAsymmetric = "asymmetric"
	// PathTwo: packets of one side came from two hardware addresses with two hop
	// limits. The sensor sees them before and behind a router, or their way changed.
	PathTwo = "two_paths"
	// PathSrcNAT: packets of Src's address come from its own hardware address with a
	// hop limit from which a router has taken something, while it sends others from
	// which nothing is taken: it forwards for who is behind it, under its own address.
	PathSrcNAT = "src_nat"
	// PathDstNAT is the same of Dst.
	PathDstNAT = "dst_nat"
)

const flowFields = 36

// EncodeMsgpack implements msgpack.CustomEncoder.
func (f *Flow) EncodeMsgpack(e *msgpack.Encoder) error { return encodeTo(e, f) }

// DecodeMsgpack implements msgpack.CustomDecoder.
func (f *Flow) DecodeMsgpack(d *msgpack.Decoder) error { return decodeFrom(d, f) }

// encode writes a Flow as an array of 36 fields. Most flows have none of the last
// five, which are then a byte each.
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
	f.encodeTCP(w)
	w.string(f.FirstPayload)
	w.strings(f.Path)
	f.SrcMessages.encode(w)
	f.DstMessages.encode(w)
}

// encodeTCP writes an array of 8 fields, or nil where all are zero.
func (f *Flow) encodeTCP(w *writer) {
	counts := f.tcp()
	if *counts[0]|*counts[1]|*counts[2]|*counts[3]|*counts[4]|*counts[5]|*counts[6]|*counts[7] == 0 {
		w.bytes(nil)
		return
	}
	w.array(len(counts))
	for _, v := range counts {
		w.uint(uint64(*v))
	}
}

func (f *Flow) tcp() [8]*uint32 {
	return [8]*uint32{
		&f.SrcRetransmits, &f.DstRetransmits, &f.SrcResets, &f.DstResets, &f.SrcZeroWindows, &f.DstZeroWindows,
		(*uint32)(&f.SrcRTT), (*uint32)(&f.DstRTT),
	}
}

// encode writes an array of 5 fields, or nil.
func (m *Messages) encode(w *writer) {
	if m == nil {
		w.bytes(nil)
		return
	}
	w.array(5)
	w.uint(uint64(m.Count))
	w.int(int64(m.First))
	w.int(int64(m.Last))
	m.Gaps.encode(w)
	m.Sizes.encode(w)
}

// encode writes low and count of each bin in one list.
func (h Histogram) encode(w *writer) {
	w.array(2 * len(h))
	for _, v := range h {
		w.uint(uint64(v.Low))
		w.uint(uint64(v.Count))
	}
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
	if in, found := r.optional(); found {
		for _, v := range f.tcp() {
			*v = uint32(in.uint())
		}
		r.close(&in)
	}
	f.FirstPayload = r.word()
	f.Path = r.strings()
	f.SrcMessages = decodeMessages(r)
	f.DstMessages = decodeMessages(r)
	r.end()
}

func decodeMessages(r *reader) *Messages {
	in, found := r.optional()
	if !found {
		return nil
	}
	m := &Messages{Count: uint32(in.uint()), First: Time(in.int()), Last: Time(in.int())}
	m.Gaps, m.Sizes = in.histogram(), in.histogram()
	r.close(&in)
	return m
}

// histogram reads a list of lower ends and counts.
func (r *reader) histogram() Histogram {
	if !r.more() {
		return nil
	}
	n := r.inner()
	if n%2 != 0 {
		r.fail("histogram of %d numbers", n)
	}
	if n == 0 || r.err != nil {
		return nil
	}
	h := make(Histogram, 0, min(n/2, 64))
	for range n / 2 {
		h = append(h, Bin{Low: uint32(r.number()), Count: uint32(r.number())})
	}
	return h
}
