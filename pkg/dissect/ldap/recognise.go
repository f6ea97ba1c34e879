// Package ldap dissects LDAP (RFC 4511, RFC 4513) and CLDAP (MS-ADTS 6.3.3): who binds
// how and whether that succeeds, what a directory server says of itself (the root DSE,
// the answer to a netlogon ping: domain, host, site), and what is asked how often.
//
// Here live the messages and the few attributes that are looked for. Distinguished
// names, filters, entries, passwords and texts of errors never leave. What NTLM and
// Kerberos tokens say, their packages tell. After StartTLS the connection is
// pkg/dissect/tls's; behind SASL's protection nothing is read.
package ldap

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/ber"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
)

// Protocol is LDAP over TCP and CLDAP over UDP.
var Protocol = dissector.Protocol{
	Name: "ldap", Ports: []uint16{389, 3268},
	Datagram:  datagram,
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// Operations, which are application tags (RFC 4511 4.2 to 4.14).
const (
	bindRequest     = 0
	bindResponse    = 1
	unbind          = 2
	search          = 3
	entry           = 4
	searchDone      = 5
	modify          = 6
	add             = 8
	remove          = 10
	modifyDN        = 12
	compare         = 14
	abandon         = 16
	reference       = 19
	extended        = 23
	extendedAnswer  = 24
	maxOperation    = 25
	maxMessage      = 16 << 20 // of any that is believed
	maxMessageIDLen = 5
)

// operations are the requests by name.
var operations = map[uint32]string{
	bindRequest: "bind", unbind: "unbind", search: "search", modify: "modify", add: "add", remove: "delete", modifyDN: "modify_dn", compare: "compare", abandon: "abandon", extended: "extended",
}

// size is a message's, a sequence.
func size(b []byte, _ bool) int {
	if b[0] != 0x30 {
		return -1
	}
	_, head, length, ok := ber.Header(b)
	switch {
	case !ok, length > maxMessage:
		return -1
	case head == 0:
		return 0
	case length < 5: // an id and an operation
		return -1
	}
	return head + int(length)
}

// recognise wants the beginning of a message: a sequence, an id, and an operation that
// begins as its kind does and ends where the message or its controls do.
//
//	30 len | 02 len id | 60..79 or 42, 4a, 50 len | ... | [a0 controls]
func recognise(b []byte, _ bool) dissector.Verdict {
	total, v := framing.Judge(b, size)
	if v != dissector.Yes {
		return v
	}
	_, head, _, _ := ber.Header(b)
	rest := b[head:]
	left := int64(total - head)
	id, n, length, ok := ber.Header(rest)
	switch {
	case !ok || len(rest) > 0 && !id.Is(ber.Universal, ber.Integer), n > 0 && (length == 0 || length > maxMessageIDLen):
		return dissector.No
	case n == 0 || int64(len(rest)) < int64(n)+length:
		return dissector.More
	}
	rest, left = rest[n+int(length):], left-int64(n)-length
	op, n, length, ok := ber.Header(rest)
	if !ok || len(rest) > 0 && !plausible(op) {
		return dissector.No
	}
	if n == 0 {
		return dissector.More
	}
	if left -= int64(n) + length; left < 0 || left == 1 || left > 0 && op.Tag == unbind {
		return dissector.No
	}
	return content(op, rest[n:], length)
}

// plausible holds for the operations there are.
func plausible(op ber.Value) bool {
	primitive := op.Tag == unbind || op.Tag == remove || op.Tag == abandon
	known := op.Tag <= abandon && op.Tag != 13+4 || op.Tag == reference || op.Tag >= extended && op.Tag <= maxOperation
	return op.Class == ber.Application && known && op.Constructed == !primitive
}

// content judges the first bytes of an operation.
func content(op ber.Value, b []byte, length int64) dissector.Verdict {
	var want []byte
	switch op.Tag {
	case unbind:
		if length == 0 {
			return dissector.Yes
		}
		return dissector.No
	case bindRequest:
		want = []byte{2, 1}
	case bindResponse, searchDone, 7, 9, 11, 13, 15, extendedAnswer:
		want = []byte{0x0a, 1}
	case search, entry, modify, add, modifyDN, compare, reference:
		want = []byte{4}
	case extended:
		want = []byte{0x80}
	default: // an abandoned id, a deleted name, an intermediate answer
		if length < 1 || op.Tag == abandon && length > maxMessageIDLen {
			return dissector.No
		}
		return dissector.Yes
	}
	n := min(len(b), len(want))
	switch {
	case length < int64(len(want)) || !bytes.Equal(b[:n], want[:n]):
		return dissector.No
	case n < len(want):
		return dissector.More
	}
	if op.Tag == bindRequest { // of version 2 or 3
		if len(b) < 3 {
			return dissector.More
		}
		if b[2] != 2 && b[2] != 3 {
			return dissector.No
		}
	}
	return dissector.Yes
}
