package ring

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// built is one packet of a built block.
type built struct {
	frame     []byte
	wire      int // 0 is len(frame)
	gap       int // bytes between header and frame
	direction Direction
	status    uint32
	tci, tpid uint16
}

// build lays packets out as the kernel does.
func build(packets ...built) []byte {
	b := make([]byte, blockHeader)
	ne := binary.NativeEndian
	ne.PutUint32(b[blockStatus:], statusUser)
	ne.PutUint32(b[blockPackets:], uint32(len(packets)))
	ne.PutUint32(b[blockFirst:], blockHeader)
	for i, p := range packets {
		h := make([]byte, packetHeader+p.gap, packetHeader+p.gap+len(p.frame)+8)
		h = append(h, p.frame...)
		h = append(h, make([]byte, -len(h)&7)...)
		if i < len(packets)-1 {
			ne.PutUint32(h[packetNext:], uint32(len(h)))
		}
		ne.PutUint32(h[packetSec:], 1_700_000_000)
		ne.PutUint32(h[packetNsec:], uint32(i))
		ne.PutUint32(h[packetSnapLen:], uint32(len(p.frame)))
		ne.PutUint32(h[packetLen:], uint32(max(p.wire, len(p.frame))))
		ne.PutUint32(h[packetStatus:], statusUser|p.status)
		ne.PutUint16(h[packetMAC:], uint16(packetHeader+p.gap))
		ne.PutUint32(h[packetVLANTCI:], uint32(p.tci))
		ne.PutUint16(h[packetVLANTPID:], p.tpid)
		h[packetDirection] = byte(p.direction)
		b = append(b, h...)
	}
	ne.PutUint32(b[blockUsed:], uint32(len(b)))
	return b
}

// walk reads a block to its end; data is copied.
func walk(b *Block, data []byte) []Packet {
	b.reset(data)
	var out []Packet
	for p := new(Packet); b.Next(p); p = new(Packet) {
		p.Data = bytes.Clone(p.Data)
		out = append(out, *p)
	}
	return out
}

const frameText = "ABCDEFabcdef\x08\x00payload"

func TestBlock(t *testing.T) {
	frame := []byte(frameText)
	tagged := []byte("ABCDEFabcdef\x88\xa8\x60\x05\x08\x00payload")
	tagged8100 := []byte("ABCDEFabcdef\x81\x00\x60\x05\x08\x00payload")
	const stripped, withTPID = statusVLANValid, statusVLANValid | statusVLANTPIDValid
	tests := []struct {
		name  string
		block Block
		in    built
		data  []byte // nil: no packet
		wire  int
	}{
		{"plain", Block{link: packet.LinkEthernet}, built{frame: frame}, frame, len(frame)},
		{"cut by the kernel", Block{link: packet.LinkEthernet}, built{frame: frame, wire: 1500}, frame, 1500},
		{"cut here", Block{link: packet.LinkEthernet, snap: 10}, built{frame: frame}, frame[:10], len(frame)},
		{"tag put back", Block{link: packet.LinkEthernet}, built{frame: frame, gap: 14, status: withTPID, tci: 0x6005, tpid: 0x88a8}, tagged, len(tagged)},
		{"tag of an old kernel", Block{link: packet.LinkEthernet}, built{frame: frame, gap: 4, status: stripped, tci: 0x6005}, tagged8100, len(tagged)},
		{"tag, then cut", Block{link: packet.LinkEthernet, snap: 14}, built{frame: frame, gap: 4, status: withTPID, tci: 0x6005, tpid: 0x88a8}, tagged[:14], len(tagged)},
		{"tag of a frame cut by the kernel", Block{link: packet.LinkEthernet}, built{frame: frame, wire: 1500, gap: 14, status: withTPID, tci: 0x6005, tpid: 0x88a8}, tagged, 1504},
		{"no room for the tag", Block{link: packet.LinkEthernet}, built{frame: frame, gap: 3, status: stripped, tci: 0x6005}, frame, len(frame)},
		{"frame shorter than addresses", Block{link: packet.LinkEthernet}, built{frame: frame[:11], gap: 14, status: stripped, tci: 0x6005}, frame[:11], 11},
		{"not Ethernet", Block{link: packet.LinkRaw}, built{frame: frame, gap: 14, status: stripped, tci: 0x6005}, frame, len(frame)},
		{"outgoing left out", Block{link: packet.LinkEthernet}, built{frame: frame, direction: Outgoing}, nil, 0},
		{"outgoing wanted", Block{link: packet.LinkEthernet, outgoing: true}, built{frame: frame, direction: Outgoing}, frame, len(frame)},
		{"empty frame", Block{link: packet.LinkEthernet}, built{frame: []byte{}}, []byte{}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := test.block
			got := walk(&b, build(test.in))
			if b.malformed {
				t.Fatal("a block as the kernel writes it is said to be malformed")
			}
			if test.data == nil {
				if len(got) != 0 {
					t.Fatalf("got %d packets, want none", len(got))
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("got %d packets, want 1", len(got))
			}
			p := got[0]
			if !bytes.Equal(p.Data, test.data) || p.WireLen != test.wire {
				t.Errorf("got %q of %d bytes on the wire, want %q of %d", p.Data, p.WireLen, test.data, test.wire)
			}
			if p.Time != proto.Time(1_700_000_000_000_000_000) || p.LinkType != test.block.link || p.Direction != test.in.direction {
				t.Errorf("got time %d, link %d, direction %d", p.Time, p.LinkType, p.Direction)
			}
			if p.Stripped != (test.in.status != 0) || p.VLANTCI != test.in.tci {
				t.Errorf("got stripped %v, TCI %#x; want TCI %#x", p.Stripped, p.VLANTCI, test.in.tci)
			}
		})
	}
}

// TestBlockHostile damages a block of three packets in one field at a time.
func TestBlockHostile(t *testing.T) {
	const at = blockHeader // of the first packet
	good := func() []byte {
		return build(built{frame: []byte(frameText)}, built{frame: []byte("second frame..")}, built{frame: []byte("third")})
	}
	size := len(good())
	second := at + int(binary.NativeEndian.Uint32(good()[at+packetNext:]))
	third := second + int(binary.NativeEndian.Uint32(good()[second+packetNext:]))
	tests := []struct {
		name  string
		put   func(b []byte)
		whole int // packets before the damage
	}{
		{"used too long", func(b []byte) { put32(b, blockUsed, uint32(size+1)) }, 0},
		{"used shorter than the header", func(b []byte) { put32(b, blockUsed, blockHeader-1) }, 0},
		{"used cuts the third packet", func(b []byte) { put32(b, blockUsed, uint32(size-8)) }, 2},
		{"more packets than fit", func(b []byte) { put32(b, blockPackets, 1<<31) }, 0},
		{"first before the header's end", func(b []byte) { put32(b, blockFirst, 8) }, 0},
		{"first behind the end", func(b []byte) { put32(b, blockFirst, 1<<31) }, 0},
		{"first at the end", func(b []byte) { put32(b, blockFirst, uint32(size)) }, 0},
		{"next to itself", func(b []byte) { put32(b, at+packetNext, 0) }, 0},
		{"next into the header", func(b []byte) { put32(b, at+packetNext, packetHeader-1) }, 0},
		{"next behind the end", func(b []byte) { put32(b, at+packetNext, 1<<31) }, 0},
		{"next cuts the frame", func(b []byte) { put32(b, at+packetNext, packetHeader) }, 0},
		{"frame into the header", func(b []byte) { put16(b, at+packetMAC, packetHeader-1) }, 0},
		{"frame behind the end", func(b []byte) { put16(b, at+packetMAC, 0xffff) }, 0},
		{"frame longer than the packet", func(b []byte) { put32(b, at+packetSnapLen, 1<<31) }, 0},
		{"lengths that overflow 32 bits", func(b []byte) { put32(b, at+packetSnapLen, 1<<32-1) }, 0},
		{"last frame too long", func(b []byte) { put32(b, third+packetSnapLen, 13) }, 2},
		{"nanoseconds", func(b []byte) { put32(b, third+packetNsec, 1e9) }, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := good()
			test.put(data)
			var b Block
			if got := walk(&b, data); len(got) != test.whole {
				t.Errorf("got %d packets, want the %d before the damage", len(got), test.whole)
			}
			if !b.malformed {
				t.Error("the damage is not counted")
			}
		})
	}
	var b Block
	if got := walk(&b, good()); len(got) != 3 || b.malformed {
		t.Errorf("the undamaged block gives %d packets, malformed %v", len(got), b.malformed)
	}
	if b.reset(good()[:blockHeader-1]); !b.malformed {
		t.Error("a block shorter than its header is not counted")
	}
	if got := walk(&b, build()); len(got) != 0 || b.malformed {
		t.Errorf("an empty block gives %d packets, malformed %v", len(got), b.malformed)
	}
}

func put32(b []byte, at int, v uint32) { binary.NativeEndian.PutUint32(b[at:], v) }
func put16(b []byte, at int, v uint16) { binary.NativeEndian.PutUint16(b[at:], v) }

func TestBlockAllocatesNothing(t *testing.T) {
	data := build(built{frame: []byte(frameText)}, built{frame: []byte(frameText), gap: 14, status: statusVLANValid})
	b := Block{link: packet.LinkEthernet}
	var p Packet
	n := testing.AllocsPerRun(100, func() {
		b.reset(data)
		for b.Next(&p) {
		}
	})
	if n != 0 {
		t.Errorf("reading a block allocates %v times", n)
	}
}

// FuzzBlock: whatever the bytes, no panic, no data from outside the block, no
// more packets than have room.
func FuzzBlock(f *testing.F) {
	f.Add(build(built{frame: []byte(frameText)}), 0, true)
	f.Add(build(built{frame: []byte(frameText), gap: 14, status: statusVLANValid, tci: 5}, built{frame: []byte("x"), direction: Outgoing}), 12, false)
	f.Fuzz(func(t *testing.T, data []byte, snap int, ethernet bool) {
		b := Block{snap: snap, outgoing: true}
		if ethernet {
			b.link = packet.LinkEthernet
		}
		b.reset(data)
		var p Packet
		n := 0
		for b.Next(&p) {
			n++
			if p.WireLen < len(p.Data) || cap(p.Data) != len(p.Data) || snap > 0 && len(p.Data) > snap {
				t.Fatalf("%d bytes of capacity %d, %d on the wire, snap length %d", len(p.Data), cap(p.Data), p.WireLen, snap)
			}
		}
		if n*packetHeader > len(data) {
			t.Fatalf("%d packets from %d bytes", n, len(data))
		}
	})
}

func BenchmarkBlock(b *testing.B) {
	packets := make([]built, 1000)
	for i := range packets {
		packets[i] = built{frame: make([]byte, 700), gap: 14}
	}
	data := build(packets...)
	block := Block{link: packet.LinkEthernet}
	var p Packet
	for b.Loop() {
		block.reset(data)
		for block.Next(&p) {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/packet")
}

func TestValidate(t *testing.T) {
	good := Default()
	good.Interface = "mirror0"
	if err := good.Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	bad := Config{
		BlockBytes: 5000, Blocks: 1, BlockTimeout: 1500 * time.Microsecond, SnapLen: -1,
		Filter: make([]bpf.RawInstruction, maxFilter+1),
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("nothing is refused")
	}
	for _, part := range []string{"interface:", "block bytes: 5000", "blocks: 1:", "block timeout: 1.5ms", "snap length: -1", "filter: 4097"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
	good.Blocks = 1 << 20
	if err := good.Validate(); err == nil || !strings.Contains(err.Error(), "take fewer") {
		t.Errorf("a ring of a terabyte: %v", err)
	}
	if _, err := Open(bad); err == nil {
		t.Error("Open takes what Validate refuses")
	}
}
