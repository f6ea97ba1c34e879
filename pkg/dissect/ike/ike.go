package ike

import (
	"bytes"
	"encoding/binary"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// Protocol is IKE, by the name of its first version.
var Protocol = dissector.Protocol{Name: "isakmp", Ports: []uint16{500, portNAT}, Datagram: datagram}

const portNAT = 4500 // where ESP is too, and IKE has four zeros before it

// The header: cookies of both (8 each) | next payload | version | exchange | flags |
// number (4) | length of all (4). A payload: next | reserved | length with this (2).
const (
	header  = 28
	payload = 4

	encrypted = 1 // flag of version 1

	certificateV1 = 6
	certificateV2 = 37
	sealed        = 46 // payloads of version 2 behind which all is encrypted
	sealedPart    = 53

	signature = 4 // kinds of certificates: X.509, to sign with and to exchange keys with
	exchange  = 5
)

// The bounds of one flow.
const (
	maxMessages = 32
	maxPayloads = 32 // of a message
	maxShown    = 8
)

// isIKE wants a cookie, a version, an exchange and a length that is the datagram's, with
// four zeros before it on port 4500 (RFC 2408 3.1, RFC 7296 3.1, RFC 3948 2.2).
func isIKE(c *dissector.Context, b []byte) (message []byte, ok bool) {
	if at(c, portNAT) && len(b) > 4 && bytes.Equal(b[:4], []byte{0, 0, 0, 0}) {
		b = b[4:]
	}
	if len(b) < header || bytes.Count(b[:16], []byte{0}) == 16 || binary.BigEndian.Uint32(b[24:]) != uint32(len(b)) {
		return nil, false
	}
	switch b[17] >> 4 {
	case 1:
		return b, b[18] <= 6 || b[18] >= 32 && b[18] <= 34 || b[18] == 243
	case 2:
		return b, b[18] >= 34 && b[18] <= 44 && b[19]&0xc7 == 0
	}
	return nil, false
}

func at(c *dissector.Context, port uint16) bool {
	return c.Headers.DstPort == port || c.Headers.SrcPort == port
}

// negotiation is what is kept of a flow until it is encrypted.
type negotiation struct {
	messages int
	shown    []string // SHA-256 of certificates that were told
}

// Size is about what is kept.
func (n *negotiation) Size() int { return 64 + 80*len(n.shown) }

// End has nothing to say.
func (n *negotiation) End(*dissector.Context) {}

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	m, ok := isIKE(c, b)
	if !ok {
		if known && at(c, portNAT) { // ESP, with which the negotiation is over, or a keep-alive
			if len(b) > 1 {
				c.Sink.Done()
			}
			return dissector.Yes
		}
		return dissector.No
	}
	n, _ := c.State.(*negotiation)
	if n == nil {
		n = new(negotiation)
		c.State = n
	}
	if n.messages++; n.read(c, m) || n.messages >= maxMessages {
		c.Sink.Done()
	}
	return dissector.Yes
}

// read goes over the payloads of a message; over says that from here on all is encrypted.
func (n *negotiation) read(c *dissector.Context, m []byte) (over bool) {
	next, version := m[16], m[17]>>4
	if version == 1 && m[19]&encrypted != 0 {
		return true
	}
	b := m[header:]
	for range maxPayloads {
		if version == 2 && (next == sealed || next == sealedPart) {
			return true
		}
		if next == 0 || len(b) < payload {
			return false
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < payload || size > len(b) {
			c.Count("isakmp_payload_malformed")
			return false
		}
		if version == 1 && next == certificateV1 || version == 2 && next == certificateV2 {
			n.certificate(c, m, b[payload:size])
		}
		next, b = b[0], b[size:]
	}
	return false
}

// certificate tells of one that is a machine's: kind (1) | X.509 (RFC 2408 3.9, RFC 7296 3.6).
func (n *negotiation) certificate(c *dissector.Context, m, b []byte) {
	if len(b) < 1 || b[0] != signature && b[0] != exchange || len(n.shown) >= maxShown {
		return // others are lists, references, or of another form
	}
	list, host, ok := tls.Certificate(b[1:])
	switch {
	case !ok:
		c.Count("isakmp_certificate_malformed")
		return
	case !host:
		c.Count("isakmp_certificate_withheld")
		return
	}
	sum := list.Get("certificate_sha256")
	for _, s := range n.shown {
		if s == sum {
			return
		}
	}
	n.shown = append(n.shown, sum)
	role := "server"
	if client := c.Side == dissector.Src; m[17]>>4 == 2 && m[19]&8 != 0 || m[17]>>4 == 1 && client {
		role = "client" // of version 2 a flag says who began
	}
	list.Set("role", role)
	c.Emit(&dissector.Fact{Kind: "certificate", Subject: dissector.Subject{Side: c.Side}, Attributes: list})
}
