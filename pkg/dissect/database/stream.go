package database

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/framing"
	"github.com/wardflow/wardflow/pkg/dissect/tls"
)

// The bounds of one connection.
const (
	maxText     = 128
	maxKept     = 8 << 10 // bytes of a message
	maxMessages = 24      // of a direction, in which somebody must have signed on
)

// talk is what a protocol makes of a connection's messages.
type talk interface {
	// message takes one; it returns true when the rest has nothing of interest.
	message(c *dissector.Context, b []byte) (over bool)
}

// upgrader is a talk after one of whose messages all that follows, of both
// directions, may be TLS.
type upgrader interface {
	upgraded() bool
}

// keeper is a talk that keeps something.
type keeper interface {
	size() int
}

// stream takes both directions apart into messages.
type stream struct {
	framing.Both
	format   [2]*framing.Format // by direction
	messages [2]int
	talk     talk
	tls      dissector.Stream // once both directions are
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	side := c.Side & 1
	if s.tls == nil {
		s.Half(c).Each(c, s.format[side], b, func(m []byte) (over bool) {
			s.messages[side]++
			if s.messages[side] > maxMessages || s.talk.message(c, m) {
				c.Sink.Done()
				return true
			}
			if t, can := s.talk.(upgrader); can && t.upgraded() {
				s.tls = tls.Upgraded()
			}
			return s.tls != nil
		})
		if s.tls == nil {
			return
		}
	} else {
		s.Half(c).Feed(b)
	}
	r := s.Half(c)
	if r.Lost() {
		s.tls.Gap(c, -1)
	}
	if rest := r.Rest(); len(rest) > 0 {
		s.tls.Data(c, rest)
	}
}

// Gap ends the reading: what is told is told at the beginning.
func (s *stream) Gap(c *dissector.Context, n int64) {
	switch {
	case s.tls != nil:
		s.tls.Gap(c, n)
	case n != -1: // from the middle on, the rest may still tell
		c.Sink.Done()
	default:
		s.Both.Gap(c, n)
	}
}

// End has nothing to tell but TLS's.
func (s *stream) End(c *dissector.Context) {
	if s.Both.End(c); s.tls != nil {
		s.tls.End(c)
	}
}

// Size is the bytes that are kept.
func (s *stream) Size() int {
	n := s.Both.Size()
	if s.tls != nil {
		n += s.tls.Size()
	}
	if t, keeps := s.talk.(keeper); keeps {
		n += t.size()
	}
	return n
}

func fact(c *dissector.Context, kind, role string) dissector.Fact {
	f := dissector.Fact{Kind: kind, Subject: dissector.Subject{Side: c.Side}}
	f.Attributes.Set("role", role)
	return f
}

// administrators are the accounts that such servers are installed with.
var administrators = map[string]bool{
	"sa": true, "root": true, "admin": true, "administrator": true, "postgres": true, "sys": true, "system": true, "mysql": true, "dba": true, "dbadmin": true,
}

// account says what kind of account a name is.
func account(name string) string {
	switch name = strings.ToLower(strings.TrimSpace(name)); {
	case name == "":
		return "empty"
	case administrators[name]:
		return "administrator"
	case name == "guest":
		return "guest"
	}
	return "other"
}

// wide makes UTF-8 of UTF-16, little endian.
func wide(b []byte) []byte {
	u := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		u = append(u, binary.LittleEndian.Uint16(b))
	}
	return []byte(string(utf16.Decode(u)))
}

// program takes the folders off a program's name.
func program(s string) string {
	if i := strings.LastIndexAny(s, `\/`); i >= 0 {
		s = s[i+1:]
	}
	return s
}

// yes is the verdict of a bool.
func yes(is bool) dissector.Verdict {
	if is {
		return dissector.Yes
	}
	return dissector.No
}

// printable reports that b is ASCII text without control characters.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// begins asks for one of some beginnings.
func begins(b []byte, list ...string) dissector.Verdict { return dissector.Begins(b, list...) }

func be16(b []byte) int { return int(binary.BigEndian.Uint16(b)) }
func be32(b []byte) int { return int(binary.BigEndian.Uint32(b)) }
func le16(b []byte) int { return int(binary.LittleEndian.Uint16(b)) }
func le32(b []byte) int { return int(binary.LittleEndian.Uint32(b)) }
