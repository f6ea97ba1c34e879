package opcua

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is OPC UA.
var Protocol = dissector.Protocol{
	Name: "opcua", Ports: []uint16{4840},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// A message (part 6, 7.1.2.2): three letters, F, C or A for the last, another, or
// an aborted chunk, size of all (4).
const (
	header  = 8
	maxKept = 16 << 10
	maxSize = 64 << 20
	minHalf = 8192 // the least size of a buffer
)

var kinds = [...]string{"HEL", "ACK", "ERR", "RHE", "OPN", "MSG", "CLO"}

// size is the size of the message that b begins with, 0 and negative as in
// framing.Format.
func size(b []byte, _ bool) int {
	switch b[0] {
	case 'H', 'A', 'E', 'R', 'O', 'M', 'C':
	default:
		return -1
	}
	ok := false
	for _, k := range kinds {
		n := min(len(b), len(k))
		ok = ok || string(b[:n]) == k[:n]
	}
	if !ok || len(b) > 3 && b[3] != 'F' && (b[3] != 'C' && b[3] != 'A' || b[0] != 'M') {
		return -1
	}
	if len(b) < header {
		return 0
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n < header || n > maxSize {
		return -1
	}
	return int(n)
}

var format = framing.Format{Keep: maxKept, Length: size, Odd: "opcua_not_a_message"}

// policyPrefix is how the names of security policies begin.
const policyPrefix = "http://opcfoundation.org/UA/SecurityPolicy#"

func recognise(b []byte, _ bool) dissector.Verdict {
	if len(b) == 0 {
		return dissector.More
	}
	n := size(b, false)
	if n < 0 {
		return dissector.No
	}
	if n == 0 {
		return dissector.More
	}
	r := reader{b: b[header:]}
	switch b[0] {
	case 'H':
		if n < 32 || n > 32+4096 {
			return dissector.No
		}
		version, receive := r.uint32(), r.uint32()
		if len(b) < 16 {
			return dissector.More
		}
		return verdict(version == 0 && receive >= minHalf)
	case 'A':
		if n != 28 {
			return dissector.No
		}
		version, receive := r.uint32(), r.uint32()
		if len(b) < 16 {
			return dissector.More
		}
		return verdict(version == 0 && receive >= minHalf)
	case 'O':
		if len(b) < 24 {
			return dissector.More
		}
		want := []byte(policyPrefix)
		have := b[16:min(len(b), 16+len(want))]
		return verdict(bytes.HasPrefix(want, have))
	case 'M', 'C':
		return verdict(n >= 24)
	case 'E', 'R':
		return verdict(n >= 16 && n < 8192)
	}
	return dissector.No
}

func verdict(ok bool) dissector.Verdict {
	if ok {
		return dissector.Yes
	}
	return dissector.No
}

// The bounds of one connection.
const (
	maxText = 256
	maxOnce = 64
	every   = 3600 * 1e9
)

// stream is one connection.
type stream struct {
	framing.Both
	more     [2]bool // the chunk before was not the last
	policy   string  // of the channel, as its name's end
	reads    [4]read
	nextRead int
	once     map[string]bool
	since    proto.Time
	services map[string]uint32
	client   dissector.Side
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	s.Half(c).Each(c, &format, b, func(m []byte) bool {
		s.message(c, m)
		return false
	})
}

// Gap begins anew with what follows.
func (s *stream) Gap(c *dissector.Context, n int64) {
	s.Both.Gap(c, n)
	s.more[c.Side&1] = false
}

// End tells what the connection came to.
func (s *stream) End(c *dissector.Context) {
	s.Both.End(c)
	if s.Ended() {
		s.summary(c)
	}
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := 768 + s.Both.Size() + len(s.policy) + 64*len(s.services)
	for k := range s.once {
		n += 32 + len(k)
	}
	return n
}

// first reports whether something was not told yet.
func (s *stream) first(what string) bool {
	if s.once[what] || len(s.once) >= maxOnce {
		return false
	}
	if s.once == nil {
		s.once = map[string]bool{}
	}
	s.once[what] = true
	return true
}

func fact(c *dissector.Context, kind, role string) dissector.Fact {
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", role)
	return f
}

// message takes one chunk.
func (s *stream) message(c *dissector.Context, b []byte) {
	r := reader{b: b[header:]}
	switch b[0] {
	case 'H':
		f := fact(c, "hello", "client")
		c.Emit(&f)
	case 'O':
		s.open(c, &r)
	case 'M':
		first := !s.more[c.Side&1]
		s.more[c.Side&1] = b[3] == 'C'
		r.uint32() // channel
		r.uint32() // token
		r.uint32() // number
		request := r.uint32()
		if first && !r.bad {
			s.service(c, &r, request)
		}
	case 'E':
		f := fact(c, "error", "server")
		f.Attributes.Set("status", hex32(r.uint32()))
		if !r.bad {
			c.Emit(&f)
		}
	}
}

// open reads how a channel is secured (part 6, 6.7.2.3): its policy, and the sender's
// certificate.
func (s *stream) open(c *dissector.Context, r *reader) {
	r.uint32()
	uri := string(r.bytes())
	if r.bad {
		c.Count("opcua_malformed")
		return
	}
	policy, ok := strings.CutPrefix(uri, policyPrefix)
	if !ok {
		policy = "other"
	}
	s.policy = dissector.Text([]byte(policy), 64)
	s.certificate(c, r.bytes())
	if !s.first("open" + s.policy + roleOf(c)) {
		return
	}
	f := fact(c, "open_channel", roleOf(c))
	f.Attributes.Set("security_policy", strings.ToLower(s.policy))
	c.Emit(&f)
}

// certificate tells of an application's certificate (part 6, 6.2.2): one that stands for
// a program, and not for who uses it, which comes with a login and is not read.
func (s *stream) certificate(c *dissector.Context, der []byte) {
	if len(der) == 0 {
		return
	}
	list, _, ok := tls.Certificate(der)
	if !ok {
		c.Count("opcua_certificate_malformed")
		return
	}
	if !s.first("certificate" + roleOf(c) + list.Get("certificate_sha256")) {
		return
	}
	list.Set("role", roleOf(c))
	c.Emit(&dissector.Fact{Kind: "certificate", Subject: dissector.Subject{Side: c.Side}, Attributes: list})
}

// roleOf is what a side is: who opened the connection is the client.
func roleOf(c *dissector.Context) string {
	if c.Side == dissector.Dst {
		return "server"
	}
	return "client"
}
