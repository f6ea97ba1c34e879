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
// touches fills the first 128 bytes, two lines of a cache; the rest is a third. What
// only some flows have is kept beside, as more.
type Entry struct {
	key            key
	flags          uint16
	class          class
	turns          uint8 // messages of either side before there is a sketch, four bits each
	ends           [2]tcpState
	start, end     proto.Time // of the part; end is of the flow while the part is empty
	bytes, payload [2]uint64  // of the part, by side
	packets        [2]uint32
	tick           uint32    // of the last packet, for the timeouts
	said           uint32    // when payload last came, in ticks of saidBits
	next           [2]uint32 // the number behind the last byte sent, where numbered
	ttl            [2]uint8  // of each side's first packet
	Light          uint16    // the receiver's own; the table never looks at it
	App            uint32    // the same

	links            [2]link // in the list of its class, and in that of open parts
	isn              uint32  // the SYN's sequence number, where hasISN
	part             uint32
	FlowID           proto.ID // constant over all parts
	srcMAC, dstMAC   proto.MAC
	srcPort, dstPort uint16
	more             ref // what there is more of it; 0 for nothing
}

// The flags of an Entry.
const (
	srcIsLow    uint16 = 1 << iota // the side that opened is the low end of the key
	srcTalked                      // has sent a packet
	dstTalked                      //
	hasPayload                     // some payload was carried
	dstFirst                       // dst sent the first of it
	hasISN                         // isn is known
	fresh                          // the packet just added was its side's first
	openPart                       // in the list of open parts
	knownSrc                       // who opened is known, not only who spoke first
	srcNumbered                    // next is known of src
	dstNumbered                    //
	hasAck                         // what one side acknowledges of the other, which was not seen, is that one's next
	ackMoved                       // and it has grown: what it acknowledges went another way
	twoPaths                       // a side's packets came by two ways
	dstSaid                        // dst has sent the payload that came last
	answering                      // a SYN-ACK waits for its answer
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

// SrcTTL is the hop limit of the first packet of the side that opened the flow; 0
// while it has sent none.
func (e *Entry) SrcTTL() uint8 { return e.ttl[0] }

// DstTTL is that of the other side.
func (e *Entry) DstTTL() uint8 { return e.ttl[1] }

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
	e.flags &^= fresh
	if talked := srcTalked << side; e.flags&talked == 0 {
		e.flags |= talked | fresh
		e.ttl[side] = h.TTL
		// The side's own packets know its hardware address best: what was sent to
		// it may have gone to a virtual router's.
		if side == 1 && !h.SrcMAC.IsZero() {
			e.dstMAC = h.SrcMAC
		} else if side == 0 && !h.SrcMAC.IsZero() {
			e.srcMAC = h.SrcMAC
		}
	} else if e.elsewhere(h, side) {
		e.flags |= twoPaths
	}
	if h.PayloadLen > 0 && e.flags&hasPayload == 0 {
		e.flags |= hasPayload
		if side == 1 {
			e.flags |= dstFirst
		}
	}
}

// elsewhere reports that a packet of a side came by another way than its first:
// from another hardware address, with another hop limit.
func (e *Entry) elsewhere(h *packet.Headers, side int) bool {
	if h.TTL == e.ttl[side] {
		return false
	}
	mac := e.srcMAC
	if side == 1 {
		mac = e.dstMAC
	}
	return h.SrcMAC != mac && !h.SrcMAC.IsZero()
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

// firstPayload tells which side sent the first payload: "src", "dst" or "".
func (e *Entry) firstPayload() string {
	switch e.flags & (hasPayload | dstFirst) {
	case hasPayload:
		return proto.BySrc
	case hasPayload | dstFirst:
		return proto.ByDst
	}
	return ""
}

// record fills f with the part at hand, and starts the next one.
func (t *Table) record(e *Entry, f *proto.Flow, final bool) {
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
	f.FirstPayload = e.firstPayload()
	f.Path = e.path()
	if e.more != 0 {
		t.tell(t.more.At(e.more), f, final)
	}
	e.part++
	e.packets, e.bytes, e.payload = [2]uint32{}, [2]uint64{}, [2]uint64{}
}

// path tells what is odd about the way of the packets. One that only one side has
// sent, and of which it says that it has got what was never seen, is only half of
// what there is.
func (e *Entry) path() proto.Strings {
	asymmetric := e.flags&ackMoved != 0 && e.flags&(srcTalked|dstTalked) != srcTalked|dstTalked
	switch {
	case asymmetric && e.flags&twoPaths != 0:
		return proto.Strings{proto.PathAsymmetric, proto.PathTwo}
	case asymmetric:
		return proto.Strings{proto.PathAsymmetric}
	case e.flags&twoPaths != 0:
		return proto.Strings{proto.PathTwo}
	}
	return nil
}
