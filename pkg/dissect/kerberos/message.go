package kerberos

import (
	"bytes"

	"github.com/wardflow/wardflow/pkg/dissect/ber"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// Types of messages, which are their application tags too (RFC 4120 5.10).
const (
	asReq  = 10
	asRep  = 11
	tgsReq = 12
	tgsRep = 13
	apReq  = 14
	failed = 30
)

var kinds = map[uint32]string{asReq: "as_request", asRep: "as_response", tgsReq: "tgs_request", tgsRep: "tgs_response", apReq: "ap_request", failed: "error"}

// Types of preauthentication data (RFC 4120 5.2.7, RFC 4556, RFC 6113).
const (
	paTimestamp = 2
	paPKINIT    = 16
	paPKINITOld = 14
	paFAST      = 136
	paForUser   = 129 // S4U2self
)

// whole holds where b is one message: its tag, a sequence of that very length, the
// version 5 and the type of the tag. It gives the sequence's content.
//
//	6a..7e len | 30 len | a0 or a1 | 03 02 01 05 | a1 or a2 | 03 02 01 type | ...
func whole(b []byte) (kind uint32, body []byte, ok bool) {
	v, rest, ok := ber.Next(b)
	if !ok || len(rest) > 0 || v.Class != ber.Application || !v.Constructed || kinds[v.Tag] == "" {
		return 0, nil, false
	}
	seq, rest, ok := ber.Next(v.Body)
	if !ok || len(rest) > 0 || !seq.Is(ber.Universal, ber.Sequence) || !begins(seq.Body, v.Tag) {
		return 0, nil, false
	}
	return v.Tag, seq.Body, true
}

// begins holds where the first two fields are the version and the type.
func begins(b []byte, kind uint32) bool {
	first := uint32(0)
	if kind == asReq || kind == tgsReq {
		first = 1
	}
	const fields = 10
	return len(b) >= fields && b[0] == byte(0xa0+first) && bytes.Equal(b[1:5], []byte{3, 2, 1, 5}) && b[5] == byte(0xa1+first) && bytes.Equal(b[6:9], []byte{3, 2, 1}) && uint32(b[9]) == kind
}

// emit tells what a message says. seen keeps it from saying the same again.
func emit(c *dissector.Context, kind uint32, body []byte, seen *told) {
	f := dissector.Fact{Protocol: "kerberos", Kind: kinds[kind], Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	switch kind {
	case asReq, tgsReq:
		a.Set("role", "client")
		request(a, body)
	case asRep, tgsRep:
		a.Set("role", "server")
		response(a, body)
	case apReq:
		a.Set("role", "client")
		if t, ok := ber.Field(body, 3); ok {
			ticket(a, t)
		}
	case failed:
		a.Set("role", "server")
		failure(a, body)
	}
	if seen.news(f.Kind, *a) {
		c.Emit(&f)
	}
}

// request reads a KDC-REQ (RFC 4120 5.4.1).
func request(a *proto.Attributes, body []byte) {
	preauth := "none"
	if list, ok := ber.Field(body, 3); ok {
		ber.Each(list.Body, func(x ber.Value) bool {
			t, _ := ber.Field(x.Body, 1)
			switch n, _ := t.Int(); {
			case n == paFAST:
				preauth = "fast"
			case (n == paPKINIT || n == paPKINITOld) && preauth != "fast":
				preauth = "pkinit"
			case n == paTimestamp && preauth == "none":
				preauth = "timestamp"
			case n == paForUser:
				a.Set("delegation", "s4u2self")
			}
			return true
		})
	}
	q, ok := ber.Field(body, 4)
	if !ok {
		return
	}
	if t, _ := ber.Field(body, 2); len(t.Body) == 1 && t.Body[0] == asReq {
		a.Set("preauthentication", preauth)
	}
	if v, ok := ber.Field(q.Body, 1); ok {
		a.Set("computer_name", principalOf(v).client())
	}
	if v, ok := ber.Field(q.Body, 2); ok {
		a.Set("realm", realm(v.Body))
	}
	if v, ok := ber.Field(q.Body, 3); ok {
		principalOf(v).setService(a)
	}
	if v, ok := ber.Field(q.Body, 8); ok {
		offers(a, v.Body)
	}
	if v, ok := ber.Field(q.Body, 9); ok {
		ber.Each(v.Body, func(x ber.Value) bool {
			t, _ := ber.Field(x.Body, 0)
			if n, _ := t.Int(); n == 20 {
				v, _ := ber.Field(x.Body, 1)
				if name := netbios(v.Body); name != "" {
					a.Set("computer_name", name)
				}
			}
			return true
		})
	}
}

const maxEtypes = 16

// offers tells the encryption types that a client offers. Where none of them is
// strong, it can do no better.
func offers(a *proto.Attributes, b []byte) {
	var list []string
	strong := false
	ber.Each(b, func(x ber.Value) bool {
		n, ok := x.Int()
		if ok {
			list = append(list, etype(n))
			strong = strong || !weak(n)
		}
		return len(list) < maxEtypes
	})
	a.SetList("etypes", list)
	if len(list) > 0 && !strong {
		a.Set("legacy", "true")
	}
}

// response reads a KDC-REP (RFC 4120 5.4.2).
func response(a *proto.Attributes, body []byte) {
	if v, ok := ber.Field(body, 3); ok {
		a.Set("realm", realm(v.Body))
	}
	if v, ok := ber.Field(body, 4); ok {
		a.Set("computer_name", principalOf(v).client())
	}
	if v, ok := ber.Field(body, 5); ok {
		ticket(a, v)
	}
	if v, ok := ber.Field(body, 6); ok {
		if t, ok := ber.Field(v.Body, 0); ok {
			n, _ := t.Int()
			a.Set("etype", etype(n))
			if weak(n) {
				a.Set("legacy", "true")
			}
		}
	}
}

// ticket reads a Ticket (RFC 4120 5.3): whose it is, and what it is encrypted with.
func ticket(a *proto.Attributes, v ber.Value) {
	seq, ok := v.Inner()
	if !ok {
		return
	}
	if r, ok := ber.Field(seq.Body, 1); ok && a.Get("realm") == "" {
		a.Set("realm", realm(r.Body))
	}
	if s, ok := ber.Field(seq.Body, 2); ok {
		principalOf(s).setService(a)
	}
	enc, ok := ber.Field(seq.Body, 3)
	if !ok {
		return
	}
	if t, ok := ber.Field(enc.Body, 0); ok {
		n, _ := t.Int()
		a.Set("ticket_etype", etype(n))
		if weak(n) {
			a.Set("legacy", "true")
		}
	}
}

// failure reads a KRB-ERROR (RFC 4120 5.9.1).
func failure(a *proto.Attributes, body []byte) {
	if v, ok := ber.Field(body, 6); ok {
		n, _ := v.Int()
		a.Set("error", errorName(n))
	}
	if v, ok := ber.Field(body, 9); ok {
		a.Set("realm", realm(v.Body))
	}
	if v, ok := ber.Field(body, 8); ok {
		a.Set("computer_name", principalOf(v).client())
	}
	if v, ok := ber.Field(body, 10); ok {
		principalOf(v).setService(a)
	}
}
