package flow

import (
	"encoding/binary"
	"net/netip"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// Entry is one live flow. It is valid until its final part has been emitted. The
// fields that are not exported are laid out for size, and without pointers: a
// network has many flows that are one packet and then silence. What every packet
// touches fills the first 128 bytes, two lines of a cache.
type Entry struct {
	key              key
	flags            uint16
	class            class
	ends             [2]tcpState
	Light            uint8      // the receiver's own; the table never looks at it
	start, end       proto.Time // of the part; end is of the flow while the part is empty
	bytes, payload   [2]uint64  // of the part, by side
	packets          [2]uint32
	links            [2]link // in the list of its class, and in that of open parts
	tick             uint32  // of the last packet, for the timeouts
	part             uint32
	isn              uint32   // the SYN's sequence number, where hasISN
	FlowID           proto.ID // constant over all parts
	srcMAC, dstMAC   proto.MAC
	srcPort, dstPort uint16
	App              uint32 // what the receiver keeps of the flow; the table never looks at it
	Mute             bool   // the receiver's own mark
}

// The flags of an Entry.
const (
	srcIsLow   uint16 = 1 << iota // the side that opened is the low end of the key
	srcTalked                     // has sent a packet
	dstTalked                     //
	hasPayload                    // some payload was carried
	hasISN                        // isn is known
	fresh                         // the packet just added was its side's first
	openPart                      // in the list of open parts
	knownSrc                      // who opened is known, not only who spoke first
)

// SrcIP is the address of the side that opened the flow.
func (e *Entry) SrcIP() netip.Addr { return e.key.addr(e.flags&srcIsLow == 0) }

// DstIP is the address of the other side.
func (e *Entry) DstIP() netip.Addr { return e.key.addr(e.flags&srcIsLow != 0) }

// SrcPort is the port of the side that opened the flow; for ICMP the type.
func (e *Entry) SrcPort() uint16 { return e.srcPort }

// DstPort is the port of the other side; for ICMP the code.
func (e *Entry) DstPort() uint16 { return e.dstPort }

// SrcMAC is the hardware address that the opening side's packets carry.
func (e *Entry) SrcMAC() proto.MAC { return e.srcMAC }

// DstMAC is that of the other side: from its own packets, or while it has sent
// none, from those to it.
func (e *Entry) DstMAC() proto.MAC { return e.dstMAC }

// Transport is the flow's transport.
func (e *Entry) Transport() proto.Transport { return proto.Transport(e.key[keyProto]) }

// VLAN is the outermost tag.
func (e *Entry) VLAN() proto.VLAN { return proto.VLAN(binary.BigEndian.Uint16(e.key[keyVLAN:])) }

// Handshake reports that the flow's SYN, or the SYN-ACK to it, was seen: what
// follows begins at the beginning.
func (e *Entry) Handshake() bool { return e.flags&hasISN != 0 }

// ISN is the number of the SYN that opened the flow.
func (e *Entry) ISN() (isn uint32, known bool) { return e.isn, e.flags&hasISN != 0 }

// Fresh reports that the packet just added was the first of its side.
func (e *Entry) Fresh() bool { return e.flags&fresh != 0 }

// Answered reports that both sides have sent something.
func (e *Entry) Answered() bool { return e.flags&(srcTalked|dstTalked) == srcTalked|dstTalked }

// HasPayload reports that some payload was carried.
func (e *Entry) HasPayload() bool { return e.flags&hasPayload != 0 }

// State is the connection state so far, by Zeek's names.
func (e *Entry) State() string {
	talked := [2]bool{e.flags&srcTalked != 0, e.flags&dstTalked != 0}
	return stateName(e.Transport(), e.ends, talked, e.HasPayload())
}

// begin makes a new entry of its first packet. Where that is midway in a
// connection, asleep may still know who had opened it.
func (e *Entry) begin(k key, srcLow bool, h *packet.Headers, asleep *sleepers) {
	e.key = k
	e.srcPort, e.dstPort, e.srcMAC, e.dstMAC = h.SrcPort, h.DstPort, h.SrcMAC, h.DstMAC
	opened := srcLow
	if h.Transport == proto.TCP {
		switch h.TCPFlags & (packet.SYN | packet.ACK) {
		case packet.SYN:
			e.isn = h.Seq
			e.flags |= hasISN | knownSrc
		case packet.SYN | packet.ACK: // the other side has opened, unseen
			e.isn = h.Ack - 1
			e.flags |= hasISN | knownSrc
			opened = !srcLow
		default:
			if low, known := asleep.wake(&k); known {
				e.flags |= knownSrc
				opened = low
			}
		}
	}
	if opened != srcLow {
		e.srcPort, e.dstPort, e.srcMAC, e.dstMAC = h.DstPort, h.SrcPort, h.DstMAC, h.SrcMAC
	}
	if opened {
		e.flags |= srcIsLow
	}
}

// add counts a packet of one side, 0 being the one that opened the flow.
func (e *Entry) add(h *packet.Headers, side int) {
	if e.packets == [2]uint32{} {
		e.start = h.Time
	} else {
		e.start = min(e.start, h.Time)
	}
	e.end = max(e.end, h.Time)
	e.packets[side] += uint32(h.Packets)
	e.bytes[side] += uint64(h.IPBytes)
	e.payload[side] += uint64(h.PayloadLen)
	if h.PayloadLen > 0 {
		e.flags |= hasPayload
	}
	e.flags &^= fresh
	if talked := srcTalked << side; e.flags&talked == 0 {
		e.flags |= talked | fresh
		// The side's own packets know its hardware address best: what was sent to
		// it may have gone to a virtual router's.
		if side == 1 && !h.SrcMAC.IsZero() {
			e.dstMAC = h.SrcMAC
		} else if side == 0 && !h.SrcMAC.IsZero() {
			e.srcMAC = h.SrcMAC
		}
	}
	if h.Transport == proto.TCP {
		follow(&e.ends, side, h.TCPFlags)
	}
}

// reopens reports that h is the first packet of another connection between the
// same ports: a SYN with a number of its own, where the connection at hand is
// over or was joined midway, or has been established with another number.
func (e *Entry) reopens(h *packet.Headers, side int) bool {
	if h.Transport != proto.TCP || h.TCPFlags&(packet.SYN|packet.ACK|packet.RST) != packet.SYN {
		return false
	}
	if side == 0 && e.flags&hasISN != 0 && h.Seq == e.isn {
		return false // sent again
	}
	switch {
	case over(e.ends), e.flags&hasISN == 0:
		return true
	case side == 0:
		return e.ends[0] != synSent || e.ends[1] != inactive // else another try at what nobody answered
	}
	return e.ends[1] == closed
}

// record fills f with the part at hand, and starts the next one.
func (e *Entry) record(f *proto.Flow, final bool) {
	if e.packets == [2]uint32{} {
		e.start = e.end
	}
	f.FlowID, f.Part, f.Final = e.FlowID, e.part, final
	f.Start, f.End = e.start, e.end
	f.Transport = e.Transport()
	f.SrcIP, f.SrcPort, f.SrcMAC = e.SrcIP(), e.srcPort, e.srcMAC
	f.DstIP, f.DstPort, f.DstMAC = e.DstIP(), e.dstPort, e.dstMAC
	f.SrcPackets, f.SrcBytes, f.SrcPayloadBytes = uint64(e.packets[0]), e.bytes[0], e.payload[0]
	f.DstPackets, f.DstBytes, f.DstPayloadBytes = uint64(e.packets[1]), e.bytes[1], e.payload[1]
	f.VLAN = e.VLAN()
	f.VLANInner = proto.VLAN(binary.BigEndian.Uint16(e.key[keyVLAN+2:]))
	f.State = e.State()
	f.CommunityID = e.key.community()
	e.part++
	e.packets, e.bytes, e.payload = [2]uint32{}, [2]uint64{}, [2]uint64{}
}
