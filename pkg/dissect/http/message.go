package http

import (
	"bytes"
	"math"
)

const (
	maxHost     = 255
	maxAgent    = 512
	maxValue    = 128
	maxType     = 256
	maxTarget   = 2 << 10 // of a request's target, for those who judge it
	maxBoundary = 128     // 70 characters, RFC 2046 5.1.1
	maxToken    = 6 << 10 // base64 of an NTLM token
)

// message is the head in hand: the values of the headers that are looked at, in
// buffers that are used again.
type message struct {
	response bool
	method   int
	status   int
	minor    byte // of version 1, as written; 0 where it was not seen, minorTwo of version 2
	chunked  bool
	lengths  int   // Content-Length headers
	length   int64 // -1 when they are wrong
	coding   coding

	host, agent, server, powered, kind, upgrade []byte

	target, boundary, accept, action []byte // for the readers of bodies, see pkg/dissect/httpbody
	scheme                           scheme
	realm, token                     []byte
	account                          string // its kind, in a Basic header: the name never leaves
}

func (m *message) reset() {
	*m = message{
		method: otherMethod,
		host:   m.host[:0], agent: m.agent[:0], server: m.server[:0], powered: m.powered[:0], kind: m.kind[:0], upgrade: m.upgrade[:0],
		target: m.target[:0], boundary: m.boundary[:0], accept: m.accept[:0], action: m.action[:0],
		realm: m.realm[:0], token: m.token[:0],
	}
}

func (m *message) size() int {
	return cap(m.host) + cap(m.agent) + cap(m.server) + cap(m.powered) + cap(m.kind) + cap(m.upgrade) + cap(m.realm) + cap(m.token) +
		cap(m.target) + cap(m.boundary) + cap(m.accept) + cap(m.action) + 256
}

// request reads "GET /path HTTP/1.1". Where the line was too long to be kept,
// there is no version.
func (m *message) request(line []byte, long bool) bool {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || sp > maxMethod {
		return false
	}
	m.method = method(line[:sp])
	if long {
		m.target = append(m.target, line[sp+1:][:min(len(line)-sp-1, maxTarget)]...)
		return m.method != otherMethod
	}
	rest := bytes.TrimRight(line[sp+1:], " ")
	i := bytes.LastIndexByte(rest, ' ')
	if i < 0 || len(rest)-i != len(" HTTP/1.1") || string(rest[i+1:i+8]) != "HTTP/1." {
		return false
	}
	for _, x := range line[:sp] {
		if (x < 'A' || x > 'Z') && x != '-' && x != '_' {
			return false
		}
	}
	m.minor = rest[len(rest)-1]
	m.target = append(m.target, rest[:min(i, maxTarget)]...)
	return true
}

// respond reads "HTTP/1.1 200 OK"; the reason is free text.
func (m *message) respond(line []byte) {
	m.response, m.minor = true, line[7]
	m.status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
}

// header reads "Name: value". Lines that continue others are obsolete (RFC 9112 5.2)
// and have no colon before a space, so that they are passed over.
func (m *message) header(line []byte) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return
	}
	name, value := line[:i], bytes.TrimSpace(line[i+1:])
	is := func(s string) bool { return len(name) == len(s) && equalFold(name, s) }
	switch len(name) {
	case 4:
		if is("host") {
			keep(&m.host, value, maxHost)
		}
	case 6:
		switch {
		case is("server"):
			keep(&m.server, value, maxValue)
		case is("accept"):
			keep(&m.accept, value[:min(len(value), maxType)], maxType)
			lower(m.accept)
		}
	case 7:
		if is("upgrade") {
			keep(&m.upgrade, value, maxValue)
		}
	case 10:
		switch {
		case is("user-agent"):
			keep(&m.agent, value, maxAgent)
		case is("soapaction"):
			keep(&m.action, bytes.Trim(value, `"`), maxType)
		}
	case 12:
		switch {
		case is("content-type"):
			m.contentType(value)
		case is("x-powered-by"):
			keep(&m.powered, value, maxValue)
		}
	case 13:
		if is("authorization") {
			m.credentials(value)
		}
	case 14:
		if is("content-length") {
			m.contentLength(value)
		}
	case 16:
		switch {
		case is("www-authenticate"):
			m.challenge(value)
		case is("content-encoding"):
			m.encode(value)
		}
	case 17:
		if is("transfer-encoding") {
			m.chunked = len(value) >= 7 && equalFold(value[len(value)-7:], "chunked")
			m.encode(value)
		}
	case 18:
		if is("proxy-authenticate") {
			m.challenge(value)
		}
	case 19:
		if is("proxy-authorization") {
			m.credentials(value)
		}
	}
}

// equalFold compares with ASCII letters in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, x := range b {
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		if x != lower[i] {
			return false
		}
	}
	return true
}

func lower(b []byte) {
	for i, x := range b {
		if x >= 'A' && x <= 'Z' {
			b[i] = x + 'a' - 'A'
		}
	}
}

// keep keeps the first value of a header that is not too long.
func keep(into *[]byte, value []byte, limit int) {
	if len(*into) == 0 && len(value) <= limit {
		*into = append(*into, value...)
	}
}

// contentType keeps a media type and the boundary of a multipart one.
func (m *message) contentType(value []byte) {
	if len(m.kind) > 0 {
		return
	}
	keep(&m.kind, value, maxType)
	lower(m.kind)
	i := bytes.Index(m.kind, []byte("boundary="))
	if i < 0 {
		return
	}
	b := value[i+len("boundary="):]
	if len(b) > 0 && b[0] == '"' {
		b, _, _ = bytes.Cut(b[1:], []byte(`"`))
	} else if j := bytes.IndexAny(b, "; \t"); j >= 0 {
		b = b[:j]
	}
	keep(&m.boundary, b, maxBoundary)
}

// encode takes a Content-Encoding or a Transfer-Encoding.
func (m *message) encode(value []byte) {
	switch is := codingOf(value); {
	case is == noCoding:
	case m.coding == noCoding:
		m.coding = is
	default:
		m.coding = otherCoding
	}
}

// contentLength takes digits; two values that differ are an attack or an error.
func (m *message) contentLength(value []byte) {
	n := int64(0)
	if len(value) == 0 {
		n = -1
	}
	for _, x := range value {
		if !digit(x) || n > (math.MaxInt64-9)/10 {
			n = -1
			break
		}
		n = n*10 + int64(x-'0')
	}
	if m.lengths > 0 && m.length != n {
		n = -1
	}
	m.lengths++
	m.length = n
}
