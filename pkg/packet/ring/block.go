package ring

import (
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// A block, all in the byte order of the machine (linux/if_packet.h, struct
// tpacket_block_desc with tpacket_hdr_v1; Documentation/networking/packet_mmap.rst):
//
//	 0 version u32          4 offset of private area u32
//	 8 status u32          12 packets u32
//	16 first packet u32    20 bytes used, this header included, u32
//	24 sequence u64        32 first and last time stamp, 16 bytes
//	48 packets, each 8-aligned
const (
	blockStatus  = 8
	blockPackets = 12
	blockFirst   = 16
	blockUsed    = 20
	blockHeader  = 48
)

// A packet in a block (struct tpacket3_hdr, then struct sockaddr_ll at the next
// multiple of 16, then a gap, then the frame). Offsets are from its own start:
//
//	 0 next packet u32      4 seconds u32         8 nanoseconds u32
//	12 captured bytes u32  16 bytes on the wire u32
//	20 status u32          24 frame u16          26 network header u16
//	28 hash u32            32 VLAN TCI u32       36 VLAN TPID u16
//	48 sockaddr_ll: family u16, protocol be16, interface i32, hardware u16,
//	58              packet type u8, address length u8, address 8 bytes
const (
	packetNext      = 0
	packetSec       = 4
	packetNsec      = 8
	packetSnapLen   = 12
	packetLen       = 16
	packetStatus    = 20
	packetMAC       = 24
	packetVLANTCI   = 32
	packetVLANTPID  = 36
	packetDirection = 58
	packetHeader    = 68 // TPACKET3_HDRLEN
)

// Status bits of a block and a packet (TP_STATUS_* of linux/if_packet.h).
const (
	statusKernel        = 0
	statusUser          = 1 << 0
	statusVLANValid     = 1 << 4
	statusVLANTPIDValid = 1 << 6
)

const (
	etherAddresses = 12 // both addresses of an Ethernet header, before a tag
	vlanTag        = 4
	vlanTPID       = 0x8100 // IEEE 802.1Q
)

// Direction is the kernel's packet type (PACKET_* of linux/if_packet.h).
type Direction uint8

// The directions a frame can have.
const (
	ToHost    Direction = 0 // to this host's address
	Broadcast Direction = 1
	Multicast Direction = 2
	ToOther   Direction = 3 // between others: what a mirror port brings
	Outgoing  Direction = 4 // sent by this host
)

// Packet is one received frame. Data lies in the ring and is valid until the
// block's release: the next call of Ring.Next or Ring.Block. A VLAN tag that the
// kernel took off is in Data again where the link is Ethernet, as it was on the wire.
type Packet struct {
	Time     proto.Time // when the kernel received it, or the network card where it says so
	LinkType packet.LinkType
	WireLen  int // bytes on the wire, without the frame check sequence; at least len(Data)
	Data     []byte

	Direction Direction
	Stripped  bool   // the kernel had taken a VLAN tag off
	VLANTCI   uint16 // of that tag: priority, drop eligible, id (IEEE 802.1Q)
	VLANTPID  uint16 // of that tag: 0x8100, 0x88a8
}

// Block walks over the packets of one block of the ring, once.
type Block struct {
	data      []byte // header and what is used of the block
	link      packet.LinkType
	snap      int // 0 is none
	outgoing  bool
	offset    int
	left      int // packets not yet read
	malformed bool
}

// reset begins a block: all of its bytes, of which only what its header says is
// used, and only where that lies within.
func (b *Block) reset(data []byte) {
	b.data, b.left, b.malformed = nil, 0, true
	if len(data) < blockHeader {
		return
	}
	used := binary.NativeEndian.Uint32(data[blockUsed:])
	packets := binary.NativeEndian.Uint32(data[blockPackets:])
	first := binary.NativeEndian.Uint32(data[blockFirst:])
	if used < blockHeader || uint64(used) > uint64(len(data)) || packets > used/packetHeader {
		return
	}
	if packets > 0 && (first < blockHeader || first > used) {
		return
	}
	b.data, b.offset, b.left, b.malformed = data[:used], int(first), int(packets), false
}

// Next reads the next packet into p, allocating nothing, and says whether there
// was one. The kernel's offsets are believed only within the block; after one
// that leads out of it the rest of the block is left out and counted.
func (b *Block) Next(p *Packet) bool {
	for b.left > 0 {
		if !b.read(p) {
			b.left, b.malformed = 0, true
			return false
		}
		if b.outgoing || p.Direction != Outgoing {
			return true
		}
	}
	return false
}

func (b *Block) read(p *Packet) bool {
	h := b.data[b.offset:]
	if len(h) < packetHeader {
		return false
	}
	b.left--
	if b.left > 0 {
		next := binary.NativeEndian.Uint32(h[packetNext:])
		if next < packetHeader || uint64(next) > uint64(len(h)) {
			return false
		}
		h = h[:next]
		b.offset += int(next)
	}
	mac := int(binary.NativeEndian.Uint16(h[packetMAC:]))
	size := binary.NativeEndian.Uint32(h[packetSnapLen:])
	wire := binary.NativeEndian.Uint32(h[packetLen:])
	nsec := binary.NativeEndian.Uint32(h[packetNsec:])
	if mac < packetHeader || uint64(mac)+uint64(size) > uint64(len(h)) || nsec >= 1e9 {
		return false
	}
	p.Time = proto.Time(binary.NativeEndian.Uint32(h[packetSec:]))*1e9 + proto.Time(nsec)
	p.LinkType = b.link
	p.Direction = Direction(h[packetDirection])
	p.Data = h[mac : mac+int(size)]
	p.WireLen = int(wire)
	b.vlan(h, mac, p)
	p.WireLen = max(p.WireLen, len(p.Data))
	if b.snap > 0 && len(p.Data) > b.snap {
		p.Data = p.Data[:b.snap]
	}
	p.Data = p.Data[:len(p.Data):len(p.Data)]
	return true
}

// vlan reports a stripped tag and puts it back where it was: the addresses move
// into the gap before the frame, which Open reserves for it, and the tag takes
// their end. So a block can be walked only once.
func (b *Block) vlan(h []byte, mac int, p *Packet) {
	status := binary.NativeEndian.Uint32(h[packetStatus:])
	p.Stripped = status&statusVLANValid != 0
	if !p.Stripped {
		p.VLANTCI, p.VLANTPID = 0, 0
		return
	}
	p.VLANTCI = uint16(binary.NativeEndian.Uint32(h[packetVLANTCI:]))
	p.VLANTPID = vlanTPID
	if status&statusVLANTPIDValid != 0 {
		p.VLANTPID = binary.NativeEndian.Uint16(h[packetVLANTPID:])
	}
	if b.link != packet.LinkEthernet || len(p.Data) < etherAddresses || mac-vlanTag < packetHeader {
		return
	}
	frame := h[mac-vlanTag : mac+len(p.Data)]
	copy(frame, frame[vlanTag:vlanTag+etherAddresses])
	binary.BigEndian.PutUint16(frame[etherAddresses:], p.VLANTPID)
	binary.BigEndian.PutUint16(frame[etherAddresses+2:], p.VLANTCI)
	p.Data = frame
	p.WireLen += vlanTag
}
