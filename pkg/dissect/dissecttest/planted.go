package dissecttest

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardflow/wardflow/pkg/canary"
	"github.com/wardflow/wardflow/pkg/packet"
	"github.com/wardflow/wardflow/proto"
)

// PlantedDir is where the captures with planted secrets lie, from a package of
// pkg/dissect.
const PlantedDir = "../../../testdata/canaries"

// Planted keeps a protocol's packets that hold secrets as a capture file in
// testdata/canaries, with the secrets beside it, one a line: the tests of the whole
// system send them through and look for them everywhere. The file must be what the
// packets are; WARDFLOW_UPDATE_CANARIES=1 writes it anew. Each conversation gets ends
// of its own, so that no two are one flow.
func Planted(t *testing.T, name string, secrets []string, conversations ...[]packet.Headers) {
	t.Helper()
	var list []packet.Headers
	for i, conversation := range conversations {
		for _, h := range conversation {
			moveEnds(&h, name, i)
			list = append(list, h)
		}
	}
	var file bytes.Buffer
	file.Write(binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4))
	file.Write([]byte{2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	file.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 1<<18), 1))
	const begin = 1_767_225_600 // 2026-01-01
	for i := range list {
		b := frame(&list[i])
		head := binary.LittleEndian.AppendUint32(nil, begin+uint32(i/1000))
		head = binary.LittleEndian.AppendUint32(head, uint32(i%1000)*1000)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(b)))
		head = binary.LittleEndian.AppendUint32(head, uint32(len(b)))
		file.Write(head)
		file.Write(b)
	}
	if len(canary.Search(file.Bytes(), secrets)) == 0 {
		t.Fatalf("no secret stands in the packets of %s in one piece", name)
	}
	for suffix, want := range map[string][]byte{".pcap": file.Bytes(), ".txt": []byte(strings.Join(secrets, "\n") + "\n")} {
		path := filepath.Join(PlantedDir, name+suffix)
		if os.Getenv("WARDFLOW_UPDATE_CANARIES") != "" {
			if err := os.WriteFile(path, want, 0o644); err != nil { //nolint:gosec // test data, for everybody to read
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not what this test plants (%v): run it once with WARDFLOW_UPDATE_CANARIES=1", path, err)
		}
	}
}

// PlantedTalks is Planted for conversations with a server on a port: each as it is, with
// a segment lost, and joined in the middle.
func PlantedTalks(t *testing.T, name string, port uint16, secrets []string, list ...Conversation) {
	t.Helper()
	var planted [][]packet.Headers
	for _, c := range list {
		sizes := c.Sizes()
		n := sizes[0] + sizes[1]
		lossy := c.Cut(n/3, n/2).Segments(true)
		at := 2 + (len(lossy)-2)/2
		lossy = append(lossy[:at:at], lossy[at+1:]...)
		planted = append(planted, OnPort(port, c.Segments(true)), OnPort(port, lossy), OnPort(port, c.Cut(n / 3)[min(1, len(c)-1):].Segments(false)))
	}
	Planted(t, name, secrets, planted...)
}

// Datagrams are UDP packets of one side: each whole, and cut at two thirds.
func Datagrams(ports [2]uint16, list ...[]byte) []packet.Headers {
	var out []packet.Headers
	for _, b := range list {
		out = append(out, Datagram(0, ports, b), Datagram(0, ports, b[:len(b)*2/3]))
	}
	return out
}

// moveEnds gives the invented ends other addresses, by the name and number of the
// conversation.
func moveEnds(h *packet.Headers, name string, number int) {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name))
	n := sum.Sum32()
	for _, a := range []*netip.Addr{&h.SrcIP, &h.DstIP} {
		for side, ip := range someEnds.IP {
			if *a == ip {
				*a = netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), byte(10 + 2*number + side)})
			}
		}
	}
	for _, m := range []*proto.MAC{&h.SrcMAC, &h.DstMAC} {
		for side, mac := range someEnds.MAC {
			if *m == mac {
				*m = proto.MAC{2, 0x77, byte(n >> 8), byte(n), byte(number), byte(side)}
			}
		}
	}
}

// frame writes the Ethernet frame that h describes: IPv4 or IPv6, TCP or UDP, or, without
// addresses, what follows the EtherType.
func frame(h *packet.Headers) []byte {
	b := append(append(append([]byte{}, h.DstMAC[:]...), h.SrcMAC[:]...), byte(h.EtherType>>8), byte(h.EtherType))
	if !h.IsIP() {
		if h.EtherType == 0 {
			b[12], b[13] = byte(len(h.LinkPayload)>>8), byte(len(h.LinkPayload))
		}
		return append(b, h.LinkPayload...)
	}
	body := transportOf(h)
	if h.SrcIP.Is4() {
		b[12], b[13] = 8, 0
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, hops(h), byte(h.Transport)
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(body)))
		src, dst := h.SrcIP.As4(), h.DstIP.As4()
		copy(ip[12:], src[:])
		copy(ip[16:], dst[:])
		return append(append(b, ip...), body...)
	}
	b[12], b[13] = 0x86, 0xdd
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, byte(h.Transport), hops(h)
	binary.BigEndian.PutUint16(ip[4:], uint16(len(body)))
	src, dst := h.SrcIP.As16(), h.DstIP.As16()
	copy(ip[8:], src[:])
	copy(ip[24:], dst[:])
	return append(append(b, ip...), body...)
}

func hops(h *packet.Headers) byte {
	if h.TTL == 0 {
		return 64
	}
	return h.TTL
}

func transportOf(h *packet.Headers) []byte {
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, h.SrcPort), h.DstPort)
	switch h.Transport {
	case proto.TCP:
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(ports, h.Seq), h.Ack)
		return append(append(b, 5<<4, h.TCPFlags, 0xff, 0xff, 0, 0, 0, 0), h.Payload...)
	case proto.UDP:
		b := binary.BigEndian.AppendUint16(ports, uint16(8+len(h.Payload)))
		return append(append(b, 0, 0), h.Payload...)
	}
	return append(append([]byte{}, h.Header...), h.Payload...)
}
