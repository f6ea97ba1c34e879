package sip

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/dissector"
	"github.com/wardflow/wardflow/proto"
)

const (
	maxHeaders = 128
	maxValue   = 128
	maxMedia   = 8
	maxSDP     = 256 // lines
)

// message is one message: what is read of it.
type message struct {
	method string // of a request; of a response that of CSeq
	status int    // 0 of a request

	agent, server, auth, challenge, contact []byte
	sdp                                     bool
	length                                  int // of the body, -1 where it is not told
	body                                    []byte
}

// short are the compact names of headers (RFC 3261 7.3.3).
var short = map[string]string{"c": "content-type", "l": "content-length", "m": "contact", "v": "via", "i": "call-id", "f": "from", "t": "to"}

// parse reads a message, and reports whether it has one of the headers that all have.
func (m *message) parse(b []byte) bool {
	m.length = -1
	b = bytes.TrimLeft(b, "\r\n")
	line, b, _ := bytes.Cut(b, []byte("\n"))
	if bytes.HasPrefix(line, []byte(version)) {
		m.status, _ = status(line)
	} else {
		word, _, _ := bytes.Cut(line, []byte(" "))
		m.method = string(word) // one of the known
	}
	typical := false
	for range maxHeaders {
		if len(b) == 0 {
			break
		}
		var whole bool
		if line, b, whole = bytes.Cut(b, []byte("\n")); !whole {
			break // a value that was cut may be more than it seems
		}
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			m.body = b
			break
		}
		typical = m.header(line) || typical
	}
	if m.length >= 0 && m.length < len(m.body) {
		m.body = m.body[:m.length]
	}
	return typical
}

// header reads a header, and reports whether it is one that every message has.
func (m *message) header(line []byte) bool {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) > 32 {
		return false
	}
	value = bytes.TrimSpace(value)
	key := strings.ToLower(string(bytes.TrimSpace(name)))
	if full := short[key]; full != "" {
		key = full
	}
	first := func(into *[]byte) {
		if *into == nil {
			*into = value
		}
	}
	switch key {
	case "user-agent":
		first(&m.agent)
	case "server":
		first(&m.server)
	case "authorization", "proxy-authorization":
		first(&m.auth)
	case "www-authenticate", "proxy-authenticate":
		first(&m.challenge)
	case "contact":
		first(&m.contact)
	case "content-type":
		kind, _, _ := bytes.Cut(value, []byte(";"))
		m.sdp = bytes.EqualFold(bytes.TrimSpace(kind), []byte("application/sdp"))
	case "content-length":
		if n, err := strconv.ParseUint(string(value), 10, 24); err == nil {
			m.length = int(n)
		}
	case "cseq":
		if _, word, ok := bytes.Cut(value, []byte(" ")); ok && m.status != 0 {
			if i := slices.Index(methods, string(bytes.TrimSpace(word))); i >= 0 {
				m.method = methods[i]
			}
		}
		return true
	case "via", "call-id", "from", "to":
		return true
	}
	return false
}

// emit tells what a message says of its sender, and announces its media.
func (m *message) emit(c *dissector.Context, seen func(string) bool) {
	f := dissector.Fact{Kind: "request", Subject: dissector.Subject{Side: c.Side}}
	a := &f.Attributes
	a.Set("method", strings.ToLower(m.method))
	a.Set("user_agent", agent(c, m.agent))
	a.Set("server", agent(c, m.server))
	role := "client"
	if m.status != 0 {
		f.Kind, role = "response", "server"
		a.Set("status", strconv.Itoa(m.status))
		a.Set("auth", scheme(m.challenge))
	} else {
		s := scheme(m.auth)
		a.Set("auth", s)
		if s == "basic" {
			a.Set("cleartext_credential", "basic")
		}
	}
	a.Set("role", role)
	a.Set("mac", instance(m.contact))
	if m.tells() && (seen == nil || seen(f.Kind+string(m.agent)+string(m.server)+m.method+strconv.Itoa(m.status)+a.Get("auth"))) {
		c.Emit(&f)
	}
	if m.sdp {
		media(c, m.body)
	}
}

// tells holds for messages worth a fact: not for what only goes on with a dialogue.
func (m *message) tells() bool {
	if m.status == 0 {
		return m.method != "ACK" && m.method != "PRACK"
	}
	return len(m.agent)+len(m.server)+len(m.challenge) > 0 || m.status >= 200 && (m.method == "REGISTER" || m.method == "INVITE")
}

// agent is a program's name; one with an address in it is withheld.
func agent(c *dissector.Context, b []byte) string {
	if bytes.IndexByte(b, '@') >= 0 {
		c.Count("sip_agent_withheld")
		return ""
	}
	return dissector.Text(b, maxValue)
}

// scheme is how somebody authenticates, or is asked to.
func scheme(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	word, _, _ := bytes.Cut(b, []byte(" "))
	switch s := strings.ToLower(string(word[:min(len(word), 16)])); s {
	case "digest", "basic", "bearer", "ntlm", "kerberos":
		return s
	}
	return "other"
}

// instance is the MAC of a telephone in its Contact: of a device's name ("SEP" and
// twelve digits) or of an instance id whose UUID is zeros but for its node (RFC 5626
// 4.1, RFC 4122).
func instance(contact []byte) string {
	text := strings.ToLower(string(contact[:min(len(contact), 1024)]))
	for _, mark := range []string{"urn:uuid:00000000-0000-0000-0000-", "urn:uuid:00000000-0000-1000-8000-", `devicename.ccm.cisco.com="sep`} {
		if _, rest, ok := strings.Cut(text, mark); ok && len(rest) >= 12 {
			if mac := hardware(rest[:12]); mac != "" {
				return mac
			}
		}
	}
	return ""
}

func hardware(digits string) string {
	n, err := strconv.ParseUint(digits, 16, 48)
	if err != nil || n == 0 || n>>40&1 != 0 {
		return ""
	}
	var m proto.MAC
	for i := range m {
		m[i] = byte(n >> (8 * (5 - i)))
	}
	return m.String()
}

// media announces what an SDP says:
//
//	c=IN IP4 10.1.2.3     of all media, or behind an m= of that one
//	m=audio 49170 RTP/AVP 0
//	a=rtcp:53020          where RTCP is not on the next port (RFC 3605); a=rtcp-mux: on the same
func media(c *dissector.Context, b []byte) {
	var all netip.Addr
	var list []medium
	for range maxSDP {
		if len(b) == 0 {
			break
		}
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		switch {
		case bytes.HasPrefix(line, []byte("c=IN IP")):
			a := connection(line)
			if len(list) == 0 {
				all = a
			} else {
				list[len(list)-1].addr = a
			}
		case bytes.HasPrefix(line, []byte("m=")):
			if len(list) == maxMedia {
				c.Count("sip_media_skipped")
				break
			}
			list = append(list, medium{port: mediaPort(line)})
		case bytes.HasPrefix(line, []byte("a=rtcp:")) && len(list) > 0:
			word, _, _ := bytes.Cut(line[len("a=rtcp:"):], []byte(" "))
			if n, err := strconv.ParseUint(string(word), 10, 16); err == nil {
				list[len(list)-1].rtcp = uint16(n)
			}
		}
	}
	for _, m := range list {
		m.announce(c, all)
	}
}

// medium is one medium of a session.
type medium struct {
	addr netip.Addr
	port uint16
	rtcp uint16
}

func (m *medium) announce(c *dissector.Context, all netip.Addr) {
	if m.port == 0 {
		return
	}
	if m.rtcp == 0 {
		m.rtcp = m.port + 1
	}
	a := m.addr
	if !a.IsValid() {
		a = all
	}
	own := c.Headers.SrcIP
	for i, x := range []netip.Addr{a, own} { // behind address translation they differ
		if !x.IsValid() || x.IsUnspecified() || i == 1 && x == a {
			continue
		}
		c.Sink.Expect(proto.UDP, netip.AddrPortFrom(x, m.port), "rtp")
		if m.rtcp != m.port {
			c.Sink.Expect(proto.UDP, netip.AddrPortFrom(x, m.rtcp), "rtcp")
		}
	}
}

// connection reads "c=IN IP4 10.1.2.3/127".
func connection(line []byte) netip.Addr {
	part := bytes.Fields(line)
	if len(part) < 3 {
		return netip.Addr{}
	}
	s, _, _ := strings.Cut(string(part[2]), "/")
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("")
}

// mediaPort is the port of "m=audio 49170 RTP/AVP 0", 0 for what is not RTP.
func mediaPort(line []byte) uint16 {
	part := bytes.Fields(line)
	if len(part) < 3 || !bytes.Contains(part[2], []byte("RTP/")) {
		return 0
	}
	s, _, _ := strings.Cut(string(part[1]), "/")
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
