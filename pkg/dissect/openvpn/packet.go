package openvpn

import (
	"bytes"
	"encoding/binary"
)

// The kinds of packets, in the upper five bits of the first byte; below them is the
// number of the key.
const (
	resetClientV1 = 1
	resetServerV1 = 2
	softReset     = 3
	control       = 4
	acknowledge   = 5
	dataV1        = 6
	resetClientV2 = 7
	resetServerV2 = 8
	dataV2        = 9
	resetClientV3 = 10
	controlWKC    = 11
)

const (
	session  = 8 // bytes of a session's number
	replay   = 8 // behind an HMAC: a number (4), the time (4)
	maxAcks  = 8
	maxBegun = 4 // the highest number of a client's first packets
)

// digests are the sizes of the HMAC: none, MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
var digests = [...]int{0, 16, 20, 28, 32, 48, 64}

// packet is a control packet; slices point into it.
//
//	kind and key (1) | session (8) | HMAC, number, time | n (1) | n acknowledged (4 each) | the other's session (8), where n | number (4) | payload
type packet struct {
	kind, key byte
	session   []byte
	replay    uint32
	acks      int
	other     []byte // whose packets are acknowledged
	number    uint32 // not of an acknowledgement
	payload   []byte
}

// read takes b apart, with an HMAC of so many bytes.
func read(b []byte, hmac int) (p packet, ok bool) {
	at := 1 + session
	if hmac > 0 {
		at += hmac + replay
	}
	if len(b) <= at {
		return p, false
	}
	p.kind, p.key, p.session, p.acks = b[0]>>3, b[0]&7, b[1:1+session], int(b[at])
	if hmac > 0 {
		p.replay = binary.BigEndian.Uint32(b[1+session+hmac:])
	}
	at++
	if p.acks > maxAcks || bytes.Count(p.session, []byte{0}) == session {
		return p, false
	}
	if p.acks > 0 {
		at += 4 * p.acks
		if len(b) < at+session {
			return p, false
		}
		p.other = b[at : at+session]
		at += session
	}
	if p.kind == acknowledge {
		return p, p.acks > 0 && len(b) == at
	}
	if len(b) < at+4 {
		return p, false
	}
	p.number, p.payload = binary.BigEndian.Uint32(b[at:]), b[at+4:]
	return p, true
}

// reset reads a hard reset: the first packet of a side, which carries nothing. Of the
// layouts at most one fits.
func reset(b []byte) (p packet, hmac int, ok bool) {
	if len(b) < 1+session+1+4 || len(b) > 160 || b[0]&7 != 0 {
		return p, 0, false
	}
	client := b[0]>>3 == resetClientV2 || b[0]>>3 == resetClientV3 || b[0]>>3 == resetClientV1
	if !client && b[0]>>3 != resetServerV2 && b[0]>>3 != resetServerV1 {
		return p, 0, false
	}
	for _, hmac = range digests {
		p, ok = read(b, hmac)
		if ok && p.number == 0 && len(p.payload) == 0 && (p.acks == 0 || !client) && (hmac == 0 || p.replay <= maxBegun || !client) {
			return p, hmac, true
		}
	}
	return p, 0, false
}
