// Package rtsp dissects the Real Time Streaming Protocol (RFC 2326, RFC 7826): cameras
// and recorders, by the names that their makers give them, and how one logs in to them.
//
// Addresses of streams (paths, queries), session numbers and credentials never leave.
package rtsp

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/heads"
)

// Protocol is RTSP over TCP.
var Protocol = dissector.Protocol{
	Name: "rtsp", Ports: []uint16{554, 8554},
	Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

var methods = []string{"ANNOUNCE", "DESCRIBE", "GET_PARAMETER", "OPTIONS", "PAUSE", "PLAY", "PLAY_NOTIFY", "RECORD", "REDIRECT", "SETUP", "SET_PARAMETER", "TEARDOWN"}

const (
	maxAgent = 128
	maxTold  = 16
)

var starts = func() []string {
	list := []string{"RTSP/1.0 ", "RTSP/2.0 "}
	for _, m := range methods {
		list = append(list, m+" rtsp://", m+" rtsps://", m+" rtspu://", m+" * RTSP/")
	}
	return list
}()

func recognise(b []byte, _ bool) dissector.Verdict {
	verdict := dissector.No
	for _, start := range starts {
		n := min(len(b), len(start))
		switch {
		case string(b[:n]) != start[:n]:
		case n == len(start):
			return dissector.Yes
		default:
			verdict = dissector.More
		}
	}
	return verdict
}

// stream is a connection. Media may be interleaved: "$", channel (1), length (2), RTP.
type stream struct {
	half [2]heads.Reader
	head [2][]byte // of an interleaved packet, as far as it was cut
	said []string
	full bool
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	r, head := &s.half[c.Side&1], &s.head[c.Side&1]
	for {
		if b = r.Rest(b); len(b) == 0 {
			return
		}
		if len(*head) > 0 || r.Fresh() && b[0] == '$' {
			n := min(4-len(*head), len(b))
			*head, b = append(*head, b[:n]...), b[n:]
			if len(*head) == 4 {
				r.Skip(int64((*head)[2])<<8 | int64((*head)[3]))
				*head = (*head)[:0]
				c.Sink.Inner("rtp")
			}
			continue
		}
		m, rest, ok, long := r.Next(b)
		if long {
			c.Count("rtsp_head_long")
		}
		if !ok {
			return
		}
		s.message(c, &m)
		b = rest
	}
}

// Gap forgets the message in hand.
func (s *stream) Gap(c *dissector.Context, n int64) {
	s.half[c.Side&1].Gap(n)
	s.head[c.Side&1] = nil
}

// End has nothing more to tell.
func (s *stream) End(*dissector.Context) {}

// Size is about what is kept.
func (s *stream) Size() int { return 64 + s.half[0].Size() + s.half[1].Size() + 96*cap(s.said) }

func (s *stream) message(c *dissector.Context, m *heads.Message) {
	var f dissector.Fact
	f.Subject.Side = c.Side
	a := &f.Attributes
	name, rest, _ := bytes.Cut(m.Start, []byte(" "))
	switch {
	case bytes.HasPrefix(name, []byte("RTSP/")) && len(rest) >= 3:
		code, err := strconv.Atoi(string(rest[:3]))
		if err != nil || code < 100 || code > 599 {
			c.Count("rtsp_malformed")
			return
		}
		f.Kind = "response"
		a.Set("role", "server")
		a.Set("status", strconv.Itoa(code))
		scheme, _ := heads.Credential(m.Get("WWW-Authenticate"))
		a.Set("auth", scheme)
		a.Set("realm", realm(m.Get("WWW-Authenticate")))
	case slices.Contains(methods, string(name[:min(len(name), 16)])) && bytes.Contains(rest, []byte(" RTSP/")):
		f.Kind = "request"
		a.Set("role", "client")
		a.Set("method", string(name))
		scheme, account := heads.Credential(m.Get("Authorization"))
		a.Set("auth", scheme)
		if scheme == "basic" {
			a.Set("cleartext_credential", scheme)
			a.Set("account", account)
		}
	default:
		c.Count("rtsp_malformed")
		return
	}
	a.Set("user_agent", agent(c, m.Get("User-Agent")))
	a.Set("server", agent(c, m.Get("Server")))
	transport(c, m.Get("Transport"))
	s.tell(c, &f)
}

// agent is what a device calls itself; a value that holds an address of somebody is none.
func agent(c *dissector.Context, b []byte) string {
	if bytes.ContainsAny(b, "@<>\"") {
		c.Count("rtsp_agent_withheld")
		return ""
	}
	return dissector.Text(b, maxAgent)
}

// realm is the name of what one logs in to: on most cameras the maker's or the model.
func realm(challenge []byte) string {
	_, rest, found := bytes.Cut(challenge, []byte(`realm="`))
	if !found {
		return ""
	}
	value, _, found := bytes.Cut(rest, []byte(`"`))
	if !found || bytes.ContainsAny(value, "@<>") {
		return ""
	}
	return dissector.Text(value, 64)
}

// transport announces the media that SETUP agreed on (RFC 2326 12.39).
func transport(c *dissector.Context, value []byte) {
	for field := range bytes.SplitSeq(value, []byte(";")) {
		name, ports, found := bytes.Cut(bytes.TrimSpace(field), []byte("="))
		if !found {
			continue
		}
		first, _, _ := bytes.Cut(ports, []byte("-"))
		var client, server netip.Addr
		if c.Side == dissector.Src {
			client, server = c.Headers.SrcIP, c.Headers.DstIP
		} else {
			client, server = c.Headers.DstIP, c.Headers.SrcIP
		}
		switch string(name) {
		case "client_port":
			heads.ExpectRTP(c, client, first)
		case "server_port":
			heads.ExpectRTP(c, server, first)
		}
	}
}

func (s *stream) tell(c *dissector.Context, f *dissector.Fact) {
	b, err := f.Attributes.MarshalJSON()
	if err != nil {
		return
	}
	key := f.Kind + dissector.Pseudonym(c.Key, b)
	if slices.Contains(s.said, key) || s.full {
		return
	}
	if len(s.said) == maxTold {
		s.full = true
		c.Count("rtsp_values_skipped")
		return
	}
	s.said = append(s.said, key)
	c.Emit(f)
}
