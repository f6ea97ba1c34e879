package kerberos

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/wardflow/wardflow/pkg/dissect/ber"
	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is Kerberos over UDP and TCP.
var Protocol = dissector.Protocol{
	Name: "kerberos", Ports: []uint16{88},
	Datagram:  datagram,
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

const (
	prefix     = 4
	maxMessage = 64 << 10 // of any that is believed
	maxKept    = 32 << 10
	maxFacts   = 32
	maxLost    = 64 << 10
)

// told keeps a connection from saying a thing twice.
type told struct{ sums []uint64 }

func (t *told) news(kind string, a proto.Attributes) bool {
	if t == nil {
		return true
	}
	b, err := a.MarshalJSON()
	if err != nil { // strings always marshal
		return false
	}
	sum := xxhash.Sum64(append(b, kind...))
	if slices.Contains(t.sums, sum) || len(t.sums) == maxFacts {
		return false
	}
	t.sums = append(t.sums, sum)
	return true
}

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	kind, body, ok := whole(b)
	if !ok {
		// A message that was cut by the snaplen is still one of a known flow.
		if known && len(b) < c.Headers.PayloadLen && len(b) > 0 && kinds[uint32(b[0]&0x1f)] != "" {
			c.Count("kerberos_cut")
			return dissector.Yes
		}
		return dissector.No
	}
	emit(c, kind, body, nil)
	return dissector.Yes
}

// size is that of a message of TCP (RFC 4120 7.2.2): its length before it.
func size(b []byte, _ bool) int {
	if len(b) >= prefix && (binary.BigEndian.Uint32(b) > maxMessage || binary.BigEndian.Uint32(b) < 16) {
		return -1
	}
	if len(b) < prefix+1 {
		return 0
	}
	if b[prefix]&0xe0 != 0x60 || kinds[uint32(b[prefix]&0x1f)] == "" {
		return -1
	}
	return prefix + int(binary.BigEndian.Uint32(b))
}

var format = framing.Format{Keep: maxKept, Length: size, Recognise: recognise, Odd: "kerberos_malformed"}

// recognise wants a length, and the beginning of a message that is as long.
func recognise(b []byte, _ bool) dissector.Verdict {
	n, verdict := framing.Judge(b, size)
	if verdict != dissector.Yes {
		return verdict
	}
	b = b[prefix:]
	v, head, length, ok := ber.Header(b)
	if !ok || head > 0 && int64(head)+length != int64(n)-prefix {
		return dissector.No
	}
	if head == 0 || len(b) <= head {
		return dissector.More
	}
	seq, inner, innerLength, ok := ber.Header(b[head:])
	if !ok || !seq.Is(ber.Universal, ber.Sequence) || inner > 0 && int64(inner)+innerLength != length {
		return dissector.No
	}
	if inner == 0 {
		return dissector.More
	}
	const fields = 10
	if rest := b[head+inner:]; len(rest) < fields {
		if int64(len(rest)) == innerLength {
			return dissector.No
		}
		return dissector.More
	} else if !begins(rest, v.Tag) {
		return dissector.No
	}
	return dissector.Yes
}

// stream is a connection to the KDC.
type stream struct {
	framing.Both
	told told
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	r := s.Half(c)
	r.Each(c, &format, b, func(m []byte) bool {
		kind, body, ok := whole(m[prefix:])
		switch {
		case len(m) < size(m, false):
			c.Count("kerberos_long")
		case ok:
			emit(c, kind, body, &s.told)
		default:
			c.Count("kerberos_malformed")
		}
		return false
	})
	if r.Missed() > maxLost {
		c.Sink.Done()
	}
}

// Size is about the bytes that are kept.
func (s *stream) Size() int { return s.Both.Size() + 8*cap(s.told.sums) }

// apFields is how the fields of an AP-REQ begin: the version 5, the type 14.
var apFields = []byte{0xa0, 0x03, 0x02, 0x01, 0x05, 0xa1, 0x03, 0x02, 0x01, 0x0e}

// Find gives the AP-REQ inside of a security blob, raw or wrapped in GSS-API and
// SPNEGO; nil where there is none.
func Find(blob []byte) []byte {
	i := bytes.Index(blob, apFields)
	if i < 0 {
		return nil
	}
	// Before them stand the headers of the application tag and of the sequence.
	const least, most = 4, 12
	for k := least; k <= min(most, i); k++ {
		m := blob[i-k:]
		v, head, _, ok := ber.Header(m)
		if !ok || !v.Is(ber.Application, apReq) || head == 0 || head >= k {
			continue
		}
		if s, inner, _, ok := ber.Header(m[head:]); ok && s.Is(ber.Universal, ber.Sequence) && head+inner == k {
			return m
		}
	}
	return nil
}

// Emit tells what the AP-REQ that Find gave says: to which service its sender shows a
// ticket. Of a message that was cut, nothing.
func Emit(c *dissector.Context, m []byte) {
	_, rest, ok := ber.Next(m)
	if !ok {
		return
	}
	if kind, body, ok := whole(m[:len(m)-len(rest)]); ok {
		emit(c, kind, body, nil)
	}
}
