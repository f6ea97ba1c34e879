// Package rtp recognises RTP and RTCP (RFC 3550), and the flows on which both share a
// port with STUN and DTLS (RFC 7983). Nothing is told of them but the label: what
// they carry is speech and pictures.
//
// The header of RTP has hardly a fixed bit. So a flow is RTP if another one announced
// it (SIP, RTSP), or if two packets of one source follow each other as they should.
package rtp

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
)

// Protocol is RTP, Control is RTCP.
var (
	Protocol = dissector.Protocol{Name: "rtp", Datagram: datagram}
	Control  = dissector.Protocol{Name: "rtcp", Datagram: control}
)

// Parts of an RTP packet (RFC 3550 5.1):
//
//	version 2, padding, extension, sources (1) | marker, type (1) | sequence (2) | time (4) | source (4) | ...
const (
	header       = 12
	version2     = 0x80
	versionMask  = 0xc0
	extensionBit = 0x10
	sourcesMask  = 0x0f
	maxStep      = 4       // packets of a source between two that are seen
	maxTime      = 1 << 21 // of its clock, between these: 20 s of 90 kHz
	minPicture   = 500     // bytes
	minMixed     = 40      // of the clock: 5 ms of 8 kHz
)

// datagram wants, on a flow that was announced, one packet; else a second one whose
// type, source, sequence and time fit the first one's.
func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	if known && shares(b) {
		return dissector.Yes
	}
	if !plausible(b) {
		return dissector.No
	}
	if known {
		return dissector.Yes
	}
	if c.Memo == nil {
		return dissector.No
	}
	memo := &c.Memo[c.Side&1]
	before := *memo
	*memo = remember(b)
	if before&1 == 0 || uint16(before)>>1 != uint16(*memo)>>1 || binary.BigEndian.Uint32(b[8:]) == 0 {
		return dissector.No
	}
	if step := uint16(*memo>>48) - uint16(before>>48); step == 0 || step > maxStep {
		return dissector.No
	}
	// The parts of a picture have one time. What a mixer made, with several sources,
	// begins as BACnet does (0x81), whose numbers hardly move.
	step := uint32(*memo>>16) - uint32(before>>16)
	if step > maxTime || step == 0 && len(b) < minPicture || step < minMixed && b[0]&sourcesMask != 0 {
		return dissector.No
	}
	return dissector.Yes
}

// remember is what is kept of a packet: sequence (16 bits) | time (32) | a hash of source
// and type (15) | that there was one (1).
func remember(b []byte) uint64 {
	sum := xxhash.Sum64(append([]byte{b[1] & 0x7f}, b[8:header]...))
	return uint64(binary.BigEndian.Uint16(b[2:]))<<48 | uint64(binary.BigEndian.Uint32(b[4:]))<<16 | sum&0xfffe | 1
}

// plausible holds for a header whose counts fit the packet, and whose type is none of
// those that RTCP would be taken for (RFC 5761 4).
func plausible(b []byte) bool {
	if len(b) < header || b[0]&versionMask != version2 {
		return false
	}
	if kind := b[1] & 0x7f; kind >= 64 && kind <= 95 {
		return false
	}
	n := header + 4*int(b[0]&0x0f)
	if len(b) < n {
		return false
	}
	if b[0]&extensionBit != 0 {
		if len(b) < n+4 || len(b) < n+4+4*int(binary.BigEndian.Uint16(b[n+2:])) {
			return false
		}
	}
	return len(b) > n
}

// shares holds for the other protocols that a flow of RTP may have on its ports
// (RFC 7983): STUN, ZRTP, DTLS, TURN's channels, RTCP.
func shares(b []byte) bool {
	x := b[0]
	return x <= 3 || x >= 16 && x <= 79 || len(b) >= 8 && x&versionMask == version2 && b[1] >= 192 && b[1] <= 223
}

// Types of RTCP packets (IANA, RTCP Control Packet Types).
const (
	senderReport   = 200
	receiverReport = 201
	firstType      = 192
	lastType       = 213
	feedback       = 205
	payload        = 206
	reportSize     = 28
	maxCompound    = 16
)

// control wants packets whose lengths fill the datagram, a report first or, alone,
// feedback (RFC 5506); a short one only on a flow that was announced.
func control(_ *dissector.Context, b []byte, known bool) dissector.Verdict {
	n, first := 0, byte(0)
	rest := b
	for len(rest) >= 4 && n < maxCompound {
		size := 4 + 4*int(binary.BigEndian.Uint16(rest[2:]))
		if rest[0]&versionMask != version2 || rest[1] < firstType || rest[1] > lastType || size > len(rest) || size < 8 {
			break
		}
		if n == 0 {
			first = rest[1]
		}
		n++
		rest = rest[size:]
	}
	switch {
	case n == 0:
		return dissector.No
	case known: // SRTCP has its index and tag behind it
		return dissector.Yes
	case secured(b):
		return dissector.Yes
	case len(rest) > 0:
		return dissector.No
	case first == senderReport && len(b) >= reportSize, first == receiverReport && n > 1, (first == feedback || first == payload) && n > 1:
		return dissector.Yes
	}
	return dissector.No
}

// secured holds for SRTCP (RFC 3711 3.4): a report of which the head is in clear, and at
// the end a bit that says so, a number that has not come far, and a tag of ten bytes.
func secured(b []byte) bool {
	const index, tag, clear = 4, 10, 8
	if len(b) < clear+index+tag || b[1] != senderReport && b[1] != receiverReport {
		return false
	}
	at := b[len(b)-index-tag:]
	return at[0] == 0x80 && at[1] == 0 && 4+4*int(binary.BigEndian.Uint16(b[2:])) <= len(b)-index-tag
}
