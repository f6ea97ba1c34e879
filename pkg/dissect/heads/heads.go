// Package heads takes apart messages of a start line, header fields and a body, as SIP
// and RTSP write them (the form of RFC 822, which HTTP has too; HTTP's framing is
// pkg/dissect/http's own).
//
// Here live the reader of one direction of a connection and the few things that both
// protocols do alike: fields, credentials, the addresses of media. What a message means
// is the protocol's own.
package heads

import (
	"bytes"
	"encoding/base64"
	"iter"
	"net/netip"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

// The bounds of a message.
const (
	MaxHead = 8 << 10
	MaxBody = 4 << 10
)

// Message is a message; its slices are good until the next one.
type Message struct {
	Start  []byte // the first line
	fields []byte
	Body   []byte // as far as it is there, at most MaxBody
}

// Parse takes a message apart; ok is false where its head does not end in b. Lines may
// end with LF alone.
func Parse(b []byte) (m Message, rest []byte, ok bool) {
	end, skip := headEnd(b)
	if end < 0 {
		return m, nil, false
	}
	m.Start, m.fields, _ = bytes.Cut(b[:end], []byte("\n"))
	m.Start = bytes.TrimSuffix(m.Start, []byte("\r"))
	return m, b[end+skip:], true
}

// headEnd finds the empty line, and how long it is with the line end before it.
func headEnd(b []byte) (end, skip int) {
	for i := 0; ; {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return -1, 0
		}
		i += j + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i, 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i, 2
		}
	}
}

// Fields gives the fields in order, names as they were sent, values without the spaces
// around them. Of a folded one only the first line is there.
func (m *Message) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for line := range bytes.SplitSeq(m.fields, []byte("\n")) {
			name, value, found := bytes.Cut(line, []byte(":"))
			if found && len(name) > 0 && name[0] != ' ' && name[0] != '\t' && !yield(bytes.TrimSpace(name), bytes.TrimSpace(value)) {
				return
			}
		}
	}
}

// Get gives the first field of that name.
func (m *Message) Get(names ...string) []byte {
	for name, value := range m.Fields() {
		for _, n := range names {
			if bytes.EqualFold(name, []byte(n)) {
				return value
			}
		}
	}
	return nil
}

// Length is the field Content-Length, 0 where it is absent or no number.
func (m *Message) Length() int {
	n, err := strconv.Atoi(string(m.Get("Content-Length", "l")))
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

// Credential gives how an Authorization authenticates, in lower case where it is one of
// the known ways, and of Basic the kind of account.
func Credential(value []byte) (scheme, account string) {
	name, rest, _ := bytes.Cut(value, []byte(" "))
	switch s := string(bytes.ToLower(name[:min(len(name), 16)])); s {
	case "":
		return "", ""
	case "basic":
		plain := make([]byte, base64.StdEncoding.DecodedLen(min(len(rest), 512)))
		n, _ := base64.StdEncoding.Decode(plain, bytes.TrimSpace(rest[:min(len(rest), 512)]))
		user, _, _ := bytes.Cut(plain[:n], []byte(":"))
		return s, dissector.Account(user)
	case "digest", "bearer", "negotiate", "ntlm":
		return s, ""
	}
	return "other", ""
}

// ExpectMedia announces the RTP and RTCP that a session description asks for (RFC 8866):
// the ports of its m= lines at the address of its c= line, or at the sender's where
// there is none.
func ExpectMedia(c *dissector.Context, sdp []byte) {
	addr := c.Headers.SrcIP
	for line := range bytes.SplitSeq(sdp[:min(len(sdp), MaxBody)], []byte("\n")) {
		line = bytes.TrimSpace(line)
		words := bytes.Fields(line)
		switch {
		case bytes.HasPrefix(line, []byte("c=IN IP")) && len(words) == 3:
			if a, err := netip.ParseAddr(string(words[2][:min(len(words[2]), 45)])); err == nil && !a.IsUnspecified() {
				addr = a
			}
		case bytes.HasPrefix(line, []byte("m=")) && len(words) >= 3 && bytes.Contains(words[2], []byte("RTP/")):
			port, _, _ := bytes.Cut(words[1], []byte("/"))
			ExpectRTP(c, addr, port)
		}
	}
}

// ExpectRTP announces RTP on a port, written in digits, and RTCP on the next one.
func ExpectRTP(c *dissector.Context, addr netip.Addr, port []byte) {
	n, err := strconv.ParseUint(string(port[:min(len(port), 5)]), 10, 16)
	if err != nil || n < 1024 || !addr.IsValid() {
		return
	}
	c.Sink.Expect(proto.UDP, netip.AddrPortFrom(addr, uint16(n)), "rtp")
	if n < 1<<16-1 {
		c.Sink.Expect(proto.UDP, netip.AddrPortFrom(addr, uint16(n)+1), "rtcp")
	}
}

// Reader puts the messages of one direction together.
type Reader struct {
	buf  []byte
	skip int64
	lost bool
}

// Next gives the next message, and what follows it in b; ok is false where b ends before
// its head does, and long where the head is too long to be one. A body is in the message
// when it comes with its head, or is short; else it is stepped over.
func (r *Reader) Next(b []byte) (m Message, rest []byte, ok, long bool) {
	if b = r.Rest(b); len(b) == 0 {
		return m, nil, false, false
	}
	had := len(r.buf)
	all := b
	if had > 0 {
		r.buf = append(r.buf, b[:min(len(b), MaxHead+MaxBody-had)]...)
		all = r.buf
	}
	// Line ends before a message are keep-alives (RFC 3261 7.5, RFC 5626 3.5.1).
	lead := 0
	for lead < len(all) && (all[lead] == '\r' || all[lead] == '\n') {
		lead++
	}
	m, after, found := Parse(all[lead:])
	if !found {
		if len(all)-lead > MaxHead {
			r.buf, r.lost = nil, true
			return m, nil, false, true
		}
		if had == 0 {
			r.buf = append(r.buf, all[lead:]...)
		}
		return m, nil, false, false
	}
	length := m.Length()
	if len(after) < length && length <= MaxBody && len(all) < MaxHead+MaxBody {
		if had == 0 {
			r.buf = append(r.buf, all[lead:]...)
		}
		return m, nil, false, false // until the body is there
	}
	m.Body = after[:min(len(after), length)]
	used := len(all) - len(after) + len(m.Body) - had // of b
	r.skip = int64(length - len(m.Body))
	r.buf = nil
	return m, b[min(max(used, 0), len(b)):], true, false
}

// Fresh holds where the next byte begins a message.
func (r *Reader) Fresh() bool { return len(r.buf) == 0 && r.skip == 0 }

// Skip leaves out n bytes.
func (r *Reader) Skip(n int64) { r.skip = n }

// Rest is b without what is to be left out.
func (r *Reader) Rest(b []byte) []byte {
	n := min(r.skip, int64(len(b)))
	r.skip -= n
	return b[n:]
}

// Gap forgets the message in hand, unless the n missing bytes are of what is left out.
func (r *Reader) Gap(n int64) {
	if n > 0 && n <= r.skip {
		r.skip -= n
		return
	}
	*r = Reader{lost: true}
}

// Size is about the bytes that are kept.
func (r *Reader) Size() int { return cap(r.buf) }
