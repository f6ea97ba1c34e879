// Package sip dissects the Session Initiation Protocol (RFC 3261) over UDP and TCP: which
// telephones and servers there are, by the names that their makers give them.
//
// Who calls whom never leaves: no address of record, no display name, no call id, nothing
// of the session but where its media will be (for the label of that flow).
package sip

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/pkg/dissect/heads"
	"github.com/wardflow/wardflow/proto"
)

// Protocol is SIP.
var Protocol = dissector.Protocol{
	Name: "sip", Ports: []uint16{5060, 5061},
	Datagram: datagram, Recognise: recognise, NewStream: func() dissector.Stream { return new(stream) },
}

// methods are those of IANA's registry.
var methods = []string{"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"}

const (
	version  = "SIP/2.0"
	maxAgent = 128
	maxTold  = 16
)

// method reads a request's start line; "" for none.
func method(line []byte) string {
	name, rest, found := bytes.Cut(line, []byte(" "))
	if !found || !bytes.HasSuffix(rest, []byte(" "+version)) {
		return ""
	}
	if i := slices.Index(methods, string(name[:min(len(name), 10)])); i >= 0 {
		return methods[i]
	}
	return ""
}

// status reads a response's start line; 0 for none.
func status(line []byte) int {
	rest, found := bytes.CutPrefix(line, []byte(version+" "))
	if !found || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0
	}
	n, err := strconv.Atoi(string(rest[:3]))
	if err != nil || n < 100 || n > 699 {
		return 0
	}
	return n
}

// recognise wants a start line's beginning: a method and an address of SIP's, or the
// version and a status.
func recognise(b []byte, _ bool) dissector.Verdict {
	b = bytes.TrimLeft(b, "\r\n")
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

var starts = func() []string {
	list := []string{version + " "}
	for _, m := range methods {
		list = append(list, m+" sip:", m+" sips:", m+" tel:")
	}
	return list
}()

func datagram(c *dissector.Context, b []byte, known bool) dissector.Verdict {
	t, _ := c.State.(*told)
	if known && len(bytes.Trim(b, "\r\n\x00")) == 0 {
		return dissector.Yes // a keep-alive
	}
	b = bytes.TrimLeft(b, "\r\n")
	m, body, ok := heads.Parse(b)
	if !ok { // cut by the snaplen, or without its empty line: the start line must do
		m.Start, _, _ = bytes.Cut(b, []byte("\n"))
		m.Start = bytes.TrimSuffix(m.Start, []byte("\r"))
	}
	if method(m.Start) == "" && status(m.Start) == 0 {
		return dissector.No
	}
	if t == nil {
		t = new(told)
		c.State = t
	}
	m.Body = body[:min(len(body), heads.MaxBody)]
	t.message(c, &m)
	return dissector.Yes
}

// stream is SIP over TCP.
type stream struct {
	told
	half [2]heads.Reader
}

// Data reads the next bytes of a direction.
func (s *stream) Data(c *dissector.Context, b []byte) {
	r := &s.half[c.Side&1]
	for len(b) > 0 {
		m, rest, ok, long := r.Next(b)
		if long {
			c.Count("sip_head_long")
		}
		if !ok {
			return
		}
		s.message(c, &m)
		b = rest
	}
}

// Gap forgets the message in hand.
func (s *stream) Gap(_ *dissector.Context, n int64) { s.half[0].Gap(n); s.half[1].Gap(n) }

// Size is about what is kept.
func (s *stream) Size() int { return s.half[0].Size() + s.half[1].Size() + s.told.Size() }

// told is what was told of a flow: facts are told once for what they say.
type told struct {
	sides [2]side
}

type side struct {
	said  []string
	again bool // more than is remembered
}

// End has nothing more to tell.
func (t *told) End(*dissector.Context) {}

// Size is about what is kept.
func (t *told) Size() int {
	n := 64
	for i := range t.sides {
		n += 64 * cap(t.sides[i].said)
	}
	return n
}

func (t *told) message(c *dissector.Context, m *heads.Message) {
	var f dissector.Fact
	f.Subject.Side = c.Side
	a := &f.Attributes
	request := method(m.Start)
	switch code := status(m.Start); {
	case request != "":
		f.Kind = "request"
		a.Set("role", "client")
		a.Set("method", request)
		scheme, account := heads.Credential(m.Get("Authorization", "Proxy-Authorization"))
		a.Set("auth", scheme)
		if relayed(m) {
			a.Set("relayed", "true")
			break
		}
		a.Set("user_agent", agent(c, m.Get("User-Agent")))
		a.Set("mac", instance(m.Get("Contact", "m")))
		if scheme == "basic" {
			a.Set("cleartext_credential", scheme)
			a.Set("account", account)
		}
	case code > 0:
		f.Kind = "response"
		a.Set("role", "server")
		a.Set("status", strconv.Itoa(code))
		a.Set("user_agent", agent(c, m.Get("User-Agent")))
	default:
		c.Count("sip_malformed")
		return
	}
	a.Set("server", agent(c, m.Get("Server")))
	if bytes.EqualFold(m.Get("Content-Type", "c"), []byte("application/sdp")) {
		heads.ExpectMedia(c, m.Body)
	}
	t.tell(c, &f)
}

// relayed holds for a request that came by another server (RFC 3261 16.6): what it says
// of its maker is not of who sends it here.
func relayed(m *heads.Message) bool {
	n := 0
	for name, value := range m.Fields() {
		if bytes.EqualFold(name, []byte("Via")) || bytes.EqualFold(name, []byte("v")) {
			n += 1 + bytes.Count(value, []byte(","))
		}
	}
	return n > 1
}

// instance is the MAC address of a telephone in its Contact: of a device's name ("SEP"
// and twelve digits), or of an instance id whose UUID is zeros but for its node (RFC 5626
// 4.1). No more of a Contact is read.
func instance(contact []byte) string {
	text := strings.ToLower(string(contact[:min(len(contact), 1024)]))
	for _, mark := range [...]string{"urn:uuid:00000000-0000-0000-0000-", "urn:uuid:00000000-0000-1000-8000-", `devicename.ccm.cisco.com="sep`} {
		_, rest, found := strings.Cut(text, mark)
		if !found || len(rest) < 12 {
			continue
		}
		n, err := strconv.ParseUint(rest[:12], 16, 48)
		if err != nil || n == 0 || n>>40&1 != 0 { // nobody's, or a group's
			continue
		}
		var mac proto.MAC
		for i := range mac {
			mac[i] = byte(n >> (8 * (5 - i)))
		}
		return mac.String()
	}
	return ""
}

// agent is what a device calls itself: product and version. A value that holds an
// address of somebody is none.
func agent(c *dissector.Context, b []byte) string {
	s := dissector.Text(b, maxAgent)
	if bytes.ContainsAny(b, "@<>\"") {
		c.Count("sip_agent_withheld")
		return ""
	}
	return s
}

func (t *told) tell(c *dissector.Context, f *dissector.Fact) {
	x := &t.sides[c.Side&1]
	key := f.Kind + " " + f.Attributes.Get("method") + f.Attributes.Get("status") + " " + f.Attributes.Get("user_agent") + "|" + f.Attributes.Get("server") + "|" + f.Attributes.Get("auth") + "|" + f.Attributes.Get("mac") + f.Attributes.Get("relayed")
	if slices.Contains(x.said, key) || x.again {
		return
	}
	if len(x.said) == maxTold {
		x.again = true
		c.Count("sip_values_skipped")
		return
	}
	x.said = append(x.said, key)
	c.Emit(f)
}
