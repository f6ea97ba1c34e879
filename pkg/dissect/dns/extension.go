package dns

import (
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// flags tells what a server says of its answer.
func flags(a *proto.Attributes, m *message) {
	for _, x := range [...]struct {
		bit  uint16
		name string
	}{{flagAuthoritative, "authoritative"}, {flagCut, "truncated"}, {flagRecursion, "recursion"}} {
		if m.response() && m.flags&x.bit != 0 {
			a.Set(x.name, "true")
		}
	}
}

// The fields of an OPT record (RFC 6891 6.1.2) stand where others have class and
// time to live: the bytes that the sender takes in one datagram, then the upper
// bits of the result, a version and flags.
const (
	typeOPT     = 41
	flagDNSSEC  = 0x8000
	maxExtended = 0xff0
)

// extendedCodes are the results beyond the header's four bits.
var extendedCodes = map[int]string{16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", 23: "BADCOOKIE"}

// options tells what the sender can do beyond the old protocol.
func options(a *proto.Attributes, m *message, off int) {
	if m.counts[3] == 0 {
		return
	}
	var r record
	for i := range min(m.counts[1]+m.counts[2]+m.counts[3], maxRecords) {
		var ok bool
		if off, ok = m.record(off, &r); !ok {
			return
		}
		if i < m.counts[1]+m.counts[2] || r.kind != typeOPT {
			continue
		}
		a.Set("edns_version", strconv.Itoa(int(r.ttl>>16&0xff)))
		a.Set("edns_udp_bytes", strconv.Itoa(int(r.class)))
		if r.ttl&flagDNSSEC != 0 {
			a.Set("dnssec_ok", "true")
		}
		if code := int(r.ttl>>20)&maxExtended | int(m.rcode()); m.response() && code > 15 {
			name := extendedCodes[code]
			if name == "" {
				name = "RCODE" + strconv.Itoa(code)
			}
			a.Set("rcode", name)
		}
		return
	}
}

// operate tells that a server was notified of a zone's change, or is asked to
// change one; the addresses that a host registers for its name are told as those
// of an answer.
func (q *question) operate(c *dissector.Context, m *message, n *name, r *record) {
	f := dissector.Fact{Kind: "notify", Subject: dissector.Subject{Side: c.Side}}
	if m.opcode() == opUpdate {
		f.Kind = "update"
	}
	a := &f.Attributes
	a.Set("role", "client")
	if m.response() {
		f.Kind += "_response"
		a.Set("role", "server")
		a.Set("rcode", rcodeNames[m.rcode()])
	}
	q.shape(a, n, global)
	c.Emit(&f)
	if m.opcode() == opUpdate && !m.response() {
		// The sections are zone, prerequisites, updates (RFC 2136 2).
		off := q.off
		for range min(m.counts[1], maxRecords) {
			var ok bool
			if off, ok = m.record(off, r); !ok {
				c.Count("dns_record_malformed")
				return
			}
		}
		updates := *m
		updates.counts[1] = m.counts[2]
		hosts(c, &updates, off, r, global)
	}
}
